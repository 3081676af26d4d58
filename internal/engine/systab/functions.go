package systab

import (
	"context"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/table"
)

// revisions reads the leading arguments that name two states: "from", "to" or "from..to", where "a...b" goes from the merge base of
// both to b. rest are the arguments behind them.
func revisions(ctx *sql.Context, db registry.Handle, fn string, args []string) (from, to *moment, rest []string, err error) {
	if len(args) == 0 {
		return nil, nil, nil, sql.ErrInvalidArgumentNumber.New(fn, "1 to 3", 0)
	}
	a, b, three, ok := dotted(args[0])
	rest = args[1:]
	if !ok {
		if len(args) < 2 {
			return nil, nil, nil, sql.ErrInvalidArgumentNumber.New(fn, "2 or 3", len(args))
		}
		a, b, rest = args[0], args[1], args[2:]
	}
	if to, err = momentAt(ctx, db, orHead(b)); err != nil {
		return nil, nil, nil, err
	}
	if from, err = momentAt(ctx, db, orHead(a)); err != nil {
		return nil, nil, nil, err
	}
	if !three {
		return from, to, rest, nil
	}
	if from.commit == nil || to.commit == nil {
		return nil, nil, nil, errs.New(errs.Invalid, "%s: %s needs a commit on both sides", fn, args[0])
	}
	base, err := history.MergeBase(ctx, db.Repo().Store(), from.commit.ID, to.commit.ID)
	if err != nil {
		return nil, nil, nil, err
	}
	if base.IsZero() {
		return nil, nil, nil, errs.New(errs.NotFound, "%s: %s and %s have no common ancestor", fn, a, b)
	}
	c, err := history.GetCommit(ctx, db.Repo().Store(), base)
	if err != nil {
		return nil, nil, nil, err
	}
	return momentOf(db, c), to, rest, nil
}

func orHead(rev string) string {
	if rev == "" {
		return "HEAD"
	}
	return rev
}

// diffFunction is dolt_diff(from, to, table): the rows that differ, under the columns that each side has, or with --skinny those of them
// in which rows differ.
func diffFunction(ctx *sql.Context, db registry.Handle, args []string) (*call, error) {
	thin, args, err := takeSkinny(args)
	if err != nil {
		return nil, err
	}
	from, to, rest, err := revisions(ctx, db, "dolt_diff", args)
	if err != nil {
		return nil, err
	}
	if len(rest) != 1 {
		return nil, sql.ErrInvalidArgumentNumber.New("dolt_diff", "2 or 3", len(args))
	}
	name := rest[0]
	a, err := from.table(ctx, name)
	if err != nil {
		return nil, err
	}
	b, err := to.table(ctx, name)
	if err != nil {
		return nil, err
	}
	if a == nil && b == nil {
		return nil, sql.ErrTableNotFound.New(name)
	}
	if a == nil || b == nil {
		// The table may have another name on the other side.
		ds, err := deltas(ctx, from, to)
		if err != nil {
			return nil, err
		}
		for i := range ds {
			if d := &ds[i]; d.Kind == diff.TableRenamed && d.Is(name) {
				name = d.To.Name
				if a, err = from.table(ctx, d.From.Name); err != nil {
					return nil, err
				}
				if b, err = to.table(ctx, name); err != nil {
					return nil, err
				}
			}
		}
	}
	shown := [2]*table.Table{a, b} // a side without the table shows the columns of the other
	if a == nil {
		shown[0] = b
	}
	if b == nil {
		shown[1] = a
	}
	var shapes [2]*shape
	for i, t := range shown {
		if shapes[i], err = newShape(t.Schema); err != nil {
			return nil, err
		}
	}
	if err := thin.shapes(ctx, both{from, to}.of(name), a, b, shapes); err != nil {
		return nil, err
	}
	d := &rowDiff{from: from, to: to, of: name, shapes: shapes, fromName: from.name, toName: to.name}
	return &call{
		cols: diffColumns(shapes[0], shapes[1]), tables: []string{name},
		rows: func(ctx *sql.Context) (sql.RowIter, error) { return d.between(ctx, a, b, nil) },
		some: func(ctx *sql.Context, used []bool) (sql.RowIter, error) { return d.between(ctx, a, b, used) },
	}, nil
}

// statColumns are the columns of dolt_diff_stat().
func statColumns() []*sql.Column {
	cols := []*sql.Column{{Name: "table_name", Type: types.LongText}}
	for _, n := range []string{
		"rows_unmodified", "rows_added", "rows_deleted", "rows_modified", "cells_added", "cells_deleted", "cells_modified",
		"old_row_count", "new_row_count", "old_cell_count", "new_cell_count",
	} {
		cols = append(cols, count(n))
	}
	return cols
}

// statFunction is dolt_diff_stat(from, to[, table]): how many rows and cells differ. Of keyless tables only rows are counted.
func statFunction(ctx *sql.Context, db registry.Handle, args []string) (*call, error) {
	from, to, name, err := twoAndTable(ctx, db, "dolt_diff_stat", args)
	if err != nil {
		return nil, err
	}
	return &call{tables: tablesOf(name), rows: func(ctx *sql.Context) (sql.RowIter, error) {
		ds, err := deltasOf(ctx, from, to, name)
		if err != nil {
			return nil, err
		}
		return each(func(ctx *sql.Context) ([]sql.Row, bool, error) {
			if len(ds) == 0 {
				return nil, false, nil
			}
			d := ds[0]
			ds = ds[1:]
			row, err := statRow(ctx, from, to, &d)
			if err != nil || row == nil {
				return nil, true, err
			}
			return []sql.Row{row}, true, nil
		}), nil
	}}, nil
}

// statRow is a row of dolt_diff_stat; nil when only the schema differs.
func statRow(ctx context.Context, from, to *moment, d *diff.Delta) (sql.Row, error) {
	a, err := from.table(ctx, d.From.Name)
	if err != nil {
		return nil, err
	}
	b, err := to.table(ctx, d.To.Name)
	if err != nil {
		return nil, err
	}
	p, err := diff.NewPair(both{from, to}.of(d.Name()), a, b)
	if err != nil {
		return nil, err
	}
	s, err := p.Stat(ctx)
	if err != nil || s.IsEmpty() {
		return nil, err
	}
	n := func(v uint64) any {
		if !p.Keyed() {
			return nil
		}
		return int64(v)
	}
	return sql.Row{
		d.Name(), n(s.RowsUnmodified), int64(s.RowsAdded), int64(s.RowsRemoved), n(s.RowsModified),
		n(s.CellsAdded), n(s.CellsRemoved), n(s.CellsModified), n(s.OldRows), n(s.NewRows), n(s.OldCells), n(s.NewCells),
	}, nil
}

// summaryColumns are the columns of dolt_diff_summary().
func summaryColumns() []*sql.Column {
	return []*sql.Column{
		{Name: "from_table_name", Type: types.LongText}, {Name: "to_table_name", Type: types.LongText},
		text("diff_type"), flag("data_change"), flag("schema_change"),
	}
}

// summaryFunction is dolt_diff_summary(from, to[, table]): which tables differ, and in what.
func summaryFunction(ctx *sql.Context, db registry.Handle, args []string) (*call, error) {
	from, to, name, err := twoAndTable(ctx, db, "dolt_diff_summary", args)
	if err != nil {
		return nil, err
	}
	return &call{tables: tablesOf(name), rows: func(ctx *sql.Context) (sql.RowIter, error) {
		ds, err := deltasOf(ctx, from, to, name)
		if err != nil {
			return nil, err
		}
		var rows []sql.Row
		for i := range ds {
			d := &ds[i]
			rows = append(rows, sql.Row{d.From.Name, d.To.Name, d.Kind.String(), flagOf(d.Data), flagOf(d.Schema)})
		}
		return sql.RowsToRowIter(rows...), nil
	}}, nil
}

// twoAndTable reads the arguments of the functions that compare all tables or one; name is "" for all.
func twoAndTable(ctx *sql.Context, db registry.Handle, fn string, args []string) (from, to *moment, name string, err error) {
	from, to, rest, err := revisions(ctx, db, fn, args)
	if err != nil {
		return nil, nil, "", err
	}
	switch len(rest) {
	case 0:
	case 1:
		name = rest[0]
		for _, m := range []*moment{from, to} {
			t, err := m.table(ctx, name)
			if err != nil {
				return nil, nil, "", err
			}
			if t != nil {
				return from, to, name, nil
			}
		}
		return nil, nil, "", sql.ErrTableNotFound.New(name)
	default:
		return nil, nil, "", sql.ErrInvalidArgumentNumber.New(fn, "1 to 3", len(args))
	}
	return from, to, name, nil
}

func tablesOf(name string) []string {
	if name == "" {
		return nil
	}
	return []string{name}
}

// deltasOf are the tables that differ, or the one of that name.
func deltasOf(ctx context.Context, from, to *moment, name string) ([]diff.Delta, error) {
	ds, err := deltas(ctx, from, to)
	if err != nil || name == "" {
		return ds, err
	}
	for i := range ds {
		if ds[i].Is(name) {
			return ds[i : i+1], nil
		}
	}
	return nil, nil
}
