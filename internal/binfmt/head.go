package binfmt

import "encoding/binary"

// Head is the first 8 bytes of b as a number, which orders byte strings as they are ordered as far as these bytes tell them apart; a
// shorter b is filled with zero bytes.
func Head(b []byte) uint64 {
	if len(b) >= 8 {
		return binary.BigEndian.Uint64(b)
	}
	var v uint64
	for i, c := range b {
		v |= uint64(c) << (56 - 8*i)
	}
	return v
}
