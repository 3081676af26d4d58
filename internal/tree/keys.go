package tree

import (
	"bytes"
	"encoding/binary"

	"github.com/stemmadb/stemma/internal/errs"
)

// MaxKey is the longest key in bytes.
const MaxKey = 1<<16 - 1

// keyBlock is a sorted list of keys inside a chunk: a prefix common to all, suffixes one after the other, and where each ends.
// The ends lie elsewhere in the chunk, which is why the parts are found by the chunk's decoder.
type keyBlock struct {
	n      int
	wide   bool   // ends of 4 bytes, else of 2
	ends   []byte // n ends
	prefix []byte
	tail   []byte // the suffixes
}

// offset reads number i of a list of offsets of 2 or 4 bytes.
func offset(list []byte, wide bool, i int) int {
	if wide {
		return int(binary.LittleEndian.Uint32(list[4*i:]))
	}
	return int(binary.LittleEndian.Uint16(list[2*i:]))
}

// span is where item i of a list with these ends lies among size bytes. Ends that do not rise, which no writer makes, give a
// wrong span but one within bounds: opening a chunk then need not look at every end, and Check finds it by T5.
func span(ends []byte, wide bool, i, size int) (lo, hi int) {
	hi = min(offset(ends, wide, i), size)
	if i > 0 {
		lo = min(offset(ends, wide, i-1), hi)
	}
	return lo, hi
}

// checkEnd verifies that the last of n ends is size.
func checkEnd(ends []byte, wide bool, n, size int) error {
	if e := offset(ends, wide, n-1); e != size {
		return errs.New(errs.Corrupt, "items end at %d of %d bytes", e, size)
	}
	return nil
}

func (k *keyBlock) suffix(i int) []byte {
	lo, hi := span(k.ends, k.wide, i, len(k.tail))
	return k.tail[lo:hi]
}

func (k *keyBlock) appendKey(dst []byte, i int) []byte {
	return append(append(dst, k.prefix...), k.suffix(i)...)
}

// search is the index of the first key that is not below key, and whether it is equal.
func (k *keyBlock) search(key []byte) (int, bool) {
	if p := len(k.prefix); p > 0 {
		c := bytes.Compare(key[:min(p, len(key))], k.prefix)
		if c < 0 {
			return 0, false
		}
		if c > 0 {
			return k.n, false
		}
		key = key[p:]
	}
	lo, hi := 0, k.n
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		c := bytes.Compare(k.suffix(m), key)
		if c == 0 {
			return m, true
		}
		if c < 0 {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo, false
}

// commonPrefix is the length of the longest prefix that a and b share.
func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// appendOffset appends an offset of 2 or 4 bytes.
func appendOffset(dst []byte, wide bool, v int) []byte {
	if wide {
		return binary.LittleEndian.AppendUint32(dst, uint32(v))
	}
	return binary.LittleEndian.AppendUint16(dst, uint16(v))
}

// offsetSize is the number of bytes of an offset.
func offsetSize(wide bool) int {
	if wide {
		return 4
	}
	return 2
}
