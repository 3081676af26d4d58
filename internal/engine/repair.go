package engine

import (
	"fmt"
	"math"
	"math/bits"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/transform"
	gms "github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/mysql"

	"github.com/stemmadb/stemma/internal/engine/types"
)

// repaired is a node with expressions that do what MySQL does; nil when all do already:
//
//   - CAST(… AS CHAR) of a date or time gives the text that clients are shown for the value: without a time of day for DATE, with all
//     digits of the fraction, and 0000-00-00 for the zero date.
//   - Sums, differences and products of integers that no BIGINT holds are errors.
//   - Times with fewer digits than six are compared as times.
func repaired(ctx *sql.Context, n sql.Node) (sql.Node, error) {
	x, ok := n.(sql.Expressioner)
	if !ok {
		return nil, nil
	}
	found := false
	for _, e := range x.Expressions() {
		transform.InspectExpr(ctx, e, func(ctx *sql.Context, e sql.Expression) bool {
			found = found || castOfTime(ctx, e) != nil || wholeSum(ctx, e) != nil || shortTime(ctx, e)
			return found
		})
	}
	if !found {
		return nil, nil
	}
	// Casts come first: they have to know the digits.
	n, _, err := transform.OneNodeExpressions(ctx, n, func(ctx *sql.Context, e sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
		if c := castOfTime(ctx, e); c != nil {
			out, err := c.WithChildren(ctx, &timeText{expression.UnaryExpressionStub{Child: c.Child}, c.Child.Type(ctx)})
			return out, transform.NewTree, err
		}
		if a := wholeSum(ctx, e); a != nil {
			return newSum(ctx, a), transform.NewTree, nil
		}
		return e, transform.SameTree, nil
	})
	if err != nil {
		return nil, err
	}
	n, _, err = transform.OneNodeExpressions(ctx, n, func(ctx *sql.Context, e sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
		if !shortTime(ctx, e) {
			return e, transform.SameTree, nil
		}
		f := e.(*expression.GetField)
		full := expression.NewGetFieldWithTable(f.Index(), int(f.TableId()), gms.Time, f.Database(), f.Table(), f.Name(), f.IsNullable(ctx))
		return full.WithId(f.Id()).(sql.Expression), transform.NewTree, nil
	})
	return n, err
}

// castOfTime is e if it is a cast of a date or time to text, else nil.
func castOfTime(ctx *sql.Context, e sql.Expression) *expression.Convert {
	c, ok := e.(*expression.Convert)
	if !ok || !gms.IsText(c.Type(ctx)) {
		return nil
	}
	if t := c.Child.Type(ctx); !gms.IsTime(t) && !types.IsTime(t) {
		return nil
	}
	return c
}

// shortTime tells whether e is a column of TIME with fewer than six digits. The SQL engine compares values of its own TIME only as times.
func shortTime(ctx *sql.Context, e sql.Expression) bool {
	f, ok := e.(*expression.GetField)
	return ok && types.IsTime(f.Type(ctx))
}

// wholeSum is e if it is a sum, difference or product of integers, else nil.
func wholeSum(ctx *sql.Context, e sql.Expression) *expression.Arithmetic {
	a, ok := e.(*expression.Arithmetic)
	if !ok || !gms.IsInteger(a.Type(ctx)) || !gms.IsInteger(a.LeftChild.Type(ctx)) || !gms.IsInteger(a.RightChild.Type(ctx)) {
		return nil
	}
	return a
}

// sum is a sum, difference or product of integers: an error where no BIGINT holds it.
type sum struct {
	expression.BinaryExpressionStub
	op   string
	typ  sql.Type
	sign sign
}

func newSum(ctx *sql.Context, a *expression.Arithmetic) *sum {
	s := &sum{BinaryExpressionStub: a.BinaryExpressionStub, op: a.Op, typ: a.Type(ctx)}
	l, r := signOf(ctx, a.LeftChild), signOf(ctx, a.RightChild)
	switch {
	case l == signed && r == signed, a.Op == "-" && sql.LoadSqlMode(ctx).ModeEnabled(sql.NoUnsignedSubtraction):
		s.sign = signed
	case l == unsigned || r == unsigned:
		s.sign = unsigned
	default:
		s.sign = either
	}
	return s
}

var (
	_ sql.Expression         = (*sum)(nil)
	_ sql.CollationCoercible = (*sum)(nil)
)

// String implements sql.Expression.
func (s *sum) String() string { return fmt.Sprintf("(%s %s %s)", s.LeftChild, s.op, s.RightChild) }

// Type implements sql.Expression.
func (s *sum) Type(*sql.Context) sql.Type { return s.typ }

// CollationCoercibility implements sql.CollationCoercible.
func (s *sum) CollationCoercibility(*sql.Context) (sql.CollationID, byte) {
	return sql.Collation_binary, 5
}

// WithChildren implements sql.Expression.
func (s *sum) WithChildren(_ *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 2 {
		return nil, sql.ErrInvalidChildrenNumber.New(s, len(children), 2)
	}
	c := *s
	c.LeftChild, c.RightChild = children[0], children[1]
	return &c, nil
}

// Eval implements sql.Expression.
func (s *sum) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	left, err := s.LeftChild.Eval(ctx, row)
	if err != nil || left == nil {
		return nil, err
	}
	right, err := s.RightChild.Eval(ctx, row)
	if err != nil || right == nil {
		return nil, err
	}
	a, aok := wholeOf(left)
	b, bok := wholeOf(right)
	if !aok || !bok {
		return expression.NewArithmetic(expression.NewLiteral(left, s.LeftChild.Type(ctx)), expression.NewLiteral(right, s.RightChild.Type(ctx)), s.op).Eval(ctx, nil)
	}
	var out whole
	fits := true
	switch s.op {
	case "+":
		out, fits = a.plus(b)
	case "-":
		out, fits = a.plus(whole{!b.negative && b.size != 0, b.size})
	case "*":
		high, low := bits.Mul64(a.size, b.size)
		out, fits = whole{a.negative != b.negative && low != 0, low}, high == 0
	}
	switch {
	case !fits, out.negative && (s.sign == unsigned || out.size > 1<<63), !out.negative && s.sign == signed && out.size > math.MaxInt64:
		name := "BIGINT"
		if s.sign == unsigned {
			name = "BIGINT UNSIGNED"
		}
		return nil, mysql.NewSQLError(mysql.ERDataOutOfRange, "22003", "%s value is out of range in '%s'", name, s)
	case out.negative:
		return int64(-out.size), nil
	case gms.IsUnsigned(s.typ) || out.size > math.MaxInt64:
		return out.size, nil
	}
	return int64(out.size), nil
}

// whole is an integer of 65 bits.
type whole struct {
	negative bool
	size     uint64
}

// plus is the sum; fits tells whether it has 65 bits.
func (a whole) plus(b whole) (out whole, fits bool) {
	if a.negative == b.negative {
		n, carry := bits.Add64(a.size, b.size, 0)
		return whole{a.negative, n}, carry == 0
	}
	if a.size < b.size {
		a, b = b, a
	}
	n := a.size - b.size
	return whole{a.negative && n != 0, n}, true
}

func wholeOf(v any) (whole, bool) {
	var n int64
	switch v := v.(type) {
	case int8:
		n = int64(v)
	case int16:
		n = int64(v)
	case int32:
		n = int64(v)
	case int64:
		n = v
	case int:
		n = int64(v)
	case uint8:
		return whole{size: uint64(v)}, true
	case uint16:
		return whole{size: uint64(v)}, true
	case uint32:
		return whole{size: uint64(v)}, true
	case uint64:
		return whole{size: v}, true
	case bool:
		if v {
			n = 1
		}
	default:
		return whole{}, false
	}
	if n < 0 {
		return whole{true, -uint64(n)}, true
	}
	return whole{size: uint64(n)}, true
}

// sign is what MySQL takes an integer for.
type sign int

const (
	signed   sign = iota
	unsigned      // a sum with one such operand is unsigned
	either        // the SQL engine does not say it as MySQL does
)

// signOf is the sign of an integer expression. The SQL engine takes positive literals for unsigned, and results of some functions.
func signOf(ctx *sql.Context, e sql.Expression) sign {
	switch e := e.(type) {
	case *sum:
		return e.sign
	case *expression.Literal:
		if n, ok := wholeOf(e.Val); ok && (n.negative || n.size <= math.MaxInt64) {
			return signed
		}
		return unsigned
	case *expression.Alias:
		return signOf(ctx, e.Child)
	case *expression.GetField:
		if gms.IsUnsigned(e.Type(ctx)) {
			return unsigned
		}
		return signed
	case *expression.Convert:
		if strings.EqualFold(e.Type(ctx).String(), gms.Uint64.String()) {
			return unsigned
		}
	}
	if gms.IsUnsigned(e.Type(ctx)) {
		return either
	}
	return signed
}
