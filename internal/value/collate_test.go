package value_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"testing"
	"unicode/utf8"

	"github.com/stemmadb/stemma/internal/value"
	"pgregory.net/rapid"
)

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

// weighted are the collations that are not the order of bytes.
var weighted = []value.Collation{value.CollationUtf8mb40900AiCi, value.CollationUtf8mb4General, value.CollationASCIIGeneral}

func TestCollationNames(t *testing.T) {
	for _, c := range value.Collations() {
		got, ok := value.ParseCollation(c.String())
		if !ok || got != c {
			t.Errorf("ParseCollation(%q) = %v, %v", c.String(), got, ok)
		}
	}
	if c, ok := value.ParseCollation("UTF8MB4_0900_AI_CI"); !ok || c != value.CollationUtf8mb40900AiCi {
		t.Errorf("names are not case-insensitive: %v, %v", c, ok)
	}
	for _, name := range []string{"", "none", "utf8mb4_de_pb_0900_ai_ci"} {
		if _, ok := value.ParseCollation(name); ok {
			t.Errorf("ParseCollation(%q) is a collation", name)
		}
	}
	if got := value.Collation(200).String(); got != "none" {
		t.Errorf("Collation(200) = %q", got)
	}
}

func TestCompare(t *testing.T) {
	tests := []struct {
		c    value.Collation
		a, b string
		want int
	}{
		{value.CollationUtf8mb40900Bin, "a", "B", 1},
		{value.CollationUtf8mb40900Bin, "a", "a ", -1},
		{value.CollationUtf8mb40900Bin, "\uffff", "\U00010000", -1},
		{value.CollationBinary, "\xff", "\x00", 1},
		{value.CollationUtf8mb40900AiCi, "a", "B", -1},
		{value.CollationUtf8mb40900AiCi, "resume", "RÉSUMÉ", 0},
		{value.CollationUtf8mb40900AiCi, "a", "a ", -1},
		{value.CollationUtf8mb40900AiCi, "z", "ω", -1},
		{value.CollationUtf8mb40900AiCi, "", "\x00", -1},
		{value.CollationUtf8mb40900AiCi, "\x00", "\x01", 0},
		{value.CollationUtf8mb40900AiCi, "_", "a", -1},
		{value.CollationUtf8mb40900AiCi, "\xff", "\ufffd", 0},
		{value.CollationUtf8mb4General, "ä", "A", 0},
		{value.CollationUtf8mb4General, "ß", "s", 0},
		{value.CollationUtf8mb4General, "a", "A ", -1},
		{value.CollationUtf8mb4General, "_", "a", 1},
		{value.CollationUtf8mb4General, "😀", "🚀", 0},
		{value.CollationUtf8mb4Bin, "a", "A", 1},
		{value.CollationASCIIBin, "a", "a ", -1},
		{value.CollationASCIIGeneral, "aB", "Ab", 0},
		{value.CollationASCIIGeneral, "a", "B", -1},
		{value.CollationASCIIGeneral, "_", "a", 1},
		{value.CollationASCIIGeneral, "{", "z", 1},
		{value.CollationASCIIGeneral, "a", "a ", -1},
	}
	for _, tt := range tests {
		if got := sign(value.Compare(tt.c, []byte(tt.a), []byte(tt.b))); got != tt.want {
			t.Errorf("%v: Compare(%q, %q) = %d, want %d", tt.c, tt.a, tt.b, got, tt.want)
		}
		if got := value.Equal(tt.c, []byte(tt.a), []byte(tt.b)); got != (tt.want == 0) {
			t.Errorf("%v: Equal(%q, %q) = %v", tt.c, tt.a, tt.b, got)
		}
	}
}

// text draws strings that are close to one another, with case, accents, scripts, zero bytes and bytes that are not UTF-8.
func text() *rapid.Generator[[]byte] {
	piece := rapid.OneOf(
		rapid.SampledFrom([]string{"", "a", "A", "á", "b", "B", "z", "Z", "{", "_", " ", "\x00", "\x01", "ß", "ss", "Ω", "ω", "я", "中", "한",
			"😀", "\xff", "\xc3", "\xed\xa0\x80", "\ufffd", "\U0010ffff", "\ud7ff", "\ue000"}),
		rapid.Map(rapid.Rune(), func(r rune) string { return string(r) }),
	)
	return rapid.Custom(func(t *rapid.T) []byte {
		var out []byte
		for _, s := range rapid.SliceOfN(piece, 0, 6).Draw(t, "pieces") {
			out = append(out, s...)
		}
		return out
	})
}

// TestSortKeyOrder checks that sort keys and key parts have the order of Compare, and that the order is one.
func TestSortKeyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom(value.Collations()).Draw(t, "collation")
		a, b, d := text().Draw(t, "a"), text().Draw(t, "b"), text().Draw(t, "d")
		want := sign(value.Compare(c, a, b))
		if got := sign(-value.Compare(c, b, a)); got != want {
			t.Fatalf("Compare is not antisymmetric")
		}
		if value.Compare(c, a, b) <= 0 && value.Compare(c, b, d) <= 0 && value.Compare(c, a, d) > 0 {
			t.Fatalf("Compare is not transitive")
		}
		ka, kb := value.AppendSortKey(nil, c, a), value.AppendSortKey(nil, c, b)
		if got := bytes.Compare(ka, kb); got != want {
			t.Fatalf("sort keys %x %x: order %d, want %d", ka, kb, got, want)
		}
		p := value.KeyPart{Type: value.Type{Kind: value.KindVarchar, Length: 100, Collation: c}}
		pa, pb := value.AppendKeyPart(nil, &p, value.BytesCell(a)), value.AppendKeyPart(nil, &p, value.BytesCell(b))
		if got := bytes.Compare(pa, pb); got != want {
			t.Fatalf("key parts %x %x: order %d, want %d", pa, pb, got, want)
		}
	})
}

// TestWeightsOfEveryCodePoint checks that the sort key of each code point is prefix-free and ordered as Compare orders it against
// its neighbour and against fixed characters.
func TestWeightsOfEveryCodePoint(t *testing.T) {
	for _, c := range weighted {
		var prev, prevKey []byte
		for r := rune(0); r <= utf8.MaxRune; r++ {
			if !utf8.ValidRune(r) {
				continue
			}
			s := utf8.AppendRune(nil, r)
			key := value.AppendSortKey(nil, c, s)
			if c != value.CollationASCIIGeneral && (len(key) == 0 || len(key) > 3 || bytes.IndexByte(key, 0) >= 0) {
				t.Fatalf("%v: U+%04X has sort key %x", c, r, key)
			}
			if r > 0 && bytes.Compare(prevKey, key) != sign(value.Compare(c, prev, s)) {
				t.Fatalf("%v: %q and %q: keys %x %x, Compare %d", c, prev, s, prevKey, key, value.Compare(c, prev, s))
			}
			if !bytes.Equal(prevKey, key) && (bytes.HasPrefix(key, prevKey) || bytes.HasPrefix(prevKey, key)) && r > 0 {
				t.Fatalf("%v: the key of one of %q, %q begins the other's", c, prev, s)
			}
			prev, prevKey = s, key
		}
	}
}

// TestASCIISortKeyIsShort pins that ASCII text takes no more room in keys than in pages.
func TestASCIISortKeyIsShort(t *testing.T) {
	for _, c := range weighted {
		for b := byte(0); b < utf8.RuneSelf; b++ {
			if key := value.AppendSortKey(nil, c, []byte{b}); len(key) != 1 {
				t.Errorf("%v: sort key of %q is %x", c, b, key)
			}
		}
	}
}

// TestWeightsFrozen pins the weights: a change orders stored keys anew and needs new collation numbers.
func TestWeightsFrozen(t *testing.T) {
	data, err := os.ReadFile("weights.bin")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	if got, want := hex.EncodeToString(sum[:]), "6ca06323e0a5b37faee497a05c6771d199b3b88f08d55f5b46331c8beffbfbfa"; got != want {
		t.Errorf("weights.bin has SHA-256 %s, want %s", got, want)
	}
}

func TestCompareDoesNotAllocate(t *testing.T) {
	a, b := []byte("Grüße aus Köln, 東京 und Москва"), []byte("grusse AUS koln")
	dst := make([]byte, 0, 200)
	for _, c := range value.Collations() {
		p := value.KeyPart{Type: value.Type{Kind: value.KindVarchar, Length: 100, Collation: c}}
		if n := testing.AllocsPerRun(100, func() {
			value.Compare(c, a, b)
			dst = value.AppendKeyPart(dst[:0], &p, value.BytesCell(a))
		}); n != 0 {
			t.Errorf("%v: %v allocations", c, n)
		}
	}
}
