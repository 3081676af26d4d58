package ingest

import (
	"encoding/json"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/page"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// Keys of the metadata that stemma gives schemas of Arrow and Parquet, so that its types and keys outlive other programs' files.
const (
	typeKey       = "stemma.type"        // of a field: the SQL type as JSON
	primaryKeyKey = "stemma.primary_key" // of a schema: the names of the key's columns, a JSON array
)

// typeNote is the metadata of a type.
type typeNote struct {
	SQL       string          `json:"sql"` // for readers
	Kind      value.Kind      `json:"kind"`
	Length    uint32          `json:"length,omitempty"`
	Precision uint8           `json:"precision,omitempty"`
	Scale     uint8           `json:"scale,omitempty"`
	Collation value.Collation `json:"collation,omitempty"`
	Subtype   uint8           `json:"subtype,omitempty"`
	SRID      uint32          `json:"srid,omitempty"`
	HasSRID   bool            `json:"has_srid,omitempty"`
	Values    []string        `json:"values,omitempty"`
}

// TypeMetadata is the metadata of the Arrow field of a column of that type, from which TypeOf knows it again.
func TypeMetadata(t value.Type) (arrow.Metadata, error) {
	b, err := json.Marshal(typeNote{t.String(), t.Kind, t.Length, t.Precision, t.Scale, t.Collation, t.Subtype, t.SRID, t.HasSRID, t.Values})
	if err != nil {
		return arrow.Metadata{}, errs.New(errs.Internal, "describe type: %w", err)
	}
	return arrow.NewMetadata([]string{typeKey}, []string{string(b)}), nil
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
	note, ok := f.Metadata.GetValue(typeKey)
	var n typeNote
	return ok && f.Type.ID() == arrow.INT64 && json.Unmarshal([]byte(note), &n) == nil && n.Kind == value.KindTime
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
	if note, ok := f.Metadata.GetValue(typeKey); ok {
		var n typeNote
		if err := json.Unmarshal([]byte(note), &n); err == nil {
			t = value.Type{Kind: n.Kind, Length: n.Length, Precision: n.Precision, Scale: n.Scale, Collation: n.Collation, Subtype: n.Subtype,
				SRID: n.SRID, HasSRID: n.HasSRID, Values: n.Values}
			if t.Kind != value.KindInvalid && t.String() == n.SQL && arrow.TypeEqual(page.ArrowType(t), plainType(f.Type)) {
				return t, false, nil
			}
		}
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
