package value

import (
	"encoding/binary"

	"github.com/stemmadb/stemma/internal/errs"
)

// A Type in a stored object is
//
//	kind    1 byte
//	fields  1 byte, bit i set when field i below follows; a field that is zero, false or empty does not
//	0 Length     uvarint
//	1 Precision  1 byte
//	2 Scale      1 byte
//	3 Collation  1 byte
//	4 Subtype    1 byte
//	5 SRID       uvarint
//	6 HasSRID    nothing: the bit is the value
//	7 Values     uvarint number, then for each uvarint length and bytes
//
// 1. The encoding is canonical: equal types have equal bytes and other bytes are refused, uvarints longer than need be included.
// 2. A decoded type is safe to use: its kind and collation exist and its numbers are within the bounds of check.

// The bits of fields.
const (
	fieldLength = 1 << iota
	fieldPrecision
	fieldScale
	fieldCollation
	fieldSubtype
	fieldSRID
	fieldHasSRID
	fieldValues
)

// The most labels of an ENUM and a SET, as in MySQL.
const (
	MaxEnumValues = 65535
	MaxSetValues  = 64
)

// AppendType appends the encoding of t to dst.
func AppendType(dst []byte, t Type) []byte {
	var fields byte
	for i, set := range [...]bool{t.Length != 0, t.Precision != 0, t.Scale != 0, t.Collation != 0, t.Subtype != 0, t.SRID != 0,
		t.HasSRID, len(t.Values) != 0} {
		if set {
			fields |= 1 << i
		}
	}
	dst = append(dst, byte(t.Kind), fields)
	if fields&fieldLength != 0 {
		dst = binary.AppendUvarint(dst, uint64(t.Length))
	}
	for i, b := range [...]byte{t.Precision, t.Scale, byte(t.Collation), t.Subtype} {
		if fields&(fieldPrecision<<i) != 0 {
			dst = append(dst, b)
		}
	}
	if fields&fieldSRID != 0 {
		dst = binary.AppendUvarint(dst, uint64(t.SRID))
	}
	if fields&fieldValues != 0 {
		dst = binary.AppendUvarint(dst, uint64(len(t.Values)))
		for _, v := range t.Values {
			dst = binary.AppendUvarint(dst, uint64(len(v)))
			dst = append(dst, v...)
		}
	}
	return dst
}

// DecodeType reads a type off the front of b and returns what is behind it. Bytes that AppendType does not write are an error of
// class Corrupt.
func DecodeType(b []byte) (t Type, rest []byte, err error) {
	d := typeDecoder{b: b}
	t.Kind = Kind(d.octet())
	fields := d.octet()
	if fields&fieldLength != 0 {
		t.Length = d.nonZero32()
	}
	for i, to := range [...]*uint8{&t.Precision, &t.Scale, (*uint8)(&t.Collation), &t.Subtype} {
		if fields&(fieldPrecision<<i) != 0 {
			if *to = d.octet(); *to == 0 {
				d.bad = true
			}
		}
	}
	if fields&fieldSRID != 0 {
		t.SRID = d.nonZero32()
	}
	t.HasSRID = fields&fieldHasSRID != 0
	if fields&fieldValues != 0 {
		n := d.nonZero32()
		if uint64(n) > uint64(len(d.b)) { // each takes a byte at least
			d.bad = true
		}
		for i := uint32(0); i < n && !d.bad; i++ {
			t.Values = append(t.Values, string(d.take(d.uvarint())))
		}
	}
	if d.bad {
		return Type{}, b, errs.New(errs.Corrupt, "decode type: malformed bytes")
	}
	if err := t.check(); err != nil {
		return Type{}, b, err
	}
	return t, d.b, nil
}

// check verifies that the type's numbers are such that its cells can be read and written; the error is of class Corrupt.
func (t Type) check() error {
	bad := ""
	switch {
	case t.Kind == KindInvalid || int(t.Kind) >= len(kindNames):
		bad = "unknown kind"
	case int(t.Collation) >= len(collationNames):
		bad = "unknown collation"
	case t.Kind == KindDecimal && (t.Precision == 0 || t.Precision > MaxPrecision || t.Scale > MaxScale || t.Scale > t.Precision):
		bad = "digits of a decimal"
	case t.Kind >= KindTime && t.Kind <= KindTimestamp && t.Precision > 6:
		bad = "fraction digits"
	case t.Kind == KindBit && (t.Length == 0 || t.Length > 64):
		bad = "length of a bit string"
	case t.Kind == KindBinary && t.Length > 255:
		bad = "length of a binary string"
	case t.Kind == KindEnum && len(t.Values) > MaxEnumValues || t.Kind == KindSet && len(t.Values) > MaxSetValues:
		bad = "number of labels"
	}
	if bad != "" {
		return errs.New(errs.Corrupt, "decode type: kind %d: %s", t.Kind, bad)
	}
	return nil
}

// typeDecoder takes fields off the front of b. After bytes that cannot be, it is bad and gives zeros.
type typeDecoder struct {
	b   []byte
	bad bool
}

func (d *typeDecoder) take(n uint64) []byte {
	if d.bad || n > uint64(len(d.b)) {
		d.bad = true
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *typeDecoder) octet() byte {
	if v := d.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (d *typeDecoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || n > 1 && d.b[n-1] == 0 {
		d.bad = true
		return 0
	}
	d.take(uint64(n))
	return v
}

// nonZero32 reads a number that fits 32 bits and is not zero.
func (d *typeDecoder) nonZero32() uint32 {
	v := d.uvarint()
	if v == 0 || v>>32 != 0 {
		d.bad = true
		return 0
	}
	return uint32(v)
}
