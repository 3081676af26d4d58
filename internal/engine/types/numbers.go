package types

import (
	"context"
	"math/big"

	"github.com/cockroachdb/apd/v3"

	"github.com/stemmadb/stemma/internal/value"
)

// integer are the Go types of the engine's whole numbers that an int64 holds.
type integer interface {
	int8 | int16 | int32 | int64 | uint8 | uint16 | uint32
}

func intTo[T integer](_ *Codec, _ context.Context, v any) (value.Cell, bool, error) {
	n, ok := v.(T)
	return value.IntCell(int64(n)), ok, nil
}

func intFrom[T integer](c *Codec, cell value.Cell) (any, error) {
	n := T(cell.Int())
	if int64(n) != cell.Int() {
		return nil, c.corrupt("out of range")
	}
	return n, nil
}

// within takes a whole number of Go type T if it is in [low, high].
func within[T integer](v any, low, high T) (value.Cell, bool, error) {
	n, ok := v.(T)
	return value.IntCell(int64(n)), ok && n >= low && n <= high, nil
}

func int24To(_ *Codec, _ context.Context, v any) (value.Cell, bool, error) {
	return within[int32](v, -1<<23, 1<<23-1)
}

func uint24To(_ *Codec, _ context.Context, v any) (value.Cell, bool, error) {
	return within[uint32](v, 0, 1<<24-1)
}

func yearTo(_ *Codec, _ context.Context, v any) (value.Cell, bool, error) {
	return within[int16](v, 0, 2155)
}

func enumTo(c *Codec, _ context.Context, v any) (value.Cell, bool, error) {
	return within[uint16](v, 0, uint16(len(c.Type.Values)))
}

func uint64To(_ *Codec, _ context.Context, v any) (value.Cell, bool, error) {
	n, ok := v.(uint64)
	return value.UintCell(n), ok, nil
}

func bitTo(c *Codec, _ context.Context, v any) (value.Cell, bool, error) {
	n, ok := v.(uint64)
	return value.UintCell(n), ok && n>>min(c.Type.Length, 64) == 0, nil
}

func setTo(c *Codec, _ context.Context, v any) (value.Cell, bool, error) {
	n, ok := v.(uint64)
	return value.UintCell(n), ok && n>>len(c.Type.Values) == 0, nil
}

func uint64From(_ *Codec, cell value.Cell) (any, error) { return cell.Uint(), nil }

func float32To(_ *Codec, _ context.Context, v any) (value.Cell, bool, error) {
	f, ok := v.(float32)
	return value.Float32Cell(f), ok, nil
}

func float32From(_ *Codec, cell value.Cell) (any, error) { return cell.Float32(), nil }

func float64To(_ *Codec, _ context.Context, v any) (value.Cell, bool, error) {
	f, ok := v.(float64)
	return value.FloatCell(f), ok, nil
}

func float64From(_ *Codec, cell value.Cell) (any, error) { return cell.Float(), nil }

// decimalTo keeps coefficient x 10^(exponent+scale), which must be whole.
func decimalTo(c *Codec, _ context.Context, v any) (value.Cell, bool, error) {
	d, ok := v.(*apd.Decimal)
	if !ok || d == nil || d.Form != apd.Finite {
		return value.Null, false, nil
	}
	shift := int64(d.Exponent) + int64(c.Type.Scale)
	if shift == 0 && c.Type.Precision <= 18 && d.Coeff.IsInt64() {
		n := d.Coeff.Int64()
		if d.Negative {
			n = -n
		}
		if -maxSmall[c.Type.Precision] < n && n < maxSmall[c.Type.Precision] {
			return value.IntCell(n), true, nil
		}
		return value.Null, false, nil
	}
	n := new(big.Int).Set(d.Coeff.MathBigInt())
	switch {
	case n.Sign() == 0:
	case shift > value.MaxPrecision || shift < -4*value.MaxPrecision:
		return value.Null, false, nil
	case shift > 0:
		n.Mul(n, pow10(shift))
	case shift < 0:
		var rest big.Int
		if n.QuoRem(n, pow10(-shift), &rest); rest.Sign() != 0 {
			return value.Null, false, nil
		}
	}
	if d.Negative {
		n.Neg(n)
	}
	cell, err := value.DecimalFromBig(c.Type, n)
	return cell, err == nil, nil
}

// maxSmall are the powers of ten that bound the scaled numbers of decimals of up to 18 digits.
var maxSmall = [19]int64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}

func pow10(n int64) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(n), nil) }

func decimalFrom(c *Codec, cell value.Cell) (any, error) {
	scale := -int32(c.Type.Scale)
	if c.phys == value.Int64 {
		return apd.New(cell.Int(), scale), nil
	}
	if len(cell.Bytes()) != value.DecimalLen(c.Type.Precision) {
		return nil, c.corrupt("another length than a decimal's")
	}
	return apd.NewWithBigInt(new(apd.BigInt).SetMathBigInt(value.DecimalBig(c.Type, cell)), scale), nil
}
