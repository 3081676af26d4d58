package page

import (
	"context"
	"errors"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// TestArrowRows: rows given one by one come out as those of pages do.
func TestArrowRows(t *testing.T) {
	m := arrowModel(t)
	mem := memory.NewCheckedAllocator(NewPool(1 << 20))
	defer mem.AssertSize(t, 0)
	var cols []RowColumn
	for _, c := range m.f.layout.Columns {
		cols = append(cols, RowColumn{Name: "c", Type: c.Type, Nullable: true})
	}
	b := NewRowBatcher(mem, cols, 0, nil)
	for range 2 {
		for _, r := range m.rows {
			if err := b.AppendRow(context.Background(), r.cells); err != nil {
				t.Fatal(err)
			}
		}
		checkRecord(t, m, b, m.rows)
	}
	st := chunk.NewMem()
	p := m.open(t, st, m.build(t, st, m.rows))
	mixed, err := m.f.NewBatcher(mem, allColumns(m.f), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range m.rows[:5] {
		if err := mixed.AppendRow(context.Background(), r.cells); err != nil {
			t.Fatal(err)
		}
	}
	if err := mixed.Append(context.Background(), p, 5, 40); err != nil {
		t.Fatal(err)
	}
	checkRecord(t, m, mixed, m.rows)
}

// TestArrowBoolean: BOOLEAN is bits, and a number that is no truth value is an error that says where it is.
func TestArrowBoolean(t *testing.T) {
	truth := value.Type{Kind: value.KindInt8, Precision: 1}
	m := &model{f: newFormat(t, Layout{Columns: []Column{{ID: 1, Type: value.Type{Kind: value.KindInt64}}, {ID: 2, Type: truth}}, Key: []KeyColumn{{Column: 0}}})}
	for i := range 20 {
		cell := value.IntCell(int64(i & 1))
		if i == 3 {
			cell = value.Null
		}
		m.rows = append(m.rows, m.row([]value.Cell{value.IntCell(int64(i)), cell}))
	}
	st := chunk.NewMem()
	p := m.open(t, st, m.build(t, st, m.rows))
	b, err := m.f.NewBatcher(NewPool(0), allColumns(m.f)[1:], 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Append(context.Background(), p, 0, 20); err != nil {
		t.Fatal(err)
	}
	rec := b.Record()
	defer rec.Release()
	a := rec.Column(0).(*array.Boolean)
	for i := range 20 {
		if a.IsNull(i) != (i == 3) || !a.IsNull(i) && a.Value(i) != (i&1 == 1) {
			t.Errorf("row %d: %v", i, a.ValueStr(i))
		}
	}
	bad := []value.Cell{value.IntCell(2)}
	good := []value.Cell{value.IntCell(1)}
	var at *CellError
	if err := errors.Join(b.AppendRow(context.Background(), good), b.AppendRow(context.Background(), bad)); !errors.As(err, &at) || at.Row != 1 || at.Column != 0 || !errs.Is(at, errs.Invalid) {
		t.Errorf("%v", err)
	}
	n := NewRowBatcher(NewPool(0), []RowColumn{{Name: "b", Type: truth, Integer: true}}, 0, nil)
	if err := n.AppendRow(context.Background(), bad); err != nil {
		t.Fatal(err)
	}
	if r := n.Record(); r.Column(0).(*array.Int8).Value(0) != 2 {
		t.Error(r)
	}
}

// TestArrowHasNoZeroDates: a date 0000-00-00 is an error, not a date of another millennium.
func TestArrowHasNoZeroDates(t *testing.T) {
	for kind, v := range map[value.Kind]int64{value.KindDate: value.ZeroDate, value.KindDatetime: value.ZeroDatetime, value.KindTimestamp: value.ZeroDatetime} {
		m := &model{f: newFormat(t, Layout{Columns: []Column{{ID: 1, Type: value.Type{Kind: kind}}}, Key: []KeyColumn{{Column: 0}}})}
		m.rows = []modelRow{m.row([]value.Cell{value.IntCell(v)}), m.row([]value.Cell{value.IntCell(7)})}
		st := chunk.NewMem()
		p := m.open(t, st, m.build(t, st, m.rows))
		b, err := m.f.NewBatcher(NewPool(0), allColumns(m.f), 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		var at *CellError
		if err := b.Append(context.Background(), p, 0, 2); !errors.As(err, &at) || at.Row != 0 || !errs.Is(at, errs.Invalid) {
			t.Errorf("kind %d: %v", kind, err)
		}
		if err := b.Append(context.Background(), p, 1, 2); err != nil || b.Len() != 1 {
			t.Errorf("kind %d: %v, %d rows", kind, err, b.Len())
		}
	}
}

// TestArrowEnum: an ENUM is a dictionary of its values; the value ” of errors joins it in the batches that have it.
func TestArrowEnum(t *testing.T) {
	e := value.Type{Kind: value.KindEnum, Values: []string{"red", "green"}}
	b := NewRowBatcher(NewPool(0), []RowColumn{{Name: "e", Type: e, Nullable: true}}, 0, nil)
	for round, want := range []string{`["red" "green"]`, `["red" "green" ""]`, `["red" "green"]`} {
		for i := range 3 {
			cell := value.IntCell(int64(i))
			if i == 0 && round != 1 {
				cell = value.Null
			}
			if err := b.AppendRow(context.Background(), []value.Cell{cell}); err != nil {
				t.Fatal(err)
			}
		}
		rec := b.Record()
		a := rec.Column(0).(*array.Dictionary)
		if got := a.Dictionary().String(); got != want || a.ValueStr(1) != "red" || a.ValueStr(2) != "green" || round == 1 && a.ValueStr(0) != "" || !arrow.TypeEqual(a.DataType(), ArrowType(e)) {
			t.Errorf("round %d: %s %v", round, got, a)
		}
		rec.Release()
	}
}
