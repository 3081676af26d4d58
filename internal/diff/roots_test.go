package diff_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

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
		"Checks:[{From:0 To:0 Renamed:false Changed:true}] References:[] Key:false Order:false Collation:false Comment:false}"
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
