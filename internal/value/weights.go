package value

import (
	_ "embed" // weights.bin
	"unicode/utf8"
)

// The weighted collations give each character a weight, a whole number from 0 on without gaps, and order strings by their first
// characters of different weight; a string that is the beginning of another comes first. weights.bin holds a table for each, all
// numbers little endian:
//
//	  size    4   of the whole table
//	  hints   4   where the hints begin
//	  first   4 x 256   for each first byte of a code its least weight; 0xffffffff for those unused
//	  width   1 x 256   the length of its codes: 1, 2 or 3; 0 for those unused
//	  ascii   4 x 128   weights of the ASCII characters
//	  code    1 x 128   their codes, of one byte
//	  index   6 x 4352  for each block of 256 code points its least weight (4) and the number of its shape (2)
//	  shapes  4 x 256 x n   what a block's characters weigh above its least
//	  hints   1 x n     the first byte of the codes of weights 0, 256, 512 and so on
//
// A weight's code is its first byte b, the one with first[b] <= weight < first[b+1], then weight-first[b] in width-1 digits of base
// 255, each kept as digit+1. So codes have no zero byte, none is the beginning of another, and their order is that of the weights.

//go:generate go run gen/main.go
//go:embed weights.bin
var weightData string

// weightTable is one table of weights.bin.
type weightTable string

const (
	hintsAt  = 4
	firstAt  = 8
	widthAt  = firstAt + 4*256
	asciiAt  = widthAt + 256
	codeAt   = asciiAt + 4*utf8.RuneSelf
	indexAt  = codeAt + utf8.RuneSelf
	shapesAt = indexAt + 6*(utf8.MaxRune+1)/256
)

// weightsOf is the table of a weighted collation.
func weightsOf(c Collation) weightTable {
	size := weightTable(weightData).u32(0)
	if c == CollationUtf8mb40900AiCi {
		return weightTable(weightData[:size])
	}
	return weightTable(weightData[size:])
}

func (t weightTable) u32(at int) uint32 {
	s := t[at:]
	return uint32(s[3])<<24 | uint32(s[2])<<16 | uint32(s[1])<<8 | uint32(s[0]) // the last first: one bounds check
}

// weight is that of a code point.
func (t weightTable) weight(r rune) uint32 {
	at := indexAt + 6*int(r>>8)
	shape := int(t[at+5])<<8 | int(t[at+4])
	return t.u32(at) + t.u32(shapesAt+shape<<10+int(r&0xff)<<2)
}

// next is the weight and the length of the first character of s, which is not empty.
func (t weightTable) next(s []byte) (weight uint32, size int) {
	if c := s[0]; c < utf8.RuneSelf {
		return t.u32(asciiAt + 4*int(c)), 1
	}
	r, size := utf8.DecodeRune(s)
	return t.weight(r), size
}

// appendCode appends the code of a weight.
func (t weightTable) appendCode(dst []byte, weight uint32) []byte {
	lead := int(t[int(t.u32(hintsAt))+int(weight>>8)])
	for lead < 255 && t.u32(firstAt+4*(lead+1)) <= weight {
		lead++
	}
	rest := weight - t.u32(firstAt+4*lead)
	switch t[widthAt+lead] {
	case 1:
		return append(dst, byte(lead))
	case 2:
		return append(dst, byte(lead), byte(rest+1))
	}
	return append(dst, byte(lead), byte(rest/255+1), byte(rest%255+1))
}

// appendCodes appends the codes of the characters of s.
func appendCodes(dst []byte, t weightTable, s []byte) []byte {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			dst = append(dst, t[codeAt+int(c)])
			i++
			continue
		}
		r, size := utf8.DecodeRune(s[i:])
		dst = t.appendCode(dst, t.weight(r))
		i += size
	}
	return dst
}

func compareWeights(t weightTable, a, b []byte) int {
	for len(a) > 0 && len(b) > 0 {
		if a[0] == b[0] && a[0] < utf8.RuneSelf {
			a, b = a[1:], b[1:]
			continue
		}
		wa, na := t.next(a)
		wb, nb := t.next(b)
		if wa != wb {
			if wa < wb {
				return -1
			}
			return 1
		}
		a, b = a[na:], b[nb:]
	}
	return len(a) - len(b)
}
