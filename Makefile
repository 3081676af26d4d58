# make        builds bin/stemma, and bin/compat/dolt, the same program under Dolt's name
# make test   is what every change must pass
# make help   lists the rest
#
# Nothing but Go is needed, and Python 3.11 or newer for the tests with MySQL clients. The flags below are all that a build needs: the
# SQL engine's pure-Go regular expressions, no cgo, so that the program is one static file; without paths of this machine, so that builds agree.

GO ?= go
export CGO_ENABLED := 0
export GOFLAGS := -tags=gms_pure_go -buildvcs=false -trimpath

# The version is the newest tag's; between tags with what has come since. Without tags it is the one in cmd/stemma/main.go.
VERSION ?= $(shell git describe --tags --dirty --match 'v*' 2>/dev/null | sed 's/^v//')
LDFLAGS := -s -w $(if $(VERSION),-X main.version=$(VERSION))

PKG        ?= ./...
PLATFORMS  := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
BENCH      ?=
ROWS       ?= 10000000
CHECKS     ?= 20000
FUZZTIME   ?= 5m

.PHONY: build test vet-build tests setup unit clients python kedro metaflow generate docs wheels release race cross vet fmt fmt-check lint bench bench-seed microbench torture qemu demo install clean help

build: ## build the program
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/stemma ./cmd/stemma
	@mkdir -p bin/compat
	@ln -sf ../stemma bin/compat/dolt

# Environments are made beside the first builds, and the builds for other platforms, at low priority, go on beside the tests: packages
# install on one processor, and tests wait for servers and processes most of the time.
test: fmt-check ## all that a change must pass
	@$(MAKE) --no-print-directory -j2 setup vet-build
	@$(MAKE) --no-print-directory -j2 cross tests

vet-build: # the one after the other: side by side they would compile everything twice
	@set -e; for t in vet build; do $(MAKE) --no-print-directory $$t; done

tests: # one after the other, also under -j
	@set -e; for t in unit clients python kedro metaflow; do $(MAKE) --no-print-directory VET=off $$t; done

setup: ## install what tests need from Debian's packages and PyPI, where that can be
	test/setup.sh

# The tests of whole programs begin first, for they take longest and wait a lot. The Python with what examples/kalido needs is the one that
# setup makes, unless STEMMA_TEST_PYTHON names another.
unit: ## run the tests (PKG=./internal/tree/... for some)
	@if [ -z "$$STEMMA_TEST_PYTHON" ] && [ -x .venv/kalido/bin/python ]; then export STEMMA_TEST_PYTHON=$(CURDIR)/.venv/kalido/bin/python; fi; \
	echo "$(GO) test $(PKG)"; $(GO) test -p 3 $(if $(VET),-vet=$(VET)) $(if $(filter ./...,$(PKG)),./test/...) $(PKG)

clients: build setup ## run the tests with MySQL clients against a server
	test/clients/run.sh

python: build ## check the Python package: lint, types, tests against the program
	python/run.sh

kedro: build ## run the tests of stemma.kedro with Kedro itself
	test/kedro/run.sh

metaflow: build ## run the tests of stemma.metaflow with Metaflow itself
	test/metaflow/run.sh

generate: ## write what is generated: the Python methods of the verbs
	$(GO) run ./internal/op/pygen python/src/stemma/_ops.py

docs: ## make the reference of the Python package: dist/reference/index.html
	python/reference.sh

wheels: ## build the wheels of the Python package into python/dist: the client, and the program for every platform
	python/wheels.sh $(PLATFORMS)

# The part of this platform is among the tests of `make test`.
release: ## build a release into dist and test it: archives, wheels, install.sh, checksums (PLATFORMS, RELEASE_URL)
	release/build.sh -o dist $(PLATFORMS)
	STEMMA_RELEASE_DIR=$(CURDIR)/dist $(GO) test -count=1 -v ./test/release

race: ## run the tests with the race detector, which needs a C compiler
	CGO_ENABLED=1 $(GO) test -race $(PKG)

# Without optimisation and what debuggers need: they take time and find nothing more.
cross: build ## build for every platform
	@set -e; for p in $(filter-out $(shell $(GO) env GOOS)/$(shell $(GO) env GOARCH),$(PLATFORMS)); do \
		echo "build for $$p"; \
		GOOS=$${p%/*} GOARCH=$${p#*/} nice -n 10 $(GO) build -gcflags='all=-N -l -dwarf=false' -ldflags='-s -w' -o /dev/null ./cmd/stemma; \
	done

vet: ## report suspicious code
	$(GO) vet $(PKG)

fmt: ## format the sources
	gofmt -w .

fmt-check:
	@bad=$$(gofmt -l .); \
	if [ -n "$$bad" ]; then echo "not formatted (make fmt):"; echo "$$bad"; exit 1; fi

lint: fmt-check vet ## vet, format and staticcheck
	$(GO) run $(STATICCHECK) $(PKG)

# Results go to bench/results at full size. BENCH_DOLT and BENCH_DUCKDB in the environment name peers: a program, a Python that has DuckDB.
bench: build ## measure what users ask for (BENCH=<question,...>, ROWS=<n>, BENCHFLAGS=<flags of ./bench>)
	$(GO) run ./bench -stemma bin/stemma -rows $(ROWS) $(if $(BENCH),-run $(BENCH)) $(BENCHFLAGS)

# 10 M prices, and the 72,724,852 of 2021.
bench-seed: build ## measure the flow of 2021 at its size (BENCHFLAGS=<flags of ./bench>)
	test/metaflow/run.sh --setup
	$(GO) run ./bench -stemma bin/stemma -rows $(ROWS) -run flow,seed $(BENCHFLAGS)

microbench: ## run the packages' own benchmarks (BENCH=<pattern>, PKG=<packages>)
	$(GO) test -run '^$$' -bench '$(or $(BENCH),.)' -benchmem $(PKG)

torture: qemu ## kills, crowds and full disks at length, long property runs, fuzzing of every decoder (CHECKS=<n>, FUZZTIME=<time>)
	STEMMA_TORTURE=1 $(GO) test -count=1 -v -timeout 2h ./test/torture
	@set -e; \
	for p in $$($(GO) list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}} {{.TestImports}} {{.XTestImports}}{{end}}' $(PKG) | grep 'pgregory.net/rapid' | cut -d' ' -f1); do \
		$(GO) test -count=1 -timeout 2h $$p -rapid.checks=$(CHECKS); \
	done; \
	for p in $$($(GO) list $(PKG)); do \
		for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
			echo "$$p $$f"; \
			$(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$p; \
		done; \
	done

# qemu lets the tests that pin hashes run as on arm64; without it they are skipped.
qemu:
	@if ! command -v qemu-aarch64-static >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get install -y --no-install-recommends qemu-user-static || echo "arm64 will not be tested"; \
	fi

demo: build ## show the program at work
	PATH="$(CURDIR)/bin:$(CURDIR)/bin/compat:$$PATH" demo/run.sh
	PATH="$(CURDIR)/bin:$$PATH" examples/kalido/run.sh
	PATH="$(CURDIR)/bin:$(CURDIR)/bin/compat:$$PATH" examples/kedro-iris/run.sh
	PATH="$(CURDIR)/bin:$(CURDIR)/bin/compat:$$PATH" examples/metaflow-hospital/run.sh

install: ## install the program where Go installs programs
	$(GO) install -ldflags '$(LDFLAGS)' ./cmd/stemma

clean: ## remove what was built
	rm -rf bin dist demo/out python/dist python/build python/bin/build

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12
