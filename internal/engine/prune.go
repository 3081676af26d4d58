package engine

import (
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"

	"github.com/stemmadb/stemma/internal/engine/registry"
)

// pruned is a projection or grouping over a table function, nothing but filters, orders, limits and an alias between, with a function
// that reads only the columns which they name; nil when there is nothing to leave out. Above the projection no other column is seen.
func pruned(ctx *sql.Context, n sql.Node) (sql.Node, error) {
	switch n.(type) {
	case *plan.Project, *plan.GroupBy:
	default:
		return nil, nil
	}
	f := functionBelow(n)
	if f == nil {
		return nil, nil
	}
	named := map[string]bool{}
	for at := n; at != f; at = at.Children()[0] {
		x, ok := at.(sql.Expressioner)
		if !ok {
			continue
		}
		for _, e := range x.Expressions() {
			if !fieldsOf(ctx, e, named) {
				return nil, nil
			}
		}
	}
	g := f.(registry.Narrower).Using(func(column string) bool { return named[strings.ToLower(column)] })
	if g == nil {
		return nil, nil
	}
	return onFunction(ctx, n, g)
}

// functionBelow is the table function that alone feeds n; nil when there is none.
func functionBelow(n sql.Node) sql.Node {
	for {
		children := n.Children()
		if len(children) != 1 {
			return nil
		}
		switch c := children[0].(type) {
		case registry.Narrower:
			return c
		case *plan.Filter, *plan.Having, *plan.Sort, *plan.TopN, *plan.Limit, *plan.Offset, *plan.TableAlias:
			n = c
		default:
			return nil
		}
	}
}

// fieldsOf adds the names of the columns that e reads, in lower case; false when they cannot be told.
func fieldsOf(ctx *sql.Context, e sql.Expression, names map[string]bool) bool {
	known := true
	sql.Inspect(ctx, e, func(_ *sql.Context, e sql.Expression) bool {
		switch e := e.(type) {
		case *expression.GetField:
			names[strings.ToLower(e.Name())] = true
		case *plan.Subquery:
			known = false
		}
		return known
	})
	return known
}

// onFunction is n with another function below.
func onFunction(ctx *sql.Context, n, f sql.Node) (sql.Node, error) {
	if _, ok := n.(registry.Narrower); ok {
		return f, nil
	}
	c, err := onFunction(ctx, n.Children()[0], f)
	if err != nil {
		return nil, err
	}
	return n.WithChildren(ctx, c)
}
