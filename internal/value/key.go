package value

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/stemmadb/stemma/internal/errs"
)

// A key is bytes whose order is the order of the values: one part after the other. A part is
//
//	0x00                          NULL, the smallest value
//	0x01 payload                  a value
//
// and the payload is
//
//	Int64    8 bytes big endian, sign bit flipped
//	Float64  8 bytes big endian, IEEE 754 with the sign flipped (all bits when negative); -0 as +0
//	Float32  4 bytes, likewise
//	Bytes    the sort key (the collation's weights, or the bytes themselves), 0x00 escaped as 0x00 0xff, then 0x00 0x00
//
// A descending part has all its bytes complemented, so NULL is the largest there.
//
// 1. No part is the beginning of another of the same column, so keys of several parts are ordered by their first different part.
// 2. Two cells have the same part exactly when they are equal: by number, by collation, or, for -0 and +0, both zero.

// KeyPart says how a column takes part in a key.
type KeyPart struct {
	Type   Type
	Desc   bool
	Prefix uint32 // characters (bytes for binary types) that take part; 0 is all
}

// AppendKeyPart appends c's part to dst. Out-of-line cells cannot take part in keys and must be resolved before.
func AppendKeyPart(dst []byte, p *KeyPart, c Cell) []byte {
	at := len(dst)
	if c.state == stateNull {
		dst = append(dst, 0)
	} else {
		dst = append(dst, 1)
		switch physOf(p.Type.Kind, p.Type.Precision) {
		case Int64:
			dst = binary.BigEndian.AppendUint64(dst, c.bits^(1<<63))
		case Float64:
			b := c.bits
			if b == 1<<63 {
				b = 0
			}
			dst = binary.BigEndian.AppendUint64(dst, b^(uint64(int64(b)>>63)|1<<63))
		case Float32:
			b := uint32(c.bits)
			if b == 1<<31 {
				b = 0
			}
			dst = binary.BigEndian.AppendUint32(dst, b^(uint32(int32(b)>>31)|1<<31))
		case Bytes:
			dst = appendSortKey(dst, p, c.bytes)
		}
	}
	if p.Desc {
		for i := at; i < len(dst); i++ {
			dst[i] = ^dst[i]
		}
	}
	return dst
}

// AppendKey appends the key of cells, one for each part, to dst.
func AppendKey(dst []byte, parts []KeyPart, cells []Cell) []byte {
	for i := range parts {
		dst = AppendKeyPart(dst, &parts[i], cells[i])
	}
	return dst
}

// KeyPartLen is the length of the first part of key, which p made; -1 when key is not such bytes.
func KeyPartLen(key []byte, p *KeyPart) int {
	if len(key) == 0 {
		return -1
	}
	var inv byte
	if p.Desc {
		inv = 0xff
	}
	switch key[0] ^ inv {
	case 0:
		return 1
	case 1:
	default:
		return -1
	}
	n := 0
	switch physOf(p.Type.Kind, p.Type.Precision) {
	case Int64, Float64:
		n = 9
	case Float32:
		n = 5
	case Bytes:
		return bytesPartLen(key, inv)
	}
	if n > len(key) {
		return -1
	}
	return n
}

// bytesPartLen is KeyPartLen of a value of class Bytes.
func bytesPartLen(key []byte, inv byte) int {
	for i := 1; ; i += 2 {
		z := bytes.IndexByte(key[i:], inv) // a zero
		if z < 0 || i+z+1 >= len(key) {
			return -1
		}
		i += z
		switch key[i+1] ^ inv {
		case 0:
			return i + 2
		case 0xff:
		default:
			return -1
		}
	}
}

// SplitKey appends the parts of key, which parts made, to dst: each aliases key. Bytes behind the last part are not an error, as
// index keys are followed by more. Malformed bytes are an error of class Corrupt.
func SplitKey(dst [][]byte, parts []KeyPart, key []byte) ([][]byte, error) {
	for i := range parts {
		n := KeyPartLen(key, &parts[i])
		if n < 0 {
			return dst, errs.New(errs.Corrupt, "split key: malformed part %d", i)
		}
		dst = append(dst, key[:n:n])
		key = key[n:]
	}
	return dst, nil
}

// PrefixEnd is the smallest key greater than every key that begins with prefix; nil when there is none, which means no bound.
func PrefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := bytes.Clone(prefix[:i+1])
			end[i]++
			return end
		}
	}
	return nil
}

// IsNullPart tells whether a part of a key, which p made, stands for NULL.
func IsNullPart(part []byte, p *KeyPart) bool {
	return len(part) == 1 && (part[0] == 0) != p.Desc
}

// appendEscaped appends b with 0x00 escaped, and the terminator.
func appendEscaped(dst, b []byte) []byte {
	for {
		z := bytes.IndexByte(b, 0)
		if z < 0 {
			dst = append(dst, b...)
			return append(dst, 0, 0)
		}
		dst = append(dst, b[:z+1]...)
		dst = append(dst, 0xff)
		b = b[z+1:]
	}
}

// IsNaN tells whether a cell of class Float64 or Float32 is not a number.
func IsNaN(p Phys, c Cell) bool {
	if p == Float32 {
		return math.IsNaN(float64(c.Float32()))
	}
	return p == Float64 && math.IsNaN(c.Float())
}
