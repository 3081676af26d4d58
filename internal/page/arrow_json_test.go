package page

import (
	"math"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/float16"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// TestNestedJSON reads nested arrays as JSON, from their own JSON form.
func TestNestedJSON(t *testing.T) {
	for _, c := range []struct {
		typ        arrow.DataType
		text, want string
	}{
		{arrow.ListOf(arrow.PrimitiveTypes.Float64), `[[1, -0.0, 0.1, 1e21, 5e-324, null]]`, `[1.0,-0.0,0.1,1e+21,5e-324,null]`},
		{arrow.LargeListOf(arrow.PrimitiveTypes.Float32), `[[1.5, 0.1]]`, `[1.5,0.1]`},
		{arrow.ListOf(arrow.PrimitiveTypes.Uint64), `[[18446744073709551615]]`, `[18446744073709551615]`},
		{arrow.ListOf(&arrow.Decimal128Type{Precision: 5, Scale: 2}), `[["1.10", "-0.05"]]`, `["1.10","-0.05"]`},
		{arrow.ListOf(&arrow.Decimal256Type{Precision: 50, Scale: 1}), `[["1.0"]]`, `["1.0"]`},
		{arrow.FixedSizeListOf(2, arrow.ListOf(arrow.BinaryTypes.String)), `[[["a\"é"], []]]`, `[["a\"é"],[]]`},
		{arrow.StructOf(arrow.Field{Name: "a\"b", Type: arrow.PrimitiveTypes.Int8, Nullable: true}, arrow.Field{Name: "x", Type: arrow.FixedWidthTypes.Boolean, Nullable: true}),
			`[{"a\"b": 1, "x": null}]`, `{"a\"b":1,"x":null}`},
		{arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Float64), `[[{"key": "a", "value": 2}, {"key": "a", "value": null}]]`, `[{"key":"a","value":2.0},{"key":"a","value":null}]`},
		{arrow.ListOf(extensions.NewUUIDType()), `[["550e8400-e29b-41d4-a716-446655440000", null]]`, `["550e8400-e29b-41d4-a716-446655440000",null]`},
		{arrow.ListOf(arrow.FixedWidthTypes.Date32), `[["2020-01-02"]]`, `["2020-01-02"]`},
	} {
		arr, _, err := array.FromJSON(memory.DefaultAllocator, c.typ, strings.NewReader(c.text))
		if err != nil {
			t.Fatalf("%s: %v", c.typ, err)
		}
		got, err := appendNested(nil, arr, 0)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v, want %s", c.typ, got, err, c.want)
		}
	}
}

// TestNestedNumbersThatJSONHasNot checks that no NaN and no infinity becomes a text or a null, wherever it is.
func TestNestedNumbersThatJSONHasNot(t *testing.T) {
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		for _, elem := range []arrow.DataType{arrow.PrimitiveTypes.Float64, arrow.PrimitiveTypes.Float32, arrow.FixedWidthTypes.Float16} {
			b := array.NewListBuilder(memory.DefaultAllocator, arrow.StructOf(arrow.Field{Name: "x", Type: elem}))
			b.Append(true)
			s := b.ValueBuilder().(*array.StructBuilder)
			s.Append(true)
			switch f := s.FieldBuilder(0).(type) {
			case *array.Float64Builder:
				f.Append(v)
			case *array.Float32Builder:
				f.Append(float32(v))
			case *array.Float16Builder:
				f.Append(float16.New(float32(v)))
			}
			if got, err := appendNested(nil, b.NewArray(), 0); err == nil || !strings.Contains(err.Error(), "JSON has not") {
				t.Errorf("%v as %s: %s, %v", v, elem, got, err)
			}
		}
	}
}
