package frame

import (
	"bytes"
	"context"
	"errors"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/page"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// merging writes a frame over a table: rows that are equal are found by comparing columns, without making keys and tuples of them. It
// goes through frame and table side by side as long as the frame's keys rise; of a frame in another order the rows are sorted first.
type merging struct {
	l     *load
	edits *edits

	enc    *table.Encoder
	cells  []value.Cell
	old    []value.Cell
	key    []byte // of the frame's row
	row    []byte
	oldKey []byte
	last   []byte // key of the frame's last row that was not equal to the table's

	scan *Scan
	was  arrow.RecordBatch // of the table
	read *readers          // of was
	cmp  []comparer
	at   int    // row of was
	seen uint64 // rows of the table before was

	skipped []Range // of the table: rows that an Upsert has passed over, as the frame does not have them
}

// merge changes the table to what the frame says.
func (l *load) merge(ctx context.Context) (err error) {
	changed, err := newEdits(ctx, l)
	if err != nil {
		return err
	}
	m := &merging{
		l: l, edits: changed, enc: table.NewEncoder(l.to.Store(), l.schema), cells: make([]value.Cell, len(l.template)),
		old: make([]value.Cell, len(l.template)),
	}
	defer func() {
		m.close()
		err = errors.Join(err, m.edits.close())
	}()
	sorted, err := m.walk(ctx)
	if err != nil {
		return err
	}
	if !sorted {
		return nil
	}
	return m.edits.apply(ctx)
}

func (m *merging) close() {
	if m.was != nil {
		m.was.Release()
		m.was = nil
	}
	if m.scan != nil {
		m.scan.Close()
		m.scan = nil
	}
}

// walk goes through the frame; false when it was not sorted and has been written already.
func (m *merging) walk(ctx context.Context) (bool, error) {
	l := m.l
	names := make([]string, len(l.columns))
	for i, c := range l.columns {
		names[i] = l.schema.Columns[c].Name
	}
	var err error
	if m.scan, err = NewScan(ctx, l.view, ScanOptions{Columns: names, Raw: true}); err != nil {
		return false, err
	}
	var row uint64
	for {
		b, err := l.src.Next(ctx)
		if err != nil {
			return false, err
		}
		if b == nil {
			break
		}
		ok, at, err := m.batch(ctx, b, row)
		if err != nil {
			b.Release()
			return false, err
		}
		if !ok { // from row at on the order is another
			rest := &joined{first: b.NewSlice(int64(at), b.NumRows()), src: l.src}
			b.Release()
			defer rest.close()
			return false, m.unsorted(ctx, rest, row+uint64(at))
		}
		row += uint64(b.NumRows())
		b.Release()
	}
	l.res.Rows = row
	for l.opt.Mode == Merge { // what is left of the table goes
		if err := m.ahead(ctx); err != nil {
			return false, err
		}
		if m.was == nil {
			break
		}
		if err := m.drop(ctx); err != nil {
			return false, err
		}
	}
	return true, nil
}

// ahead makes sure that was has a row at m.at; nil at the table's end.
func (m *merging) ahead(ctx context.Context) error {
	for m.was != nil && m.at >= int(m.was.NumRows()) {
		m.seen += uint64(m.was.NumRows())
		m.was.Release()
		m.was, m.at, m.cmp = nil, 0, nil
	}
	if m.was != nil || m.scan.Rows() == 0 && m.scan.b.Len() == 0 {
		return nil
	}
	b, err := m.scan.Next(ctx)
	if err != nil {
		return err
	}
	m.was, m.at, m.cmp = b, 0, nil
	if b != nil {
		m.read, err = m.l.readers(b, page.ReadRaw)
	}
	return err
}

// batch compares a batch with the table. !ok: the rows from at on do not follow the order.
func (m *merging) batch(ctx context.Context, b arrow.RecordBatch, first uint64) (ok bool, at int, err error) {
	r, err := m.l.readers(b, page.ReadArrow)
	if err != nil {
		return false, 0, err
	}
	n := int(b.NumRows())
	m.cmp = nil
	for i := 0; i < n; {
		if err := ctx.Err(); err != nil {
			return false, 0, err
		}
		if err := m.ahead(ctx); err != nil {
			return false, 0, err
		}
		if m.was != nil {
			if m.cmp == nil {
				m.cmp = m.comparers(b, r)
			}
			same := m.equal(i, min(n-i, int(m.was.NumRows())-m.at))
			if same > 0 {
				m.l.res.Unchanged += uint64(same)
				i += same
				m.at += same
				m.last = m.last[:0] // the table's key is the last
				continue
			}
		}
		if err := m.l.fill(r, m.cells, i, first+uint64(i)); err != nil {
			return false, 0, err
		}
		m.key = m.l.schema.Primary.AppendKey(m.key[:0], m.cells)
		if rising, err := m.rises(); err != nil || !rising {
			return false, i, err
		}
		for {
			c := 1 // the table is at its end
			if m.was != nil {
				if err := m.keyOf(); err != nil {
					return false, 0, err
				}
				c = bytes.Compare(m.oldKey, m.key)
			}
			if c < 0 {
				if m.l.opt.Mode == Merge {
					err = m.drop(ctx)
				} else {
					m.skip()
				}
				if err == nil {
					err = m.ahead(ctx)
				}
				if err != nil {
					return false, 0, err
				}
				continue
			}
			if c == 0 {
				err = m.change(ctx, first+uint64(i))
				m.at++
			} else {
				err = m.insert(ctx, first+uint64(i))
			}
			if err != nil {
				return false, 0, err
			}
			break
		}
		m.last = append(m.last[:0], m.key...)
		i++
	}
	return true, 0, nil
}

// rises tells whether the frame's row comes behind the one before: behind the last that differed, and behind the table's rows that have
// been passed.
func (m *merging) rises() (bool, error) {
	if len(m.last) > 0 {
		return bytes.Compare(m.key, m.last) > 0, nil
	}
	if m.at == 0 || m.was == nil {
		return m.risesOver()
	}
	m.at--
	err := m.keyOf()
	m.at++
	return bytes.Compare(m.key, m.oldKey) > 0, err
}

// risesOver is rises where the table's row before is of another batch.
func (m *merging) risesOver() (bool, error) {
	if m.seen == 0 && m.was == nil || m.seen == 0 && m.at == 0 {
		return true, nil
	}
	cur := m.l.view.Scan(table.ScanOptions{Rows: table.RowsTree, Lo: m.key})
	b, ok, err := cur.Next(context.Background())
	if err != nil || !ok {
		return err == nil, err
	}
	// The least row of the table that is not below the key must be one that has not been passed.
	key := m.blockKey(b)
	if m.was == nil {
		return false, nil
	}
	if err := m.keyOf(); err != nil {
		return false, err
	}
	return bytes.Compare(key, m.oldKey) >= 0, nil
}

// blockKey is the key of the first row of a block.
func (m *merging) blockKey(b table.Block) []byte {
	if b.Page != nil {
		return b.Page.AppendKey(nil, b.Lo)
	}
	cells := make([]value.Cell, len(m.l.template))
	if err := value.DecodeTuple(b.Row, m.l.schema.Primary.Phys, cells); err != nil {
		return nil
	}
	return m.l.schema.Primary.AppendKey(nil, cells)
}

// skip passes over the table's row.
func (m *merging) skip() {
	at := m.seen + uint64(m.at)
	m.at++
	if n := len(m.skipped); n > 0 && m.skipped[n-1].To == at {
		m.skipped[n-1].To++
		return
	}
	m.skipped = append(m.skipped, Range{at, at + 1})
}

// keyOf makes the key of the table's row.
func (m *merging) keyOf() error {
	for k, of := range m.read.cell {
		if at := m.l.cells[k]; m.l.schema.InKey[at] {
			var err error
			if m.old[at], err = of(m.at); err != nil {
				return err
			}
		}
	}
	m.oldKey = m.l.schema.Primary.AppendKey(m.oldKey[:0], m.old)
	return nil
}

// drop deletes the table's row.
func (m *merging) drop(ctx context.Context) error {
	if err := m.keyOf(); err != nil {
		return err
	}
	m.at++
	m.l.res.Deleted++
	return m.edits.add(ctx, m.oldKey, nil, NoRow)
}

// insert adds the frame's row.
func (m *merging) insert(ctx context.Context, at uint64) error {
	for _, c := range m.l.absent {
		m.cells[c] = m.l.template[c]
	}
	var err error
	if m.key, m.row, err = m.enc.Append(ctx, m.key[:0], m.row[:0], m.cells); err != nil {
		return &CellError{Row: at, Err: err}
	}
	m.l.res.Inserted++
	return m.edits.add(ctx, m.key, m.row, at)
}

// change puts the frame's cells over those of the table's row of the same key. at is the row of the frame.
func (m *merging) change(ctx context.Context, at uint64) error {
	ok, err := m.l.over(ctx, m.enc, m.key, m.cells, m.old, &m.row)
	if err != nil {
		return err
	}
	if !ok {
		m.l.res.Unchanged++
		return nil
	}
	m.l.res.Updated++
	return m.edits.add(ctx, m.key, m.row, at)
}

// over makes the row of a key that the table has with the frame's cells; false when it is the row that is there. cells are the frame's.
func (l *load) over(ctx context.Context, enc *table.Encoder, key []byte, cells, old []value.Cell, row *[]byte) (bool, error) {
	found, err := l.view.Get(ctx, key, old)
	if err != nil {
		return false, err
	}
	if !found {
		return false, errs.New(errs.Corrupt, "write %s: a row that was read is not found by its key", l.name)
	}
	for _, c := range l.absent {
		cells[c] = old[c]
	}
	_, next, err := enc.Append(ctx, nil, (*row)[:0], cells)
	if err != nil {
		return false, err
	}
	*row = next
	return !bytes.Equal(next, value.AppendTuple(nil, l.schema.Primary.Phys, old)), nil
}
