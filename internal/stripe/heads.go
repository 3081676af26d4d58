package stripe

import (
	"slices"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// Heads is the heads of a block's pages, read: where each page has its segments. It is immutable.
type Heads struct {
	b     *Block
	data  []byte
	pages []pageAt // one more than there are
	segs  []segmentAt
}

// pageAt is where a page's head begins in the heads, and the first of its segments.
type pageAt struct{ head, seg int }

// segmentAt is a segment in its stripe.
type segmentAt struct {
	stripe int
	off    int
	size   int
}

// ParseHeads reads the first stripe of a block, which Check has passed. The bytes stay in use.
func ParseHeads(b *Block, data []byte) (*Heads, error) {
	h := &Heads{b: b, data: data, pages: make([]pageAt, 0, b.Pages+1)}
	bad := func(i int) (*Heads, error) {
		return nil, errs.New(errs.Corrupt, "page %d of the block at byte %d does not fit its stripes", i, b.Off)
	}
	ends := make([]int, len(b.Stripes))
	at := hash.Size * b.Pages
	for i := range b.Pages {
		h.pages = append(h.pages, pageAt{at, len(h.segs)})
		if at > len(data) {
			return bad(i)
		}
		head, page, ok := headLen(data[at:])
		if !ok || head > len(data)-at {
			return bad(i)
		}
		ok = segmentsOf(data[at:at+head], page, func(s pageSegment) {
			k := b.Find(s.id)
			if k < 1 || s.size > b.Stripes[k].Len-ends[k] {
				k, s.size = 0, 0
			}
			h.segs = append(h.segs, segmentAt{k, ends[k], s.size})
			ends[k] += s.size
		}) && ok
		if !ok || slices.ContainsFunc(h.segs[h.pages[i].seg:], func(s segmentAt) bool { return s.stripe == 0 }) {
			return bad(i)
		}
		at += head
	}
	h.pages = append(h.pages, pageAt{at, len(h.segs)})
	ends[0] = at
	for k, s := range b.Stripes {
		if ends[k] != s.Len {
			return bad(b.Pages)
		}
	}
	return h, nil
}

// Pages is how many pages there are.
func (h *Heads) Pages() int { return len(h.pages) - 1 }

// Hash is that of page i.
func (h *Heads) Hash(i int) (x hash.Hash) {
	copy(x[:], h.data[hash.Size*i:])
	return x
}

// Size is the memory in bytes that the heads take.
func (h *Heads) Size() int { return len(h.data) + 16*len(h.pages) + 24*len(h.segs) }

func (h *Heads) head(i int) []byte { return h.data[h.pages[i].head:h.pages[i+1].head] }

// AppendPage appends page i, given the stripes of the block from the second on, all of which have been read. Whoever needs to know compares its hash.
func (h *Heads) AppendPage(dst []byte, i int, stripes [][]byte) []byte {
	dst = append(dst, h.head(i)...)
	for _, s := range h.segs[h.pages[i].seg:h.pages[i+1].seg] {
		dst = append(dst, stripes[s.stripe-1][s.off:s.off+s.size]...)
		for range pad8(s.size) - s.size {
			dst = append(dst, 0)
		}
	}
	return append(dst, make([]byte, pageTail)...)
}

// PageLen is the length of page i.
func (h *Heads) PageLen(i int) int { return int(le.Uint32(h.head(i)[8:])) }

// AppendProjected appends page i as one that has the columns ids, ascending, and no others; stripe is the bytes of a column's stripe, of which
// the block has one. The page names all of its groups, with what lies in them of these columns. A column that the page leaves out is in its directory,
// without a place; one that is not in its directory was not read.
func (h *Heads) AppendProjected(dst []byte, i int, ids []uint64, stripe func(id uint64) []byte) []byte {
	head := h.head(i)
	c, groups := int(le.Uint16(head[2:])), int(le.Uint16(head[12:]))
	newHead := pageHeader + 16*len(ids) + groupEntry*groups
	start := len(dst)
	dst = append(dst, make([]byte, newHead)...)
	oldLen, segs := int(le.Uint32(head[8:])), h.segs[h.pages[i].seg:h.pages[i+1].seg]
	type shifted struct{ at, off int } // of places in groups, which follow the page
	var later []shifted
	k, inline := 0, 0
	for n, id := range ids {
		for k < c && le.Uint64(head[pageHeader+8*k:]) < id {
			if int(le.Uint32(head[pageHeader+8*c+8*k:])) < oldLen {
				inline++
			}
			k++
		}
		le.PutUint64(dst[start+pageHeader+8*n:], id)
		if k == c || le.Uint64(head[pageHeader+8*k:]) != id {
			continue
		}
		loc := start + pageHeader + 8*len(ids) + 8*n
		off, size := int(le.Uint32(head[pageHeader+8*c+8*k:])), le.Uint32(head[pageHeader+8*c+8*k+4:])
		le.PutUint32(dst[loc+4:], size)
		if off >= oldLen {
			later = append(later, shifted{loc, off - oldLen})
			continue
		}
		le.PutUint32(dst[loc:], uint32(len(dst)-start))
		s := segs[inline]
		dst = append(dst, stripe(id)[s.off:s.off+s.size]...)
		dst = append(dst, make([]byte, pad8(s.size)-s.size)...)
	}
	dst = append(dst, make([]byte, pageTail)...)
	for _, l := range later {
		le.PutUint32(dst[l.at:], uint32(len(dst)-start+l.off))
	}
	p := dst[start:]
	copy(p, head[:pageHeader])
	le.PutUint16(p[2:], uint16(len(ids)))
	le.PutUint32(p[8:], uint32(len(p)))
	p[flagsAt] |= Projected
	copy(p[pageHeader+16*len(ids):], head[pageHeader+16*c:])
	return dst
}
