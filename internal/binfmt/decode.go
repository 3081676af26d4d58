// Package binfmt reads and writes the small binary pieces of which stored objects are made: varints, lengths, hashes.
package binfmt

import (
	"encoding/binary"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// Decoder reads the fields of an object in turn and keeps the first error, of class Corrupt; after an error every field is zero.
type Decoder struct {
	B    []byte // what is left
	What string // the object, for messages
	Err  error
}

// Fail records an error unless there is one.
func (d *Decoder) Fail(what string) {
	if d.Err == nil {
		d.Err = errs.New(errs.Corrupt, "decode %s: %s", d.What, what)
	}
}

// Done is the first error, or one about bytes left over.
func (d *Decoder) Done() error {
	if d.Err == nil && len(d.B) != 0 {
		d.Fail("trailing bytes")
	}
	return d.Err
}

// Byte reads one byte.
func (d *Decoder) Byte() byte {
	if d.Err == nil && len(d.B) == 0 {
		d.Fail("too short")
	}
	if d.Err != nil {
		return 0
	}
	v := d.B[0]
	d.B = d.B[1:]
	return v
}

// Uvarint reads an unsigned varint. One that is longer than it need be is refused: a value has one encoding.
func (d *Decoder) Uvarint() uint64 {
	if d.Err != nil {
		return 0
	}
	v, n := binary.Uvarint(d.B)
	if n <= 0 || n > 1 && d.B[n-1] == 0 {
		d.Fail("bad varint")
		return 0
	}
	d.B = d.B[n:]
	return v
}

// Varint reads a zigzag varint, as Uvarint does.
func (d *Decoder) Varint() int64 {
	if d.Err != nil {
		return 0
	}
	v, n := binary.Varint(d.B)
	if n <= 0 || n > 1 && d.B[n-1] == 0 {
		d.Fail("bad varint")
		return 0
	}
	d.B = d.B[n:]
	return v
}

// Count reads a number of items of at least one byte each.
func (d *Decoder) Count() int {
	v := d.Uvarint()
	if v > uint64(len(d.B)) {
		d.Fail("bad count")
		return 0
	}
	return int(v)
}

// Bytes reads a length and that many bytes, which alias the input.
func (d *Decoder) Bytes() []byte {
	n := d.Count()
	if d.Err != nil {
		return nil
	}
	v := d.B[:n:n]
	d.B = d.B[n:]
	return v
}

// Str reads a length and that many bytes as a string.
func (d *Decoder) Str() string { return string(d.Bytes()) }

// Hash reads a hash.
func (d *Decoder) Hash() (h hash.Hash) {
	if d.Err == nil && len(d.B) < hash.Size {
		d.Fail("too short")
	}
	if d.Err != nil {
		return h
	}
	copy(h[:], d.B)
	d.B = d.B[hash.Size:]
	return h
}

// Uint64 reads 8 bytes little endian.
func (d *Decoder) Uint64() uint64 {
	if d.Err == nil && len(d.B) < 8 {
		d.Fail("too short")
	}
	if d.Err != nil {
		return 0
	}
	v := binary.LittleEndian.Uint64(d.B)
	d.B = d.B[8:]
	return v
}

// Bool reads a byte that must be 0 or 1.
func (d *Decoder) Bool() bool {
	v := d.Byte()
	if v > 1 {
		d.Fail("bad flag")
	}
	return v == 1
}

// AppendString appends a length and the bytes of s.
func AppendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// AppendBytes appends a length and s.
func AppendBytes(b, s []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// AppendBool appends 1 or 0.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}
