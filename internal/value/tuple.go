package value

import (
	"encoding/binary"

	"github.com/stemmadb/stemma/internal/errs"
)

// A tuple is the bytes of a row: how overlays, journals and tree editors carry it. Its layout for n columns is
//
//	bitmap of ceil(n/8) bytes, bit i set when cell i is not NULL, then the non-NULL cells in order:
//	Int64    zigzag varint
//	Float64  8 bytes little endian
//	Float32  4 bytes little endian
//	Bytes    uvarint(len<<1 | outOfLine), then the bytes
//
// The layout is canonical: equal cells give equal tuples, and other bytes (varints longer than need be, bits beyond n) are refused.

// AppendTuple appends the tuple of cells, whose classes are phys, to dst.
func AppendTuple(dst []byte, phys []Phys, cells []Cell) []byte {
	at := len(dst)
	for range (len(phys) + 7) / 8 {
		dst = append(dst, 0)
	}
	for i, c := range cells {
		if c.state == stateNull {
			continue
		}
		dst[at+i>>3] |= 1 << (i & 7)
		switch phys[i] {
		case Int64:
			dst = binary.AppendVarint(dst, int64(c.bits))
		case Float64:
			dst = binary.LittleEndian.AppendUint64(dst, c.bits)
		case Float32:
			dst = binary.LittleEndian.AppendUint32(dst, uint32(c.bits))
		case Bytes:
			n := uint64(len(c.bytes)) << 1
			if c.state == stateAddr {
				n |= 1
			}
			dst = binary.AppendUvarint(dst, n)
			dst = append(dst, c.bytes...)
		}
	}
	return dst
}

// DecodeTuple fills cells, as many as phys has, from a tuple. Cells of class Bytes alias the tuple. Malformed bytes are an error
// of class Corrupt.
func DecodeTuple(tuple []byte, phys []Phys, cells []Cell) error {
	nb := (len(phys) + 7) / 8
	if len(tuple) < nb {
		return errTuple("too short")
	}
	if spare := len(phys) & 7; spare != 0 && tuple[nb-1]>>spare != 0 {
		return errTuple("bits beyond the columns")
	}
	rest := tuple[nb:]
	for i, p := range phys {
		if tuple[i>>3]&(1<<(i&7)) == 0 {
			cells[i] = Null
			continue
		}
		switch p {
		case Int64:
			v, n := binary.Varint(rest)
			if n <= 0 || n > 1 && rest[n-1] == 0 {
				return errTuple("bad varint")
			}
			cells[i] = IntCell(v)
			rest = rest[n:]
		case Float64:
			if len(rest) < 8 {
				return errTuple("short float")
			}
			cells[i] = Cell{bits: binary.LittleEndian.Uint64(rest), state: stateFixed}
			rest = rest[8:]
		case Float32:
			if len(rest) < 4 {
				return errTuple("short float")
			}
			cells[i] = Cell{bits: uint64(binary.LittleEndian.Uint32(rest)), state: stateFixed}
			rest = rest[4:]
		case Bytes:
			v, n := binary.Uvarint(rest)
			if n <= 0 || n > 1 && rest[n-1] == 0 || v>>1 > uint64(len(rest)-n) {
				return errTuple("bad length")
			}
			l := int(v >> 1)
			b := rest[n : n+l : n+l]
			if v&1 != 0 {
				if l != AddrSize {
					return errTuple("bad address")
				}
				cells[i] = AddrCell(b)
			} else {
				cells[i] = BytesCell(b)
			}
			rest = rest[n+l:]
		default:
			return errTuple("unknown class")
		}
	}
	if len(rest) != 0 {
		return errTuple("trailing bytes")
	}
	return nil
}

func errTuple(what string) error { return errs.New(errs.Corrupt, "decode tuple: %s", what) }
