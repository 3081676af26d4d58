package page

import (
	"fmt"
	"math"
	"math/big"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/stemmadb/stemma/internal/value"
)

// whole reads an array of whole numbers: each as int64, or when it is beyond that as uint64 with high set.
func whole(arr arrow.Array) func(i int) (v int64, high bool) {
	switch a := arr.(type) {
	case *array.Int8:
		return func(i int) (int64, bool) { return int64(a.Value(i)), false }
	case *array.Int16:
		return func(i int) (int64, bool) { return int64(a.Value(i)), false }
	case *array.Int32:
		return func(i int) (int64, bool) { return int64(a.Value(i)), false }
	case *array.Int64:
		return func(i int) (int64, bool) { return a.Value(i), false }
	case *array.Uint8:
		return func(i int) (int64, bool) { return int64(a.Value(i)), false }
	case *array.Uint16:
		return func(i int) (int64, bool) { return int64(a.Value(i)), false }
	case *array.Uint32:
		return func(i int) (int64, bool) { return int64(a.Value(i)), false }
	case *array.Uint64:
		return func(i int) (int64, bool) { v := a.Value(i); return int64(v), v > math.MaxInt64 }
	case *array.Boolean:
		return func(i int) (int64, bool) {
			if a.Value(i) {
				return 1, false
			}
			return 0, false
		}
	}
	return nil
}

// limits are the least and the greatest value of a kind of whole numbers.
func limits(t value.Type) (least int64, most uint64) {
	switch t.Kind {
	case value.KindInt8:
		return math.MinInt8, math.MaxInt8
	case value.KindInt16:
		return math.MinInt16, math.MaxInt16
	case value.KindInt24:
		return -1 << 23, 1<<23 - 1
	case value.KindInt32:
		return math.MinInt32, math.MaxInt32
	case value.KindInt64:
		return math.MinInt64, math.MaxInt64
	case value.KindUint8:
		return 0, math.MaxUint8
	case value.KindUint16:
		return 0, math.MaxUint16
	case value.KindUint24:
		return 0, 1<<24 - 1
	case value.KindUint32:
		return 0, math.MaxUint32
	case value.KindYear:
		return 0, 2155
	case value.KindBit:
		if t.Length < 64 {
			return 0, 1<<t.Length - 1
		}
	}
	return 0, math.MaxUint64
}

func wholeCells(arr arrow.Array, t value.Type) CellFunc {
	least, most := limits(t)
	wide := t.Kind == value.KindUint64 || t.Kind == value.KindBit
	fit := func(v int64, high bool) (value.Cell, error) {
		switch {
		case high && uint64(v) > most, !high && (v < least || v > 0 && uint64(v) > most):
			if high {
				return value.Null, bad("%d is out of range for %s", uint64(v), t)
			}
			return value.Null, bad("%d is out of range for %s", v, t)
		case t.Kind == value.KindYear && v != 0 && v < 1901:
			return value.Null, bad("%d is out of range for year", v)
		case wide:
			return value.UintCell(uint64(v)), nil
		}
		return value.IntCell(v), nil
	}
	if get := whole(arr); get != nil {
		if t.Kind == value.KindInt64 && arr.DataType().ID() == arrow.INT64 {
			vals := arr.(*array.Int64).Int64Values()
			return func(i int) (value.Cell, error) { return value.IntCell(vals[i]), nil }
		}
		return func(i int) (value.Cell, error) { return fit(get(i)) }
	}
	if get := floats(arr); get != nil {
		return func(i int) (value.Cell, error) {
			v := get(i)
			switch {
			case v != math.Trunc(v) || math.IsInf(v, 0): // NaN is not equal to itself
				return value.Null, bad("%v is no whole number, and the column is %s", v, t)
			case v >= 0 && v < 1<<64:
				return fit(int64(uint64(v)), uint64(v) > math.MaxInt64)
			case v < 0 && v >= math.MinInt64:
				return fit(int64(v), false)
			}
			return value.Null, bad("%v is out of range for %s", v, t)
		}
	}
	return nil
}

// floats reads an array of floating-point numbers.
func floats(arr arrow.Array) func(i int) float64 {
	switch a := arr.(type) {
	case *array.Float64:
		return a.Value
	case *array.Float32:
		return func(i int) float64 { return float64(a.Value(i)) }
	case *array.Float16:
		return func(i int) float64 { return float64(a.Value(i).Float32()) }
	}
	return nil
}

func floatCells(arr arrow.Array, t value.Type) CellFunc {
	cell := func(v float64) (value.Cell, error) {
		if t.Kind == value.KindFloat64 {
			if v != v {
				v = math.NaN() // of all its forms the one that is kept
			}
			return value.FloatCell(v), nil
		}
		s := float32(v)
		if v != v {
			return value.Float32Cell(float32(math.NaN())), nil
		}
		if float64(s) != v {
			return value.Null, bad("a float does not hold %v exactly; make the column double", v)
		}
		return value.Float32Cell(s), nil
	}
	if get := floats(arr); get != nil {
		return func(i int) (value.Cell, error) { return cell(get(i)) }
	}
	if get := whole(arr); get != nil {
		return func(i int) (value.Cell, error) {
			v, high := get(i)
			f, exact := float64(v), false
			if high {
				f = float64(uint64(v))
				exact = f < 1<<64 && uint64(f) == uint64(v)
			} else {
				exact = f < 1<<63 && int64(f) == v
			}
			if !exact {
				return value.Null, bad("a double does not hold %d exactly", v)
			}
			return cell(f)
		}
	}
	return nil
}

// decimals reads an array of decimals: digits without the point, and how many stand behind it.
func decimals(arr arrow.Array) (get func(i int) *big.Int, scale int32) {
	switch a := arr.(type) {
	case *array.Decimal32:
		return func(i int) *big.Int { return big.NewInt(int64(a.Value(i))) }, a.DataType().(*arrow.Decimal32Type).Scale
	case *array.Decimal64:
		return func(i int) *big.Int { return big.NewInt(int64(a.Value(i))) }, a.DataType().(*arrow.Decimal64Type).Scale
	case *array.Decimal128:
		return func(i int) *big.Int { return a.Value(i).BigInt() }, a.DataType().(*arrow.Decimal128Type).Scale
	case *array.Decimal256:
		return func(i int) *big.Int { return a.Value(i).BigInt() }, a.DataType().(*arrow.Decimal256Type).Scale
	}
	return nil, 0
}

var ten = big.NewInt(10)

func decimalCells(arr arrow.Array, t value.Type) CellFunc {
	rescale := func(n *big.Int, scale int32) (value.Cell, error) {
		up := int64(t.Scale) - int64(scale)
		if up > 0 {
			n = new(big.Int).Mul(n, new(big.Int).Exp(ten, big.NewInt(up), nil))
		} else if up < 0 {
			q, r := new(big.Int).QuoRem(n, new(big.Int).Exp(ten, big.NewInt(-up), nil), new(big.Int))
			if r.Sign() != 0 {
				return value.Null, bad("%s has more digits behind the point than %s", decimalText(n, scale), t)
			}
			n = q
		}
		return value.DecimalFromBig(t, n)
	}
	if get, scale := decimals(arr); get != nil {
		slow := func(i int) (value.Cell, error) { return rescale(get(i), scale) }
		a, ok := arr.(*array.Decimal128)
		if !ok || t.Phys() != value.Int64 || int32(t.Scale) != scale {
			return slow
		}
		limit := int64(1)
		for range t.Precision {
			limit *= 10
		}
		return func(i int) (value.Cell, error) {
			v := a.Value(i)
			if n := int64(v.LowBits()); v.HighBits() == n>>63 && n < limit && n > -limit {
				return value.IntCell(n), nil
			}
			return slow(i)
		}
	}
	if get := whole(arr); get != nil {
		return func(i int) (value.Cell, error) {
			v, high := get(i)
			n := big.NewInt(v)
			if high {
				n = new(big.Int).SetUint64(uint64(v))
			}
			return rescale(n, 0)
		}
	}
	if get := floats(arr); get != nil {
		return func(i int) (value.Cell, error) {
			r, ok := new(big.Rat).SetString(fmt.Sprint(get(i))) // the shortest digits that mean the number
			if !ok {
				return value.Null, bad("%v is no decimal number", get(i))
			}
			n := new(big.Int).Mul(r.Num(), new(big.Int).Exp(ten, big.NewInt(int64(t.Scale)), nil))
			q, rest := new(big.Int).QuoRem(n, r.Denom(), new(big.Int))
			if rest.Sign() != 0 {
				return value.Null, bad("%v has more digits behind the point than %s", get(i), t)
			}
			return value.DecimalFromBig(t, q)
		}
	}
	return nil
}

// decimalText is a decimal as people write it.
func decimalText(n *big.Int, scale int32) string {
	r := new(big.Rat).SetFrac(n, new(big.Int).Exp(ten, big.NewInt(int64(max(scale, 0))), nil))
	return r.FloatString(int(max(scale, 0)))
}
