package table

import (
	"bytes"
	"context"

	"github.com/tidwall/btree"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
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

// edit is what a transaction did to one key: the row before its first edit and the row now; nil is absent.
type edit struct {
	key, old, new []byte
}

func editLess(a, b edit) bool { return bytes.Compare(a.key, b.key) < 0 }

// Editor edits a table within a transaction: it keeps the changed view, and what was changed. It belongs to one goroutine.
// Rows are given as cells of the rows' layout; of a keyless table the first cell is the hidden ordinal.
//
// A *DuplicateKeyError leaves the editor as it was. After any other error the last edit may be there in part: Reset goes back to
// before it.
type Editor struct {
	w     chunk.Store
	view  *View
	edits *btree.BTreeG[edit]
	types []value.Type // of the rows' layout
	key   []bool       // which cells are part of the primary key
	next  int64        // ordinal of the next row of a keyless table; -1 until known
	found int64        // bytes of the overlay before the first edit
	cells []value.Cell // scratch
}

// NewEditor edits a view through a private copy of its overlay. Long cells are written to w.
func NewEditor(w chunk.Store, v *View) *Editor {
	o := v.over
	if o == nil {
		o = NewOverlay(len(v.Table.Indexes))
	} else {
		o = o.Copy()
	}
	e := &Editor{w: w, view: NewView(w, v.Table, o).WithZones(v.zones), next: -1, found: o.bytes}
	e.edits = btree.NewBTreeGOptions(editLess, btree.Options{NoLocks: true})
	e.types, e.key = rowTypes(v.Table.Schema)
	return e
}

// rowTypes gives the types of the cells of the rows' layout and which are part of the primary key.
func rowTypes(s *schema.Compiled) ([]value.Type, []bool) {
	var types []value.Type
	if s.Keyless() {
		types = append(types, value.Type{Kind: value.KindInt64})
	}
	for i := range s.Columns {
		types = append(types, s.Columns[i].Type)
	}
	key := make([]bool, len(types))
	for _, k := range s.Primary.Key {
		key[k] = true
	}
	return types, key
}

// View is the table with the edits so far. Later edits may show in it; Freeze gives one that stands still.
func (e *Editor) View() *View { return e.view }

// Freeze is a view that later edits do not touch.
func (e *Editor) Freeze() *View { return e.view.WithOverlay(e.view.over.Copy()) }

// Dirty tells whether there are edits.
func (e *Editor) Dirty() bool { return e.edits.Len() > 0 }

// Bytes is about the memory of this editor's edits, those of the overlay below them not counted.
func (e *Editor) Bytes() int64 { return max(0, e.view.over.bytes-e.found) }

// NextOrdinal is the hidden ordinal that the next row of a keyless table gets: one above the last row's, 0 in an empty table.
func (e *Editor) NextOrdinal(ctx context.Context) (int64, error) {
	if e.next < 0 {
		n, err := nextOrdinal(ctx, e.view)
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
	l := e.view.Table.Schema.Primary
	cells := append(e.cells[:0], row...)
	e.cells = cells
	if e.view.Table.Schema.Keyless() {
		n, err := e.NextOrdinal(ctx)
		if err != nil {
			return err
		}
		cells[0] = value.IntCell(n)
	}
	key := l.AppendKey(nil, cells)
	old, found, inBase, err := e.view.tuple(ctx, key)
	if err != nil {
		return err
	}
	if found {
		return e.duplicate("PRIMARY", l, cells, old)
	}
	if err := e.checkUnique(ctx, cells, key); err != nil {
		return err
	}
	if err := e.put(ctx, key, nil, inBase, cells); err != nil {
		return err
	}
	if e.next >= 0 {
		e.next++
	}
	return nil
}

// Delete takes away the row with the key of row; false when there is none.
func (e *Editor) Delete(ctx context.Context, row []value.Cell) (bool, error) {
	key := e.view.Table.Schema.Primary.AppendKey(nil, row)
	old, found, inBase, err := e.view.tuple(ctx, key)
	if err != nil || !found {
		return false, err
	}
	e.next = -1
	return true, e.drop(ctx, key, old, inBase)
}

// Update replaces the row with the key of old by the row new; false when there is none.
func (e *Editor) Update(ctx context.Context, old, new []value.Cell) (bool, error) {
	l := e.view.Table.Schema.Primary
	key := l.AppendKey(nil, old)
	before, found, inBase, err := e.view.tuple(ctx, key)
	if err != nil || !found {
		return false, err
	}
	cells := append(e.cells[:0], new...)
	e.cells = cells
	if e.view.Table.Schema.Keyless() {
		cells[0] = old[0]
	}
	newKey := l.AppendKey(nil, cells)
	if bytes.Equal(key, newKey) {
		if err := e.checkUnique(ctx, cells, key); err != nil {
			return false, err
		}
		return true, e.put(ctx, key, before, inBase, cells)
	}
	other, found, otherBase, err := e.view.tuple(ctx, newKey)
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
	s := e.view.Table.Schema
	if err := e.indexes(ctx, before, cells); err != nil {
		return err
	}
	if err := store(ctx, e.w, s.Primary, e.types, e.key, cells); err != nil {
		return err
	}
	row := value.AppendTuple(nil, s.Primary.Phys, cells)
	e.record(key, before, row)
	e.view.over.setRow(key, row, inBase)
	return nil
}

func (e *Editor) drop(ctx context.Context, key, before []byte, inBase bool) error {
	if err := e.indexes(ctx, before, nil); err != nil {
		return err
	}
	e.record(key, before, nil)
	e.view.over.setRow(key, nil, inBase)
	return nil
}

func (e *Editor) record(key, before, after []byte) {
	if x, ok := e.edits.Get(edit{key: key}); ok {
		before = x.old
	}
	if before == nil && after == nil {
		e.edits.Delete(edit{key: key})
		return
	}
	e.edits.Set(edit{key: key, old: before, new: after})
}

// indexes takes the entries of the tuple before out of the indexes and puts those of the row after in; nil is none.
func (e *Editor) indexes(ctx context.Context, before []byte, after []value.Cell) error {
	return indexEdits(ctx, e.w, e.view.Table.Schema, e.types, e.view.over, before, after)
}

// indexEdits derives the edits of the indexes from that of a row.
func indexEdits(ctx context.Context, r chunk.Reader, s *schema.Compiled, types []value.Type, o *Overlay, before []byte, after []value.Cell) error {
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
	return checkUnique(ctx, e.view, e.types, cells, own)
}

func checkUnique(ctx context.Context, v *View, types []value.Type, cells []value.Cell, own []byte) error {
	s := v.Table.Schema
	for n := range s.Indexes {
		if !s.Indexes[n].Unique {
			continue
		}
		l := s.Index[n]
		out := make([]value.Cell, len(l.Source))
		if err := indexCells(ctx, v.r, l, types, cells, out); err != nil {
			return err
		}
		width := len(s.Indexes[n].Columns)
		var prefix []byte
		null := false
		for i := 0; i < width; i++ {
			null = null || out[i].IsNull()
			prefix = value.AppendKeyPart(prefix, &l.Parts[i], out[i])
		}
		if null {
			continue
		}
		scan := v.Scan(ScanOptions{Rows: Rows(n), Lo: prefix, Hi: value.PrefixEnd(prefix)})
		for {
			b, ok, err := scan.Next(ctx)
			if err != nil {
				return err
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
						return err
					}
				}
				key, err := v.rowKey(n, row)
				if err != nil {
					return err
				}
				if bytes.Equal(key, own) {
					continue
				}
				existing, found, _, err := v.tuple(ctx, key)
				if err != nil {
					return err
				}
				if !found {
					return errs.New(errs.Corrupt, "read index %s: it names a row that the table lacks", s.Indexes[n].Name)
				}
				return duplicate(s.Indexes[n].Name, out[:width], existing, s.Primary)
			}
		}
	}
	return nil
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
	over  *Overlay
	edits *btree.BTreeG[edit]
}

// Mark remembers the present edits.
func (e *Editor) Mark() Mark { return Mark{over: e.view.over.Copy(), edits: e.edits.Copy()} }

// Reset undoes all edits since the mark, which stays usable.
func (e *Editor) Reset(m Mark) {
	e.view = e.view.WithOverlay(m.over.Copy())
	e.edits = m.edits.Copy()
	e.next = -1
}
