package table

import (
	"sync"

	"github.com/stemmadb/stemma/internal/keyset"
)

// entry is a key of an overlay with its row; a nil row says that the key is deleted. It is immutable, and overlays that were copied
// from each other share entries: two that hold the same one under a key have not changed there since. Pointers also keep the nodes
// small that an edit of a copy has to copy.
type entry struct {
	key, row []byte
	base     bool // whether the tree below has the key
}

// newEntry is an entry with copies of key and row. Short ones lie behind the entry in one object: those who compare keys find them
// near by, and the garbage collector has one object to look at in place of three.
func newEntry(key, row []byte, base bool) *entry {
	var e *entry
	var buf []byte
	switch n := len(key) + len(row); {
	case n <= 40:
		x := new(struct {
			entry
			buf [40]byte
		})
		e, buf = &x.entry, x.buf[:n]
	case n <= 72:
		x := new(struct {
			entry
			buf [72]byte
		})
		e, buf = &x.entry, x.buf[:n]
	case n <= 136:
		x := new(struct {
			entry
			buf [136]byte
		})
		e, buf = &x.entry, x.buf[:n]
	default:
		e, buf = new(entry), make([]byte, n)
	}
	e.base = base
	k := copy(buf, key)
	e.key = buf[:k:k]
	if row != nil {
		e.row = buf[k:]
		copy(e.row, row)
	}
	return e
}

// SortKey implements keyset.Keyed.
func (e *entry) SortKey() []byte { return e.key }

// entries is an ordered set of entries, one a key.
type entries = keyset.Set[*entry]

// iterator walks through entries.
type iterator = keyset.Iterator[*entry]

// Overlay is the edits above a table's trees, in key order: those of its rows and, derived from them, of each index. A snapshot
// costs nothing, so a reader keeps the one it began with. Once shared, an overlay is changed no more.
type Overlay struct {
	mu    sync.Mutex // of Copy: copying marks the shared nodes
	rows  *entries
	index []*entries
	delta int64 // rows that it adds to the tree's count
	bytes int64 // of keys and rows, about
}

// NewOverlay is an empty overlay for a table with that many indexes.
func NewOverlay(indexes int) *Overlay {
	o := &Overlay{rows: &entries{}, index: make([]*entries, indexes)}
	for i := range o.index {
		o.index[i] = &entries{}
	}
	return o
}

// Copy is an overlay with the same edits that can be changed on its own.
func (o *Overlay) Copy() *Overlay {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := &Overlay{rows: o.rows.Copy(), index: make([]*entries, len(o.index)), delta: o.delta, bytes: o.bytes}
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
	o.set(&entry{key: key, row: row, base: inBase})
}

// set puts an edit of a row; one that deletes what the tree lacks leaves nothing behind.
func (o *Overlay) set(e *entry) {
	if e.row == nil && !e.base {
		if old, ok := o.rows.Delete(e.key); ok {
			o.account(old, -1)
		}
		return
	}
	if old, ok := o.rows.Set(e); ok {
		o.account(old, -1)
	}
	o.account(e, 1)
}

func (o *Overlay) account(e *entry, sign int64) {
	var d int64
	if e.row != nil {
		d++
	}
	if e.base {
		d--
	}
	o.delta += sign * d
	o.bytes += sign * entryBytes(e)
}

// setIndex puts an edit of index n; a nil row deletes.
func (o *Overlay) setIndex(n int, key, row []byte) {
	o.putIndex(n, &entry{key: key, row: row})
}

func (o *Overlay) putIndex(n int, e *entry) {
	if old, ok := o.index[n].Set(e); ok {
		o.bytes -= entryBytes(old)
	}
	o.bytes += entryBytes(e)
}

// entryBytes is about the memory that an entry takes.
func entryBytes(e *entry) int64 { return int64(len(e.key) + len(e.row) + 96) }
