package tree

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/stemmadb/stemma/internal/chunk"
)

// TestDataDriven runs the scripts of testdata. A tree has a name; "name=t" says which, t by default. Rows are lines
// "key payload"; "key" alone deletes; "fill from to [step] [payload]" stands for many.
//
//	build name=t                 make a tree of the rows, print its shape
//	edit name=t to=u             apply edits to t as u, print the shape, say whether it is a rebuild's root and what was stored
//	diff a=t b=u [lo=] [hi=]     print the changes
//	merge base=t ours=u theirs=v to=w [take=ours|theirs]   print conflicts and the merged rows that differ from ours
//	check name=t                 print problems
func TestDataDriven(t *testing.T) {
	datadriven.Walk(t, "testdata/script", func(t *testing.T, path string) {
		s := &script{T: t, st: &counting{Mem: chunk.NewMem()}, models: map[string]model{}, roots: map[string]Root{}}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.T = t
			switch d.Cmd {
			case "build":
				return s.build(d)
			case "edit":
				return s.edit(d)
			case "diff":
				return s.diff(d)
			case "merge":
				return s.merge(d)
			case "check":
				if got := problems(t, s.st, small, s.roots[arg(d, "name", "t")]); got != "" {
					return got + "\n"
				}
				return "sound\n"
			}
			d.Fatalf(t, "unknown command %s", d.Cmd)
			return ""
		})
	})
}

type script struct {
	*testing.T
	st     *counting
	models map[string]model
	roots  map[string]Root
}

func arg(d *datadriven.TestData, name, def string) string {
	for _, a := range d.CmdArgs {
		if a.Key == name {
			return strings.Join(a.Vals, ",")
		}
	}
	return def
}

// lines reads rows and edits.
func (s *script) lines(d *datadriven.TestData) map[string]*string {
	out := map[string]*string{}
	for line := range strings.Lines(d.Input) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0:
		case f[0] == "fill":
			from, to, step := 0, 0, 1
			if _, err := fmt.Sscan(strings.Join(f[1:], " "), &from, &to, &step); err != nil && len(f) > 3 {
				d.Fatalf(s.T, "%v", err)
			}
			for i := from; i < to; i += step {
				var v *string
				if len(f) > 4 {
					v = &f[4]
				}
				out[fmt.Sprintf("%05d", i)] = v
			}
		case len(f) == 1:
			out[f[0]] = nil
		default:
			out[f[0]] = &f[1]
		}
	}
	return out
}

func (s *script) shape(root Root) string {
	var b strings.Builder
	ok(s.T, Dump(s.Context(), &b, s.st, small, root))
	return b.String()
}

func (s *script) build(d *datadriven.TestData) string {
	name := arg(d, "name", "t")
	s.models[name] = model{}.apply(s.lines(d))
	s.roots[name] = s.models[name].build(s.T, s.st, small, 0)
	return s.shape(s.roots[name])
}

func (s *script) edit(d *datadriven.TestData) string {
	name := arg(d, "name", "t")
	to := arg(d, "to", name)
	es := s.lines(d)
	s.st.puts = 0
	root := apply(s.T, s.st, small, s.roots[name], es)
	stored := s.st.puts
	s.models[to] = s.models[name].apply(es)
	s.roots[to] = root
	verdict := "as rebuilt"
	if root != s.models[to].build(s.T, s.st, small, 0) {
		verdict = "NOT AS REBUILT"
	}
	return fmt.Sprintf("%s%s, %d chunks stored\n", s.shape(root), verdict, stored)
}

func show(v *string) string {
	if v == nil {
		return "-"
	}
	return *v
}

func (s *script) diff(d *datadriven.TestData) string {
	var lo, hi []byte
	if v := arg(d, "lo", ""); v != "" {
		lo = []byte(v)
	}
	if v := arg(d, "hi", ""); v != "" {
		hi = []byte(v)
	}
	s.st.gets = 0
	var b strings.Builder
	ok(s.T, Diff(s.Context(), s.st, small, s.roots[arg(d, "a", "t")], s.roots[arg(d, "b", "u")], lo, hi, func(c Change) error {
		var side [2]*string
		for i, l := range []Leaf{c.A, c.B} {
			if l == nil {
				continue
			}
			row, err := l.AppendRow(s.Context(), nil, []int{c.AI, c.BI}[i])
			if err != nil {
				return err
			}
			v := string(row)
			side[i] = &v
		}
		_, err := fmt.Fprintf(&b, "%s: %s -> %s\n", c.AppendKey(nil), show(side[0]), show(side[1]))
		return err
	}))
	return fmt.Sprintf("%s%d chunks read\n", b.String(), s.st.gets)
}

func (s *script) merge(d *datadriven.TestData) string {
	ours, to := arg(d, "ours", "u"), arg(d, "to", "w")
	var b strings.Builder
	bytesOr := func(v []byte) string {
		if v == nil {
			return "-"
		}
		return string(v)
	}
	src := Merge(s.st, small, s.roots[arg(d, "base", "t")], s.roots[ours], s.roots[arg(d, "theirs", "v")], func(c Conflict) ([]byte, bool, error) {
		fmt.Fprintf(&b, "conflict %s: base %s, ours %s, theirs %s\n", c.Key, bytesOr(c.Base), bytesOr(c.Ours), bytesOr(c.Theirs))
		return c.Theirs, arg(d, "take", "ours") == "ours", nil
	})
	root, err := Apply(s.Context(), s.st, small, s.roots[ours], src)
	ok(s.T, err)
	s.roots[to] = root
	s.models[to] = model{}
	c := New(s.st, small, root).Cursor()
	ok(s.T, c.First(s.Context()))
	for c.Valid() {
		row, err := c.Row(s.Context(), nil)
		ok(s.T, err)
		k := string(c.Key(nil))
		s.models[to][k] = string(row)
		if v, have := s.models[ours][k]; !have || v != string(row) {
			fmt.Fprintf(&b, "%s: %s\n", k, row)
		}
		ok(s.T, c.Next(s.Context()))
	}
	for _, k := range s.models[ours].keys() {
		if _, have := s.models[to][k]; !have {
			fmt.Fprintf(&b, "%s: -\n", k)
		}
	}
	if b.Len() == 0 {
		return "as ours\n"
	}
	return b.String()
}
