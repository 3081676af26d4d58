package engine

import (
	"context"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/rowexec"
	gms "github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/engine/sqltable"
)

// executor is asked before the engine's own execution of every node of a plan.
type executor struct {
	base      *rowexec.BaseBuilder
	databases sql.DatabaseProvider
	// fewRows is up to how many rows the engine sorts, sortMemory the bytes that other sorts keep in memory, and heapRows the largest LIMIT
	// of a sort for which the engine keeps the first rows only.
	fewRows, sortMemory, heapRows int

	restoreUsers func(*sql.Context) error // see Engine.RestoreUsers; may be nil
}

var _ sql.NodeExecBuilder = (*executor)(nil)

// Build implements sql.NodeExecBuilder: nil leaves the node to the engine.
func (e *executor) Build(ctx *sql.Context, n sql.Node, row sql.Row) (sql.RowIter, error) {
	noteDigits(ctx, n)
	if changesUsers(n) {
		return e.users(ctx, n, row)
	}
	switch x := n.(type) {
	case *plan.Truncate:
		return nil, checkTruncate(ctx, x)
	case *plan.CreateView:
		return nil, checkCreateView(x)
	case *plan.RenameTable:
		out, err := e.renamedTables(ctx, x)
		if out == nil || err != nil {
			return nil, err
		}
		return e.base.Build(ctx, out, row)
	case *plan.Into:
		if err := mayWrite(x); err != nil {
			return nil, err
		}
		out, err := intoVariables(ctx, x)
		if out == nil || err != nil {
			return nil, err
		}
		return e.base.Build(ctx, out, row)
	case *plan.AlterIndex:
		if x.Action == plan.IndexAction_Create {
			return e.createIndex(ctx, x, row)
		}
	case *plan.TableCountLookup:
		if t, ok := x.Table().(interface{ Note(*sql.Context) error }); ok {
			return nil, t.Note(ctx)
		}
	case *plan.HashLookup:
		return nil, hashesLong(ctx, x)
	case *plan.ShowTables:
		return nil, tellViewsAsOf(ctx, x)
	case *plan.Sort, *plan.TopN, *plan.InsertInto, *plan.Update, *plan.UpdateSource, *plan.Set, *plan.CreateCheck, *plan.AddColumn, *plan.JSONTable:
		out, err := readingLong(ctx, n)
		if err != nil {
			return nil, err
		}
		if out != nil {
			return e.base.Build(ctx, out, row)
		}
	}
	switch x := n.(type) {
	case *plan.Sort:
		return e.sort(ctx, x, row)
	case *plan.TopN:
		return e.topN(ctx, x, row)
	case *plan.InsertInto:
		return e.insert(ctx, x, row)
	case *plan.ShowColumns:
		return e.showColumns(ctx, x, row)
	case *plan.LoadData:
		return loadData(ctx, x)
	case *plan.UpdateSource:
		if err := noteUpdated(ctx, x); err != nil {
			return nil, err
		}
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
	case *plan.Project, *plan.Filter, *plan.GroupBy, *plan.Having, *plan.Values, *plan.JoinNode, *plan.Window:
		out, err := repaired(ctx, n)
		if f, ok := n.(*plan.Filter); ok && out == nil && err == nil {
			if f, err = narrowed(ctx, f); f != nil {
				out = f
			}
		}
		if err == nil {
			from := n
			if out != nil {
				from = out
			}
			var p sql.Node
			if p, err = pruned(ctx, from); p != nil {
				out, from = p, p
			}
			if err == nil {
				if p, err = readingLong(ctx, from); p != nil {
					out = p
				}
			}
		}
		if err != nil {
			return nil, err
		}
		if g, ok := n.(*plan.GroupBy); ok {
			if to, ok := out.(*plan.GroupBy); ok {
				g = to
			}
			if out == nil || out == sql.Node(g) {
				if rows, err := e.group(ctx, g, row); rows != nil || err != nil {
					return rows, err
				}
			}
		}
		if out == nil {
			return nil, nil
		}
		return e.base.Build(ctx, out, row)
	case *plan.Distinct:
		return e.distinct(ctx, x, row)
	case *plan.SetOp:
		return e.union(ctx, x, row)
	}
	return nil, nil
}

// noteDigits tells the session how many fraction digits the timestamps of a statement's result have, which the engine tells clients of
// its DATETIME only. n is the first node of the statement that is built, its root.
func noteDigits(ctx *sql.Context, n sql.Node) {
	s, ok := ctx.Session.(*session.Session)
	if !ok || !s.Begins(ctx.Pid()) {
		return
	}
	var digits []uint8
	columns := n.Schema(ctx)
	for i, c := range columns {
		if t, ok := c.Type.(sql.DatetimeType); ok && gms.IsTimestampType(t) {
			if digits == nil {
				digits = make([]uint8, len(columns))
			}
			digits[i] = uint8(t.Precision())
		}
	}
	s.SetDigits(digits)
}

// insert is an INSERT with what the engine lacks for it; nil when it lacks nothing.
func (e *executor) insert(ctx *sql.Context, n *plan.InsertInto, row sql.Row) (sql.RowIter, error) {
	if err := noteInserted(ctx, n); err != nil {
		return nil, err
	}
	source, err := impliedDefaults(ctx, n)
	if err != nil {
		return nil, err
	}
	if source != nil {
		n = n.WithSource(source)
	}
	out, err := insertDocuments(ctx, n)
	if err != nil {
		return nil, err
	}
	if out == nil {
		if source == nil {
			return nil, nil
		}
		out = n
	}
	return e.base.Build(ctx, out, row)
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

// showColumns is SHOW COLUMNS with the defaults that are texts as they are, without quotes.
func (e *executor) showColumns(ctx *sql.Context, n *plan.ShowColumns, row sql.Row) (sql.RowIter, error) {
	if ctx.Value(showing{}) != nil {
		return nil, nil
	}
	iter, err := e.base.Build(ctx.WithContext(context.WithValue(ctx.Context, showing{}, true)), n, row)
	if err != nil {
		return nil, err
	}
	at := 4
	if n.Full {
		at = 5
	}
	return &unquoted{iter, at}, nil
}

// showing marks the context of a SHOW COLUMNS whose defaults are seen to.
type showing struct{}

// unquoted reads rows whose column at is a text in quotes, or something else.
type unquoted struct {
	sql.RowIter
	at int
}

// Next implements sql.RowIter.
func (u *unquoted) Next(ctx *sql.Context) (sql.Row, error) {
	row, err := u.RowIter.Next(ctx)
	if err != nil || u.at >= len(row) {
		return row, err
	}
	if s, ok := row[u.at].(string); ok && len(s) > 1 && s[0] == '\'' && s[len(s)-1] == '\'' {
		row[u.at] = strings.NewReplacer("''", "'", `\\`, `\`).Replace(s[1 : len(s)-1])
	}
	return row, nil
}
