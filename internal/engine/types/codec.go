package types

import (
	"context"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// Codec converts the values of one column. It is made once for a type, and is safe for use by many goroutines at once.
type Codec struct {
	// Type is the stored type.
	Type value.Type
	// SQL is the engine's type.
	SQL sql.Type

	phys value.Phys
	to   func(c *Codec, ctx context.Context, v any) (cell value.Cell, ok bool, err error)
	from func(c *Codec, cell value.Cell) (any, error)
}

// NewCodec makes the codec of a type. Types that the engine does not have are an error of class Unsupported.
func NewCodec(t value.Type) (*Codec, error) {
	s, err := ToSQL(t)
	if err != nil {
		return nil, err
	}
	c := &Codec{Type: t, SQL: s, phys: t.Phys()}
	c.to, c.from = conversions(t)
	return c, nil
}

// conversions picks the two functions of a type. The first takes the Go values that the engine's Convert gives for the type, and
// says !ok to others and to those that the type does not hold as they are. The second gives such values.
func conversions(t value.Type) (
	to func(c *Codec, ctx context.Context, v any) (value.Cell, bool, error), from func(c *Codec, cell value.Cell) (any, error),
) {
	switch t.Kind {
	case value.KindInt8:
		return intTo[int8], intFrom[int8]
	case value.KindInt16:
		return intTo[int16], intFrom[int16]
	case value.KindYear:
		return yearTo, intFrom[int16]
	case value.KindInt24:
		return int24To, intFrom[int32]
	case value.KindInt32:
		return intTo[int32], intFrom[int32]
	case value.KindInt64:
		return intTo[int64], intFrom[int64]
	case value.KindUint8:
		return intTo[uint8], intFrom[uint8]
	case value.KindUint16:
		return intTo[uint16], intFrom[uint16]
	case value.KindUint24:
		return uint24To, intFrom[uint32]
	case value.KindUint32:
		return intTo[uint32], intFrom[uint32]
	case value.KindEnum:
		return enumTo, intFrom[uint16]
	case value.KindUint64:
		return uint64To, uint64From
	case value.KindBit:
		return bitTo, uint64From
	case value.KindSet:
		return setTo, uint64From
	case value.KindFloat32:
		return float32To, float32From
	case value.KindFloat64:
		return float64To, float64From
	case value.KindDecimal:
		return decimalTo, decimalFrom
	case value.KindDate:
		return dateTo, dateFrom
	case value.KindDatetime, value.KindTimestamp:
		return datetimeTo, datetimeFrom
	case value.KindTime:
		return timespanTo, timespanFrom
	case value.KindChar, value.KindVarchar, value.KindText:
		return textTo, textFrom
	case value.KindBinary:
		return binaryTo, binaryFrom
	case value.KindJSON:
		return jsonTo, jsonFrom
	case value.KindGeometry:
		return geometryTo, geometryFrom
	}
	return bytesTo, bytesFrom // VARBINARY, BLOB, VECTOR
}

// ToCell converts a value of the engine to a cell. The Go values that the engine's Convert gives for the type are taken as they
// are; others, lazy values among them, are converted as an INSERT does, and what the type does not hold is the engine's error. The
// cell may share memory with v, which must not change. Lazy values are read.
func (c *Codec) ToCell(ctx context.Context, v any) (value.Cell, error) {
	if v == nil {
		return value.Null, nil
	}
	cell, ok, err := c.to(c, ctx, v)
	if ok || err != nil {
		return cell, err
	}
	return c.convert(ctx, v)
}

// convert is ToCell of a value that needs the engine's Convert.
func (c *Codec) convert(ctx context.Context, v any) (value.Cell, error) {
	v, err := sql.UnwrapAny(ctx, v)
	if err != nil || v == nil {
		return value.Null, err
	}
	var out any
	var inRange sql.ConvertInRange
	if r, ok := c.SQL.(sql.RoundingNumberType); ok {
		out, inRange, err = r.ConvertRound(ctx, v)
	} else {
		out, inRange, err = c.SQL.Convert(ctx, v)
	}
	if err != nil {
		return value.Null, err
	}
	if inRange != sql.InRange {
		return value.Null, sql.ErrValueOutOfRange.New(v, c.SQL)
	}
	if out == nil {
		return value.Null, nil
	}
	cell, ok, err := c.to(c, ctx, out)
	if err == nil && !ok {
		err = errs.New(errs.Invalid, "store %T as %s: the type does not hold the value", v, c.Type)
	}
	return cell, err
}

// FromCell converts a cell to the Go value that the engine's Convert gives for the type: nil for NULL. It shares no memory with the
// cell. Cells out of line must be resolved before; malformed cells are an error of class Corrupt.
func (c *Codec) FromCell(cell value.Cell) (any, error) {
	if cell.IsNull() {
		return nil, nil
	}
	if cell.IsAddr() {
		return nil, errs.New(errs.Internal, "read a value of type %s: it is out of line and was not resolved", c.Type)
	}
	return c.from(c, cell)
}

func (c *Codec) corrupt(what string) error {
	return errs.New(errs.Corrupt, "read a value of type %s: %s", c.Type, what)
}
