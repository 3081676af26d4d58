package systab

import (
	"fmt"
	"sort"
	"strings"

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

// LookupForExpressions implements sql.IndexSearchable: equality with constants, and IN lists of them, of columns that some index
// has.
func (t *Table) LookupForExpressions(ctx *sql.Context, exprs ...sql.Expression) (sql.IndexLookup, *sql.FuncDepSet, sql.Expression, bool, error) {
	values := map[string][]any{}
	for _, e := range exprs {
		col, vals, ok := t.equality(ctx, e)
		if _, seen := values[col]; ok && !seen {
			values[col] = vals
		}
	}
	// The index that is used is made of the columns found; it goes by the id of one that GetIndexes gives.
	x := &index{table: t}
	for _, declared := range t.indexes {
		all := declared.id != byDate
		for _, c := range declared.cols {
			all = all && values[lower(c.Name)] != nil
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
		vals := values[lower(c.Name)]
		if vals == nil || len(ranges)*len(vals) > maxPoints {
			continue
		}
		x.cols = append(x.cols, c)
		var next sql.MySQLRangeCollection
		for _, r := range ranges {
			for _, v := range vals {
				next = append(next, append(append(sql.MySQLRange(nil), r...), sql.ClosedRangeColumnExpr(v, v, c.Type)))
			}
		}
		ranges = next
	}
	return sql.NewIndexLookup(x, ranges, false, false, false, false), &sql.FuncDepSet{}, expression.JoinAnd(exprs...), true, nil
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

// equality reads `column = constant` or `column in (constants)`. ok is false for anything else, and for values that the column's type
// cannot take as they are.
func (t *Table) equality(ctx *sql.Context, e sql.Expression) (col string, vals []any, ok bool) {
	b, ok := e.(expression.BinaryExpression)
	if !ok {
		return "", nil, false
	}
	left, right := b.Left(), b.Right()
	var list []sql.Expression
	switch e.(type) {
	case *expression.Equals:
		if _, isField := right.(*expression.GetField); isField {
			left, right = right, left
		}
		list = []sql.Expression{right}
	case *expression.InTuple, *expression.HashInTuple:
		tuple, isTuple := right.(expression.Tuple)
		if !isTuple {
			return "", nil, false
		}
		list = tuple
	default:
		return "", nil, false
	}
	field, ok := left.(*expression.GetField)
	if !ok || !t.indexed(field.Name()) {
		return "", nil, false
	}
	at := t.full.IndexOfColName(lower(field.Name()))
	if at < 0 {
		return "", nil, false
	}
	typ := t.full[at].Type
	vals = []any{}
	seen := map[any]bool{}
	for _, x := range list {
		v, ok := constant(ctx, x, typ)
		if !ok {
			return "", nil, false
		}
		if v != nil && !seen[v] {
			seen[v] = true
			vals = append(vals, v)
		}
	}
	return lower(t.full[at].Name), vals, true
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
	v, inRange, err := typ.Convert(ctx, v)
	if err != nil || inRange != sql.InRange {
		return nil, false
	}
	switch v.(type) { // what can be the key of a map
	case string, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64:
		return v, true
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

// points are the points of a lookup. Ranges that are not single values leave their column open.
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
			if v, ok := single(c); ok {
				p[lower(exprs[k][strings.LastIndexByte(exprs[k], '.')+1:])] = v
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
