package engine

import (
	"slices"
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
	schema, rows, err := e.Query(ctx, one)
	if err != nil {
		return nil, nil, err
	}
	return withKey(ctx, node, schema), rows, nil
}

// withKey marks the primary key's columns in the answer of a query of one table, which the engine forgets behind a projection. An answer
// that lacks one of them has no key.
func withKey(ctx *sql.Context, n sql.Node, answer sql.Schema) sql.Schema {
	var tables []sql.PrimaryKeyTable
	name := ""
	transform.Inspect(n, func(n sql.Node) bool {
		if a, ok := n.(*plan.TableAlias); ok {
			name = a.Name()
		}
		t, ok := n.(sql.TableNode)
		if !ok {
			return true
		}
		if name == "" {
			name = t.Name()
		}
		k, _ := t.UnderlyingTable().(sql.PrimaryKeyTable)
		tables = append(tables, k)
		return false
	})
	if len(tables) != 1 || tables[0] == nil {
		return answer
	}
	out := answer.Copy()
	keys := tables[0].PrimaryKeySchema(ctx)
	for _, at := range keys.PkOrdinals {
		i := slices.IndexFunc(out, func(c *sql.Column) bool {
			return strings.EqualFold(c.Source, name) && strings.EqualFold(c.Name, keys.Schema[at].Name)
		})
		if i < 0 {
			return answer
		}
		out[i].PrimaryKey = true
	}
	return out
}
