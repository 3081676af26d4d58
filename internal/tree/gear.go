package tree

import (
	"github.com/zeebo/xxh3"
)

// Content-defined cutting of long values, after FastCDC (Xia and others, USENIX ATC 2016) with its normalised chunking: the
// rolling hash is h = h<<1 + gear[byte], which the last 64 bytes decide; a piece ends after a byte when the top bits of h are
// zero, more bits before normalPiece than after it, so that lengths gather there.
const (
	minPiece    = 8 << 10
	normalPiece = 24 << 10
	maxPiece    = 64 << 10
	hardBits    = 16 // before normalPiece
	easyBits    = 13 // from normalPiece on
)

// gear is the table of the rolling hash: xxh3_64 of each byte value as a text of one byte, seed 0.
type gear [256]uint64

func newGear() *gear {
	var g gear
	for i := range g {
		g[i] = xxh3.Hash([]byte{byte(i)})
	}
	return &g
}

// cut is the length of the first piece of data: from minPiece to maxPiece, or all of a shorter rest. The hash starts at zero at
// byte minPiece-64 of the piece.
func (g *gear) cut(data []byte) int {
	if len(data) <= minPiece {
		return len(data)
	}
	h := uint64(0)
	for _, c := range data[minPiece-64 : minPiece-1] {
		h = h<<1 + g[c]
	}
	normal, end := min(normalPiece, len(data)), min(maxPiece, len(data))
	i := minPiece - 1
	for ; i < normal-1; i++ {
		h = h<<1 + g[data[i]]
		if h>>(64-hardBits) == 0 {
			return i + 1
		}
	}
	for ; i < end-1; i++ {
		h = h<<1 + g[data[i]]
		if h>>(64-easyBits) == 0 {
			return i + 1
		}
	}
	return end
}
