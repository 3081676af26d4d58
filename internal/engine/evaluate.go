package engine

import (
	"context"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/vt/sqlparser"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
)

// Evaluate runs the statements of a query in a transaction that the caller has begun and ends, with the rights of
// the account user@host. A statement that fails
// changes nothing and goes to failed, whose error ends it all; nil goes on with the next one. What cannot be parsed, and what
// would leave the transaction, such as USE and CALL, ends it always.
func (e *Engine) Evaluate(ctx context.Context, user, host string, tx *repo.Tx, query string, failed func(statement string, err error) error) error {
	base := sql.NewBaseSessionWithClientServer("", sql.Client{User: user, Address: host}, 0)
	s := e.NewSession(base)
	s.Pin(tx)
	s.SetCurrentDatabase(tx.Repo().Name() + "/" + tx.Branch())
	for {
		query = strings.TrimLeft(query, "; \t\r\n")
		if query == "" {
			return nil
		}
		sctx := e.NewContext(ctx, s)
		stmt, one, rest, err := newParser().Parse(sctx, query, true)
		if err != nil {
			return errs.New(errs.Invalid, "%s: %s", errs.Excerpt(query), err.Error())
		}
		if word := confined(stmt); word != "" {
			return errs.New(errs.Unsupported, "%s: %s cannot be used here: the statements change the tables of one state, and no more", errs.Excerpt(strings.TrimSpace(one)), word)
		}
		if err := e.run(sctx, one); err != nil {
			if ctx.Err() != nil {
				return errs.With(errs.Canceled, ctx.Err())
			}
			if err := failed(one, err); err != nil {
				return err
			}
		}
		query = rest
	}
}

// confined is the word for a statement that would leave the transaction in which statements are evaluated; "" for others.
func confined(stmt sqlparser.Statement) string {
	switch stmt.(type) {
	case *sqlparser.Use:
		return "USE"
	case *sqlparser.Call:
		return "CALL"
	}
	return ""
}

// run runs a statement to its end.
func (e *Engine) run(ctx *sql.Context, query string) error {
	_, rows, err := e.Query(ctx, query)
	if err != nil {
		return err
	}
	_, err = sql.RowIterToRows(ctx, rows)
	return err
}
