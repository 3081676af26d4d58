package diff

import (
	"bytes"
	"hash/maphash"
)

// keyNotes is a map from keys of rows to small numbers, for many keys: it has no pointers that garbage collection would follow, and copies a key
// only when it is new. The zero value is empty.
type keyNotes struct {
	seed    maphash.Seed
	first   map[uint64]int32 // the last entry of a hash
	entries []keyNote
	keys    []byte // one behind the other, in the order of entries
}

// keyNote is a key and its number.
type keyNote struct {
	end   uint64 // of the key in keys; it begins where the one before ends
	note  int32
	other int32 // an entry with the same hash, -1 for none
}

// get is the number of a key.
func (m *keyNotes) get(key []byte) (note int32, ok bool) {
	if len(m.entries) == 0 {
		return 0, false
	}
	i := m.find(maphash.Bytes(m.seed, key), key)
	if i < 0 {
		return 0, false
	}
	return m.entries[i].note, true
}

// add gives a key a number, unless it has one.
func (m *keyNotes) add(key []byte, note int32) {
	if m.first == nil {
		m.first, m.seed = map[uint64]int32{}, maphash.MakeSeed()
	}
	h := maphash.Bytes(m.seed, key)
	other, ok := m.first[h]
	if !ok {
		other = -1
	} else if m.find(h, key) >= 0 {
		return
	}
	m.keys = append(m.keys, key...)
	m.first[h] = int32(len(m.entries))
	m.entries = append(m.entries, keyNote{uint64(len(m.keys)), note, other})
}

// find is the entry of a key with that hash, -1 when there is none.
func (m *keyNotes) find(h uint64, key []byte) int32 {
	i, ok := m.first[h]
	for ; ok && i >= 0; i = m.entries[i].other {
		begin := uint64(0)
		if i > 0 {
			begin = m.entries[i-1].end
		}
		if bytes.Equal(m.keys[begin:m.entries[i].end], key) {
			return i
		}
	}
	return -1
}
