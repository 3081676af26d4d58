package merge

import (
	"bytes"
	"context"
	"slices"

	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// copies names a row of a keyless table by its cells.
type copies = hash.Hash

// keyless merges rows by number of copies.
func (m *tableMerger) keyless(ctx context.Context) (tree.Root, error) {
	if !m.ours.exact {
		var err error
		if m.ours.rows, err = m.rewrite(ctx, &m.ours); err != nil {
			return tree.Root{}, err
		}
		m.ours.exact = true
	}
	theirs, err := m.counts(ctx, m.theirs.rows, nil)
	if err != nil {
		return tree.Root{}, err
	}
	if len(theirs) == 0 {
		return m.ours.rows, nil
	}
	ours, err := m.counts(ctx, m.ours.rows, theirs)
	if err != nil {
		return tree.Root{}, err
	}
	need := map[copies]int64{} // what is to be done to ours
	for c, t := range theirs {
		if n := both(ours[c], t) - ours[c]; n != 0 {
			need[c] = n
		}
	}
	edits, err := m.editsOf(ctx, need)
	if err != nil {
		return tree.Root{}, err
	}
	src := tree.Edits(edits)
	return tree.Apply(ctx, m.st, m.sch.Primary.Format, m.ours.rows, &src)
}

// both is the change of a number of copies that two changes make together.
func both(ours, theirs int64) int64 {
	switch {
	case ours >= 0 && theirs >= 0:
		return max(ours, theirs)
	case ours <= 0 && theirs <= 0:
		return min(ours, theirs)
	}
	return ours + theirs
}

// counts is by how much the number of copies of each row changed between base and rows: of all rows, or of those in of.
func (m *tableMerger) counts(ctx context.Context, rows tree.Root, of map[copies]int64) (map[copies]int64, error) {
	out := map[copies]int64{}
	cells := make([]value.Cell, len(m.sch.Primary.Phys))
	var buf []byte
	count := func(l tree.Leaf, i int, n int64) error {
		if l == nil {
			return nil
		}
		c, err := m.copiesOf(ctx, l, i, cells, &buf)
		if err != nil {
			return err
		}
		if of != nil && of[c] == 0 {
			return nil
		}
		if out[c] += n; out[c] == 0 {
			delete(out, c)
		}
		return nil
	}
	err := tree.Diff(ctx, m.st, m.sch.Primary.Format, m.base.rows, rows, nil, nil, func(c tree.Change) error {
		if err := count(c.A, c.AI, -1); err != nil {
			return err
		}
		return count(c.B, c.BI, 1)
	})
	return out, err
}

// copiesOf names row i of a leaf.
func (m *tableMerger) copiesOf(ctx context.Context, l tree.Leaf, i int, cells []value.Cell, buf *[]byte) (copies, error) {
	row, err := l.AppendRow(ctx, (*buf)[:0], i)
	if err != nil {
		return copies{}, err
	}
	*buf = row
	if err := value.DecodeTuple(row, m.sch.Primary.Phys, cells); err != nil {
		return copies{}, err
	}
	cells[0] = value.Null
	return hash.Sum(value.AppendTuple(nil, m.sch.Primary.Phys, cells)), nil
}

// editsOf gives the edits of ours that change the numbers of copies by need, which it uses up: rows that theirs took away go where
// ours has them still, else where ours put them; rows that theirs added go behind the last one.
func (m *tableMerger) editsOf(ctx context.Context, need map[copies]int64) ([]tree.Edit, error) {
	f, phys := m.sch.Primary.Format, m.sch.Primary.Phys
	ours := tree.New(m.st, f, m.ours.rows)
	cells := make([]value.Cell, len(phys))
	var buf []byte
	var edits []tree.Edit
	next := int64(0)
	if last := ours.Cursor(); ours.Count() > 0 {
		if err := last.Last(ctx); err != nil {
			return nil, err
		}
		row, err := last.Row(ctx, nil)
		if err != nil {
			return nil, err
		}
		if err := value.DecodeTuple(row, phys, cells); err != nil {
			return nil, err
		}
		next = cells[0].Int() + 1
	}
	drop := func(l tree.Leaf, i int, check bool) error {
		c, err := m.copiesOf(ctx, l, i, cells, &buf)
		if err != nil || need[c] >= 0 {
			return err
		}
		key := l.AppendKey(nil, i)
		if check {
			leaf, at, found, err := ours.Get(ctx, key)
			if err != nil || !found {
				return err
			}
			if now, err := m.copiesOf(ctx, leaf, at, cells, &buf); err != nil || now != c {
				return err
			}
		}
		need[c]++
		edits = append(edits, tree.Edit{Key: key})
		return nil
	}
	err := tree.Diff(ctx, m.st, f, m.base.rows, m.theirs.rows, nil, nil, func(c tree.Change) error {
		if c.A != nil {
			if err := drop(c.A, c.AI, true); err != nil {
				return err
			}
		}
		if c.B == nil {
			return nil
		}
		name, err := m.copiesOf(ctx, c.B, c.BI, cells, &buf)
		if err != nil || need[name] <= 0 {
			return err
		}
		need[name]--
		if err := value.DecodeTuple(buf, phys, cells); err != nil {
			return err
		}
		cells[0] = value.IntCell(next)
		next++
		edits = append(edits, tree.Edit{Key: m.sch.Primary.AppendKey(nil, cells), Row: value.AppendTuple(nil, phys, cells)})
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = tree.Diff(ctx, m.st, f, m.base.rows, m.ours.rows, nil, nil, func(c tree.Change) error {
		if c.B == nil {
			return nil
		}
		return drop(c.B, c.BI, false)
	})
	slices.SortFunc(edits, func(a, b tree.Edit) int { return bytes.Compare(a.Key, b.Key) })
	return edits, err
}
