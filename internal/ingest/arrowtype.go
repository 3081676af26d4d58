package ingest

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/page"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// Keys of the metadata that stemma gives schemas of Arrow and Parquet, so that its types and keys outlive other programs' files. The first
// two are those of frames.
const (
	typeKey       = "stemma.type"        // of a field: its type in MySQL's notation
	primaryKeyKey = "stemma.primary_key" // of a schema: the names of the key's columns, a JSON array
	collationKey  = "stemma.collation"   // of a field: the name of a collation that is not the default
	sridKey       = "stemma.srid"        // of a field: the SRID of a geometry that has one
)

// TypeMetadata is the metadata of the Arrow field of a column of that type, from which TypeOf knows it again.
func TypeMetadata(t value.Type) arrow.Metadata {
	text := t.String()
	if t.Kind == value.KindInt8 && t.Precision == 1 {
		text = "tinyint(1)"
	}
	keys, values := []string{typeKey}, []string{text}
	if t.Collation != 0 && t.Collation != value.CollationUtf8mb40900Bin {
		keys, values = append(keys, collationKey), append(values, t.Collation.String())
	}
	if t.HasSRID {
		keys, values = append(keys, sridKey), append(values, strconv.FormatUint(uint64(t.SRID), 10))
	}
	return arrow.NewMetadata(keys, values)
}

// notedType is the type that a field's metadata tells; ok is false when it tells none.
func notedType(m arrow.Metadata) (t value.Type, ok bool) {
	text, ok := m.GetValue(typeKey)
	if !ok {
		return t, false
	}
	collation := value.CollationUtf8mb40900Bin
	if name, noted := m.GetValue(collationKey); noted {
		if collation, ok = value.ParseCollation(name); !ok {
			return t, false
		}
	}
	t, err := value.ParseType(text, collation)
	if err != nil {
		return t, false
	}
	if srid, noted := m.GetValue(sridKey); noted {
		n, err := strconv.ParseUint(srid, 10, 32)
		if err != nil {
			return t, false
		}
		t.SRID, t.HasSRID = uint32(n), true
	}
	return t, true
}

// KeyMetadata is the metadata of the Arrow schema of a table.
func KeyMetadata(s *schema.Schema) (*arrow.Metadata, error) {
	names := []string{}
	for _, k := range s.PrimaryKey {
		names = append(names, s.Columns[s.ColumnByID(k.Column)].Name)
	}
	b, err := json.Marshal(names)
	if err != nil {
		return nil, errs.New(errs.Internal, "describe key: %w", err)
	}
	m := arrow.NewMetadata([]string{primaryKeyKey}, []string{string(b)})
	return &m, nil
}

// PrimaryKeyOf is the key that a schema's metadata names; nil when it names none.
func PrimaryKeyOf(s *arrow.Schema) []string {
	text, ok := s.Metadata().GetValue(primaryKeyKey)
	if !ok {
		return nil
	}
	var names []string
	if json.Unmarshal([]byte(text), &names) != nil {
		return nil
	}
	return names
}

// isNotedTime tells whether a field holds times as whole numbers, as Parquet has them from stemma since it has no durations.
func isNotedTime(f arrow.Field) bool {
	t, ok := notedType(f.Metadata)
	return ok && f.Type.ID() == arrow.INT64 && t.Kind == value.KindTime
}

// withType is an array of another type of the same layout.
func withType(a arrow.Array, t arrow.DataType) arrow.Array {
	d := a.Data()
	out := array.NewData(t, d.Len(), d.Buffers(), nil, d.NullN(), d.Offset())
	defer out.Release()
	return array.MakeFromData(out)
}

// TypeOf is the SQL type of a column of Arrow's. Of text and bytes without a note of stemma's the length is not known: open is true
// then, and the type the longest.
//
//	bool                        TINYINT(1)
//	integers, floats, float16   those of their width; FLOAT for float16
//	decimals                    DECIMAL, up to 65 digits of which 30 are behind the point
//	date32, date64              DATE
//	time32, time64, duration    TIME
//	timestamp                   DATETIME, with as many digits of seconds as the unit has, 6 for ns; moments with a zone are UTC
//	utf8, binary                VARCHAR, VARBINARY; the longest TEXT and BLOB
//	dictionary, run-end         as their values
//	lists, structs, maps        JSON; VECTOR for fixed-size lists of float32 without NULL
//	null                        VARCHAR(255)
func TypeOf(f arrow.Field) (t value.Type, open bool, err error) {
	if t, ok := notedType(f.Metadata); ok && arrow.TypeEqual(plainType(page.ArrowType(t)), plainType(f.Type)) {
		return t, false, nil
	}
	return typeOf(f.Type)
}

// plainType is the type of the values of dictionaries and extensions.
func plainType(t arrow.DataType) arrow.DataType {
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

func typeOf(t arrow.DataType) (_ value.Type, open bool, err error) {
	kind := func(k value.Kind) (value.Type, bool, error) { return value.Type{Kind: k}, false, nil }
	switch d := plainType(t).(type) {
	case *arrow.BooleanType:
		return value.Type{Kind: value.KindInt8, Precision: 1}, false, nil
	case *arrow.Int8Type:
		return kind(value.KindInt8)
	case *arrow.Int16Type:
		return kind(value.KindInt16)
	case *arrow.Int32Type:
		return kind(value.KindInt32)
	case *arrow.Int64Type:
		return kind(value.KindInt64)
	case *arrow.Uint8Type:
		return kind(value.KindUint8)
	case *arrow.Uint16Type:
		return kind(value.KindUint16)
	case *arrow.Uint32Type:
		return kind(value.KindUint32)
	case *arrow.Uint64Type:
		return kind(value.KindUint64)
	case *arrow.Float16Type, *arrow.Float32Type:
		return kind(value.KindFloat32)
	case *arrow.Float64Type:
		return kind(value.KindFloat64)
	case *arrow.Date32Type, *arrow.Date64Type:
		return kind(value.KindDate)
	case *arrow.Time32Type:
		return value.Type{Kind: value.KindTime, Precision: digitsOf(d.Unit)}, false, nil
	case *arrow.Time64Type:
		return value.Type{Kind: value.KindTime, Precision: digitsOf(d.Unit)}, false, nil
	case *arrow.DurationType:
		return value.Type{Kind: value.KindTime, Precision: digitsOf(d.Unit)}, false, nil
	case *arrow.TimestampType:
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
	case *arrow.NullType:
		return value.Type{Kind: value.KindVarchar, Length: 255, Collation: value.CollationUtf8mb40900Bin}, false, nil
	case *arrow.FixedSizeBinaryType:
		if d.ByteWidth <= 255 {
			return value.Type{Kind: value.KindBinary, Length: uint32(d.ByteWidth)}, false, nil
		}
		return value.Type{Kind: value.KindBlob, Length: value.LongLength}, true, nil
	case *arrow.FixedSizeListType:
		if d.Elem().ID() == arrow.FLOAT32 && !d.ElemField().Nullable {
			return value.Type{Kind: value.KindVector, Length: uint32(d.Len())}, false, nil
		}
		return kind(value.KindJSON)
	case arrow.NestedType:
		return kind(value.KindJSON)
	}
	switch plainType(t).ID() {
	case arrow.STRING, arrow.LARGE_STRING, arrow.STRING_VIEW:
		return value.Type{Kind: value.KindText, Length: value.LongLength, Collation: value.CollationUtf8mb40900Bin}, true, nil
	case arrow.BINARY, arrow.LARGE_BINARY, arrow.BINARY_VIEW:
		return value.Type{Kind: value.KindBlob, Length: value.LongLength}, true, nil
	}
	return value.Type{}, false, errs.New(errs.Unsupported, "there is no SQL type for %s", strings.ToLower(t.String()))
}

func digitsOf(u arrow.TimeUnit) uint8 {
	switch u {
	case arrow.Second:
		return 0
	case arrow.Millisecond:
		return 3
	}
	return 6
}

// fitText is the type of texts or bytes that were found to be that long: the narrowest of those that value.Inferrer chooses from.
func fitText(open value.Type, chars, bytes int) value.Type {
	long := open.Kind == value.KindBlob
	if long {
		chars = bytes
	}
	for _, n := range []int{255, 1023, 4095} {
		if chars > n {
			continue
		}
		open.Kind, open.Length = value.KindVarchar, uint32(n)
		if long {
			open.Kind = value.KindVarbinary
		}
		return open
	}
	for _, n := range []uint32{value.ShortLength, value.MediumLength, value.LongLength} {
		if open.Length = n; uint64(bytes) <= uint64(n) {
			break
		}
	}
	return open
}
