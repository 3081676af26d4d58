package repo

import (
	"context"

	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// MergeReader is a working set that may be in the middle of a merge: *Tx and *Snapshot.
type MergeReader interface {
	// Merging is the merge in progress; nil for none.
	Merging(ctx context.Context) (*history.Merge, error)
	// Table is the view of the table and its name as written; ok is false when there is none.
	Table(ctx context.Context, name string) (v *table.View, written string, ok bool, err error)
	// Side is the table of one side of a merge; nil when the side has none.
	Side(ctx context.Context, e root.Entry) (*table.View, error)
}

var (
	_ MergeReader = (*Tx)(nil)
	_ MergeReader = (*Snapshot)(nil)
)

// Conflicts are the rows of a table that both sides of a merge changed differently.
type Conflicts struct {
	Table  history.MergeTable
	Base   *table.View // nil when the side had no such table
	Ours   *table.View // as the working set has the table now; nil when it is gone
	Theirs *table.View
}

// OpenConflicts opens the sides of a table of the merge in progress.
func OpenConflicts(ctx context.Context, r MergeReader, t history.MergeTable) (*Conflicts, error) {
	c := &Conflicts{Table: t}
	var err error
	if c.Base, err = r.Side(ctx, t.Base); err != nil {
		return nil, err
	}
	if c.Theirs, err = r.Side(ctx, t.Theirs); err != nil {
		return nil, err
	}
	v, _, ok, err := r.Table(ctx, t.Name)
	if ok {
		c.Ours = v
	}
	return c, err
}

// Conflict is a row in conflict: its key, and what each side has, as cells of the rows' layout of that side; nil is no row.
type Conflict struct {
	Key                []byte
	Base, Ours, Theirs []value.Cell
}

// Each calls fn for the conflicts in the order of their keys. Cells are good during the call.
func (c *Conflicts) Each(ctx context.Context, fn func(x Conflict) error) error {
	reader := c.Theirs
	for _, v := range []*table.View{c.Ours, c.Base} {
		if v != nil {
			reader = v
		}
	}
	if reader == nil {
		return nil
	}
	room := func(v *table.View) []value.Cell {
		if v == nil {
			return nil
		}
		return make([]value.Cell, len(v.Schema().Primary.Phys))
	}
	base, ours, theirs := room(c.Base), room(c.Ours), room(c.Theirs)
	get := func(v *table.View, key []byte, cells []value.Cell) ([]value.Cell, error) {
		if v == nil {
			return nil, nil
		}
		found, err := v.Get(ctx, key, cells)
		if err != nil || !found {
			return nil, err
		}
		return cells, nil
	}
	return EachArtifact(ctx, reader.Reader(), c.Table.Conflicts, func(key, _ []byte) error {
		x := Conflict{Key: key}
		var err error
		if x.Base, err = get(c.Base, key, base); err != nil {
			return err
		}
		if x.Ours, err = get(c.Ours, key, ours); err != nil {
			return err
		}
		if x.Theirs, err = get(c.Theirs, key, theirs); err != nil {
			return err
		}
		return fn(x)
	})
}
