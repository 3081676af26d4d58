package engine

import (
	"fmt"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/analyzer"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	gms "github.com/dolthub/go-mysql-server/sql/types"
)

// Rules of this engine run before the SQL engine's own. Their numbers are above all of those.
const (
	ruleImpliedDefaults analyzer.RuleId = 1<<20 + iota
	ruleTextOfTimes
)

// impliedDefaults leaves out of VALUES the columns that take their default in every row, as if the INSERT had not named them. The
// SQL engine finds the columns that such a default is made of only when the column is not named.
func impliedDefaults(
	ctx *sql.Context, _ *analyzer.Analyzer, n sql.Node, _ *plan.Scope, _ analyzer.RuleSelector, _ *sql.QueryFlags,
) (sql.Node, transform.TreeIdentity, error) {
	return transform.Node(ctx, n, func(_ *sql.Context, n sql.Node) (sql.Node, transform.TreeIdentity, error) {
		insert, ok := n.(*plan.InsertInto)
		if !ok {
			return n, transform.SameTree, nil
		}
		values, ok := insert.Source.(*plan.Values)
		if !ok || len(values.ExpressionTuples) == 0 || insert.OnDupExprs.HasUpdates() {
			return n, transform.SameTree, nil
		}
		var keep []int
		computed := false
		for i := range insert.ColumnNames {
			d, all := defaultOfAll(values, i)
			computed = computed || all && d != nil && !d.IsLiteral()
			if !all {
				keep = append(keep, i)
			}
		}
		if !computed {
			return n, transform.SameTree, nil
		}
		names := make([]string, len(keep))
		for to, from := range keep {
			names[to] = insert.ColumnNames[from]
		}
		tuples := make([][]sql.Expression, len(values.ExpressionTuples))
		for r, t := range values.ExpressionTuples {
			tuples[r] = make([]sql.Expression, len(keep))
			for to, from := range keep {
				tuples[r][to] = t[from]
			}
		}
		out := insert.WithColumnNames(names).WithSource(plan.NewValues(tuples))
		return out, transform.NewTree, nil
	})
}

// defaultOfAll tells whether all rows take the default of column i, and which that is; nil is NULL.
func defaultOfAll(values *plan.Values, i int) (*sql.ColumnDefaultValue, bool) {
	var d *sql.ColumnDefaultValue
	for _, t := range values.ExpressionTuples {
		if i >= len(t) {
			return nil, false
		}
		e := t[i]
		if w, ok := e.(*expression.Wrapper); ok {
			e = w.Unwrap()
		}
		if e == nil {
			continue
		}
		x, ok := e.(*sql.ColumnDefaultValue)
		if !ok {
			return nil, false
		}
		if x != nil {
			d = x
		}
	}
	return d, true
}

// textOfTimes makes CAST(… AS CHAR) of a date or time give the text that clients are shown for the value: without a time of day for
// DATE, with all digits of the fraction, and 0000-00-00 for the zero date.
func textOfTimes(
	ctx *sql.Context, _ *analyzer.Analyzer, n sql.Node, _ *plan.Scope, _ analyzer.RuleSelector, _ *sql.QueryFlags,
) (sql.Node, transform.TreeIdentity, error) {
	return transform.NodeExprs(ctx, n, func(ctx *sql.Context, e sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
		c, ok := e.(*expression.Convert)
		if !ok || !c.Child.Resolved() || !gms.IsTime(c.Child.Type(ctx)) || !gms.IsText(c.Type(ctx)) {
			return e, transform.SameTree, nil
		}
		out, err := c.WithChildren(ctx, &timeText{expression.UnaryExpressionStub{Child: c.Child}})
		return out, transform.NewTree, err
	})
}

// timeText is a date or time as clients are shown it.
type timeText struct {
	expression.UnaryExpressionStub
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
	out, err := t.Child.Type(ctx).SQL(ctx, nil, v)
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
	return &timeText{expression.UnaryExpressionStub{Child: children[0]}}, nil
}
