package engine

import (
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/analyzer"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"

	"github.com/stemmadb/stemma/internal/engine/sqltable"
)

// ruleDropCheck is the id of the rule plainTables. It is far from those of the analyzer's own rules.
const ruleDropCheck analyzer.RuleId = 1 << 20

// plainTables is an analyzer rule that gives statements that drop a constraint the table itself: the analyzer looks for the constraint in
// the wrapper that computes virtual columns, which has none. And it refuses DROP TABLE of views, and lets CREATE VIEW read what is read only.
func plainTables(ctx *sql.Context, _ *analyzer.Analyzer, n sql.Node, _ *plan.Scope, _ analyzer.RuleSelector, _ *sql.QueryFlags) (sql.Node, transform.TreeIdentity, error) {
	return transform.Node(ctx, n, func(ctx *sql.Context, n sql.Node) (sql.Node, transform.TreeIdentity, error) {
		switch n := n.(type) {
		case *plan.CreateView:
			child, same, err := transform.NodeWithOpaque(ctx, n.Child, readable)
			if err != nil || same {
				return n, transform.SameTree, err
			}
			out, err := n.WithChildren(ctx, child)
			return out, transform.NewTree, err
		case *plan.DropTable:
			return n, transform.SameTree, checkDropTable(n)
		case *plan.DropCheck:
			rt, err := plainTable(ctx, n.Table)
			if err != nil || rt == nil {
				return n, transform.SameTree, err
			}
			c := *n
			c.Table = rt
			return &c, transform.NewTree, nil
		case *plan.DropConstraint:
			child, ok := n.Child.(*plan.ResolvedTable)
			if !ok {
				return n, transform.SameTree, nil
			}
			rt, err := plainTable(ctx, child)
			if err != nil || rt == nil {
				return n, transform.SameTree, err
			}
			c := *n
			c.Child = rt
			return &c, transform.NewTree, nil
		}
		return n, transform.SameTree, nil
	})
}

// readableDatabase is a database that does not say whether it can be written.
type readableDatabase struct{ sql.Database }

// readable gives a table of a commit a database that the analyzer does not take for the target of the statement, which is that of the view.
func readable(_ *sql.Context, n sql.Node) (sql.Node, transform.TreeIdentity, error) {
	t, ok := n.(*plan.ResolvedTable)
	if !ok {
		return n, transform.SameTree, nil
	}
	if ro, ok := t.SqlDatabase.(sql.ReadOnlyDatabase); !ok || !ro.IsReadOnly() {
		return n, transform.SameTree, nil
	}
	c := *t
	c.SqlDatabase = readableDatabase{t.SqlDatabase}
	return &c, transform.NewTree, nil
}

// plainTable is the node of a table without its wrapper; nil when it has none.
func plainTable(ctx *sql.Context, rt *plan.ResolvedTable) (*plan.ResolvedTable, error) {
	if rt == nil {
		return nil, nil
	}
	w, ok := sql.GetUnderlyingTable(rt.Table).(*sqltable.Writable)
	if !ok || sql.Table(w) == rt.Table {
		return nil, nil
	}
	n, err := rt.ReplaceTable(ctx, w)
	if err != nil {
		return nil, err
	}
	out, _ := n.(*plan.ResolvedTable)
	return out, nil
}
