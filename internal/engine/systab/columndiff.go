package systab

import (
	"context"
	"slices"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/table"
)

// columnDiffTable is dolt_column_diff: the columns that each commit changed against its first parent, the newest commit first, after
// those that the working set changes. A column that both sides have is modified when some cell of it differs.
func columnDiffTable(_ *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	cols := []*sql.Column{
		textKey("commit_hash"), textKey("table_name"), textKey("column_name"), textNull("committer"), textNull("email"), atNull("date"),
		textNull("message"), text("diff_type"), textNull("author"), textNull("author_email"), atNull("author_date"),
	}
	return newTable(db, name, cols, []string{"commit_hash", "table_name"}, func(ctx *sql.Context, at Point) (sql.RowIter, error) {
		head, err := db.Head(ctx)
		if err != nil {
			return nil, err
		}
		only, _ := at.text("table_name")
		want, isPoint := at.text("commit_hash")
		sets := !isPoint || want == staged || want == working
		next, err := commitsFrom(ctx, db.Repo(), []history.CommitID{head}, nil, at)
		if err != nil {
			return nil, err
		}
		return each(func(ctx *sql.Context) ([]sql.Row, bool, error) {
			if sets {
				sets = false
				rows, err := workingColumns(ctx, db, want)
				return rows, true, err
			}
			c, err := next(ctx)
			if err != nil || c == nil {
				return nil, false, err
			}
			to := momentOf(db, c)
			from, err := parentOf(ctx, db, to)
			if err != nil {
				return nil, false, err
			}
			ds, err := commitDeltas(ctx, db, c, only)
			if err != nil {
				return nil, false, err
			}
			if only != "" {
				ds = slices.DeleteFunc(ds, func(d diff.Delta) bool { return !d.Is(only) })
			}
			rows, err := columnRows(ctx, from, to, ds, func(table, column, kind string) sql.Row {
				return sql.Row{c.ID.String(), table, column, c.Committer.Name, c.Committer.Email, when(c.Committer.Time), c.Message,
					kind, c.Author.Name, c.Author.Email, when(c.Author.Time)}
			})
			return rows, true, err
		}), nil
	}), true, nil
}

// workingColumns are the rows of dolt_column_diff for the change set of that name, of both when it is "".
func workingColumns(ctx *sql.Context, db registry.Handle, name string) ([]sql.Row, error) {
	sets, err := changeSets(ctx, db)
	if err != nil {
		return nil, err
	}
	var out []sql.Row
	for _, s := range sets {
		if name != "" && name != s.name {
			continue
		}
		rows, err := columnRows(ctx, s.from, s.to, s.deltas, func(table, column, kind string) sql.Row {
			return sql.Row{s.name, table, column, nil, nil, nil, nil, kind, nil, nil, nil}
		})
		if err != nil {
			return nil, err
		}
		out = append(out, rows...)
	}
	return out, nil
}

// columnRows are rows of the columns that differ in the tables of deltas.
func columnRows(ctx context.Context, from, to *moment, deltas []diff.Delta, row func(table, column, kind string) sql.Row) ([]sql.Row, error) {
	var out []sql.Row
	whole := func(m *moment, name, kind string) error {
		t, err := m.table(ctx, name)
		if err != nil || t == nil {
			return err
		}
		for i := range t.Schema.Columns {
			out = append(out, row(name, t.Schema.Columns[i].Name, kind))
		}
		return nil
	}
	for i := range deltas {
		d := &deltas[i]
		var err error
		switch d.Kind {
		case diff.TableAdded:
			err = whole(to, d.To.Name, diff.Added.String())
		case diff.TableDropped:
			err = whole(from, d.From.Name, diff.Removed.String())
		case diff.TableModified:
			var a, b *table.Table
			if a, err = from.table(ctx, d.From.Name); err != nil {
				return nil, err
			}
			if b, err = to.table(ctx, d.To.Name); err != nil {
				return nil, err
			}
			var p *diff.Pair
			if p, err = diff.NewPair(both{from, to}.of(d.Name()), a, b); err != nil {
				return nil, err
			}
			cols := p.Columns()
			for k := range cols {
				switch {
				case cols[k].From < 0:
					out = append(out, row(d.To.Name, cols[k].Name, diff.Added.String()))
				case cols[k].To < 0:
					out = append(out, row(d.To.Name, cols[k].Name, diff.Removed.String()))
				}
			}
			var changed []int
			if changed, err = p.ChangedColumns(ctx); err != nil {
				return nil, err
			}
			for _, k := range changed {
				out = append(out, row(d.To.Name, cols[k].Name, diff.Modified.String()))
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
