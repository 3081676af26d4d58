package frame

import (
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/page"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// longestKeyText is the length of text columns that a frame's key gets unless it says otherwise.
const longestKeyText = 255

// ColumnOf is the type of a column that is made for a field. Its metadata, MySQL's notation under MetaType, decides when it has any;
// typeOf reads it. key tells that the column is in the primary key.
func ColumnOf(f arrow.Field, key bool, typeOf func(text string) (value.Type, error)) (value.Type, error) {
	if text, ok := f.Metadata.GetValue(MetaType); ok && typeOf != nil {
		t, err := typeOf(text)
		if err != nil {
			return t, bad("column %q: its type %q: %w", f.Name, text, err)
		}
		return t, nil
	}
	extension, _ := f.Metadata.GetValue(extensionName)
	dt := f.Type
	if x, ok := dt.(arrow.ExtensionType); ok {
		extension, dt = x.ExtensionName(), x.StorageType()
	}
	switch extension {
	case jsonExtension:
		return value.Type{Kind: value.KindJSON}, nil
	case page.UUIDExtension:
		return value.Type{Kind: value.KindChar, Length: 36, Collation: value.CollationUtf8mb40900Bin}, nil
	}
	return typeFor(f.Name, dt, key)
}

// typeFor is the type for values of an Arrow type.
func typeFor(name string, dt arrow.DataType, key bool) (value.Type, error) {
	kinds := map[arrow.Type]value.Kind{
		arrow.INT8: value.KindInt8, arrow.INT16: value.KindInt16, arrow.INT32: value.KindInt32, arrow.INT64: value.KindInt64,
		arrow.UINT8: value.KindUint8, arrow.UINT16: value.KindUint16, arrow.UINT32: value.KindUint32, arrow.UINT64: value.KindUint64,
		arrow.FLOAT16: value.KindFloat32, arrow.FLOAT32: value.KindFloat32, arrow.FLOAT64: value.KindFloat64,
		arrow.DATE32: value.KindDate, arrow.DATE64: value.KindDate,
		arrow.LIST: value.KindJSON, arrow.LARGE_LIST: value.KindJSON, arrow.LIST_VIEW: value.KindJSON, arrow.STRUCT: value.KindJSON, arrow.MAP: value.KindJSON,
	}
	if k, ok := kinds[dt.ID()]; ok {
		return value.Type{Kind: k}, nil
	}
	switch dt := dt.(type) {
	case *arrow.BooleanType:
		return value.Type{Kind: value.KindInt8, Precision: 1}, nil
	case *arrow.TimestampType:
		t := value.Type{Kind: value.KindDatetime, Precision: fraction(dt.Unit)}
		if dt.TimeZone != "" {
			t.Kind = value.KindTimestamp
		}
		return t, nil
	case *arrow.Time32Type:
		return value.Type{Kind: value.KindTime, Precision: fraction(dt.Unit)}, nil
	case *arrow.Time64Type:
		return value.Type{Kind: value.KindTime, Precision: fraction(dt.Unit)}, nil
	case *arrow.DurationType:
		return value.Type{Kind: value.KindTime, Precision: fraction(dt.Unit)}, nil
	case arrow.DecimalType:
		p, s := dt.GetPrecision(), dt.GetScale()
		if s < 0 {
			p, s = p-s, 0
		}
		if p > 65 || s > 30 {
			return value.Type{}, errs.New(errs.Unsupported, "column %q: decimals of %d digits, %d of them behind the point; the most are 65 and 30", name, p, s)
		}
		return value.Type{Kind: value.KindDecimal, Precision: uint8(p), Scale: uint8(s)}, nil
	case *arrow.StringType, *arrow.LargeStringType, *arrow.StringViewType, *arrow.NullType:
		if key {
			return value.Type{Kind: value.KindVarchar, Length: longestKeyText, Collation: value.CollationUtf8mb40900Bin}, nil
		}
		return value.Type{Kind: value.KindText, Length: value.LongLength, Collation: value.CollationUtf8mb40900Bin}, nil
	case *arrow.BinaryType, *arrow.LargeBinaryType, *arrow.BinaryViewType:
		if key {
			return value.Type{Kind: value.KindVarbinary, Length: longestKeyText}, nil
		}
		return value.Type{Kind: value.KindBlob, Length: value.LongLength}, nil
	case *arrow.FixedSizeBinaryType:
		return value.Type{Kind: value.KindBinary, Length: uint32(dt.ByteWidth)}, nil
	case *arrow.DictionaryType:
		return typeFor(name, dt.ValueType, key)
	case *arrow.FixedSizeListType:
		if dt.Elem().ID() == arrow.FLOAT32 && dt.Len() > 0 {
			return value.Type{Kind: value.KindVector, Length: uint32(dt.Len())}, nil
		}
		return value.Type{Kind: value.KindJSON}, nil
	}
	return value.Type{}, errs.New(errs.Unsupported, "column %q: there is no column type for %s", name, dt)
}

// fraction is how many digits of a second a unit has, six at most.
func fraction(u arrow.TimeUnit) uint8 {
	switch u {
	case arrow.Second:
		return 0
	case arrow.Millisecond:
		return 3
	}
	return 6
}

// SchemaOf is the schema of a table that is made for a frame, with the primary key key, none when it is empty.
func SchemaOf(s *arrow.Schema, key []string, typeOf func(text string) (value.Type, error)) (*schema.Schema, error) {
	out := &schema.Schema{Collation: value.CollationUtf8mb40900Bin}
	if s.NumFields() == 0 {
		return nil, bad("the frame has no columns")
	}
	if err := distinct(s); err != nil {
		return nil, err
	}
	inKey := func(name string) bool {
		for _, k := range key {
			if strings.EqualFold(k, name) {
				return true
			}
		}
		return false
	}
	for _, f := range s.Fields() {
		if f.Name == "" {
			return nil, bad("a column of the frame has no name")
		}
		t, err := ColumnOf(f, inKey(f.Name), typeOf)
		if err != nil {
			return nil, err
		}
		c := schema.Column{Name: f.Name, Type: t, Nullable: !inKey(f.Name)}
		c.ID = schema.AssignID(c.Name, c.Type, out.Columns, nil)
		out.Columns = append(out.Columns, c)
	}
	for _, k := range key {
		i := out.ColumnIndex(k)
		if i < 0 {
			var names []string
			for _, c := range out.Columns {
				names = append(names, c.Name)
			}
			return nil, &ColumnError{Column: k, Near: errs.Nearest(k, names), Frame: true}
		}
		switch out.Columns[i].Type.Kind {
		case value.KindJSON, value.KindVector, value.KindGeometry:
			return nil, bad("column %q of type %s cannot be in a primary key", k, out.Columns[i].Type)
		case value.KindText, value.KindBlob:
			return nil, bad("column %q of type %s cannot be in a primary key; give it a type such as varchar(255)", k, out.Columns[i].Type)
		}
		out.PrimaryKey = append(out.PrimaryKey, schema.IndexColumn{Column: out.Columns[i].ID})
	}
	return out, out.Validate()
}

// distinct refuses a frame with two columns of one name.
func distinct(s *arrow.Schema) error {
	seen := map[string]string{}
	for _, f := range s.Fields() {
		l := strings.ToLower(f.Name)
		if other, ok := seen[l]; ok {
			if other == f.Name {
				return bad("the frame has two columns called %q", f.Name)
			}
			return bad("the frame's columns %q and %q differ in case only, and names of columns do not", other, f.Name)
		}
		seen[l] = f.Name
	}
	return nil
}

// sameKey refuses a primary key that is another than the table's.
func sameKey(s *schema.Schema, key []string) error {
	if key == nil {
		return nil
	}
	have := KeyNames(s)
	same := len(have) == len(key)
	for i := 0; same && i < len(have); i++ {
		same = strings.EqualFold(have[i], key[i])
	}
	if !same {
		if len(have) == 0 {
			return bad("the table has no primary key, so that it cannot be (%s)", strings.Join(key, ", "))
		}
		return bad("the table's primary key is (%s), not (%s)", strings.Join(have, ", "), strings.Join(key, ", "))
	}
	return nil
}

func bad(format string, args ...any) error { return errs.New(errs.Invalid, format, args...) }
