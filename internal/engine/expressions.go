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

// Expressions evaluates CHECK constraints and generated columns for merges, as INSERT would. It belongs to no engine and no session.
func Expressions() merge.Expressions {
	// Registering functions and variables costs more than most merges: it waits for the first table with an expression.
	return &expressions{start: sync.OnceFunc(RegisterVariables)}
}

type expressions struct{ start func() }

// Checks implements merge.Expressions.
func (x *expressions) Checks(ctx context.Context, rd chunk.Reader, name string, s *schema.Compiled, checks []int) (merge.RowChecks, error) {
	exprs := make([]string, len(checks))
	for i, n := range checks {
		exprs[i] = "(" + s.Checks[n].Expr + ") IS FALSE"
	}
	e, err := x.plan(ctx, rd, name, s, exprs...)
	if err != nil {
		return nil, err
	}
	var violated merge.RowChecks
	violated = func(ctx context.Context, rows [][]value.Cell) ([][]int, error) {
		out := make([][]int, len(rows))
		err := e.evaluate(ctx, rows, func(sctx *sql.Context, i int, results sql.Row) error {
			for k, v := range results {
				is, err := sql.ConvertToBool(sctx, v)
				if err != nil {
					return err
				}
				if is {
					out[i] = append(out[i], checks[k])
				}
			}
			return nil
		})
		switch {
		case err == nil:
			return out, nil
		case ctx.Err() != nil:
			return nil, errs.With(errs.Canceled, ctx.Err())
		case len(rows) == 1:
			return [][]int{checks}, nil
		}
		out = out[:0]
		for i := range rows { // to find the one
			one, err := violated(ctx, rows[i:i+1])
			if err != nil {
				return nil, err
			}
			out = append(out, one...)
		}
		return out, nil
	}
	return violated, nil
}

// Generator implements merge.Expressions.
func (x *expressions) Generator(ctx context.Context, rd chunk.Reader, name string, s *schema.Compiled, columns []int) (merge.RowGenerator, error) {
	// One after the other: a column may need those before it.
	evals := make([]*evaluation, len(columns))
	for i, c := range columns {
		var err error
		if evals[i], err = x.plan(ctx, rd, name, s, "("+s.Columns[c].Generated+")"); err != nil {
			return nil, err
		}
	}
	shift := len(s.Primary.Phys) - len(s.Columns)
	return func(ctx context.Context, rows [][]value.Cell) error {
		for i, c := range columns {
			err := evals[i].evaluate(ctx, rows, func(sctx *sql.Context, n int, results sql.Row) error {
				cell, err := evals[i].held.Cell(sctx, c, results[0])
				if err != nil {
					return err
				}
				rows[n][shift+c] = cell
				return nil
			})
			if ctx.Err() != nil {
				return errs.With(errs.Canceled, ctx.Err())
			}
			if err != nil {
				return errs.New(errs.Invalid, "column %s: %w", s.Columns[c].Name, err)
			}
		}
		return nil
	}, nil
}

// evaluation is expressions over the columns of a table, planned.
type evaluation struct {
	sqle *sqle.Engine
	held *sqltable.Held
	plan sql.Node
}

// heldName is the name of the database that holds the table.
const heldName = "held"

func (x *expressions) plan(ctx context.Context, rd chunk.Reader, name string, s *schema.Compiled, exprs ...string) (*evaluation, error) {
	x.start()
	held, err := sqltable.NewHeld(s, heldName, name, rd)
	if err != nil {
		return nil, err
	}
	a := analyzer.NewBuilder(heldDatabase{held}).AddOverrides(sql.EngineOverrides{Builder: sql.BuilderOverrides{Parser: newParser()}}).Build()
	e := &evaluation{sqle: sqle.New(a, &sqle.Config{IsReadOnly: true}), held: held}
	exec := &executor{}
	a.ExecBuilder = rowexec.NewBuilder(exec, a.Overrides)
	a.ExecBuilder.Runner = e.sqle
	exec.base = a.ExecBuilder
	query := "SELECT " + strings.Join(exprs, ", ") + " FROM `" + strings.ReplaceAll(name, "`", "``") + "`"
	if e.plan, err = e.sqle.AnalyzeQuery(e.context(ctx), query); err != nil {
		return nil, errs.New(errs.Invalid, "%w", err)
	}
	return e, nil
}

func (e *evaluation) context(ctx context.Context) *sql.Context {
	s := sql.NewBaseSession()
	s.SetCurrentDatabase(heldName)
	return sql.NewContext(ctx, sql.WithSession(s))
}

// evaluate calls fn with the results of each row.
func (e *evaluation) evaluate(ctx context.Context, rows [][]value.Cell, fn func(sctx *sql.Context, i int, results sql.Row) error) error {
	e.held.Hold(rows)
	sctx := e.context(ctx)
	iter, err := e.sqle.Analyzer.ExecBuilder.Build(sctx, e.plan, nil)
	if err != nil {
		return err
	}
	all, err := sql.RowIterToRows(sctx, iter)
	if err != nil {
		return err
	}
	if len(all) != len(rows) {
		return errs.New(errs.Internal, "evaluate expressions: %d rows gave %d results", len(rows), len(all))
	}
	for i, r := range all {
		if err := fn(sctx, i, r); err != nil {
			return err
		}
	}
	return nil
}

// heldDatabase is the one database with one table in which expressions are evaluated.
type heldDatabase struct{ table *sqltable.Held }

var (
	_ sql.DatabaseProvider = heldDatabase{}
	_ sql.Database         = heldDatabase{}
)

// Name implements sql.Database.
func (d heldDatabase) Name() string { return heldName }

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
	return strings.EqualFold(name, heldName)
}

// AllDatabases implements sql.DatabaseProvider.
func (d heldDatabase) AllDatabases(*sql.Context) []sql.Database { return []sql.Database{d} }
