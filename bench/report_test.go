package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		samples []float64
		want    float64
	}{{nil, 0}, {[]float64{4}, 4}, {[]float64{9, 1}, 5}, {[]float64{7, 100, 1}, 7}, {[]float64{4, 3, 2, 1}, 2.5}} {
		if got := median(c.samples); got != c.want {
			t.Errorf("median of %v: %v, want %v", c.samples, got, c.want)
		}
	}
}

func TestLimit(t *testing.T) {
	for _, c := range []struct {
		l    *limit
		v    float64
		want bool
	}{{atMost(3), 3, true}, {atMost(3), 3.1, false}, {atLeast(3), 3, true}, {atLeast(3), 2.9, false}} {
		if c.l.keeps(c.v) != c.want {
			t.Errorf("%v with %v", c.l, c.v)
		}
	}
}

// A report adds to the file of its day, replaces what was measured again, and refuses results of another size.
func TestReportWrite(t *testing.T) {
	dir := t.TempDir()
	e := &env{rows: 10, versions: map[string]string{"stemma": "1", "dolt": "2"}, out: &strings.Builder{}}
	first := newReport("box", e)
	e.report, e.question = first, "open"
	e.record("time", "ms", atMost(30), 5, 7, 6)
	e.recordOf("dolt", "time", "ms", nil, 60)
	e.question = "shapes"
	e.record("wide: size", "B", nil, 100)
	e.record("wide: get", "us", nil, 2)
	e.record("narrow: size", "B", nil, 10)
	if err := first.write(dir); err != nil {
		t.Fatal(err)
	}
	e.versions = map[string]string{"stemma": "1"} // without the peer
	second := newReport("box", e)
	second.Date = first.Date
	e.report, e.question = second, "open"
	e.record("time", "ms", atMost(30), 8)
	if err := second.write(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, first.Date+"-box.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got report
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Results) != 5 || got.value("open", "time") != 8 || got.value("shapes", "wide: size") != 100 {
		t.Errorf("%s", text)
	}
	if len(got.Version) != 2 {
		t.Errorf("versions of %v", got.Version)
	}
	table, err := os.ReadFile(filepath.Join(dir, first.Date+"-box.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"| | unit | limit | stemma | dolt | stemma / dolt | kept |", "| time | ms | ≤ 30.0 | 8.00 | 60.0 | 0.133 |  |", "| | size, B | get, us |", "| wide | 100 | 2.00 |", "| narrow | 10.0 |  |"} {
		if !strings.Contains(string(table), line+"\n") {
			t.Errorf("no line %q in\n%s", line, table)
		}
	}
	third := newReport("box", &env{rows: 11})
	third.Date = first.Date
	if err := third.write(dir); err == nil {
		t.Error("results of two sizes in one file")
	}
}
