package diff_test

import (
	"context"
	"testing"

	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// SharedKeys counts what two sets of keys have in common, whichever way it takes.
func TestSharedKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stores := [2]chunk.Store{chunk.NewMem(), nil}
		if stores[1] = stores[0]; rapid.Bool().Draw(t, "apart") {
			stores[1] = chunk.NewMem()
		}
		var sides [2]diff.KeyedRows
		var have [2]map[int64]bool
		var first []int64
		for i := range sides {
			n := rapid.SampledFrom([]int{0, 3, 2000}).Draw(t, "n")
			step, from := int64(rapid.IntRange(1, 40).Draw(t, "step")), int64(rapid.IntRange(-3000, 3000).Draw(t, "from"))
			var ids []int64
			if i == 1 && rapid.Bool().Draw(t, "descends") {
				for _, id := range first {
					if id%7 != 0 {
						ids = append(ids, id)
					}
				}
			} else {
				for k := range n {
					ids = append(ids, from+step*int64(k)+int64(k*k%3)%step)
				}
			}
			if i == 0 {
				first = ids
			}
			s := keyed(column("id", value.KindInt64, value.Cell{}))
			if i == 1 && rapid.Bool().Draw(t, "wide") {
				s.Columns = append(s.Columns, column("v", value.KindInt64, value.Cell{}))
			}
			have[i] = map[int64]bool{}
			kept := rapid.Bool().Draw(t, "kept")
			var rows [][]value.Cell
			for k, id := range ids {
				row := make([]value.Cell, len(s.Columns))
				row[0] = value.IntCell(id)
				for c := 1; c < len(row); c++ {
					row[c] = value.IntCell(int64(k))
				}
				rows = append(rows, row)
				take := !kept || k%3 != 0
				if kept {
					sides[i].Kept = append(sides[i].Kept, take)
				}
				have[i][id] = have[i][id] || take
			}
			sides[i].View = table.NewView(stores[i], build(t, stores[i], s, rows...), nil)
			if sides[i].View.Count() != uint64(len(ids)) {
				t.Skip("keys that are there twice")
			}
		}
		want := uint64(0)
		for id, take := range have[0] {
			if take && have[1][id] {
				want++
			}
		}
		if !diff.ComparableKeys(sides[0].View.Table, sides[1].View.Table) {
			t.Fatal("the keys are comparable")
		}
		for _, turn := range []bool{false, true} {
			a, b := sides[0], sides[1]
			if turn {
				a, b = b, a
			}
			got, err := diff.SharedKeys(context.Background(), a, b)
			ok(t, err)
			if got != want {
				t.Fatalf("%d shared keys, want %d", got, want)
			}
		}
	})
}

func TestComparableKeys(t *testing.T) {
	st := chunk.NewMem()
	id, name := column("id", value.KindInt64, value.Cell{}), column("name", value.KindVarchar, value.Cell{})
	tab := func(cols ...int) *table.Table {
		s := keyed(id, name)
		s.PrimaryKey = nil
		for _, c := range cols {
			k := keyed(s.Columns[c]).PrimaryKey[0]
			s.PrimaryKey = append(s.PrimaryKey, k)
		}
		return build(t, st, s)
	}
	for _, c := range []struct {
		a, b *table.Table
		want bool
	}{{tab(0), tab(0), true}, {tab(0), tab(1), false}, {tab(0, 1), tab(0), false}, {tab(0, 1), tab(1, 0), false}, {tab(), tab(), false}} {
		if got := diff.ComparableKeys(c.a, c.b); got != c.want {
			t.Errorf("%v and %v: %v", c.a.Schema.PrimaryKey, c.b.Schema.PrimaryKey, got)
		}
	}
}
