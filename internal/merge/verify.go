package merge

import (
	"context"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// Violations looks for rows of t, which is called name, that violate a unique index, NOT NULL, a CHECK or a foreign key, among all of them or, when
// since is not nil, among those that differ from since. parent finds the tables that foreign keys refer to; nil for one that is not
// there. Without x checks are passed over. The tree is that of history.MergeTable.Violations.
func Violations(ctx context.Context, st chunk.Store, name string, t, since *table.Table, x Expressions, parent func(ctx context.Context, name string) (*table.Table, error)) (tree.Root, error) {
	m := &tableMerger{merger: &merger{st: st, opt: Options{Expressions: x}}, name: name, sch: t.Schema}
	s := &source{checks: enforced(t.Schema.Schema)}
	for i := range t.Schema.Columns {
		if c := &t.Schema.Columns[i]; !c.Nullable && (c.Generated == "" || c.Stored) && !t.Schema.InPrimaryKey(c.ID) {
			s.notNull = append(s.notNull, i)
		}
	}
	indexes := make([]tree.Root, len(t.Indexes))
	if since != nil && since.Schema.Hash == t.Schema.Hash {
		s.rows = since.Rows
		copy(indexes, since.Indexes)
	}
	var found []violation
	if err := m.compare(ctx, s, t.Rows, &found); err != nil {
		return tree.Root{}, err
	}
	for n := range t.Schema.Indexes {
		if err := m.findTwins(ctx, t, n, indexes[n], &found); err != nil {
			return tree.Root{}, err
		}
	}
	for i := range t.Schema.References {
		f := &t.Schema.References[i]
		p, err := parent(ctx, f.Parent)
		if err == nil {
			err = orphans(ctx, st, name, t, f, p, since, &found)
		}
		if err != nil {
			return tree.Root{}, err
		}
	}
	return m.keep(ctx, found)
}

// Row gives a row of one schema, by the cells of its layout, as cells of another's: columns are the same by id, or by name where
// neither has the id of the other. Columns that from lacks
// are those of fill, which may be nil: then they are absent. A value that does not fit its column's type is an error of class Invalid.
func Row(ctx context.Context, r chunk.Reader, from, to *schema.Compiled, cells, fill []value.Cell) ([]value.Cell, error) {
	out := make([]value.Cell, len(to.Primary.Phys))
	a, b := hidden(from.Schema), hidden(to.Schema)
	if a == 1 && b == 1 {
		out[0] = cells[0]
	}
	for i := range to.Columns {
		c := &to.Columns[i]
		at := from.ColumnByID(c.ID)
		if at < 0 {
			if at = from.ColumnIndex(c.Name); at >= 0 && to.ColumnByID(from.Columns[at].ID) >= 0 {
				at = -1
			}
		}
		switch {
		case at >= 0:
			cell := cells[a+at]
			if old := from.Columns[at].Type; !old.Equal(c.Type) && !cell.IsNull() {
				var err error
				if cell, err = table.Resolve(ctx, r, cell); err != nil {
					return nil, err
				}
				if cell, err = value.Parse(c.Type, value.AppendText(nil, old, cell)); err != nil {
					return nil, errs.New(errs.Invalid, "a value of column '%s' does not fit the type %s: %w", c.Name, c.Type, err)
				}
			}
			out[b+i] = cell
		case fill != nil:
			out[b+i] = fill[b+i]
		default:
			out[b+i] = c.Absent
		}
	}
	return out, nil
}
