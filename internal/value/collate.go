package value

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// Collation orders the strings of a character type. The numbers are part of the format; the weights behind them are generated
// from the pinned SQL engine and frozen with the number.
//
// No collation pads: "a" and "a " differ in all of them. MySQL pads with spaces under the collations marked PAD SPACE below; the
// SQL engine does not, and stored order must be the engine's.
//
// Strings that are not valid UTF-8 are ordered too: the byte orders take them as bytes, the weighted collations take each byte
// that begins no character as U+FFFD.
type Collation uint8

// The collations. CollationNone is for types that have none; it orders bytes.
const (
	CollationNone            Collation = 0
	CollationBinary          Collation = 1 // binary: bytes
	CollationUtf8mb40900Bin  Collation = 2 // utf8mb4_0900_bin: code points, which is the order of the bytes: the default
	CollationUtf8mb40900AiCi Collation = 3 // utf8mb4_0900_ai_ci: Unicode primary weights
	CollationUtf8mb4Bin      Collation = 4 // utf8mb4_bin: code points (PAD SPACE in MySQL)
	CollationUtf8mb4General  Collation = 5 // utf8mb4_general_ci (PAD SPACE in MySQL)
	CollationASCIIBin        Collation = 6 // ascii_bin: bytes (PAD SPACE in MySQL)
	CollationASCIIGeneral    Collation = 7 // ascii_general_ci: letters without case (PAD SPACE in MySQL)
)

// collationNames are MySQL's names, by number.
var collationNames = [...]string{
	CollationNone: "none", CollationBinary: "binary", CollationUtf8mb40900Bin: "utf8mb4_0900_bin",
	CollationUtf8mb40900AiCi: "utf8mb4_0900_ai_ci", CollationUtf8mb4Bin: "utf8mb4_bin", CollationUtf8mb4General: "utf8mb4_general_ci",
	CollationASCIIBin: "ascii_bin", CollationASCIIGeneral: "ascii_general_ci",
}

// Collations lists every collation but CollationNone, for the tables that must cover them all.
func Collations() []Collation {
	out := make([]Collation, 0, len(collationNames)-1)
	for c := CollationBinary; int(c) < len(collationNames); c++ {
		out = append(out, c)
	}
	return out
}

// String is MySQL's name of the collation; "none" for CollationNone and for numbers that are not collations.
func (c Collation) String() string {
	if int(c) < len(collationNames) {
		return collationNames[c]
	}
	return collationNames[CollationNone]
}

// ParseCollation reads a MySQL name in any case; ok is false for names of collations that are not offered.
func ParseCollation(name string) (c Collation, ok bool) {
	for _, c := range Collations() {
		if strings.EqualFold(name, collationNames[c]) {
			return c, true
		}
	}
	return CollationNone, false
}

// Bytewise tells whether the collation orders strings as their bytes: then strings are equal only when they are the same.
func (c Collation) Bytewise() bool {
	switch c {
	case CollationUtf8mb40900AiCi, CollationUtf8mb4General, CollationASCIIGeneral:
		return false
	}
	return true
}

// ASCII tells whether the collation is of MySQL's character set ascii.
func (c Collation) ASCII() bool { return c == CollationASCIIBin || c == CollationASCIIGeneral }

// Beyond is the place of the first byte that text of the collation's character set cannot have; -1 when there is none. Text is UTF-8.
func (c Collation) Beyond(text []byte) int {
	if !c.ASCII() {
		return -1
	}
	return bytes.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
}

// Compare orders a and b: negative, zero or positive. It is the order of their sort keys, and zero holds for a whole class of
// strings under collations that are not Bytewise. It does not allocate.
func Compare(c Collation, a, b []byte) int {
	switch c {
	case CollationASCIIGeneral:
		return compareFolded(a, b)
	case CollationUtf8mb40900AiCi, CollationUtf8mb4General:
		return compareWeights(weightsOf(c), a, b)
	}
	return bytes.Compare(a, b)
}

// Equal tells whether a and b are one value under the collation.
func Equal(c Collation, a, b []byte) bool {
	if c.Bytewise() {
		return bytes.Equal(a, b)
	}
	return Compare(c, a, b) == 0
}

// AppendSortKey appends bytes to dst whose order is the collation's and which are equal for equal strings. They have no end mark:
// a key of several parts needs AppendKeyPart.
func AppendSortKey(dst []byte, c Collation, s []byte) []byte {
	switch c {
	case CollationASCIIGeneral:
		for _, b := range s {
			dst = append(dst, foldASCII(b))
		}
		return dst
	case CollationUtf8mb40900AiCi, CollationUtf8mb4General:
		return appendCodes(dst, weightsOf(c), s)
	}
	return append(dst, s...)
}

// appendSortKey appends the payload of a part of class Bytes.
func appendSortKey(dst []byte, p *KeyPart, b []byte) []byte {
	if p.Prefix != 0 && len(b) > int(p.Prefix) {
		b = b[:prefixLen(p, b)]
	}
	if !isCharacter(p.Type.Kind) {
		return appendEscaped(dst, b)
	}
	switch c := p.Type.Collation; c {
	case CollationASCIIGeneral:
		for _, b := range b {
			w := foldASCII(b)
			dst = append(dst, w)
			if w == 0 {
				dst = append(dst, 0xff)
			}
		}
		return append(dst, 0, 0)
	case CollationUtf8mb40900AiCi, CollationUtf8mb4General: // codes have no zero bytes
		return append(appendCodes(dst, weightsOf(c), b), 0, 0)
	}
	return appendEscaped(dst, b)
}

// prefixLen is the length in bytes of the part of b that p indexes; b is longer than p.Prefix bytes.
func prefixLen(p *KeyPart, b []byte) int {
	n := int(p.Prefix)
	if !isCharacter(p.Type.Kind) {
		return n
	}
	at := 0
	for ; n > 0 && at < len(b); n-- {
		if b[at] < utf8.RuneSelf {
			at++
			continue
		}
		_, size := utf8.DecodeRune(b[at:])
		at += size
	}
	return at
}

// isCharacter tells whether cells of the kind are text, counted in characters and ordered by a collation.
func isCharacter(k Kind) bool { return k == KindChar || k == KindVarchar || k == KindText }

// foldASCII is a byte's weight under ascii_general_ci: letters as upper case, with the gap of the lower case ones closed behind
// them. Bytes outside ASCII, which no valid string has, follow in their own order.
func foldASCII(b byte) byte {
	switch {
	case b < 'a' || b >= utf8.RuneSelf:
		return b
	case b <= 'z':
		return b - ('a' - 'A')
	}
	return b - 26
}

func compareFolded(a, b []byte) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		if a[i] != b[i] {
			if x, y := foldASCII(a[i]), foldASCII(b[i]); x != y {
				return int(x) - int(y)
			}
		}
	}
	return len(a) - len(b)
}
