package table

import (
	"bytes"
	"context"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/keyset"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// DuplicateKeyError says that a row cannot be written because another has its primary key or the values of a unique index.
// Its class is errs.DuplicateKey.
type DuplicateKeyError struct {
	Index    string       // "PRIMARY" or the index's name
	Values   []value.Cell // the key's values
	Existing []value.Cell // the other row, as the rows' layout has it
}

// Error names the key.
func (e *DuplicateKeyError) Error() string { return "duplicate entry for key '" + e.Index + "'" }

// Unwrap gives the error its class.
func (e *DuplicateKeyError) Unwrap() error {
	return errs.New(errs.DuplicateKey, "duplicate key")
}

// edit is what a transaction did to one key: the row before its first edit, nil for none, and the entry now. It is immutable.
type edit struct {
	*entry
	old []byte
}

// edits is an ordered set of edits, one a key.
type edits = keyset.Set[*edit]

// Editor edits a table within a transaction: it keeps the edits beside the view that it began with, and puts the two together when
// somebody asks for a view. It belongs to one goroutine. Rows are given as cells of the rows' layout; of a keyless table the first
// cell is the hidden ordinal.
//
// An edit that fails leaves the editor as it was, but for an Update that changes the key, which may have taken the row away: Reset goes
// back to before it.
type Editor struct {
	w     chunk.Store
	base  *View // what the transaction found
	edits *edits
	index []*entries // by index: the entries that the edits put in or, without a row, take away
	bytes int64      // of the edits, about
	view  *View      // base with the edits but those in late; nil when there were none
	late  []lateEdit // in the order made
	next  int64      // ordinal of the next row of a keyless table; -1 until known
	todo  []lateEdit // edits of indexes of the row that is being put

	cells            []value.Cell // scratch
	key, newKey, row []byte       // scratch
	scratch          [3 * usualBytes]byte
}

// usualBytes is the length of a key or row of the usual kind.
const usualBytes = 64

// lateEdit is an edit of the rows' tree or an index that is not in the editor's view yet.
type lateEdit struct {
	n Rows
	*entry
}

// NewEditor edits a view. Long cells are written to w.
func NewEditor(w chunk.Store, v *View) *Editor {
	e := &Editor{w: w, base: &View{Table: v.Table, r: chunk.NamingAs(v.r, w), over: v.over, zones: v.zones}, edits: &edits{}, next: -1}
	const n = usualBytes
	e.key, e.newKey, e.row = e.scratch[:0:n], e.scratch[n:n:2*n], e.scratch[2*n:2*n]
	e.index = make([]*entries, len(v.Table.Indexes))
	for n := range e.index {
		e.index[n] = &entries{}
	}
	return e
}

// View is the table with the edits so far. Later edits may show in it; Freeze gives one that stands still.
func (e *Editor) View() *View {
	if len(e.late) == 0 && e.view == nil {
		return e.base
	}
	if e.view == nil {
		o := e.base.over
		if o == nil {
			o = NewOverlay(len(e.index))
		} else {
			o = o.Copy()
		}
		e.view = e.base.WithOverlay(o)
	}
	for _, x := range e.late {
		if x.n == RowsTree {
			e.view.over.set(x.entry)
		} else {
			e.view.over.putIndex(int(x.n), x.entry)
		}
	}
	e.late = nil // not emptied: a Mark may hold it
	return e.view
}

// Freeze is a view that later edits do not touch.
func (e *Editor) Freeze() *View {
	v := e.View()
	if v.over == nil {
		return v
	}
	return v.WithOverlay(v.over.Copy())
}

// Table is the table that is edited, without its overlay and edits.
func (e *Editor) Table() *Table { return e.base.Table }

// Dirty tells whether there are edits.
func (e *Editor) Dirty() bool { return e.edits.Len() > 0 }

// Bytes is about the memory of this editor's edits, those of the overlay below them not counted.
func (e *Editor) Bytes() int64 { return e.bytes }

// Get is View.Get with the edits so far: it finds the row of that key and fills cells, as many as the rows' layout has.
func (e *Editor) Get(ctx context.Context, key []byte, cells []value.Cell) (bool, error) {
	if x, ok := e.edit(key); ok {
		if x.row == nil {
			return false, nil
		}
		return true, value.DecodeTuple(x.row, e.base.Table.Schema.Primary.Phys, cells)
	}
	return e.base.Get(ctx, key, cells)
}

// edit is the edit of a key.
func (e *Editor) edit(key []byte) (*edit, bool) {
	return e.edits.Get(key)
}

// tuple is View.tuple with the edits so far.
func (e *Editor) tuple(ctx context.Context, key []byte) (row []byte, found, inBase bool, err error) {
	if x, ok := e.edit(key); ok {
		return x.row, x.row != nil, x.base, nil
	}
	return e.base.tuple(ctx, key)
}

// NextOrdinal is the hidden ordinal that the next row of a keyless table gets: one above the last row's, 0 in an empty table.
func (e *Editor) NextOrdinal(ctx context.Context) (int64, error) {
	if e.next < 0 {
		n, err := nextOrdinal(ctx, e.View())
		if err != nil {
			return 0, err
		}
		e.next = n
	}
	return e.next, nil
}

func nextOrdinal(ctx context.Context, v *View) (int64, error) {
	if v.Count() == 0 {
		return 0, nil
	}
	b, ok, err := v.Scan(ScanOptions{Rows: RowsTree, Reverse: true}).Next(ctx)
	if err != nil || !ok {
		return 0, err
	}
	if b.Page != nil {
		c, err := b.Page.Cell(ctx, 0, b.Hi-1)
		return c.Int() + 1, err
	}
	cells := make([]value.Cell, len(v.Table.Schema.Primary.Phys))
	if err := value.DecodeTuple(b.Row, v.Table.Schema.Primary.Phys, cells); err != nil {
		return 0, err
	}
	return cells[0].Int() + 1, nil
}

// Insert adds a row. Of a keyless table the first cell is set here. A row with its key is a *DuplicateKeyError.
func (e *Editor) Insert(ctx context.Context, row []value.Cell) error {
	if e.base.Table.Schema.Keyless() {
		n, err := e.NextOrdinal(ctx)
		if err != nil {
			return err
		}
		row = append(e.cells[:0], row...)
		row[0] = value.IntCell(n)
		e.cells = row
	}
	if err := e.insert(ctx, row); err != nil {
		return err
	}
	if e.next >= 0 {
		e.next++
	}
	return nil
}

// InsertAt is Insert where a row of a keyless table has the ordinal of its first cell if no other row has it.
func (e *Editor) InsertAt(ctx context.Context, row []value.Cell) error {
	if !e.base.Table.Schema.Keyless() {
		return e.Insert(ctx, row)
	}
	key := e.base.Table.Schema.Primary.AppendKey(nil, row)
	if _, found, _, err := e.tuple(ctx, key); err != nil {
		return err
	} else if found {
		return e.Insert(ctx, row)
	}
	e.next = -1
	return e.insert(ctx, row)
}

func (e *Editor) insert(ctx context.Context, row []value.Cell) error {
	l := e.base.Table.Schema.Primary
	cells := append(e.cells[:0], row...)
	e.cells = cells
	key := l.AppendKey(e.key[:0], cells)
	e.key = key
	old, found, inBase, err := e.tuple(ctx, key)
	if err != nil {
		return err
	}
	if found {
		return e.duplicate("PRIMARY", l, cells, old)
	}
	if err := e.checkUnique(ctx, cells, key); err != nil {
		return err
	}
	return e.put(ctx, key, nil, inBase, cells)
}

// Delete takes away the row with the key of row; false when there is none.
func (e *Editor) Delete(ctx context.Context, row []value.Cell) (bool, error) {
	key := e.base.Table.Schema.Primary.AppendKey(e.key[:0], row)
	e.key = key
	old, found, inBase, err := e.tuple(ctx, key)
	if err != nil || !found {
		return false, err
	}
	e.next = -1
	return true, e.drop(ctx, key, old, inBase)
}

// Update replaces the row with the key of old by the row new; false when there is none.
func (e *Editor) Update(ctx context.Context, old, new []value.Cell) (bool, error) {
	l := e.base.Table.Schema.Primary
	key := l.AppendKey(e.key[:0], old)
	e.key = key
	before, found, inBase, err := e.tuple(ctx, key)
	if err != nil || !found {
		return false, err
	}
	cells := append(e.cells[:0], new...)
	e.cells = cells
	if e.base.Table.Schema.Keyless() {
		cells[0] = old[0]
	}
	newKey := l.AppendKey(e.newKey[:0], cells)
	e.newKey = newKey
	if bytes.Equal(key, newKey) {
		if err := e.checkUnique(ctx, cells, key); err != nil {
			return false, err
		}
		return true, e.put(ctx, key, before, inBase, cells)
	}
	other, found, otherBase, err := e.tuple(ctx, newKey)
	if err != nil {
		return false, err
	}
	if found {
		return false, e.duplicate("PRIMARY", l, cells, other)
	}
	if err := e.checkUnique(ctx, cells, key); err != nil {
		return false, err
	}
	if err := e.drop(ctx, key, before, inBase); err != nil {
		return false, err
	}
	return true, e.put(ctx, newKey, nil, otherBase, cells)
}

// put writes the row cells under key, where the tuple before stood (nil for none).
func (e *Editor) put(ctx context.Context, key, before []byte, inBase bool, cells []value.Cell) error {
	s := e.base.Table.Schema
	if err := e.indexes(ctx, before, cells); err != nil {
		return err
	}
	if err := store(ctx, e.w, s.Primary, e.base.Table.Schema.Types, e.base.Table.Schema.InKey, cells); err != nil {
		return err
	}
	e.row = value.AppendTuple(e.row[:0], s.Primary.Phys, cells)
	e.record(before, newEntry(key, e.row, inBase))
	return nil
}

func (e *Editor) drop(ctx context.Context, key, before []byte, inBase bool) error {
	if err := e.indexes(ctx, before, nil); err != nil {
		return err
	}
	e.record(before, newEntry(key, nil, inBase))
	return nil
}

// record makes an edit of the row before, nil for none, and those of the indexes that come with it.
func (e *Editor) record(before []byte, now *entry) {
	x := &edit{entry: now, old: before}
	e.late = append(e.late, lateEdit{RowsTree, now})
	e.bytes += entryBytes(now)
	if earlier, ok := e.edits.Set(x); ok {
		e.bytes -= entryBytes(earlier.entry)
		x = &edit{entry: now, old: earlier.old}
		e.edits.Set(x)
	}
	if x.old == nil && now.row == nil {
		e.edits.Delete(x.key)
		e.bytes -= entryBytes(now)
	}
	for _, y := range e.todo {
		e.late = append(e.late, y)
		e.bytes += entryBytes(y.entry)
		earlier, ok := e.index[y.n].Set(y.entry)
		if ok {
			e.bytes -= entryBytes(earlier)
		}
		// Of a row that was not there before no index has an entry to be taken away. To do it still would take away that of a row which
		// others have added under the key meanwhile.
		if x.old == nil && y.row == nil {
			e.index[y.n].Delete(y.key)
			e.bytes -= entryBytes(y.entry)
		}
	}
}

// setIndex notes an edit of index n, which record makes; a nil row deletes.
func (e *Editor) setIndex(n int, key, row []byte) {
	e.todo = append(e.todo, lateEdit{Rows(n), newEntry(key, row, false)})
}

// indexes takes the entries of the tuple before out of the indexes and puts those of the row after in; nil is none.
func (e *Editor) indexes(ctx context.Context, before []byte, after []value.Cell) error {
	e.todo = e.todo[:0]
	return indexEdits(ctx, e.w, e.base.Table.Schema, e.base.Table.Schema.Types, e, before, after)
}

// indexSetter is what keeps edits of indexes.
type indexSetter interface {
	setIndex(n int, key, row []byte)
}

// indexEdits derives the edits of the indexes from that of a row.
func indexEdits(ctx context.Context, r chunk.Reader, s *schema.Compiled, types []value.Type, o indexSetter, before []byte, after []value.Cell) error {
	if len(s.Index) == 0 {
		return nil
	}
	var old []value.Cell
	if before != nil {
		old = make([]value.Cell, len(s.Primary.Phys))
		if err := value.DecodeTuple(before, s.Primary.Phys, old); err != nil {
			return err
		}
	}
	for n, l := range s.Index {
		out := make([]value.Cell, len(l.Source))
		var oldKey, newKey, newRow []byte
		if old != nil {
			if err := indexCells(ctx, r, l, types, old, out); err != nil {
				return err
			}
			oldKey = l.AppendKey(nil, out)
		}
		if after != nil {
			if err := indexCells(ctx, r, l, types, after, out); err != nil {
				return err
			}
			newKey, newRow = l.AppendKey(nil, out), value.AppendTuple(nil, l.Phys, out)
		}
		if oldKey != nil && !bytes.Equal(oldKey, newKey) {
			o.setIndex(n, oldKey, nil)
		}
		if newKey != nil {
			o.setIndex(n, newKey, newRow)
		}
	}
	return nil
}

// checkUnique looks for another row, not the one under own, with the values that cells has in a unique index.
func (e *Editor) checkUnique(ctx context.Context, cells []value.Cell, own []byte) error {
	s := e.base.Table.Schema
	for n := range s.Indexes {
		if !s.Indexes[n].Unique {
			continue
		}
		l := s.Index[n]
		out := make([]value.Cell, len(l.Source))
		if err := indexCells(ctx, e.w, l, e.base.Table.Schema.Types, cells, out); err != nil {
			return err
		}
		p, ok := uniquePrefix(l, len(s.Indexes[n].Columns), out)
		if !ok {
			continue
		}
		existing, err := e.other(ctx, n, p, own)
		if err != nil {
			return err
		}
		if existing != nil {
			return duplicate(s.Indexes[n].Name, out[:len(s.Indexes[n].Columns)], existing, s.Primary)
		}
	}
	return nil
}

// uniquePrefix is the range of an index's keys that have the same values in its own columns, width of them; false when one is NULL.
func uniquePrefix(l *schema.Layout, width int, cells []value.Cell) (p keyPrefix, ok bool) {
	for i := range width {
		if cells[i].IsNull() {
			return p, false
		}
		p.lo = value.AppendKeyPart(p.lo, &l.Parts[i], cells[i])
	}
	p.hi = value.PrefixEnd(p.lo)
	return p, true
}

// other is a row, not the one under own, with an entry in that range of index n; nil for none.
func (e *Editor) other(ctx context.Context, n int, p keyPrefix, own []byte) ([]byte, error) {
	scan := e.base.Scan(ScanOptions{Rows: Rows(n), Lo: p.lo, Hi: p.hi})
	for {
		b, ok, err := scan.Next(ctx)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		hi := b.Hi
		if b.Page == nil {
			hi = b.Lo + 1
		}
		for i := b.Lo; i < hi; i++ {
			row := b.Row
			if b.Page != nil {
				if row, err = b.Page.AppendRow(ctx, nil, i); err != nil {
					return nil, err
				}
			}
			key, err := e.base.rowKey(n, row)
			if err != nil {
				return nil, err
			}
			if bytes.Equal(key, own) {
				continue
			}
			if _, edited := e.edit(key); edited {
				continue // its entry, if it has one in the range still, is among the edits
			}
			return e.named(ctx, n, key)
		}
	}
	it := e.index[n].Iter()
	for ok := it.Seek(p.lo); ok && (p.hi == nil || bytes.Compare(it.Item().key, p.hi) < 0); ok = it.Next() {
		if it.Item().row == nil {
			continue
		}
		key, err := e.base.rowKey(n, it.Item().row)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(key, own) {
			return e.named(ctx, n, key)
		}
	}
	return nil, nil
}

// named is the row of that key, which index n names.
func (e *Editor) named(ctx context.Context, n int, key []byte) ([]byte, error) {
	row, found, _, err := e.tuple(ctx, key)
	if err == nil && !found {
		err = errs.New(errs.Corrupt, "read index %s: it names a row that the table lacks", e.base.Table.Schema.Indexes[n].Name)
	}
	return row, err
}

// rowKey is the primary key of the row that a tuple of index n names.
func (v *View) rowKey(n int, tuple []byte) ([]byte, error) {
	s := v.Table.Schema
	l := s.Index[n]
	cells := make([]value.Cell, len(l.Source))
	if err := value.DecodeTuple(tuple, l.Phys, cells); err != nil {
		return nil, err
	}
	return v.RowKey(n, cells), nil
}

// RowKey is the primary key of the row that an entry of index n names, given the entry's cells.
func (v *View) RowKey(n int, cells []value.Cell) []byte {
	s := v.Table.Schema
	var key []byte
	for i := range s.Primary.Parts {
		for j, src := range s.Index[n].Source {
			if src.Cell == s.Primary.Key[i] && (src.Prefix == 0 || src.Prefix == s.Primary.Parts[i].Prefix) {
				key = value.AppendKeyPart(key, &s.Primary.Parts[i], cells[j])
				break
			}
		}
	}
	return key
}

func (e *Editor) duplicate(index string, l *schema.Layout, cells []value.Cell, existing []byte) error {
	var vals []value.Cell
	for _, k := range l.Key {
		vals = append(vals, cells[k].Clone())
	}
	return duplicate(index, vals, existing, l)
}

func duplicate(index string, vals []value.Cell, existing []byte, l *schema.Layout) error {
	cells := make([]value.Cell, len(l.Phys))
	if err := value.DecodeTuple(existing, l.Phys, cells); err != nil {
		return err
	}
	return &DuplicateKeyError{Index: index, Values: vals, Existing: cells}
}

// Mark is a moment of an editor to which it can go back.
type Mark struct {
	edits *edits
	index []*entries
	bytes int64
	over  *Overlay // of the view; nil when there was none
	late  []lateEdit
}

// Mark remembers the present edits.
func (e *Editor) Mark() Mark {
	m := Mark{edits: e.edits.Copy(), index: copyAll(e.index), bytes: e.bytes, late: e.late[:len(e.late):len(e.late)]}
	if e.view != nil {
		m.over = e.view.over.Copy()
	}
	return m
}

func copyAll(list []*entries) []*entries {
	out := make([]*entries, len(list))
	for i := range list {
		out[i] = list[i].Copy()
	}
	return out
}

// Reset undoes all edits since the mark, which stays usable.
func (e *Editor) Reset(m Mark) {
	e.edits, e.index, e.bytes, e.late = m.edits.Copy(), copyAll(m.index), m.bytes, m.late
	e.view = nil
	if m.over != nil {
		e.view = e.base.WithOverlay(m.over.Copy())
	}
	e.next = -1
}
