package sqltable

import (
	"math"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	gms "github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/engine/types"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// Narrow is t whose scans of all rows may leave out such for which cond is not true; nil when cond is of no help to them, or t is
// narrowed already. cond stays to be evaluated: a condition that compares a column with a literal spares the scan leaves whose
// values are all far enough from the literal, whatever conversions and roundings the comparison does. name is what the columns of
// t are qualified with.
func (t *Table) Narrow(ctx *sql.Context, name string, id sql.TableId, cond sql.Expression) (*Table, error) {
	if t.zones != nil {
		return nil, nil
	}
	n := narrowing{t: t, name: name, id: id}
	if err := n.add(ctx, cond); err != nil {
		return nil, session.Error(err)
	}
	if n.zones == nil {
		return nil, nil
	}
	c := *t
	c.zones = n.zones
	return &c, nil
}

// Narrow is Table.Narrow.
func (t *Writable) Narrow(ctx *sql.Context, name string, id sql.TableId, cond sql.Expression) (*Writable, error) {
	n, err := t.Table.Narrow(ctx, name, id, cond)
	if n == nil || err != nil {
		return nil, err
	}
	return &Writable{Table: n, defs: t.defs, frozen: t.frozen}, nil
}

// narrowing collects the filters that a condition gives.
type narrowing struct {
	t     *Table
	name  string
	id    sql.TableId
	zones []table.ZoneFilter
}

func (n *narrowing) add(ctx *sql.Context, cond sql.Expression) error {
	switch x := cond.(type) {
	case *expression.And:
		if err := n.add(ctx, x.LeftChild); err != nil {
			return err
		}
		return n.add(ctx, x.RightChild)
	case *expression.Equals:
		return n.compare(ctx, x, true, true)
	case *expression.LessThan:
		return n.compare(ctx, x, false, true)
	case *expression.LessThanOrEqual:
		return n.compare(ctx, x, false, true)
	case *expression.GreaterThan:
		return n.compare(ctx, x, true, false)
	case *expression.GreaterThanOrEqual:
		return n.compare(ctx, x, true, false)
	case *expression.Between:
		if err := n.limit(ctx, x.Val, x.Lower, true, false); err != nil {
			return err
		}
		return n.limit(ctx, x.Val, x.Upper, false, true)
	}
	return nil
}

// compare takes a comparison that bounds its left side by its right from below, above or both.
func (n *narrowing) compare(ctx *sql.Context, x expression.Comparer, below, above bool) error {
	if _, ok := x.Left().(*expression.Literal); ok {
		return n.limit(ctx, x.Right(), x.Left(), above, below)
	}
	return n.limit(ctx, x.Left(), x.Right(), below, above)
}

// limit takes an expression that is not less (below) or not greater (above) than another.
func (n *narrowing) limit(ctx *sql.Context, e, by sql.Expression, below, above bool) error {
	f, ok := e.(*expression.GetField)
	if !ok || f.Table() != n.name || f.TableId() != n.id {
		return nil
	}
	lit, ok := by.(*expression.Literal)
	if !ok {
		return nil
	}
	d := n.t.def
	c := d.Schema.ColumnIndex(f.Name())
	if c < 0 || d.cells[c] < 0 {
		return nil
	}
	codec := d.codecs[c]
	lo, hi := nearby(ctx, codec, f, lit)
	if lo == nil {
		return nil
	}
	var r sql.MySQLRangeColumnExpr
	switch {
	case below && above:
		r = sql.ClosedRangeColumnExpr(lo, hi, codec.SQL)
	case below:
		r = sql.GreaterOrEqualRangeColumnExpr(lo, codec.SQL)
	default:
		r = sql.LessOrEqualRangeColumnExpr(hi, codec.SQL)
	}
	ranger, err := types.NewKeyRanger([]value.KeyPart{{Type: codec.Type}}, []*types.Codec{codec})
	if err != nil {
		return err
	}
	keys, _, err := ranger.KeyRanges(ctx, sql.MySQLRangeCollection{{r}})
	if err != nil {
		return err
	}
	if len(keys) == 1 {
		n.zones = append(n.zones, table.ZoneFilter{Column: d.cells[c], Lo: keys[0].Lo, Hi: keys[0].Hi})
	}
	return nil
}

// nearby gives two bounds between which lies every value of a column that a comparison with the literal might take for equal to it;
// nil when that is not known.
func nearby(ctx *sql.Context, c *types.Codec, f *expression.GetField, lit *expression.Literal) (lo, hi any) {
	v, typ := lit.Val, lit.Typ
	if v == nil {
		return nil, nil
	}
	switch k := c.Type.Kind; k {
	case value.KindInt8, value.KindInt16, value.KindInt24, value.KindInt32, value.KindInt64:
		if gms.IsSigned(typ) { // compared as whole numbers
			return v, v
		}
		return nearNumber(ctx, v, typ, 1, doubleSlack)
	case value.KindUint8, value.KindUint16, value.KindUint24, value.KindUint32, value.KindUint64:
		return nearNumber(ctx, v, typ, 1, doubleSlack)
	case value.KindDecimal:
		return nearNumber(ctx, v, typ, math.Pow10(-int(c.Type.Scale)), doubleSlack)
	case value.KindFloat64:
		return nearNumber(ctx, v, typ, 0, doubleSlack)
	case value.KindFloat32:
		return nearNumber(ctx, v, typ, 0, floatSlack)
	case value.KindDate:
		return nearTime(ctx, v, typ, 24*time.Hour)
	case value.KindDatetime, value.KindTimestamp:
		return nearTime(ctx, v, typ, time.Second)
	case value.KindChar, value.KindVarchar, value.KindText:
		return sameText(ctx, c, v, f, lit)
	}
	return nil, nil
}

// The relative differences beyond which numbers differ in any class that they may be compared in.
const (
	doubleSlack = 1e-12
	floatSlack  = 1e-6
)

// nearNumber leaves room for the rounding to a unit and to a float of some kind.
func nearNumber(ctx *sql.Context, v any, typ sql.Type, unit, relative float64) (lo, hi any) {
	if !gms.IsNumber(typ) {
		return nil, nil
	}
	if d, ok := typ.(sql.DecimalType); ok {
		unit = max(unit, math.Pow10(-int(d.Scale())))
	}
	x, inRange, err := gms.Float64.Convert(ctx, v)
	f, ok := x.(float64)
	if !ok || err != nil || inRange != sql.InRange || math.IsInf(f, 0) || math.IsNaN(f) {
		return nil, nil
	}
	slack := unit + math.Abs(f)*relative
	return f - slack, f + slack
}

// nearTime leaves room for the rounding to a unit.
func nearTime(ctx *sql.Context, v any, typ sql.Type, unit time.Duration) (lo, hi any) {
	if !gms.IsTime(typ) && !gms.IsTextOnly(typ) {
		return nil, nil
	}
	x, inRange, err := gms.DatetimeMaxPrecision.Convert(ctx, v)
	t, ok := x.(time.Time)
	if !ok || err != nil || inRange != sql.InRange {
		return nil, nil
	}
	return t.Add(-unit), t.Add(unit)
}

// sameText is the text itself when it is compared by the column's collation.
func sameText(ctx *sql.Context, c *types.Codec, v any, f *expression.GetField, lit *expression.Literal) (lo, hi any) {
	s, ok := v.(string)
	own, isString := c.SQL.(sql.StringType)
	if !ok || !isString || !gms.IsTextOnly(lit.Typ) || !gms.IsTextOnly(f.Type(ctx)) {
		return nil, nil
	}
	left, leftForce := f.CollationCoercibility(ctx)
	right, rightForce := lit.CollationCoercibility(ctx)
	if by, _ := sql.ResolveCoercibility(left, leftForce, right, rightForce); by != own.Collation() {
		return nil, nil
	}
	return s, s
}
