package engine

import (
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/rowexec"

	"github.com/stemmadb/stemma/internal/engine/sqltable"
)

// executor is asked before the engine's own execution of every node of a plan.
type executor struct{ base *rowexec.BaseBuilder }

var _ sql.NodeExecBuilder = (*executor)(nil)

// Build implements sql.NodeExecBuilder: nil leaves the node to the engine.
func (e *executor) Build(ctx *sql.Context, n sql.Node, row sql.Row) (sql.RowIter, error) {
	if x, ok := n.(*plan.AlterIndex); ok && x.Action == plan.IndexAction_Create {
		return e.createIndex(ctx, x, row)
	}
	return nil, nil
}

// createIndex gives the engine a table whose virtual columns it can evaluate; nil when it has none.
func (e *executor) createIndex(ctx *sql.Context, x *plan.AlterIndex, row sql.Row) (sql.RowIter, error) {
	rt, ok := x.Table.(*plan.ResolvedTable)
	if !ok {
		return nil, nil
	}
	w, ok := sql.GetUnderlyingTable(rt.Table).(*sqltable.Writable)
	if !ok {
		return nil, nil
	}
	resolved := w.Resolved(ctx, e.base.EngineOverrides)
	if resolved == w {
		return nil, nil
	}
	node, err := rt.ReplaceTable(ctx, resolved)
	if err != nil {
		return nil, err
	}
	c := *x
	c.Table = node
	return e.base.Build(ctx, &c, row)
}
