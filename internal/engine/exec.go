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
	switch x := n.(type) {
	case *plan.AlterIndex:
		if x.Action == plan.IndexAction_Create {
			return e.createIndex(ctx, x, row)
		}
	case *plan.InsertInto:
		out, err := insertDocuments(ctx, x)
		if err != nil || out == nil {
			return nil, err
		}
		return e.base.Build(ctx, out, row)
	case *plan.UpdateSource:
		ups, err := updateDocuments(ctx, x.UpdateExprs)
		if err != nil || ups == nil {
			return nil, err
		}
		c := *x
		c.UpdateExprs = ups
		return e.base.Build(ctx, &c, row)
	case *documents:
		rows, err := e.base.Build(ctx, x.Child, row)
		if err != nil {
			return nil, err
		}
		return &documentIter{rows, x.columns}, nil
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
