package engine

import (
	"slices"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/expression/function/aggregation"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	gms "github.com/dolthub/go-mysql-server/sql/types"
)

// Values of TEXT and BLOB columns that are out of line come as what reads them, so that rows which are left out or only passed on cost no
// reading. Most of the SQL engine's functions and operators take them for strings and bytes all the same. (Where the engine evaluates
// generated columns, sqltable gives no such values.)

// readingLong is a node whose functions and operators get the values themselves, and which does so itself if it looks at the values of
// its expressions; nil when they do already.
func readingLong(ctx *sql.Context, n sql.Node) (sql.Node, error) {
	x, ok := n.(sql.Expressioner)
	if !ok {
		return nil, nil
	}
	own := nodeLooksAtLong(n)
	found := false
	for _, e := range x.Expressions() {
		found = found || own && maybeLong(ctx, e)
		transform.InspectExpr(ctx, e, func(ctx *sql.Context, e sql.Expression) bool {
			found = found || looksAtLong(ctx, e)
			return found
		})
	}
	if !found {
		return nil, nil
	}
	var exprs []sql.Expression
	for _, e := range x.Expressions() {
		e, _, err := transform.Expr(ctx, e, giveLong)
		if err != nil {
			return nil, err
		}
		if own {
			e = valueOf(ctx, e)
		}
		exprs = append(exprs, e)
	}
	return x.WithExpressions(ctx, exprs...)
}

// nodeLooksAtLong tells whether a node looks at what its expressions give, other than to compare or keep it: conditions, what JSON_TABLE reads.
func nodeLooksAtLong(n sql.Node) bool {
	switch n.(type) {
	case *plan.Filter, *plan.Having, *plan.JoinNode, *plan.JSONTable:
		return true
	}
	return false
}

// hashesLong has a lookup hash the values themselves. It changes the lookup, which is built for every row of the other side and keeps its
// table of hashes: a copy would have none.
func hashesLong(ctx *sql.Context, n *plan.HashLookup) error {
	n.Mutex.Lock()
	defer n.Mutex.Unlock()
	if n.Lookup != nil {
		return nil
	}
	for _, key := range []*sql.Expression{&n.RightEntryKey, &n.LeftProbeKey} {
		e, _, err := transform.Expr(ctx, *key, giveLong)
		if err != nil {
			return err
		}
		*key = valueOf(ctx, e)
	}
	return nil
}

// valueOf is e with the value itself.
func valueOf(ctx *sql.Context, e sql.Expression) sql.Expression {
	if !maybeLong(ctx, e) {
		return e
	}
	return &readLong{expression.UnaryExpressionStub{Child: e}}
}

// giveLong is e with children that give the values themselves where e needs them.
func giveLong(ctx *sql.Context, e sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
	if !looksAtLong(ctx, e) {
		return e, transform.SameTree, nil
	}
	var children []sql.Expression
	for i, c := range e.Children() {
		if !kept(e, i) {
			c = valueOf(ctx, c)
		}
		children = append(children, c)
	}
	e, err := e.WithChildren(ctx, children...)
	return e, transform.NewTree, err
}

// maybeLong tells whether e gives a value as it is stored, which may be out of line.
func maybeLong(ctx *sql.Context, e sql.Expression) bool {
	switch e.(type) {
	case *expression.GetField, *plan.Subquery:
		return gms.IsTextBlob(e.Type(ctx))
	}
	return false
}

// looksAtLong tells whether e, which is evaluated with what its children give, has such a child and wants its value.
func looksAtLong(ctx *sql.Context, e sql.Expression) bool {
	switch e := e.(type) {
	case *readLong, *expression.Alias, *expression.IsNull, *aggregation.Count, *function.Values, *sql.ColumnDefaultValue:
		return false
	case *function.Length:
		if e.CountType == function.NumBytes { // the length is known
			return false
		}
	case *expression.SetField:
		if _, column := e.LeftChild.(*expression.GetField); column {
			return false
		}
	}
	for i, c := range e.Children() {
		if maybeLong(ctx, c) && !kept(e, i) {
			return true
		}
	}
	return false
}

// kept tells whether e takes child i for something else than a value: what it assigns to, or a subquery of many rows.
func kept(e sql.Expression, i int) bool {
	switch e.(type) {
	case *expression.SetField:
		return i == 0
	case *plan.InSubquery:
		return i == 1
	case *plan.ExistsSubquery:
		return true
	}
	return false
}

// intoVariables is a SELECT … INTO variables, which outlive the statement, with the values themselves; nil when it has them already.
func intoVariables(ctx *sql.Context, n *plan.Into) (sql.Node, error) {
	var exprs []sql.Expression
	found := false
	for i, c := range n.Child.Schema(ctx) {
		f := expression.NewGetField(i, c.Type, c.Name, c.Nullable)
		if e := sql.Expression(f); maybeLong(ctx, e) {
			exprs, found = append(exprs, &readLong{expression.UnaryExpressionStub{Child: e}}), true
		} else {
			exprs = append(exprs, e)
		}
	}
	if p, ok := n.Child.(*plan.Project); !found || ok && slices.ContainsFunc(p.Projections, func(e sql.Expression) bool { _, ok := e.(*readLong); return ok }) {
		return nil, nil
	}
	return n.WithChildren(ctx, plan.NewProject(ctx, exprs, n.Child))
}

// readLong is the value that its child gives, in line.
type readLong struct {
	expression.UnaryExpressionStub
}

var (
	_ sql.Expression         = (*readLong)(nil)
	_ sql.CollationCoercible = (*readLong)(nil)
)

// String implements sql.Expression.
func (r *readLong) String() string { return r.Child.String() }

// Type implements sql.Expression.
func (r *readLong) Type(ctx *sql.Context) sql.Type { return r.Child.Type(ctx) }

// CollationCoercibility implements sql.CollationCoercible.
func (r *readLong) CollationCoercibility(ctx *sql.Context) (sql.CollationID, byte) {
	return sql.GetCoercibility(ctx, r.Child)
}

// Eval implements sql.Expression.
func (r *readLong) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	v, err := r.Child.Eval(ctx, row)
	if err != nil {
		return nil, err
	}
	return sql.UnwrapAny(ctx, v)
}

// WithChildren implements sql.Expression.
func (r *readLong) WithChildren(_ *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(r, len(children), 1)
	}
	return &readLong{expression.UnaryExpressionStub{Child: children[0]}}, nil
}
