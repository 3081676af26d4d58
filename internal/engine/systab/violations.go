package systab

import (
	"slices"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// violationsTable is dolt_constraint_violations_<table>: the rows that violate a constraint. A row that is deleted from it is taken
// off the list; the table itself is not touched.
type violationsTable struct {
	*Table
	handle registry.Handle
	of     string
}

var _ sql.DeletableTable = (*violationsTable)(nil)

func violationRowsTable(ctx *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	r, _, err := mergeOf(ctx, db)
	if err != nil || r == nil {
		return nil, false, err
	}
	of := name[len(prefixViolations):]
	v, written, ok, err := r.Table(ctx, of)
	if err != nil || !ok {
		return nil, false, err
	}
	sh, err := keyFirst(v)
	if err != nil {
		return nil, false, err
	}
	kinds, err := types.CreateEnumType([]string{"foreign key", "unique index", "check constraint", "not null"}, sql.Collation_Default)
	if err != nil {
		return nil, false, err
	}
	cols := []*sql.Column{wordNull("from_root_ish"), {Name: "violation_type", Type: kinds, PrimaryKey: true}}
	if v.Schema().Keyless() {
		cols = append(cols, &sql.Column{Name: "dolt_row_hash", Type: types.LongBlob, PrimaryKey: true})
	}
	first := len(cols)
	cols = append(cols, sh.columns("")...)
	for _, key := range sh.keys("") {
		i := first + slices.IndexFunc(cols[first:], func(c *sql.Column) bool { return c.Name == key })
		cols[i].Nullable, cols[i].PrimaryKey = false, true
	}
	cols = append(cols, &sql.Column{Name: "violation_info", Type: types.JSON, PrimaryKey: true})
	t := newTable(db, name, cols, nil, func(ctx *sql.Context, _ Point) (sql.RowIter, error) {
		rows, err := violationRows(ctx, db, of)
		for i := range rows {
			rows[i] = rows[i][:len(cols)]
		}
		return sql.RowsToRowIter(rows...), err
	})
	return &violationsTable{Table: t, handle: db, of: written}, true, nil
}

// violationRows are the rows of dolt_constraint_violations_<table>, each with its key behind the last column.
func violationRows(ctx *sql.Context, db registry.Handle, of string) ([]sql.Row, error) {
	r, m, err := mergeOf(ctx, db)
	if err != nil || m == nil || m.Table(of) < 0 {
		return nil, err
	}
	v, _, ok, err := r.Table(ctx, of)
	if err != nil || !ok {
		return nil, err
	}
	sh, err := keyFirst(v)
	if err != nil {
		return nil, err
	}
	var rows []sql.Row
	err = repo.EachViolation(ctx, v, &m.Tables[m.Table(of)], func(x repo.Violation, cells []value.Cell) error {
		vals := make([]any, len(sh.cols))
		if err := fillRow(ctx, v, sh, cells, vals); err != nil {
			return err
		}
		info, _, err := types.JSON.Convert(ctx, string(x.Info))
		if err != nil {
			return err
		}
		row := sql.Row{m.Theirs.String(), uint16(x.Kind)}
		if v.Schema().Keyless() { // tells copies apart
			h := hash.Sum(x.Row)
			row = append(row, h[:16])
		}
		row = append(row, vals...)
		rows = append(rows, append(row, info, string(x.Key)))
		return ctx.Err()
	})
	return rows, err
}

// Deleter implements sql.DeletableTable.
func (t *violationsTable) Deleter(*sql.Context) sql.RowDeleter { return &violationSettler{t: t} }

// violationSettler takes rows off the list of violations: those equal to the rows that are deleted.
type violationSettler struct {
	t    *violationsTable
	gone []sql.Row
}

// StatementBegin implements sql.EditOpenerCloser.
func (s *violationSettler) StatementBegin(*sql.Context) { s.gone = nil }

// DiscardChanges implements sql.EditOpenerCloser.
func (s *violationSettler) DiscardChanges(*sql.Context, error) error {
	s.gone = nil
	return nil
}

// Delete implements sql.RowDeleter.
func (s *violationSettler) Delete(_ *sql.Context, row sql.Row) error {
	s.gone = append(s.gone, row.Copy())
	return nil
}

// StatementComplete implements sql.EditOpenerCloser.
func (s *violationSettler) StatementComplete(ctx *sql.Context) error {
	if len(s.gone) == 0 {
		return nil
	}
	rows, err := violationRows(ctx, s.t.handle, s.t.of)
	if err != nil {
		return err
	}
	keys := map[string]bool{}
	for _, g := range s.gone {
		for _, r := range rows {
			same, err := g.Equals(ctx, r[:len(g)], s.t.schema)
			if err != nil {
				return err
			}
			if same {
				keys[r[len(r)-1].(string)] = true
			}
		}
	}
	s.gone = nil
	x := &settler{db: s.t.handle, table: s.t.of, tree: func(x *history.MergeTable) *tree.Root { return &x.Violations }, id: func(k []byte) string { return string(k) }, gone: keys}
	return x.StatementComplete(ctx)
}

// Close implements sql.Closer.
func (s *violationSettler) Close(ctx *sql.Context) error { return s.StatementComplete(ctx) }
