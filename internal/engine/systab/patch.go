package systab

import (
	"iter"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
)

// pairOf is the two states of a delta's table.
func pairOf(ctx *sql.Context, from, to *moment, d *diff.Delta) (a, b *table.Table, p *diff.Pair, err error) {
	if d.From.Name != "" {
		if a, err = from.table(ctx, d.From.Name); err != nil {
			return nil, nil, nil, err
		}
	}
	if d.To.Name != "" {
		if b, err = to.table(ctx, d.To.Name); err != nil {
			return nil, nil, nil, err
		}
	}
	p, err = diff.NewPair(both{from, to}.of(d.Name()), a, b)
	return a, b, p, err
}

// patchColumns are the columns of dolt_patch().
func patchColumns() []*sql.Column {
	return []*sql.Column{
		{Name: "statement_order", Type: types.Uint64, PrimaryKey: true},
		{Name: "from_commit_hash", Type: types.LongText}, {Name: "to_commit_hash", Type: types.LongText},
		{Name: "table_name", Type: types.LongText}, {Name: "diff_type", Type: types.LongText}, {Name: "statement", Type: types.LongText},
	}
}

// patchFunction is dolt_patch(from, to[, table]): the statements that make the tables of one state those of the other; see diff.Patch.
// They are made as they are asked for.
func patchFunction(ctx *sql.Context, db registry.Handle, args []string) (*call, error) {
	from, to, name, err := twoAndTable(ctx, db, "dolt_patch", args)
	if err != nil {
		return nil, err
	}
	return &call{tables: tablesOf(name), rows: func(ctx *sql.Context) (sql.RowIter, error) {
		ds, err := deltasOf(ctx, from, to, name)
		if err != nil {
			return nil, err
		}
		linked, err := repo.Linked(ctx, ds, from.tablesOf(), to.tablesOf())
		if err != nil {
			return nil, err
		}
		w := &patchRows{from: from, to: to, rekey: linked && repo.Rekeys(ds)}
		var parts []func(ctx *sql.Context) (sql.RowIter, error)
		if linked {
			parts = append(parts, w.checks(repo.ChecksOff))
		}
		if w.rekey {
			parts = append(parts, w.keys(ds, false))
		}
		for i := range ds {
			parts = append(parts, func(ctx *sql.Context) (sql.RowIter, error) { return w.table(ctx, &ds[i]) })
		}
		if w.rekey {
			parts = append(parts, w.keys(ds, true))
		}
		if linked {
			parts = append(parts, w.checks(repo.ChecksOn))
		}
		return chain(func(ctx *sql.Context) (sql.RowIter, error) {
			if len(parts) == 0 {
				return nil, nil
			}
			next := parts[0]
			parts = parts[1:]
			return next(ctx)
		}), nil
	}}, nil
}

// patchRows makes the rows of dolt_patch().
type patchRows struct {
	from, to *moment
	rekey    bool // foreign keys are dropped and added aside
	order    uint64
}

func (w *patchRows) row(table string, s diff.Statement) sql.Row {
	w.order++
	kind := "data"
	if s.Schema {
		kind = "schema"
	}
	return sql.Row{w.order, w.from.name, w.to.name, table, kind, s.SQL}
}

// checks is a statement about foreign-key checks.
func (w *patchRows) checks(statement string) func(*sql.Context) (sql.RowIter, error) {
	return func(*sql.Context) (sql.RowIter, error) {
		return sql.RowsToRowIter(w.row("", diff.Statement{SQL: statement, Schema: true})), nil
	}
}

// keys are the statements that drop or add foreign keys of all tables.
func (w *patchRows) keys(ds []diff.Delta, add bool) func(*sql.Context) (sql.RowIter, error) {
	return func(ctx *sql.Context) (sql.RowIter, error) {
		var rows []sql.Row
		for i := range ds {
			d := &ds[i]
			_, _, p, err := pairOf(ctx, w.from, w.to, d)
			if err != nil {
				return nil, err
			}
			list, added := diff.KeyStatements(p, d.From.Name, d.To.Name)
			if add {
				list = added
			}
			for _, s := range list {
				rows = append(rows, w.row(d.Name(), s))
			}
		}
		return sql.RowsToRowIter(rows...), nil
	}
}

// table is the statements of one table.
func (w *patchRows) table(ctx *sql.Context, d *diff.Delta) (sql.RowIter, error) {
	_, _, p, err := pairOf(ctx, w.from, w.to, d)
	if err != nil {
		return nil, err
	}
	next, stop := iter.Pull2(diff.Patch(ctx, p, d.From.Name, d.To.Name, w.rekey))
	return closingRows{
		rowsFunc: func(*sql.Context) (sql.Row, error) {
			s, err, ok := next()
			for ok && err == nil && s.Schema && root.IsSystem(d.Name()) && d.Kind != diff.TableDropped {
				s, err, ok = next() // its first row makes it
			}
			if err != nil || !ok {
				return nil, orEOF(err)
			}
			if s.Schema && root.IsSystem(d.Name()) {
				s = diff.Statement{SQL: "DELETE FROM " + schema.QuoteName(d.From.Name) + ";"}
			}
			return w.row(d.Name(), s), nil
		},
		close: func(*sql.Context) error { stop(); return nil },
	}, nil
}

// schemaDiffColumns are the columns of dolt_schema_diff().
func schemaDiffColumns() []*sql.Column {
	return []*sql.Column{
		{Name: "from_table_name", Type: types.LongText}, {Name: "to_table_name", Type: types.LongText},
		{Name: "from_create_statement", Type: types.LongText}, {Name: "to_create_statement", Type: types.LongText},
	}
}

// schemaDiffFunction is dolt_schema_diff(from, to[, table]): the statements that would make the tables whose schemas differ.
func schemaDiffFunction(ctx *sql.Context, db registry.Handle, args []string) (*call, error) {
	from, to, name, err := twoAndTable(ctx, db, "dolt_schema_diff", args)
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
			a, b, _, err := pairOf(ctx, from, to, d)
			if err != nil {
				return nil, err
			}
			x, y := "", ""
			if a != nil {
				x = a.Schema.CreateTable(d.From.Name)
			}
			if b != nil {
				y = b.Schema.CreateTable(d.To.Name)
			}
			if x != y {
				rows = append(rows, sql.Row{d.From.Name, d.To.Name, x, y})
			}
		}
		return sql.RowsToRowIter(rows...), nil
	}}, nil
}
