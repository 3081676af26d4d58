package table

import (
	"bytes"
	"context"
	"encoding/binary"

	"github.com/tidwall/btree"

	"github.com/stemmadb/stemma/internal/binfmt"
	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// Changes is what a transaction did to a table's rows.
type Changes struct {
	edits *btree.BTreeG[edit]
	types []value.Type
	key   []bool
}

// Changes gives the edits so far.
func (e *Editor) Changes() *Changes {
	return &Changes{edits: e.edits.Copy(), types: e.types, key: e.key}
}

// Len is the number of changed keys.
func (c *Changes) Len() int { return c.edits.Len() }

// Append appends the changes in the form that a journal keeps: a count, then for each key its bytes, a byte that says whether
// there is a row, and the row.
func (c *Changes) Append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(c.edits.Len()))
	c.edits.Scan(func(x edit) bool {
		b = binfmt.AppendBytes(b, x.key)
		b = binfmt.AppendBool(b, x.new != nil)
		if x.new != nil {
			b = binfmt.AppendBytes(b, x.new)
		}
		return true
	})
	return b
}

// Append appends the overlay's row edits in the form of Changes.Append.
func (o *Overlay) Append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(o.rows.Len()))
	o.rows.Scan(func(x entry) bool {
		b = binfmt.AppendBytes(b, x.key)
		b = binfmt.AppendBool(b, x.row != nil)
		if x.row != nil {
			b = binfmt.AppendBytes(b, x.row)
		}
		return true
	})
	return b
}

// RowEdit is an edit as a journal keeps it; a nil row deletes.
type RowEdit struct{ Key, Row []byte }

// ReadEdits reads what Append gives. The edits alias the decoder's bytes.
func ReadEdits(d *binfmt.Decoder) []RowEdit {
	n := d.Count()
	out := make([]RowEdit, 0, n)
	for i := 0; i < n && d.Err == nil; i++ {
		e := RowEdit{Key: d.Bytes()}
		if d.Bool() {
			e.Row = d.Bytes()
		}
		out = append(out, e)
	}
	return out
}

// Replay is the overlay of v after edits that are known to be valid, in order: how a journal is read again.
func Replay(ctx context.Context, v *View, edits []RowEdit) (*Overlay, error) {
	o := v.over
	if o == nil {
		o = NewOverlay(len(v.Table.Indexes))
	} else {
		o = o.Copy()
	}
	v = NewView(v.r, v.Table, o)
	s := v.Table.Schema
	types, _ := rowTypes(s)
	for _, e := range edits {
		before, _, inBase, err := v.tuple(ctx, e.Key)
		if err != nil {
			return nil, err
		}
		var after []value.Cell
		if e.Row != nil {
			after = make([]value.Cell, len(s.Primary.Phys))
			if err := value.DecodeTuple(e.Row, s.Primary.Phys, after); err != nil {
				return nil, err
			}
		}
		if err := indexEdits(ctx, v.r, s, types, o, before, after); err != nil {
			return nil, err
		}
		o.setRow(e.Key, e.Row, inBase)
	}
	return o, nil
}

// Rebase moves the changes onto v, a later state of the table they were made on, and gives the overlay and the changes there.
// Edits of one row that set different columns merge. The same column set by both sides, or a row deleted by one and changed by the
// other, is an error of class Conflict; a key that both sides added, or a unique value that is taken by now, is a
// *DuplicateKeyError.
func (c *Changes) Rebase(ctx context.Context, w chunk.Store, v *View) (*Overlay, *Changes, error) {
	e := NewEditor(w, v)
	l := v.Table.Schema.Primary
	n := len(l.Phys)
	cells := make([]value.Cell, n)
	// Deletions first, so that unique values that they free can be taken.
	for _, deletions := range []bool{true, false} {
		var err error
		c.edits.Scan(func(x edit) bool {
			if (x.new == nil) != deletions {
				return true
			}
			err = c.rebaseOne(ctx, e, x, cells)
			return err == nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return e.view.over, e.Changes(), nil
}

func (c *Changes) rebaseOne(ctx context.Context, e *Editor, x edit, cells []value.Cell) error {
	l := e.view.Table.Schema.Primary
	cur, found, inBase, err := e.view.tuple(ctx, x.key)
	if err != nil {
		return err
	}
	if !found {
		cur = nil
	}
	if x.new == nil {
		if !sameRow(cur, x.old) {
			return errConflict()
		}
		return e.drop(ctx, x.key, cur, inBase)
	}
	if err := value.DecodeTuple(x.new, l.Phys, cells); err != nil {
		return err
	}
	if !sameRow(cur, x.old) {
		if x.old == nil {
			return e.duplicate("PRIMARY", l, cells, cur)
		}
		if cur == nil {
			return errConflict()
		}
		old, theirs := make([]value.Cell, len(cells)), make([]value.Cell, len(cells))
		if err := value.DecodeTuple(x.old, l.Phys, old); err != nil {
			return err
		}
		if err := value.DecodeTuple(cur, l.Phys, theirs); err != nil {
			return err
		}
		for i := range cells {
			mine, other := !cells[i].Equal(old[i]), !theirs[i].Equal(old[i])
			if mine && other {
				return errConflict()
			}
			if other {
				cells[i] = theirs[i]
			}
		}
	}
	if err := checkUnique(ctx, e.view, e.types, cells, x.key); err != nil {
		return err
	}
	return e.put(ctx, x.key, cur, inBase, cells)
}

func errConflict() error {
	return errs.New(errs.Conflict, "another transaction changed the same row; start the transaction again")
}

// Keys calls fn for every changed key in order.
func (c *Changes) Keys(fn func(key []byte)) {
	c.edits.Scan(func(x edit) bool {
		fn(bytes.Clone(x.key))
		return true
	})
}
