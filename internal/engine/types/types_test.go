package types

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
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

// sample is a type of the engine, its stored form in words, and values on its edges as a client may give them.
type sample struct {
	typ    sql.Type
	want   string
	values []any
}

func dec(s string) *apd.Decimal {
	d, _, err := apd.NewFromString(s)
	if err != nil {
		panic(err)
	}
	return d
}

func date(y, m, d int) time.Time { return time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC) }

// samples are in no order; each type's values are in ascending order where the type has one.
func samples() []sample {
	nines := func(n, point int) string { return strings.Repeat("9", n-point) + "." + strings.Repeat("9", point) }
	mustTime := func(s string) time.Time {
		t, err := time.Parse("2006-01-02 15:04:05.999999", s)
		if err != nil {
			panic(err)
		}
		return t
	}
	text := []any{"", "\x00", "\x00\x00", " ", "0", "A", "B", "a", "a ", "ab", "z", "ß", "é", "中文", "\U0001F600"}
	return []sample{
		{gms.Boolean, "tinyint", []any{int8(-128), int8(0), int8(1), int8(127)}},
		{gms.Int8, "tinyint", []any{int8(-128), int8(-1), int8(0), int8(127)}},
		{gms.Int16, "smallint", []any{int16(math.MinInt16), int16(0), int16(math.MaxInt16)}},
		{gms.Int24, "mediumint", []any{int32(-1 << 23), int32(0), int32(1<<23 - 1)}},
		{gms.Int32, "int", []any{int32(math.MinInt32), int32(0), int32(math.MaxInt32)}},
		{gms.Int64, "bigint", []any{int64(math.MinInt64), int64(-1), int64(0), int64(1), int64(math.MaxInt64)}},
		{gms.Uint8, "tinyint unsigned", []any{uint8(0), uint8(255)}},
		{gms.Uint16, "smallint unsigned", []any{uint16(0), uint16(math.MaxUint16)}},
		{gms.Uint24, "mediumint unsigned", []any{uint32(0), uint32(1<<24 - 1)}},
		{gms.Uint32, "int unsigned", []any{uint32(0), uint32(math.MaxUint32)}},
		{gms.Uint64, "bigint unsigned", []any{uint64(0), uint64(1), uint64(math.MaxInt64), uint64(1 << 63), uint64(math.MaxUint64)}},
		{gms.Float32, "float", []any{float32(-math.MaxFloat32), float32(-1.5), float32(0), float32(math.SmallestNonzeroFloat32), float32(0.1), float32(math.MaxFloat32)}},
		{gms.Float64, "double", []any{-math.MaxFloat64, -1.5, 0.0, math.SmallestNonzeroFloat64, 0.1, math.MaxFloat64}},
		{gms.MustCreateColumnDecimalType(10, 0), "decimal(10,0)", []any{dec("-9999999999"), dec("-1"), dec("0"), dec("1"), dec("9999999999")}},
		{gms.MustCreateColumnDecimalType(10, 2), "decimal(10,2)", []any{dec("-99999999.99"), dec("-0.01"), dec("0.00"), dec("0.01"), dec("0.10"), dec("99999999.99")}},
		{gms.MustCreateColumnDecimalType(18, 18), "decimal(18,18)", []any{dec("-0.999999999999999999"), dec("0.000000000000000000"), dec("0.999999999999999999")}},
		{gms.MustCreateColumnDecimalType(19, 0), "decimal(19,0)", []any{dec("-9999999999999999999"), dec("0"), dec("9999999999999999999")}},
		{gms.MustCreateColumnDecimalType(65, 0), "decimal(65,0)", []any{dec("-" + strings.Repeat("9", 65)), dec("-1"), dec("0"), dec(strings.Repeat("9", 65))}},
		{gms.MustCreateColumnDecimalType(65, 30), "decimal(65,30)", []any{dec("-" + nines(65, 30)), dec("-1e-30"), dec("0"), dec("1e-30"), dec(nines(65, 30))}},
		{gms.MustCreateBitType(1), "bit(1)", []any{uint64(0), uint64(1)}},
		{gms.MustCreateBitType(9), "bit(9)", []any{uint64(0), uint64(511)}},
		{gms.MustCreateBitType(64), "bit(64)", []any{uint64(0), uint64(1), uint64(math.MaxUint64)}},
		{gms.Year, "year", []any{int16(0), int16(1901), int16(2155)}},
		{gms.Date, "date", []any{gms.ZeroTime, date(0, 1, 1), date(0, 1, 2), date(1, 1, 1), date(999, 12, 31), date(1969, 12, 31), date(1970, 1, 1), date(2024, 2, 29), date(9999, 12, 31)}},
		{gms.Datetime, "datetime", []any{gms.ZeroTime, mustTime("0000-01-01 00:00:00"), mustTime("0000-01-01 00:00:01"), mustTime("1969-12-31 23:59:59"), mustTime("1970-01-01 00:00:00"), mustTime("9999-12-31 23:59:59")}},
		{gms.Datetime3, "datetime(3)", []any{mustTime("1000-01-01 00:00:00.001"), mustTime("2038-01-19 03:14:07.999")}},
		{gms.DatetimeMaxPrecision, "datetime(6)", []any{gms.ZeroTime, mustTime("0000-01-01 00:00:00.000001"), mustTime("1969-12-31 23:59:59.999999"), mustTime("9999-12-31 23:59:59.999999")}},
		{gms.Timestamp, "timestamp", []any{gms.ZeroTime, mustTime("1970-01-01 00:00:01"), mustTime("2038-01-19 03:14:07")}},
		{gms.TimestampMaxPrecision, "timestamp(6)", []any{gms.ZeroTime, mustTime("1970-01-01 00:00:01"), mustTime("2038-01-19 03:14:07.999999")}},
		{gms.Time, "time(6)", []any{gms.Timespan(-3020399000000), gms.Timespan(-1), gms.Timespan(0), gms.Timespan(1), gms.Timespan(3020399000000)}},
		{gms.MustCreateString(sqltypes.Char, 20, sql.Collation_utf8mb4_0900_bin), "char(20)", text},
		{gms.MustCreateString(sqltypes.VarChar, 16383, sql.Collation_utf8mb4_0900_bin), "varchar(16383)", text},
		{gms.MustCreateString(sqltypes.VarChar, 255, sql.Collation_utf8mb4_bin), "varchar(255)", text},
		{gms.MustCreateString(sqltypes.VarChar, 255, sql.Collation_utf8mb4_0900_ai_ci), "varchar(255)", nil},
		{gms.MustCreateString(sqltypes.VarChar, 255, sql.Collation_utf8mb4_general_ci), "varchar(255)", nil},
		{gms.MustCreateString(sqltypes.VarChar, 255, sql.Collation_ascii_general_ci), "varchar(255)", []any{"", " ", "0", "A", "b", "C"}},
		{gms.MustCreateString(sqltypes.VarChar, 255, sql.Collation_ascii_bin), "varchar(255)", []any{"", " ", "0", "A", "a", "b"}},
		{gms.TinyText, "tinytext", text}, {gms.Text, "text", text}, {gms.MediumText, "mediumtext", text}, {gms.LongText, "longtext", text},
		{gms.MustCreateBinary(sqltypes.Binary, 4), "binary(4)", []any{[]byte{}, []byte("a"), []byte("abcd"), []byte{0xff, 0, 0xff}}},
		{gms.MustCreateBinary(sqltypes.VarBinary, 100), "varbinary(100)", []any{[]byte{}, []byte{0}, []byte{0, 0}, []byte("a"), []byte{0xff}}},
		{gms.TinyBlob, "tinyblob", []any{[]byte{}, []byte{0}, []byte{1}}}, {gms.Blob, "blob", []any{[]byte{}, []byte{0xff}}},
		{gms.MediumBlob, "mediumblob", []any{[]byte{}, []byte{0xff}}}, {gms.LongBlob, "longblob", []any{[]byte{}, []byte{0xff}}},
		{gms.MustCreateEnumType([]string{"b", "a", "c "}, sql.Collation_utf8mb4_0900_bin), "enum('b','a','c')", []any{uint16(0), uint16(1), uint16(2), uint16(3)}},
		{gms.MustCreateSetType([]string{"x", "y", "z"}, sql.Collation_utf8mb4_general_ci), "set('x','y','z')", []any{uint64(0), uint64(1), uint64(7)}},
		{gms.JSON, "json", []any{`null`, `true`, `0`, `-1.5`, `"a\"b\u0001"`, `[]`, `{}`, `{"b":[1,2,{"c":null}],"a":"中"}`, `12345678901234567890`}},
		{gms.VectorType{Dimensions: 3}, "vector(3)", []any{[]byte("\x00\x00\x80?\x00\x00\x00@\x00\x00@@")}},
		{gms.GeometryType{}, "geometry", geometries()},
		{gms.GeometryType{}.SetSRID(4326), "geometry", nil},
		{gms.PointType{}, "point", []any{gms.Point{X: math.Copysign(0, -1), Y: 1e300}, gms.Point{SRID: 4326, X: 1, Y: 2}}},
		{gms.PointType{}.SetSRID(0), "point", nil}, {gms.LineStringType{}, "linestring", nil}, {gms.PolygonType{}, "polygon", nil},
		{gms.MultiPointType{}, "multipoint", nil}, {gms.MultiLineStringType{}, "multilinestring", nil},
		{gms.MultiPolygonType{}, "multipolygon", nil}, {gms.GeomCollType{}, "geometrycollection", nil},
	}
}

func geometries() []any {
	p := func(x, y float64) gms.Point { return gms.Point{X: x, Y: y} }
	line := gms.LineString{Points: []gms.Point{p(0, 0), p(1, 1), p(1, 0), p(0, 0)}}
	poly := gms.Polygon{Lines: []gms.LineString{line, line}}
	mp := gms.MultiPoint{Points: []gms.Point{p(1, 2), p(3, 4)}}
	ml := gms.MultiLineString{Lines: []gms.LineString{line}}
	mpoly := gms.MultiPolygon{Polygons: []gms.Polygon{poly, poly}}
	return []any{p(1, 2), line, poly, mp, ml, mpoly, gms.GeomColl{},
		gms.GeomColl{Geoms: []gms.GeometryValue{p(1, 2), line, gms.GeomColl{Geoms: []gms.GeometryValue{poly, mp, ml, mpoly}}}}}
}

func mustCodec(t testing.TB, s sql.Type) *Codec {
	t.Helper()
	v, err := FromSQL(s)
	if err != nil {
		t.Fatalf("FromSQL(%s): %v", s, err)
	}
	c, err := NewCodec(v)
	if err != nil {
		t.Fatalf("NewCodec(%v): %v", v, err)
	}
	return c
}

func TestTypesThereAndBack(t *testing.T) {
	for _, s := range samples() {
		v, err := FromSQL(s.typ)
		if err != nil {
			t.Errorf("FromSQL(%s): %v", s.typ, err)
			continue
		}
		if v.String() != s.want && v.Kind != value.KindInt8 {
			t.Errorf("FromSQL(%s) = %s, want %s", s.typ, v, s.want)
		}
		back, err := ToSQL(v)
		if err != nil {
			t.Errorf("ToSQL(%s): %v", v, err)
			continue
		}
		if !back.Equals(s.typ) || back.String() != s.typ.String() || fmt.Sprintf("%T", back) != fmt.Sprintf("%T", s.typ) {
			t.Errorf("%s came back as %s", s.typ, back)
		}
		if a, ok := s.typ.(sql.TypeWithCollation); ok && back.(sql.TypeWithCollation).Collation() != a.Collation() {
			t.Errorf("%s: collation %s came back as %s", s.typ, a.Collation(), back.(sql.TypeWithCollation).Collation())
		}
		if a, ok := s.typ.(sql.SpatialColumnType); ok {
			s1, d1 := a.GetSpatialTypeSRID()
			s2, d2 := back.(sql.SpatialColumnType).GetSpatialTypeSRID()
			if s1 != s2 || d1 != d2 {
				t.Errorf("%s: SRID %d %v came back as %d %v", s.typ, s1, d1, s2, d2)
			}
		}
		decoded, rest, err := value.DecodeType(value.AppendType(nil, v))
		if err != nil || len(rest) > 0 || !decoded.Equal(v) {
			t.Errorf("%s: encoded form: %v %v", v, decoded, err)
		}
	}
}

func TestBooleanKeepsItsWidth(t *testing.T) {
	for _, typ := range []sql.Type{gms.Boolean, gms.Int8} {
		if got := mustCodec(t, typ).SQL.String(); got != typ.String() {
			t.Errorf("%s came back as %s", typ, got)
		}
	}
}

func TestUnsupported(t *testing.T) {
	_, err := FromSQL(gms.MustCreateString(sqltypes.VarChar, 10, sql.Collation_latin1_swedish_ci))
	if !errs.Is(err, errs.Unsupported) || !strings.Contains(err.Error(), "latin1_swedish_ci") || !strings.Contains(err.Error(), "utf8mb4_0900_ai_ci") {
		t.Errorf("a collation that is not offered: %v", err)
	}
	for _, typ := range []sql.Type{gms.Null, gms.CreateTuple(gms.Int8), gms.VectorType{}} {
		if _, err := FromSQL(typ); !errs.Is(err, errs.Unsupported) {
			t.Errorf("FromSQL(%s): %v", typ, err)
		}
	}
	for _, v := range []value.Type{{}, {Kind: 99}, {Kind: value.KindGeometry, Subtype: 8}, {Kind: value.KindDecimal, Precision: 70},
		{Kind: value.KindBit, Length: 65}, {Kind: value.KindChar, Length: 1, Collation: 200}, {Kind: value.KindEnum}} {
		if _, err := ToSQL(v); !errs.Is(err, errs.Unsupported) {
			t.Errorf("ToSQL(%#v): %v", v, err)
		}
	}
	if c, err := CollationFromSQL(sql.Collation_Unspecified); err != nil || c != value.CollationUtf8mb40900Bin {
		t.Errorf("an unspecified collation is %v, %v", c, err)
	}
}

// same compares two values of one type exactly, as the engine prints and compares them.
func same(ctx *sql.Context, typ sql.Type, a, b any) error {
	if reflect.TypeOf(a) != reflect.TypeOf(b) && !gms.IsJSON(typ) {
		return fmt.Errorf("%T and %T", a, b)
	}
	cmp, err := typ.Compare(ctx, a, b)
	if err != nil {
		return err
	}
	if cmp != 0 {
		return fmt.Errorf("%v and %v differ", a, b)
	}
	x, err := typ.SQL(ctx, nil, a)
	if err != nil {
		return err
	}
	y, err := typ.SQL(ctx, nil, b)
	if err != nil {
		return err
	}
	if !bytes.Equal(x.Raw(), y.Raw()) {
		return fmt.Errorf("%q and %q", x.Raw(), y.Raw())
	}
	return nil
}

func TestValuesThereAndBack(t *testing.T) {
	ctx := sql.NewEmptyContext()
	for _, s := range samples() {
		c := mustCodec(t, s.typ)
		if cell, err := c.ToCell(ctx, nil); err != nil || !cell.IsNull() {
			t.Errorf("%s: NULL became %v %v", s.typ, cell, err)
		}
		if v, err := c.FromCell(value.Null); err != nil || v != nil {
			t.Errorf("%s: NULL came back as %v %v", s.typ, v, err)
		}
		for _, in := range s.values {
			want, inRange, err := s.typ.Convert(ctx, in)
			if err != nil || inRange != sql.InRange {
				t.Fatalf("%s: the engine does not convert %v: %v", s.typ, in, err)
			}
			cell, ok, err := c.to(c, ctx, want)
			if !ok || err != nil {
				t.Errorf("%s: %T %v is not taken as it is: %v", s.typ, want, want, err)
				continue
			}
			slow, err := c.ToCell(ctx, in)
			if err != nil || !slow.Equal(cell) {
				t.Errorf("%s: ToCell(%v) = %v, %v; want %v", s.typ, in, slow, err, cell)
			}
			tuple := value.AppendTuple(nil, []value.Phys{c.phys}, []value.Cell{cell})
			var out [1]value.Cell
			if err := value.DecodeTuple(tuple, []value.Phys{c.phys}, out[:]); err != nil {
				t.Errorf("%s: %v: %v", s.typ, want, err)
				continue
			}
			got, err := c.FromCell(out[0])
			if err != nil {
				t.Errorf("%s: FromCell of %v: %v", s.typ, want, err)
				continue
			}
			clear(tuple) // what came out shares no memory
			if err := same(ctx, s.typ, want, got); err != nil {
				t.Errorf("%s: %v came back as %v: %v", s.typ, want, got, err)
			}
			if again, err := c.ToCell(ctx, got); err != nil || !again.Equal(cell) {
				t.Errorf("%s: %v is stored in another way the second time: %v %v", s.typ, want, again, err)
			}
		}
	}
}

func TestOrderOfKeysIsTheEngines(t *testing.T) {
	ctx := sql.NewEmptyContext()
	for _, s := range samples() {
		if gms.IsJSON(s.typ) {
			continue
		}
		c := mustCodec(t, s.typ)
		for _, desc := range []bool{false, true} {
			p := &value.KeyPart{Type: c.Type, Desc: desc}
			for _, a := range append([]any{nil}, s.values...) {
				for _, b := range append([]any{nil}, s.values...) {
					want := sign(compareNull(t, ctx, s.typ, a, b))
					if desc {
						want = -want
					}
					ka, kb := mustKey(t, ctx, c, p, a), mustKey(t, ctx, c, p, b)
					if got := sign(bytes.Compare(ka, kb)); got != want {
						t.Errorf("%s desc=%v: keys of %v and %v: %d, the engine says %d", s.typ, desc, a, b, got, want)
					}
				}
			}
		}
	}
}

func mustKey(t testing.TB, ctx *sql.Context, c *Codec, p *value.KeyPart, v any) []byte {
	t.Helper()
	cell, err := c.ToCell(ctx, v)
	if err != nil {
		t.Fatalf("%s: ToCell(%v): %v", c.Type, v, err)
	}
	return value.AppendKeyPart(nil, p, cell)
}

// compareNull is the engine's comparison with NULL as the least value.
func compareNull(t testing.TB, ctx *sql.Context, typ sql.Type, a, b any) int {
	t.Helper()
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	if gms.IsBinaryType(typ) { // a BINARY value is compared with its padding
		a, _, _ = typ.Convert(ctx, a)
		b, _, _ = typ.Convert(ctx, b)
	}
	cmp, err := typ.Compare(ctx, a, b)
	if err != nil {
		t.Fatalf("%s: compare %v and %v: %v", typ, a, b, err)
	}
	return cmp
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}
