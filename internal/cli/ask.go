package cli

import (
	"context"
	"errors"
	"iter"

	"github.com/stemmadb/stemma/internal/engine"
	"github.com/stemmadb/stemma/internal/engine/fn"
	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/engine/systab"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/value"
)

// askOf answers a query on a database that this process has open, by an engine of its own that knows no accounts and no procedures.
func (p *Program) askOf(ctx context.Context, r *repo.Repo, query string) iter.Seq2[[]value.Cell, error] {
	return func(yield func([]value.Cell, error) bool) {
		more := true
		err := p.answerOn(ctx, r, query, func(row []value.Cell) bool {
			more = yield(row, nil)
			return more
		})
		if err != nil && more {
			yield(nil, err)
		}
	}
}

// answerOn runs a query on a database and gives its rows to fn until it returns false.
func (p *Program) answerOn(ctx context.Context, r *repo.Repo, query string, fn func(row []value.Cell) bool) (err error) {
	e, err := engine.New(ctx, engine.Options{Repos: []*repo.Repo{r}, ReadOnly: true, Registries: p.evaluating()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close(context.WithoutCancel(ctx))) }()
	c, err := e.Connect(ctx, engine.ClientOptions{From: "localhost", CheckedOut: true, Database: r.Name()})
	if err != nil {
		return err
	}
	defer c.Close()
	rows, err := c.Query(ctx, query, nil)
	if err != nil {
		return asked(ctx, err)
	}
	cells := make([]value.Cell, len(rows.Columns))
	for {
		ok, err := rows.Next(cells)
		if err != nil {
			return errors.Join(asked(ctx, err), rows.Close())
		}
		if !ok || !fn(cells) {
			return rows.Close()
		}
	}
}

// asked is an error of a query: that of the context when it has ended, since the engine words it otherwise.
func asked(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errs.With(errs.Canceled, ctx.Err())
	}
	return err
}

// evaluating is what an engine offers that evaluates SQL for a verb.
func (p *Program) evaluating() registry.Registries {
	return registry.Registries{SystemTables: systab.Tables(), Functions: fn.Functions(p.versions()), TableFunctions: systab.Functions()}
}
