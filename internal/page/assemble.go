package page

import (
	"context"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/tree"
)

// Column groups. A page of up to inlineMax bytes holds all its segments. Otherwise segments of columns outside the key move out when
// they are of at least t bytes, t being the first of groupSteps for which what remains is at most inlineMax, or the last. They fill
// groups in the order of column ids; a group is closed when its segments, each rounded up to 8 bytes, come to groupMax or more.
const (
	inlineMax = 16 << 10
	groupMax  = 32 << 10
)

var groupSteps = [...]int{1024, 256, 64, 0}

// piece is a segment on its way into a page: bytes, or a place in an older page.
type piece struct {
	id   uint64
	key  bool
	addr bool
	size int
	data []byte // nil while it is in old
	off  int    // in old
	at   int    // in the new page; 0 when it is inline
}

func pad8(n int) int { return (n + 7) &^ 7 }

// assemble lays pieces, in the order of their ids, out as a page of n rows. Pieces without data are those of old, which is read only
// where a group cannot be taken over as it is.
func assemble(ctx context.Context, w chunk.Writer, n int, pieces []piece, old *Page) ([]byte, tree.Flags, error) {
	head := headerLen + 16*len(pieces)
	inline, addrs := 0, false
	for i := range pieces {
		inline += pad8(pieces[i].size)
		addrs = addrs || pieces[i].addr
	}
	step := -1 // nothing moves
	if head+inline+tailLen > inlineMax {
		for _, step = range groupSteps {
			rest := 0
			for i := range pieces {
				if !moves(&pieces[i], step) {
					rest += pad8(pieces[i].size)
				}
			}
			if head+rest+tailLen <= inlineMax {
				break
			}
		}
	}
	var groups [][]*piece
	open := 0
	for i := range pieces {
		p := &pieces[i]
		if step < 0 || !moves(p, step) {
			continue
		}
		inline -= pad8(p.size)
		if open == 0 || open >= groupMax {
			groups, open = append(groups, nil), 0
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], p)
		open += pad8(p.size)
	}
	size := head + groupEntry*len(groups) + inline + tailLen
	end := uint64(size)
	for _, g := range groups {
		end += uint64(groupSize(g))
	}
	if end > 1<<31 || len(groups) > 0xffff || n > maxPageRows {
		return nil, 0, errs.New(errs.Invalid, "encode page: %d rows of %d bytes are too large for one page", n, end)
	}
	out := make([]byte, head, size)
	out[0], out[1] = byte(chunk.KindPage), Version
	le.PutUint16(out[2:], uint16(len(pieces)))
	le.PutUint32(out[4:], uint32(n))
	le.PutUint32(out[8:], uint32(size))
	le.PutUint16(out[12:], uint16(len(groups)))
	var flags tree.Flags
	if addrs || len(groups) > 0 {
		out[14] = headRefs
		flags = tree.FlagRefs
	}
	locs := headerLen + 8*len(pieces)
	start := size
	for _, g := range groups {
		h, length, err := putGroup(ctx, w, n, g, old)
		if err != nil {
			return nil, 0, err
		}
		out = append(out, h[:]...)
		out = le.AppendUint64(out, uint64(length))
		at := start + groupHeader
		for _, p := range g {
			p.at = at
			at += pad8(p.size)
		}
		start += length
	}
	for i := range pieces {
		p := &pieces[i]
		at := p.at
		if at == 0 {
			at = len(out)
			b, err := p.bytes(ctx, old)
			if err != nil {
				return nil, 0, err
			}
			out = append(out, b...)
			out = out[:pad8(len(out))]
		}
		le.PutUint64(out[headerLen+8*i:], p.id)
		le.PutUint32(out[locs+8*i:], uint32(at))
		length := uint32(p.size)
		if p.addr {
			length |= addrBit
		}
		le.PutUint32(out[locs+8*i+4:], length)
	}
	return out[:size], flags, nil
}

func moves(p *piece, step int) bool { return !p.key && p.size >= step }

func groupSize(g []*piece) int {
	size := groupHeader + tailLen
	for _, p := range g {
		size += pad8(p.size)
	}
	return size
}

// bytes is the segment's bytes.
func (p *piece) bytes(ctx context.Context, old *Page) ([]byte, error) {
	if p.data != nil {
		return p.data, nil
	}
	b, err := old.bytesAt(ctx, p.off)
	if err != nil {
		return nil, err
	}
	if p.size > len(b)-tailLen {
		return nil, corrupt("a segment leaves its chunk")
	}
	return b[:p.size], nil
}

// putGroup keeps a group, unless old has the very same one.
func putGroup(ctx context.Context, w chunk.Writer, n int, g []*piece, old *Page) (hash.Hash, int, error) {
	size := groupSize(g)
	if h, ok := sameGroup(g, size, old); ok {
		return h, size, nil
	}
	out := make([]byte, groupHeader, size)
	out[0], out[1] = byte(chunk.KindGroup), Version
	le.PutUint16(out[2:], uint16(len(g)))
	le.PutUint32(out[4:], uint32(n))
	for _, p := range g {
		b, err := p.bytes(ctx, old)
		if err != nil {
			return hash.Hash{}, 0, err
		}
		out = append(out, b...)
		out = out[:pad8(len(out))]
	}
	h, err := w.Put(ctx, out[:size])
	return h, size, err
}

// sameGroup finds the group of old that has exactly the segments g, in their places.
func sameGroup(g []*piece, size int, old *Page) (hash.Hash, bool) {
	if old == nil || g[0].data != nil || g[0].off < len(old.data) {
		return hash.Hash{}, false
	}
	k, at, err := old.groupOf(g[0].off)
	if err != nil || at != groupHeader {
		return hash.Hash{}, false
	}
	h, length := old.groupAt(k)
	if length != size {
		return hash.Hash{}, false
	}
	off := g[0].off
	for _, p := range g {
		if p.data != nil || p.off != off {
			return hash.Hash{}, false
		}
		off += pad8(p.size)
	}
	return h, true
}
