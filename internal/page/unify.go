package page

import (
	"bytes"
	"slices"
	"unsafe"

	"github.com/stemmadb/stemma/internal/value"
)

// Pages that are compared are versions of one page as a rule: their dictionaries are the same or nearly so. The same ones are known by
// their bytes; of front-coded ones the blocks up to the first difference are passed over by their bytes, and the entries behind it,
// which have moved to other places in their blocks, are compared by what is written of them.

// sameDict tells whether two dictionary segments have the same dictionary, byte for byte.
func (s *segment) sameDict(o *segment) bool {
	return s.d == o.d && s.store == o.store && s.strLen == o.strLen && bytes.Equal(s.offs, o.offs) && bytes.Equal(s.blob, o.blob)
}

// frontWalk goes through a front-coded dictionary from a restart point on.
type frontWalk struct {
	s      *segment
	c, pos int // the entry after the present one
	str    []byte
}

// next goes to the next entry; false when the dictionary is corrupt.
func (w *frontWalk) next() bool {
	restart := w.c%frontBlock == 0
	if restart && w.s.offset(w.c/frontBlock) != w.pos {
		return false
	}
	shared, suffix, next, ok := w.s.frontNext(w.pos, restart)
	if !ok || shared > len(w.str) {
		return false
	}
	w.c, w.pos = w.c+1, next
	w.str = append(w.str[:shared], suffix...)
	return true
}

// unifyFront is unifySorted for front-coded dictionaries, which are not expanded.
func (r *rankScratch) unifyFront(a, b *segment) error {
	k := sharedBlocks(a, b)
	first := k * frontBlock
	r.entries = r.entries[:0]
	if first > 0 {
		r.entries.add(0, 0, first)
	}
	wa, wb := &r.walkA, &r.walkB
	*wa = frontWalk{s: a, c: first, pos: a.offset(k), str: wa.str[:0]}
	*wb = frontWalk{s: b, c: first, pos: b.offset(k), str: wb.str[:0]}
	if !wa.next() || !wb.next() {
		return corrupt("bad front-coded dictionary")
	}
	for i, j := first, first; ; {
		c := bytes.Compare(wa.str, wb.str)
		switch {
		case c < 0:
			r.entries.add(i, -1, 1)
			i++
		case c > 0:
			r.entries.add(-1, j, 1)
			j++
		default:
			n := 1 + lockstep(wa, wb)
			r.entries.add(i, j, n)
			i, j = i+n, j+n
		}
		if i == a.d || j == b.d {
			r.entries.rest(i, a.d, j, b.d)
			return nil
		}
		if c <= 0 && !wa.next() || c >= 0 && !wb.next() {
			return corrupt("bad front-coded dictionary")
		}
	}
}

// place is where entry e is written in the blob, -1 when only a walk can tell.
func (w *frontWalk) place(e int) int {
	switch {
	case e == w.s.d:
		return len(w.s.blob)
	case e%frontBlock == 0:
		return w.s.offset(e / frontBlock)
	}
	return -1
}

// lockstep goes on to the last of the next entries that are the same in both dictionaries, whose present entries are equal, and returns
// how many it passed. It stops early at entries that are not short, and at what may be corrupt: next can deal with them.
func lockstep(a, b *frontWalk) (n int) {
	const room = 255 + 2*copySlack
	a.str = slices.Grow(a.str, room)
	str, size := unsafe.Pointer(unsafe.SliceData(a.str)), len(a.str)
	x, y := a.s.blob, b.s.blob
	xp, yp := unsafe.Pointer(unsafe.SliceData(x)), unsafe.Pointer(unsafe.SliceData(y))
	i, j := a.pos, b.pos
	left, known := min(a.s.d-a.c, b.s.d-b.c), 0
	for n < left {
		if ra, rb := (a.c+n)%frontBlock, (b.c+n)%frontBlock; ra != 0 && rb != 0 && n >= known {
			// Up to where a block or a dictionary ends no entry is written in full, so that equal bytes are equal entries.
			known = n + min(frontBlock-ra, frontBlock-rb, left-n)
			end := a.place(a.c + known)
			if end < 0 {
				end = b.place(b.c+known) - j + i
			}
			if end >= i && end <= len(x) && end-i <= len(y)-j && bytes.Equal(x[i:end], y[j:j+end-i]) {
				j -= i
				for ; n < known; n++ {
					if i >= end || !usualFront(x[i]) {
						break
					}
					shared, l := int(x[i]>>4), int(x[i]&frontMore)
					if shared > size || i+1+l > end {
						break
					}
					copy16(unsafe.Add(str, shared), unsafe.Add(xp, i+1))
					size = shared + l
					i += 1 + l
				}
				j += i
				if n == known {
					continue
				}
				break
			}
		}
		if i >= len(x) || j >= len(y) {
			break
		}
		// An entry begins with one byte: how many bytes it shares with the one before it, and the number of others, which follow.
		hx, hy := x[i], y[j]
		shared, l, ok := int(hx>>4), int(hx&frontMore), usualFront(hx)
		if c := a.c + n; c%frontBlock == 0 {
			shared, l, ok = 0, int(hx), hx <= copySlack && a.s.offset(c/frontBlock) == i
		}
		sharedB, m, okB := int(hy>>4), int(hy&frontMore), usualFront(hy)
		if c := b.c + n; c%frontBlock == 0 {
			sharedB, m, okB = 0, int(hy), hy <= copySlack && b.s.offset(c/frontBlock) == j
		}
		p, q := i+1, j+1
		if !ok || !okB || p+l > len(x) || q+m > len(y) || shared+l != sharedB+m || max(shared, sharedB) > size {
			break
		}
		// The entry with fewer bytes of its own is built, and those of the other are looked for in it. Memory behind a blob is readable
		// for tailLen bytes.
		more, from, less, other, k := shared, unsafe.Add(xp, p), sharedB, unsafe.Add(yp, q), m
		if shared < sharedB {
			more, from, less, other, k = sharedB, other, shared, from, l
		}
		end := unsafe.Add(str, more)
		low, high := load64(end, 0), load64(end, 8)
		copy16(end, from)
		if !same16(unsafe.Add(str, less), other, k) {
			le.PutUint64((*[8]byte)(end)[:], low)
			le.PutUint64((*[8]byte)(unsafe.Add(end, 8))[:], high)
			break
		}
		size = shared + l
		i, j = p+l, q+m
		n++
	}
	a.c, a.pos, a.str = a.c+n, i, a.str[:size]
	b.c, b.pos = b.c+n, j
	b.str = append(b.str[:0], a.str...)
	return n
}

// same16 tells whether the first n bytes at p and q are equal. n is at most 16; 16 bytes must be readable at both.
func same16(p, q unsafe.Pointer, n int) bool {
	low, high := load64(p, 0)^load64(q, 0), load64(p, 8)^load64(q, 8)
	if n < 8 {
		low, high = low&(1<<(8*n)-1), 0
	} else if n < 16 {
		high &= 1<<(8*n-64) - 1
	}
	return low|high == 0
}

// sharedBlocks is the number of leading blocks that are the same in both dictionaries and are not the last of either.
func sharedBlocks(a, b *segment) int {
	same := sharedLen(a.blob, b.blob)
	k := 0
	for most := min(blocks(a.d), blocks(b.d)) - 1; k < most; k++ {
		if end := a.offset(k + 1); end != b.offset(k+1) || end > same {
			break
		}
	}
	return k
}

// unifyKeys gives the entries of two sorted dictionaries their ranks in the union of both, equal ones by the order of the key, and
// returns the number of ranks.
func (p *packer) unifyKeys(kp *keyPart, a, b *flatDict, ra, rb []uint32) int {
	part := kp.part
	part.Desc = false
	p.r.keyA, p.r.spanA = sortKeys(p.r.keyA[:0], p.r.spanA[:0], a, &part)
	p.r.keyB, p.r.spanB = sortKeys(p.r.keyB[:0], p.r.spanB[:0], b, &part)
	ka, kb := p.r.spanA, p.r.spanB
	i, j, rank := 0, 0, 0
	for i < len(ka) || j < len(kb) {
		var key []byte
		if j == len(kb) || i < len(ka) && bytes.Compare(ka[i].of(p.r.keyA), kb[j].of(p.r.keyB)) <= 0 {
			key = ka[i].of(p.r.keyA)
		} else {
			key = kb[j].of(p.r.keyB)
		}
		for ; i < len(ka) && bytes.Equal(ka[i].of(p.r.keyA), key); i++ {
			ra[i] = uint32(rank)
		}
		for ; j < len(kb) && bytes.Equal(kb[j].of(p.r.keyB), key); j++ {
			rb[j] = uint32(rank)
		}
		rank++
	}
	return rank
}

func (s span) of(b []byte) []byte { return b[s.off : s.off+s.len] }

// sortKeys appends the sort key of every entry of d.
func sortKeys(buf []byte, spans []span, d *flatDict, part *value.KeyPart) ([]byte, []span) {
	for c := range d.d {
		at := len(buf)
		buf = value.AppendKeyPart(buf, part, value.BytesCell(d.get(c)))
		spans = append(spans, span{uint32(at), uint32(len(buf) - at)})
	}
	return buf, spans
}

// unifySorted pairs the entries of two dictionaries in the order of bytes.
func (p *pairing) unifySorted(a, b *flatDict) {
	*p = (*p)[:0]
	i, j := 0, 0
	for i < a.d && j < b.d {
		switch c := bytes.Compare(a.get(i), b.get(j)); {
		case c < 0:
			p.add(i, -1, 1)
			i++
		case c > 0:
			p.add(-1, j, 1)
			j++
		default:
			p.add(i, j, 1)
			i++
			j++
		}
	}
	p.rest(i, a.d, j, b.d)
}
