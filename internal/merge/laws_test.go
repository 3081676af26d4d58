package merge_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// model is a row behind its key.
type model struct {
	v string
	w int64
}

// state is a table by key.
type state map[int64]model

func genState(t *rapid.T, label string, n int) state {
	return rapid.MapOfN(rapid.Int64Range(0, 300), rapid.Custom(func(t *rapid.T) model {
		return model{rapid.StringMatching("[a-c]{0,3}").Draw(t, "v"), rapid.Int64Range(0, 3).Draw(t, "w")}
	}), 0, n).Draw(t, label)
}

func (s state) edited(t *rapid.T, label string) state {
	out := maps.Clone(s)
	maps.Copy(out, genState(t, label, 12))
	for _, k := range rapid.SliceOfN(rapid.Int64Range(0, 300), 0, 12).Draw(t, label+" deletes") {
		delete(out, k)
	}
	return out
}

func (s state) table(t fataler, st chunk.Store, sch *schema.Schema) *table.Table {
	var rows [][]value.Cell
	for _, k := range slices.Sorted(maps.Keys(s)) {
		rows = append(rows, row(int(k), s[k].v, int(s[k].w)))
	}
	return build(t, st, sch, rows...)
}

// mergeModel is the three-way merge of rows by columns; conflicts keeps ours.
func mergeModel(b, o, t state) (out state, conflicts []int64) {
	out = state{}
	keys := map[int64]bool{}
	for _, m := range []state{b, o, t} {
		for k := range m {
			keys[k] = true
		}
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		x, inB := b[k]
		y, inO := o[k]
		z, inT := t[k]
		take := func(m model, in bool) {
			if in {
				out[k] = m
			}
		}
		switch {
		case inO == inT && y == z, inB == inT && x == z:
			take(y, inO)
		case inB == inO && x == y:
			take(z, inT)
		case !inB || !inO || !inT:
			conflicts = append(conflicts, k)
			take(y, inO)
		default:
			m, bad := y, false
			switch {
			case y.v == z.v, x.v == z.v:
			case x.v == y.v:
				m.v = z.v
			default:
				bad = true
			}
			switch {
			case y.w == z.w, x.w == z.w:
			case x.w == y.w:
				m.w = z.w
			default:
				bad = true
			}
			if bad {
				conflicts = append(conflicts, k)
				m = y
			}
			out[k] = m
		}
	}
	return out, conflicts
}

// TestLaws compares merges of random tables, with indexes and leaves of few rows, with a model, and checks that the tables are those
// that their rows make, that what one side did alone is taken whole, and that merges without conflicts do not know which side is ours.
func TestLaws(t *testing.T) {
	id, v, w := column("id", value.KindInt64, null), column("v", value.KindVarchar, null), column("w", value.KindInt64, null)
	plain := keyed(id, v, w)
	plain.Target = 512
	indexed := index(index(plain, "a", false, "v", "w"), "b", false, "w")
	rapid.Check(t, func(t *rapid.T) {
		st := chunk.NewMem()
		sch := rapid.SampledFrom([]*schema.Schema{plain, indexed}).Draw(t, "schema")
		base := genState(t, "base", 150)
		ours, theirs := base.edited(t, "ours"), base.edited(t, "theirs")
		tb, to, tt := base.table(t, st, sch), ours.table(t, st, sch), theirs.table(t, st, sch)
		at := func(x *table.Table) map[string]*table.Table { return map[string]*table.Table{"t": x} }
		b, o, th := rootOf(t, st, at(tb)), rootOf(t, st, at(to)), rootOf(t, st, at(tt))
		want, conflicts := mergeModel(base, ours, theirs)
		res := merged(t, st, b, o, th)
		got := open(t, st, res.Root, "t")
		if fresh := want.table(t, st, sch); fresh.Hash() != got.Hash() {
			t.Fatalf("merged:\n%v\nwant:\n%v", dump(t, st, got), dump(t, st, fresh))
		}
		var listed []string
		for _, k := range conflicts {
			one := func(s state) string {
				m, in := s[k]
				if !in {
					return "gone"
				}
				return fmt.Sprintf("%d,%s,%d", k, m.v, m.w)
			}
			listed = append(listed, fmt.Sprintf("t: conflict %s | %s | %s", one(base), one(ours), one(theirs)))
		}
		if left := leftovers(t, st, res); !slices.Equal(left, listed) {
			t.Fatalf("left:\n%s\nwant:\n%s", strings.Join(left, "\n"), strings.Join(listed, "\n"))
		}
		if len(conflicts) == 0 {
			if back := merged(t, st, b, th, o); back.Root.Hash() != res.Root.Hash() {
				t.Fatalf("the other way: %v", dump(t, st, open(t, st, back.Root, "t")))
			}
		}
		if r := merged(t, st, b, b, th); r.Root.Hash() != th.Hash {
			t.Fatalf("merge(a,a,b) is not b")
		}
		if r := merged(t, st, b, th, b); r.Root.Hash() != th.Hash {
			t.Fatalf("merge(a,b,a) is not b")
		}
		if r := merged(t, st, b, o, o); r.Root.Hash() != o.Hash {
			t.Fatalf("merge(a,b,b) is not b")
		}
	})
}

// TestSameColumn checks that a column that both sides added makes one column, and tables of the hash that either has.
func TestSameColumn(t *testing.T) {
	id, v := column("id", value.KindInt64, null), column("v", value.KindVarchar, null)
	rapid.Check(t, func(t *rapid.T) {
		st := chunk.NewMem()
		absent := rapid.SampledFrom([]value.Cell{null, i(0), i(7)}).Draw(t, "absent")
		base := keyed(id, v)
		base.Target = 512
		wide := base.Clone()
		wide.Columns = append(wide.Columns, column("x", value.KindInt64, absent))
		var rows [][]value.Cell
		n := rapid.IntRange(0, 100).Draw(t, "rows")
		for k := range n {
			rows = append(rows, row(k, strings.Repeat("v", k%20)))
		}
		tb := build(t, st, base, rows...)
		tw := &table.Table{Schema: compile(t, wide), Rows: tb.Rows, Indexes: tb.Indexes}
		more := edit(t, st, tw, func(ctx context.Context, e *table.Editor) {
			ok(t, e.Insert(ctx, row(1000, "more", 5)))
		})
		at := func(x *table.Table) map[string]*table.Table { return map[string]*table.Table{"t": x} }
		b, w, m := rootOf(t, st, at(tb)), rootOf(t, st, at(tw)), rootOf(t, st, at(more))
		if r := merged(t, st, b, w, w); r.Root.Hash() != w.Hash {
			t.Fatalf("the same column on both sides makes another table")
		}
		for _, r := range []hash.Hash{merged(t, st, b, w, m).Root.Hash(), merged(t, st, b, m, w).Root.Hash()} {
			if r != m.Hash {
				t.Fatalf("the same column on both sides and a row on one make another table")
			}
		}
	})
}

// TestKeylessLaws checks numbers of copies of random keyless tables.
func TestKeylessLaws(t *testing.T) {
	sch := &schema.Schema{Columns: []schema.Column{column("v", value.KindInt64, null)}, Target: 512}
	rapid.Check(t, func(t *rapid.T) {
		st := chunk.NewMem()
		gen := func(label string) []int64 {
			return rapid.SliceOfN(rapid.Int64Range(0, 20), 0, 60).Draw(t, label)
		}
		make1 := func(vals []int64) *table.Table {
			var rows [][]value.Cell
			for _, x := range vals {
				rows = append(rows, []value.Cell{i(x)})
			}
			return build(t, st, sch, rows...)
		}
		base := gen("base")
		side := func(label string) []int64 {
			switch rapid.IntRange(0, 2).Draw(t, label) {
			case 0:
				return append(slices.Clone(base), gen(label+" appended")...)
			case 1:
				return slices.DeleteFunc(slices.Clone(base), func(int64) bool { return rapid.IntRange(0, 5).Draw(t, "delete") == 0 })
			}
			return gen(label + " anew")
		}
		ours, theirs := side("ours"), side("theirs")
		count := func(vals []int64) map[int64]int {
			out := map[int64]int{}
			for _, x := range vals {
				out[x]++
			}
			return out
		}
		cb, co, ct := count(base), count(ours), count(theirs)
		at := func(x *table.Table) map[string]*table.Table { return map[string]*table.Table{"t": x} }
		b, o, th := rootOf(t, st, at(make1(base))), rootOf(t, st, at(make1(ours))), rootOf(t, st, at(make1(theirs)))
		for _, res := range [][]string{dump(t, st, open(t, st, merged(t, st, b, o, th).Root, "t")), dump(t, st, open(t, st, merged(t, st, b, th, o).Root, "t"))} {
			got := map[string]int{}
			for _, l := range res {
				got[l]++
			}
			for k := range int64(21) {
				do, dt := co[k]-cb[k], ct[k]-cb[k]
				want := cb[k] + do + dt
				if do > 0 && dt > 0 {
					want = cb[k] + max(do, dt)
				} else if do < 0 && dt < 0 {
					want = cb[k] + min(do, dt)
				}
				if got[fmt.Sprint(k)] != want {
					t.Fatalf("%d copies of %d, want %d: base %d, ours %d, theirs %d", got[fmt.Sprint(k)], k, want, cb[k], co[k], ct[k])
				}
			}
		}
	})
}
