package value_test

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

func TestTypeRoundTrip(t *testing.T) {
	for _, typ := range everyType() {
		b := value.AppendType([]byte("x"), typ)
		got, rest, err := value.DecodeType(append(b[1:], "rest"...))
		if err != nil || !got.Equal(typ) || string(rest) != "rest" {
			t.Errorf("%v comes back as %v, rest %q, %v", typ, got, rest, err)
		}
		for cut := range len(b) - 1 {
			if _, _, err := value.DecodeType(b[1 : 1+cut]); !errs.Is(err, errs.Corrupt) {
				t.Errorf("%v: %d of %d bytes: %v", typ, cut, len(b)-1, err)
			}
		}
	}
}

// TestTypeBytes pins the encoding.
func TestTypeBytes(t *testing.T) {
	tests := []struct {
		t    value.Type
		want string
	}{
		{value.Type{Kind: value.KindInt64}, "0500"},
		{value.Type{Kind: value.KindVarchar, Length: 300, Collation: value.CollationUtf8mb40900Bin}, "1709ac0202"},
		{decimal(10, 2), "0d060a02"},
		{value.Type{Kind: value.KindGeometry, Subtype: 1, SRID: 4326, HasSRID: true}, "1d7001e621"},
		{value.Type{Kind: value.KindGeometry, HasSRID: true}, "1d40"},
		{value.Type{Kind: value.KindEnum, Values: []string{"a", ""}, Collation: value.CollationUtf8mb4General}, "1488050201" + "6100"},
	}
	for _, tt := range tests {
		if got := hex.EncodeToString(value.AppendType(nil, tt.t)); got != tt.want {
			t.Errorf("%v is %s, want %s", tt.t, got, tt.want)
		}
	}
}

func TestDecodeTypeRefuses(t *testing.T) {
	for _, in := range []string{
		"", "05", "0000", "1f00", "ff00", // short, no kind, unknown kinds
		"170100", "1701", "17018000", "1701ffffffff1f", "1701ffffffffffffffffffff01", // lengths: zero, absent, not minimal, too large
		"17090500", "170905ff", // collations: zero though present, unknown
		"0d04" + "02", "0d0242", "0d060203", "0d06411f", // decimals: no precision, 66 digits, scale above precision, scale 31
		"120207", "0e0141", "0e00", "19018002", // datetime(7), bit(65), bit(0), binary(256)
		"1480", "148000", "148002" + "0161", "1480ffffffff0f", // values: absent, none, too few, too many
	} {
		b, err := hex.DecodeString(in)
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := value.DecodeType(b); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%s decodes as %v, %v", in, got, err)
		}
	}
}

func FuzzDecodeType(f *testing.F) {
	for _, typ := range everyType() {
		f.Add(value.AppendType(nil, typ))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		typ, rest, err := value.DecodeType(b)
		if err != nil {
			if !errs.Is(err, errs.Corrupt) {
				t.Fatalf("class of %v", err)
			}
			return
		}
		if again := value.AppendType(nil, typ); !bytes.Equal(again, b[:len(b)-len(rest)]) {
			t.Fatalf("%x decodes as %v, which is %x", b, typ, again)
		}
	})
}
