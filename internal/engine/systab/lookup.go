package systab

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// index is columns by whose values a system table finds rows.
type index struct {
	table *Table
	id    string
	cols  []*sql.Column
}

var _ sql.OrderedIndex = (*index)(nil)

func newIndex(t *Table, id string, names []string) *index {
	x := &index{table: t, id: id}
	for _, n := range names {
		x.cols = append(x.cols, t.full[t.full.IndexOfColName(n)])
	}
	return x
}

// Order implements sql.OrderedIndex.
func (x *index) Order(*sql.Context) sql.IndexOrder {
	if x.id == byDate {
		return sql.IndexOrderAsc
	}
	return sql.IndexOrderNone
}

// Reversible implements sql.OrderedIndex.
func (x *index) Reversible(*sql.Context) bool { return x.id == byDate }

func (x *index) ID() string       { return x.id }
func (x *index) Database() string { return x.table.db }
func (x *index) Table() string    { return x.table.name }

func (x *index) Expressions() []string {
	out := make([]string, len(x.cols))
	for i, c := range x.cols {
		out[i] = x.table.name + "." + c.Name
	}
	return out
}

func (x *index) ColumnExpressionTypes(*sql.Context) []sql.ColumnExpressionType {
	out := make([]sql.ColumnExpressionType, len(x.cols))
	for i, e := range x.Expressions() {
		out[i] = sql.ColumnExpressionType{Expression: e, Type: x.cols[i].Type}
	}
	return out
}

func (x *index) IsUnique() bool                             { return false }
func (x *index) IsSpatial() bool                            { return false }
func (x *index) IsFullText() bool                           { return false }
func (x *index) IsVector() bool                             { return false }
func (x *index) IsGenerated() bool                          { return true }
func (x *index) Comment() string                            { return "" }
func (x *index) IndexType() string                          { return "BTREE" }
func (x *index) CanSupport(*sql.Context, ...sql.Range) bool { return true }
func (x *index) CanSupportOrderBy(sql.Expression) bool      { return false }
func (x *index) CoversColumns([]string) bool                { return false }
func (x *index) PrefixLengths() []uint16                    { return nil }

// maxPoints bounds the points of one lookup, which are all combinations of the values given.
const maxPoints = 1000

// LookupForExpressions implements sql.IndexSearchable: equality with constants, IN lists of them and comparisons with them, of columns
// that some index has.
func (t *Table) LookupForExpressions(ctx *sql.Context, exprs ...sql.Expression) (sql.IndexLookup, *sql.FuncDepSet, sql.Expression, bool, error) {
	found := map[string][]sql.MySQLRangeColumnExpr{} // one of several ranges that a value of the column lies in
	for _, e := range exprs {
		col, ranges, ok := t.restriction(ctx, e)
		if !ok {
			continue
		}
		if had := found[col]; had != nil {
			var err error
			if ranges, err = intersect(ctx, had, ranges); err != nil {
				return sql.IndexLookup{}, nil, nil, false, err
			}
		}
		found[col] = ranges
	}
	// The index that is used is made of the columns found; it goes by the id of one that GetIndexes gives.
	x := &index{table: t}
	for _, declared := range t.indexes {
		all := declared.id != byDate
		for _, c := range declared.cols {
			all = all && found[lower(c.Name)] != nil
		}
		if all && x.id == "" {
			x.id = declared.id
		}
	}
	if x.id == "" {
		return sql.IndexLookup{}, nil, nil, false, nil
	}
	ranges := sql.MySQLRangeCollection{nil}
	for _, c := range t.full {
		some := found[lower(c.Name)]
		if some == nil || len(ranges)*len(some) > maxPoints {
			continue
		}
		x.cols = append(x.cols, c)
		var next sql.MySQLRangeCollection
		for _, r := range ranges {
			for _, v := range some {
				next = append(next, append(append(sql.MySQLRange(nil), r...), v))
			}
		}
		ranges = next
	}
	return sql.NewIndexLookup(x, ranges, false, false, false, false), &sql.FuncDepSet{}, expression.JoinAnd(exprs...), true, nil
}

// intersect is the ranges that have a value in common with one of each list, not nil.
func intersect(ctx *sql.Context, a, b []sql.MySQLRangeColumnExpr) ([]sql.MySQLRangeColumnExpr, error) {
	out := []sql.MySQLRangeColumnExpr{}
	for _, x := range a {
		for _, y := range b {
			both, ok, err := x.TryIntersect(ctx, y)
			if err != nil {
				return nil, err
			}
			if ok {
				out = append(out, both)
			}
		}
	}
	return out, nil
}

// indexed tells whether some index has the column.
func (t *Table) indexed(col string) bool {
	for _, x := range t.indexes {
		for _, c := range x.cols {
			if x.id != byDate && strings.EqualFold(c.Name, col) {
				return true
			}
		}
	}
	return false
}

// restriction reads `column = constant`, `column in (constants)` and comparisons of a column with constants as ranges. ok is false for
// anything else, and for values that the column's type cannot take as they are.
func (t *Table) restriction(ctx *sql.Context, e sql.Expression) (col string, ranges []sql.MySQLRangeColumnExpr, ok bool) {
	if b, is := e.(*expression.Between); is {
		c, lo, ok := t.compared(ctx, b.Val, b.Lower)
		_, hi, ok2 := t.compared(ctx, b.Val, b.Upper)
		if !ok || !ok2 {
			return "", nil, false
		}
		return lower(c.Name), rangeOf(sql.ClosedRangeColumnExpr(lo, hi, c.Type), lo, hi), true
	}
	b, ok := e.(expression.BinaryExpression)
	if !ok {
		return "", nil, false
	}
	left, right := b.Left(), b.Right()
	list := []sql.Expression{right}
	_, turned := right.(*expression.GetField)
	if turned {
		left, list = right, []sql.Expression{left}
	}
	var between func(v any, typ sql.Type) sql.MySQLRangeColumnExpr
	switch e.(type) {
	case *expression.Equals:
		between = func(v any, typ sql.Type) sql.MySQLRangeColumnExpr { return sql.ClosedRangeColumnExpr(v, v, typ) }
	case *expression.InTuple, *expression.HashInTuple:
		tuple, isTuple := right.(expression.Tuple)
		if !isTuple {
			return "", nil, false
		}
		list = tuple
		between = func(v any, typ sql.Type) sql.MySQLRangeColumnExpr { return sql.ClosedRangeColumnExpr(v, v, typ) }
	case *expression.LessThan:
		between = pick(turned, sql.GreaterThanRangeColumnExpr, sql.LessThanRangeColumnExpr)
	case *expression.LessThanOrEqual:
		between = pick(turned, sql.GreaterOrEqualRangeColumnExpr, sql.LessOrEqualRangeColumnExpr)
	case *expression.GreaterThan:
		between = pick(turned, sql.LessThanRangeColumnExpr, sql.GreaterThanRangeColumnExpr)
	case *expression.GreaterThanOrEqual:
		between = pick(turned, sql.LessOrEqualRangeColumnExpr, sql.GreaterOrEqualRangeColumnExpr)
	default:
		return "", nil, false
	}
	ranges = []sql.MySQLRangeColumnExpr{}
	seen := map[any]bool{}
	for _, x := range list {
		c, v, ok := t.compared(ctx, left, x)
		if !ok {
			return "", nil, false
		}
		col = lower(c.Name)
		if v != nil && !seen[v] {
			seen[v] = true
			ranges = append(ranges, between(v, c.Type))
		}
	}
	return col, ranges, col != ""
}

func pick[T any](second bool, b, a T) T {
	if second {
		return b
	}
	return a
}

// rangeOf is the range, or none where a bound is NULL.
func rangeOf(r sql.MySQLRangeColumnExpr, bounds ...any) []sql.MySQLRangeColumnExpr {
	if slices.Contains(bounds, nil) {
		return []sql.MySQLRangeColumnExpr{}
	}
	return []sql.MySQLRangeColumnExpr{r}
}

// compared is the column that an expression is, if some index has it, and a constant as a value of its type.
func (t *Table) compared(ctx *sql.Context, e, with sql.Expression) (c *sql.Column, v any, ok bool) {
	field, ok := e.(*expression.GetField)
	if !ok || !t.indexed(field.Name()) {
		return nil, nil, false
	}
	at := t.full.IndexOfColName(lower(field.Name()))
	if at < 0 {
		return nil, nil, false
	}
	c = t.full[at]
	v, ok = constant(ctx, with, c.Type)
	return c, v, ok
}

// constant is the value of an expression without columns as a value of the column's type. ok is false when there is none for sure.
func constant(ctx *sql.Context, e sql.Expression, typ sql.Type) (v any, ok bool) {
	if !isConstant(e) {
		return nil, false
	}
	v, err := e.Eval(ctx, nil)
	if err != nil || v == nil {
		return nil, err == nil
	}
	if v, err = sql.UnwrapAny(ctx, v); err != nil {
		return nil, false
	}
	if b, isBytes := v.([]byte); isBytes {
		v = string(b)
	}
	_, isText := v.(string)
	if types.IsText(typ) && !isText {
		return nil, false // compared as numbers
	}
	given := v
	v, inRange, err := typ.Convert(ctx, v)
	if err != nil || inRange != sql.InRange {
		return nil, false
	}
	switch x := v.(type) { // what can be the key of a map
	case string:
		return v, true
	case time.Time:
		full, in, err := types.DatetimeMaxPrecision.Convert(ctx, given) // as it is compared
		was, isTime := full.(time.Time)
		return v, err == nil && in == sql.InRange && isTime && was.Equal(x)
	case int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64:
		order, err := e.Type(ctx).Compare(ctx, given, v)
		return v, err == nil && order == 0 // else it was rounded
	}
	return nil, false
}

// isConstant tells whether an expression needs no row and gives the same each time.
func isConstant(e sql.Expression) bool {
	if e == nil || !e.Resolved() {
		return false
	}
	switch e := e.(type) {
	case *expression.GetField, *expression.BindVar, sql.ExpressionWithNodes:
		return false
	case sql.NonDeterministicExpression:
		if e.IsNonDeterministic() {
			return false
		}
	}
	for _, c := range e.Children() {
		if !isConstant(c) {
			return false
		}
	}
	return true
}

// points are the points of a lookup. Of a single range they have the intervals, too; among several, ranges that are not single values leave
// their column open.
func points(lookup sql.IndexLookup) []Point {
	if lookup.IsEmptyRange {
		return nil
	}
	ranges, ok := lookup.Ranges.(sql.MySQLRangeCollection)
	if !ok {
		return []Point{nil}
	}
	exprs := lookup.Index.Expressions()
	seen := map[string]bool{}
	shape := ""
	var out []Point
	for i, r := range ranges {
		p := Point{}
		for k, c := range r {
			if k >= len(exprs) {
				break
			}
			col := lower(exprs[k][strings.LastIndexByte(exprs[k], '.')+1:])
			if v, ok := single(c); ok {
				p[col] = v
			} else if len(ranges) == 1 && c.Type() != sql.RangeType_All {
				p[col] = c
			}
		}
		s := p.shape()
		if i > 0 && s != shape {
			return []Point{nil} // points of different columns may have rows in common
		}
		shape = s
		if key := fmt.Sprint(p); !seen[key] {
			seen[key] = true
			out = append(out, p)
		}
	}
	return out
}

// shape names the columns of a point.
func (p Point) shape() string {
	cols := make([]string, 0, len(p))
	for c := range p {
		cols = append(cols, c)
	}
	sort.Strings(cols)
	return strings.Join(cols, " ")
}

// single is the value of a range that holds only one.
func single(r sql.MySQLRangeColumnExpr) (v any, ok bool) {
	lo, ok := r.LowerBound.(sql.Below)
	if !ok {
		return nil, false
	}
	hi, ok := r.UpperBound.(sql.Above)
	if !ok || fmt.Sprintf("%T%v", lo.Key, lo.Key) != fmt.Sprintf("%T%v", hi.Key, hi.Key) {
		return nil, false
	}
	return lo.Key, true
}

func lower(s string) string { return strings.ToLower(s) }
