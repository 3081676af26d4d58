package ingest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// cells gives the values of an array as cells of a type: value i, which is not NULL in the array. A cell may be NULL all the same,
// and may alias the array. Errors are of class Invalid.
type cells func(i int) (value.Cell, error)

// cellsOf reads an array as cells of type t. nulls are texts that mean NULL.
func cellsOf(arr arrow.Array, t value.Type, nulls []string) cells {
	switch a := arr.(type) {
	case *array.Dictionary:
		inner, dict := cellsOf(a.Dictionary(), t, nulls), a.Dictionary()
		return func(i int) (value.Cell, error) {
			k := a.GetValueIndex(i)
			if dict.IsNull(k) {
				return value.Null, nil
			}
			return inner(k)
		}
	case *array.RunEndEncoded:
		inner, vals := cellsOf(a.Values(), t, nulls), a.Values()
		return func(i int) (value.Cell, error) {
			k := a.GetPhysicalIndex(i)
			if vals.IsNull(k) {
				return value.Null, nil
			}
			return inner(k)
		}
	case array.ExtensionArray:
		return cellsOf(a.Storage(), t, nulls)
	case *array.Boolean:
		return integers(t, func(i int) int64 {
			if a.Value(i) {
				return 1
			}
			return 0
		})
	case *array.Int8:
		return integers(t, func(i int) int64 { return int64(a.Value(i)) })
	case *array.Int16:
		return integers(t, func(i int) int64 { return int64(a.Value(i)) })
	case *array.Int32:
		return integers(t, func(i int) int64 { return int64(a.Value(i)) })
	case *array.Int64:
		return integers(t, a.Value)
	case *array.Uint8:
		return integers(t, func(i int) int64 { return int64(a.Value(i)) })
	case *array.Uint16:
		return integers(t, func(i int) int64 { return int64(a.Value(i)) })
	case *array.Uint32:
		return integers(t, func(i int) int64 { return int64(a.Value(i)) })
	case *array.Uint64:
		return unsigned(t, a.Value)
	case *array.Float16:
		return floats(t, nulls, 32, func(i int) float64 { return float64(a.Value(i).Float32()) })
	case *array.Float32:
		return floats(t, nulls, 32, func(i int) float64 { return float64(a.Value(i)) })
	case *array.Float64:
		return floats(t, nulls, 64, a.Value)
	case *array.Decimal32, *array.Decimal64, *array.Decimal128, *array.Decimal256:
		return decimals(a, t)
	case *array.Date32:
		return dates(t, func(i int) (int64, bool) { return int64(a.Value(i)), true })
	case *array.Date64:
		return dates(t, func(i int) (int64, bool) {
			const day = 86400 * 1000
			v := int64(a.Value(i))
			return v / day, v%day == 0
		})
	case *array.Time32:
		return times(t, a.DataType().(*arrow.Time32Type).Unit, func(i int) int64 { return int64(a.Value(i)) })
	case *array.Time64:
		return times(t, a.DataType().(*arrow.Time64Type).Unit, func(i int) int64 { return int64(a.Value(i)) })
	case *array.Duration:
		return times(t, a.DataType().(*arrow.DurationType).Unit, func(i int) int64 { return int64(a.Value(i)) })
	case *array.Timestamp:
		return moments(t, a.DataType().(*arrow.TimestampType).Unit, func(i int) int64 { return int64(a.Value(i)) })
	case *array.String:
		return texts(t, nulls, func(i int) []byte { return []byte(a.Value(i)) })
	case *array.LargeString:
		return texts(t, nulls, func(i int) []byte { return []byte(a.Value(i)) })
	case *array.StringView:
		return texts(t, nulls, func(i int) []byte { return []byte(a.Value(i)) })
	case *array.Binary:
		return texts(t, nil, a.Value)
	case *array.LargeBinary:
		return texts(t, nil, a.Value)
	case *array.BinaryView:
		return texts(t, nil, a.Value)
	case *array.FixedSizeBinary:
		return texts(t, nil, a.Value)
	case *array.FixedSizeList:
		if v, ok := a.ListValues().(*array.Float32); ok && t.Kind == value.KindVector && v.NullN() == 0 {
			return vectors(t, a, v)
		}
	}
	return func(i int) (value.Cell, error) { return nested(arr, t, i) }
}

// limits are the least and the greatest value of a kind of whole numbers; ok is false for other kinds and unsigned 64 bits.
func limits(k value.Kind) (lo, hi int64, ok bool) {
	switch k {
	case value.KindInt8:
		return math.MinInt8, math.MaxInt8, true
	case value.KindInt16:
		return math.MinInt16, math.MaxInt16, true
	case value.KindInt24:
		return -1 << 23, 1<<23 - 1, true
	case value.KindInt32:
		return math.MinInt32, math.MaxInt32, true
	case value.KindInt64:
		return math.MinInt64, math.MaxInt64, true
	case value.KindUint8:
		return 0, math.MaxUint8, true
	case value.KindUint16:
		return 0, math.MaxUint16, true
	case value.KindUint24:
		return 0, 1<<24 - 1, true
	case value.KindUint32:
		return 0, math.MaxUint32, true
	}
	return 0, 0, false
}

// outOfRange is the error of a value that the type does not hold.
func outOfRange(t value.Type, v any) error { return invalid("%v is out of the range of %s", v, t) }

// integers reads signed whole numbers.
func integers(t value.Type, at func(int) int64) cells {
	if lo, hi, ok := limits(t.Kind); ok {
		return func(i int) (value.Cell, error) {
			v := at(i)
			if v < lo || v > hi {
				return value.Null, outOfRange(t, v)
			}
			return value.IntCell(v), nil
		}
	}
	if t.Kind == value.KindUint64 {
		return func(i int) (value.Cell, error) {
			v := at(i)
			if v < 0 {
				return value.Null, outOfRange(t, v)
			}
			return value.UintCell(uint64(v)), nil
		}
	}
	return parsed(t, func(dst []byte, i int) []byte {
		return value.AppendText(dst, value.Type{Kind: value.KindInt64}, value.IntCell(at(i)))
	})
}

// unsigned reads unsigned whole numbers of 64 bits.
func unsigned(t value.Type, at func(int) uint64) cells {
	if t.Kind == value.KindUint64 {
		return func(i int) (value.Cell, error) { return value.UintCell(at(i)), nil }
	}
	if t.Kind == value.KindBit {
		return func(i int) (value.Cell, error) {
			if v := at(i); t.Length >= 64 || v>>t.Length == 0 {
				return value.UintCell(v), nil
			}
			return value.Null, outOfRange(t, at(i))
		}
	}
	if _, hi, ok := limits(t.Kind); ok {
		return func(i int) (value.Cell, error) {
			v := at(i)
			if v > uint64(hi) {
				return value.Null, outOfRange(t, v)
			}
			return value.IntCell(int64(v)), nil
		}
	}
	return parsed(t, func(dst []byte, i int) []byte {
		return value.AppendText(dst, value.Type{Kind: value.KindUint64}, value.UintCell(at(i)))
	})
}

// parsed reads values by way of their text.
func parsed(t value.Type, text func(dst []byte, i int) []byte) cells {
	return func(i int) (value.Cell, error) { return value.Parse(t, text(nil, i)) }
}

// floats reads floating point numbers of 32 or 64 bits.
func floats(t value.Type, nulls []string, bits int, at func(int) float64) cells {
	nan := false
	for _, n := range nulls {
		nan = nan || bytes.EqualFold([]byte(n), []byte("nan"))
	}
	kind := value.KindFloat64
	if bits == 32 {
		kind = value.KindFloat32
	}
	return func(i int) (value.Cell, error) {
		v := at(i)
		switch {
		case math.IsNaN(v) && nan:
			return value.Null, nil
		case math.IsNaN(v):
			return value.Null, invalid("NaN is no value of SQL; --null NaN makes it NULL")
		case math.IsInf(v, 0):
			return value.Null, invalid("infinity is no value of SQL")
		case t.Kind == value.KindFloat64:
			return value.FloatCell(v), nil
		case t.Kind == value.KindFloat32 && (bits == 32 || float64(float32(v)) == v):
			return value.Float32Cell(float32(v)), nil
		case kind == value.KindFloat32:
			return value.Parse(t, value.AppendText(nil, value.Type{Kind: kind}, value.Float32Cell(float32(v))))
		}
		return value.Parse(t, value.AppendText(nil, value.Type{Kind: kind}, value.FloatCell(v)))
	}
}

// decimals reads decimal numbers.
func decimals(arr arrow.Array, t value.Type) cells {
	scale := arr.DataType().(arrow.DecimalType).GetScale()
	if a, ok := arr.(*array.Decimal128); ok && t.Kind == value.KindDecimal && t.Phys() == value.Int64 && int32(t.Scale) == scale {
		limit := int64(1)
		for range t.Precision {
			limit *= 10
		}
		return func(i int) (value.Cell, error) {
			v := a.Value(i)
			n := int64(v.LowBits())
			if v.HighBits() != n>>63 || n >= limit || n <= -limit {
				return value.Null, outOfRange(t, v.ToString(scale))
			}
			return value.IntCell(n), nil
		}
	}
	return parsed(t, func(_ []byte, i int) []byte { return []byte(arr.ValueStr(i)) })
}

// dates reads days since 1970; ok is false for what is no whole day.
func dates(t value.Type, at func(int) (days int64, ok bool)) cells {
	return func(i int) (value.Cell, error) {
		d, whole := at(i)
		if !whole {
			return value.Null, invalid("it has a time beside the date")
		}
		if d != value.ZeroDate && (d < value.MinDate || d > value.MaxDate) {
			return value.Null, invalid("day %d from 1970-01-01 is outside the years 0 to 9999", d)
		}
		if t.Kind == value.KindDate {
			return value.IntCell(d), nil
		}
		return value.Parse(t, value.AppendText(nil, value.Type{Kind: value.KindDate}, value.IntCell(d)))
	}
}

// micros is a count of a unit in microseconds; ok is false when it is none, or too many.
func micros(v int64, u arrow.TimeUnit) (us int64, ok bool) {
	switch u {
	case arrow.Second:
		return v * 1e6, v <= math.MaxInt64/1000000 && v >= math.MinInt64/1000000
	case arrow.Millisecond:
		return v * 1e3, v <= math.MaxInt64/1000 && v >= math.MinInt64/1000
	case arrow.Nanosecond:
		return v / 1e3, v%1e3 == 0
	}
	return v, true
}

// times reads times of day and durations.
func times(t value.Type, u arrow.TimeUnit, at func(int) int64) cells {
	return func(i int) (value.Cell, error) {
		us, ok := micros(at(i), u)
		if !ok {
			return value.Null, invalid("%d %s is finer than a microsecond or too long", at(i), u)
		}
		if us > value.MaxTime || us < -value.MaxTime {
			return value.Null, invalid("%d %s is beyond 838:59:59, the longest time", at(i), u)
		}
		if t.Kind == value.KindTime {
			return value.IntCell(value.RoundTime(us, t.Precision)), nil
		}
		return value.Parse(t, value.AppendText(nil, value.Type{Kind: value.KindTime, Precision: 6}, value.IntCell(us)))
	}
}

// moments reads points in time.
func moments(t value.Type, u arrow.TimeUnit, at func(int) int64) cells {
	return func(i int) (value.Cell, error) {
		us, ok := micros(at(i), u)
		switch {
		case !ok:
			return value.Null, invalid("%d %s from 1970 is finer than a microsecond or too far", at(i), u)
		case us != value.ZeroDatetime && (us < value.MinDatetime || us > value.MaxDatetime):
			return value.Null, invalid("%d %s from 1970 is outside the years 0 to 9999", at(i), u)
		case t.Kind == value.KindDatetime && us != value.ZeroDatetime:
			return value.IntCell(value.RoundMicros(us, t.Precision)), nil
		case (t.Kind == value.KindDatetime || t.Kind == value.KindTimestamp) && us == value.ZeroDatetime:
			return value.IntCell(us), nil
		}
		return value.Parse(t, value.AppendText(nil, value.Type{Kind: value.KindDatetime, Precision: 6}, value.IntCell(us)))
	}
}

// texts reads strings and bytes.
func texts(t value.Type, nulls []string, at func(int) []byte) cells {
	return func(i int) (value.Cell, error) {
		v := at(i)
		for _, n := range nulls {
			if string(v) == n {
				return value.Null, nil
			}
		}
		return value.Parse(t, v)
	}
}

// vectors reads lists of as many floats each.
func vectors(t value.Type, a *array.FixedSizeList, v *array.Float32) cells {
	return func(i int) (value.Cell, error) {
		lo, hi := a.ValueOffsets(i)
		if hi-lo != int64(t.Length) {
			return value.Null, invalid("it has %d dimensions, the column %d", hi-lo, t.Length)
		}
		out := make([]byte, 0, 4*(hi-lo))
		for k := lo; k < hi; k++ {
			x := v.Value(int(k))
			if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
				return value.Null, invalid("NaN and infinity are no values of a vector")
			}
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
		}
		return value.BytesCell(out), nil
	}
}

// nested reads lists, structs and maps as JSON, and what has no other way by its text.
func nested(arr arrow.Array, t value.Type, i int) (value.Cell, error) {
	if _, ok := arr.DataType().(arrow.NestedType); !ok {
		return value.Parse(t, []byte(arr.ValueStr(i)))
	}
	b, err := json.Marshal(arr.GetOneForMarshal(i))
	if err != nil {
		return value.Null, errs.New(errs.Invalid, "make JSON of it: %w", err)
	}
	return value.Parse(t, b)
}
