package page

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// CellFunc is the cell of row i, which is not NULL in the array. It may share memory with the array. Errors are of class Invalid.
type CellFunc func(i int) (value.Cell, error)

func bad(format string, args ...any) error { return errs.New(errs.Invalid, format, args...) }

// ReadArrow reads an array as cells of a type: exactly, or it is an error. Types that do not go together are an error at once.
func ReadArrow(arr arrow.Array, t value.Type) (CellFunc, error) {
	return ThroughArrow(arr, func(values arrow.Array) (CellFunc, error) { return exactCells(values, t) })
}

// ThroughArrow reads an array by the values that are behind its dictionary, runs and extensions, which of reads. UUIDs stay what they are.
func ThroughArrow(arr arrow.Array, of func(values arrow.Array) (CellFunc, error)) (CellFunc, error) {
	switch a := arr.(type) {
	case *array.Dictionary:
		return dictionaryCells(a, of)
	case *array.RunEndEncoded:
		inner, err := ThroughArrow(a.Values(), of)
		if err != nil {
			return nil, err
		}
		return func(i int) (value.Cell, error) {
			k := a.GetPhysicalIndex(i)
			if a.Values().IsNull(k) {
				return value.Null, nil
			}
			return inner(k)
		}, nil
	case array.ExtensionArray:
		if a.DataType().(arrow.ExtensionType).ExtensionName() != UUIDExtension {
			return ThroughArrow(a.Storage(), of)
		}
	}
	return of(arr)
}

// ReadRaw is ReadArrow of an array that a Batcher has made of a Raw column.
func ReadRaw(arr arrow.Array, t value.Type) (CellFunc, error) {
	f, err := ReadArrow(arr, t)
	if err != nil {
		return nil, err
	}
	var raw func(i int) int64
	zero := value.ZeroDatetime
	switch a := arr.(type) {
	case *array.Date32:
		raw, zero = func(i int) int64 { return int64(a.Value(i)) }, value.ZeroDate
	case *array.Timestamp:
		raw = func(i int) int64 { return int64(a.Value(i)) }
	default:
		return f, nil
	}
	return func(i int) (value.Cell, error) {
		if raw(i) == zero {
			return value.IntCell(zero), nil
		}
		return f(i)
	}, nil
}

// exactCells is ReadArrow of an array of values.
func exactCells(arr arrow.Array, t value.Type) (CellFunc, error) {
	switch a := arr.(type) {
	case *array.Null:
		return func(int) (value.Cell, error) { return value.Null, nil }, nil
	case array.ExtensionArray:
		return uuidCells(a.Storage(), t)
	}
	var f CellFunc
	switch t.Kind {
	case value.KindInt8, value.KindInt16, value.KindInt24, value.KindInt32, value.KindInt64, value.KindUint8, value.KindUint16,
		value.KindUint24, value.KindUint32, value.KindUint64, value.KindYear, value.KindBit:
		f = wholeCells(arr, t)
	case value.KindFloat64, value.KindFloat32:
		f = floatCells(arr, t)
	case value.KindDecimal:
		f = decimalCells(arr, t)
	case value.KindDate, value.KindDatetime, value.KindTimestamp:
		f = momentCells(arr, t)
	case value.KindTime:
		f = timeCells(arr, t)
	case value.KindChar, value.KindVarchar, value.KindText, value.KindEnum, value.KindSet:
		f = textCells(arr, t)
	case value.KindBinary, value.KindVarbinary, value.KindBlob, value.KindGeometry:
		f = bytesCells(arr, t)
	case value.KindJSON:
		f = jsonCells(arr)
	case value.KindVector:
		f = vectorCells(arr, t)
	}
	if f == nil {
		return nil, bad("%s of the frame does not go into a column of type %s", arr.DataType(), t)
	}
	return f, nil
}

// dictionaryCells reads the values of a dictionary once, or those of the rows when there are fewer rows.
func dictionaryCells(a *array.Dictionary, read func(values arrow.Array) (CellFunc, error)) (CellFunc, error) {
	dict := a.Dictionary()
	of, err := ThroughArrow(dict, read)
	if err != nil {
		return nil, err
	}
	if dict.Len() > a.Len() {
		return func(i int) (value.Cell, error) {
			k := a.GetValueIndex(i)
			if dict.IsNull(k) {
				return value.Null, nil
			}
			return of(k)
		}, nil
	}
	cells := make([]value.Cell, dict.Len())
	fail := make([]error, dict.Len())
	for i := range cells {
		if !dict.IsNull(i) {
			cells[i], fail[i] = of(i)
		}
	}
	return func(i int) (value.Cell, error) {
		k := a.GetValueIndex(i)
		return cells[k], fail[k]
	}, nil
}

// uuidCells reads 16 bytes as the text of a UUID, or as they are.
func uuidCells(arr arrow.Array, t value.Type) (CellFunc, error) {
	a, ok := arr.(*array.FixedSizeBinary)
	switch t.Kind {
	case value.KindChar, value.KindVarchar, value.KindText:
	default:
		return ReadArrow(arr, t)
	}
	if !ok || t.Kind != value.KindText && t.Length < 36 {
		return nil, bad("uuid of the frame does not go into a column of type %s", t)
	}
	return func(i int) (value.Cell, error) {
		b := a.Value(i)
		return value.BytesCell(fmt.Appendf(nil, "%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])), nil
	}, nil
}
