package table

import (
	"bytes"
	"sync"

	"github.com/tidwall/btree"
)

// entry is a key of an overlay with its row; a nil row says that the key is deleted.
type entry struct {
	key, row []byte
	base     bool // whether the tree below has the key
}

func entryLess(a, b entry) bool { return bytes.Compare(a.key, b.key) < 0 }

func newEntries() *btree.BTreeG[entry] {
	return btree.NewBTreeGOptions(entryLess, btree.Options{NoLocks: true})
}

// Overlay is the edits above a table's trees, in key order: those of its rows and, derived from them, of each index. A snapshot
// costs nothing, so a reader keeps the one it began with. Once shared, an overlay is changed no more.
type Overlay struct {
	mu    sync.Mutex // of Copy: copying marks the shared nodes
	rows  *btree.BTreeG[entry]
	index []*btree.BTreeG[entry]
	delta int64 // rows that it adds to the tree's count
	bytes int64 // of keys and rows, about
}

// NewOverlay is an empty overlay for a table with that many indexes.
func NewOverlay(indexes int) *Overlay {
	o := &Overlay{rows: newEntries(), index: make([]*btree.BTreeG[entry], indexes)}
	for i := range o.index {
		o.index[i] = newEntries()
	}
	return o
}

// Copy is an overlay with the same edits that can be changed on its own.
func (o *Overlay) Copy() *Overlay {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := &Overlay{rows: o.rows.Copy(), index: make([]*btree.BTreeG[entry], len(o.index)), delta: o.delta, bytes: o.bytes}
	for i := range o.index {
		c.index[i] = o.index[i].Copy()
	}
	return c
}

// Len is the number of edited rows.
func (o *Overlay) Len() int {
	if o == nil {
		return 0
	}
	return o.rows.Len()
}

// Bytes is about the memory that the edits take.
func (o *Overlay) Bytes() int64 {
	if o == nil {
		return 0
	}
	return o.bytes
}

// Delta is the number of rows that the overlay adds to those of the tree; negative when it deletes more.
func (o *Overlay) Delta() int64 {
	if o == nil {
		return 0
	}
	return o.delta
}

// setRow puts a row edit. inBase tells whether the tree has the key.
func (o *Overlay) setRow(key, row []byte, inBase bool) {
	e := entry{key: key, row: row, base: inBase}
	if row == nil && !inBase {
		if old, ok := o.rows.Delete(e); ok {
			o.account(old, -1)
		}
		return
	}
	if old, ok := o.rows.Set(e); ok {
		o.account(old, -1)
	}
	o.account(e, 1)
}

func (o *Overlay) account(e entry, sign int64) {
	var d int64
	if e.row != nil {
		d++
	}
	if e.base {
		d--
	}
	o.delta += sign * d
	o.bytes += sign * int64(len(e.key)+len(e.row)+96)
}

// setIndex puts an edit of index n; a nil row deletes.
func (o *Overlay) setIndex(n int, key, row []byte) {
	if old, ok := o.index[n].Set(entry{key: key, row: row}); ok {
		o.bytes -= int64(len(old.key) + len(old.row) + 96)
	}
	o.bytes += int64(len(key) + len(row) + 96)
}
