package engine

import (
	"github.com/dolthub/go-mysql-server/sql"
)

// executor is asked before the engine's own execution of every node of a plan.
type executor struct{}

var _ sql.NodeExecBuilder = executor{}

// Build implements sql.NodeExecBuilder: nil leaves the node to the engine.
func (executor) Build(*sql.Context, sql.Node, sql.Row) (sql.RowIter, error) { return nil, nil }
