package engine

import (
	"context"
	"strings"
	"sync"

	sqle "github.com/dolthub/go-mysql-server"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/analyzer"
	"github.com/dolthub/go-mysql-server/sql/rowexec"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/engine/sqltable"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/merge"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// Checks evaluates CHECK constraints for merges, as INSERT would. It belongs to no engine and no session.
func Checks() merge.Checks {
	// Registering functions and variables costs more than most merges: it waits for the first table with a check.
	start := sync.OnceFunc(RegisterVariables)
	return func(ctx context.Context, rd chunk.Reader, name string, s *schema.Compiled, checks []int) (merge.RowChecks, error) {
		start()
		c, err := newRowChecks(ctx, rd, name, s, checks)
		if err != nil {
			return nil, err
		}
		return c.violated, nil
	}
}

// rowChecks is checks of one table, planned.
type rowChecks struct {
	sqle   *sqle.Engine
	held   *sqltable.Held
	checks []int
	plan   sql.Node
}

// checksDatabase is the name of the database that holds the table.
const checksDatabase = "checks"

func newRowChecks(ctx context.Context, rd chunk.Reader, name string, s *schema.Compiled, checks []int) (*rowChecks, error) {
	held, err := sqltable.NewHeld(s, checksDatabase, name, rd)
	if err != nil {
		return nil, err
	}
	a := analyzer.NewBuilder(heldDatabase{held}).AddOverrides(sql.EngineOverrides{Builder: sql.BuilderOverrides{Parser: newParser()}}).Build()
	c := &rowChecks{sqle: sqle.New(a, &sqle.Config{IsReadOnly: true}), held: held, checks: checks}
	exec := &executor{}
	a.ExecBuilder = rowexec.NewBuilder(exec, a.Overrides)
	a.ExecBuilder.Runner = c.sqle
	exec.base = a.ExecBuilder
	var q strings.Builder
	for i, n := range checks {
		if i > 0 {
			q.WriteString(", ")
		}
		q.WriteString("(" + s.Checks[n].Expr + ") IS FALSE")
	}
	sctx := c.context(ctx)
	if c.plan, err = c.sqle.AnalyzeQuery(sctx, "SELECT "+q.String()+" FROM `"+strings.ReplaceAll(name, "`", "``")+"`"); err != nil {
		return nil, errs.New(errs.Invalid, "%w", err)
	}
	return c, nil
}

func (c *rowChecks) context(ctx context.Context) *sql.Context {
	s := sql.NewBaseSession()
	s.SetCurrentDatabase(checksDatabase)
	return sql.NewContext(ctx, sql.WithSession(s))
}

// violated is merge.RowChecks.
func (c *rowChecks) violated(ctx context.Context, rows [][]value.Cell) ([][]int, error) {
	out, err := c.evaluate(ctx, rows)
	if err == nil {
		return out, nil
	}
	if ctx.Err() != nil {
		return nil, errs.With(errs.Canceled, ctx.Err())
	}
	if len(rows) == 1 {
		return [][]int{c.checks}, nil
	}
	out = nil
	for i := range rows { // to find the one
		one, err := c.violated(ctx, rows[i:i+1])
		if err != nil {
			return nil, err
		}
		out = append(out, one...)
	}
	return out, nil
}

func (c *rowChecks) evaluate(ctx context.Context, rows [][]value.Cell) ([][]int, error) {
	c.held.Hold(rows)
	sctx := c.context(ctx)
	iter, err := c.sqle.Analyzer.ExecBuilder.Build(sctx, c.plan, nil)
	if err != nil {
		return nil, err
	}
	results, err := sql.RowIterToRows(sctx, iter)
	if err != nil {
		return nil, err
	}
	if len(results) != len(rows) {
		return nil, errs.New(errs.Internal, "evaluate checks: %d rows gave %d results", len(rows), len(results))
	}
	out := make([][]int, len(rows))
	for i, r := range results {
		for k, v := range r {
			is, err := sql.ConvertToBool(sctx, v)
			if err != nil {
				return nil, err
			}
			if is {
				out[i] = append(out[i], c.checks[k])
			}
		}
	}
	return out, nil
}

// heldDatabase is the one database with one table in which checks are evaluated.
type heldDatabase struct{ table *sqltable.Held }

var (
	_ sql.DatabaseProvider = heldDatabase{}
	_ sql.Database         = heldDatabase{}
)

// Name implements sql.Database.
func (d heldDatabase) Name() string { return checksDatabase }

// GetTableInsensitive implements sql.Database.
func (d heldDatabase) GetTableInsensitive(_ *sql.Context, name string) (sql.Table, bool, error) {
	if !strings.EqualFold(name, d.table.Name()) {
		return nil, false, nil
	}
	return d.table, true, nil
}

// GetTableNames implements sql.Database.
func (d heldDatabase) GetTableNames(*sql.Context) ([]string, error) {
	return []string{d.table.Name()}, nil
}

// Database implements sql.DatabaseProvider.
func (d heldDatabase) Database(_ *sql.Context, name string) (sql.Database, error) {
	if !d.HasDatabase(nil, name) {
		return nil, sql.ErrDatabaseNotFound.New(name)
	}
	return d, nil
}

// HasDatabase implements sql.DatabaseProvider.
func (d heldDatabase) HasDatabase(_ *sql.Context, name string) bool {
	return strings.EqualFold(name, checksDatabase)
}

// AllDatabases implements sql.DatabaseProvider.
func (d heldDatabase) AllDatabases(*sql.Context) []sql.Database { return []sql.Database{d} }
