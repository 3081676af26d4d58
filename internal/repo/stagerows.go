package repo

import (
	"context"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// RowEdit is a row before and after, with a cell for each column of the table, behind one for the hidden ordinal of a keyless table, and none
// out of line. Old is nil for a row that comes, New for one that goes.
type RowEdit struct {
	Old, New []value.Cell
}

// StageRows changes rows of a table in a branch's staged set, which gets the table when it does not have it. The working set's table must
// have the staged one's schema, else the error is of class Unsupported. A row whose key is there already is replaced; one of a keyless table
// whose ordinal is there already comes last.
func (r *Repo) StageRows(ctx context.Context, branchName, name string, edits []RowEdit) error {
	return r.restage(ctx, branchName, func(batch *pack.Batch, w *Working) (*root.Root, error) {
		now, there, err := w.Working.Get(ctx, root.KindTable, name)
		if err != nil {
			return nil, err
		}
		was, staged, err := w.Staged.Get(ctx, root.KindTable, name)
		if err != nil {
			return nil, err
		}
		if !there && !staged {
			return nil, errNoTable(name)
		}
		var cur *table.Table
		entry := was
		if staged {
			if cur, err = r.openTable(ctx, was); err != nil {
				return nil, err
			}
		}
		if there {
			t, err := r.openTable(ctx, now)
			if err != nil {
				return nil, err
			}
			switch {
			case cur == nil:
				cur, entry = table.Empty(t.Schema), now
			case cur.Schema.Hash != t.Schema.Hash:
				return nil, errs.New(errs.Unsupported, "stage rows of %s: its schema has changes; stage the whole table with 'add'", name)
			}
		}
		e := table.NewEditor(batch, table.NewView(batch, cur, nil))
		for i := range edits {
			for k, old := range [][]value.Cell{edits[i].Old, edits[i].New} {
				if old == nil || k == 1 && cur.Schema.Keyless() {
					continue
				}
				if _, err := e.Delete(ctx, old); err != nil {
					return nil, err
				}
			}
		}
		for i := range edits {
			if edits[i].New == nil {
				continue
			}
			if err := e.InsertAt(ctx, edits[i].New); err != nil {
				return nil, err
			}
		}
		next, err := e.View().Fold(ctx, batch)
		if err != nil {
			return nil, err
		}
		if entry.Table, err = next.Put(ctx, batch); err != nil {
			return nil, err
		}
		return w.Staged.With(ctx, batch, root.Change{Entry: entry})
	})
}
