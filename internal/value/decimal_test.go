package value_test

import (
	"bytes"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
	"pgregory.net/rapid"
)

func decimal(precision, scale uint8) value.Type {
	return value.Type{Kind: value.KindDecimal, Precision: precision, Scale: scale}
}

func TestDecimal(t *testing.T) {
	nines := strings.Repeat("9", 65)
	tests := []struct {
		p, s uint8
		in   string
		want string // "" for an error
	}{
		{5, 2, "0", "0.00"}, {5, 2, "1", "1.00"}, {5, 2, "-1.5", "-1.50"}, {5, 2, "+1.50", "1.50"},
		{5, 2, "999.99", "999.99"}, {5, 2, "1000", ""}, {5, 2, "999.994", "999.99"}, {5, 2, "999.995", ""}, {5, 2, "-999.995", ""},
		{5, 2, "1.005", "1.01"}, {5, 2, "-1.005", "-1.01"}, {5, 2, "1.00499999", "1.00"}, {5, 2, "0.005", "0.01"}, {5, 2, "-0.004", "0.00"},
		{5, 2, "1e2", "100.00"}, {5, 2, "1E+2", "100.00"}, {5, 2, "12345e-3", "12.35"}, {5, 2, "5e-3", "0.01"}, {5, 2, "5e-4", "0.00"},
		{5, 2, "1e3", ""}, {5, 2, "1e999999999999999999999", ""}, {5, 2, "1e-999999999999999999999", "0.00"}, {5, 2, "0e999999999", "0.00"},
		{5, 2, ".5", "0.50"}, {5, 2, "5.", "5.00"}, {5, 2, "000000000001", "1.00"}, {5, 2, "0.000000000000000000000001e24", "1.00"},
		{5, 2, "", ""}, {5, 2, ".", ""}, {5, 2, "-", ""}, {5, 2, "1e", ""}, {5, 2, "1e+", ""}, {5, 2, "1.2.3", ""}, {5, 2, " 1", ""},
		{5, 2, "0x10", ""}, {5, 2, "NaN", ""}, {5, 2, "1_0", ""}, {5, 2, "1,0", ""}, {5, 2, "e5", ""}, {5, 2, "--1", ""},
		{1, 0, "9.4", "9"}, {1, 0, "9.5", ""}, {1, 1, "0.94", "0.9"}, {1, 1, "0.95", ""}, {1, 0, "0.5", "1"}, {1, 0, "-0.5", "-1"}, {1, 0, "0.05", "0"},
		{18, 0, "999999999999999999", "999999999999999999"}, {18, 0, "1000000000000000000", ""}, {18, 18, "0.123456789012345678", "0.123456789012345678"},
		{18, 18, "1", ""}, {18, 0, "-999999999999999999.5", ""},
		{19, 0, "9999999999999999999", "9999999999999999999"}, {19, 0, "-9999999999999999999", "-9999999999999999999"}, {19, 0, "10000000000000000000", ""},
		{19, 0, "9999999999999999999.5", ""}, {20, 2, "-0.005", "-0.01"}, {20, 2, "-0.004", "0.00"}, {20, 2, "0", "0.00"},
		{38, 10, "1234567890123456789012345678.0123456789", "1234567890123456789012345678.0123456789"},
		{65, 0, nines, nines}, {65, 0, "-" + nines, "-" + nines}, {65, 0, nines + ".5", ""}, {65, 0, "1e65", ""}, {65, 0, "1e64", "1" + strings.Repeat("0", 64)},
		{65, 30, nines[:35] + "." + nines[:30], nines[:35] + "." + nines[:30]}, {65, 30, "1e-30", "0." + strings.Repeat("0", 29) + "1"}, {65, 30, "4e-31", "0." + strings.Repeat("0", 30)},
	}
	for _, tt := range tests {
		typ := decimal(tt.p, tt.s)
		c, err := value.DecimalFromString(typ, tt.in)
		if tt.want == "" {
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("%v %q: %v, want an invalid value", typ, tt.in, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v: %v", typ, err)
			continue
		}
		if got := value.DecimalString(typ, c); got != tt.want {
			t.Errorf("%v %q = %q, want %q", typ, tt.in, got, tt.want)
		}
	}
}

// TestDecimalLen checks the length against its definition for every precision, and that the extremes fit.
func TestDecimalLen(t *testing.T) {
	for p := uint8(19); p <= value.MaxPrecision; p++ {
		limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(p)), nil)
		n := 1
		for new(big.Int).Lsh(big.NewInt(1), uint(8*n-1)).Cmp(limit) < 0 {
			n++
		}
		if got := value.DecimalLen(p); got != n {
			t.Errorf("DecimalLen(%d) = %d, want %d", p, got, n)
		}
		most := new(big.Int).Sub(limit, big.NewInt(1))
		for _, v := range []*big.Int{most, new(big.Int).Neg(most), big.NewInt(0), big.NewInt(-1), big.NewInt(1)} {
			c, err := value.DecimalFromBig(decimal(p, 0), v)
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Bytes()) != n {
				t.Errorf("precision %d: %d bytes", p, len(c.Bytes()))
			}
			if got := value.DecimalBig(decimal(p, 0), c); got.Cmp(v) != 0 {
				t.Errorf("precision %d: %v comes back as %v", p, v, got)
			}
		}
		if _, err := value.DecimalFromBig(decimal(p, 0), limit); !errs.Is(err, errs.Invalid) {
			t.Errorf("10^%d fits precision %d: %v", p, p, err)
		}
	}
	if _, err := value.DecimalFromBig(decimal(65, 0), new(big.Int).Lsh(big.NewInt(-1), 1000)); !errs.Is(err, errs.Invalid) {
		t.Errorf("2^1000 fits: %v", err)
	}
}

// TestDecimalModel compares text, big integers and order with math/big.
func TestDecimalModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.Uint8Range(1, 65).Draw(t, "precision")
		s := rapid.Uint8Range(0, min(p, 30)).Draw(t, "scale")
		typ := decimal(p, s)
		limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(p)), nil)
		draw := func(label string) (*big.Int, value.Cell) {
			digits := rapid.StringMatching(fmt.Sprintf("-?[0-9]{1,%d}", p+3)).Draw(t, label)
			n, _ := new(big.Int).SetString(digits, 10)
			n.Rem(n, limit)
			c, err := value.DecimalFromBig(typ, n)
			if err != nil {
				t.Fatal(err)
			}
			if got := value.DecimalBig(typ, c); got.Cmp(n) != 0 {
				t.Fatalf("%v comes back as %v", n, got)
			}
			text := value.DecimalString(typ, c)
			if want := new(big.Rat).SetFrac(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(s)), nil)).FloatString(int(s)); text != want {
				t.Fatalf("%v at scale %d is %q, want %q", n, s, text, want)
			}
			back, err := value.DecimalFromString(typ, text)
			if err != nil || !back.Equal(c) {
				t.Fatalf("%q comes back as %v, %v", text, back, err)
			}
			return n, c
		}
		a, ca := draw("a")
		b, cb := draw("b")
		if typ.Phys() == value.Bytes {
			if got := bytes.Compare(ca.Bytes(), cb.Bytes()); got != a.Cmp(b) {
				t.Fatalf("%v %v: order of bytes %d", a, b, got)
			}
		} else if ca.Int() != a.Int64() {
			t.Fatalf("%v is kept as %d", a, ca.Int())
		}
	})
}

// TestDecimalRounding compares the rounding of long texts with math/big.
func TestDecimalRounding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.Uint8Range(1, 65).Draw(t, "precision")
		s := rapid.Uint8Range(0, min(p, 30)).Draw(t, "scale")
		text := rapid.StringMatching(`-?[0-9]{1,30}(\.[0-9]{0,40})?(e-?[0-9]{1,2})?`).Draw(t, "text")
		exact, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatalf("big.Rat does not read %q", text)
		}
		scaled := new(big.Rat).Mul(exact, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(s)), nil)))
		want, _ := new(big.Int).SetString(scaled.FloatString(0), 10) // rounds half away from zero
		c, err := value.DecimalFromString(decimal(p, s), text)
		fits := new(big.Int).Abs(want).Cmp(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(p)), nil)) < 0
		if fits != (err == nil) {
			t.Fatalf("%q: %v, but it rounds to %v", text, err, want)
		}
		if err == nil && value.DecimalBig(decimal(p, s), c).Cmp(want) != 0 {
			t.Fatalf("%q is %v, want %v", text, value.DecimalBig(decimal(p, s), c), want)
		}
	})
}

func TestDecimalFromInt(t *testing.T) {
	tests := []struct {
		typ  value.Type
		in   int64
		want string
	}{
		{decimal(5, 2), 12, "12.00"}, {decimal(5, 2), -999, "-999.00"}, {decimal(5, 2), 1000, ""}, {decimal(18, 0), 1e18, ""},
		{decimal(18, 0), -1e18 + 1, "-999999999999999999"}, {decimal(19, 0), -1 << 63, "-9223372036854775808"}, {decimal(18, 0), -1 << 63, ""},
		{decimal(65, 30), 1<<63 - 1, "9223372036854775807." + strings.Repeat("0", 30)},
	}
	for _, tt := range tests {
		c, err := value.DecimalFromInt(tt.typ, tt.in)
		if (err == nil) != (tt.want != "") {
			t.Errorf("%v %d: %v", tt.typ, tt.in, err)
		} else if err == nil && value.DecimalString(tt.typ, c) != tt.want {
			t.Errorf("%v %d = %s, want %s", tt.typ, tt.in, value.DecimalString(tt.typ, c), tt.want)
		}
	}
}
