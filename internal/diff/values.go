package diff

import (
	"context"

	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// walker calls fn for rows that may differ; a row of both sides is given as one change. It gives the same rows each time.
type walker func(ctx context.Context, fn func(Change) error) error

// sum names a row by its cells.
type sum [16]byte

// cancel pairs the rows that walk gives by their cells and calls fn for those left over: of n equal rows on one side and m < n on the
// other, the first n-m. It walks twice and holds one count for each different row in memory.
func (p *Pair) cancel(ctx context.Context, walk walker, fn func(Change) error) error {
	left := map[sum]int32{} // rows of the from side less those of the to side
	var buf []byte
	err := walk(ctx, func(c Change) error {
		for _, from := range []bool{true, false} {
			s, ok, err := p.sumOf(ctx, c, from, &buf)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			n := left[s] - 1
			if from {
				n += 2
			}
			if n == 0 {
				delete(left, s)
			} else {
				left[s] = n
			}
		}
		return nil
	})
	if err != nil || len(left) == 0 {
		return err
	}
	return walk(ctx, func(c Change) error {
		s, ok, err := p.sumOf(ctx, c, true, &buf)
		if err != nil {
			return err
		}
		if n := left[s]; ok && n > 0 {
			left[s] = n - 1
			if err := fn(Change{Type: Removed, From: c.From}); err != nil {
				return err
			}
		}
		if s, ok, err = p.sumOf(ctx, c, false, &buf); err != nil {
			return err
		}
		if n := left[s]; ok && n < 0 {
			left[s] = n + 1
			return fn(Change{Type: Added, To: c.To})
		}
		return nil
	})
}

// sumOf is the sum of one row of a change, over the columns of the to side; ok is false when there is no such row.
func (p *Pair) sumOf(ctx context.Context, c Change, from bool, buf *[]byte) (s sum, ok bool, err error) {
	row := c.To
	if from {
		row = c.From
	}
	if !row.Valid() {
		return s, false, nil
	}
	b := (*buf)[:0]
	for i := range p.cols {
		col := &p.cols[i]
		if col.To < 0 {
			continue
		}
		t := p.ts.Columns[col.To].Type
		at := col.To
		var cell value.Cell
		if from {
			at = col.From
		}
		if at < 0 {
			cell = p.ts.Columns[col.To].Absent
		} else if cell, err = row.Cell(ctx, at); err != nil {
			return s, false, err
		}
		if col.From >= 0 && !col.same {
			asNumber := isNumber(t.Kind) && isNumber(p.fs.Columns[col.From].Type.Kind)
			if from {
				t = p.fs.Columns[col.From].Type
			}
			if cell, err = table.Resolve(ctx, p.r, cell); err != nil {
				return s, false, err
			}
			if !cell.IsNull() {
				cell = value.BytesCell(appendValue(nil, t, cell, asNumber))
			}
			b = value.AppendTuple(b, []value.Phys{value.Bytes}, []value.Cell{cell})
			continue
		}
		b = value.AppendTuple(b, []value.Phys{t.Phys()}, []value.Cell{cell})
	}
	*buf = b
	h := hash.Sum(b)
	copy(s[:], h[:])
	return s, true, nil
}

// walkTree gives the rows of two keyless tables that differ at one ordinal.
func (p *Pair) walkTree(ctx context.Context, fn func(Change) error) error {
	return p.tree(ctx, Options{}, fn)
}

// walkMerge gives the rows of two keyless tables, of other pages, that differ at one ordinal.
func (p *Pair) walkMerge(ctx context.Context, fn func(Change) error) error {
	return p.merge(ctx, Options{}, fn)
}

// walkScans gives all rows of the one table, then all of the other.
func (p *Pair) walkScans(ctx context.Context, fn func(Change) error) error {
	a := newReader(p.r, p.from, p.fromCell, Options{})
	for {
		if err := a.next(ctx); err != nil {
			return err
		}
		if !a.row.Valid() {
			break
		}
		if err := fn(Change{Type: Removed, From: a.row}); err != nil {
			return err
		}
	}
	b := newReader(p.r, p.to, p.toCell, Options{})
	for {
		if err := b.next(ctx); err != nil {
			return err
		}
		if !b.row.Valid() {
			return nil
		}
		if err := fn(Change{Type: Added, To: b.row}); err != nil {
			return err
		}
	}
}
