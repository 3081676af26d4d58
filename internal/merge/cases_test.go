package merge_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/merge"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// TestRows merges three states of one table: each case says what comes out and what is left, both ways where nothing is left.
func TestRows(t *testing.T) {
	id, v, w := column("id", value.KindInt64, null), column("v", value.KindVarchar, null), column("w", value.KindInt64, null)
	doc := column("doc", value.KindJSON, null)
	plain := keyed(id, v, w)
	type rows [][]value.Cell
	long := strings.Repeat("x", 3000)
	base := rows{row(1, "a", 1), row(2, "b", 2), row(3, "c", 3)}
	for _, c := range []struct {
		name               string
		base, ours, theirs *schema.Schema // nil: plain; ours and theirs as base
		b, o, t            rows
		cols               string // "" for those of base
		want, left         []string
	}{
		{name: "different rows", b: base,
			o:    rows{row(1, "A", 1), row(2, "b", 2), row(3, "c", 3), row(4, "d", 4)},
			t:    rows{row(1, "a", 1), row(3, "c", 3), row(5, "e", 5)},
			want: []string{"1,A,1", "3,c,3", "4,d,4", "5,e,5"}},
		{name: "different columns of one row", b: base,
			o:    rows{row(1, "A", 1), row(2, "b", 2), row(3, "c", 3)},
			t:    rows{row(1, "a", 11), row(2, "b", 2), row(3, "c", 3)},
			want: []string{"1,A,11", "2,b,2", "3,c,3"}},
		{name: "one change on both sides", b: base,
			o:    rows{row(1, "A", 1), row(3, "c", 3), row(4, "d", 4)},
			t:    rows{row(1, "A", 1), row(3, "c", 33), row(4, "d", 4)},
			want: []string{"1,A,1", "3,c,33", "4,d,4"}},
		{name: "one cell differently", b: base,
			o:    rows{row(1, "A", 1), row(2, "b", 2), row(3, "c", 3)},
			t:    rows{row(1, "AA", 1), row(2, "b", 22), row(3, "c", 3)},
			want: []string{"1,A,1", "2,b,22", "3,c,3"}, left: []string{"t: conflict 1,a,1 | 1,A,1 | 1,AA,1"}},
		{name: "changed and deleted", b: base,
			o:    rows{row(1, "A", 1), row(3, "c", 3)},
			t:    rows{row(2, "b", 22), row(3, "c", 3)},
			want: []string{"1,A,1", "3,c,3"}, left: []string{"t: conflict 1,a,1 | 1,A,1 | gone", "t: conflict 2,b,2 | gone | 2,b,22"}},
		{name: "added differently", b: base,
			o:    rows{row(1, "a", 1), row(2, "b", 2), row(3, "c", 3), row(4, "d", 4)},
			t:    rows{row(1, "a", 1), row(2, "b", 2), row(3, "c", 3), row(4, "d", 5)},
			want: []string{"1,a,1", "2,b,2", "3,c,3", "4,d,4"}, left: []string{"t: conflict gone | 4,d,4 | 4,d,5"}},
		{name: "long cells", base: keyed(id, column("v", value.KindText, null), w), b: rows{row(1, long, 1)},
			o: rows{row(1, long+"o", 1)}, t: rows{row(1, long, 2)}, want: []string{"1," + long + "o,2"}},
		{name: "documents", base: keyed(id, doc), b: rows{row(1, `{"a": 1, "b": {"c": 2}}`), row(2, `{"a": 1}`), row(3, `[1]`)},
			o:    rows{row(1, `{"a": 1, "b": {"c": 2, "d": 3}}`), row(2, `{"a": 2}`), row(3, `[1]`)},
			t:    rows{row(1, `{"b": {"c": 4}, "e": "<x>"}`), row(2, `{"a": 1, "z": 0}`), row(3, `[2]`)},
			cols: "id,doc", want: []string{`1,{"b": {"c": 4, "d": 3}, "e": "<x>"}`, `2,{"a": 2, "z": 0}`, `3,[2]`}},
		{name: "documents that stand against each other", base: keyed(id, doc), b: rows{row(1, `{"a": 1}`), row(2, `[1]`)},
			o:    rows{row(1, `{"a": 2}`), row(2, `[1, 2]`)},
			t:    rows{row(1, `{"a": 3}`), row(2, `[1, 3]`)},
			cols: "id,doc", want: []string{`1,{"a": 2}`, `2,[1, 2]`}, left: []string{
				`t: conflict 1,{"a": 1} | 1,{"a": 2} | 1,{"a": 3}`, `t: conflict 2,[1] | 2,[1, 2] | 2,[1, 3]`}},
		{name: "columns added on both sides", ours: keyed(id, v, w, column("x", value.KindInt64, i(7))), theirs: keyed(id, v, w, column("y", value.KindInt64, null)), b: base,
			o: rows{row(1, "a", 1, 7), row(2, "b", 2, 8), row(3, "c", 3, 7)},
			t: rows{row(1, "a", 1, nil), row(2, "b", 2, 9), row(3, "c", 33, 10), row(4, "d", 4, 5)}, cols: "id,v,w,x,y",
			want: []string{"1,a,1,7,NULL", "2,b,2,8,9", "3,c,33,7,10", "4,d,4,7,5"}},
		{name: "the same column on both sides", ours: keyed(id, v, w, column("x", value.KindInt64, i(7))), theirs: keyed(id, v, w, column("x", value.KindInt64, i(7))), b: base,
			o: rows{row(1, "a", 1, 7), row(2, "b", 2, 8), row(3, "c", 3, 1)},
			t: rows{row(1, "a", 1, 9), row(2, "b", 2, 8), row(3, "c", 3, 2)}, cols: "id,v,w,x",
			want: []string{"1,a,1,9", "2,b,2,8", "3,c,3,1"}, left: []string{"t: conflict 3,c,3 | 3,c,3,1 | 3,c,3,2"}},
		{name: "one name and type under two ids", ours: keyed(id, v, w, column("x", value.KindInt64, i(7))),
			theirs: keyed(id, v, w, column("x", value.KindInt64, i(7), column("x", value.KindInt64, i(7)))), b: base,
			o: rows{row(1, "a", 1, 7), row(2, "b", 2, 8), row(3, "c", 3, 7)},
			t: rows{row(1, "a", 1, 9), row(2, "b", 2, 7), row(3, "c", 3, 7)}, cols: "id,v,w,x",
			want: []string{"1,a,1,9", "2,b,2,8", "3,c,3,7"}},
		{name: "a row added on both sides beside an added column", theirs: keyed(id, v, w, column("x", value.KindInt64, null)), b: base,
			o: rows{row(1, "a", 1), row(2, "b", 2), row(3, "c", 3), row(4, "d", 4)},
			t: rows{row(1, "a", 1, nil), row(2, "b", 2, nil), row(3, "c", 3, nil), row(4, "d", 4, 44)}, cols: "id,v,w,x",
			want: []string{"1,a,1,NULL", "2,b,2,NULL", "3,c,3,NULL", "4,d,4,44"}},
		{name: "a column dropped in theirs", theirs: keyed(id, w), b: base,
			o:    rows{row(1, "a", 11), row(2, "b", 2), row(3, "c", 3), row(4, "d", 4)},
			t:    rows{row(1, 1), row(2, 22), row(3, 3)},
			cols: "id,w", want: []string{"1,11", "2,22", "3,3", "4,4"}},
		{name: "a column dropped on each side", ours: keyed(id, v), theirs: keyed(id, w), base: keyed(id, v, w, column("x", value.KindInt64, null)),
			b: rows{row(1, "a", 1, 5)}, o: rows{row(1, "a"), row(2, "b")}, t: rows{row(1, 1), row(3, 3)},
			cols: "id", want: []string{"1", "2", "3"}},
		{name: "a column dropped whose values changed", theirs: keyed(id, w), b: base,
			o:    rows{row(1, "A", 1), row(2, "b", 2), row(3, "c", 3)},
			t:    rows{row(1, 1), row(2, 2), row(3, 3)},
			want: []string{"1,A,1", "2,b,2", "3,c,3"}, left: []string{"t: column 'v' was dropped in theirs and its values were changed in ours"}},
		{name: "a column dropped and modified", ours: renamed(plain, "v", "u"), theirs: keyed(id, w), b: base, o: base,
			t: rows{row(1, 1), row(2, 2), row(3, 3)}, cols: "id,u,w",
			want: []string{"1,a,1", "2,b,2", "3,c,3"}, left: []string{"t: column 'u' was dropped in theirs and modified in ours"}},
		{name: "a column renamed in theirs", theirs: renamed(plain, "v", "u"), b: base,
			o:    rows{row(1, "A", 1), row(2, "b", 2), row(3, "c", 3)},
			t:    rows{row(1, "a", 1), row(2, "b", 22), row(3, "c", 3)},
			cols: "id,u,w", want: []string{"1,A,1", "2,b,22", "3,c,3"}},
		{name: "a column renamed differently", ours: renamed(plain, "v", "x"), theirs: renamed(plain, "v", "u"), b: base, o: base, t: base,
			cols: "id,x,w", want: []string{"1,a,1", "2,b,2", "3,c,3"}, left: []string{"t: column 'v' was renamed to 'x' in ours and to 'u' in theirs"}},
		{name: "columns of one name and other types", ours: keyed(id, v, w, column("x", value.KindInt64, null)), theirs: keyed(id, v, w, column("x", value.KindVarchar, null)),
			b: rows{row(1, "a", 1)}, o: rows{row(1, "a", 1, 1)}, t: rows{row(1, "a", 1, "x")}, cols: "id,v,w,x",
			want: []string{"1,a,1,1"}, left: []string{"t: incompatible column types for column 'x': bigint and varchar(50)"}},
		{name: "a wider type", theirs: retyped(plain, "v", value.Type{Kind: value.KindText, Length: 65535}), b: base,
			o:    rows{row(1, "A", 1), row(2, "b", 2), row(3, "c", 3)},
			t:    rows{row(1, "a", 1), row(2, long, 2), row(3, "c", 3)},
			want: []string{"1,A,1", "2," + long + ",2", "3,c,3"}},
		{name: "a type that other cells have", base: keyed(id, column("d", value.KindDecimal, null), w), theirs: retyped(keyed(id, column("d", value.KindDecimal, null), w), "d", value.Type{Kind: value.KindFloat64}),
			b: rows{row(1, 150, 1), row(2, 250, 2)}, o: rows{row(1, 175, 1), row(2, 250, 2)}, t: rows{row(1, 1.5, 11), row(2, 2.25, 2)},
			cols: "id,d,w", want: []string{"1,1.75,11", "2,2.25,2"}},
		{name: "a narrower type that values fit", theirs: retyped(plain, "w", value.Type{Kind: value.KindInt8}), b: base,
			o: rows{row(1, "a", 100), row(2, "b", 2), row(3, "c", 3)}, t: base, want: []string{"1,a,100", "2,b,2", "3,c,3"}},
		{name: "a narrower type that values do not fit", theirs: retyped(plain, "w", value.Type{Kind: value.KindInt8}), b: base,
			o: rows{row(1, "a", 1000), row(2, "b", 2), row(3, "c", 3)}, t: base, want: []string{"1,a,1000", "2,b,2", "3,c,3"},
			left: []string{"t: column 'w' has the type tinyint in theirs, which values of ours do not fit"}},
		{name: "two types", ours: retyped(plain, "w", value.Type{Kind: value.KindInt32}), theirs: retyped(plain, "w", value.Type{Kind: value.KindInt8}), b: base, o: base, t: base,
			want: []string{"1,a,1", "2,b,2", "3,c,3"}, left: []string{"t: incompatible column types for column 'w': int and tinyint"}},
		{name: "another key and no rows", theirs: rekeyed(plain, "v"), b: base, o: base, t: base, want: []string{"1,a,1", "2,b,2", "3,c,3"}},
		{name: "another key and rows", theirs: rekeyed(plain, "v"), b: base, t: base,
			o:    rows{row(1, "A", 1), row(2, "b", 2), row(3, "c", 3)},
			want: []string{"1,A,1", "2,b,2", "3,c,3"}, left: []string{"t: the primary key was changed in theirs and rows were changed in ours"}},
		{name: "the same other key", ours: rekeyed(plain, "v"), theirs: rekeyed(plain, "v"), b: base,
			o:    rows{row(1, "a", 11), row(2, "b", 2), row(3, "c", 3)},
			t:    rows{row(1, "a", 1), row(3, "c", 3), row(1, "z", 1)},
			want: []string{"1,a,11", "3,c,3", "1,z,1"}},
		{name: "a unique index", base: index(plain, "u", true, "v"), b: base,
			o:    rows{row(1, "a", 1), row(2, "b", 2), row(3, "c", 3), row(4, "x", 4)},
			t:    rows{row(1, "x", 1), row(2, "b", 2), row(3, "c", 3), row(5, nil, 5)},
			want: []string{"1,x,1", "2,b,2", "3,c,3", "4,x,4", "5,NULL,5"},
			left: []string{`t: unique index 1,x,1 {"Columns":["v"],"Name":"u"}`, `t: unique index 4,x,4 {"Columns":["v"],"Name":"u"}`}},
		{name: "a unique index that theirs added", theirs: index(plain, "u", true, "v"), b: base, t: base,
			o:    rows{row(1, "a", 1), row(2, "b", 2), row(3, "c", 3), row(4, "c", 4)},
			want: []string{"1,a,1", "2,b,2", "3,c,3", "4,c,4"},
			left: []string{`t: unique index 3,c,3 {"Columns":["v"],"Name":"u"}`, `t: unique index 4,c,4 {"Columns":["v"],"Name":"u"}`}},
		{name: "values handed on in a unique index", base: index(plain, "u", true, "v"), b: base,
			o:    rows{row(1, "x", 1), row(2, "b", 2), row(3, "c", 3)},
			t:    rows{row(1, "a", 1), row(2, "c", 2), row(3, "b", 3)},
			want: []string{"1,x,1", "2,c,2", "3,b,3"}},
		{name: "indexes on both sides", ours: index(plain, "a", false, "v", "w"), theirs: index(index(plain, "b", false, "w"), "c", true, "v"), b: base,
			o:    rows{row(1, "a", 11), row(2, "b", 2), row(3, "c", 3), row(4, "d", 4)},
			t:    rows{row(1, "aa", 1), row(3, "c", 3)},
			want: []string{"1,aa,11", "3,c,3", "4,d,4"}},
		{name: "an index defined differently", ours: index(plain, "a", false, "v"), theirs: index(plain, "A", true, "v"), b: base, o: base, t: base,
			want: []string{"1,a,1", "2,b,2", "3,c,3"}, left: []string{"t: index 'a' was defined differently on the two sides"}},
		{name: "an index over a dropped column", ours: index(plain, "a", false, "v"), theirs: keyed(id, w), b: base, o: base, t: rows{row(1, 1), row(2, 2), row(3, 3)},
			want: []string{"1,a,1", "2,b,2", "3,c,3"}, left: []string{"t: index 'a' is over a column that was dropped on the other side"}},
		{name: "not null", theirs: notNull(plain, "v"), b: base, t: base,
			o:    rows{row(1, nil, 1), row(2, "b", 2), row(3, "c", 3), row(4, nil, 4)},
			want: []string{"1,NULL,1", "2,b,2", "3,c,3", "4,NULL,4"},
			left: []string{`t: not null 1,NULL,1 {"Columns":["v"]}`, `t: not null 4,NULL,4 {"Columns":["v"]}`}},
		{name: "not null in ours", ours: notNull(plain, "v"), b: base, o: base,
			t:    rows{row(1, nil, 1), row(2, "b", 2), row(3, "c", 3)},
			want: []string{"1,NULL,1", "2,b,2", "3,c,3"}, left: []string{`t: not null 1,NULL,1 {"Columns":["v"]}`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := chunk.NewMem()
			if c.base == nil {
				c.base = plain
			}
			if c.ours == nil {
				c.ours = c.base
			}
			if c.theirs == nil {
				c.theirs = c.base
			}
			b := rootOf(t, st, map[string]*table.Table{"t": build(t, st, c.base, c.b...)})
			o := rootOf(t, st, map[string]*table.Table{"t": build(t, st, c.ours, c.o...)})
			th := rootOf(t, st, map[string]*table.Table{"t": build(t, st, c.theirs, c.t...)})
			res := merged(t, st, b, o, th)
			got := open(t, st, res.Root, "t")
			wantLines(t, "rows", dump(t, st, got), c.want...)
			wantLines(t, "left", leftovers(t, st, res), c.left...)
			if c.cols == "" {
				c.cols = "id,v,w"
				if c.base.ColumnIndex("doc") >= 0 {
					c.cols = "id,doc"
				}
			}
			if names(got) != c.cols {
				t.Errorf("columns %s, want %s", names(got), c.cols)
			}
			if len(c.left) > 0 {
				return
			}
			back := merged(t, st, b, th, o)
			if len(back.Tables) > 0 {
				t.Errorf("the other way leaves %v", leftovers(t, st, back))
			}
			if n := open(t, st, back.Root, "t"); n.Schema.Hash == got.Schema.Hash && n.Hash() != got.Hash() {
				t.Errorf("the other way gives\n%s", strings.Join(dump(t, st, n), "\n"))
			}
			// The table is the one that its rows and its schema make.
			if !got.Schema.Keyless() {
				fresh := rebuild(t, st, got)
				if fresh.Hash() != got.Hash() {
					t.Errorf("a fresh table of these rows has another hash")
				}
			}
		})
	}
}

func renamed(in *schema.Schema, from, to string) *schema.Schema {
	c := in.Clone()
	c.Columns[c.ColumnIndex(from)].Name = to
	return c
}

func retyped(in *schema.Schema, name string, typ value.Type) *schema.Schema {
	c := in.Clone()
	c.Columns[c.ColumnIndex(name)].Type = typ
	return c
}

func notNull(in *schema.Schema, name string) *schema.Schema {
	c := in.Clone()
	c.Columns[c.ColumnIndex(name)].Nullable = false
	return c
}

func rekeyed(in *schema.Schema, name string) *schema.Schema {
	c := notNull(in, name)
	c.PrimaryKey = []schema.IndexColumn{{Column: c.Columns[c.ColumnIndex(name)].ID}}
	return c
}

// rebuild makes a table anew of another's rows.
func rebuild(t fataler, st chunk.Store, tab *table.Table) *table.Table {
	t.Helper()
	return edit(t, st, table.Empty(tab.Schema), func(ctx context.Context, e *table.Editor) {
		scan := table.NewView(st, tab, nil).Scan(table.ScanOptions{Rows: table.RowsTree})
		for {
			b, more, err := scan.Next(ctx)
			ok(t, err)
			if !more {
				return
			}
			for n := b.Lo; n < b.Hi; n++ {
				cells := make([]value.Cell, len(tab.Schema.Primary.Phys))
				ok(t, b.Page.Row(ctx, b.Page.AppendKey(nil, n), n, cells))
				for i := range cells {
					cells[i], err = table.Resolve(ctx, st, cells[i])
					ok(t, err)
					cells[i] = cells[i].Clone()
				}
				ok(t, e.Insert(ctx, cells))
			}
		}
	})
}

func TestNoJSON(t *testing.T) {
	st := chunk.NewMem()
	sch := keyed(column("id", value.KindInt64, null), column("doc", value.KindJSON, null))
	at := func(doc string) map[string]*table.Table {
		return map[string]*table.Table{"t": build(t, st, sch, row(1, doc))}
	}
	b, o, th := rootOf(t, st, at(`{}`)), rootOf(t, st, at(`{"a": 1}`)), rootOf(t, st, at(`{"b": 1}`))
	if res := merged(t, st, b, o, th); len(res.Tables) > 0 {
		t.Errorf("documents do not merge: %v", leftovers(t, st, res))
	}
	res := merged(t, st, b, o, th, merge.Options{NoJSON: true})
	wantLines(t, "left", leftovers(t, st, res), `t: conflict 1,{} | 1,{"a": 1} | 1,{"b": 1}`)
}

// TestTables merges databases: tables that come, go, and change their names.
func TestTables(t *testing.T) {
	st := chunk.NewMem()
	id, v := column("id", value.KindInt64, null), column("v", value.KindVarchar, null)
	sch := keyed(id, v)
	tab := func(rows ...[]value.Cell) *table.Table { return build(t, st, sch, rows...) }
	a, a2, a3, b := tab(row(1, "a"), row(2, "b")), tab(row(1, "a"), row(2, "b"), row(3, "c")), tab(row(1, "a"), row(2, "x")), tab(row(9, "z"))
	type db = map[string]*table.Table
	for _, c := range []struct {
		name               string
		base, ours, theirs db
		want               string // name:rows of all tables
		left               []string
	}{
		{"added on either side", db{"t": a}, db{"t": a, "o": b}, db{"t": a, "n": b}, "n:1 o:1 t:2", nil},
		{"added alike", db{}, db{"t": a}, db{"t": a}, "t:2", nil},
		{"added with other rows", db{}, db{"t": a}, db{"t": b}, "t:3", nil},
		{"dropped in theirs", db{"t": a, "u": b}, db{"t": a, "u": a}, db{"u": b}, "u:2", nil},
		{"dropped in both", db{"t": a, "u": b}, db{"u": b}, db{"u": a}, "u:2", nil},
		{"dropped and changed", db{"t": a}, db{"t": a2}, db{}, "t:3", []string{"t: cannot merge a table deletion with data modification"}},
		{"changed and dropped", db{"t": a}, db{"x": b}, db{"t": a2}, "x:1", []string{"t: cannot merge a table deletion with data modification"}},
		{"renamed and changed", db{"t": a}, db{"u": a}, db{"t": a2}, "u:3", nil},
		{"changed and renamed", db{"t": a}, db{"t": a3}, db{"u": a2}, "u:3", nil},
		{"renamed alike", db{"t": a}, db{"u": a2}, db{"u": a3}, "u:3", nil},
		{"renamed differently", db{"t": a}, db{"u": a2}, db{"v": a3}, "u:3", []string{"u: table 't' was renamed to 'u' in ours and to 'v' in theirs"}},
		{"a name that is taken", db{"t": a}, db{"t": a, "u": b}, db{"u": a2}, "t:2 u:1", []string{"t: the name 'u' is taken in ours"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := merged(t, st, rootOf(t, st, c.base), rootOf(t, st, c.ours), rootOf(t, st, c.theirs))
			es, err := res.Root.All(t.Context())
			ok(t, err)
			var got []string
			for _, e := range es {
				got = append(got, e.Name+":"+string(rune('0'+open(t, st, res.Root, e.Name).Rows.Count)))
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("tables %s, want %s", s, c.want)
			}
			wantLines(t, "left", leftovers(t, st, res), c.left...)
		})
	}
}

func TestKeyless(t *testing.T) {
	st := chunk.NewMem()
	v, w := column("v", value.KindVarchar, null), column("w", value.KindInt64, null)
	sch := index(&schema.Schema{Columns: []schema.Column{v, w}}, "x", false, "w")
	type rows [][]value.Cell
	r := func(s string) rows {
		var out rows
		for _, c := range s {
			out = append(out, row(string(c), 1))
		}
		return out
	}
	for _, c := range []struct{ name, base, ours, theirs, want string }{
		{"appended", "ab", "abc", "abde", "abcde"},
		{"appended alike", "ab", "abcc", "abc", "abcc"},
		{"deleted", "abcd", "acd", "abc", "ac"},
		{"deleted alike", "abab", "aba", "aba", "aba"},
		{"deleted a copy of each", "abab", "bab", "aba", "ab"},
		{"deleted one, added one", "a", "", "aa", "a"},
		{"written anew", "abc", "cbad", "abce", "cbade"},
		{"written anew without a row", "abc", "cba", "bc", "cb"},
		{"emptied", "abc", "", "abcd", "d"},
	} {
		b := rootOf(t, st, map[string]*table.Table{"t": build(t, st, sch, r(c.base)...)})
		o := rootOf(t, st, map[string]*table.Table{"t": build(t, st, sch, r(c.ours)...)})
		th := rootOf(t, st, map[string]*table.Table{"t": build(t, st, sch, r(c.theirs)...)})
		res := merged(t, st, b, o, th)
		var got string
		for _, l := range dump(t, st, open(t, st, res.Root, "t")) {
			got += l[:1]
		}
		if got != c.want || len(res.Tables) > 0 {
			t.Errorf("%s: %s, want %s; left %v", c.name, got, c.want, leftovers(t, st, res))
		}
	}
	wide := &schema.Schema{Columns: []schema.Column{v, w, column("x", value.KindInt64, i(5))}}
	b := rootOf(t, st, map[string]*table.Table{"t": build(t, st, sch, row("a", 1), row("b", 2))})
	o := rootOf(t, st, map[string]*table.Table{"t": build(t, st, wide, row("a", 1, 5), row("b", 2, 6), row("c", 3, 7))})
	th := rootOf(t, st, map[string]*table.Table{"t": build(t, st, sch, row("a", 1), row("b", 2), row("d", 4))})
	res := merged(t, st, b, o, th)
	wantLines(t, "rows", dump(t, st, open(t, st, res.Root, "t")), "a,1,5", "b,2,6", "c,3,7", "d,4,5")
}
