package engine

import (
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"

	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/errs"
)

// Answer is Query for one statement that reads and changes nothing; others are errors of class Invalid, and are not run.
func (e *Engine) Answer(ctx *sql.Context, query string) (sql.Schema, sql.RowIter, error) {
	stmt, one, rest, err := newParser().Parse(ctx, query, true)
	if err != nil {
		return nil, nil, err
	}
	if strings.Trim(rest, "; \t\r\n") != "" {
		return nil, nil, errs.New(errs.Invalid, "there must be exactly one statement in: %s", query)
	}
	refused := errs.New(errs.Invalid, "only a query that changes nothing can be run here, not: %s", query)
	switch stmt.(type) {
	case ast.SelectStatement, *ast.Show, *ast.Explain, *ast.Call:
	default:
		return nil, nil, refused
	}
	node, err := e.sqle.AnalyzeQuery(ctx, one)
	if err != nil {
		return nil, nil, err
	}
	writes := !node.IsReadOnly()
	transform.InspectWithOpaque(ctx, node, func(_ *sql.Context, n sql.Node) bool {
		if _, ok := n.(*plan.Into); ok {
			writes = true
		}
		return true
	})
	transform.InspectExpressions(ctx, node, func(_ *sql.Context, x sql.Expression) bool {
		if f, ok := x.(registry.Effective); ok && f.HasEffects() {
			writes = true
		}
		return true
	})
	if writes {
		return nil, nil, refused
	}
	return e.Query(ctx, one)
}
