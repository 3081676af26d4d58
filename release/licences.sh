#!/usr/bin/env bash
# Writes the licences and notices of all modules that are linked into the program, which their terms want beside it.
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go}
export CGO_ENABLED=0 GOFLAGS=-tags=gms_pure_go
cat <<'END'
stemma is licensed under the Apache License 2.0, see LICENSE. Its program contains the Go runtime and standard library and the modules
below, each with its own licence.
END
section() { printf '\n%s\n%s\n\n' "$(printf '=%.0s' {1..100})" "$1"; }
section "Go $("$go" env GOVERSION)"
cat "$("$go" env GOROOT)/LICENSE"
for os in linux darwin windows; do
  GOOS=$os GOARCH=amd64 "$go" list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}	{{.Dir}}{{end}}{{end}}' ./cmd/stemma
done | LC_ALL=C sort -u | while IFS=$'\t' read -r module dir; do
  found=$(find "$dir" -maxdepth 1 -type f \( -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'notice*' \) | LC_ALL=C sort)
  [ -n "$found" ] || { echo "release: $module has no licence in $dir" >&2; exit 1; }
  section "$module"
  while read -r file; do cat "$file"; echo; done <<< "$found"
done
