package types

import (
	"bytes"
	"context"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	gms "github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/sqltypes"
)

func decimal(t *testing.T, text string) *apd.Decimal {
	t.Helper()
	d, _, err := apd.NewFromString(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// place holds out-of-line values: each is the text of the place.
type place string

func (p place) Fetch(context.Context, []byte) ([]byte, error) { return []byte(p), nil }

func TestRowBytes(t *testing.T) {
	ctx := sql.NewEmptyContext()
	here := func(p place) long { return long{addr: addr(byte(len(p)), 3), from: p} }
	rows := []sql.Row{
		{nil, true, false, int8(-128), int16(-3), int32(math.MinInt32), int64(math.MinInt64), 7, uint8(255), uint16(9), uint32(math.MaxUint32), uint64(math.MaxUint64), uint(8)},
		{float32(1.5), math.Copysign(0, -1), math.Inf(1), "", "text\x00ä", []byte{}, []byte{0, 1}, gms.ZeroTime, time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)},
		{gms.Timespan(-5), decimal(t, "-12.340"), decimal(t, "0"), decimal(t, "1e20"), decimal(t, "12345678901234567890123456789012345.678"), NewJSON([]byte(`{"a":1}`))},
		{gms.JSONDocument{Val: map[string]any{"a": []any{1.0}}}, gms.Point{X: 1, Y: 2}, time.Date(2020, 1, 2, 3, 4, 5, 6, time.FixedZone("x", 3600))},
		{},
	}
	var r RowBytes
	var all [][]byte
	for _, row := range rows {
		all = append(all, r.Append(nil, row))
	}
	for i, row := range rows {
		got, err := r.Row(all[i])
		if err != nil || !reflect.DeepEqual(got, row) {
			t.Errorf("row %d: %v\n%#v\nwant\n%#v", i, err, got, row)
		}
	}
	if len(r.kept) != 3 {
		t.Errorf("%d values are kept in memory", len(r.kept))
	}

	// Values out of line stay so, each with the place it is in; equal places are kept once.
	lazy := sql.Row{&LongText{here("one")}, &LongBytes{here("second")}, &JSON{long: &long{addr: addr(3, 3), from: place(`"one"`)}}, &LongText{here("one")}}
	got, err := r.Row(r.Append(nil, lazy))
	if err != nil {
		t.Fatal(err)
	}
	if s, err := got[0].(*LongText).Unwrap(ctx); s != "one" || err != nil || !bytes.Equal(got[0].(*LongText).Addr(), addr(3, 3)) {
		t.Errorf("text: %q, %v", s, err)
	}
	if b, err := got[1].(*LongBytes).Unwrap(ctx); string(b) != "second" || err != nil {
		t.Errorf("bytes: %q, %v", b, err)
	}
	if j := got[2].(*JSON).String(); j != `"one"` {
		t.Errorf("JSON: %s", j)
	}
	if len(r.from) != 3 {
		t.Errorf("%d places", len(r.from))
	}

	for i := range all[1] {
		if _, err := r.Row(all[1][:i]); err == nil {
			t.Errorf("%d bytes of %d are read without complaint", i, len(all[1]))
		}
	}
	if _, err := r.Row(append(bytes.Clone(all[0]), 0)); err == nil {
		t.Error("a byte too many is read without complaint")
	}
}

func FuzzRowBytes(f *testing.F) {
	var r RowBytes
	f.Add(r.Append(nil, sql.Row{nil, int64(5), "x", []byte("y"), gms.Timespan(3), gms.ZeroTime, apd.New(5, -2), NewJSON([]byte("[]"))}))
	f.Add(r.Append(nil, sql.Row{&LongText{long{addr: make([]byte, 40), from: place("x")}}, gms.Point{}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		row, err := r.Row(b)
		if err != nil {
			return
		}
		again, err := r.Row(r.Append(nil, row))
		if err != nil || len(again) != len(row) {
			t.Fatalf("%v: %d values, want %d", err, len(again), len(row))
		}
	})
}

// Keys compare as the engine compares the values, whatever of an expression's values they are.
func TestSortPart(t *testing.T) {
	ctx := sql.NewEmptyContext()
	ci := gms.MustCreateString(sqltypes.VarChar, 20, sql.Collation_utf8mb4_0900_ai_ci)
	date := func(s string) time.Time {
		d, err := time.Parse("2006-01-02 15:04:05.999999", s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for _, c := range []struct {
		typ  sql.Type
		vals []any
	}{
		{gms.Int64, []any{int64(-5), int64(0), int8(3), true, uint16(9), int64(math.MaxInt64), int64(math.MinInt64)}},
		{gms.Uint64, []any{uint64(0), uint64(math.MaxUint64), uint8(3), int32(7)}},
		{gms.Float64, []any{0.0, math.Copysign(0, -1), -1.5, 1e300, float32(2.5), math.Inf(-1)}},
		{gms.MustCreateDecimalType(5, 1), []any{decimal(t, "1.23"), decimal(t, "1.230"), decimal(t, "-4"), decimal(t, "1.3"), decimal(t, "123456.75")}},
		{gms.Text, []any{"a", "", "B", "b", "ä", "a\x00", "a "}},
		{ci, []any{"a", "", "B", "b", "ä", "A"}},
		{gms.Blob, []any{[]byte("a"), []byte{}, []byte{255, 0}, []byte("a\x00")}},
		{gms.DatetimeMaxPrecision, []any{gms.ZeroTime, date("2020-01-01 00:00:00"), date("2020-01-01 00:00:00.5"), date("0001-01-01 00:00:00")}},
		{gms.Time, []any{gms.Timespan(0), gms.Timespan(-3), gms.Timespan(5_000_001)}},
	} {
		for _, desc := range []bool{false, true} {
			p, err := NewSortPart(c.typ, desc)
			if err != nil {
				t.Fatalf("%s: %v", c.typ, err)
			}
			key := func(v any) []byte {
				b, ok, err := p.Append(ctx, nil, v)
				if err != nil || !ok {
					t.Fatalf("%s: %v: %v, %v", c.typ, v, ok, err)
				}
				return b
			}
			null := key(nil)
			for _, a := range c.vals {
				for _, b := range c.vals {
					want, err := c.typ.Compare(ctx, a, b)
					if err != nil {
						t.Fatal(err)
					}
					if desc {
						want = -want
					}
					if got := bytes.Compare(key(a), key(b)); got != want {
						t.Errorf("%s, descending %v: %v against %v is %d, want %d", c.typ, desc, a, b, got, want)
					}
				}
				if bytes.Compare(null, key(a)) < 0 == desc {
					t.Errorf("%s, descending %v: NULL is on the wrong side of %v", c.typ, desc, a)
				}
			}
		}
	}
	for _, c := range []struct {
		typ sql.Type
		v   any
	}{
		{gms.Int64, "5"}, {gms.Int64, uint64(math.MaxUint64)}, {gms.Uint64, int64(-1)}, {gms.Float64, math.NaN()}, {gms.Float64, int64(1)},
		{gms.Text, []byte("x")}, {gms.DatetimeMaxPrecision, "2020-01-01"}, {gms.MustCreateDecimalType(5, 1), decimal(t, "1e-40")},
	} {
		p, err := NewSortPart(c.typ, false)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok, err := p.Append(ctx, nil, c.v); ok || err != nil {
			t.Errorf("%s: %T is given bytes, %v", c.typ, c.v, err)
		}
	}
	for _, typ := range []sql.Type{gms.JSON, gms.PointType{}, gms.Null} {
		if _, err := NewSortPart(typ, false); err == nil {
			t.Errorf("%s is sorted by bytes", typ)
		}
	}
}
