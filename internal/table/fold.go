package table

import (
	"context"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/tree"
)

// entrySource gives the edits of an overlay to the tree editor.
type entrySource struct {
	it      iterator
	started bool
}

// Next implements tree.EditSource.
func (s *entrySource) Next(context.Context) (tree.Edit, bool, error) {
	ok := false
	if !s.started {
		s.started = true
		ok = s.it.First()
	} else {
		ok = s.it.Next()
	}
	if !ok {
		return tree.Edit{}, false, nil
	}
	e := s.it.Item()
	return tree.Edit{Key: e.key, Row: e.row}, true, nil
}

// Fold is the table with the overlay's edits in its trees. New chunks go to st.
func (v *View) Fold(ctx context.Context, st chunk.Store) (*Table, error) {
	if v.over.Len() == 0 {
		return v.Table, nil
	}
	s := v.Table.Schema
	out := &Table{Schema: s, Indexes: make([]tree.Root, len(s.Index))}
	var err error
	out.Rows, err = tree.Apply(ctx, st, s.Primary.Format, v.Table.Rows, &entrySource{it: v.over.rows.Iter()})
	if err != nil {
		return nil, err
	}
	for n := range s.Index {
		out.Indexes[n], err = tree.Apply(ctx, st, s.Index[n].Format, v.Table.Indexes[n], &entrySource{it: v.over.index[n].Iter()})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Residue is the edits of the overlay now that are not in the overlay then, of which now is a later state, moved onto the table t
// that then was folded into. It is nil when there are none.
func Residue(ctx context.Context, r chunk.Reader, t *Table, then, now *Overlay) (*Overlay, error) {
	if then == now {
		return nil, nil
	}
	if now == nil {
		now = NewOverlay(len(t.Indexes))
	}
	base := NewView(r, t, nil)
	out := NewOverlay(len(t.Indexes))
	it := now.rows.Iter()
	for ok := it.First(); ok; ok = it.Next() {
		e := it.Item()
		if then != nil {
			if o, found := then.rows.Get(e.key); found && sameRow(o.row, e.row) {
				continue
			}
		}
		_, inBase, _, err := base.tuple(ctx, e.key)
		if err != nil {
			return nil, err
		}
		out.setRow(e.key, e.row, inBase)
	}
	// A key that was edited then and is not any more was inserted and deleted again: the fold holds the insertion.
	if then != nil {
		it := then.rows.Iter()
		for ok := it.First(); ok; ok = it.Next() {
			e := it.Item()
			if _, found := now.rows.Get(e.key); !found && e.row != nil {
				out.setRow(e.key, nil, true)
			}
		}
	}
	for n := range now.index {
		it := now.index[n].Iter()
		for ok := it.First(); ok; ok = it.Next() {
			e := it.Item()
			if then != nil {
				if o, found := then.index[n].Get(e.key); found && sameRow(o.row, e.row) {
					continue
				}
			}
			out.setIndex(n, e.key, e.row)
		}
	}
	if out.rows.Len() == 0 {
		return nil, nil
	}
	return out, nil
}

func sameRow(a, b []byte) bool {
	return (a == nil) == (b == nil) && string(a) == string(b)
}
