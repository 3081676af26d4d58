package systab

import (
	"context"
	"slices"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// historyTable is dolt_history_<table>: the rows of a table at every commit that the head reaches, the newest first. At commits before
// the table was renamed it is looked for under its older name. Key columns and the commit are looked up.
func historyTable(ctx *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	of := name[len(prefixHistory):]
	sh, ok, err := shapeOf(ctx, db, of)
	if err != nil || !ok {
		return nil, false, err
	}
	cols := append(sh.columns(""), text("commit_hash"), text("committer"), at("commit_date"))
	t := newTable(db, name, cols, append([]string{"commit_hash"}, sh.keys("")...), nil)
	t.addDate("commit_date")
	t.scan = func(ctx *sql.Context, want scan) (sql.RowIter, error) {
		head, err := db.Head(ctx)
		if err != nil {
			return nil, err
		}
		next, err := commitsFrom(ctx, db.Repo(), []history.CommitID{head}, nil, want.at)
		if err != nil {
			return nil, err
		}
		if want.order != anyOrder {
			if next, err = dated(ctx, next, want.order); err != nil {
				return nil, err
			}
		}
		names, err := historyNames(ctx, db, of, head, want)
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
				name, err := names(ctx, m)
				if err != nil {
					return nil, err
				}
				tab, err := m.table(ctx, name)
				if err != nil {
					return nil, err
				}
				if tab != nil {
					return commitRows(ctx, m, name, tab, sh, want)
				}
			}
		}), nil
	}
	return t, true, nil
}

// historyNames finds the name of a table at each commit of its history. Commits that come as a walk gives them are followed; where they
// come otherwise, all are walked when the first comes that has no table of the present name.
func historyNames(ctx *sql.Context, db registry.Handle, of string, head history.CommitID, want scan) (func(ctx *sql.Context, m *moment) (string, error), error) {
	if _, one := want.at.text("commit_hash"); one {
		return func(ctx *sql.Context, m *moment) (string, error) { return nameAt(ctx, db, of, m) }, nil
	}
	if want.order == anyOrder {
		t := newTrail(of)
		err := t.start(ctx, db, head)
		return func(ctx *sql.Context, m *moment) (string, error) { return t.find(ctx, m, m.commit.Parents) }, err
	}
	var older map[history.CommitID]string
	return func(ctx *sql.Context, m *moment) (string, error) {
		if tab, err := m.table(ctx, of); err != nil || tab != nil {
			return of, err
		}
		if older == nil {
			var err error
			if older, err = olderNames(ctx, db, of, head); err != nil {
				return "", err
			}
		}
		if name, ok := older[m.commit.ID]; ok {
			return name, nil
		}
		return of, nil
	}, nil
}

// Reshaped is the table of a commit under the columns that it has at another revision: what the commit has under none of them is left
// out, and columns that it lacks are NULL. ok is false when the commit has no such table; an error of class NotFound tells that the
// revision has none.
func Reshaped(ctx *sql.Context, db registry.Handle, commit history.CommitID, name, revision string) (sql.Table, bool, error) {
	r, _, err := db.At(ctx, revision)
	if err != nil {
		return nil, false, err
	}
	v, _, ok, err := r.Table(ctx, name)
	if err != nil {
		return nil, false, err
	}
	if !ok {
		return nil, false, errs.New(errs.NotFound, "show %s with the schema of %s: there is no such table", name, revision)
	}
	sh, err := newShape(v.Schema())
	if err != nil {
		return nil, false, err
	}
	c, err := history.GetCommit(ctx, db.Repo().Store(), commit)
	if err != nil {
		return nil, false, err
	}
	m := momentOf(db, c)
	tab, err := m.table(ctx, name)
	if err != nil || tab == nil {
		return nil, false, err
	}
	t := newTable(db, name, sh.columns(""), sh.keys(""), nil)
	t.guess = tab.Rows.Count
	t.scan = func(ctx *sql.Context, want scan) (sql.RowIter, error) {
		if want.cols == nil {
			want.cols = make([]int, len(sh.cols))
			for i := range want.cols {
				want.cols[i] = i
			}
		}
		return commitRows(ctx, m, name, tab, sh, want)
	}
	return t, true, nil
}

// dated is commits in the order of their dates. Those of one date stay as they are.
func dated(ctx context.Context, next commitSource, o order) (commitSource, error) {
	var all []*history.Commit
	for {
		c, err := next(ctx)
		if err != nil {
			return nil, err
		}
		if c == nil {
			break
		}
		all = append(all, c)
	}
	slices.SortStableFunc(all, func(a, b *history.Commit) int {
		if o == newestFirst {
			a, b = b, a
		}
		return a.Committer.Time.Compare(b.Committer.Time)
	})
	return func(context.Context) (*history.Commit, error) {
		if len(all) == 0 {
			return nil, nil
		}
		c := all[0]
		all = all[1:]
		return c, nil
	}, nil
}

// commitRows are the rows of a table at a commit, with the commit behind them.
func commitRows(ctx *sql.Context, m *moment, name string, tab *table.Table, sh *shape, want scan) (sql.RowIter, error) {
	p, err := sh.projector(tab.Schema)
	if err != nil {
		return nil, err
	}
	opt := table.ScanOptions{Rows: table.RowsTree}
	if lo, hi, ok := sh.bounds(ctx, tab.Schema, "", want.at); ok {
		opt.Lo, opt.Hi = lo, hi
	}
	rows := table.NewView(m.repo.TableReader(m.st, name), tab, nil).Scan(opt)
	shift := 0
	if tab.Schema.Keyless() {
		shift = 1
	}
	n := len(sh.cols)
	cols := want.cols
	if cols == nil {
		cols = make([]int, n+3)
		for i := range cols {
			cols[i] = i
		}
	}
	tail := [3]any{m.name, m.commit.Committer.Name, when(m.commit.Committer.Time)}
	var b table.Block
	cell := blockCell(&b, shift)
	return rowsFunc(func(ctx *sql.Context) (sql.Row, error) {
		for b.Lo >= b.Hi {
			var ok bool
			var err error
			if b, ok, err = rows.Next(ctx); err != nil || !ok {
				return nil, orEOF(err)
			}
		}
		row := make(sql.Row, len(cols))
		for i, c := range cols {
			if c >= n {
				row[i] = tail[c-n]
				continue
			}
			var err error
			if row[i], err = p.value(ctx, m.st, cell, c); err != nil {
				return nil, err
			}
		}
		b.Lo++
		return row, nil
	}), nil
}

// blockCell gives cells of the first row of a block, by column; the rows' own layout has shift columns before the first.
func blockCell(b *table.Block, shift int) cellFunc {
	return func(ctx context.Context, col int) (value.Cell, error) { return b.Page.Cell(ctx, col+shift, b.Lo) }
}
