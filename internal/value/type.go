// Package value is the type system of stored cells: SQL types, how each is kept (its physical class), tuples of cells, and
// keys whose byte order is the order of the values. It knows nothing of trees, SQL engines or Arrow.
//
// A value takes these forms, each with its layout and invariants where it is made:
//
//	text  <-- Parse, AppendText -->  Cell  -- AppendTuple, DecodeTuple -->  tuple: the bytes of a row
//	                                   |
//	                                   +---- AppendKeyPart -------------->  key: ordered bytes, not read back
//
// Everything here is a pure function of its arguments, and what is stored (cells, tuples, keys, weights, canonical JSON) is part of
// the format: testdata/golden.txt pins it.
package value

// Kind is a SQL type without its parameters. The numbers are part of the format (docs/format.md).
type Kind uint8

// The kinds.
const (
	KindInvalid   Kind = 0
	KindInt8      Kind = 1 // Precision 1 for BOOLEAN, which is shown as tinyint(1)
	KindInt16     Kind = 2
	KindInt24     Kind = 3
	KindInt32     Kind = 4
	KindInt64     Kind = 5
	KindUint8     Kind = 6
	KindUint16    Kind = 7
	KindUint24    Kind = 8
	KindUint32    Kind = 9
	KindUint64    Kind = 10 // kept as int64(v ^ 1<<63), so that order holds
	KindFloat32   Kind = 11
	KindFloat64   Kind = 12
	KindDecimal   Kind = 13 // Precision, Scale; up to 18 digits the scaled integer, above it DecimalBytes
	KindBit       Kind = 14 // Length bits; kept as KindUint64
	KindYear      Kind = 15 // the year, 0 for 0000
	KindDate      Kind = 16 // days since 1970-01-01; ZeroDate for 0000-00-00
	KindTime      Kind = 17 // microseconds, signed; Precision fraction digits
	KindDatetime  Kind = 18 // microseconds since 1970-01-01 00:00 of no zone; ZeroDatetime for 0000-00-00; Precision fraction digits
	KindTimestamp Kind = 19 // as KindDatetime, in UTC
	KindEnum      Kind = 20 // 1-based index into Values; 0 is the error value ''
	KindSet       Kind = 21 // bits over Values; kept as KindUint64
	KindChar      Kind = 22 // Length characters
	KindVarchar   Kind = 23 // Length characters
	KindText      Kind = 24 // Length bytes: 255, 65535, 16777215 or 4294967295
	KindBinary    Kind = 25 // Length bytes, padded with zero bytes
	KindVarbinary Kind = 26 // Length bytes
	KindBlob      Kind = 27 // Length bytes, as KindText
	KindJSON      Kind = 28 // canonical JSON text
	KindGeometry  Kind = 29 // SRID and WKB as MySQL keeps them
	KindVector    Kind = 30 // Length float32 values, little endian
)

// Cells of the two kinds of zero date that MySQL allows.
const (
	ZeroDate     int64 = -719560                // days from 1970-01-01 back to 0000-00-00, were it a day: -0001-11-30
	ZeroDatetime int64 = ZeroDate * 86400 * 1e6 // the same in microseconds
)

// Type is a SQL type with its parameters. Two equal Types store and order their values alike.
type Type struct {
	Kind      Kind
	Length    uint32    // characters, bytes, bits or dimensions, by Kind
	Precision uint8     // decimal digits; fraction digits of times; 1 for BOOLEAN
	Scale     uint8     // decimal digits after the point
	Collation Collation // of character types, ENUM and SET
	Subtype   uint8     // geometry subtype (0 any)
	SRID      uint32    // geometry
	HasSRID   bool      // geometry
	Values    []string  // ENUM and SET
}

// Phys is the physical class of a cell: all that pages and tuples need to know of a type.
type Phys uint8

// The physical classes. The numbers are part of the format.
const (
	Int64   Phys = 1 // whole numbers, times, small decimals, enums, sets
	Float64 Phys = 2
	Float32 Phys = 3
	Bytes   Phys = 4 // everything else
)

// Phys is the class in which t's cells are kept.
func (t Type) Phys() Phys { return physOf(t.Kind, t.Precision) }

// physOf is the class of a kind's cells; precision matters to decimals only.
func physOf(k Kind, precision uint8) Phys {
	switch {
	case k >= KindChar:
		return Bytes
	case k == KindDecimal:
		if precision > maxSmallDecimal {
			return Bytes
		}
	case k == KindFloat64:
		return Float64
	case k == KindFloat32:
		return Float32
	}
	return Int64
}

// Long tells whether cells of t may be kept out of line.
func (t Type) Long() bool {
	switch t.Kind {
	case KindText, KindBlob, KindJSON, KindGeometry, KindVector, KindVarchar, KindVarbinary:
		return true
	}
	return false
}

// Width is the logical size in bytes of a non-NULL fixed-size cell: its share of a row's weight.
func (t Type) Width() int {
	switch t.Kind {
	case KindInt8, KindUint8, KindYear:
		return 1
	case KindInt16, KindUint16, KindEnum:
		return 2
	case KindInt24, KindUint24, KindDate:
		return 3
	case KindInt32, KindUint32, KindFloat32:
		return 4
	}
	return 8
}

// Equal tells whether two types are the same in every parameter.
func (t Type) Equal(u Type) bool {
	if t.Kind != u.Kind || t.Length != u.Length || t.Precision != u.Precision || t.Scale != u.Scale ||
		t.Collation != u.Collation || t.Subtype != u.Subtype || t.SRID != u.SRID || t.HasSRID != u.HasSRID || len(t.Values) != len(u.Values) {
		return false
	}
	for i := range t.Values {
		if t.Values[i] != u.Values[i] {
			return false
		}
	}
	return true
}
