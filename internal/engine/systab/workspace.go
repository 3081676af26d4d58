package systab

import (
	"context"
	"fmt"
	"iter"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

const prefixWorkspace = "dolt_workspace_"

// workspace is dolt_workspace_<table>: the changed rows of a table, those that are staged against the head and those that are not against
// the staged ones. Setting staged stages a row or takes it back, deleting one that is not staged gives the working set the staged row.
// Rows are staged at the end of the statement, whatever becomes of the transaction.
type workspace struct {
	*Table
	handle registry.Handle
	of     string // the table
	to     *shape // of the working set's table, or of the staged one when that is gone
	from   *shape // of the head's table, or of the staged one when there is none
}

var (
	_ sql.UpdatableTable  = (*workspace)(nil)
	_ sql.DeletableTable  = (*workspace)(nil)
	_ sql.PrimaryKeyTable = (*workspace)(nil)
)

// The columns of dolt_workspace_<table> before those of the rows.
const (
	workspaceID = iota
	workspaceStaged
	workspaceType
	workspaceRow
)

func workspaceTable(ctx *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	w := &workspace{handle: db, of: name[len(prefixWorkspace):]}
	if db.Branch() == "" {
		return nil, false, nil
	}
	for _, rev := range []string{working, staged, "HEAD"} {
		r, _, err := db.At(ctx, rev)
		if err != nil {
			return nil, false, err
		}
		v, _, ok, err := r.Table(ctx, w.of)
		if err != nil {
			return nil, false, err
		}
		if !ok {
			continue
		}
		sh, err := newShape(v.Schema())
		if err != nil {
			return nil, false, err
		}
		if w.from = sh; w.to == nil {
			w.to = sh
		}
	}
	if w.to == nil {
		return nil, false, nil
	}
	cols := []*sql.Column{{Name: "id", Type: types.Uint64, PrimaryKey: true}, flag("staged"), word("diff_type")}
	cols = append(cols, w.to.columns("to_")...)
	cols = append(cols, w.from.columns("from_")...)
	w.Table = newTable(db, name, cols, nil, func(ctx *sql.Context, _ Point) (sql.RowIter, error) { return w.read(ctx) })
	return w, true, nil
}

// PrimaryKeySchema implements sql.PrimaryKeyTable.
func (w *workspace) PrimaryKeySchema(*sql.Context) sql.PrimaryKeySchema {
	return sql.NewPrimaryKeySchema(w.full, workspaceID)
}

// Updater implements sql.UpdatableTable.
func (w *workspace) Updater(*sql.Context) sql.RowUpdater { return &workspaceEditor{w: w} }

// Deleter implements sql.DeletableTable.
func (w *workspace) Deleter(*sql.Context) sql.RowDeleter { return &workspaceEditor{w: w} }

// changedRow is a changed row of a table.
type changedRow struct {
	id       uint64
	isStaged bool
	diff.Change
	pair *diff.Pair
}

// changes are the changed rows in the order of their ids.
func (w *workspace) changes(ctx *sql.Context) iter.Seq2[changedRow, error] {
	return func(yield func(changedRow, error) bool) {
		moments := make([]*moment, 3)
		tables := make([]*table.Table, 3)
		for i, rev := range []string{"HEAD", staged, working} {
			var err error
			if moments[i], err = momentAt(ctx, w.handle, rev); err == nil {
				tables[i], err = moments[i].table(ctx, w.of)
			}
			if err != nil {
				yield(changedRow{}, err)
				return
			}
		}
		var id uint64
		for i := range 2 {
			a, b := tables[i], tables[i+1]
			if a == nil && b == nil {
				continue
			}
			p, err := diff.NewPair(both{moments[i], moments[i+1]}.of(w.of), a, b)
			if err != nil {
				yield(changedRow{}, err)
				return
			}
			if p.Same() {
				continue
			}
			for c, err := range p.Rows(ctx, diff.Options{}) {
				if !yield(changedRow{id: id, isStaged: i == 0, Change: c, pair: p}, err) || err != nil {
					return
				}
				id++
			}
		}
	}
}

func (w *workspace) read(ctx *sql.Context) (sql.RowIter, error) {
	next, stop := iter.Pull2(w.changes(ctx))
	return closingRows{
		rowsFunc: func(ctx *sql.Context) (sql.Row, error) {
			c, err, ok := next()
			if err != nil || !ok {
				return nil, orEOF(err)
			}
			row := make(sql.Row, len(w.full))
			row[workspaceID], row[workspaceStaged], row[workspaceType] = c.id, flagOf(c.isStaged), typeNames[c.Type]
			at := workspaceRow
			for _, side := range []struct {
				sh  *shape
				t   *table.Table
				row diff.Row
			}{{w.to, c.pair.To(), c.To}, {w.from, c.pair.From(), c.From}} {
				if side.row.Valid() {
					p, err := side.sh.projector(side.t.Schema)
					if err != nil {
						return nil, err
					}
					if err := p.fill(ctx, c.pair.Reader(), side.row.Cell, row[at:at+len(side.sh.cols)]); err != nil {
						return nil, err
					}
				}
				at += len(side.sh.cols)
			}
			return row, nil
		},
		close: func(*sql.Context) error { stop(); return nil },
	}, nil
}

// workspaceEditor stages rows and takes them back.
type workspaceEditor struct {
	w       *workspace
	stage   map[uint64]bool // ids of rows whose staged is to become so
	restore map[uint64]bool // ids of rows that are to become as they are staged
}

// StatementBegin implements sql.EditOpenerCloser.
func (e *workspaceEditor) StatementBegin(*sql.Context) { e.stage, e.restore = nil, nil }

// DiscardChanges implements sql.EditOpenerCloser.
func (e *workspaceEditor) DiscardChanges(*sql.Context, error) error {
	e.stage, e.restore = nil, nil
	return nil
}

// Close implements sql.Closer.
func (e *workspaceEditor) Close(ctx *sql.Context) error { return e.StatementComplete(ctx) }

// Update implements sql.RowUpdater.
func (e *workspaceEditor) Update(ctx *sql.Context, old, now sql.Row) error {
	for i, c := range e.w.full {
		if i == workspaceStaged {
			continue
		}
		order, err := c.Type.Compare(ctx, old[i], now[i])
		if err != nil {
			return err
		}
		if order != 0 {
			return errs.New(errs.Invalid, "update %s: only the column staged can be changed, not %s", e.w.name, c.Name)
		}
	}
	was, on := isTrue(old[workspaceStaged]), isTrue(now[workspaceStaged])
	if was == on {
		return nil
	}
	if e.stage == nil {
		e.stage = map[uint64]bool{}
	}
	e.stage[old[workspaceID].(uint64)] = on
	return nil
}

// Delete implements sql.RowDeleter.
func (e *workspaceEditor) Delete(_ *sql.Context, row sql.Row) error {
	if isTrue(row[workspaceStaged]) {
		return errs.New(errs.Invalid, "delete from %s: a staged row cannot be deleted; set staged = false first", e.w.name)
	}
	if e.restore == nil {
		e.restore = map[uint64]bool{}
	}
	e.restore[row[workspaceID].(uint64)] = true
	return nil
}

// isTrue tells whether a value of a flag column is true.
func isTrue(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case int8:
		return v != 0
	}
	return false
}

// StatementComplete implements sql.EditOpenerCloser.
func (e *workspaceEditor) StatementComplete(ctx *sql.Context) error {
	stage, restore := e.stage, e.restore
	if e.stage, e.restore = nil, nil; len(stage)+len(restore) == 0 {
		return nil
	}
	var edits, back []repo.RowEdit
	for c, err := range e.w.changes(ctx) {
		if err != nil {
			return err
		}
		_, staging := stage[c.id]
		if !staging && !restore[c.id] {
			continue
		}
		if from, to := c.pair.From(), c.pair.To(); from != nil && to != nil && from.Schema.Hash != to.Schema.Hash {
			return errs.New(errs.Unsupported, "%s cannot be changed: the schema of %s has changes; stage the whole table with 'add'", e.w.name, e.w.of)
		}
		var x repo.RowEdit
		if x.Old, err = cells(ctx, c.pair, c.pair.From(), c.From); err != nil {
			return err
		}
		if x.New, err = cells(ctx, c.pair, c.pair.To(), c.To); err != nil {
			return err
		}
		switch {
		case restore[c.id]:
			back = append(back, repo.RowEdit{Old: x.New, New: x.Old})
		case c.isStaged:
			edits = append(edits, repo.RowEdit{Old: x.New, New: x.Old})
		default:
			edits = append(edits, x)
		}
	}
	if len(back) > 0 {
		return e.takeBack(ctx, back)
	}
	return e.w.handle.Repo().StageRows(ctx, e.w.handle.Branch(), e.w.of, edits)
}

// cells are the cells of a row, behind the ordinal of one of a keyless table, with none out of line; nil when there is no row.
func cells(ctx context.Context, p *diff.Pair, t *table.Table, row diff.Row) ([]value.Cell, error) {
	if !row.Valid() {
		return nil, nil
	}
	var out []value.Cell
	if t.Schema.Keyless() {
		pg, i, _ := row.Page()
		c, err := pg.Cell(ctx, 0, i)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	for i := range t.Schema.Columns {
		c, err := row.Cell(ctx, i)
		if err == nil {
			c, err = table.Resolve(ctx, p.Reader(), c)
		}
		if err != nil {
			return nil, err
		}
		if !c.IsNull() && t.Schema.Columns[i].Type.Phys() == value.Bytes {
			c = value.BytesCell(append([]byte{}, c.Bytes()...)) // the page may go
		}
		out = append(out, c)
	}
	return out, nil
}

// takeBack changes rows of the working set within the session's transaction.
func (e *workspaceEditor) takeBack(ctx *sql.Context, edits []repo.RowEdit) error {
	tx, err := e.w.handle.Tx(ctx)
	if err != nil {
		return err
	}
	v, written, ok, err := tx.Table(ctx, e.w.of)
	if err != nil {
		return err
	}
	if !ok {
		return errs.New(errs.Unsupported, "delete from %s: the table is dropped; 'checkout %s' brings it back", e.w.name, e.w.of)
	}
	children, err := tx.Children(ctx, written)
	if err != nil {
		return err
	}
	switch s := v.Schema(); {
	case len(s.References) > 0 || len(children) > 0:
		return errs.New(errs.Unsupported, "delete from %s: %s has foreign keys, which this does not check; change the rows of %s", e.w.name, written, written)
	}
	ed, err := tx.Editor(ctx, written)
	if err != nil {
		return err
	}
	for i := range edits {
		if edits[i].Old != nil {
			if _, err := ed.Delete(ctx, edits[i].Old); err != nil {
				return err
			}
		}
	}
	for i := range edits {
		if edits[i].New != nil {
			if err := ed.InsertAt(ctx, edits[i].New); err != nil {
				return fmt.Errorf("delete from %s: %w", e.w.name, err)
			}
		}
	}
	return nil
}
