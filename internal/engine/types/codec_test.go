package types

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	gms "github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/sqltypes"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

func TestConversionIsTheEngines(t *testing.T) {
	ctx := sql.NewEmptyContext()
	for _, x := range []struct {
		typ      sql.Type
		in, want any // no want: an error
	}{
		{gms.Int8, int64(5), int8(5)},
		{gms.Int8, int64(128), nil},
		{gms.Int64, 1.5, int64(2)}, // an INSERT rounds
		{gms.Uint64, int64(-1), nil},
		{gms.Uint64, "18446744073709551615", uint64(math.MaxUint64)},
		{gms.Int24, int32(1 << 23), nil},
		{gms.MustCreateColumnDecimalType(5, 2), dec("1.005"), dec("1.01")},
		{gms.MustCreateColumnDecimalType(5, 2), dec("-0.001"), dec("0.00")},
		{gms.MustCreateColumnDecimalType(5, 2), dec("1e2"), dec("100.00")},
		{gms.MustCreateColumnDecimalType(5, 2), dec("1000"), nil},
		{gms.MustCreateColumnDecimalType(30, 2), dec("12345678901234567890.125"), dec("12345678901234567890.13")},
		{gms.MustCreateColumnDecimalType(5, 2), &apd.Decimal{Form: apd.NaN}, nil},
		{gms.Datetime, time.Date(2024, 1, 1, 0, 0, 0, 600_000_000, time.UTC), time.Date(2024, 1, 1, 0, 0, 1, 0, time.UTC)},
		{gms.Datetime, time.Date(2024, 1, 1, 3, 0, 0, 0, time.FixedZone("", 3600)), time.Date(2024, 1, 1, 2, 0, 0, 0, time.UTC)},
		{gms.Date, time.Date(2024, 1, 1, 23, 0, 0, 0, time.UTC), date(2024, 1, 1)},
		{gms.Date, "0000-00-00", gms.ZeroTime},
		{gms.Date, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), nil},
		{gms.Timestamp, time.Date(2039, 1, 1, 0, 0, 0, 0, time.UTC), nil},
		{gms.Time, "-00:00:01.5", gms.Timespan(-1_500_000)},
		{gms.Year, "2000", int16(2000)},
		{gms.MustCreateBitType(2), uint64(4), nil},
		{gms.MustCreateEnumType([]string{"a", "b"}, sql.Collation_Default), "b", uint16(2)},
		{gms.MustCreateEnumType([]string{"a", "b"}, sql.Collation_Default), "c", nil},
		{gms.MustCreateSetType([]string{"a", "b"}, sql.Collation_Default), "b,a", uint64(3)},
		{gms.MustCreateString(sqltypes.VarChar, 3, sql.Collation_Default), "abcd", "abcd"}, // lengths are checked by those who convert
		{gms.Text, []byte("a"), "a"},
		{gms.Text, &LongText{long{from: fetchFunc(func(context.Context, []byte) ([]byte, error) { return []byte("far"), nil })}}, "far"},
		{gms.Blob, "a", []byte("a")},
		{gms.MustCreateBinary(sqltypes.Binary, 3), []byte("a"), []byte("a\x00\x00")},
		{gms.JSON, int8(5), gms.JSONDocument{Val: int64(5)}},
		{gms.JSON, "{", nil},
		{gms.JSON, gms.JSONDocument{Val: math.NaN()}, nil},
		{gms.PointType{}, "no geometry", nil},
	} {
		c := mustCodec(t, x.typ)
		cell, err := c.ToCell(ctx, x.in)
		if x.want == nil {
			if err == nil {
				t.Errorf("%s: ToCell(%v) is not refused", x.typ, x.in)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: ToCell(%v): %v", x.typ, x.in, err)
			continue
		}
		got, err := c.FromCell(cell)
		if err == nil {
			err = same(ctx, x.typ, x.want, got)
		}
		if err != nil {
			t.Errorf("%s: ToCell(%v): %v", x.typ, x.in, err)
		}
	}
}

// The zero date comes before the first day of year 0, which is a day like others.
func TestFirstDayOfYearZero(t *testing.T) {
	ctx := context.Background()
	for _, typ := range []sql.Type{gms.Date, gms.DatetimeMaxPrecision} {
		c := mustCodec(t, typ)
		first, err := c.ToCell(ctx, date(0, 1, 1))
		if err != nil {
			t.Fatalf("%s: %v", typ, err)
		}
		zero, err := c.ToCell(ctx, gms.ZeroTime)
		if err != nil || zero.Int() >= first.Int() {
			t.Errorf("%s: the zero date is %d, 0000-01-01 is %d (%v)", typ, zero.Int(), first.Int(), err)
		}
		if got, err := c.FromCell(zero); err != nil || !got.(time.Time).Equal(gms.ZeroTime) {
			t.Errorf("%s: the zero date comes back as %v (%v)", typ, got, err)
		}
		if _, err := c.FromCell(value.IntCell(first.Int() - 1)); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%s: a day between them: %v", typ, err)
		}
	}
}

func TestJSONKeepsWhatAFloatCannot(t *testing.T) {
	ctx := sql.NewEmptyContext()
	c := mustCodec(t, gms.JSON)
	for _, x := range []struct {
		in   any
		text string
		want any
	}{
		{gms.JSONDocument{Val: int64(9007199254740993)}, `9007199254740993`, int64(9007199254740993)},
		{gms.JSONDocument{Val: uint64(math.MaxUint64)}, `18446744073709551615`, uint64(math.MaxUint64)},
		{gms.JSONDocument{Val: int64(3)}, `3`, 3.0},
		{gms.JSONDocument{Val: dec("1.50")}, `1.5`, 1.5},
		{gms.NewLazyJSONDocument([]byte(` {"b" : 1.0, "a":[ ]} `)), `{"a": [], "b": 1.0}`, map[string]any{"a": []any{}, "b": 1.0}},
		{gms.NewLazyJSONDocument([]byte(`"\ud800"`)), "\"\ufffd\"", "\ufffd"},
		{gms.MustJSON(`{"<": "&"}`), `{"<": "&"}`, map[string]any{"<": "&"}},
	} {
		cell, err := c.ToCell(ctx, x.in)
		if err != nil {
			t.Errorf("%v: %v", x.in, err)
			continue
		}
		v, err := c.FromCell(cell)
		if err != nil {
			t.Errorf("%v: %v", x.in, err)
			continue
		}
		j := v.(*JSON)
		if j.String() != x.text {
			t.Errorf("%v is shown as %s, want %s", x.in, j, x.text)
		}
		got, err := j.ToInterface(ctx)
		if cmp, _ := gms.CompareJSON(ctx, got, x.want); err != nil || cmp != 0 {
			t.Errorf("%v came back as %v %v, want %v", x.in, got, err, x.want)
		}
		if _, isInt := x.want.(int64); isInt && got != x.want {
			t.Errorf("%v came back as %T %v", x.in, got, got)
		}
	}
}

func TestJSONClonesShareNothing(t *testing.T) {
	ctx := context.Background()
	j := NewJSON([]byte(`[1,2]`))
	a, _ := j.ToInterface(ctx)
	b, _ := j.Clone(ctx).ToInterface(ctx)
	b.([]any)[0] = "changed"
	if a.([]any)[0] != 1.0 {
		t.Error("a clone's change is seen in the original")
	}
}

// fetchFunc is a function as a Fetcher.
type fetchFunc func(ctx context.Context, addr []byte) ([]byte, error)

func (f fetchFunc) Fetch(ctx context.Context, addr []byte) ([]byte, error) { return f(ctx, addr) }

func addr(b byte, n uint64) []byte {
	a := make([]byte, value.AddrSize)
	a[0] = b
	for i := range 8 {
		a[len(a)-8+i] = byte(n >> (8 * i))
	}
	return a
}

func TestOutOfLine(t *testing.T) {
	ctx := sql.NewEmptyContext()
	reads := 0
	var fail error
	stored := map[byte]string{1: "text", 2: `{"a":1}`, 3: string(gms.Point{X: 1, Y: 2}.Serialize())}
	fetch := func(_ context.Context, addr []byte) ([]byte, error) {
		reads++
		return []byte(stored[addr[0]]), fail
	}
	from := func(typ sql.Type, a []byte) any {
		t.Helper()
		v, err := mustCodec(t, typ).FromLong(ctx, value.AddrCell(a), fetchFunc(fetch))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	lt := from(gms.LongText, addr(1, 4)).(*LongText)
	lb := from(gms.LongBlob, addr(1, 4)).(*LongBytes)
	j := from(gms.JSON, addr(2, 7)).(*JSON)
	if reads != 0 {
		t.Errorf("%d reads before anything is asked for", reads)
	}
	if lt.MaxByteLength() != 4 || !lt.IsExactLength() || lt.Hash() != lb.Hash() {
		t.Error("length or hash of a value out of line")
	}
	if cmp, ok, err := lt.Compare(ctx, from(gms.LongText, addr(1, 4))); cmp != 0 || !ok || err != nil || reads != 0 {
		t.Error("equal addresses are not seen to be equal")
	}
	if _, ok, _ := lt.Compare(ctx, from(gms.LongText, addr(9, 4))); ok {
		t.Error("other addresses are compared")
	}
	fail = errors.New("disk")
	if _, err := lt.Unwrap(ctx); err == nil {
		t.Error("a failed read is silent")
	}
	fail = nil
	for range 2 {
		if s, err := lt.Unwrap(ctx); s != "text" || err != nil {
			t.Errorf("%q %v", s, err)
		}
		if b, err := lb.Unwrap(ctx); string(b) != "text" || err != nil {
			t.Errorf("%q %v", b, err)
		}
		if j.String() != `{"a": 1}` {
			t.Error(j)
		}
	}
	if reads != 4 {
		t.Errorf("%d reads, want 4: one failed, one for each value", reads)
	}
	if p := from(gms.PointType{}, addr(3, 25)); p != (gms.Point{X: 1, Y: 2}) {
		t.Error(p)
	}
	if cell, err := mustCodec(t, gms.JSON).ToCell(ctx, j); err != nil || string(cell.Bytes()) != `{"a":1}` {
		t.Error(cell, err)
	}
	if _, err := mustCodec(t, gms.Text).FromCell(value.AddrCell(addr(1, 4))); err == nil {
		t.Error("an address is taken for a value")
	}
}

func TestRowCodec(t *testing.T) {
	ctx := sql.NewEmptyContext()
	codecs := []*Codec{mustCodec(t, gms.Int32), mustCodec(t, gms.Text), mustCodec(t, gms.Float64)}
	phys := []value.Phys{value.Int64, value.Int64, value.Float64} // a hidden ordinal, then columns 0 and 2
	r, err := NewRowCodec(phys, codecs, []int{1, -1, 2})
	if err != nil {
		t.Fatal(err)
	}
	cells := make([]value.Cell, r.Cells())
	cells[0] = value.IntCell(7)
	tuple, err := r.RowToTuple(ctx, nil, sql.Row{int32(1), "virtual", 2.5}, cells)
	if err != nil {
		t.Fatal(err)
	}
	row := make(sql.Row, r.Width())
	row[1] = "left over"
	if err := r.TupleToRow(tuple, cells, row); err != nil || row[0] != int32(1) || row[1] != nil || row[2] != 2.5 || cells[0].Int() != 7 {
		t.Errorf("%v %v %v", row, cells, err)
	}
	if _, err := r.RowToTuple(ctx, nil, sql.Row{int32(1)}, cells); err == nil {
		t.Error("a short row is stored")
	}
	if _, err := r.RowToTuple(ctx, nil, sql.Row{"no number", nil, nil}, cells); err == nil {
		t.Error("a bad value is stored")
	}
	if err := r.TupleToRow(tuple[:len(tuple)-1], cells, row); !errs.Is(err, errs.Corrupt) {
		t.Errorf("a cut tuple: %v", err)
	}
	for _, bad := range [][]int{{2, -1, 2}, {1, -1, 3}} {
		if _, err := NewRowCodec(phys, codecs, bad); err == nil {
			t.Errorf("cells %v are taken", bad)
		}
	}
	text, err := NewRowCodec([]value.Phys{value.Bytes}, codecs[1:2], []int{0})
	if err != nil {
		t.Fatal(err)
	}
	far := []value.Cell{value.AddrCell(addr(1, 4))}
	if err := text.OutOfLine(far, func([]byte) ([]byte, error) { return []byte("far"), nil }); err != nil {
		t.Fatal(err)
	}
	if err := text.ToRow(far, row[:1]); err != nil || row[0] != "far" {
		t.Errorf("%v %v", row, err)
	}
}

func FuzzFromCell(f *testing.F) {
	codecs := []*Codec{}
	for _, s := range samples() {
		codecs = append(codecs, mustCodec(f, s.typ))
	}
	for _, g := range geometries() {
		f.Add(g.(gms.GeometryValue).Serialize())
	}
	f.Add([]byte(`{"a":[1,2.5,"x"]}`))
	f.Add([]byte(strings.Repeat("[", 200)))
	f.Add([]byte("\x00\x00\x00\x00\x01\x02\x00\x00\x00\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var n int64
		for i, x := range b {
			n ^= int64(x) << (8 * (i % 8))
		}
		for _, c := range codecs {
			cell := value.BytesCell(b)
			if c.phys != value.Bytes {
				cell = value.IntCell(n)
			}
			v, err := c.FromCell(cell)
			if err != nil {
				if !errs.Is(err, errs.Corrupt) {
					t.Errorf("%s: %v", c.Type, err)
				}
				continue
			}
			if j, ok := v.(*JSON); ok {
				if _, err := j.ToInterface(context.Background()); err != nil {
					continue
				}
			}
			if g, ok := v.(gms.GeometryValue); ok {
				back, err := c.FromCell(value.BytesCell(g.Serialize()))
				if err != nil || back.(gms.GeometryValue).GetSRID() != g.GetSRID() {
					t.Errorf("a geometry that was read cannot be read again: %v", err)
				}
			}
		}
	})
}

func BenchmarkRows(b *testing.B) {
	codecs := []*Codec{mustCodec(b, gms.Int64), mustCodec(b, gms.Int32), mustCodec(b, gms.Float64),
		mustCodec(b, gms.MustCreateString(sqltypes.VarChar, 50, sql.Collation_Default)), mustCodec(b, gms.MustCreateColumnDecimalType(12, 2)),
		mustCodec(b, gms.DatetimeMaxPrecision)}
	var phys []value.Phys
	var at []int
	for i, c := range codecs {
		phys, at = append(phys, c.phys), append(at, i)
	}
	r, err := NewRowCodec(phys, codecs, at)
	if err != nil {
		b.Fatal(err)
	}
	row := sql.Row{int64(1 << 40), int32(70000), 1.25, "some words of text", dec("12345.67"), time.Date(2024, 5, 6, 7, 8, 9, 10000, time.UTC)}
	cells := make([]value.Cell, len(phys))
	ctx := context.Background()
	tuple, err := r.RowToTuple(ctx, nil, row, cells)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if tuple, err = r.RowToTuple(ctx, tuple[:0], row, cells); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := r.TupleToRow(tuple, cells, make(sql.Row, len(codecs))); err != nil {
				b.Fatal(err)
			}
		}
	})
}
