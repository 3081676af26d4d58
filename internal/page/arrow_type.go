package page

import (
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// Names of Arrow's extension types, and the key under which the metadata of a field has one whose type is not known.
const (
	UUIDExtension = "arrow.uuid"
	JSONExtension = "arrow.json"
	MetaExtension = "ARROW:extension:name"
)

// TypeOf is the SQL type of a column for the values of a field of Arrow's. Of text and bytes the length is not known: open is true then, and the
// type the longest. What has no SQL type is an error of class Unsupported.
//
//	bool                        TINYINT(1)
//	integers, floats, float16   those of their width; FLOAT for float16
//	decimals                    DECIMAL, up to 65 digits of which 30 are behind the point
//	date32, date64              DATE
//	time32, time64, duration    TIME(0 / 3 / 6 / 6) for s, ms, us, ns
//	timestamp                   DATETIME of these digits; with a zone TIMESTAMP, in UTC
//	utf8, binary, null          the longest TEXT and BLOB, TEXT for null
//	fixed-size binary           BINARY up to 255 bytes, else the longest BLOB
//	dictionary, run-end         as their values
//	lists, structs, maps        JSON; VECTOR for fixed-size lists of float32
//	arrow.json, arrow.uuid      JSON, CHAR(36)
func TypeOf(f arrow.Field) (t value.Type, open bool, err error) {
	extension, _ := f.Metadata.GetValue(MetaExtension)
	if x, ok := f.Type.(arrow.ExtensionType); ok {
		extension = x.ExtensionName()
	}
	switch extension {
	case JSONExtension:
		return value.Type{Kind: value.KindJSON}, false, nil
	case UUIDExtension:
		return value.Type{Kind: value.KindChar, Length: 36, Collation: value.CollationUtf8mb40900Bin}, false, nil
	}
	return typeOf(PlainType(f.Type))
}

// PlainType is the type of the values of dictionaries, runs and extensions.
func PlainType(t arrow.DataType) arrow.DataType {
	for {
		switch d := t.(type) {
		case *arrow.DictionaryType:
			t = d.ValueType
		case *arrow.RunEndEncodedType:
			t = d.Encoded()
		case arrow.ExtensionType:
			t = d.StorageType()
		default:
			return t
		}
	}
}

// Keys of the metadata that stemma gives fields of Arrow and Parquet, so that its types outlive other programs' files.
const (
	MetaType      = "stemma.type"      // the type in MySQL's notation
	metaCollation = "stemma.collation" // the name of a collation that is not the default
	metaSRID      = "stemma.srid"      // the SRID of a geometry that has one
)

// TypeMetadata is the metadata of the field of a column of that type, from which NotedType knows it again.
func TypeMetadata(t value.Type) arrow.Metadata {
	text := t.String()
	if isBoolean(t) {
		text = "tinyint(1)"
	}
	keys, values := []string{MetaType}, []string{text}
	if t.Collation != 0 && t.Collation != value.CollationUtf8mb40900Bin {
		keys, values = append(keys, metaCollation), append(values, t.Collation.String())
	}
	if t.HasSRID {
		keys, values = append(keys, metaSRID), append(values, strconv.FormatUint(uint64(t.SRID), 10))
	}
	return arrow.NewMetadata(keys, values)
}

// NotedType is the type that a field's metadata tells; ok is false when it tells none. One that cannot be read is an error of class Invalid.
func NotedType(m arrow.Metadata) (t value.Type, ok bool, err error) {
	text, ok := m.GetValue(MetaType)
	if !ok {
		return t, false, nil
	}
	collation := value.CollationUtf8mb40900Bin
	if name, noted := m.GetValue(metaCollation); noted {
		known := false
		if collation, known = value.ParseCollation(name); !known {
			return t, true, errs.New(errs.Invalid, "its collation %q is not known", name)
		}
	}
	if t, err = value.ParseType(text, collation); err != nil {
		return t, true, errs.New(errs.Invalid, "its type %q: %w", text, err)
	}
	if srid, noted := m.GetValue(metaSRID); noted {
		n, err := strconv.ParseUint(srid, 10, 32)
		if err != nil {
			return t, true, errs.New(errs.Invalid, "its SRID %q is no number", srid)
		}
		t.SRID, t.HasSRID = uint32(n), true
	}
	return t, true, nil
}

// sqlKinds are the kinds of columns for types of Arrow that have no parameters.
var sqlKinds = map[arrow.Type]value.Kind{
	arrow.INT8: value.KindInt8, arrow.INT16: value.KindInt16, arrow.INT32: value.KindInt32, arrow.INT64: value.KindInt64,
	arrow.UINT8: value.KindUint8, arrow.UINT16: value.KindUint16, arrow.UINT32: value.KindUint32, arrow.UINT64: value.KindUint64,
	arrow.FLOAT16: value.KindFloat32, arrow.FLOAT32: value.KindFloat32, arrow.FLOAT64: value.KindFloat64,
	arrow.DATE32: value.KindDate, arrow.DATE64: value.KindDate,
}

func typeOf(t arrow.DataType) (_ value.Type, open bool, err error) {
	if k, ok := sqlKinds[t.ID()]; ok {
		return value.Type{Kind: k}, false, nil
	}
	switch d := t.(type) {
	case *arrow.BooleanType:
		return value.Type{Kind: value.KindInt8, Precision: 1}, false, nil
	case *arrow.Time32Type:
		return value.Type{Kind: value.KindTime, Precision: digitsOf(d.Unit)}, false, nil
	case *arrow.Time64Type:
		return value.Type{Kind: value.KindTime, Precision: digitsOf(d.Unit)}, false, nil
	case *arrow.DurationType:
		return value.Type{Kind: value.KindTime, Precision: digitsOf(d.Unit)}, false, nil
	case *arrow.TimestampType:
		if d.TimeZone != "" {
			return value.Type{Kind: value.KindTimestamp, Precision: digitsOf(d.Unit)}, false, nil
		}
		return value.Type{Kind: value.KindDatetime, Precision: digitsOf(d.Unit)}, false, nil
	case arrow.DecimalType:
		p, s := d.GetPrecision(), d.GetScale()
		if s < 0 {
			p, s = p-s, 0
		}
		if p = max(p, s); p > 65 || s > 30 {
			return value.Type{}, false, errs.New(errs.Unsupported, "its type %s has more digits than DECIMAL(65,30)", t)
		}
		return value.Type{Kind: value.KindDecimal, Precision: uint8(p), Scale: uint8(s)}, false, nil
	case *arrow.StringType, *arrow.LargeStringType, *arrow.StringViewType, *arrow.NullType:
		return value.Type{Kind: value.KindText, Length: value.LongLength, Collation: value.CollationUtf8mb40900Bin}, true, nil
	case *arrow.BinaryType, *arrow.LargeBinaryType, *arrow.BinaryViewType:
		return value.Type{Kind: value.KindBlob, Length: value.LongLength}, true, nil
	case *arrow.FixedSizeBinaryType:
		if d.ByteWidth <= 255 {
			return value.Type{Kind: value.KindBinary, Length: uint32(d.ByteWidth)}, false, nil
		}
		return value.Type{Kind: value.KindBlob, Length: value.LongLength}, true, nil
	case *arrow.FixedSizeListType:
		if d.Elem().ID() == arrow.FLOAT32 && d.Len() > 0 {
			return value.Type{Kind: value.KindVector, Length: uint32(d.Len())}, false, nil
		}
		return value.Type{Kind: value.KindJSON}, false, nil
	case arrow.NestedType:
		return value.Type{Kind: value.KindJSON}, false, nil
	}
	return value.Type{}, false, errs.New(errs.Unsupported, "there is no SQL type for %s", strings.ToLower(t.String()))
}

// digitsOf is how many digits of a second a unit has, six at most.
func digitsOf(u arrow.TimeUnit) uint8 {
	switch u {
	case arrow.Second:
		return 0
	case arrow.Millisecond:
		return 3
	}
	return 6
}
