package diff_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

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
