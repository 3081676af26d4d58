package diff_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// TestLaws checks on random pairs that applying a diff to one side gives the other, and that its size is that of the change.
func TestLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		st := chunk.NewMem()
		id, v, w := column("id", value.KindInt64, null), column("v", value.KindVarchar, null), column("w", value.KindFloat64, f(0))
		schemas := []*schema.Schema{keyed(id, v, w), keyed(id, v), keyed(id, w), keyed(id, column("v", value.KindText, null), w)}
		for _, s := range schemas {
			s.Target = 512 // many pages of few rows
		}
		sa := rapid.SampledFrom(schemas).Draw(t, "schema a")
		sb := rapid.SampledFrom(schemas).Draw(t, "schema b")
		start := genRows(t, "rows", 60)
		ra, rb := maps.Clone(start), maps.Clone(start)
		for k, r := range genRows(t, "edits a", 10) {
			ra[k] = r
		}
		for k, r := range genRows(t, "edits b", 10) {
			rb[k] = r
		}
		for _, k := range rapid.SliceOfN(rapid.Int64Range(0, 200), 0, 8).Draw(t, "deletes") {
			delete(rb, k)
		}
		a, b := buildMap(t, st, sa, ra), buildMap(t, st, sb, rb)
		p, err := diff.NewPair(st, a, b)
		ok(t, err)
		got := map[int64]string{}
		for k, r := range ra {
			got[k] = line(project(sb, sa, r))
		}
		before := maps.Clone(got)
		var stat diff.Stat
		last := int64(-1)
		for c, err := range p.Rows(context.Background(), diff.Options{}) {
			ok(t, err)
			side, sch := c.To, sb
			if c.Type == diff.Removed {
				side, sch = c.From, sa
			}
			cell, err := side.Cell(context.Background(), sch.ColumnIndex("id"))
			ok(t, err)
			k := cell.Int()
			if k <= last {
				t.Fatalf("key %d after %d", k, last)
			}
			last = k
			_, had := before[k]
			switch c.Type {
			case diff.Added:
				stat.RowsAdded++
			case diff.Removed:
				stat.RowsRemoved++
				delete(got, k)
			case diff.Modified:
				stat.RowsModified++
			}
			if had != (c.Type != diff.Added) {
				t.Fatalf("key %d is %s", k, c.Type)
			}
			if c.Type != diff.Removed {
				_, got[k], _ = strings.Cut(text(t, st, sb, c.To), ",")
			}
			if c.Type == diff.Modified && got[k] == before[k] {
				t.Fatalf("row %d is called modified: %s", k, got[k])
			}
		}
		wantRows := map[int64]string{}
		for k, r := range rb {
			wantRows[k] = line(project(sb, sb, r))
		}
		if !maps.Equal(got, wantRows) {
			t.Fatalf("applied:\n%v\nwant:\n%v", got, wantRows)
		}
		full, err := p.Stat(context.Background())
		ok(t, err)
		if full.RowsAdded != stat.RowsAdded || full.RowsRemoved != stat.RowsRemoved || full.RowsModified != stat.RowsModified && full.OldRows > 0 && full.NewRows > 0 {
			t.Fatalf("stat %+v, rows %+v", full, stat)
		}
		if full.OldRows+full.RowsAdded-full.RowsRemoved != full.NewRows || full.OldCells+full.CellsAdded-full.CellsRemoved != full.NewCells {
			t.Fatalf("stat does not add up: %+v", full)
		}
	})
}

type model struct {
	v *string
	w float64
}

func genRows(t *rapid.T, label string, n int) map[int64]model {
	return rapid.MapOfN(rapid.Int64Range(0, 200), rapid.Custom(func(t *rapid.T) model {
		m := model{w: float64(rapid.IntRange(0, 3).Draw(t, "w"))}
		if rapid.Bool().Draw(t, "null") {
			v := rapid.StringMatching("[a-c]{0,40}").Draw(t, "v")
			m.v = &v
		}
		return m
	}), 0, n).Draw(t, label)
}

// cells is a model row under a schema.
func (m model) cells(sch *schema.Schema, id int64) []value.Cell {
	var out []value.Cell
	for c := range sch.Columns {
		switch sch.Columns[c].Name {
		case "id":
			out = append(out, i(id))
		case "v":
			if m.v == nil {
				out = append(out, null)
			} else {
				out = append(out, s(*m.v))
			}
		case "w":
			out = append(out, f(m.w))
		}
	}
	return out
}

func buildMap(t fataler, st chunk.Store, sch *schema.Schema, rows map[int64]model) *table.Table {
	var list [][]value.Cell
	for k, m := range rows {
		list = append(list, m.cells(sch, k))
	}
	return build(t, st, sch, list...)
}

// project is a row of schema from as it reads under schema to, missing columns being absent.
func project(to, from *schema.Schema, m model) map[string]string {
	out := map[string]string{}
	for c := range to.Columns {
		n := to.Columns[c].Name
		here := from.ColumnIndex(n) >= 0
		switch n {
		case "v":
			out[n] = "NULL"
			if here && m.v != nil {
				out[n] = *m.v
			}
		case "w":
			out[n] = "0"
			if here {
				out[n] = fmt.Sprint(m.w)
			}
		}
	}
	return out
}

func line(m map[string]string) string {
	var out []string
	for _, n := range []string{"v", "w"} {
		if x, ok := m[n]; ok {
			out = append(out, x)
		}
	}
	return strings.Join(out, ",")
}
