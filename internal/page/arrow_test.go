package page

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// arrowRows are rows of every type, NULLs and absent columns among them.
func arrowModel(t fataler) *model {
	types := []value.Type{
		{Kind: value.KindInt64}, {Kind: value.KindInt8}, {Kind: value.KindInt16}, {Kind: value.KindInt24}, {Kind: value.KindInt32},
		{Kind: value.KindUint8}, {Kind: value.KindUint16}, {Kind: value.KindUint24}, {Kind: value.KindUint32}, {Kind: value.KindUint64},
		{Kind: value.KindFloat32}, {Kind: value.KindFloat64}, {Kind: value.KindFloat64},
		{Kind: value.KindDecimal, Precision: 10, Scale: 2}, {Kind: value.KindDecimal, Precision: 30, Scale: 4}, {Kind: value.KindDecimal, Precision: 60, Scale: 0},
		{Kind: value.KindBit, Length: 9}, {Kind: value.KindYear}, {Kind: value.KindDate}, {Kind: value.KindTime}, {Kind: value.KindDatetime}, {Kind: value.KindTimestamp},
		{Kind: value.KindEnum, Values: []string{"red", "green"}}, {Kind: value.KindSet, Values: []string{"x", "y"}},
		{Kind: value.KindChar, Length: 9, Collation: value.CollationUtf8mb40900Bin}, {Kind: value.KindText, Length: 65535, Collation: value.CollationUtf8mb40900Bin},
		{Kind: value.KindText, Length: 4294967295, Collation: value.CollationUtf8mb40900Bin}, {Kind: value.KindBinary, Length: 3}, {Kind: value.KindBlob, Length: 4294967295},
		{Kind: value.KindJSON}, {Kind: value.KindGeometry}, {Kind: value.KindVector, Length: 2},
	}
	l := Layout{Key: []KeyColumn{{Column: 0}}}
	for i, ty := range types {
		l.Columns = append(l.Columns, Column{ID: uint64(i), Type: ty})
	}
	m := &model{f: newFormat(t, l)}
	for i := range 40 {
		cells := make([]value.Cell, len(types))
		for k, ty := range types {
			cells[k] = arrowCell(t, ty, i+k)
			if k > 0 && (i+k)%7 == 0 || k == 12 {
				cells[k] = value.Null
			}
		}
		cells[0] = value.IntCell(int64(i))
		m.rows = append(m.rows, m.row(cells))
	}
	return m
}

func arrowCell(t fataler, ty value.Type, i int) value.Cell {
	switch ty.Kind {
	case value.KindFloat64:
		return value.FloatCell(float64(i) / 4)
	case value.KindFloat32:
		return value.Float32Cell(float32(i) / 4)
	case value.KindUint64, value.KindBit, value.KindSet:
		return value.IntCell(int64(i%4) ^ math.MinInt64)
	case value.KindEnum:
		return value.IntCell(int64(i % 3))
	case value.KindDecimal:
		c, err := value.DecimalFromInt(ty, int64(i-20))
		if err != nil {
			t.Fatalf("%v", err)
		}
		return c
	case value.KindVector:
		return value.BytesCell([]byte{0, 0, 0x80, 0x3f, byte(i), 0, 0, 0})
	}
	if ty.Phys() == value.Bytes {
		return value.BytesCell(fmt.Appendf(nil, "%d%s", i, bytes.Repeat([]byte("-long"), i%9)))
	}
	return value.IntCell(int64(i))
}

// text is what Arrow should say of a cell.
func arrowText(ty value.Type, c value.Cell) string {
	switch ty.Kind {
	case value.KindVector:
		return fmt.Sprintf("[1,%v]", math.Float32frombits(uint32(c.Bytes()[4])))
	case value.KindDate:
		return arrow.Date32(c.Int()).FormattedString()
	case value.KindTime:
		return fmt.Sprintf("%dus", c.Int())
	case value.KindDatetime:
		return arrow.Timestamp(c.Int()).ToTime(arrow.Microsecond).Format("2006-01-02T15:04:05.999999999")
	case value.KindTimestamp:
		return arrow.Timestamp(c.Int()).ToTime(arrow.Microsecond).Format("2006-01-02T15:04:05.999999999Z")
	case value.KindBit:
		return fmt.Sprint(uint64(c.Int()) ^ 1<<63)
	case value.KindYear:
		return fmt.Sprint(c.Int())
	case value.KindDecimal:
		return string(value.AppendDecimal(nil, ty, c))
	case value.KindJSON:
		return string(c.Bytes())
	}
	return string(value.AppendText(nil, ty, c))
}

func allColumns(f *Format) []BatchColumn {
	var cols []BatchColumn
	for k := range f.cols {
		cols = append(cols, BatchColumn{Column: k, Name: fmt.Sprint("c", k), Nullable: true})
	}
	return cols
}

func TestArrowTypes(t *testing.T) {
	m := arrowModel(t)
	st := chunk.NewMem()
	p := m.open(t, st, m.build(t, st, m.rows))
	mem := memory.NewCheckedAllocator(NewPool(1 << 20))
	defer mem.AssertSize(t, 0)
	b, err := m.f.NewBatcher(mem, allColumns(m.f), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	ranges := [][2]int{{0, 1}, {7, 30}, {0, 40}, {39, 40}, {5, 5}}
	for round := range 2 {
		var rows []modelRow
		for _, r := range ranges[round:] {
			if err := b.Append(ctx, p, r[0], r[1]); err != nil {
				t.Fatal(err)
			}
			rows = append(rows, m.rows[r[0]:r[1]]...)
		}
		checkRecord(t, m, b, rows)
	}
	if b.Schema().NumFields() != len(m.f.cols) || b.Size() != 0 {
		t.Errorf("%d fields, %d bytes", b.Schema().NumFields(), b.Size())
	}
	checkRecord(t, m, b, nil)
	if err := b.Append(ctx, p, 0, 9); err != nil {
		t.Fatal(err)
	}
	if b.Size() == 0 {
		t.Error("no strings gathered")
	}
	b.Release()
}

func TestArrowNeedsResolver(t *testing.T) {
	m := &model{f: newFormat(t, Layout{Columns: []Column{{ID: 1, Type: textType}}})}
	st := chunk.NewMem()
	p := m.open(t, st, m.build(t, st, []modelRow{m.row([]value.Cell{addr(1)})}))
	b, err := m.f.NewBatcher(NewPool(0), allColumns(m.f), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Append(context.Background(), p, 0, 1); !errs.Is(err, errs.Unsupported) || b.Len() != 0 {
		t.Errorf("%v, %d rows", err, b.Len())
	}
}

func checkRecord(t fataler, m *model, b *Batcher, rows []modelRow) {
	t.Helper()
	if b.Len() != len(rows) {
		t.Fatalf("%d rows, want %d", b.Len(), len(rows))
	}
	rec := b.Record()
	defer rec.Release()
	for k, c := range m.f.layout.Columns {
		a := rec.Column(k)
		if a.Len() != len(rows) {
			t.Fatalf("column %d: %d rows, want %d", k, a.Len(), len(rows))
		}
		for i, r := range rows {
			cell := r.cells[k]
			if a.IsNull(i) != cell.IsNull() {
				t.Fatalf("column %d row %d: null %v", k, i, a.IsNull(i))
			}
			if cell.IsNull() {
				continue
			}
			got := a.ValueStr(i)
			switch a := a.(type) {
			case *array.Binary:
				got = string(a.Value(i))
			case *array.LargeBinary:
				got = string(a.Value(i))
			case *array.Decimal128:
				got = a.Value(i).ToString(int32(c.Type.Scale))
			case *array.Decimal256:
				got = a.Value(i).ToString(int32(c.Type.Scale))
			case *array.Int8: // the model has cells beyond the type
				cell = value.IntCell(int64(int8(cell.Int())))
			case *array.Float64:
				if math.Float64bits(a.Value(i)) != cell.Bits() {
					t.Fatalf("column %d row %d: %v, want %v", k, i, a.Value(i), cell.Float())
				}
				continue
			case *array.Float32:
				if math.Float32bits(a.Value(i)) != uint32(cell.Bits()) {
					t.Fatalf("column %d row %d: %v, want %v", k, i, a.Value(i), cell.Float32())
				}
				continue
			}
			if want := arrowText(c.Type, cell); got != want {
				t.Fatalf("column %d (%v) row %d: %q, want %q", k, a.DataType(), i, got, want)
			}
		}
	}
}

func TestArrowModel(t *testing.T) {
	pool := NewPool(1 << 20)
	rapid.Check(t, func(r *rapid.T) {
		m, _ := genModel(r, r, 40)
		st := chunk.NewMem()
		p := m.open(r, st, m.build(r, st, m.rows))
		b, err := m.f.NewBatcher(pool, allColumns(m.f), rapid.IntRange(0, 100).Draw(r, "rows"), func(_ context.Context, dst, addr []byte) ([]byte, error) { return append(dst, addr...), nil })
		if err != nil {
			r.Fatal(err)
		}
		var rows []modelRow
		for range 4 {
			lo := rapid.IntRange(0, p.n).Draw(r, "lo")
			hi := rapid.IntRange(lo, p.n).Draw(r, "hi")
			if err := b.Append(context.Background(), p, lo, hi); err != nil {
				r.Fatal(err)
			}
			rows = append(rows, m.rows[lo:hi]...)
		}
		checkRecord(r, m, b, rows)
	})
}

func BenchmarkScan(b *testing.B) {
	m := prices(b, 20000)
	st := chunk.NewMem()
	pages, _ := m.pages(b, st)
	bt, err := m.f.NewBatcher(NewPool(1<<26), allColumns(m.f), 20000, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range pages {
			if err := bt.Append(context.Background(), p, 0, p.n); err != nil {
				b.Fatal(err)
			}
		}
		bt.Record().Release()
	}
	rate(b, len(m.rows))
}
