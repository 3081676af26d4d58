package systab

import (
	"iter"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/repo"
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
	p, err = diff.NewPair(both{from, to}, a, b)
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
		order := uint64(0)
		return chain(func(ctx *sql.Context) (sql.RowIter, error) {
			if len(ds) == 0 {
				return nil, nil
			}
			d := ds[0]
			ds = ds[1:]
			_, _, p, err := pairOf(ctx, from, to, &d)
			if err != nil {
				return nil, err
			}
			next, stop := iter.Pull2(diff.Patch(ctx, p, d.From.Name, d.To.Name))
			return closingRows{
				rowsFunc: func(*sql.Context) (sql.Row, error) {
					s, err, ok := next()
					for ok && err == nil && s.Schema && repo.IsSystemTable(d.Name()) && d.Kind != diff.TableDropped {
						s, err, ok = next() // its first row makes it
					}
					if err != nil || !ok {
						return nil, orEOF(err)
					}
					if s.Schema && repo.IsSystemTable(d.Name()) {
						s = diff.Statement{SQL: "DELETE FROM " + schema.QuoteName(d.From.Name) + ";"}
					}
					order++
					kind := "data"
					if s.Schema {
						kind = "schema"
					}
					return sql.Row{order, from.name, to.name, d.Name(), kind, s.SQL}, nil
				},
				close: func(*sql.Context) error { stop(); return nil },
			}, nil
		}), nil
	}}, nil
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
