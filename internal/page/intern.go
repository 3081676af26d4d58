package page

import (
	"bytes"
	"slices"

	"github.com/zeebo/xxh3"
)

// intTable gives distinct whole numbers their ids in order of appearance. It is reset in O(1).
type intTable struct {
	slots []intSlot
	gen   uint32
	vals  []int64 // by id
}

type intSlot struct {
	val int64
	id  uint32
	gen uint32
}

// reset empties the table and makes room for n numbers.
func (t *intTable) reset(n int) {
	size := 16
	for size < 2*n {
		size *= 2
	}
	if t.gen++; len(t.slots) < size || t.gen == 0 {
		t.slots, t.gen = make([]intSlot, size), 1
	}
	t.vals = t.vals[:0]
}

// id is v's id, a new one when v is new.
func (t *intTable) id(v int64) uint32 {
	h := uint64(v) * 0x9e3779b97f4a7c15
	mask := uint64(len(t.slots) - 1)
	for p := (h ^ h>>32) & mask; ; p = (p + 1) & mask {
		s := &t.slots[p]
		if s.gen != t.gen {
			*s = intSlot{val: v, id: uint32(len(t.vals)), gen: t.gen}
			t.vals = append(t.vals, v)
			return s.id
		}
		if s.val == v {
			return s.id
		}
	}
}

// strTable holds distinct strings with their ids. The first sorted of them came from the dictionary of a page, ascending, and are
// found by binary search; the others are hashed. It is reset in O(1).
type strTable struct {
	slots  []strSlot
	gen    uint32
	hashed int
	sorted int
	shared []uint8 // bytes that the sorted ones share with the one before, when they came from a front-coded dictionary
	ents   []span
	arena  []byte
	last   uint32 // id of the string found last
}

type strSlot struct {
	hash uint32
	id   uint32
	gen  uint32
}

// span is a string in an arena.
type span struct{ off, len uint32 }

func (t *strTable) reset() {
	if t.gen++; t.gen == 0 || t.slots == nil {
		t.slots, t.gen = make([]strSlot, 1024), 1
	}
	t.hashed, t.sorted, t.ents, t.arena, t.shared = 0, 0, t.ents[:0], t.arena[:0], t.shared[:0]
}

func (t *strTable) get(id uint32) []byte {
	s := t.ents[id]
	return t.arena[s.off : s.off+s.len]
}

// id is b's id, a new one when b is new.
func (t *strTable) id(b []byte) uint32 {
	if int(t.last) < len(t.ents) && bytes.Equal(t.get(t.last), b) {
		return t.last
	}
	t.last = t.find(b)
	return t.last
}

func (t *strTable) find(b []byte) uint32 {
	if t.sorted > 0 {
		lo, hi := 0, t.sorted
		for lo < hi {
			m := int(uint(lo+hi) >> 1)
			if bytes.Compare(t.get(uint32(m)), b) < 0 {
				lo = m + 1
			} else {
				hi = m
			}
		}
		if lo < t.sorted && bytes.Equal(t.get(uint32(lo)), b) {
			return uint32(lo)
		}
	}
	return t.hashID(b)
}

// hashID is find for a string that is not among the sorted ones.
func (t *strTable) hashID(b []byte) uint32 {
	h := xxh3.Hash(b)
	mask := uint32(len(t.slots) - 1)
	tag := uint32(h >> 32)
	for p := uint32(h) & mask; ; p = (p + 1) & mask {
		s := &t.slots[p]
		if s.gen != t.gen {
			id := t.add(b)
			*s = strSlot{hash: tag, id: id, gen: t.gen}
			if t.hashed++; 2*t.hashed > len(t.slots) {
				t.enlarge()
			}
			return id
		}
		if s.hash == tag && bytes.Equal(t.get(s.id), b) {
			return s.id
		}
	}
}

// add appends a string without looking for it.
func (t *strTable) add(b []byte) uint32 {
	t.ents = append(t.ents, span{uint32(len(t.arena)), uint32(len(b))})
	t.arena = append(t.arena, b...)
	return uint32(len(t.ents) - 1)
}

func (t *strTable) enlarge() {
	t.slots, t.gen = make([]strSlot, 2*len(t.slots)), 1
	mask := uint32(len(t.slots) - 1)
	for id := t.sorted; id < len(t.ents); id++ {
		h := xxh3.Hash(t.get(uint32(id)))
		p := uint32(h) & mask
		for t.slots[p].gen == t.gen {
			p = (p + 1) & mask
		}
		t.slots[p] = strSlot{hash: uint32(h >> 32), id: uint32(id), gen: t.gen}
	}
}

// rebase makes the ascending strings of d the sorted part of a table that has none yet: their ids are their codes. It returns the
// new ids of the strings that were there.
func (t *strTable) rebase(d *flatDict, moved *[]uint32) []uint32 {
	old := slices.Clone(t.ents)
	t.gen++
	if t.gen == 0 {
		clear(t.slots)
		t.gen = 1
	}
	t.ents, t.hashed, t.last = t.ents[:0], 0, 0
	base := uint32(len(t.arena))
	t.arena = append(t.arena, d.data[d.offs[0]:d.offs[d.d]]...)
	for c := range d.d {
		t.ents = append(t.ents, span{base + d.offs[c] - d.offs[0], d.offs[c+1] - d.offs[c]})
	}
	t.sorted = d.d
	if d.front {
		t.shared = append(t.shared[:0], d.shared...)
	}
	m := grow(moved, max(1, len(old)))
	m[0] = 0 // NULL rows of a column without strings
	for id, s := range old {
		m[id] = t.find(t.arena[s.off : s.off+s.len])
	}
	return m
}
