package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/clock"
)

// report is a file of results. A run adds to the file of its day and machine, and replaces what it measures again.
type report struct {
	Date    string            `json:"date"` // year-month-day, UTC
	Machine machine           `json:"machine"`
	Version map[string]string `json:"version"` // by system
	Rows    int               `json:"rows"`    // of the price list
	Results []result          `json:"results"`
}

// machine is what results depend on beside the program.
type machine struct {
	Name   string `json:"name"`
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	CPUs   int    `json:"cpus"`
	CPU    string `json:"cpu,omitempty"`
	Memory int64  `json:"memory_bytes,omitempty"`
	Go     string `json:"go"`
}

// result is one figure of one system.
type result struct {
	Question string    `json:"question"`
	Name     string    `json:"name"`
	System   string    `json:"system"`
	Unit     string    `json:"unit"`
	Value    float64   `json:"value"` // median of the samples
	Samples  []float64 `json:"samples"`
	Limit    *limit    `json:"limit,omitempty"`
	Kept     *bool     `json:"kept,omitempty"` // whether Value keeps the limit
}

// limit is what a figure is to be at most, or at least.
type limit struct {
	Value float64 `json:"value"`
	Least bool    `json:"least,omitempty"`
}

func atMost(v float64) *limit  { return &limit{Value: v} }
func atLeast(v float64) *limit { return &limit{Value: v, Least: true} }

func (l *limit) keeps(v float64) bool {
	if l.Least {
		return v >= l.Value
	}
	return v <= l.Value
}

func (l *limit) String() string {
	if l.Least {
		return "≥ " + figure(l.Value)
	}
	return "≤ " + figure(l.Value)
}

func newReport(name string, e *env) *report {
	return &report{
		Date:    clock.System{}.Now().UTC().Format(time.DateOnly),
		Machine: machine{Name: name, OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), CPU: cpuModel(), Memory: memoryBytes(), Go: runtime.Version()},
		Version: e.versions, Rows: e.rows,
	}
}

// add puts r in, in the place of an older result of the same.
func (r *report) add(x result) {
	i := slices.IndexFunc(r.Results, func(y result) bool { return y.Question == x.Question && y.Name == x.Name && y.System == x.System })
	if i >= 0 {
		r.Results[i] = x
		return
	}
	r.Results = append(r.Results, x)
}

// value is a figure of stemma's that was measured before; 0 when it was not.
func (r *report) value(question, name string) float64 { return r.of("stemma", question, name) }

// of is a system's figure; 0 when there is none.
func (r *report) of(system, question, name string) float64 {
	for _, x := range r.Results {
		if x.Question == question && x.Name == name && x.System == system {
			return x.Value
		}
	}
	return 0
}

// ratio is stemma's figure divided by a peer's, as text; empty when one of them is missing.
func (r *report) ratio(peer, question, name string) string {
	own, other := r.value(question, name), r.of(peer, question, name)
	if own == 0 || other == 0 {
		return ""
	}
	return figure(own / other)
}

// write brings the results into the directory: the data, and a table to read.
func (r *report) write(dir string) error {
	name := filepath.Join(dir, r.Date+"-"+r.Machine.Name)
	all := *r
	old, err := os.ReadFile(name + ".json")
	switch {
	case err == nil:
		var before report
		if err := json.Unmarshal(old, &before); err != nil {
			return fmt.Errorf("read %s.json: %w", name, err)
		}
		if before.Rows != r.Rows {
			return fmt.Errorf("%s.json has results of %d rows, these are of %d", name, before.Rows, r.Rows)
		}
		all.Results = before.Results
		for _, x := range r.Results {
			all.add(x)
		}
		all.Version = maps.Clone(before.Version) // of peers that this run had not
		maps.Copy(all.Version, r.Version)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	text, err := json.MarshalIndent(&all, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if err := os.WriteFile(name+".json", append(text, '\n'), 0o666); err != nil {
		return err
	}
	return os.WriteFile(name+".md", all.markdown(), 0o666)
}

// markdown is the table: a line a figure, a column a system.
func (r *report) markdown() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s, %s\n\n%s %s, %d processors (%s), %.0f GB, %s. Price list of %d rows. Median of the samples in the .json file.\n",
		r.Date, r.Machine.Name, r.Machine.OS, r.Machine.Arch, r.Machine.CPUs, r.Machine.CPU, float64(r.Machine.Memory)/1e9, r.Machine.Go, r.Rows)
	systems := []string{}
	for _, s := range systemNames {
		if v, ok := r.Version[s]; ok {
			systems = append(systems, s)
			fmt.Fprintf(&b, "%s %s. ", s, v)
		}
	}
	b.WriteString("\n")
	var asked []string
	for _, x := range r.Results {
		if !slices.Contains(asked, x.Question) {
			asked = append(asked, x.Question)
		}
	}
	for _, q := range asked {
		fmt.Fprintf(&b, "\n## %s\n\n", questionText(q))
		if q == "shapes" {
			r.matrix(&b, q)
		} else {
			r.list(&b, q, systems)
		}
	}
	return []byte(b.String())
}

// list writes a line for each figure of a question.
func (r *report) list(b *strings.Builder, question string, systems []string) {
	columns := slices.Clone(systems)
	var peers []string
	for _, s := range systems {
		if s != "stemma" && slices.ContainsFunc(r.Results, func(x result) bool { return x.Question == question && x.System == s }) {
			peers = append(peers, s)
			columns = append(columns, "stemma / "+s)
		}
	}
	fmt.Fprintf(b, "| | unit | limit | %s | kept |\n|---|---|---|%s---|\n", strings.Join(columns, " | "), strings.Repeat("--:|", len(columns)))
	done := map[string]bool{}
	for _, x := range r.Results {
		if x.Question != question || done[x.Name] {
			continue
		}
		done[x.Name] = true
		want, kept, values := "", "", ""
		for _, s := range systems {
			v := ""
			for _, y := range r.Results {
				if y.Question != question || y.Name != x.Name || y.System != s {
					continue
				}
				v = figure(y.Value)
				if y.Limit != nil {
					want = y.Limit.String()
				}
				if y.Kept != nil {
					kept = map[bool]string{true: "yes", false: "**no**"}[*y.Kept]
				}
			}
			values += " " + v + " |"
		}
		for _, s := range peers {
			values += " " + r.ratio(s, question, x.Name) + " |"
		}
		fmt.Fprintf(b, "| %s | %s | %s |%s %s |\n", x.Name, x.Unit, want, values, kept)
	}
}

// matrix writes the figures of a question whose names are "thing: property": a line a thing, a column a property.
func (r *report) matrix(b *strings.Builder, question string) {
	var things, properties []string
	values := map[string]string{}
	for _, x := range r.Results {
		thing, property, ok := strings.Cut(x.Name, ": ")
		if x.Question != question || !ok {
			continue
		}
		property += ", " + x.Unit
		values[thing+": "+property] = figure(x.Value)
		if !slices.Contains(things, thing) {
			things = append(things, thing)
		}
		if !slices.Contains(properties, property) {
			properties = append(properties, property)
		}
	}
	fmt.Fprintf(b, "| | %s |\n|---|%s\n", strings.Join(properties, " | "), strings.Repeat("--:|", len(properties)))
	for _, t := range things {
		fmt.Fprintf(b, "| %s |", t)
		for _, p := range properties {
			fmt.Fprintf(b, " %s |", values[t+": "+p])
		}
		b.WriteString("\n")
	}
}

func questionText(name string) string {
	for _, q := range questions {
		if q.name == name {
			return q.text
		}
	}
	return name
}

// figure is a number with three digits.
func figure(v float64) string {
	switch a := max(v, -v); {
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1 || a == 0:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// median is the middle sample, of two the mean.
func median(samples []float64) float64 {
	s := slices.Sorted(slices.Values(samples))
	n := len(s)
	if n == 0 {
		return 0
	}
	return (s[(n-1)/2] + s[n/2]) / 2
}
