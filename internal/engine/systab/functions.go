package systab

import (
	"context"
	"strconv"
	"strings"

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

// diffFunction is dolt_diff(from, to, table): the rows that differ, under the columns that each side has.
func diffFunction(ctx *sql.Context, db registry.Handle, args []string) (*call, error) {
	from, to, rest, err := revisions(ctx, db, "dolt_diff", args)
	if err != nil {
		return nil, err
	}
	if len(rest) != 1 {
		return nil, sql.ErrInvalidArgumentNumber.New("dolt_diff", "2 or 3", len(args))
	}
	name, fromName := rest[0], rest[0]
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
				name, fromName = d.To.Name, d.From.Name
				if a, err = from.table(ctx, fromName); err != nil {
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
	d := &rowDiff{from: from, to: to, shapes: shapes, fromName: from.name, toName: to.name}
	return &call{
		cols: diffColumns(shapes[0], shapes[1]), tables: []string{name},
		rows: func(ctx *sql.Context) (sql.RowIter, error) { return d.between(ctx, a, b) },
	}, nil
}

// statFunction is dolt_diff_stat(from, to[, table]): how many rows and cells differ. Of keyless tables only rows are counted.
func statFunction(ctx *sql.Context, db registry.Handle, args []string) (*call, error) {
	from, to, name, err := twoAndTable(ctx, db, "dolt_diff_stat", args)
	if err != nil {
		return nil, err
	}
	cols := []*sql.Column{{Name: "table_name", Type: types.LongText}}
	for _, n := range []string{
		"rows_unmodified", "rows_added", "rows_deleted", "rows_modified", "cells_added", "cells_deleted", "cells_modified",
		"old_row_count", "new_row_count", "old_cell_count", "new_cell_count",
	} {
		cols = append(cols, count(n))
	}
	return &call{cols: cols, tables: tablesOf(name), rows: func(ctx *sql.Context) (sql.RowIter, error) {
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
	p, err := diff.NewPair(both{from, to}, a, b)
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

// summaryFunction is dolt_diff_summary(from, to[, table]): which tables differ, and in what.
func summaryFunction(ctx *sql.Context, db registry.Handle, args []string) (*call, error) {
	from, to, name, err := twoAndTable(ctx, db, "dolt_diff_summary", args)
	if err != nil {
		return nil, err
	}
	cols := []*sql.Column{
		{Name: "from_table_name", Type: types.LongText}, {Name: "to_table_name", Type: types.LongText},
		text("diff_type"), flag("data_change"), flag("schema_change"),
	}
	return &call{cols: cols, tables: tablesOf(name), rows: func(ctx *sql.Context) (sql.RowIter, error) {
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

// logArgs are the arguments of dolt_log(): revisions, and flags as `dolt log` has them.
type logArgs struct {
	revisions, not []string
	tables         []string
	minParents     int
	decorate       string
	limit          int // -1 for none
}

func parseLogArgs(args []string) (*logArgs, error) {
	a := &logArgs{decorate: "short", limit: -1}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if !strings.HasPrefix(arg, "-") {
			if r, ok := strings.CutPrefix(arg, "^"); ok {
				a.not = append(a.not, r)
			} else {
				a.revisions = append(a.revisions, arg)
			}
			continue
		}
		flag, val, has := strings.Cut(arg, "=")
		takes := func() (string, error) {
			if !has {
				if i++; i >= len(args) {
					return "", errs.New(errs.Invalid, "dolt_log: %s needs a value", flag)
				}
				val = args[i]
			}
			return val, nil
		}
		number := func() (int, error) {
			v, err := takes()
			if err != nil {
				return 0, err
			}
			n, err := strconv.Atoi(v)
			if err != nil || n < 0 {
				return 0, errs.New(errs.Invalid, "dolt_log: %s needs a number, not %q", flag, v)
			}
			return n, nil
		}
		var err error
		switch flag {
		case "--merges":
			a.minParents = 2
		case "--parents", "--show-signature":
			// These columns are always there.
		case "--min-parents":
			a.minParents, err = number()
		case "-n", "--number", "--limit":
			a.limit, err = number()
		case "--decorate":
			if a.decorate, err = takes(); err == nil && a.decorate != "short" && a.decorate != "full" && a.decorate != "no" && a.decorate != "auto" {
				err = errs.New(errs.Invalid, "dolt_log: --decorate is short, full, auto or no, not %q", a.decorate)
			}
		case "--not":
			// All that follow up to the next flag.
			if has {
				a.not = append(a.not, val)
			}
			for i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
				i++
				a.not = append(a.not, args[i])
			}
		case "--tables", "-t":
			if has {
				a.tables = append(a.tables, strings.Split(val, ",")...)
			}
			for i+1 < len(args) && !has && !strings.HasPrefix(args[i+1], "-") {
				i++
				a.tables = append(a.tables, strings.Split(args[i], ",")...)
			}
		default:
			err = errs.New(errs.Invalid, "dolt_log: unknown flag %s", flag)
		}
		if err != nil {
			return nil, err
		}
	}
	return a, nil
}

// logFunction is dolt_log([revisions…] [flags…]): as dolt_log, of the commits that some revisions reach and others do not.
func logFunction(ctx *sql.Context, db registry.Handle, args []string) (*call, error) {
	a, err := parseLogArgs(args)
	if err != nil {
		return nil, err
	}
	resolve := func(rev string) (history.CommitID, error) {
		_, id, err := db.At(ctx, orHead(rev))
		if err == nil && id.IsZero() {
			err = errs.New(errs.Invalid, "dolt_log: %s is not a commit", rev)
		}
		return id, err
	}
	var from, not []history.CommitID
	add := func(list *[]history.CommitID, rev string) error {
		id, err := resolve(rev)
		*list = append(*list, id)
		return err
	}
	for _, rev := range a.revisions {
		x, y, three, ok := dotted(rev)
		switch {
		case !ok:
			err = add(&from, rev)
		case three:
			if err = add(&from, x); err == nil {
				err = add(&from, y)
			}
			if err == nil {
				var base history.CommitID
				if base, err = history.MergeBase(ctx, db.Repo().Store(), from[len(from)-2], from[len(from)-1]); err == nil && !base.IsZero() {
					not = append(not, base)
				}
			}
		default:
			if err = add(&from, y); err == nil {
				err = add(&not, x)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	for _, rev := range a.not {
		if err := add(&not, rev); err != nil {
			return nil, err
		}
	}
	if len(from) == 0 {
		if err := add(&from, "HEAD"); err != nil {
			return nil, err
		}
	}
	return &call{cols: logColumns(), rows: func(ctx *sql.Context) (sql.RowIter, error) {
		next, err := commitsFrom(ctx, db.Repo(), from, not, nil)
		if err != nil {
			return nil, err
		}
		refs, err := refNames(ctx, db, a.decorate)
		if err != nil {
			return nil, err
		}
		left := a.limit
		return rowsFunc(func(ctx *sql.Context) (sql.Row, error) {
			for left != 0 {
				c, err := next(ctx)
				if err != nil || c == nil {
					return nil, orEOF(err)
				}
				if len(c.Parents) < a.minParents {
					continue
				}
				if ok, err := touches(ctx, db, c, a.tables); err != nil {
					return nil, err
				} else if !ok {
					continue
				}
				left--
				return logRow(ctx, c, refs)
			}
			return nil, orEOF(nil)
		}), nil
	}}, nil
}

// touches tells whether a commit changed one of the tables against its first parent; any commit does when there are no tables.
func touches(ctx context.Context, db registry.Handle, c *history.Commit, tables []string) (bool, error) {
	if len(tables) == 0 {
		return true, nil
	}
	ds, err := commitDeltas(ctx, db, c)
	if err != nil {
		return false, err
	}
	for i := range ds {
		for _, t := range tables {
			if ds[i].Is(t) {
				return true, nil
			}
		}
	}
	return false, nil
}
