package table

import (
	"encoding/binary"
)

// rowBuffer keeps rows in memory in the order in which they are added, until sort puts them into key order. It holds them in slabs,
// so that it never moves what it has, and gives them out again and again after reset.
type rowBuffer struct {
	slabs [][]byte // what spans several slabs is in the first; the others are nil
	refs  []rowRef
	bytes int // of rows
}

// rowRef names a row of a buffer.
type rowRef struct {
	prefix uint64 // eight bytes of its key, at the depth to which the rows are sorted
	at     uint32 // slab number << slabBits | place in the slab; ascending in the order added
}

const (
	slabBits = 20
	slabSize = 1 << slabBits
	refSize  = 16
	maxSlabs = 1 << (32 - slabBits)
)

// add appends a row: the lengths of key and row as uvarints, then both.
func (b *rowBuffer) add(key, row []byte) {
	n := len(key) + len(row) + 2*binary.MaxVarintLen32
	last := len(b.slabs) - 1
	if last < 0 || cap(b.slabs[last])-len(b.slabs[last]) < n {
		b.grow(n)
		last = len(b.slabs) - 1
		for b.slabs[last] == nil {
			last--
		}
	}
	d := b.slabs[last]
	at := len(d)
	b.refs = append(b.refs, rowRef{prefix: window(key, 0), at: uint32(last<<slabBits | at)})
	d = binary.AppendUvarint(d, uint64(len(key)))
	d = binary.AppendUvarint(d, uint64(len(row)))
	d = append(append(d, key...), row...)
	b.slabs[last] = d
	b.bytes += len(d) - at
}

// grow makes room for a row of n bytes.
func (b *rowBuffer) grow(n int) {
	if n <= slabSize && len(b.slabs) < cap(b.slabs) {
		if spare := b.slabs[:len(b.slabs)+1][len(b.slabs)]; cap(spare) == slabSize {
			b.slabs = append(b.slabs, spare[:0])
			return
		}
	}
	b.slabs = append(b.slabs, make([]byte, 0, max(n, slabSize)))
	for ; n > slabSize; n -= slabSize {
		b.slabs = append(b.slabs, nil)
	}
}

// reset empties b and keeps its memory.
func (b *rowBuffer) reset() { b.slabs, b.refs, b.bytes = b.slabs[:0], b.refs[:0], 0 }

// full tells whether a row of n bytes more would make b larger than limit.
func (b *rowBuffer) full(n, limit int) bool {
	return len(b.refs) > 0 && (b.bytes+n+refSize*len(b.refs) > limit || len(b.slabs)+n>>slabBits+2 > maxSlabs)
}

// record is the row's bytes from its lengths on; key and row alias them.
func (b *rowBuffer) record(r rowRef) (rec, key, row []byte) {
	d := b.slabs[r.at>>slabBits][r.at&(slabSize-1):]
	k, n := binary.Uvarint(d)
	l, m := binary.Uvarint(d[n:])
	head, end := n+m, n+m+int(k)+int(l)
	return d[:end], d[head : head+int(k)], d[head+int(k) : end]
}

func (b *rowBuffer) key(r rowRef) []byte { _, k, _ := b.record(r); return k }

// window is eight bytes of a key from depth on as a number, with zeros behind the key's end.
func window(key []byte, depth int) uint64 {
	if len(key) >= depth+8 {
		return binary.BigEndian.Uint64(key[depth:])
	}
	var w [8]byte
	if len(key) > depth {
		copy(w[:], key[depth:])
	}
	return binary.BigEndian.Uint64(w[:])
}
