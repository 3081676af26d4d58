package table_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

func plain(id int64, mail string, age int64) []value.Cell {
	m := value.Null
	if mail != "" {
		m = value.BytesCell([]byte(mail))
	}
	return []value.Cell{value.IntCell(id), m, value.IntCell(age), value.Null}
}

// plainTable is a table of the sample "plain" with rows, folded.
func plainTable(t *testing.T, st chunk.Store, rows ...[]value.Cell) *table.View {
	t.Helper()
	e := table.NewEditor(st, table.NewView(st, table.Empty(newSchema(t, 0, samples["plain"])), nil))
	for _, r := range rows {
		must(t, e.Insert(ctx, r))
	}
	tab, err := e.View().Fold(ctx, st)
	must(t, err)
	return table.NewView(st, tab, nil)
}

func update(t *testing.T, e *table.Editor, row []value.Cell) {
	t.Helper()
	ok, err := e.Update(ctx, row, row)
	must(t, err)
	if !ok {
		t.Fatal("no such row")
	}
}

func ids(t *testing.T, v *table.View) (out []int64) {
	t.Helper()
	scan := v.Scan(table.ScanOptions{Rows: table.RowsTree})
	cells := make([]value.Cell, len(v.Layout(table.RowsTree).Phys))
	for {
		b, ok, err := scan.Next(ctx)
		must(t, err)
		if !ok {
			return out
		}
		if b.Page == nil {
			must(t, value.DecodeTuple(b.Row, v.Layout(table.RowsTree).Phys, cells))
			out = append(out, cells[0].Int())
		}
		for i := b.Lo; i < b.Hi; i++ {
			c, err := b.Page.Cell(ctx, 0, i)
			must(t, err)
			out = append(out, c.Int())
		}
	}
}

// TestResidueOfUndoneInsert deletes, while an overlay is folded, all that it inserted: what the fold holds must go again.
func TestResidueOfUndoneInsert(t *testing.T) {
	st := chunk.NewMem()
	v := plainTable(t, st)
	e := table.NewEditor(st, v)
	must(t, e.Insert(ctx, plain(1, "a", 1)))
	then := e.Freeze()
	sealed, err := then.Fold(ctx, st)
	must(t, err)
	if _, err := e.Delete(ctx, plain(1, "", 0)); err != nil {
		t.Fatal(err)
	}
	rest, err := table.Residue(ctx, st, sealed, then.Overlay(), e.View().Overlay())
	must(t, err)
	if got := ids(t, table.NewView(st, sealed, rest)); len(got) != 0 {
		t.Fatalf("rows %v, want none", got)
	}
	if rest, err := table.Residue(ctx, st, sealed, then.Overlay(), then.Overlay()); err != nil || rest != nil {
		t.Fatalf("the residue of nothing: %v, %v", rest, err)
	}
}

// TestRebaseMovesUniqueValues commits a transaction whose rows handed a unique value on from one to another.
func TestRebaseMovesUniqueValues(t *testing.T) {
	st := chunk.NewMem()
	v := plainTable(t, st, plain(1, "a", 1), plain(2, "b", 1), plain(3, "c", 1))
	mine, theirs := table.NewEditor(st, v), table.NewEditor(st, v)
	update(t, theirs, plain(3, "c", 2))
	update(t, mine, plain(1, "z", 1))
	update(t, mine, plain(2, "a", 1))
	update(t, mine, plain(1, "b", 1))
	over, _, err := mine.Changes().Rebase(ctx, st, theirs.View())
	must(t, err)
	now := table.NewView(st, v.Table, over)
	cells := make([]value.Cell, 4)
	for id, want := range map[int64]string{1: "b", 2: "a", 3: "c"} {
		if _, err := now.Get(ctx, v.Schema().Primary.AppendKey(nil, plain(id, "", 0)), cells); err != nil || string(cells[1].Bytes()) != want {
			t.Errorf("row %d has %s (%v), want %s", id, cells[1].Bytes(), err, want)
		}
	}
}

// TestRebaseOfDependentColumns refuses to merge columns of a row where one may follow from others.
func TestRebaseOfDependentColumns(t *testing.T) {
	for name, change := range map[string]func(*schema.Schema){
		"check":     func(s *schema.Schema) { s.Checks = []schema.Check{{Name: "c", Expr: "(age > id)", Enforced: true}} },
		"generated": func(s *schema.Schema) { s.Columns[3].Generated, s.Columns[3].Stored = "(concat(mail, age))", true },
	} {
		t.Run(name, func(t *testing.T) {
			st := chunk.NewMem()
			raw := newSchema(t, 0, samples["plain"]).Schema.Clone()
			change(raw)
			s, err := schema.Compile(raw)
			must(t, err)
			e := table.NewEditor(st, table.NewView(st, table.Empty(s), nil))
			must(t, e.Insert(ctx, plain(1, "a", 1)))
			v := e.Freeze()
			mine, theirs := table.NewEditor(st, v), table.NewEditor(st, v)
			update(t, theirs, plain(1, "b", 1))
			update(t, mine, plain(1, "a", 2))
			if _, _, err := mine.Changes().Rebase(ctx, st, theirs.View()); !errs.Is(err, errs.Conflict) {
				t.Fatalf("rebase: %v, want a conflict", err)
			}
		})
	}
}

// TestEditorBytes counts the edits of the transaction, not those that it found.
func TestEditorBytes(t *testing.T) {
	st := chunk.NewMem()
	e := table.NewEditor(st, plainTable(t, st))
	for i := range int64(100) {
		must(t, e.Insert(ctx, plain(i, "", i)))
	}
	big := e.Bytes()
	if big < 100*8 {
		t.Fatalf("100 rows take %d bytes", big)
	}
	next := table.NewEditor(st, e.View())
	if n := next.Bytes(); n != 0 {
		t.Fatalf("an editor without edits has %d bytes", n)
	}
	m := next.Mark()
	must(t, next.Insert(ctx, plain(1000, "", 1)))
	if n := next.Bytes(); n <= 0 || n > big/10 {
		t.Fatalf("one row takes %d bytes", n)
	}
	next.Reset(m)
	if n := next.Bytes(); n != 0 {
		t.Fatalf("%d bytes after going back", n)
	}
}

// TestOutOfLine checks where the limit of cells in line is, for every kind of place.
func TestOutOfLine(t *testing.T) {
	st := chunk.NewMem()
	s := newSchema(t, 0, "id varchar\nv varchar null\nt text null\nprimary id\nindex v v(9)\nindex whole t")
	for _, n := range []int{0, 1, table.LongLimit - 1, table.LongLimit, table.LongLimit + 1, 8000} {
		e := table.NewEditor(st, table.NewView(st, table.Empty(s), nil))
		long := []byte(strings.Repeat("y", n))
		row := []value.Cell{value.BytesCell(long), value.BytesCell(long), value.BytesCell(long)}
		must(t, e.Insert(ctx, slices.Clone(row)))
		tab, err := e.View().Fold(ctx, st)
		must(t, err)
		for _, v := range []*table.View{e.View(), table.NewView(st, tab, nil)} {
			got := make([]value.Cell, 3)
			if ok, err := v.Get(ctx, s.Primary.AppendKey(nil, row), got); err != nil || !ok {
				t.Fatalf("get: %v, %v", ok, err)
			}
			for i, c := range got {
				if want := i > 0 && n > table.LongLimit; c.IsAddr() != want {
					t.Errorf("cell %d of %d bytes: out of line %v, want %v", i, n, c.IsAddr(), want)
				}
				if c, err := table.Resolve(ctx, st, c); err != nil || !c.Equal(row[i]) {
					t.Errorf("cell %d of %d bytes does not read back: %v", i, n, err)
				}
			}
		}
	}
}

// TestEditedDocument checks that an edit of a cell out of line writes the cell and a page of few others' addresses.
func TestEditedDocument(t *testing.T) {
	const rows, edits, length = 2000, 20, 3000
	st := chunk.NewMem()
	s := newSchema(t, 0, "id int\nbody text\nprimary id")
	e := table.NewEditor(st, table.NewView(st, table.Empty(s), nil))
	document := func(i int64, edit string) []value.Cell {
		return []value.Cell{value.IntCell(i), value.BytesCell([]byte(strings.Repeat(strconv.FormatInt(i, 36)+" ", length/4) + edit))}
	}
	for i := range int64(rows) {
		must(t, e.Insert(ctx, document(i, "")))
	}
	tab, err := e.View().Fold(ctx, st)
	must(t, err)
	before := st.Size()
	for i := range int64(edits) {
		e := table.NewEditor(st, table.NewView(st, tab, nil))
		row := document(i*rows/edits+7, "edited")
		update(t, e, row)
		tab, err = e.View().Fold(ctx, st)
		must(t, err)
		before += int64(len(row[1].Bytes()))
	}
	if n := (st.Size() - before) / edits; n > 6000 {
		t.Errorf("an edit writes %d bytes of pages and nodes", n)
	}
}

// TestLongAbsent adds rows that hold a column's long absent value: they must be kept as rows that were written before the column.
func TestLongAbsent(t *testing.T) {
	st := chunk.NewMem()
	raw := newSchema(t, 512, "id int\nv text\nprimary id").Schema.Clone()
	narrow := raw.Clone()
	narrow.Columns = narrow.Columns[:1]
	raw.Columns[1].Absent = value.BytesCell([]byte(strings.Repeat("d", table.LongLimit+5)))
	wide, err := schema.Compile(raw)
	must(t, err)
	before, err := schema.Compile(narrow)
	must(t, err)
	old := &model{s: before, rows: map[string][]value.Cell{}}
	now := &model{s: wide, rows: map[string][]value.Cell{}}
	for i := range int64(50) {
		row := []value.Cell{value.IntCell(i), raw.Columns[1].Absent}
		old.rows[old.key(row[:1])], now.rows[now.key(row)] = row[:1], row
	}
	altered := &table.Table{Schema: wide, Rows: old.load(t, st).Rows}
	if got, want := altered.Hash(), now.load(t, st).Hash(); got != want {
		t.Errorf("rows from before the column give the table %s, the same rows loaded %s", got, want)
	}
}

// TestKeylessOrdinals checks the order of a table without a key: rows stand as written, and an emptied table begins anew.
func TestKeylessOrdinals(t *testing.T) {
	st := chunk.NewMem()
	s := newSchema(t, 0, "a int")
	e := table.NewEditor(st, table.NewView(st, table.Empty(s), nil))
	row := func(n, a int64) []value.Cell { return []value.Cell{value.IntCell(n), value.IntCell(a)} }
	for i := range int64(5) {
		must(t, e.Insert(ctx, row(99, 10-i)))
	}
	if got := ids(t, e.View()); !slices.Equal(got, []int64{0, 1, 2, 3, 4}) {
		t.Fatalf("ordinals %v", got)
	}
	for i := range int64(5) {
		if ok, err := e.Delete(ctx, row(i, 0)); err != nil || !ok {
			t.Fatalf("delete: %v, %v", ok, err)
		}
	}
	must(t, e.Insert(ctx, row(0, 1)))
	if got := ids(t, e.View()); !slices.Equal(got, []int64{0}) {
		t.Fatalf("ordinals of an emptied table %v", got)
	}
	m := e.Mark()
	must(t, e.Insert(ctx, row(0, 2)))
	e.Reset(m)
	must(t, e.Insert(ctx, row(0, 3)))
	if got := ids(t, e.View()); !slices.Equal(got, []int64{0, 1}) {
		t.Fatalf("ordinals after going back %v", got)
	}
}

// TestTableBytes pins the bytes of a table chunk and refuses others.
func TestTableBytes(t *testing.T) {
	st := chunk.NewMem()
	v := plainTable(t, st, plain(1, "a", 1), plain(2, "", 2))
	tab := v.Table
	data := tab.Encode()
	d, err := table.Decode(data)
	must(t, err)
	if d.Schema != tab.Schema.Hash || len(d.Trees) != 3 || d.Trees[0] != tab.Rows || d.Trees[2] != tab.Indexes[1] {
		t.Fatalf("decoded %+v", d)
	}
	h, err := tab.Put(ctx, st)
	must(t, err)
	var cache schema.Cache
	back, err := table.Open(ctx, st, &cache, h, nil)
	must(t, err)
	if back.Hash() != h || h != tab.Hash() {
		t.Fatalf("hashes %s, %s, %s", back.Hash(), h, tab.Hash())
	}
	for n := range data {
		if _, err := table.Decode(data[:n]); err == nil && n != 2+32+1 && n < len(data) {
			// A shorter list of trees is well formed; Open compares it with the schema.
			cut, err := st.Put(ctx, data[:n:n])
			must(t, err)
			if _, err := table.Open(ctx, st, &cache, cut, nil); !errs.Is(err, errs.Corrupt) {
				t.Errorf("a table of %d bytes opens: %v", n, err)
			}
		} else if err != nil && !errs.Is(err, errs.Corrupt) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// FuzzTableDecode checks that no bytes make Decode panic.
func FuzzTableDecode(f *testing.F) {
	f.Add((&table.Table{Schema: &schema.Compiled{}}).Encode())
	f.Add([]byte{7, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := table.Decode(b); err != nil && !errs.Is(err, errs.Corrupt) && !errs.Is(err, errs.TooNew) {
			t.Errorf("error %v", err)
		}
	})
}
