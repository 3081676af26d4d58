package value_test

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/stemmadb/stemma/internal/value"
	"pgregory.net/rapid"
)

// keyTypes are a type of each kind that keys treat in a way of their own.
var keyTypes = []value.Type{
	{Kind: value.KindInt64},
	{Kind: value.KindUint64},
	{Kind: value.KindFloat64},
	{Kind: value.KindFloat32},
	{Kind: value.KindDecimal, Precision: 18, Scale: 4},
	{Kind: value.KindDecimal, Precision: 40, Scale: 10},
	{Kind: value.KindDatetime, Precision: 6},
	{Kind: value.KindVarchar, Length: 100, Collation: value.CollationUtf8mb40900Bin},
	{Kind: value.KindVarchar, Length: 100, Collation: value.CollationUtf8mb40900AiCi},
	{Kind: value.KindChar, Length: 100, Collation: value.CollationASCIIGeneral},
	{Kind: value.KindText, Length: 65535, Collation: value.CollationUtf8mb4General},
	{Kind: value.KindVarbinary, Length: 100},
}

// drawCell draws a cell of a key type, NULL now and then.
func drawCell(t *rapid.T, typ value.Type) value.Cell {
	if rapid.IntRange(0, 9).Draw(t, "null") == 0 {
		return value.Null
	}
	switch typ.Kind {
	case value.KindFloat64:
		return value.FloatCell(rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1),
			math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64})).Draw(t, "float"))
	case value.KindFloat32:
		return value.Float32Cell(rapid.OneOf(rapid.Float32(), rapid.SampledFrom([]float32{0, float32(math.Copysign(0, -1))})).Draw(t, "float"))
	case value.KindUint64:
		return value.UintCell(rapid.Uint64().Draw(t, "uint"))
	case value.KindDecimal:
		if typ.Precision > 18 {
			c, err := value.DecimalFromInt(typ, rapid.Int64().Draw(t, "decimal"))
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		return value.IntCell(rapid.Int64Range(-1e17, 1e17).Draw(t, "decimal"))
	case value.KindVarbinary:
		return value.BytesCell(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 0xfe, 0xff}), 0, 5).Draw(t, "bytes"))
	}
	if typ.Phys() == value.Bytes {
		return value.BytesCell(text().Draw(t, "text"))
	}
	return value.IntCell(rapid.Int64().Draw(t, "int"))
}

// compareCells is the order that keys must have, without keys.
func compareCells(typ value.Type, a, b value.Cell) int {
	switch {
	case a.IsNull() && b.IsNull():
		return 0
	case a.IsNull():
		return -1
	case b.IsNull():
		return 1
	}
	switch typ.Kind {
	case value.KindFloat64:
		return cmpOrdered(a.Float(), b.Float())
	case value.KindFloat32:
		return cmpOrdered(a.Float32(), b.Float32())
	case value.KindUint64:
		return cmpOrdered(a.Uint(), b.Uint())
	case value.KindDecimal:
		return value.DecimalBig(typ, a).Cmp(value.DecimalBig(typ, b))
	}
	if typ.Phys() == value.Bytes {
		return sign(value.Compare(typ.Collation, a.Bytes(), b.Bytes()))
	}
	return cmpOrdered(a.Int(), b.Int())
}

func cmpOrdered[T int64 | uint64 | float32 | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// TestKeyOrder checks that the byte order of keys of several columns is the order of the rows, and that keys come apart again.
func TestKeyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 3).Draw(t, "columns")
		parts := make([]value.KeyPart, n)
		a, b := make([]value.Cell, n), make([]value.Cell, n)
		want := 0
		for i := range parts {
			parts[i] = value.KeyPart{Type: rapid.SampledFrom(keyTypes).Draw(t, "type"), Desc: rapid.Bool().Draw(t, "desc")}
			a[i], b[i] = drawCell(t, parts[i].Type), drawCell(t, parts[i].Type)
			if rapid.IntRange(0, 2).Draw(t, "same") == 0 {
				b[i] = a[i]
			}
			if want == 0 {
				want = compareCells(parts[i].Type, a[i], b[i])
				if parts[i].Desc {
					want = -want
				}
			}
		}
		ka, kb := value.AppendKey(nil, parts, a), value.AppendKey(nil, parts, b)
		if got := bytes.Compare(ka, kb); got != want {
			t.Fatalf("keys %x %x: order %d, want %d", ka, kb, got, want)
		}
		split, err := value.SplitKey(nil, parts, append(slices.Clip(ka), 7))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(bytes.Join(split, nil), ka) {
			t.Fatalf("split %x of %x", split, ka)
		}
		for i := range parts {
			if got := value.AppendKeyPart([]byte("x"), &parts[i], a[i]); !bytes.Equal(got[1:], split[i]) {
				t.Fatalf("part %d is %x in %x", i, got[1:], ka)
			}
			if value.IsNullPart(split[i], &parts[i]) != a[i].IsNull() {
				t.Fatalf("IsNullPart(%x) is wrong", split[i])
			}
			for cut := range len(split[i]) {
				if got := value.KeyPartLen(split[i][:cut], &parts[i]); got >= 0 {
					t.Fatalf("KeyPartLen of %d of the bytes of %x is %d", cut, split[i], got)
				}
			}
		}
	})
}

func TestKeyPrefix(t *testing.T) {
	tests := []struct {
		kind   value.Kind
		c      value.Collation
		prefix uint32
		in     string
		want   string
	}{
		{value.KindVarchar, value.CollationUtf8mb40900Bin, 3, "ab", "ab"},
		{value.KindVarchar, value.CollationUtf8mb40900Bin, 3, "abcd", "abc"},
		{value.KindVarchar, value.CollationUtf8mb40900Bin, 2, "äöü", "äö"},
		{value.KindVarchar, value.CollationUtf8mb40900Bin, 3, "äö", "äö"},
		{value.KindVarchar, value.CollationUtf8mb40900Bin, 2, "\xff\xffa", "\xff\xff"},
		{value.KindText, value.CollationUtf8mb40900AiCi, 1, "Éa", "e"},
		{value.KindVarbinary, value.CollationNone, 3, "äö", "ä\xc3"},
		{value.KindBlob, value.CollationNone, 1, "\x00\x00", "\x00"},
	}
	for _, tt := range tests {
		cut := value.KeyPart{Type: value.Type{Kind: tt.kind, Collation: tt.c}, Prefix: tt.prefix}
		whole := value.KeyPart{Type: cut.Type}
		got := value.AppendKeyPart(nil, &cut, value.BytesCell([]byte(tt.in)))
		want := value.AppendKeyPart(nil, &whole, value.BytesCell([]byte(tt.want)))
		if !bytes.Equal(got, want) {
			t.Errorf("first %d of %q: part %x, want that of %q, %x", tt.prefix, tt.in, got, tt.want, want)
		}
	}
}

func TestPrefixEnd(t *testing.T) {
	tests := []struct{ in, want string }{
		{"a", "b"}, {"a\xff", "b"}, {"a\xff\xff", "b"}, {"\x00", "\x01"}, {"a\x00", "a\x01"}, {"\xfe", "\xff"},
	}
	for _, tt := range tests {
		if got := value.PrefixEnd([]byte(tt.in)); string(got) != tt.want {
			t.Errorf("PrefixEnd(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
	for _, in := range []string{"", "\xff", "\xff\xff"} {
		if got := value.PrefixEnd([]byte(in)); got != nil {
			t.Errorf("PrefixEnd(%q) = %q, want none", in, got)
		}
	}
	in := []byte("a\xff")
	value.PrefixEnd(in)
	if string(in) != "a\xff" {
		t.Error("PrefixEnd changed its argument")
	}
}

func TestNaN(t *testing.T) {
	if !value.IsNaN(value.Float64, value.FloatCell(math.NaN())) || value.IsNaN(value.Float64, value.FloatCell(1)) ||
		!value.IsNaN(value.Float32, value.Float32Cell(float32(math.NaN()))) || value.IsNaN(value.Int64, value.IntCell(-1)) {
		t.Error("IsNaN is wrong")
	}
	p := value.KeyPart{Type: value.Type{Kind: value.KindFloat64}}
	inf, nan := value.AppendKeyPart(nil, &p, value.FloatCell(math.Inf(1))), value.AppendKeyPart(nil, &p, value.FloatCell(math.NaN()))
	if bytes.Compare(inf, nan) >= 0 {
		t.Error("NaN is not above all numbers")
	}
}

func FuzzKeyPartLen(f *testing.F) {
	f.Add([]byte{1, 'a', 0, 0xff, 0, 0}, byte(11), false)
	f.Add([]byte{0xfe, 0xff, 0xff}, byte(7), true)
	f.Add([]byte{1, 2, 3, 4, 5}, byte(3), false)
	f.Fuzz(func(t *testing.T, key []byte, which byte, desc bool) {
		p := value.KeyPart{Type: keyTypes[int(which)%len(keyTypes)], Desc: desc}
		n := value.KeyPartLen(key, &p)
		if n == 0 || n > len(key) {
			t.Fatalf("length %d of %d bytes", n, len(key))
		}
		if n > 0 && value.KeyPartLen(key[:n], &p) != n {
			t.Fatal("the length depends on what follows")
		}
		if _, err := value.SplitKey(nil, []value.KeyPart{p, p}, key); n < 0 && err == nil {
			t.Fatal("SplitKey reads what KeyPartLen refuses")
		}
	})
}

func BenchmarkAppendKeyPart(b *testing.B) {
	for _, bb := range []struct {
		name string
		typ  value.Type
		cell value.Cell
	}{
		{"int", value.Type{Kind: value.KindInt64}, value.IntCell(42)},
		{"bin", value.Type{Kind: value.KindVarchar, Length: 100, Collation: value.CollationUtf8mb40900Bin}, value.BytesCell([]byte("hospital of saint x"))},
		{"ai_ci", value.Type{Kind: value.KindVarchar, Length: 100, Collation: value.CollationUtf8mb40900AiCi}, value.BytesCell([]byte("hospital of saint x"))},
		{"ai_ci-cyrillic", value.Type{Kind: value.KindVarchar, Length: 100, Collation: value.CollationUtf8mb40900AiCi}, value.BytesCell([]byte("больница святого x"))},
	} {
		b.Run(bb.name, func(b *testing.B) {
			p := value.KeyPart{Type: bb.typ}
			dst := make([]byte, 0, 100)
			b.ReportAllocs()
			for b.Loop() {
				dst = value.AppendKeyPart(dst[:0], &p, bb.cell)
			}
		})
	}
}
