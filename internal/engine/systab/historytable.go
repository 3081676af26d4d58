package systab

import (
	"context"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// historyTable is dolt_history_<table>: the rows of a table at every commit that the head reaches, the newest first. Key columns and
// the commit are looked up.
func historyTable(ctx *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	of := name[len(prefixHistory):]
	sh, ok, err := shapeOf(ctx, db, of)
	if err != nil || !ok {
		return nil, false, err
	}
	cols := append(sh.columns(""), text("commit_hash"), text("committer"), at("commit_date"))
	t := newTable(db, name, cols, append([]string{"commit_hash"}, sh.keys("")...), nil)
	t.rows = func(ctx *sql.Context, at Point) (sql.RowIter, error) {
		head, err := db.Head(ctx)
		if err != nil {
			return nil, err
		}
		next, err := commitsFrom(ctx, db.Repo(), []history.CommitID{head}, nil, at)
		if err != nil {
			return nil, err
		}
		return chain(func(ctx *sql.Context) (sql.RowIter, error) {
			for {
				c, err := next(ctx)
				if err != nil || c == nil {
					return nil, err
				}
				m := momentOf(db, c)
				tab, err := m.table(ctx, of)
				if err != nil {
					return nil, err
				}
				if tab != nil {
					return commitRows(ctx, m, tab, sh, at)
				}
			}
		}), nil
	}
	return t, true, nil
}

// commitRows are the rows of a table at a commit, with the commit behind them.
func commitRows(ctx *sql.Context, m *moment, tab *table.Table, sh *shape, at Point) (sql.RowIter, error) {
	p, err := sh.projector(tab.Schema)
	if err != nil {
		return nil, err
	}
	opt := table.ScanOptions{Rows: table.RowsTree}
	if lo, hi, ok := sh.bounds(ctx, tab.Schema, "", at); ok {
		opt.Lo, opt.Hi = lo, hi
	}
	scan := table.NewView(m.st, tab, nil).Scan(opt)
	shift := 0
	if tab.Schema.Keyless() {
		shift = 1
	}
	n := len(sh.cols)
	var b table.Block
	cell := blockCell(&b, shift)
	return rowsFunc(func(ctx *sql.Context) (sql.Row, error) {
		for b.Lo >= b.Hi {
			var ok bool
			var err error
			if b, ok, err = scan.Next(ctx); err != nil || !ok {
				return nil, orEOF(err)
			}
		}
		row := make(sql.Row, n+3)
		if err := p.fill(ctx, m.st, cell, row[:n], nil); err != nil {
			return nil, err
		}
		row[n], row[n+1], row[n+2] = m.name, m.commit.Committer.Name, when(m.commit.Committer.Time)
		b.Lo++
		return row, nil
	}), nil
}

// blockCell gives cells of the first row of a block, by column; the rows' own layout has shift columns before the first.
func blockCell(b *table.Block, shift int) func(ctx context.Context, col int) (value.Cell, error) {
	return func(ctx context.Context, col int) (value.Cell, error) { return b.Page.Cell(ctx, col+shift, b.Lo) }
}
