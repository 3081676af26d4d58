package engine

import (
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"

	"github.com/stemmadb/stemma/internal/engine/sqltable"
)

// narrowed is a filter right above a table of ours with a table that may leave out what the filter would; nil when it would not. The
// filter stays.
func narrowed(ctx *sql.Context, n *plan.Filter) (*plan.Filter, error) {
	var alias *plan.TableAlias
	child := n.Child
	if a, ok := child.(*plan.TableAlias); ok {
		alias, child = a, a.Child
	}
	rt, ok := child.(*plan.ResolvedTable)
	if !ok {
		return nil, nil
	}
	name, id := rt.Name(), rt.Id()
	if alias != nil {
		name, id = alias.Name(), alias.Id()
	}
	t, err := narrowTable(ctx, rt.Table, name, id, n.Expression)
	if t == nil || err != nil {
		return nil, err
	}
	c := *rt
	c.Table = t
	out := sql.Node(&c)
	if alias != nil {
		if out, err = alias.WithChildren(ctx, out); err != nil {
			return nil, err
		}
	}
	f := *n
	f.Child = out
	return &f, nil
}

// narrowTable looks through the wrapper that counts rows for the process list. Tables with virtual columns have another, and are
// left as they are.
func narrowTable(ctx *sql.Context, t sql.Table, name string, id sql.TableId, cond sql.Expression) (sql.Table, error) {
	switch t := t.(type) {
	case *plan.ProcessTable:
		inner, err := narrowTable(ctx, t.Table, name, id, cond)
		if inner == nil || err != nil {
			return nil, err
		}
		return plan.NewProcessTable(inner, t.OnPartitionDone, t.OnPartitionStart, t.OnRowNext), nil
	case *sqltable.Table:
		if out, err := t.Narrow(ctx, name, id, cond); out != nil || err != nil {
			return out, err
		}
	case *sqltable.Writable:
		if out, err := t.Narrow(ctx, name, id, cond); out != nil || err != nil {
			return out, err
		}
	}
	return nil, nil
}
