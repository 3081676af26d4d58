package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/bench/data"
)

// What is measured in this process works on a few rows of each shape. (What needs the program is tried by running the benchmarks
// themselves: go run ./bench -rows 20000 -count 1.)
func TestShapes(t *testing.T) {
	p, err := data.NewPrices(1000)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	e := &env{out: &out, rows: 1000, count: 1, dir: t.TempDir(), prices: p, question: "shapes"}
	e.report = newReport("test", e)
	if err := benchShapes(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	for _, s := range shapesOf(p) {
		for _, what := range []string{"size", "scan", "get", "update, growth", "insert, growth", "1000 updates, diff"} {
			if e.report.value("shapes", s.name+": "+what) <= 0 {
				t.Errorf("%s: no %s", s.name, what)
			}
		}
	}
	if small, large := e.report.value("shapes", "all NULL: size"), e.report.value("shapes", "100 columns: size"); small >= large {
		t.Errorf("a row of NULLs takes %v bytes, one of 100 columns %v", small, large)
	}
}

func TestEdits(t *testing.T) {
	p, err := data.NewPrices(3000)
	if err != nil {
		t.Fatal(err)
	}
	e := &env{prices: p, rows: 3000}
	seen := map[string]bool{}
	for i, c := range e.changes() {
		kinds := map[editKind]int{}
		for _, x := range e.mixedEdits(i, c.rows) {
			kinds[x.kind]++
			k := fmt.Sprint(x.row.NPI, x.row.Code, x.row.Payer)
			if x.kind != inserted && seen[k] {
				t.Errorf("%v is edited twice", x.row)
			}
			seen[k] = true
		}
		for k := range editKind(3) {
			if n := kinds[k]; n < c.rows/4 || n > c.rows/2 {
				t.Errorf("%d of %d edits are of kind %d", n, c.rows, k)
			}
		}
	}
}
