package types_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"unicode/utf8"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/sqltypes"

	"github.com/stemmadb/stemma/internal/value"
)

// engineCollations are the SQL engine's ids of the collations that are stored.
var engineCollations = map[value.Collation]sql.CollationID{
	value.CollationBinary:          sql.Collation_binary,
	value.CollationUtf8mb40900Bin:  sql.Collation_utf8mb4_0900_bin,
	value.CollationUtf8mb40900AiCi: sql.Collation_utf8mb4_0900_ai_ci,
	value.CollationUtf8mb4Bin:      sql.Collation_utf8mb4_bin,
	value.CollationUtf8mb4General:  sql.Collation_utf8mb4_general_ci,
	value.CollationASCIIBin:        sql.Collation_ascii_bin,
	value.CollationASCIIGeneral:    sql.Collation_ascii_general_ci,
}

// maxRune is the last character of a collation's character set.
func maxRune(c value.Collation) rune {
	if c == value.CollationASCIIBin || c == value.CollationASCIIGeneral {
		return utf8.RuneSelf - 1
	}
	return utf8.MaxRune
}

func TestCollationNamesAreTheEngines(t *testing.T) {
	for _, c := range value.Collations() {
		id, ok := engineCollations[c]
		if !ok {
			t.Errorf("%v has no engine collation", c)
		} else if id.Name() != c.String() {
			t.Errorf("%v is %q in the engine", c, id.Name())
		}
	}
}

// TestCollationWeightsAreTheEngines compares the order of every two code points of each collation: through a sample of partners
// that covers each weight's neighbours, as both sides order by whole numbers.
func TestCollationWeightsAreTheEngines(t *testing.T) {
	for c, id := range engineCollations {
		if c == value.CollationBinary { // bytes, not characters
			continue
		}
		sorter := id.Sorter()
		// byWeight is a character of each weight; equal and neighbouring weights decide the order of all.
		byWeight := map[int32]rune{}
		top := int32(-1)
		for r := rune(0); r <= maxRune(c); r++ {
			if !utf8.ValidRune(r) {
				continue
			}
			w := sorter(r)
			if other, ok := byWeight[w]; !ok {
				byWeight[w] = r
				top = max(top, w)
			} else if !value.Equal(c, utf8.AppendRune(nil, r), utf8.AppendRune(nil, other)) {
				t.Fatalf("%v: %q and %q are equal in the engine", c, r, other)
			}
		}
		var last []byte
		for w := int32(0); w <= top; w++ {
			r, ok := byWeight[w]
			if !ok {
				continue
			}
			s := utf8.AppendRune(nil, r)
			if last != nil && value.Compare(c, last, s) >= 0 {
				t.Fatalf("%v: %q is below %q in the engine", c, last, s)
			}
			last = s
		}
	}
}

// TestCollationOrderIsTheEngines compares whole strings, so padding and prefixes count.
func TestCollationOrderIsTheEngines(t *testing.T) {
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(1, 2))
	for c, id := range engineCollations {
		base := sqltypes.VarChar
		if c == value.CollationBinary {
			base = sqltypes.VarBinary
		}
		typ, err := types.CreateString(base, 200, id)
		if err != nil {
			t.Fatal(err)
		}
		draw := func() string {
			var s []byte
			for range rng.IntN(6) {
				switch rng.IntN(4) {
				case 0:
					s = append(s, "aAbBzZ _{"[rng.IntN(9)])
				case 1:
					s = append(s, byte(rng.IntN(utf8.RuneSelf)))
				case 2:
					s = utf8.AppendRune(s, min(rune(rng.IntN(0x300)), maxRune(c)))
				default:
					r := rune(rng.IntN(int(maxRune(c)) + 1))
					if utf8.ValidRune(r) {
						s = utf8.AppendRune(s, r)
					}
				}
			}
			return string(s)
		}
		for range 100_000 {
			a, b := draw(), draw()
			if rng.IntN(4) == 0 {
				b = a + " "
			}
			want, err := typ.Compare(ctx, a, b)
			if err != nil {
				t.Fatal(err)
			}
			got := value.Compare(c, []byte(a), []byte(b))
			if want != sign(got) {
				t.Fatalf("%v: Compare(%q, %q) = %d, the engine says %d", c, a, b, got, want)
			}
		}
	}
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
