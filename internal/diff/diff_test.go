package diff_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// fataler is a *testing.T or a *rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func ok(t fataler, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
}

// column makes a column from "name type", a "*" behind the name of a key column, and an absent value.
func column(name string, k value.Kind, absent value.Cell, taken ...schema.Column) schema.Column {
	typ := value.Type{Kind: k}
	switch k {
	case value.KindVarchar, value.KindChar:
		typ.Length = 50
	case value.KindText:
		typ.Length = 65535
	case value.KindDecimal:
		typ.Precision, typ.Scale = 10, 2
	}
	return schema.Column{ID: schema.AssignID(name, typ, taken, nil), Name: name, Type: typ, Nullable: true, Absent: absent}
}

// keyed is a schema whose first column is the key.
func keyed(cols ...schema.Column) *schema.Schema {
	return &schema.Schema{Columns: cols, PrimaryKey: []schema.IndexColumn{{Column: cols[0].ID}}}
}

func compile(t fataler, s *schema.Schema) *schema.Compiled {
	t.Helper()
	c, err := schema.Compile(s)
	ok(t, err)
	return c
}

// build makes a table of rows in the order given.
func build(t fataler, st chunk.Store, s *schema.Schema, rows ...[]value.Cell) *table.Table {
	t.Helper()
	return edit(t, st, table.Empty(compile(t, s)), func(ctx context.Context, e *table.Editor) {
		for _, r := range rows {
			if s.Keyless() {
				r = append([]value.Cell{value.Null}, r...)
			}
			ok(t, e.Insert(ctx, r))
		}
	})
}

func edit(t fataler, st chunk.Store, tab *table.Table, fn func(ctx context.Context, e *table.Editor)) *table.Table {
	t.Helper()
	ctx := context.Background()
	e := table.NewEditor(st, table.NewView(st, tab, nil))
	fn(ctx, e)
	out, err := e.View().Fold(ctx, st)
	ok(t, err)
	return out
}

func i(v int64) value.Cell   { return value.IntCell(v) }
func s(v string) value.Cell  { return value.BytesCell([]byte(v)) }
func f(v float64) value.Cell { return value.FloatCell(v) }

func row(cells ...value.Cell) []value.Cell { return cells }

// text writes a row of one side with the side's types.
func text(t fataler, r chunk.Reader, sch *schema.Schema, r1 diff.Row) string {
	t.Helper()
	var out []string
	for c := range sch.Columns {
		cell, err := r1.Cell(context.Background(), c)
		ok(t, err)
		cell, err = table.Resolve(context.Background(), r, cell)
		ok(t, err)
		if cell.IsNull() {
			out = append(out, "NULL")
			continue
		}
		out = append(out, string(value.AppendText(nil, sch.Columns[c].Type, cell)))
	}
	return strings.Join(out, ",")
}

// changes lists a diff as lines: "-1,a", "+2,b", "~1,a>1,c".
func changes(t fataler, st chunk.Reader, a, b *table.Table, opt diff.Options) []string {
	t.Helper()
	p, err := diff.NewPair(st, a, b)
	ok(t, err)
	as, bs := a, b
	if as == nil {
		as = b
	}
	if bs == nil {
		bs = a
	}
	var out []string
	for c, err := range p.Rows(context.Background(), opt) {
		ok(t, err)
		switch c.Type {
		case diff.Added:
			out = append(out, "+"+text(t, st, bs.Schema.Schema, c.To))
		case diff.Removed:
			out = append(out, "-"+text(t, st, as.Schema.Schema, c.From))
		case diff.Modified:
			out = append(out, "~"+text(t, st, as.Schema.Schema, c.From)+">"+text(t, st, bs.Schema.Schema, c.To))
		}
	}
	return out
}

func want(t *testing.T, got []string, lines ...string) {
	t.Helper()
	if !slices.Equal(got, lines) {
		t.Fatalf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(lines, "\n\t"))
	}
}

var null = value.Null

func TestKeyedRows(t *testing.T) {
	st := chunk.NewMem()
	sch := keyed(column("id", value.KindInt64, null), column("v", value.KindText, null))
	a := build(t, st, sch, row(i(1), s("a")), row(i(2), s("b")), row(i(3), null), row(i(5), s("e")))
	b := build(t, st, sch, row(i(1), s("a")), row(i(3), s("c")), row(i(4), s("d")), row(i(5), s("e")))
	want(t, changes(t, st, a, b, diff.Options{}), "-2,b", "~3,NULL>3,c", "+4,d")
	want(t, changes(t, st, nil, b, diff.Options{}), "+1,a", "+3,c", "+4,d", "+5,e")
	want(t, changes(t, st, a, nil, diff.Options{}), "-1,a", "-2,b", "-3,NULL", "-5,e")
	want(t, changes(t, st, a, a, diff.Options{}))
	key := func(n int64) []byte { return a.Schema.Primary.AppendKey(nil, row(i(n), null)) }
	want(t, changes(t, st, a, b, diff.Options{Lo: key(3)}), "~3,NULL>3,c", "+4,d")
	want(t, changes(t, st, a, b, diff.Options{Lo: key(3), Hi: key(4)}), "~3,NULL>3,c")
}

func TestLongCells(t *testing.T) {
	st := chunk.NewMem()
	sch := keyed(column("id", value.KindInt64, null), column("v", value.KindText, null))
	long := strings.Repeat("long ", 2000)
	a := build(t, st, sch, row(i(1), s(long)), row(i(2), s(long)))
	b := build(t, st, sch, row(i(1), s(long)), row(i(2), s(long+"er")))
	want(t, changes(t, st, a, b, diff.Options{}), "~2,"+long+">2,"+long+"er")
}

func TestStopsEarly(t *testing.T) {
	st := chunk.NewMem()
	sch := keyed(column("id", value.KindInt64, null))
	b := build(t, st, sch, row(i(1)), row(i(2)))
	p, err := diff.NewPair(st, nil, b)
	ok(t, err)
	n := 0
	for _, err := range p.Rows(t.Context(), diff.Options{}) {
		ok(t, err)
		n++
		break
	}
	if n != 1 {
		t.Fatalf("%d rows", n)
	}
}

func TestCancel(t *testing.T) {
	st := chunk.NewMem()
	sch := keyed(column("id", value.KindInt64, null), column("v", value.KindInt64, null))
	other := sch.Clone()
	other.Columns[1].Type.Kind = value.KindUint64
	a := build(t, st, sch, row(i(1), i(1)))
	b := build(t, st, other, row(i(1), value.UintCell(2)))
	ctx, stop := context.WithCancel(t.Context())
	stop()
	p, err := diff.NewPair(st, a, b)
	ok(t, err)
	for _, err := range p.Rows(ctx, diff.Options{}) {
		if err == nil {
			t.Fatal("a canceled diff went on")
		}
	}
}

func TestSchemaChanges(t *testing.T) {
	st := chunk.NewMem()
	id, v := column("id", value.KindInt64, null), column("v", value.KindInt64, null)
	base := keyed(id, v)
	a := build(t, st, base, row(i(1), i(10)), row(i(2), i(20)), row(i(3), null))

	t.Run("added column with a constant default changes no row", func(t *testing.T) {
		w := keyed(id, v, column("w", value.KindInt64, i(7)))
		b := &table.Table{Schema: compile(t, w), Rows: a.Rows}
		want(t, changes(t, st, a, b, diff.Options{}))
		c := build(t, st, w, row(i(1), i(10), i(7)), row(i(2), i(20), i(8)), row(i(4), i(1), null))
		want(t, changes(t, st, a, c, diff.Options{}), "~2,20>2,20,8", "-3,NULL", "+4,1,NULL")
		want(t, changes(t, st, c, a, diff.Options{}), "+3,NULL", "-4,1,NULL")
	})
	t.Run("dropped column", func(t *testing.T) {
		b := build(t, st, keyed(id), row(i(1)), row(i(2)), row(i(9)))
		want(t, changes(t, st, a, b, diff.Options{}), "-3,NULL", "+9")
		want(t, changes(t, st, b, a, diff.Options{}), "~1>1,10", "~2>2,20", "+3,NULL", "-9")
	})
	t.Run("renamed column", func(t *testing.T) {
		r := base.Clone()
		r.Columns[1].Name = "price"
		b := &table.Table{Schema: compile(t, r), Rows: a.Rows}
		want(t, changes(t, st, a, b, diff.Options{}))
	})
	t.Run("reordered columns", func(t *testing.T) {
		r := base.Clone()
		r.Columns[0], r.Columns[1] = r.Columns[1], r.Columns[0]
		b := build(t, st, r, row(i(10), i(1)), row(i(21), i(2)), row(null, i(3)))
		want(t, changes(t, st, a, b, diff.Options{}), "~2,20>21,2")
	})
	t.Run("wider type of the same cells", func(t *testing.T) {
		n := base.Clone()
		n.Columns[1].Type.Kind = value.KindInt32
		b := build(t, st, n, row(i(1), i(10)), row(i(2), i(21)), row(i(3), null))
		want(t, changes(t, st, b, a, diff.Options{}), "~2,21>2,20")
	})
	t.Run("type of other cells", func(t *testing.T) {
		n := base.Clone()
		n.Columns[1].Type.Kind = value.KindUint64
		b := build(t, st, n, row(i(1), value.UintCell(10)), row(i(2), value.UintCell(21)), row(i(3), null), row(i(4), null))
		want(t, changes(t, st, a, b, diff.Options{}), "~2,20>2,21", "+4,NULL")
		want(t, changes(t, st, b, a, diff.Options{}), "~2,21>2,20", "-4,NULL")
	})
	t.Run("other id, same name and type", func(t *testing.T) {
		n := base.Clone()
		n.Columns[1].ID = schema.AssignID("v", n.Columns[1].Type, base.Columns, nil)
		b := build(t, st, n, row(i(1), i(10)), row(i(2), i(21)), row(i(3), null))
		want(t, changes(t, st, a, b, diff.Options{}), "~2,20>2,21")
	})
	t.Run("same id, other absent value", func(t *testing.T) {
		n := base.Clone()
		n.Columns[1].Absent = i(5)
		b := &table.Table{Schema: compile(t, n), Rows: build(t, st, keyed(id), row(i(1)), row(i(2)), row(i(3))).Rows}
		a := &table.Table{Schema: compile(t, base), Rows: b.Rows}
		want(t, changes(t, st, a, b, diff.Options{}), "~1,NULL>1,5", "~2,NULL>2,5", "~3,NULL>3,5")
	})
	t.Run("other key", func(t *testing.T) {
		n := base.Clone()
		n.PrimaryKey = []schema.IndexColumn{{Column: v.ID}, {Column: id.ID}}
		b := build(t, st, n, row(i(1), i(10)), row(i(2), i(21)), row(i(3), null))
		want(t, changes(t, st, a, b, diff.Options{}), "-2,20", "+2,21")
	})
	t.Run("key dropped", func(t *testing.T) {
		n := base.Clone()
		n.PrimaryKey = nil
		b := build(t, st, n, row(i(3), null), row(i(1), i(10)), row(i(1), i(10)))
		want(t, changes(t, st, a, b, diff.Options{}), "-2,20", "+1,10")
	})
	t.Run("numbers of two forms", func(t *testing.T) {
		d, e := column("d", value.KindDecimal, null), column("d", value.KindFloat64, null)
		a := build(t, st, keyed(id, d), row(i(1), i(150)), row(i(2), i(175)))
		b := build(t, st, keyed(id, e), row(i(1), f(1.5)), row(i(2), f(1.76)))
		if d.ID != e.ID {
			t.Fatal("ids of one family differ")
		}
		want(t, changes(t, st, a, b, diff.Options{}), "~2,1.75>2,1.76")
	})
}

func TestKeylessRows(t *testing.T) {
	st := chunk.NewMem()
	sch := &schema.Schema{Columns: []schema.Column{column("v", value.KindVarchar, null), column("w", value.KindInt64, null)}}
	a := build(t, st, sch, row(s("a"), i(1)), row(s("b"), i(2)), row(s("b"), i(2)), row(s("c"), i(3)), row(null, null))
	// Written anew in another order: equal rows cancel wherever they moved.
	b := build(t, st, sch, row(s("d"), i(4)), row(null, null), row(s("c"), i(3)), row(s("b"), i(2)), row(s("a"), i(1)))
	want(t, changes(t, st, a, b, diff.Options{}), "+d,4", "-b,2")
	want(t, changes(t, st, a, build(t, st, sch, row(s("a"), i(1))), diff.Options{}), "-b,2", "-b,2", "-c,3", "-NULL,NULL")
	want(t, changes(t, st, nil, a, diff.Options{})[:2], "+a,1", "+b,2")
	if b2 := build(t, st, sch, row(s("a"), i(1)), row(s("b"), i(2)), row(s("b"), i(2)), row(s("c"), i(3)), row(null, null)); b2.Hash() != a.Hash() {
		t.Fatal("a table made again with the same rows has another hash")
	}
	wide := &schema.Schema{Columns: append(slices.Clone(sch.Columns), column("x", value.KindInt64, i(0)))}
	c := build(t, st, wide, row(s("a"), i(1), i(0)), row(s("b"), i(2), i(1)), row(s("b"), i(2), i(0)), row(s("c"), i(3), i(0)), row(null, null, i(0)))
	want(t, changes(t, st, a, c, diff.Options{}), "-b,2", "+b,2,1")
	uns := sch.Clone()
	uns.Columns[1].Type.Kind = value.KindUint64
	d := build(t, st, uns, row(s("a"), value.UintCell(1)), row(null, null), row(s("b"), value.UintCell(2)), row(s("c"), value.UintCell(4)), row(s("b"), value.UintCell(2)))
	want(t, changes(t, st, a, d, diff.Options{}), "-c,3", "+c,4")
}

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

// counting counts the chunks read.
type counting struct {
	chunk.Reader
	n    int
	seen map[hash.Hash]bool
}

func (c *counting) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	if c.seen == nil {
		c.seen = map[hash.Hash]bool{}
	}
	if !c.seen[h] {
		c.seen[h] = true
		c.n++
	}
	return c.Reader.Get(ctx, h)
}

// TestCost checks that a diff reads the paths to what changed and no more.
func TestCost(t *testing.T) {
	const rows, edits = 200_000, 1000
	st := chunk.NewMem()
	sch := keyed(column("id", value.KindInt64, null), column("v", value.KindVarchar, null), column("w", value.KindInt64, null))
	ctx := t.Context()
	l, err := table.NewLoader(ctx, st, table.Empty(compile(t, sch)), table.LoadOptions{})
	ok(t, err)
	enc := table.NewEncoder(st, compile(t, sch))
	var key, tuple []byte
	for n := range int64(rows) {
		key, tuple, err = enc.Append(ctx, key[:0], tuple[:0], row(i(n), s(fmt.Sprintf("row %d", n*7919%rows)), i(n*n)))
		ok(t, err)
		ok(t, l.Add(ctx, key, tuple))
	}
	a, _, err := l.Finish(ctx)
	ok(t, err)
	near := edit(t, st, a, func(ctx context.Context, e *table.Editor) {
		for n := range int64(edits) {
			id := 50_000 + n
			_, err := e.Update(ctx, row(i(id), null, null), row(i(id), s("changed"), i(n)))
			ok(t, err)
		}
	})
	count := func(a, b *table.Table) (changes, chunks int) {
		r := &counting{Reader: st}
		p, err := diff.NewPair(r, a, b)
		ok(t, err)
		for _, err := range p.Rows(ctx, diff.Options{}) {
			ok(t, err)
			changes++
		}
		return changes, r.n
	}
	all := 0
	ok(t, tree.Walk(ctx, st, a.Schema.Primary.Format, a.Rows, func(hash.Hash, int, tree.Flags) (bool, error) { all++; return true, nil }))
	n, chunks := count(a, near)
	// 1,000 neighbouring rows lie in a handful of pages: two sides of about rows/page pages and the nodes above.
	limit := 2 * (all*edits/rows + 3*int(a.Rows.Level+1))
	if n != edits || chunks > limit {
		t.Errorf("%d changes by reading %d of %d chunks, limit %d", n, chunks, all, limit)
	}
	wide := sch.Clone()
	wide.Columns = append(wide.Columns, column("x", value.KindInt64, i(1)))
	b := &table.Table{Schema: compile(t, wide), Rows: near.Rows}
	if n, c := count(a, b); n != edits || c > limit {
		t.Errorf("with an added column: %d changes by reading %d of %d chunks, limit %d", n, c, all, limit)
	}
	if n, c := count(a, &table.Table{Schema: b.Schema, Rows: a.Rows}); n != 0 || c > 0 {
		t.Errorf("an added column alone: %d changes, %d chunks", n, c)
	}
}

func TestTables(t *testing.T) {
	ctx := t.Context()
	st := chunk.NewMem()
	sch := keyed(column("id", value.KindInt64, null), column("v", value.KindInt64, null))
	entry := func(name string, s *schema.Schema, rows ...[]value.Cell) root.Change {
		tab := build(t, st, s, rows...)
		h, err := tab.Put(ctx, st)
		ok(t, err)
		return root.Change{Entry: root.Entry{Kind: root.KindTable, Name: name, Table: h, Comments: s.EncodeComments()}}
	}
	drop := func(name string) root.Change {
		return root.Change{Entry: root.Entry{Kind: root.KindTable, Name: name}, Drop: true}
	}
	commented := sch.Clone()
	commented.Comment = "a comment"
	wide := keyed(append(slices.Clone(sch.Columns), column("w", value.KindInt64, i(3)))...)
	one := row(i(1), i(1))
	base, err := root.Open(st, tree.Root{}).With(ctx, st,
		entry("same", sch, one), entry("data", sch, one), entry("schema", sch, one), entry("Gone", sch, one), entry("old", sch, row(i(5), i(5))),
		entry("comment", sch, one), entry("Case", sch, one),
		root.Change{Entry: root.Entry{Kind: root.KindView, Name: "view", Body: []byte("1")}})
	ok(t, err)
	next, err := base.With(ctx, st,
		entry("data", sch, row(i(1), i(2))), entry("schema", wide, row(i(1), i(1), i(3))), drop("Gone"), drop("old"), entry("new", sch, row(i(5), i(5))),
		entry("comment", commented, one), entry("fresh", sch), entry("case", sch, one),
		root.Change{Entry: root.Entry{Kind: root.KindView, Name: "view", Body: []byte("2")}})
	ok(t, err)
	ds, err := diff.Tables(ctx, st, base.Tree(), next.Tree())
	ok(t, err)
	var got []string
	for _, d := range ds {
		got = append(got, fmt.Sprintf("%s %s %s>%s data=%v schema=%v", d.Kind, d.Name(), d.From.Name, d.To.Name, d.Data, d.Schema))
	}
	want(t, got,
		"modified case Case>case data=false schema=true",
		"modified comment comment>comment data=false schema=true",
		"modified data data>data data=true schema=false",
		"added fresh >fresh data=false schema=true",
		"dropped Gone Gone> data=true schema=true",
		"renamed new old>new data=false schema=true",
		"modified schema schema>schema data=false schema=true",
	)
	all, err := diff.Entries(ctx, st, base.Tree(), next.Tree())
	ok(t, err)
	if len(all) != len(ds)+1 || all[len(all)-1].Name() != "view" {
		t.Errorf("entries: %v", all)
	}
	same, err := diff.Tables(ctx, st, base.Tree(), base.Tree())
	ok(t, err)
	if len(same) != 0 {
		t.Errorf("a root differs from itself: %v", same)
	}
}

func TestSchemas(t *testing.T) {
	id, a, b := column("id", value.KindInt64, null), column("a", value.KindInt64, null), column("b", value.KindVarchar, null)
	from := keyed(id, a, b)
	from.Indexes = []schema.Index{{Name: "ia", Columns: []schema.IndexColumn{{Column: a.ID}}}, {Name: "ib", Columns: []schema.IndexColumn{{Column: b.ID}}}}
	from.Checks = []schema.Check{{Name: "c", Expr: "a > 0", Enforced: true}}
	to := from.Clone()
	if c := diff.Schemas(from, to); !c.IsEmpty() {
		t.Fatalf("a schema differs from itself: %+v", c)
	}
	to.Columns[1].Name = "aa"
	to.Columns[2].Nullable = false
	to.Columns = append(to.Columns, column("c", value.KindInt64, null))
	to.Indexes = []schema.Index{{Name: "IA", Columns: from.Indexes[0].Columns}, {Name: "ic", Columns: from.Indexes[1].Columns}}
	to.Checks[0].Expr = "aa > 1"
	got := fmt.Sprintf("%+v", diff.Schemas(from, to))
	const expect = "{Columns:[{From:1 To:1 Renamed:true Changed:false} {From:2 To:2 Renamed:false Changed:true} {From:-1 To:3 Renamed:false Changed:false}] " +
		"Indexes:[{From:-1 To:1 Renamed:false Changed:false} {From:1 To:-1 Renamed:false Changed:false}] " +
		"Checks:[{From:0 To:0 Renamed:false Changed:true}] Key:false Order:false Collation:false Comment:false}"
	if got != expect {
		t.Errorf("got\n%s\nwant\n%s", got, expect)
	}
	to = from.Clone()
	to.Columns = to.Columns[:2]
	to.PrimaryKey = nil
	to.Columns[0], to.Columns[1] = to.Columns[1], to.Columns[0]
	to.Indexes = to.Indexes[:1]
	c := diff.Schemas(from, to)
	if !c.Key || !c.Order || len(c.Columns) != 1 || c.Columns[0].Type() != diff.Removed || len(c.Indexes) != 1 || c.Indexes[0].Type() != diff.Removed {
		t.Errorf("got %+v", c)
	}
}

func TestStat(t *testing.T) {
	ctx := t.Context()
	st := chunk.NewMem()
	id, v := column("id", value.KindInt64, null), column("v", value.KindInt64, null)
	a := build(t, st, keyed(id, v), row(i(1), i(1)), row(i(2), i(2)), row(i(3), i(3)))
	b := build(t, st, keyed(id, v, column("w", value.KindInt64, null)), row(i(1), i(1), null), row(i(2), i(5), i(6)), row(i(4), null, null), row(i(5), null, null))
	p, err := diff.NewPair(st, a, b)
	ok(t, err)
	got, err := p.Stat(ctx)
	ok(t, err)
	expect := diff.Stat{
		RowsUnmodified: 1, RowsAdded: 2, RowsRemoved: 1, RowsModified: 1,
		CellsAdded: 2*3 + 2, CellsRemoved: 2, CellsModified: 1, OldRows: 3, NewRows: 4, OldCells: 6, NewCells: 12,
	}
	if got != expect {
		t.Errorf("got  %+v\nwant %+v", got, expect)
	}
	if p, err = diff.NewPair(st, nil, b); err == nil {
		got, err = p.Stat(ctx)
	}
	ok(t, err)
	if (got != diff.Stat{RowsAdded: 4, CellsAdded: 12, NewRows: 4, NewCells: 12}) {
		t.Errorf("of a new table: %+v", got)
	}
}
