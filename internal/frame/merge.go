package frame

import (
	"bytes"
	"context"
	"errors"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
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
	if m.scan, err = NewScan(ctx, l.view, ScanOptions{Columns: names, Integers: true}); err != nil {
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
		m.read, err = m.l.readers(b)
	}
	return err
}

// batch compares a batch with the table. !ok: the rows from at on do not follow the order.
func (m *merging) batch(ctx context.Context, b arrow.RecordBatch, first uint64) (ok bool, at int, err error) {
	r, err := m.l.readers(b)
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

// edits are changes of rows: in memory while they are few, then sorted in files.
type edits struct {
	l      *load
	rows   encoded
	sorter *table.Sorter

	complete func(ctx context.Context, rows [][]value.Cell, at []uint64) error // nil: rows are complete as they come
	enc      *table.Encoder
	waiting  encoded // edits whose rows are not completed yet, and the rows of the frame that they are of
	at       []uint64
}

func newEdits(ctx context.Context, l *load) (*edits, error) {
	complete, err := l.completer(ctx)
	return &edits{l: l, complete: complete, enc: table.NewEncoder(l.to.Store(), l.schema)}, err
}

// add takes an edit; a nil row deletes. at is the row of the frame.
func (e *edits) add(ctx context.Context, key, row []byte, at uint64) error {
	if e.complete == nil {
		return e.keep(key, row)
	}
	e.waiting.edit(key, row)
	if e.at = append(e.at, at); len(e.at) < completeRows {
		return nil
	}
	return e.flush(ctx)
}

// flush completes the rows that wait for it.
func (e *edits) flush(ctx context.Context) error {
	if len(e.at) == 0 {
		return nil
	}
	phys := e.l.schema.Primary.Phys
	var rows [][]value.Cell
	var at []uint64
	n := 0
	if err := e.waiting.edits(func(_, row []byte) error {
		if row != nil {
			cells := make([]value.Cell, len(phys))
			if err := value.DecodeTuple(row, phys, cells); err != nil {
				return err
			}
			rows, at = append(rows, cells), append(at, e.at[n])
		}
		n++
		return nil
	}); err != nil {
		return err
	}
	if len(rows) > 0 {
		if err := e.complete(ctx, rows, at); err != nil {
			return err
		}
	}
	n = 0
	var made []byte
	err := e.waiting.edits(func(key, row []byte) error {
		if row == nil {
			return e.keep(key, nil)
		}
		var err error
		if _, made, err = e.enc.Append(ctx, nil, made[:0], rows[n]); err != nil {
			return e.l.rowError("", rows[n], at[n], err)
		}
		n++
		return e.keep(key, made)
	})
	e.waiting, e.at = encoded{e.waiting.data[:0], e.waiting.spans[:0]}, e.at[:0]
	return err
}

// keep takes an edit whose row is complete.
func (e *edits) keep(key, row []byte) error {
	if e.sorter != nil {
		return e.sorter.Add(key, stored(row))
	}
	e.rows.edit(key, row)
	if len(e.rows.spans) <= e.l.opt.Few && len(e.rows.data) <= fewBytes {
		return nil
	}
	e.sorter = table.NewSorter(e.l.opt.FS, e.l.opt.TempDir, e.l.opt.Memory)
	err := e.rows.edits(func(key, row []byte) error { return e.sorter.Add(key, stored(row)) })
	e.rows = encoded{}
	return err
}

// stored is a row as the sorter keeps it: a byte ahead tells whether there is one.
func stored(row []byte) []byte {
	if row == nil {
		return []byte{0}
	}
	return append([]byte{1}, row...)
}

// edit appends an edit; a nil row, which deletes, has the length -1.
func (r *encoded) edit(key, row []byte) {
	r.data = append(append(r.data, key...), row...)
	n := len(row)
	if row == nil {
		n = -1
	}
	r.spans = append(r.spans, span{len(key), n})
}

// edits gives the edits that were appended.
func (r *encoded) edits(fn func(key, row []byte) error) error {
	at := 0
	for _, s := range r.spans {
		key := r.data[at : at+s.key]
		at += s.key
		var row []byte
		if s.row >= 0 {
			row = r.data[at : at+s.row]
			at += s.row
		}
		if err := fn(key, row); err != nil {
			return err
		}
	}
	return nil
}

func (e *edits) reset() error {
	e.rows, e.waiting, e.at = encoded{}, encoded{}, nil
	return e.close()
}

func (e *edits) close() error {
	if e.sorter == nil {
		return nil
	}
	s := e.sorter
	e.sorter = nil
	return s.Close()
}

// source gives the edits in the order of their keys.
func (e *edits) source(ctx context.Context) (tree.EditSource, error) {
	if err := e.flush(ctx); err != nil {
		return nil, err
	}
	if e.sorter != nil {
		sorted, err := e.sorter.Sort()
		return &sortedEdits{sorted}, err
	}
	var list tree.Edits
	err := e.rows.edits(func(key, row []byte) error {
		list = append(list, tree.Edit{Key: key, Row: row})
		return nil
	})
	return &list, err
}

// sortedEdits are edits that a sorter has sorted.
type sortedEdits struct{ sorted *table.Sorted }

// Next implements tree.EditSource.
func (s *sortedEdits) Next(ctx context.Context) (tree.Edit, bool, error) {
	key, row, ok, err := s.sorted.Next(ctx)
	if err != nil || !ok {
		return tree.Edit{}, false, err
	}
	if row[0] == 0 {
		return tree.Edit{Key: key}, true, nil
	}
	return tree.Edit{Key: key, Row: row[1:]}, true, nil
}

// apply writes the edits: few one by one, many into the tree.
func (e *edits) apply(ctx context.Context) error {
	l := e.l
	if err := e.flush(ctx); err != nil {
		return err
	}
	if e.sorter == nil {
		return e.few(ctx)
	}
	base, err := l.to.FoldTable(ctx, l.name)
	if err != nil {
		return err
	}
	src, err := e.source(ctx)
	if err != nil {
		return err
	}
	t := &table.Table{Schema: base.Schema, Indexes: make([]tree.Root, len(base.Indexes))}
	if t.Rows, err = tree.Apply(ctx, l.to.Store(), base.Schema.Primary.Format, base.Rows, src); err != nil {
		return err
	}
	for n := range t.Indexes {
		if t.Indexes[n], err = table.BuildIndex(ctx, l.to.Store(), t, n, l.loaderOptions()); err != nil {
			return err
		}
	}
	return l.to.PutTable(ctx, l.name, t)
}

// few writes few edits. Deletions come first, so that the values of unique indexes that they give up are free.
func (e *edits) few(ctx context.Context) error {
	if len(e.rows.spans) == 0 {
		return nil
	}
	l := e.l
	ed, err := l.to.Editor(ctx, l.name)
	if err != nil {
		return err
	}
	phys := l.schema.Primary.Phys
	cells, old := make([]value.Cell, len(phys)), make([]value.Cell, len(phys))
	for _, deletions := range []bool{true, false} {
		if err := e.rows.edits(func(key, row []byte) error {
			if (row == nil) != deletions {
				return nil
			}
			found, err := ed.Get(ctx, key, old)
			if err != nil {
				return err
			}
			if row == nil {
				_, err := ed.Delete(ctx, old)
				return err
			}
			if err := value.DecodeTuple(row, phys, cells); err != nil {
				return err
			}
			if found {
				_, err = ed.Update(ctx, old, cells)
			} else {
				err = ed.Insert(ctx, cells)
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}
