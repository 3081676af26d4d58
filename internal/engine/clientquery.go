package engine

import (
	"context"
	"io"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	gms "github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// Description says what a statement would answer.
type Description struct {
	Columns []Column // nil: it gives no rows, but changes something
	Params  int      // question marks
	Reads   bool     // it is a query that changes nothing by itself
	Changes bool     // it is no query: it is run for what it changes
}

// Describe plans a statement and does not run it. params may be nil while they are not known.
func (c *Client) Describe(ctx context.Context, query string, params []Param) (*Description, error) {
	sctx, end, err := c.begin(ctx, query)
	if err != nil {
		return nil, err
	}
	defer end()
	stmt, err := c.parse(sctx, query)
	if err != nil {
		return nil, err
	}
	d := &Description{Params: countParams(stmt)}
	if err := c.s.ValidateSession(sctx); err != nil {
		return nil, err
	}
	var node sql.Node
	if d.Params == len(params) {
		bound, err := bind(params)
		if err != nil {
			return nil, err
		}
		node, err = c.e.sqle.BoundQueryPlan(sctx, query, stmt, bound)
		if err != nil {
			return nil, err
		}
	} else if node, err = c.e.sqle.PrepareParsedQuery(sctx, query, query, stmt); err != nil {
		return nil, err
	}
	d.Changes = !node.IsReadOnly()
	d.Reads = plan.NodeRepresentsSelect(sctx, node) && !d.Changes // it takes DROP TABLE for a query
	switch n := node.(type) {
	case *plan.InsertInto:
		if n.Returning == nil {
			return d, nil
		}
	case *plan.Update, *plan.UpdateJoin, *plan.DeleteFrom:
		return d, nil
	}
	d.Columns, err = columnsOf(node.Schema(sctx))
	return d, err
}

// Rows is the answer of a statement. It must be closed, which commits the statement under autocommit; an error of Next or Close
// means that the statement has failed.
type Rows struct {
	Columns  []Column // nil: there are no rows
	Affected int64    // rows that the statement changed, known when Next has said that there is nothing more
	ctx      *sql.Context
	iter     sql.RowIter
	end      func()
	done     bool
}

// Query runs a statement.
func (c *Client) Query(ctx context.Context, query string, params []Param) (*Rows, error) {
	sctx, end, err := c.begin(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := c.query(sctx, query, params)
	if err != nil {
		end()
		return nil, err
	}
	rows.end = end
	return rows, nil
}

func (c *Client) query(ctx *sql.Context, query string, params []Param) (*Rows, error) {
	stmt, err := c.parse(ctx, query)
	if err != nil {
		return nil, err
	}
	if n := countParams(stmt); n != len(params) {
		return nil, errs.New(errs.Invalid, "the statement has %d parameters, %d were given", n, len(params))
	}
	bound, err := bind(params)
	if err != nil {
		return nil, err
	}
	if len(bound) > 0 {
		c.s.PrepareQuery(query, stmt)
		defer c.s.UnprepareQuery(query)
	}
	schema, iter, _, err := c.e.sqle.QueryWithBindings(ctx, query, stmt, bound, nil)
	if err != nil {
		return nil, err
	}
	r := &Rows{ctx: ctx, iter: iter}
	if r.Columns, err = columnsOf(schema); err != nil {
		return nil, err
	}
	return r, nil
}

// Next fills cells, one a column, with the next row; they are valid until the one after. False is the end.
func (r *Rows) Next(cells []value.Cell) (bool, error) {
	for {
		row, err := r.iter.Next(r.ctx)
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if r.Columns == nil {
			if gms.IsOkResult(row) {
				r.Affected += int64(gms.GetOkResult(row).RowsAffected)
			}
			continue
		}
		for i := range r.Columns {
			if cells[i], err = r.Columns[i].cell(r.ctx, row[i]); err != nil {
				return false, errs.New(errs.Invalid, "column %s: %w", r.Columns[i].Name, err)
			}
		}
		return true, nil
	}
}

// Close ends the statement.
func (r *Rows) Close() error {
	if r.done {
		return nil
	}
	r.done = true
	defer r.end()
	return r.iter.Close(r.ctx)
}

// Exec runs a statement to its end and counts the rows that it changed.
func (c *Client) Exec(ctx context.Context, query string, params []Param) (n int64, err error) {
	rows, err := c.Query(ctx, query, params)
	if err != nil {
		return 0, err
	}
	cells := make([]value.Cell, len(rows.Columns))
	for ok := true; ok && err == nil; {
		ok, err = rows.Next(cells)
	}
	if e := rows.Close(); err == nil {
		err = e
	}
	return rows.Affected, err
}
