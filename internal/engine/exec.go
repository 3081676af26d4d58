package engine

import (
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/planbuilder"
	"github.com/dolthub/go-mysql-server/sql/rowexec"
)

// executor is asked before the engine's own execution of every node of a plan.
type executor struct{ engine *rowexec.BaseBuilder }

var _ sql.NodeExecBuilder = (*executor)(nil)

// Build implements sql.NodeExecBuilder: nil leaves the node to the engine.
func (e *executor) Build(ctx *sql.Context, n sql.Node, row sql.Row) (sql.RowIter, error) {
	if x, ok := n.(*plan.AlterIndex); ok && x.Action == plan.IndexAction_Create && unresolvedVirtual(x.TargetSchema()) {
		// The engine evaluates the virtual columns of the schema to build the index, but resolves only the new one.
		b := planbuilder.NewBuilderForColumnDefaultResolution(ctx, e.engine.EngineOverrides)
		resolved, err := x.WithTargetSchema(b.ResolveSchemaDefaults(x.Db.Name(), x.Table.Name(), x.TargetSchema()))
		if err != nil {
			return nil, err
		}
		return e.engine.Build(ctx, resolved, row)
	}
	return nil, nil
}

// unresolvedVirtual tells whether a schema has a virtual column whose expression is still text.
func unresolvedVirtual(s sql.Schema) bool {
	for _, c := range s {
		if c.Virtual && c.Generated != nil && !c.Generated.Resolved() {
			return true
		}
	}
	return false
}
