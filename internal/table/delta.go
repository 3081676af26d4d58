package table

import (
	"bytes"

	"github.com/stemmadb/stemma/internal/keyset"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// Delta is what a transaction's changes make of an overlay, worked out beforehand, so that they can be checked against a later state
// of the overlay and put into it without reading the table: what is done while others wait.
//
// It holds for overlays above the trees on which the changes were made. Above other trees the changes must be rebased. It belongs to
// one goroutine.
type Delta struct {
	indexes int
	rows    []*entry
	index   [][]*entry    // by index
	unique  [][]keyPrefix // by index: where another row with a unique value of these changes would stand
	appends bool          // rows were added behind the last row of a keyless table
}

// keyPrefix is the range of the keys that begin alike.
type keyPrefix struct{ lo, hi []byte }

// Delta works out what the changes make of the overlays of a table with that schema.
func (c *Changes) Delta(s *schema.Compiled) (*Delta, error) {
	d := &Delta{indexes: len(s.Index), rows: make([]*entry, 0, c.Len())}
	c.edits.Scan(func(x *edit) bool {
		d.rows = append(d.rows, x.entry)
		d.appends = d.appends || x.old == nil && s.Keyless()
		return true
	})
	if len(s.Index) == 0 {
		return d, nil
	}
	d.index, d.unique = make([][]*entry, len(s.Index)), make([][]keyPrefix, len(s.Index))
	var err error
	for n, l := range s.Index {
		cells := make([]value.Cell, len(l.Phys))
		c.index[n].Scan(func(x *entry) bool {
			d.index[n] = append(d.index[n], x)
			if x.row == nil || !s.Indexes[n].Unique {
				return true
			}
			if err = value.DecodeTuple(x.row, l.Phys, cells); err != nil {
				return false
			}
			if p, ok := uniquePrefix(l, len(s.Indexes[n].Columns), cells); ok {
				d.unique[n] = append(d.unique[n], p)
			}
			return true
		})
	}
	return d, err
}

// Clear tells whether what the changes touch, rows and unique values, is in the overlay now as it was in then, of which now is a
// later state above the same trees: then nothing that happened in between is a conflict or is to be merged. nil is an empty overlay.
func (d *Delta) Clear(then, now *Overlay) bool {
	if then == now {
		return true
	}
	if then == nil {
		then = NewOverlay(d.indexes)
	}
	if now == nil {
		now = NewOverlay(d.indexes)
	}
	for _, e := range d.rows {
		if !keyset.SameAt(then.rows, now.rows, e.key) {
			return false
		}
	}
	if d.appends {
		a, _ := then.rows.Max()
		b, _ := now.rows.Max()
		if a != b {
			return false
		}
	}
	for n, list := range d.unique {
		for _, p := range list {
			if !sameEntries(then.index[n], now.index[n], p) {
				return false
			}
		}
	}
	return true
}

// sameEntries tells whether both have the same entries in a range.
func sameEntries(a, b *entries, p keyPrefix) bool {
	ia, ib := a.Iter(), b.Iter()
	okA, okB := ia.Seek(p.lo), ib.Seek(p.lo)
	within := func(ok bool, it *iterator) bool {
		return ok && (p.hi == nil || bytes.Compare(it.Item().key, p.hi) < 0)
	}
	for {
		inA, inB := within(okA, &ia), within(okB, &ib)
		if inA != inB {
			return false
		}
		if !inA {
			return true
		}
		if ia.Item() != ib.Item() {
			return false
		}
		okA, okB = ia.Next(), ib.Next()
	}
}

// Apply is the overlay o, nil for an empty one, with the changes.
func (d *Delta) Apply(o *Overlay) *Overlay {
	if o == nil {
		o = NewOverlay(d.indexes)
	} else {
		o = o.Copy()
	}
	for _, e := range d.rows {
		o.set(e)
	}
	for n, list := range d.index {
		for _, e := range list {
			o.putIndex(n, e)
		}
	}
	return o
}
