package engine

import (
	"fmt"
	"slices"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	gms "github.com/dolthub/go-mysql-server/sql/types"
)

// timeText is a date or time as clients are shown it.
type timeText struct {
	expression.UnaryExpressionStub
	typ sql.Type // of the date or time
}

var (
	_ sql.Expression         = (*timeText)(nil)
	_ sql.CollationCoercible = (*timeText)(nil)
)

// String implements sql.Expression.
func (t *timeText) String() string { return fmt.Sprint(t.Child) }

// Type implements sql.Expression.
func (t *timeText) Type(*sql.Context) sql.Type { return gms.LongText }

// CollationCoercibility implements sql.CollationCoercible.
func (t *timeText) CollationCoercibility(ctx *sql.Context) (sql.CollationID, byte) {
	return ctx.GetCollation(), 4
}

// Eval implements sql.Expression.
func (t *timeText) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	v, err := t.Child.Eval(ctx, row)
	if err != nil || v == nil {
		return nil, err
	}
	out, err := t.typ.SQL(ctx, nil, v)
	if err != nil {
		return nil, err
	}
	return out.ToString(), nil
}

// WithChildren implements sql.Expression.
func (t *timeText) WithChildren(_ *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(t, len(children), 1)
	}
	return &timeText{expression.UnaryExpressionStub{Child: children[0]}, t.typ}, nil
}

// impliedDefaults lets the computed values of INSERT … () VALUES (), and of INSERT … VALUES (DEFAULT), find the columns that they are
// made of, which the SQL engine looks for at other places. It is nil when the source has none.
func impliedDefaults(ctx *sql.Context, n *plan.InsertInto) (sql.Node, error) {
	dst := n.Destination.Schema(ctx)
	source, same, err := transform.Node(ctx, n.Source, func(ctx *sql.Context, n sql.Node) (sql.Node, transform.TreeIdentity, error) {
		values, ok := n.(*plan.Values)
		if !ok {
			return n, transform.SameTree, nil
		}
		tuples := make([][]sql.Expression, len(values.ExpressionTuples))
		changed := false
		for r, t := range values.ExpressionTuples {
			tuples[r] = t
			if !implied(t, dst) {
				continue
			}
			tuples[r] = make([]sql.Expression, len(t))
			for i, e := range t {
				d := defaultOf(e)
				if tuples[r][i] = e; d == nil || d.IsLiteral() {
					continue
				}
				e, same, err := placed(ctx, d, dst)
				if err != nil {
					return nil, transform.SameTree, err
				}
				if same == transform.NewTree {
					tuples[r][i], changed = e, true
				}
			}
		}
		if !changed {
			return n, transform.SameTree, nil
		}
		return plan.NewValues(tuples), transform.NewTree, nil
	})
	if err != nil {
		return nil, err
	}
	out, named, err := transform.Node(ctx, source, func(ctx *sql.Context, n sql.Node) (sql.Node, transform.TreeIdentity, error) {
		p, ok := n.(*plan.Project)
		if !ok {
			return n, transform.SameTree, nil
		}
		return namedDefaults(ctx, p, dst)
	})
	if err != nil || same == transform.SameTree && named == transform.SameTree {
		return nil, err
	}
	return out, nil
}

// namedDefaults computes the columns for which every row of VALUES says DEFAULT as it would if the statement did not name them: from
// the whole row, and not from the values before them.
func namedDefaults(ctx *sql.Context, p *plan.Project, dst sql.Schema) (sql.Node, transform.TreeIdentity, error) {
	values, ok := p.Child.(*plan.Values)
	if !ok || len(p.Projections) != len(dst) || len(values.ExpressionTuples) == 0 {
		return p, transform.SameTree, nil
	}
	var exprs []sql.Expression
	var tuples [][]sql.Expression
	for i, e := range p.Projections {
		f, ok := e.(*expression.GetField)
		if !ok || !computedIn(values, f.Index()) {
			continue
		}
		if exprs == nil {
			exprs = slices.Clone(p.Projections)
			for _, t := range values.ExpressionTuples {
				tuples = append(tuples, slices.Clone(t))
			}
		}
		var err error
		if exprs[i], _, err = placed(ctx, defaultOf(values.ExpressionTuples[0][f.Index()]), dst); err != nil {
			return nil, transform.SameTree, err
		}
		for _, t := range tuples {
			t[f.Index()] = expression.NewLiteral(nil, gms.Null)
		}
	}
	if exprs == nil {
		return p, transform.SameTree, nil
	}
	return plan.NewProject(ctx, exprs, plan.NewValues(tuples)), transform.NewTree, nil
}

// computedIn tells whether each row of VALUES has the computed default of a column at a place.
func computedIn(values *plan.Values, at int) bool {
	for _, t := range values.ExpressionTuples {
		if at < 0 || at >= len(t) {
			return false
		}
		if d := defaultOf(t[at]); d == nil || d.IsLiteral() {
			return false
		}
	}
	return true
}

// implied tells whether a row of VALUES is the defaults of all columns.
func implied(tuple []sql.Expression, dst sql.Schema) bool {
	if len(tuple) != len(dst) {
		return false
	}
	for i, e := range tuple {
		want := dst[i].Default
		if want == nil {
			want = dst[i].Generated
		}
		if (want == nil) != (defaultOf(e) == nil) {
			return false
		}
	}
	return true
}

// defaultOf is e if it is the default of a column, else nil.
func defaultOf(e sql.Expression) *sql.ColumnDefaultValue {
	if w, ok := e.(*expression.Wrapper); ok {
		e = w.Unwrap()
	}
	d, _ := e.(*sql.ColumnDefaultValue)
	return d
}

// placed is an expression over the columns of a row of dst.
func placed(ctx *sql.Context, e sql.Expression, dst sql.Schema) (sql.Expression, transform.TreeIdentity, error) {
	return transform.Expr(ctx, e, func(_ *sql.Context, e sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
		f, ok := e.(*expression.GetField)
		if !ok {
			return e, transform.SameTree, nil
		}
		i := dst.IndexOfColName(f.Name())
		if i < 0 {
			return nil, transform.SameTree, sql.ErrColumnNotFound.New(f.Name())
		}
		if i == f.Index() {
			return e, transform.SameTree, nil
		}
		return f.WithIndex(i), transform.NewTree, nil
	})
}
