package ingest

import (
	"sync"
	"sync/atomic"

	"github.com/zeebo/xxh3"
)

// keySearch finds the columns in which no value comes twice. It keeps a 64-bit hash of each value: a column in which one comes twice is
// always found out; that a column without is taken for one with, because two values have one hash, has a probability of about
// n²/2⁶⁵, 3 in a million for ten million rows.
type keySearch struct {
	columns []keyColumn
	memory  atomic.Int64 // bytes that the sets may still take
	gaveUp  atomic.Bool
}

type keyColumn struct {
	closed atomic.Bool // a value came twice, or was NULL or empty
	mu     sync.Mutex
	set    hashSet
}

func newKeySearch(columns, memory int) *keySearch {
	k := &keySearch{columns: make([]keyColumn, columns)}
	k.memory.Store(int64(memory))
	return k
}

func (k *keySearch) hash(text []byte) uint64 { return max(xxh3.Hash(text), 1) }

// open tells whether a column may still be a key.
func (k *keySearch) open(c int) bool { return !k.columns[c].closed.Load() }

// close drops a column.
func (k *keySearch) close(c int) { k.columns[c].closed.Store(true) }

// add takes the hashes of more values of each column.
func (k *keySearch) add(hashes [][]uint64) {
	for c := range k.columns {
		if k.open(c) {
			k.columns[c].add(k, hashes[c])
		}
	}
}

func (c *keyColumn) add(k *keySearch, hashes []uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range hashes {
		if 4*(c.set.n+1) > 3*len(c.set.slots) {
			was := len(c.set.slots)
			if k.memory.Add(-8*int64(max(was, 1<<10))) < 0 {
				k.gaveUp.Store(true)
				c.closed.Store(true)
			} else {
				c.set.grow()
			}
		}
		if c.closed.Load() || !c.set.add(h) {
			c.closed.Store(true)
			k.memory.Add(8 * int64(len(c.set.slots)))
			c.set = hashSet{}
			return
		}
	}
}

// result is the columns that are left; ok is false when memory ended the search of one.
func (k *keySearch) result() (unique []int, ok bool) {
	if k.gaveUp.Load() {
		return nil, false
	}
	for c := range k.columns {
		if k.open(c) {
			unique = append(unique, c)
		}
	}
	return unique, true
}

// hashSet is a set of hashes other than 0, with open addressing.
type hashSet struct {
	slots []uint64 // their number is a power of two
	n     int
}

// add tells whether h is new. There must be room.
func (s *hashSet) add(h uint64) bool {
	mask := uint64(len(s.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		switch s.slots[i] {
		case h:
			return false
		case 0:
			s.slots[i] = h
			s.n++
			return true
		}
	}
}

func (s *hashSet) grow() {
	old := s.slots
	s.slots, s.n = make([]uint64, max(1<<10, 2*len(old))), 0
	for _, h := range old {
		if h != 0 {
			s.add(h)
		}
	}
}
