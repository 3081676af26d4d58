package page

import (
	"encoding/json"
	"math"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// appendNested appends value i of a nested array, or of one within it, as JSON. Integers and floats are numbers, a float one of a float; what JSON
// has no type for is text in Arrow's own form, decimals with all their digits. NaN and infinities have no form, and a struct whose fields
// share a name would lose one: both are errors.
func appendNested(dst []byte, arr arrow.Array, i int) ([]byte, error) {
	if arr.IsNull(i) {
		return append(dst, "null"...), nil
	}
	switch a := arr.(type) {
	case *array.Map:
		lo, hi := a.ValueOffsets(i)
		dst = append(dst, '[')
		for k := lo; k < hi; k++ {
			if k > lo {
				dst = append(dst, ',')
			}
			var err error
			if dst, err = appendNested(append(dst, `{"key":`...), a.Keys(), int(k)); err != nil {
				return nil, err
			}
			if dst, err = appendNested(append(dst, `,"value":`...), a.Items(), int(k)); err != nil {
				return nil, err
			}
			dst = append(dst, '}')
		}
		return append(dst, ']'), nil
	case array.ListLike:
		lo, hi := a.ValueOffsets(i)
		dst = append(dst, '[')
		for k := lo; k < hi; k++ {
			if k > lo {
				dst = append(dst, ',')
			}
			var err error
			if dst, err = appendNested(dst, a.ListValues(), int(k)); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	case *array.Struct:
		return appendStruct(dst, a, i)
	case *array.Dictionary:
		return appendNested(dst, a.Dictionary(), a.GetValueIndex(i))
	case array.ExtensionArray:
		switch a.ExtensionType().ExtensionName() {
		case "arrow.uuid", "arrow.json", "arrow.bool8": // which have a form of their own in JSON
		default:
			return appendNested(dst, a.Storage(), i)
		}
	case *array.Float16:
		return appendFloat(dst, float64(a.Value(i).Float32()), 32)
	case *array.Float32:
		return appendFloat(dst, float64(a.Value(i)), 32)
	case *array.Float64:
		return appendFloat(dst, a.Value(i), 64)
	case *array.Decimal32:
		return strconv.AppendQuote(dst, a.Value(i).ToString(a.DataType().(*arrow.Decimal32Type).Scale)), nil
	case *array.Decimal64:
		return strconv.AppendQuote(dst, a.Value(i).ToString(a.DataType().(*arrow.Decimal64Type).Scale)), nil
	case *array.Decimal128:
		return strconv.AppendQuote(dst, a.Value(i).ToString(a.DataType().(*arrow.Decimal128Type).Scale)), nil
	case *array.Decimal256:
		return strconv.AppendQuote(dst, a.Value(i).ToString(a.DataType().(*arrow.Decimal256Type).Scale)), nil
	}
	b, err := json.Marshal(arr.GetOneForMarshal(i))
	if err != nil {
		return nil, bad("%w: JSON has no such value", err)
	}
	return append(dst, b...), nil
}

func appendStruct(dst []byte, a *array.Struct, i int) ([]byte, error) {
	fields := a.DataType().(*arrow.StructType)
	dst = append(dst, '{')
	for k, f := range fields.Fields() {
		if len(fields.FieldIndices(f.Name)) > 1 {
			return nil, bad("a struct has the field %q twice, of which JSON would keep one", f.Name)
		}
		if k > 0 {
			dst = append(dst, ',')
		}
		name, err := json.Marshal(f.Name)
		if err != nil {
			return nil, bad("%w: JSON has no such name", err)
		}
		if dst, err = appendNested(append(append(dst, name...), ':'), a.Field(k), i); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func appendFloat(dst []byte, v float64, bits int) ([]byte, error) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil, bad("a list or struct holds %v, which JSON has not; NULL can stand for it", v)
	}
	form := byte('f')
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		form = 'e'
	}
	from := len(dst)
	dst = strconv.AppendFloat(dst, v, form, -1, bits)
	for _, c := range dst[from:] {
		if c == '.' || c == 'e' {
			return dst, nil
		}
	}
	return append(dst, ".0"...), nil
}
