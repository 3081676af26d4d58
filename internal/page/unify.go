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
	shared int // bytes that the present entry has in common with the one before it
	suffix []byte
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
	w.c, w.pos, w.shared, w.suffix = w.c+1, next, shared, suffix
	w.str = append(w.str[:shared], suffix...)
	return true
}

// restart tells whether the present entry is written in full.
func (w *frontWalk) restart() bool { return (w.c-1)%frontBlock == 0 }

// unifyFront is unifySorted for front-coded dictionaries, which are not expanded.
func (r *rankScratch) unifyFront(a, b *segment, ra, rb []uint32) (int, error) {
	k := sharedBlocks(a, b)
	first := k * frontBlock
	for c := range first {
		ra[c], rb[c] = uint32(c), uint32(c)
	}
	wa, wb := &r.walkA, &r.walkB
	*wa = frontWalk{s: a, c: first, pos: a.offset(k), str: wa.str[:0]}
	*wb = frontWalk{s: b, c: first, pos: b.offset(k), str: wb.str[:0]}
	if !wa.next() || !wb.next() {
		return 0, corrupt("bad front-coded dictionary")
	}
	rank, follow := uint32(first), false // follow: the entries before these were equal
	for i, j := first, first; ; {
		c := 0
		if !follow || wa.restart() || wb.restart() || wa.shared != wb.shared || !bytes.Equal(wa.suffix, wb.suffix) {
			c = bytes.Compare(wa.str, wb.str)
		}
		follow = c == 0
		if c <= 0 {
			ra[i] = rank
			i++
		}
		if c >= 0 {
			rb[j] = rank
			j++
		}
		rank++
		if c == 0 {
			for range lockstep(wa, wb) {
				ra[i], rb[j] = rank, rank
				i, j, rank = i+1, j+1, rank+1
			}
		}
		if i == a.d || j == b.d {
			for ; i < a.d; i++ {
				ra[i] = rank
				rank++
			}
			for ; j < b.d; j++ {
				rb[j] = rank
				rank++
			}
			return int(rank), nil
		}
		if c <= 0 && !wa.next() || c >= 0 && !wb.next() {
			return 0, corrupt("bad front-coded dictionary")
		}
	}
}

// lockstep goes on to the last of the next entries that are the same in both dictionaries, whose present entries are equal, and returns
// how many it passed. It stops early at restart points and at entries that are not short: next can deal with them.
func lockstep(a, b *frontWalk) (n int) {
	const room = 255 + 2*copySlack
	a.str = slices.Grow(a.str, room)
	str, size := unsafe.Pointer(unsafe.SliceData(a.str)), len(a.str)
	x, y := a.s.blob, b.s.blob
	xp, yp := unsafe.Pointer(unsafe.SliceData(x)), unsafe.Pointer(unsafe.SliceData(y))
	i, j := a.pos, b.pos
	left := min(frontBlock-1-(a.c-1)%frontBlock, frontBlock-1-(b.c-1)%frontBlock, a.s.d-a.c, b.s.d-b.c)
	for ; n < left && i < len(x) && j < len(y); n++ {
		h := x[i]
		shared, l := int(h>>4), int(h&frontMore)
		if h != y[j] || !usualFront(h) || shared > size || i+1+l > len(x) || j+1+l > len(y) {
			break
		}
		// Memory behind a blob is readable for tailLen bytes.
		p, q := unsafe.Add(xp, i+1), unsafe.Add(yp, j+1)
		low, high := load64(p, 0)^load64(q, 0), load64(p, 8)^load64(q, 8)
		if l < 8 {
			low, high = low&(1<<(8*l)-1), 0
		} else if l < 16 {
			high &= 1<<(8*l-64) - 1
		}
		if low|high != 0 {
			break
		}
		copy16(unsafe.Add(str, shared), p)
		size = shared + l
		i, j = i+1+l, j+1+l
	}
	a.c, a.pos, a.str = a.c+n, i, a.str[:size]
	b.c, b.pos = b.c+n, j
	b.str = append(b.str[:0], a.str...)
	return n
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

// unify gives the entries of two sorted dictionaries their ranks in the union of both, equal ones by the order of the key, and
// returns the number of ranks.
func (p *packer) unify(kp *keyPart, a, b *flatDict, ra, rb []uint32) int {
	if kp.raw {
		return unifySorted(a, b, ra, rb)
	}
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

// unifySorted is unify for dictionaries in the order of bytes.
func unifySorted(a, b *flatDict, ra, rb []uint32) int {
	i, j, rank := 0, 0, uint32(0)
	for i < a.d && j < b.d {
		c := bytes.Compare(a.get(i), b.get(j))
		if c <= 0 {
			ra[i] = rank
			i++
		}
		if c >= 0 {
			rb[j] = rank
			j++
		}
		rank++
	}
	for ; i < a.d; i++ {
		ra[i] = rank
		rank++
	}
	for ; j < b.d; j++ {
		rb[j] = rank
		rank++
	}
	return int(rank)
}
