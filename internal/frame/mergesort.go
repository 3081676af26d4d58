package frame

import (
	"bytes"
	"context"
	"errors"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// joined is the rest of a batch and the batches behind it.
type joined struct {
	first arrow.RecordBatch
	src   Source
}

// Schema implements Source.
func (j *joined) Schema() *arrow.Schema { return j.src.Schema() }

// Next implements Source.
func (j *joined) Next(ctx context.Context) (arrow.RecordBatch, error) {
	if b := j.first; b != nil {
		j.first = nil
		return b, nil
	}
	return j.src.Next(ctx)
}

func (j *joined) close() {
	if j.first != nil {
		j.first.Release()
	}
}

// unsorted writes a frame whose rows before row were in order and led to the edits so far, and whose others are in rest. All of them are
// sorted, those before as the table has them where they are equal, and laid beside the table.
func (m *merging) unsorted(ctx context.Context, rest Source, row uint64) (err error) {
	l := m.l
	passed := m.seen + uint64(m.at)
	m.close()
	sorter := table.NewSorter(l.opt.FS, l.opt.TempDir, l.opt.Memory)
	defer func() { err = errors.Join(err, sorter.Close()) }()
	done := *l.res
	*l.res = Result{Created: done.Created}
	give := sorter.Add
	if m.edits.complete != nil {
		give = func(key, row []byte) error { return sorter.Add(key, numbered(row, NoRow)) }
	}
	if err := m.again(ctx, give, passed); err != nil {
		return err
	}
	if err := m.edits.reset(); err != nil {
		return err
	}
	again := *l
	again.src = rest
	again.opt.Mode = Append
	again.later = true
	if err := again.encode(ctx, 0, func(u *unit) error {
		return u.each(func(k, r []byte, at uint64) error {
			if m.edits.complete != nil {
				r = numbered(r, row+at)
			}
			return sorter.Add(k, r)
		})
	}); err != nil {
		var c *CellError
		if errors.As(err, &c) {
			return &CellError{Column: c.Column, Row: row + c.Row, Err: c.Err}
		}
		return err
	}
	return m.beside(ctx, sorter)
}

// again gives a sorter the rows of the frame that have been compared: those of the table up to passed, but for those that the frame
// does not have, with the edits over them.
func (m *merging) again(ctx context.Context, give func(key, row []byte) error, passed uint64) error {
	edits, err := m.edits.source(ctx)
	if err != nil {
		return err
	}
	e, more, err := edits.Next(ctx)
	if err != nil {
		return err
	}
	rows := newRowScan(m.l.view)
	skipped := m.skipped
	for i := range passed {
		key, row, ok, err := rows.next(ctx)
		if err != nil || !ok {
			return err
		}
		for more && bytes.Compare(e.Key, key) < 0 {
			if e.Row != nil {
				if err := give(e.Key, e.Row); err != nil {
					return err
				}
			}
			if e, more, err = edits.Next(ctx); err != nil {
				return err
			}
		}
		if more && bytes.Equal(e.Key, key) {
			if row = e.Row; row != nil {
				if err := give(key, row); err != nil {
					return err
				}
			}
			if e, more, err = edits.Next(ctx); err != nil {
				return err
			}
			continue
		}
		for len(skipped) > 0 && skipped[0].To <= i {
			skipped = skipped[1:]
		}
		if len(skipped) > 0 && skipped[0].From <= i {
			continue
		}
		if err := give(key, row); err != nil {
			return err
		}
	}
	for more {
		if e.Row != nil {
			if err := give(e.Key, e.Row); err != nil {
				return err
			}
		}
		if e, more, err = edits.Next(ctx); err != nil {
			return err
		}
	}
	return nil
}

// beside lays sorted rows beside the table.
func (m *merging) beside(ctx context.Context, sorter *table.Sorter) error {
	l := m.l
	sorted, err := sorter.Sort()
	if err != nil {
		return err
	}
	rows := newRowScan(l.view)
	oldKey, oldRow, have, err := rows.next(ctx)
	if err != nil {
		return err
	}
	step := func() error {
		oldKey, oldRow, have, err = rows.next(ctx)
		return err
	}
	var last []byte
	for {
		key, row, ok, err := sorted.Next(ctx)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		at := uint64(NoRow)
		if m.edits.complete != nil {
			row, at = unnumbered(row)
		}
		if bytes.Equal(key, last) {
			return errs.New(errs.DuplicateKey, "the primary key %s comes twice in the frame", table.DescribeKey(l.schema, row))
		}
		last = append(last[:0], key...)
		l.res.Rows++
		for have && bytes.Compare(oldKey, key) < 0 {
			if l.opt.Mode == Merge {
				l.res.Deleted++
				if err := m.edits.add(ctx, oldKey, nil, NoRow); err != nil {
					return err
				}
			}
			if err := step(); err != nil {
				return err
			}
		}
		switch {
		case !have || !bytes.Equal(oldKey, key):
			l.res.Inserted++
			err = m.edits.add(ctx, key, row, at)
		default:
			err = m.lay(ctx, key, row, oldRow, at)
			if err == nil {
				err = step()
			}
		}
		if err != nil {
			return err
		}
	}
	for have && l.opt.Mode == Merge {
		l.res.Deleted++
		if err := m.edits.add(ctx, oldKey, nil, NoRow); err != nil {
			return err
		}
		if err := step(); err != nil {
			return err
		}
	}
	return m.edits.apply(ctx)
}

// lay puts a row of the frame over the table's.
func (m *merging) lay(ctx context.Context, key, row, oldRow []byte, at uint64) error {
	l := m.l
	phys := l.schema.Primary.Phys
	if len(l.absent) > 0 {
		if err := errors.Join(value.DecodeTuple(row, phys, m.cells), value.DecodeTuple(oldRow, phys, m.old)); err != nil {
			return err
		}
		for _, c := range l.absent {
			m.cells[c] = m.old[c]
		}
		m.row = value.AppendTuple(m.row[:0], phys, m.cells)
		row = m.row
	}
	if bytes.Equal(row, oldRow) {
		l.res.Unchanged++
		return nil
	}
	l.res.Updated++
	return m.edits.add(ctx, key, row, at)
}

// rowScan gives the rows of a view as keys and tuples.
type rowScan struct {
	scan  *table.Scan
	view  *table.View
	block table.Block
	key   []byte
	row   []byte
	cells []value.Cell
}

func newRowScan(v *table.View) *rowScan {
	v = v.Passing()
	return &rowScan{scan: v.Scan(table.ScanOptions{Rows: table.RowsTree}), view: v, cells: make([]value.Cell, len(v.Schema().Primary.Phys))}
}

// next is the next row, valid until the one after.
func (r *rowScan) next(ctx context.Context) (key, row []byte, ok bool, err error) {
	for r.block.Page == nil || r.block.Lo >= r.block.Hi {
		b, ok, err := r.scan.Next(ctx)
		if err != nil || !ok {
			return nil, nil, false, err
		}
		r.block = b
		if b.Page == nil {
			if err := value.DecodeTuple(b.Row, r.view.Schema().Primary.Phys, r.cells); err != nil {
				return nil, nil, false, err
			}
			r.key = r.view.Schema().Primary.AppendKey(r.key[:0], r.cells)
			return r.key, b.Row, true, nil
		}
	}
	r.key = r.block.Page.AppendKey(r.key[:0], r.block.Lo)
	r.row, err = r.block.Page.AppendRow(ctx, r.row[:0], r.block.Lo)
	r.block.Lo++
	return r.key, r.row, err == nil, err
}
