package merge_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/merge"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// record is a row by the names of its columns; nil is none.
type record map[string]any

// relation is a table by key, of which all records have the columns of the schema.
type relation struct {
	sch  *schema.Schema
	rows map[int]record
}

func (x *relation) clone() *relation {
	out := &relation{sch: x.sch.Clone(), rows: map[int]record{}}
	for k, r := range x.rows {
		out.rows[k] = maps.Clone(r)
	}
	return out
}

// table builds the table of a relation anew.
func (x *relation) table(t fataler, st chunk.Store) *table.Table {
	t.Helper()
	var rows [][]value.Cell
	for _, k := range slices.Sorted(maps.Keys(x.rows)) {
		vals, decimals := make([]any, len(x.sch.Columns)), map[int]value.Cell{}
		for i := range x.sch.Columns {
			if vals[i] = x.rows[k][x.sch.Columns[i].Name]; x.sch.Columns[i].Type.Kind == value.KindDecimal {
				c, err := value.Parse(x.sch.Columns[i].Type, fmt.Appendf(nil, "%d", vals[i]))
				ok(t, err)
				decimals[i] = c
			}
		}
		cells := row(vals...)
		for i, c := range decimals {
			cells[i] = c
		}
		rows = append(rows, cells)
	}
	return build(t, st, x.sch, rows...)
}

func (x *relation) has(name string) bool { return x.sch.ColumnIndex(name) >= 0 }

// drop takes a column away.
func (x *relation) drop(name string) {
	at := x.sch.ColumnIndex(name)
	x.sch.Columns = slices.Delete(x.sch.Columns, at, at+1)
	for _, r := range x.rows {
		delete(r, name)
	}
}

// add adds a column of whole numbers with the value that old rows have.
func (x *relation) add(name string, absent value.Cell) {
	x.sch.Columns = append(x.sch.Columns, column(name, value.KindInt64, absent))
	for _, r := range x.rows {
		r[name] = cellOf(absent)
	}
}

// cellOf is a whole number, or nil, as row takes it.
func cellOf(c value.Cell) any {
	if c.IsNull() {
		return nil
	}
	return int(c.Int())
}

// mergeRelations is the three-way merge by columns of relations into a schema; rows in conflict, which it lists, are those of ours.
func mergeRelations(sch *schema.Schema, b, o, t *relation) (out *relation, conflicts []int) {
	out = &relation{sch: sch, rows: map[int]record{}}
	keys := map[int]bool{}
	for _, x := range []*relation{b, o, t} {
		for k := range x.rows {
			keys[k] = true
		}
	}
	// under is a row as it is under the merged schema.
	under := func(x *relation, k int) record {
		r, in := x.rows[k]
		if !in {
			return nil
		}
		to := record{}
		for i := range sch.Columns {
			c := &sch.Columns[i]
			if to[c.Name] = cellOf(c.Absent); x.has(c.Name) {
				to[c.Name] = r[c.Name]
			}
		}
		return to
	}
	same := func(x, y record) bool { return (x == nil) == (y == nil) && maps.Equal(x, y) }
	one := func(k int) (record, bool) {
		x, y, z := under(b, k), under(o, k), under(t, k)
		switch {
		case same(y, z), same(x, z):
			return y, true
		case same(x, y):
			return z, true
		case y == nil || z == nil:
			return y, false
		}
		r := record{}
		for i := range sch.Columns {
			n := sch.Columns[i].Name
			switch {
			case y[n] == z[n], !t.has(n):
				r[n] = y[n]
			case !o.has(n):
				r[n] = z[n]
			case x == nil:
				return y, false
			case x[n] == z[n]:
				r[n] = y[n]
			case x[n] == y[n]:
				r[n] = z[n]
			default:
				return y, false
			}
		}
		return r, true
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		r, settled := one(k)
		if !settled {
			conflicts = append(conflicts, k)
		}
		if r != nil {
			out.rows[k] = r
		}
	}
	return out, conflicts
}

// conflictKeys are the keys of the rows in conflict, all that a merge of one table may have left.
func conflictKeys(t fataler, st chunk.Store, tab *table.Table, res *merge.Result) []int {
	t.Helper()
	var keys []string
	for k := range 1100 {
		cells := make([]value.Cell, len(tab.Schema.Primary.Phys))
		cells[tab.Schema.ColumnIndex("id")] = i(int64(k))
		keys = append(keys, string(tab.Schema.Primary.AppendKey(nil, cells)))
	}
	var out []int
	for _, x := range res.Tables {
		if x.Schema != "" || !x.Violations.IsEmpty() {
			t.Fatalf("left: %q", leftovers(t, st, res))
		}
		c := tree.New(st, history.ArtifactFormat(), x.Conflicts).Cursor()
		ok(t, c.First(context.Background()))
		for c.Valid() {
			out = append(out, slices.IndexFunc(keys, func(k string) bool { return k == string(c.Key(nil)) }))
			ok(t, c.Next(context.Background()))
		}
	}
	return out
}

// layouts are what a side can do to a schema without conflict, whatever the other side does of them; most make the leaves of that side
// others than those of the merged schema. Columns that a side may change are called by its letter.
var layouts = map[string]func(x *relation, side string, rng *rand.Rand){
	"as it was":        func(*relation, string, *rand.Rand) {},
	"drops its column": func(x *relation, side string, _ *rand.Rand) { x.drop(side + "drop") },
	"adds a column": func(x *relation, side string, rng *rand.Rand) {
		x.add(side+"new", []value.Cell{null, i(0), i(7)}[rng.IntN(3)])
	},
	"drops and adds": func(x *relation, side string, _ *rand.Rand) {
		x.drop(side + "drop")
		x.add(side+"new", i(7))
	},
	"widens a number": func(x *relation, side string, _ *rand.Rand) {
		x.sch = retyped(x.sch, side+"num", value.Type{Kind: value.KindInt64})
	},
	"widens a text": func(x *relation, _ string, _ *rand.Rand) {
		x.sch = retyped(x.sch, "v", value.Type{Kind: value.KindText, Length: 65535})
	},
	"widens a decimal": func(x *relation, _ string, _ *rand.Rand) {
		x.sch = retyped(x.sch, "dec", value.Type{Kind: value.KindDecimal, Precision: 30, Scale: 2})
	},
	"makes leaves larger": func(x *relation, _ string, _ *rand.Rand) { x.sch.Target = 8192 },
}

// newRelation is a table of n rows with the columns that layouts change.
func newRelation(n int, rng *rand.Rand) *relation {
	x := &relation{rows: map[int]record{}}
	x.sch = keyed(column("id", value.KindInt64, null), column("v", value.KindVarchar, null), column("w", value.KindInt64, null),
		column("odrop", value.KindInt64, null), column("tdrop", value.KindVarchar, null),
		column("dec", value.KindDecimal, null), column("onum", value.KindInt32, null), column("tnum", value.KindInt32, null))
	x.sch = index(index(x.sch, "nums", false, "onum", "tnum", "v"), "decs", false, "dec")
	x.sch.Target = 4096 // so large that rows weigh less than the most that counts of a row, and few enough are in a leaf
	for k := range n {
		x.rows[2*k] = record{"id": 2 * k, "v": strings.Repeat("v", rng.IntN(10)), "w": rng.IntN(4), "dec": k % 13,
			"odrop": k % 7, "tdrop": strings.Repeat("d", k%11), "onum": k % 5, "tnum": k % 3}
	}
	return x
}

// edited is a state of a relation with another layout and other rows. What another side may drop is not changed.
func (x *relation) edited(side, layout string, edits int, rng *rand.Rand) *relation {
	out := x.clone()
	layouts[layout](out, side, rng)
	for range edits {
		k := rng.IntN(2*len(x.rows) + 3)
		r := out.rows[k]
		if r == nil {
			out.rows[k] = record{}
			for i := range out.sch.Columns {
				n := out.sch.Columns[i].Name
				was, in := x.rows[k][n]
				if !in {
					was = map[string]any{"id": k, "v": strings.Repeat("n", rng.IntN(10)), "w": rng.IntN(4), "dec": 5, "odrop": 1, "tdrop": "new", "onum": 4, "tnum": 4, side + "new": k % 2}[n]
				}
				out.rows[k][n] = was
			}
			continue
		}
		switch rng.IntN(4) {
		case 0:
			delete(out.rows, k)
		case 1:
			r["v"] = strings.Repeat("V", rng.IntN(10))
		case 2:
			r["w"] = rng.IntN(10)
		case 3:
			if out.has(side + "new") {
				r[side+"new"] = rng.IntN(10)
			}
		}
	}
	return out
}

// TestLayouts merges tables whose sides changed schema and rows: the rows are those of a model, and the table is the one that its rows
// make, whichever side's leaves it was made of.
func TestLayouts(t *testing.T) {
	all := slices.Sorted(maps.Keys(layouts))
	for n, one := range all {
		for _, other := range all[n:] {
			t.Run(one+", "+other, func(t *testing.T) {
				// What rows make that both sides changed is seen in small tables, what leaves make in large ones.
				for seed, c := range []struct{ rows, edits int }{{0, 3}, {9, 12}, {9, 40}, {9, 40}, {9, 40}, {500, 0}, {500, 10}} {
					rng := rand.New(rand.NewPCG(uint64(seed), 17))
					base := newRelation(c.rows, rng)
					mergeWays(t, base, base.edited("o", one, c.edits, rng), base.edited("t", other, c.edits, rng))
				}
			})
		}
	}
}

// mergeWays merges two states of a table both ways and compares with the model.
func mergeWays(t *testing.T, base, ours, theirs *relation) {
	t.Helper()
	st := chunk.NewMem()
	at := func(x *relation) tree.Root { return rootOf(t, st, map[string]*table.Table{"t": x.table(t, st)}) }
	b := at(base)
	for _, way := range []struct {
		name         string
		ours, theirs *relation
	}{{"one way", ours, theirs}, {"the other way", theirs, ours}} {
		res := merged(t, st, b, at(way.ours), at(way.theirs))
		got := open(t, st, res.Root, "t")
		want, conflicts := mergeRelations(got.Schema.Schema, base, way.ours, way.theirs)
		if listed := conflictKeys(t, st, got, res); !slices.Equal(listed, conflicts) {
			t.Fatalf("%s: conflicts at %v, want %v; left %q", way.name, listed, conflicts, leftovers(t, st, res))
		}
		made := want.table(t, st)
		if a, b := dump(t, st, got), dump(t, st, made); !slices.Equal(a, b) {
			t.Fatalf("%s:\n  %s\nwant:\n  %s", way.name, strings.Join(a, "\n  "), strings.Join(b, "\n  "))
		}
		if got.Hash() != made.Hash() {
			t.Fatalf("%s: a fresh table of these rows has another hash", way.name)
		}
	}
}
