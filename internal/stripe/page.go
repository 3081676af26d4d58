package stripe

import "encoding/binary"

var le = binary.LittleEndian

// What is known here of a page (docs/format.md, Pages): how it begins, where its segments lie, and how it ends.
const (
	pageKind    = 1
	pageVersion = 2
	pageHeader  = 16
	groupEntry  = 40
	pageTail    = 16
	addrBit     = 1 << 31

	// Projected is the flag in the header of a page that was read without some of its columns. No chunk has it.
	Projected = 2
	flagsAt   = 14
)

func pad8(n int) int { return (n + 7) &^ 7 }

// pageSegment is a segment that lies in its page.
type pageSegment struct {
	id   uint64
	size int
}

// headLen is the length of the head of a page, which ends where its segments begin, and of the whole page; ok is false when b does not begin
// like a page.
func headLen(b []byte) (head, page int, ok bool) {
	if len(b) < pageHeader || b[0] != pageKind || b[1] != pageVersion || b[flagsAt]&Projected != 0 {
		return 0, 0, false
	}
	head = pageHeader + 16*int(le.Uint16(b[2:])) + groupEntry*int(le.Uint16(b[12:]))
	page = int(le.Uint32(b[8:]))
	return head, page, page >= head+pageTail && page <= maxPage
}

// segmentsOf calls fn for the segments that lie in the page that has this head, in their order; false when they do not lie one behind the other,
// each filled up to 8 bytes, from the head to the tail.
func segmentsOf(head []byte, page int, fn func(s pageSegment)) bool {
	c := int(le.Uint16(head[2:]))
	at, last := len(head), uint64(0)
	for k := range c {
		id := le.Uint64(head[pageHeader+8*k:])
		if id <= last && (k > 0 || id == 0) {
			return false
		}
		last = id
		off, size := int(le.Uint32(head[pageHeader+8*c+8*k:])), int(le.Uint32(head[pageHeader+8*c+8*k+4:])&^addrBit)
		if off >= page { // in a group
			continue
		}
		if off != at || size == 0 || size > page {
			return false
		}
		at += pad8(size)
		if at > page-pageTail {
			return false
		}
		fn(pageSegment{id, size})
	}
	return at == page-pageTail
}

// zeros tells whether all bytes are zero.
func zeros(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
