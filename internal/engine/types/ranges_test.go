package types

import (
	"bytes"
	"context"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	gms "github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/sqltypes"
	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/value"
)

// domain is a column type with few values, so that random rows and bounds meet, and bounds that the column cannot hold.
type domain struct {
	typ    sql.Type
	values []any
	bounds []any // beside the values; all can be ordered among them
	wild   []any // cannot
}

func domains() []domain {
	us := func(n int64) time.Time { return time.UnixMicro(n).UTC() }
	words := []any{"", "a", "A", "á", "aa", "Ab", "ab", "abc", "abd", "abcd", "b", "ß", "ss", "中", "a ", "\x00", "\U0001F600"}
	bins := []any{[]byte{}, []byte{0}, []byte{0, 0}, []byte{0, 0xff}, []byte("a"), []byte("ab"), []byte("abc"), []byte{0xff}, []byte{0xff, 0xff}}
	return []domain{
		{gms.Int8, []any{int8(-128), int8(-1), int8(0), int8(1), int8(127)},
			[]any{int64(-129), int64(128), 0.5, -0.5, dec("0.1"), dec("-128.5"), uint64(1 << 63), 1e300, -1e300, "7", "-0.5"}, []any{gms.Timespan(1)}},
		{gms.Int64, []any{int64(-1 << 63), int64(-1), int64(0), int64(1<<63 - 1)},
			[]any{int8(0), uint64(1<<63 - 1), uint64(1 << 63), 9.3e18, dec("9223372036854775807.5"), dec("-9223372036854775808.5")}, nil},
		{gms.Uint64, []any{uint64(0), uint64(1), uint64(1 << 63), uint64(1<<64 - 1)}, []any{int64(-1), int32(1), 0.5, dec("18446744073709551616")}, nil},
		{gms.Uint8, []any{uint8(0), uint8(5), uint8(255)}, []any{int64(-5), int64(256), 4.5}, nil},
		{gms.Float64, []any{-1.5, 0.0, 0.1, 1e300}, []any{int64(0), dec("0.1"), dec("0.10000000000000001"), float32(0.1), dec("1e400"), dec("-1e400")}, nil},
		{gms.Float32, []any{float32(-1.5), float32(0), float32(0.1), float32(3e38)}, []any{0.1, dec("0.1"), 1e39, -1e39, int64(0)}, nil},
		{gms.MustCreateColumnDecimalType(5, 2), []any{dec("-999.99"), dec("-0.01"), dec("0.00"), dec("0.01"), dec("999.99")},
			[]any{dec("0.005"), dec("-0.005"), dec("0"), dec("1e-2"), dec("1000"), dec("-1000"), int64(0), 0.01, 1e9, dec("1e500"), "1", "0.005"}, nil},
		{gms.MustCreateColumnDecimalType(40, 10), []any{dec("-5e29"), dec("0"), dec("1e-10"), dec("5e29")}, []any{dec("1e-11"), dec("1e30"), dec("-1e30"), 0.5}, nil},
		{gms.MustCreateBitType(3), []any{uint64(0), uint64(3), uint64(7)}, []any{int64(-1), uint64(8), 2.5}, nil},
		{gms.Year, []any{int16(0), int16(1999), int16(2155)}, nil, []any{int64(1999)}},
		{gms.Date, []any{gms.ZeroTime, date(1, 1, 1), date(2020, 1, 1), date(2020, 1, 2), date(9999, 12, 31)}, nil, []any{"2020-01-01"}},
		{gms.Datetime, []any{gms.ZeroTime, us(-5e6), us(0), us(1e6)}, []any{us(500_000), us(-1), date(0, 1, 1), date(10000, 1, 1), us(0).Add(1)}, nil},
		{gms.DatetimeMaxPrecision, []any{gms.ZeroTime, us(-1), us(0), us(1)}, []any{us(0).Add(1), us(0).Add(-1)}, []any{int64(1)}},
		{gms.Timestamp, []any{gms.ZeroTime, us(1e6), us(2e6)}, []any{us(1_500_000), date(2050, 1, 1), date(1960, 1, 1)}, nil},
		{gms.Time, []any{gms.Timespan(-5), gms.Timespan(0), gms.Timespan(5)}, nil, nil},
		{gms.MustCreateEnumType([]string{"b", "a"}, sql.Collation_Default), []any{uint16(0), uint16(1), uint16(2)}, nil, nil},
		{gms.MustCreateSetType([]string{"b", "a"}, sql.Collation_Default), []any{uint64(0), uint64(1), uint64(3)}, nil, nil},
		{gms.MustCreateString(sqltypes.VarChar, 4, sql.Collation_Default), words, []any{"abcdefgh", []byte("a"), int64(5)}, nil},
		{gms.MustCreateString(sqltypes.VarChar, 4, sql.Collation_utf8mb4_0900_ai_ci), words, []any{"ABCDEFGH"}, nil},
		{gms.MustCreateString(sqltypes.VarChar, 4, sql.Collation_utf8mb4_general_ci), words, []any{"ABCDEFGH"}, nil},
		{gms.MustCreateBinary(sqltypes.VarBinary, 4), bins, []any{"a", []byte("abcdefgh")}, nil},
		{gms.MustCreateBinary(sqltypes.Blob, 4), bins, nil, nil},
	}
}

// rat is a number as a fraction, by way of its text.
func rat(v any) *big.Rat {
	if d, ok := v.(*apd.Decimal); ok {
		v = d.Text('f')
	}
	switch f := v.(type) {
	case float64:
		return new(big.Rat).SetFloat64(f)
	case float32:
		return new(big.Rat).SetFloat64(float64(f))
	case gms.Timespan:
		v = int64(f)
	}
	r, ok := new(big.Rat).SetString(fmt.Sprint(v))
	if !ok {
		return nil
	}
	return r
}

// order compares a column's value with a bound of any kind, both not NULL.
func order(ctx context.Context, typ sql.Type, v, bound any) int {
	if a, ok := v.(time.Time); ok {
		return a.Compare(bound.(time.Time))
	}
	if sql.IsStringType(typ) {
		cmp, err := typ.Promote().Compare(ctx, v, bound)
		if err != nil {
			panic(err)
		}
		return cmp
	}
	return rat(v).Cmp(rat(bound))
}

// holds evaluates the engine's range on a value.
func holds(ctx context.Context, typ sql.Type, x sql.MySQLRangeColumnExpr, v any) bool {
	above := func(cut sql.MySQLRangeCut) bool { // v lies above the cut
		switch c := cut.(type) {
		case sql.BelowNull:
			return true
		case sql.AboveNull:
			return v != nil
		case sql.AboveAll:
			return false
		case sql.Below:
			return v != nil && order(ctx, typ, v, c.Key) >= 0
		case sql.Above:
			return v != nil && order(ctx, typ, v, c.Key) > 0
		}
		panic("no such cut")
	}
	return above(x.LowerBound) && !above(x.UpperBound)
}

// drawCut draws a cut; wild tells that it cannot be ordered among the values.
func drawCut(t *rapid.T, d domain, withWild bool) (cut sql.MySQLRangeCut, wild bool) {
	keys := slices.Concat(d.values, d.bounds)
	known := len(keys)
	if withWild {
		keys = append(keys, d.wild...)
	}
	switch n := rapid.IntRange(0, 9).Draw(t, "cut"); n {
	case 0:
		return sql.BelowNull{}, false
	case 1:
		return sql.AboveNull{}, false
	case 2:
		return sql.AboveAll{}, false
	default:
		i := rapid.IntRange(0, len(keys)-1).Draw(t, "key")
		if n%2 == 0 {
			return sql.Below{Key: keys[i], Typ: d.typ}, i >= known
		}
		return sql.Above{Key: keys[i], Typ: d.typ}, i >= known
	}
}

func drawExpr(t *rapid.T, d domain, withWild bool) (x sql.MySQLRangeColumnExpr, wild bool) {
	if rapid.IntRange(0, 3).Draw(t, "shape") == 0 {
		v := rapid.SampledFrom(d.values).Draw(t, "point")
		return sql.ClosedRangeColumnExpr(v, v, d.typ), false
	}
	lower, w1 := drawCut(t, d, withWild)
	upper, w2 := drawCut(t, d, withWild)
	return sql.MySQLRangeColumnExpr{LowerBound: lower, UpperBound: upper, Typ: d.typ}, w1 || w2
}

// shorten is what an index with a prefix keeps of a string.
func shorten(v any, n int) any {
	switch s := v.(type) {
	case string:
		return string([]rune(s)[:min(n, len([]rune(s)))])
	case []byte:
		return s[:min(n, len(s))]
	}
	return v
}

func TestKeyRangesSelectWhatTheRangesDo(t *testing.T) {
	ctx := sql.NewEmptyContext()
	all := domains()
	codecs := map[int]*Codec{}
	for i, d := range all {
		codecs[i] = mustCodec(t, d.typ)
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 3).Draw(t, "columns")
		var cols []domain
		var parts []value.KeyPart
		var cs []*Codec
		for range n {
			i := rapid.IntRange(0, len(all)-1).Draw(t, "type")
			p := value.KeyPart{Type: codecs[i].Type, Desc: rapid.Bool().Draw(t, "desc")}
			if sql.IsStringType(all[i].typ) && rapid.Bool().Draw(t, "cut") {
				p.Prefix = uint32(rapid.IntRange(1, 3).Draw(t, "prefix"))
			}
			cols, parts, cs = append(cols, all[i]), append(parts, p), append(cs, codecs[i])
		}
		r, err := NewKeyRanger(parts, cs)
		if err != nil {
			t.Fatal(err)
		}
		var m sql.MySQLRange
		wild := false
		for _, d := range cols[:rapid.IntRange(0, n).Draw(t, "restricted")] {
			x, w := drawExpr(t, d, true)
			wild = wild || w
			m = append(m, x)
		}
		out, exact, err := r.KeyRanges(ctx, sql.MySQLRangeCollection{m})
		if err != nil {
			t.Fatal(err)
		}
		cut := slices.ContainsFunc(parts, func(p value.KeyPart) bool { return p.Prefix > 0 })
		if !exact && !wild && !cut {
			t.Fatalf("%v: not exact", m)
		}
		for range 40 {
			row := make(sql.Row, n)
			want := true
			var key []byte
			for i, d := range cols {
				if rapid.IntRange(0, 5).Draw(t, "null") > 0 {
					row[i] = rapid.SampledFrom(d.values).Draw(t, "value")
				}
				if i < len(m) && !wild {
					want = want && holds(ctx, d.typ, m[i], row[i])
				}
				kept := row[i]
				if parts[i].Prefix > 0 {
					kept = shorten(kept, int(parts[i].Prefix))
				}
				cell, err := cs[i].ToCell(ctx, kept)
				if err != nil {
					t.Fatal(err)
				}
				key = value.AppendKeyPart(key, &parts[i], cell)
			}
			if wild {
				continue
			}
			key = append(key, "what the index has behind"...)
			got := false
			for i := range out {
				k := &out[i]
				if bytes.Compare(key, k.Lo) >= 0 && (k.Hi == nil || bytes.Compare(key, k.Hi) < 0) && k.Match(key) {
					got = true
				}
			}
			if got != want && (exact || want) {
				t.Fatalf("range %v desc/prefix %v: row %v selected %v, want %v (exact %v) %+v %x", m.String(), parts, row, got, want, exact, out, key)
			}
		}
	})
}

// What cannot be ordered among a column's values widens the range to all of them on that side.
func TestWildBoundsWiden(t *testing.T) {
	ctx := sql.NewEmptyContext()
	for _, d := range domains() {
		c := mustCodec(t, d.typ)
		for _, w := range d.wild {
			r, err := NewKeyRanger([]value.KeyPart{{Type: c.Type}}, []*Codec{c})
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range []sql.MySQLRangeColumnExpr{
				{LowerBound: sql.Above{Key: w, Typ: d.typ}, UpperBound: sql.AboveAll{}, Typ: d.typ},
				{LowerBound: sql.AboveNull{}, UpperBound: sql.Below{Key: w, Typ: d.typ}, Typ: d.typ},
				{LowerBound: sql.Below{Key: w, Typ: d.typ}, UpperBound: sql.Above{Key: w, Typ: d.typ}, Typ: d.typ},
			} {
				out, exact, err := r.KeyRanges(ctx, sql.MySQLRangeCollection{{x}})
				if err != nil || exact || len(out) != 1 || !bytes.Equal(out[0].Lo, []byte{1}) || out[0].Hi != nil {
					t.Errorf("%s %v: %+v exact=%v %v", d.typ, x, out, exact, err)
				}
			}
			if ok, err := r.Exact(ctx, sql.MySQLRange{sql.ClosedRangeColumnExpr(w, w, d.typ)}); ok || err != nil {
				t.Errorf("%s %v: Exact %v %v", d.typ, w, ok, err)
			}
		}
	}
}

// The label ” of a SET and the empty set are equal to the engine.
func TestSetWithEmptyLabel(t *testing.T) {
	typ := gms.MustCreateSetType([]string{"", "a"}, sql.Collation_Default)
	c := mustCodec(t, typ)
	r, err := NewKeyRanger([]value.KeyPart{{Type: c.Type}}, []*Codec{c})
	if err != nil {
		t.Fatal(err)
	}
	if ok, _ := r.Exact(context.Background(), sql.MySQLRange{sql.ClosedRangeColumnExpr(uint64(0), uint64(0), typ)}); ok {
		t.Error("a lookup of '' is exact")
	}
}

func TestKeyRangeShapes(t *testing.T) {
	ctx := sql.NewEmptyContext()
	c := mustCodec(t, gms.Int8)
	r, err := NewKeyRanger([]value.KeyPart{{Type: c.Type}, {Type: c.Type}, {Type: c.Type, Desc: true}}, []*Codec{c, c, c})
	if err != nil {
		t.Fatal(err)
	}
	eq := func(n int8) sql.MySQLRangeColumnExpr { return sql.ClosedRangeColumnExpr(n, n, gms.Int8) }
	gt := func(n int8) sql.MySQLRangeColumnExpr { return sql.GreaterThanRangeColumnExpr(n, gms.Int8) }
	anything, null := sql.AllRangeColumnExpr(gms.Int8), sql.NullRangeColumnExpr(gms.Int8)
	part := func(n byte) string { return "01" + "80000000000000" + fmt.Sprintf("%02x", n) }
	for _, x := range []struct {
		m    sql.MySQLRange
		want string // lo hi equal whole
	}{
		{nil, " - 0 true"},
		{sql.MySQLRange{anything, anything, anything}, " - 0 true"},
		{sql.MySQLRange{eq(1)}, part(1) + " " + part(2) + " 1 true"},
		{sql.MySQLRange{eq(1), eq(2)}, part(1) + part(2) + " " + part(1) + part(3) + " 2 true"},
		{sql.MySQLRange{eq(1), gt(2)}, part(1) + part(3) + " " + part(2) + " 1 true"},
		{sql.MySQLRange{null, eq(2)}, "00" + part(2) + " 00" + part(3) + " 2 true"},
		{sql.MySQLRange{gt(1), eq(2)}, part(2) + " - 0 false"},
		{sql.MySQLRange{anything, eq(2)}, " - 0 false"},
		{sql.MySQLRange{eq(1), eq(2), gt(3)}, part(1) + part(2) + " " + part(1) + part(2) + "fe" + "7ffffffffffffffc" + " 2 true"},
		{sql.MySQLRange{eq(1), eq(2), sql.LessThanRangeColumnExpr(int8(3), gms.Int8)},
			part(1) + part(2) + "fe7ffffffffffffffd" + " " + part(1) + part(2) + "ff 2 true"},
		{sql.MySQLRange{eq(1), sql.EmptyRangeColumnExpr(gms.Int8)}, "nothing"},
		{sql.MySQLRange{sql.OpenRangeColumnExpr(int8(3), int8(2), gms.Int8)}, "nothing"},
		{sql.MySQLRange{eq(1), eq(1), sql.EmptyRangeColumnExpr(gms.Int8)}, "nothing"},
		{sql.MySQLRange{anything, eq(1), eq(1), anything}, " - 0 false"},
	} {
		out, exact, err := r.KeyRanges(ctx, sql.MySQLRangeCollection{x.m})
		if err != nil || !exact {
			t.Errorf("%v: exact=%v %v", x.m, exact, err)
		}
		got := "nothing"
		if len(out) > 0 {
			hi := "-"
			if out[0].Hi != nil {
				hi = fmt.Sprintf("%x", out[0].Hi)
			}
			got = fmt.Sprintf("%x %s %d %v", out[0].Lo, hi, out[0].Equal, out[0].Whole())
		}
		if got != x.want {
			t.Errorf("%s:\n got %s\nwant %s", x.m, got, x.want)
		}
	}
	if _, exact, err := r.KeyRanges(ctx, sql.MySQLRangeCollection{{anything, anything, anything, eq(1)}}); exact || err != nil {
		t.Errorf("a restricted column that the index has not: exact=%v %v", exact, err)
	}
	two, _, err := r.KeyRanges(ctx, sql.MySQLRangeCollection{{eq(5)}, {sql.EmptyRangeColumnExpr(gms.Int8)}, {eq(1)}})
	if err != nil || len(two) != 2 || bytes.Compare(two[0].Lo, two[1].Lo) < 0 {
		t.Errorf("the order of ranges is not kept: %+v %v", two, err)
	}
	k := KeyRange{index: r, rest: []span{{}, {lo: []byte{1}}}}
	if k.Match([]byte{7}) || k.Match(nil) {
		t.Error("malformed keys match")
	}
	if _, err := NewKeyRanger(r.parts, nil); err == nil {
		t.Error("parts without codecs are taken")
	}
	if ok, err := r.Exact(ctx, strange{}); ok || err != nil {
		t.Error("a range of another kind is taken for exact")
	}
}

type strange struct{ sql.Range }
