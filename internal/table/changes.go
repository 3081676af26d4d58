package table

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"

	"github.com/stemmadb/stemma/internal/binfmt"
	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// Changes is what a transaction did to a table's rows.
type Changes struct {
	edits *edits
	index []*entries
}

// Changes gives the edits so far.
func (e *Editor) Changes() *Changes {
	return &Changes{edits: e.edits.Copy(), index: copyAll(e.index)}
}

// Len is the number of changed keys.
func (c *Changes) Len() int { return c.edits.Len() }

// Append appends the changes in the form that a journal keeps: a count, then for each key its bytes, a byte that says whether
// there is a row, and the row.
func (c *Changes) Append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(c.edits.Len()))
	c.edits.Scan(func(x *edit) bool {
		b = binfmt.AppendBytes(b, x.key)
		b = binfmt.AppendBool(b, x.row != nil)
		if x.row != nil {
			b = binfmt.AppendBytes(b, x.row)
		}
		return true
	})
	return b
}

// Append appends the overlay's row edits in the form of Changes.Append.
func (o *Overlay) Append(b []byte) []byte {
	if o == nil {
		return binary.AppendUvarint(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(o.rows.Len()))
	o.rows.Scan(func(x *entry) bool {
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
		if err := indexEdits(ctx, v.r, s, s.Types, o, before, after); err != nil {
			return nil, err
		}
		o.setRow(e.Key, e.Row, inBase)
	}
	return o, nil
}

// Rebase moves the changes onto v, a later state of the table they were made on, and gives the overlay and the changes there.
// Edits of one row that set different columns merge, unless columns of the table depend on each other (wholeRows). The same column
// set by both sides, or a row deleted by one and changed by the other, is an error of class Conflict; a key that both sides added, or
// a unique value that is taken by now, is a *DuplicateKeyError. Rows added to a keyless table go behind the last row of v.
func (c *Changes) Rebase(ctx context.Context, w chunk.Store, v *View) (*Overlay, *Changes, error) {
	e := NewEditor(w, v)
	cells := make([]value.Cell, len(v.Table.Schema.Primary.Phys))
	// Deletions first, so that rows of a keyless table are appended behind what is left.
	for _, deletions := range []bool{true, false} {
		var err error
		c.edits.Scan(func(x *edit) bool {
			if (x.row == nil) != deletions {
				return true
			}
			err = c.rebaseOne(ctx, e, x, cells)
			return err == nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	if err := e.checkAllUnique(ctx, cells); err != nil {
		return nil, nil, err
	}
	return e.View().Overlay(), e.Changes(), nil
}

// checkAllUnique looks for edited rows whose unique values another row has. It comes when all rows stand, since they may have handed
// values on from one to another.
func (e *Editor) checkAllUnique(ctx context.Context, cells []value.Cell) error {
	s := e.base.Table.Schema
	if !slices.ContainsFunc(s.Indexes, func(x schema.Index) bool { return x.Unique }) {
		return nil
	}
	var err error
	e.edits.Scan(func(x *edit) bool {
		if x.row == nil {
			return true
		}
		if err = value.DecodeTuple(x.row, s.Primary.Phys, cells); err == nil {
			err = e.checkUnique(ctx, cells, x.key)
		}
		return err == nil
	})
	return err
}

// wholeRows tells whether rows of a table count as changed as a whole: a check or a generated column may depend on several
// columns, and what holds for the row of either side need not hold for a mixture.
func wholeRows(s *schema.Compiled) bool {
	return slices.ContainsFunc(s.Columns, func(c schema.Column) bool { return c.Generated != "" }) ||
		slices.ContainsFunc(s.Checks, func(c schema.Check) bool { return c.Enforced })
}

func (c *Changes) rebaseOne(ctx context.Context, e *Editor, x *edit, cells []value.Cell) error {
	l := e.base.Table.Schema.Primary
	cur, found, inBase, err := e.tuple(ctx, x.key)
	if err != nil {
		return err
	}
	if !found {
		cur = nil
	}
	if x.row == nil {
		if !sameRow(cur, x.old) {
			return errConflict()
		}
		return e.drop(ctx, x.key, cur, inBase)
	}
	if err := value.DecodeTuple(x.row, l.Phys, cells); err != nil {
		return err
	}
	if x.old == nil && e.base.Table.Schema.Keyless() {
		return e.appendRow(ctx, cells)
	}
	if !sameRow(cur, x.old) {
		if x.old == nil {
			return e.duplicate("PRIMARY", l, cells, cur)
		}
		if cur == nil || wholeRows(e.base.Table.Schema) {
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
	return e.put(ctx, x.key, cur, inBase, cells)
}

// appendRow puts a row of a keyless table behind the last one, at its own ordinal when that is there.
func (e *Editor) appendRow(ctx context.Context, cells []value.Cell) error {
	n, err := e.NextOrdinal(ctx)
	if err != nil {
		return err
	}
	n = max(n, cells[0].Int())
	cells[0] = value.IntCell(n)
	key := e.base.Table.Schema.Primary.AppendKey(nil, cells)
	_, _, inBase, err := e.tuple(ctx, key)
	if err != nil {
		return err
	}
	if err := e.put(ctx, key, nil, inBase, cells); err != nil {
		return err
	}
	e.next = n + 1
	return nil
}

func errConflict() error {
	return errs.New(errs.Conflict, "another transaction changed the same row; start the transaction again")
}

// Keys calls fn for every changed key in order.
func (c *Changes) Keys(fn func(key []byte)) {
	c.edits.Scan(func(x *edit) bool {
		fn(bytes.Clone(x.key))
		return true
	})
}
