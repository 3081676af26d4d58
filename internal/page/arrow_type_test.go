package page

import (
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/extensions"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// TestTypeOf checks the columns that are made for types of Arrow.
func TestTypeOf(t *testing.T) {
	json, err := extensions.NewJSONType(arrow.BinaryTypes.String)
	if err != nil {
		t.Fatal(err)
	}
	f32 := arrow.PrimitiveTypes.Float32
	for _, c := range []struct {
		of   arrow.DataType
		want string
		open bool
	}{
		{of: arrow.FixedWidthTypes.Boolean, want: "tinyint(1)"},
		{of: arrow.PrimitiveTypes.Uint16, want: "smallint unsigned"},
		{of: arrow.FixedWidthTypes.Float16, want: "float"},
		{of: arrow.FixedWidthTypes.Date64, want: "date"},
		{of: arrow.FixedWidthTypes.Time32ms, want: "time(3)"},
		{of: arrow.FixedWidthTypes.Duration_ns, want: "time(6)"},
		{of: &arrow.TimestampType{Unit: arrow.Second}, want: "datetime"},
		{of: &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "Europe/Berlin"}, want: "timestamp(6)"},
		{of: &arrow.Decimal128Type{Precision: 5, Scale: -2}, want: "decimal(7,0)"},
		{of: &arrow.Decimal128Type{Precision: 2, Scale: 4}, want: "decimal(4,4)"},
		{of: arrow.BinaryTypes.StringView, want: "longtext", open: true},
		{of: arrow.Null, want: "longtext", open: true},
		{of: arrow.BinaryTypes.Binary, want: "longblob", open: true},
		{of: &arrow.FixedSizeBinaryType{ByteWidth: 16}, want: "binary(16)"},
		{of: &arrow.FixedSizeBinaryType{ByteWidth: 256}, want: "longblob", open: true},
		{of: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.PrimitiveTypes.Int32}, want: "int"},
		{of: arrow.RunEndEncodedOf(arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Float64), want: "double"},
		{of: arrow.FixedSizeListOf(3, f32), want: "vector(3)"},
		{of: arrow.FixedSizeListOf(3, arrow.PrimitiveTypes.Float64), want: "json"},
		{of: arrow.ListOf(f32), want: "json"},
		{of: arrow.StructOf(arrow.Field{Name: "a", Type: f32}), want: "json"},
		{of: json, want: "json"},
		{of: extensions.NewUUIDType(), want: "char(36)"},
	} {
		got, open, err := TypeOf(arrow.Field{Type: c.of})
		text, _ := TypeMetadata(got).GetValue(MetaType)
		if err != nil || text != c.want || open != c.open {
			t.Errorf("%s: %s, open %v, %v; want %s, %v", c.of, text, open, err, c.want, c.open)
		}
	}
	noted := arrow.Field{Type: arrow.BinaryTypes.String, Metadata: arrow.NewMetadata([]string{MetaExtension}, []string{JSONExtension})}
	if got, _, err := TypeOf(noted); err != nil || got.Kind != value.KindJSON {
		t.Errorf("text whose metadata says that it is JSON: %s, %v", got, err)
	}
	for _, of := range []arrow.DataType{&arrow.Decimal256Type{Precision: 66}, &arrow.Decimal256Type{Precision: 40, Scale: 31}, arrow.FixedWidthTypes.MonthInterval} {
		if got, _, err := TypeOf(arrow.Field{Type: of}); !errs.Is(err, errs.Unsupported) {
			t.Errorf("%s: %s, %v, want an error of class unsupported", of, got, err)
		}
	}
}

// TestNotedType checks that the metadata of a field tells the type of its column, and what else it may hold.
func TestNotedType(t *testing.T) {
	ci, ok := value.ParseCollation("utf8mb4_0900_ai_ci")
	if !ok {
		t.Fatal("no collation")
	}
	for _, want := range []value.Type{
		{Kind: value.KindInt8, Precision: 1},
		{Kind: value.KindVarchar, Length: 20, Collation: ci},
		{Kind: value.KindEnum, Values: []string{"a", "it's"}, Collation: value.CollationUtf8mb40900Bin},
		{Kind: value.KindGeometry, SRID: 4326, HasSRID: true},
	} {
		if got, ok, err := NotedType(TypeMetadata(want)); err != nil || !ok || !got.Equal(want) {
			t.Errorf("%s: %s, %v, %v", want, got, ok, err)
		}
	}
	if _, ok, err := NotedType(arrow.Metadata{}); ok || err != nil {
		t.Errorf("without metadata: %v, %v", ok, err)
	}
	for _, m := range [][2][]string{
		{{MetaType}, {"nonsense"}},
		{{MetaType, "stemma.collation"}, {"varchar(3)", "nonsense"}},
		{{MetaType, "stemma.srid"}, {"geometry", "x"}},
	} {
		if _, _, err := NotedType(arrow.NewMetadata(m[0], m[1])); !errs.Is(err, errs.Invalid) {
			t.Errorf("%v: %v, want an error of class invalid", m, err)
		}
	}
}
