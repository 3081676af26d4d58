package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/bench/data"
)

// env is what a run works with.
type env struct {
	out              io.Writer
	rows             int
	count, peerCount int
	dir              string
	stemma, dolt     string // programs
	duckdb           string // a Python
	python           string // a Python that has the package's requirements; "" for none
	flows            string // a Python that has Metaflow; "" for none
	kedro            string // a Python that has Kedro; "" for none
	variants, shapes string

	prices   *data.Prices
	rowsAt   []int32   // see places
	systems  []*system // stemma first
	versions map[string]string
	report   *report
	question string
}

// systemNames is the order of columns.
var systemNames = []string{"stemma", "dolt", "duckdb"}

// prepare builds the program if need be and finds out which peers are there.
func (e *env) prepare(ctx context.Context) error {
	if err := os.MkdirAll(e.dir, 0o777); err != nil {
		return err
	}
	if e.stemma == "" {
		e.stemma = filepath.Join(e.dir, "stemma")
		build := exec.CommandContext(ctx, "go", "build", "-o", e.stemma, "./cmd/stemma")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("build the program: %w", err)
		}
	}
	e.versions = map[string]string{}
	for _, s := range []*system{{name: "stemma", program: e.stemma}, {name: "dolt", program: e.dolt}} {
		if s.program == "" {
			fmt.Fprintf(e.out, "without %s: no program given\n", s.name)
			continue
		}
		program, err := filepath.Abs(s.program)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(program)
		if err != nil {
			return err
		}
		s.program = program
		if s.home, err = e.home(s.name, sha256.Sum256(text)); err != nil {
			return err
		}
		version, _, err := s.command(ctx, s.home, "version")
		if err != nil {
			return err
		}
		line, _, _ := strings.Cut(string(version), "\n")
		e.versions[s.name] = line[strings.LastIndexByte(line, ' ')+1:]
		e.systems = append(e.systems, s)
	}
	if e.duckdb == "" {
		fmt.Fprintln(e.out, "without duckdb: no Python given")
		return nil
	}
	version, err := exec.CommandContext(ctx, e.duckdb, "-c", "import duckdb; print(duckdb.__version__)").Output()
	if err != nil {
		return fmt.Errorf("ask %s for DuckDB: %w", e.duckdb, err)
	}
	e.versions["duckdb"] = strings.TrimSpace(string(version))
	return nil
}

// home is the directory of a system's databases. Those that another build of the program made are removed.
func (e *env) home(name string, digest [sha256.Size]byte) (string, error) {
	pattern := filepath.Join(e.dir, name+"-%s-"+fmt.Sprint(e.rows))
	own := fmt.Sprintf(pattern, fmt.Sprintf("%x", digest[:6]))
	others, err := filepath.Glob(fmt.Sprintf(pattern, "*"))
	if err != nil {
		return "", err
	}
	for _, o := range others {
		if o != own {
			if err := os.RemoveAll(o); err != nil {
				return "", err
			}
		}
	}
	return own, os.MkdirAll(own, 0o777)
}

// full tells whether the run is of the size that limits are for.
func (e *env) full() bool { return e.rows == fullRows }

// own is stemma itself.
func (e *env) own() *system { return e.systems[0] }

// repetitions is how often a system is measured.
func (e *env) repetitions(system string) int {
	if system == "stemma" {
		return e.count
	}
	return e.peerCount
}

// record takes a figure of stemma's; want may be nil.
func (e *env) record(name, unit string, want *limit, samples ...float64) {
	e.recordOf("stemma", name, unit, want, samples...)
}

// recordOf takes a figure of some system. Limits are stemma's.
func (e *env) recordOf(system, name, unit string, want *limit, samples ...float64) {
	x := result{Question: e.question, Name: name, System: system, Unit: unit, Value: median(samples), Samples: samples}
	note := ""
	if system == "stemma" && want != nil {
		x.Limit = want
		note = "  limit " + want.String()
		if e.full() {
			kept := want.keeps(x.Value)
			x.Kept = &kept
			note += map[bool]string{true: ": kept", false: ": MISSED"}[kept]
		}
	}
	e.report.add(x)
	if ratio := e.report.ratio(system, e.question, name); system != "stemma" && ratio != "" {
		note = "  stemma / " + system + " " + ratio
	}
	fmt.Fprintf(e.out, "  %-7s %-46s %10s %-8s%s\n", system, name, figure(x.Value), unit, note)
}

// file is the path of a data file, which is written when it is not there.
func (e *env) file(name string, write func(io.Writer) error) (string, error) {
	path := filepath.Join(e.dir, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return path, data.WriteFile(path, write)
}

// places are the places of the price list's rows, which the caller must not change.
func (e *env) places() []int32 {
	if e.rowsAt == nil {
		e.rowsAt = e.prices.Places()
	}
	return e.rowsAt
}

// csv is the file of the price list.
func (e *env) csv(order string) (string, error) {
	return e.file(fmt.Sprintf("prices-%d-%s.csv", e.rows, order), func(w io.Writer) error {
		places := e.places()
		if order == "shuffled" {
			places = slices.Clone(places)
			e.prices.Shuffle(places)
		}
		return e.prices.WritePrices(w, places)
	})
}
