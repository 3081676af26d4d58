package value_test

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
	"pgregory.net/rapid"
)

func varchar(n uint32) value.Type {
	return value.Type{Kind: value.KindVarchar, Length: n, Collation: value.CollationUtf8mb40900Bin}
}

func TestParseAndText(t *testing.T) {
	k := func(k value.Kind) value.Type { return value.Type{Kind: k} }
	length := func(k value.Kind, n uint32) value.Type { return value.Type{Kind: k, Length: n} }
	enum := value.Type{Kind: value.KindEnum, Values: []string{"a", "b", "É"}, Collation: value.CollationUtf8mb40900AiCi}
	enumBin := value.Type{Kind: value.KindEnum, Values: []string{"a", ""}, Collation: value.CollationUtf8mb40900Bin}
	set := value.Type{Kind: value.KindSet, Values: []string{"x", "y", "z"}, Collation: value.CollationUtf8mb4General}
	i8, u8, u64, f32, f64 := k(value.KindInt8), k(value.KindUint8), k(value.KindUint64), k(value.KindFloat32), k(value.KindFloat64)
	const no = "\x00no" // an error
	tests := []struct {
		typ      value.Type
		in, want string
	}{
		{i8, "127", "127"}, {i8, "-128", "-128"}, {i8, "128", no}, {i8, "-129", no}, {i8, "+5", "5"}, {i8, "007", "7"}, {i8, "-0", "0"}, {i8, "true", "1"}, {i8, "False", "0"},
		{i8, "", no}, {i8, "-", no}, {i8, " 1", no}, {i8, "1 ", no}, {i8, "1.0", no}, {i8, "1e1", no}, {i8, "٣", no}, {i8, "truth", no},
		{k(value.KindInt16), "true", no}, {k(value.KindInt16), "-32768", "-32768"}, {k(value.KindInt16), "32768", no}, {k(value.KindInt24), "8388607", "8388607"},
		{k(value.KindInt24), "8388608", no}, {k(value.KindInt24), "-8388608", "-8388608"}, {k(value.KindInt32), "2147483648", no}, {k(value.KindInt32), "-2147483648", "-2147483648"},
		{k(value.KindInt64), "9223372036854775807", "9223372036854775807"}, {k(value.KindInt64), "9223372036854775808", no}, {k(value.KindInt64), "-9223372036854775808", "-9223372036854775808"},
		{k(value.KindInt64), "-9223372036854775809", no}, {k(value.KindInt64), "00000000000000000000000001", "1"},
		{u8, "255", "255"}, {u8, "256", no}, {u8, "-1", no}, {u8, "-0", "0"}, {k(value.KindUint16), "65536", no}, {k(value.KindUint24), "16777215", "16777215"},
		{k(value.KindUint24), "16777216", no}, {k(value.KindUint32), "4294967295", "4294967295"}, {k(value.KindUint32), "4294967296", no},
		{u64, "18446744073709551615", "18446744073709551615"}, {u64, "18446744073709551616", no}, {u64, "18446744073709551620", no}, {u64, "-1", no}, {u64, "99999999999999999999", no}, {u64, "0", "0"},

		{f64, "3", "3"}, {f64, "3.0", "3"}, {f64, "3.3", "3.3"}, {f64, ".2", "0.2"}, {f64, "2.", "2"}, {f64, "-0", "-0"}, {f64, "1e3", "1000"}, {f64, "123456789012345", "123456789012345"},
		{f64, "999999999999999.9", "999999999999999.9"}, {f64, "1e15", "1e+15"}, {f64, "0.0001", "0.0001"}, {f64, "0.00001", "1e-05"}, {f64, "0.1", "0.1"}, {f64, "1.7976931348623157e308", "1.7976931348623157e+308"},
		{f64, "1e309", no}, {f64, "5e-324", "5e-324"}, {f64, "1e-400", "0"}, {f64, "NaN", no}, {f64, "inf", no}, {f64, "0x1p4", no}, {f64, "1_000", no}, {f64, "", no}, {f64, ".", no}, {f64, "1e", no},
		{f64, "1 ", no}, {f64, "-", no}, {f64, "0.30000000000000004", "0.30000000000000004"}, {f64, "9007199254740993", "9.007199254740992e+15"}, {f64, "1.2.3", no},
		{f32, "3", "3"}, {f32, "3.3", "3.3"}, {f32, "0.2", "0.2"}, {f32, "594822560000", "5.9482256e+11"}, {f32, "9.192812e+10", "9.192812e+10"}, {f32, "16777216", "16777216"}, {f32, "999999999", "1e+09"},
		{f32, "123456792", "123456790"}, {f32, "0.0001", "0.0001"}, {f32, "3.4028235e38", "3.4028235e+38"}, {f32, "3.5e38", no}, {f32, "1e-50", "0"}, {f32, "0.1", "0.1"},

		{varchar(3), "abc", "abc"}, {varchar(3), "äöü", "äöü"}, {varchar(3), "abcd", no}, {varchar(3), "äöüß", no}, {varchar(3), "\xff", no}, {varchar(3), "", ""}, {varchar(0), "", ""}, {varchar(0), "a", no},
		{length(value.KindChar, 2), "a ", "a "}, {length(value.KindText, 255), strings.Repeat("ä", 127), strings.Repeat("ä", 127)}, {length(value.KindText, 255), strings.Repeat("ä", 128), no},
		{length(value.KindText, 255), "\xff", no}, {length(value.KindVarbinary, 2), "\xff\x00", "\xff\x00"}, {length(value.KindVarbinary, 2), "abc", no}, {length(value.KindBlob, 65535), "\xff", "\xff"},
		{length(value.KindBinary, 3), "a", "a\x00\x00"}, {length(value.KindBinary, 3), "abc", "abc"}, {length(value.KindBinary, 3), "abcd", no},

		{length(value.KindBit, 1), "\x01", "\x01"}, {length(value.KindBit, 1), "1", "\x01"}, {length(value.KindBit, 1), "0", "\x00"}, {length(value.KindBit, 1), "2", no}, {length(value.KindBit, 8), "1", "1"},
		{length(value.KindBit, 12), "\x0f\xff", "\x0f\xff"}, {length(value.KindBit, 12), "4095", "\x0f\xff"}, {length(value.KindBit, 12), "4096", no}, {length(value.KindBit, 12), "", no},
		{length(value.KindBit, 64), "18446744073709551615", "\xff\xff\xff\xff\xff\xff\xff\xff"}, {length(value.KindBit, 64), "-1", no},

		{enum, "a", "a"}, {enum, "B", "b"}, {enum, "e", "É"}, {enum, "c", no}, {enum, "", no}, {enum, "1", no}, {enumBin, "A", no}, {enumBin, "", ""},
		{set, "", ""}, {set, "z,X", "x,z"}, {set, "y,y", "y"}, {set, "x,", no}, {set, ",", no}, {set, "w", no}, {set, "x y", no},

		{k(value.KindJSON), ` {"b":1, "a":[1.50]}`, `{"a": [1.5], "b": 1}`}, {k(value.KindJSON), "{", no}, {k(value.KindJSON), "", no},
		{k(value.KindGeometry), "\x00\x00\x00\x00\x01\x01\x00\x00\x00", "\x00\x00\x00\x00\x01\x01\x00\x00\x00"}, {k(value.KindGeometry), "POINT(1 1)", "POINT(1 1)"}, {k(value.KindGeometry), "short", no},
		{length(value.KindVector, 3), "[1, 2.5,-3e2]", "[1,2.5,-300]"}, {length(value.KindVector, 2), "[1]", no}, {length(value.KindVector, 2), "[1,2,3]", no}, {length(value.KindVector, 2), "[1,x]", no},
		{length(value.KindVector, 0), "[]", "[]"}, {length(value.KindVector, 0), "[1]", no}, {length(value.KindVector, 1), "1", no}, {length(value.KindVector, 1), "[1e50]", no}, {length(value.KindVector, 1), "[", no},
		{k(value.KindInvalid), "1", no}, {k(value.Kind(99)), "1", no},
	}
	for _, tt := range tests {
		c, err := value.Parse(tt.typ, []byte(tt.in))
		if tt.want == no {
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("%v %q = %q, %v, want an invalid value", tt.typ, tt.in, value.AppendText(nil, tt.typ, c), err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v: %v", tt.typ, err)
			continue
		}
		if got := string(value.AppendText(nil, tt.typ, c)); got != tt.want {
			t.Errorf("%v %q = %q, want %q", tt.typ, tt.in, got, tt.want)
		}
		if back, err := value.Parse(tt.typ, []byte(tt.want)); err != nil || !back.Equal(c) {
			t.Errorf("%v %q comes back as %v, %v", tt.typ, tt.want, back, err)
		}
	}
}

func TestParseErrorNamesValueAndType(t *testing.T) {
	_, err := value.Parse(value.Type{Kind: value.KindDecimal, Precision: 5, Scale: 2}, []byte("12345.6"))
	if want := `parse "12345.6" as decimal(5,2): out of range`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	_, err = value.Parse(varchar(3), []byte(strings.Repeat("x", 1000)))
	if err == nil || len(err.Error()) > 120 {
		t.Errorf("error %v shows all of a long value", err)
	}
}

// TestFloatsRoundTrip checks the text of floats against strconv, and that reading gives the nearest float.
func TestFloatsRoundTrip(t *testing.T) {
	f64, f32 := value.Type{Kind: value.KindFloat64}, value.Type{Kind: value.KindFloat32}
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Float64().Draw(t, "v")
		if rapid.Bool().Draw(t, "short") {
			v = math.Round(v*100) / 100
		}
		if math.IsInf(v, 0) {
			return
		}
		text := value.AppendText(nil, f64, value.FloatCell(v))
		c, err := value.Parse(f64, text)
		if err != nil || c.Bits() != math.Float64bits(v) {
			t.Fatalf("%v: text %s comes back as %v, %v", v, text, c.Float(), err)
		}
		w := rapid.Float32().Draw(t, "w")
		text = value.AppendText(nil, f32, value.Float32Cell(w))
		c, err = value.Parse(f32, text)
		if err != nil || math.Float32bits(c.Float32()) != math.Float32bits(w) {
			t.Fatalf("%v: text %s comes back as %v, %v", w, text, c.Float32(), err)
		}
		s := rapid.StringMatching(`-?[0-9]{1,16}(\.[0-9]{1,16})?(e-?[0-9]{1,2})?`).Draw(t, "s")
		want64, err := strconv.ParseFloat(s, 64)
		if c, perr := value.Parse(f64, []byte(s)); err != nil || perr != nil || c.Bits() != math.Float64bits(want64) {
			t.Fatalf("DOUBLE %s = %v, %v, want %v", s, c.Float(), perr, want64)
		}
		want32, err := strconv.ParseFloat(s, 32)
		if c, perr := value.Parse(f32, []byte(s)); (err == nil) != (perr == nil) || err == nil && c.Float32() != float32(want32) {
			t.Fatalf("FLOAT %s = %v, %v, want %v", s, c.Float32(), perr, want32)
		}
	})
}

// FuzzParse checks that no text of any type panics, and that the text of what was read reads back as the same cell.
func FuzzParse(f *testing.F) {
	for i, s := range []string{"1", "-12.5e3", "2020-01-02 03:04:05.6+01:00", "838:59:59", `{"a":[1]}`, "[1,2]", "x,y", "\xff", "true", "a,", "0000-00-00"} {
		f.Add(byte(i*5), []byte(s))
	}
	types := everyType()
	f.Fuzz(func(t *testing.T, which byte, text []byte) {
		typ := types[int(which)%len(types)]
		c, err := value.Parse(typ, text)
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Fatalf("class of %v", err)
			}
			return
		}
		shown := value.AppendText(nil, typ, c)
		if back, err := value.Parse(typ, shown); err != nil || !back.Equal(c) {
			t.Fatalf("%v %q: text %q comes back as %v, %v", typ, text, shown, back, err)
		}
	})
}

// everyType is a type of each kind, several for those whose parameters change how cells are kept.
func everyType() []value.Type {
	var out []value.Type
	for k := value.KindInt8; k <= value.KindVector; k++ {
		t := value.Type{Kind: k}
		switch k {
		case value.KindDecimal:
			out = append(out, value.Type{Kind: k, Precision: 65, Scale: 30})
			t.Precision, t.Scale = 10, 2
		case value.KindTime, value.KindDatetime, value.KindTimestamp:
			out = append(out, t)
			t.Precision = 6
		case value.KindEnum, value.KindSet:
			t.Values, t.Collation = []string{"x", "y", "zé"}, value.CollationUtf8mb40900AiCi
		case value.KindChar, value.KindVarchar:
			t.Length, t.Collation = 20, value.CollationUtf8mb40900Bin
		case value.KindText:
			t.Length, t.Collation = 65535, value.CollationUtf8mb40900AiCi
		case value.KindBit, value.KindBinary, value.KindVarbinary:
			t.Length = 12
		case value.KindBlob:
			t.Length = value.LongLength
		case value.KindGeometry:
			t.Subtype, t.SRID, t.HasSRID = 1, 4326, true
		case value.KindVector:
			t.Length = 2
		}
		out = append(out, t)
	}
	return out
}

func TestTypeString(t *testing.T) {
	tests := []struct {
		t    value.Type
		want string
	}{
		{value.Type{}, "invalid"}, {value.Type{Kind: 99}, "invalid"}, {value.Type{Kind: value.KindUint32}, "int unsigned"}, {decimal(10, 2), "decimal(10,2)"},
		{value.Type{Kind: value.KindDatetime}, "datetime"}, {value.Type{Kind: value.KindDatetime, Precision: 6}, "datetime(6)"}, {varchar(20), "varchar(20)"},
		{value.Type{Kind: value.KindText, Length: 255}, "tinytext"}, {value.Type{Kind: value.KindText, Length: 65535}, "text"}, {value.Type{Kind: value.KindBlob, Length: value.LongLength}, "longblob"},
		{value.Type{Kind: value.KindEnum, Values: []string{"a", "it's"}}, "enum('a','it''s')"}, {value.Type{Kind: value.KindGeometry, Subtype: 1}, "point"}, {value.Type{Kind: value.KindVector, Length: 3}, "vector(3)"},
	}
	for _, tt := range tests {
		if got := tt.t.String(); got != tt.want {
			t.Errorf("%#v is %q, want %q", tt.t, got, tt.want)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for _, bb := range []struct {
		name string
		typ  value.Type
		text string
	}{
		{"int", value.Type{Kind: value.KindInt32}, "1234567"}, {"varchar", varchar(255), "hospital of x"}, {"double", value.Type{Kind: value.KindFloat64}, "12345.67"},
		{"double-long", value.Type{Kind: value.KindFloat64}, "0.30000000000000004"}, {"decimal", decimal(10, 2), "12345.67"}, {"decimal-wide", decimal(40, 10), "12345.67"},
		{"date", value.Type{Kind: value.KindDate}, "2020-01-02"}, {"datetime", value.Type{Kind: value.KindDatetime}, "2020-01-02 03:04:05"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			text := []byte(bb.text)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := value.Parse(bb.typ, text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendText(b *testing.B) {
	for _, bb := range []struct {
		name string
		typ  value.Type
		text string
	}{
		{"int", value.Type{Kind: value.KindInt32}, "1234567"}, {"varchar", varchar(255), "hospital of x"}, {"double", value.Type{Kind: value.KindFloat64}, "12345.67"},
		{"decimal", decimal(10, 2), "12345.67"}, {"decimal-wide", decimal(40, 10), "12345.67"}, {"datetime", value.Type{Kind: value.KindDatetime}, "2020-01-02 03:04:05"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			c, err := value.Parse(bb.typ, []byte(bb.text))
			if err != nil {
				b.Fatal(err)
			}
			dst := make([]byte, 0, 100)
			b.ReportAllocs()
			for b.Loop() {
				dst = value.AppendText(dst[:0], bb.typ, c)
			}
		})
	}
}
