package systab

import (
	"context"
	"encoding/base64"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// conflictView shows the rows in conflict of a table.
type conflictView struct {
	c                  *repo.Conflicts
	theirCommit        string
	base, ours, theirs *shape
}

// newConflictView opens the conflicts of a table; without any, of a table that is there, it is empty. It is nil when there is no such
// table.
func newConflictView(ctx *sql.Context, r repo.MergeReader, m *history.Merge, name string) (*conflictView, error) {
	at := -1
	v := &conflictView{}
	if m != nil {
		at = m.Table(name)
		v.theirCommit = m.Theirs.String()
	}
	var err error
	if at >= 0 {
		v.c, err = repo.OpenConflicts(ctx, r, m.Tables[at])
	} else {
		now, written, ok, e := r.Table(ctx, name)
		if e != nil || !ok {
			return nil, e
		}
		v.c = &repo.Conflicts{Table: history.MergeTable{Name: written}, Base: now, Ours: now, Theirs: now}
	}
	if err != nil {
		return nil, err
	}
	var any *table.View
	for _, x := range []*table.View{v.c.Ours, v.c.Theirs, v.c.Base} {
		if any == nil {
			any = x
		}
	}
	if any == nil {
		return nil, nil
	}
	for _, x := range []struct {
		view *table.View
		to   **shape
	}{{v.c.Base, &v.base}, {v.c.Ours, &v.ours}, {v.c.Theirs, &v.theirs}} {
		s := any
		if x.view != nil {
			s = x.view
		}
		if *x.to, err = keyFirst(s); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// keyFirst is the shape of a table with its key columns first.
func keyFirst(v *table.View) (*shape, error) {
	s := v.Schema()
	sh, err := newShape(s)
	if err != nil {
		return nil, err
	}
	var cols, rest []int
	for _, k := range s.PrimaryKey {
		cols = append(cols, s.ColumnByID(k.Column))
	}
	for _, c := range sh.cols {
		if !s.InPrimaryKey(s.Columns[c].ID) {
			rest = append(rest, c)
		}
	}
	sh.cols = append(cols, rest...)
	return sh, nil
}

// columns are those of dolt_conflicts_<table>. Keyless tables have numbers of copies too, and never a row: copies do not conflict.
func (v *conflictView) columns() []*sql.Column {
	out := append([]*sql.Column{wordNull("from_root_ish")}, v.base.columns("base_")...)
	out = append(append(out, v.ours.columns("our_")...), wordNull("our_diff_type"))
	out = append(append(out, v.theirs.columns("their_")...), wordNull("their_diff_type"))
	id := word("dolt_conflict_id")
	id.PrimaryKey = true
	out = append(out, id)
	if v.base.schema.Keyless() {
		for _, side := range []string{"base", "our", "their"} {
			out = append(out, &sql.Column{Name: side + "_cardinality", Type: types.Uint64, Nullable: true})
		}
	}
	return out
}

// idAt is the place of dolt_conflict_id in a row.
func (v *conflictView) idAt() int {
	return len(v.base.cols) + len(v.ours.cols) + len(v.theirs.cols) + 3
}

// conflictID names a conflict by its key.
func conflictID(key []byte) string {
	h := hash.Sum(key)
	return base64.RawStdEncoding.EncodeToString(h[:16])
}

// diffType is what a side did to a row.
func diffType(base, side []value.Cell) string {
	switch {
	case base == nil:
		return "added"
	case side == nil:
		return "removed"
	}
	return "modified"
}

// rows gives the conflicts.
func (v *conflictView) rows(ctx *sql.Context) ([]sql.Row, error) {
	var out []sql.Row
	err := v.c.Each(ctx, func(x repo.Conflict) error {
		row := sql.Row{v.theirCommit}
		for _, s := range []struct {
			view  *table.View
			sh    *shape
			cells []value.Cell
			word  string
		}{
			{v.c.Base, v.base, x.Base, ""}, {v.c.Ours, v.ours, x.Ours, diffType(x.Base, x.Ours)}, {v.c.Theirs, v.theirs, x.Theirs, diffType(x.Base, x.Theirs)},
		} {
			vals := make([]any, len(s.sh.cols))
			if s.cells != nil {
				if err := fillRow(ctx, s.view, s.sh, s.cells, vals); err != nil {
					return err
				}
			}
			row = append(row, vals...)
			if s.word != "" {
				row = append(row, s.word)
			}
		}
		row = append(row, conflictID(x.Key))
		if v.base.schema.Keyless() {
			row = append(row, nil, nil, nil)
		}
		out = append(out, row)
		return ctx.Err()
	})
	return out, err
}

// fillRow reads a row, given by the cells of its table's layout.
func fillRow(ctx *sql.Context, v *table.View, sh *shape, cells []value.Cell, dst []any) error {
	p, err := sh.projector(v.Schema())
	if err != nil {
		return err
	}
	shift := len(v.Schema().Primary.Phys) - len(v.Schema().Columns)
	return p.fill(ctx, v.Reader(), func(_ context.Context, col int) (value.Cell, error) { return cells[shift+col].Clone(), nil }, dst)
}

// conflictsTable is dolt_conflicts_<table>: base, ours and theirs of the rows in conflict. A row that is deleted from it is settled as
// the table has it; an update of its our_ columns changes the table.
type conflictsTable struct {
	*Table
	handle registry.Handle
	view   *conflictView
}

var (
	_ sql.DeletableTable = (*conflictsTable)(nil)
	_ sql.UpdatableTable = (*conflictsTable)(nil)
)

func conflictRowsTable(ctx *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	r, m, err := mergeOf(ctx, db)
	if err != nil || r == nil {
		return nil, false, err
	}
	v, err := newConflictView(ctx, r, m, name[len(prefixConflicts):])
	if err != nil || v == nil {
		return nil, false, err
	}
	t := newTable(db, name, v.columns(), nil, func(ctx *sql.Context, _ Point) (sql.RowIter, error) {
		rows, err := v.rows(ctx)
		return sql.RowsToRowIter(rows...), err
	})
	return &conflictsTable{Table: t, handle: db, view: v}, true, nil
}

// Deleter implements sql.DeletableTable.
func (t *conflictsTable) Deleter(*sql.Context) sql.RowDeleter {
	return &settler{db: t.handle, table: t.view.c.Table.Name, tree: func(x *history.MergeTable) *tree.Root { return &x.Conflicts }, id: conflictID, width: t.view.idAt()}
}

// Updater implements sql.UpdatableTable.
func (t *conflictsTable) Updater(*sql.Context) sql.RowUpdater { return &ourUpdater{t: t} }

// ourUpdater changes the rows that conflicts are about.
type ourUpdater struct {
	t  *conflictsTable
	sp *repo.Savepoint
}

// StatementBegin implements sql.EditOpenerCloser.
func (u *ourUpdater) StatementBegin(ctx *sql.Context) {
	if tx, err := u.t.handle.Tx(ctx); err == nil {
		u.sp = tx.Savepoint()
	}
}

// DiscardChanges implements sql.EditOpenerCloser.
func (u *ourUpdater) DiscardChanges(ctx *sql.Context, _ error) error {
	tx, err := u.t.handle.Tx(ctx)
	if err == nil && u.sp != nil {
		tx.RollbackTo(u.sp)
	}
	return err
}

// StatementComplete implements sql.EditOpenerCloser.
func (u *ourUpdater) StatementComplete(*sql.Context) error { return nil }

// Update implements sql.RowUpdater.
func (u *ourUpdater) Update(ctx *sql.Context, old, new sql.Row) error {
	v := u.t.view
	if v.c.Ours == nil {
		return errs.New(errs.Invalid, "update %s: the table is not there", u.t.name)
	}
	first := 1 + len(v.base.cols)
	last := first + len(v.ours.cols)
	for i := range new {
		if i >= first && i < last {
			continue
		}
		same, err := u.t.schema[i].Type.Compare(ctx, old[i], new[i])
		if err != nil {
			return err
		}
		if same != 0 {
			return errs.New(errs.Invalid, "update %s: only the our_ columns can be changed", u.t.name)
		}
	}
	tx, err := u.t.handle.Tx(ctx)
	if err != nil {
		return err
	}
	e, err := tx.Editor(ctx, v.c.Table.Name)
	if err != nil {
		return err
	}
	cells := func(row sql.Row) ([]value.Cell, error) {
		s := v.c.Ours.Schema()
		out := make([]value.Cell, len(s.Primary.Phys))
		for i, c := range v.ours.cols {
			x, err := v.ours.codecs[c].ToCell(ctx, row[first+i])
			if err != nil {
				return nil, err
			}
			if x.IsNull() && !s.Columns[c].Nullable {
				return nil, sql.ErrInsertIntoNonNullableProvidedNull.New(s.Columns[c].Name)
			}
			out[len(out)-len(s.Columns)+c] = x.Clone()
		}
		return out, nil
	}
	next, err := cells(new)
	if err != nil {
		return err
	}
	complete, err := tx.Completer(ctx, v.c.Table.Name)
	if err != nil {
		return err
	}
	if complete != nil {
		if err := table.CompleteRow(ctx, complete, next); err != nil {
			return err
		}
	}
	if old[last] == "removed" { // our_diff_type: there is no row of ours
		return e.Insert(ctx, next)
	}
	was, err := cells(old)
	if err != nil {
		return err
	}
	_, err = e.Update(ctx, was, next)
	return err
}

// Close implements sql.Closer.
func (u *ourUpdater) Close(*sql.Context) error { return nil }
