package types

import (
	"context"
	"math"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	gms "github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/value"
)

// position is where the bound of a range lies among the values that a column can hold.
type position struct {
	cell   value.Cell // the nearest value
	side   int        // of the bound: below (-1), at (0) or above (+1) cell, with no value of the column between
	beyond int        // below (-1) or above (+1) all values; cell is of no use then
	known  bool       // false: the bound cannot be ordered among the values
}

func at(c value.Cell) position             { return position{cell: c, known: true} }
func near(c value.Cell, side int) position { return position{cell: c, side: side, known: true} }
func outside(side int) position            { return position{beyond: side, known: true} }

// locate finds the position of a bound that is not NULL. Bounds come converted to the column's type for the most part, but not
// those of foreign keys, nor always with the type's digits.
func (c *Codec) locate(ctx context.Context, v any) (position, error) {
	v, err := sql.UnwrapAny(ctx, v)
	if err != nil {
		return position{}, err
	}
	switch c.Type.Kind {
	case value.KindChar, value.KindVarchar, value.KindText, value.KindBinary, value.KindVarbinary, value.KindBlob:
		return c.locateString(ctx, v)
	case value.KindSet:
		if slices.Contains(c.Type.Values, "") { // the engine takes the label '' and the empty set for equal
			return position{}, nil
		}
	case value.KindDate, value.KindDatetime, value.KindTimestamp:
		if t, ok := v.(time.Time); ok {
			return c.locateTime(t), nil
		}
		return position{}, nil
	case value.KindTime:
		if t, ok := v.(gms.Timespan); ok {
			return c.locateTimespan(int64(t)), nil
		}
		return position{}, nil
	}
	cell, ok, err := c.to(c, ctx, v)
	if err != nil {
		return position{}, err
	}
	if ok {
		return at(cell), nil
	}
	n := rational(v)
	if text, isText := v.(string); isText && c.number() {
		n = leadingNumber(text)
	}
	if n != nil {
		return c.locateNumber(n), nil
	}
	return position{}, nil
}

// number tells whether the values are numbers that are ordered as such.
func (c *Codec) number() bool {
	switch k := c.Type.Kind; k {
	case value.KindUint64, value.KindFloat32, value.KindFloat64, value.KindDecimal:
		return true
	default:
		return int(k) < len(wholeRange) && wholeRange[k][1] != 0
	}
}

// leadingNumber is the number that a text begins with, as the engine compares texts with numbers; 0 when there is none.
func leadingNumber(text string) *big.Rat {
	text = strings.TrimLeft(text, " \t\n\r")
	end := 0
	for i, ch := range []byte(text) {
		if ch >= '0' && ch <= '9' {
			end = i + 1
		} else if !((ch == '+' || ch == '-') && i == 0 || ch == '.' && !strings.Contains(text[:i], ".")) {
			break
		}
	}
	n, ok := new(big.Rat).SetString(text[:end])
	if !ok {
		return new(big.Rat)
	}
	return n
}

// locateString orders a string of any length, also one that the column could not hold.
func (c *Codec) locateString(ctx context.Context, v any) (position, error) {
	switch s := v.(type) {
	case string:
		return at(value.BytesCell(bytesOf(s))), nil
	case []byte:
		if c.Type.Collation == value.CollationNone {
			return at(value.BytesCell(s)), nil
		}
	}
	out, inRange, err := c.SQL.Promote().Convert(ctx, v)
	if err != nil || inRange != sql.InRange {
		return position{}, nil // it has no text, so it is not ordered among texts
	}
	switch s := out.(type) {
	case string:
		return at(value.BytesCell(bytesOf(s))), nil
	case []byte:
		return at(value.BytesCell(s)), nil
	}
	return position{}, nil
}

func (c *Codec) locateTime(t time.Time) position {
	zero, low, high := value.ZeroDate, value.MinDate, value.MaxDate
	if c.Type.Kind != value.KindDate {
		zero, low, high = value.ZeroDatetime, value.MinDatetime, value.MaxDatetime
	}
	switch {
	case t.Equal(gms.ZeroTime):
		return at(value.IntCell(zero))
	case t.Before(gms.ZeroTime):
		return outside(-1)
	case t.UTC().Year() > 9999:
		return outside(+1)
	}
	s, rest := t.Unix(), int64(t.Nanosecond())
	var n int64
	if c.Type.Kind == value.KindDate {
		n = floorDiv(s, secondsPerDay)
		rest += (s - n*secondsPerDay) * 1e9
	} else {
		unit := maxSmall[6-min(c.Type.Precision, 6)]
		us := t.UnixMicro()
		n = floorDiv(us, unit) * unit
		rest = rest%1000 + (us-n)*1000
	}
	switch {
	case n < low:
		return near(value.IntCell(zero), +1)
	case n > high:
		return outside(+1)
	case rest > 0:
		return near(value.IntCell(n), +1)
	}
	return at(value.IntCell(n))
}

// locateTimespan orders a number of microseconds among the column's times.
func (c *Codec) locateTimespan(us int64) position {
	unit := maxSmall[6-min(c.Type.Precision, 6)]
	n := floorDiv(us, unit) * unit
	switch {
	case us < -value.MaxTime:
		return outside(-1)
	case us > value.MaxTime:
		return outside(+1)
	case us != n:
		return near(value.IntCell(n), +1)
	}
	return at(value.IntCell(n))
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// wholeRange are the least and greatest values of the kinds of whole numbers, by kind; KindUint64 and KindBit have theirs elsewhere.
var wholeRange = [...][2]int64{
	value.KindInt8: {math.MinInt8, math.MaxInt8}, value.KindInt16: {math.MinInt16, math.MaxInt16},
	value.KindInt24: {-1 << 23, 1<<23 - 1}, value.KindInt32: {math.MinInt32, math.MaxInt32},
	value.KindInt64: {math.MinInt64, math.MaxInt64}, value.KindUint8: {0, math.MaxUint8},
	value.KindUint16: {0, math.MaxUint16}, value.KindUint24: {0, 1<<24 - 1}, value.KindUint32: {0, math.MaxUint32},
}

func (c *Codec) locateNumber(n *big.Rat) position {
	switch k := c.Type.Kind; k {
	case value.KindFloat64:
		f, exact := n.Float64()
		return locateFloat(n, f, exact, value.FloatCell(f))
	case value.KindFloat32:
		f, exact := n.Float32()
		return locateFloat(n, float64(f), exact, value.Float32Cell(f))
	case value.KindDecimal:
		whole, side := floor(new(big.Rat).Mul(n, new(big.Rat).SetInt(pow10(int64(c.Type.Scale)))))
		limit := pow10(int64(c.Type.Precision))
		if whole.CmpAbs(limit) >= 0 {
			if n.Sign() < 0 {
				return outside(-1)
			}
			return outside(+1)
		}
		cell, err := value.DecimalFromBig(c.Type, whole)
		if err != nil {
			return position{}
		}
		return near(cell, side)
	case value.KindUint64, value.KindBit:
		whole, side := floor(n)
		bits := uint(64)
		if k == value.KindBit {
			bits = uint(c.Type.Length)
		}
		switch {
		case whole.Sign() < 0:
			return outside(-1)
		case uint(whole.BitLen()) > bits:
			return outside(+1)
		}
		return near(value.UintCell(whole.Uint64()), side)
	default:
		if int(k) >= len(wholeRange) || wholeRange[k][1] == 0 {
			return position{}
		}
		whole, side := floor(n)
		switch {
		case whole.Cmp(big.NewInt(wholeRange[k][0])) < 0:
			return outside(-1)
		case whole.Cmp(big.NewInt(wholeRange[k][1])) > 0:
			return outside(+1)
		}
		return near(value.IntCell(whole.Int64()), side)
	}
}

func locateFloat(n *big.Rat, f float64, exact bool, cell value.Cell) position {
	switch {
	case math.IsInf(f, -1):
		return outside(-1)
	case math.IsInf(f, +1):
		return outside(+1)
	case exact:
		return at(cell)
	}
	return near(cell, n.Cmp(new(big.Rat).SetFloat64(f)))
}

// floor is the greatest whole number that is not above n, and whether n is at (0) or above (+1) it.
func floor(n *big.Rat) (whole *big.Int, side int) {
	var rest big.Int
	whole, _ = new(big.Int).DivMod(n.Num(), n.Denom(), &rest)
	return whole, rest.Sign()
}

// rational is a Go number as a fraction; nil for what is no finite number.
func rational(v any) *big.Rat {
	switch v := v.(type) {
	case bool:
		if v {
			return big.NewRat(1, 1)
		}
		return new(big.Rat)
	case int:
		return new(big.Rat).SetInt64(int64(v))
	case int8:
		return new(big.Rat).SetInt64(int64(v))
	case int16:
		return new(big.Rat).SetInt64(int64(v))
	case int32:
		return new(big.Rat).SetInt64(int64(v))
	case int64:
		return new(big.Rat).SetInt64(v)
	case uint:
		return new(big.Rat).SetUint64(uint64(v))
	case uint8:
		return new(big.Rat).SetUint64(uint64(v))
	case uint16:
		return new(big.Rat).SetUint64(uint64(v))
	case uint32:
		return new(big.Rat).SetUint64(uint64(v))
	case uint64:
		return new(big.Rat).SetUint64(v)
	case float32:
		return new(big.Rat).SetFloat64(float64(v))
	case float64:
		return new(big.Rat).SetFloat64(v)
	case *apd.Decimal:
		if v.Form != apd.Finite || v.Exponent < -1000 || v.Exponent > 1000 {
			return nil
		}
		n := new(big.Rat).SetInt(v.Coeff.MathBigInt())
		if v.Negative {
			n.Neg(n)
		}
		scale := new(big.Rat).SetInt(pow10(int64(max(v.Exponent, -v.Exponent))))
		if v.Exponent < 0 {
			return n.Quo(n, scale)
		}
		return n.Mul(n, scale)
	}
	return nil
}
