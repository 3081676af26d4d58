package stripe

import (
	"slices"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

const (
	// MaxBlock is the length in bytes of the longest block that is read.
	MaxBlock = 32 << 20
	// maxPage is the length of the longest page that goes into a block.
	maxPage = 64 << 10
	// headsID stands for the heads among the ids of columns, which are never 0.
	headsID = 0
)

// Stripe is a part of a block: the heads of its pages, or the segments of a column.
type Stripe struct {
	ID  uint64 // of the column; 0 for the heads
	Len int    // in bytes
	Sum hash.Hash
}

// Block says where pages lie in a file that has them in stripes, which follow each other in the order of their ids.
type Block struct {
	Off     int64 // of the block in its file
	Pages   int
	Stripes []Stripe // the heads come first
	size    int64    // of all stripes; 0 when nobody has summed them up
}

// Len is the length of the block in bytes.
func (b *Block) Len() int64 {
	if b.size > 0 {
		return b.size
	}
	return b.Start(len(b.Stripes))
}

// Find is the place of a column's stripe, -1 when the block has none.
func (b *Block) Find(id uint64) int {
	i, ok := slices.BinarySearchFunc(b.Stripes, id, func(s Stripe, id uint64) int {
		switch {
		case s.ID < id:
			return -1
		case s.ID > id:
			return 1
		}
		return 0
	})
	if !ok {
		return -1
	}
	return i
}

// Start is where stripe i begins, from the beginning of the block.
func (b *Block) Start(i int) int64 {
	n := int64(0)
	for _, s := range b.Stripes[:i] {
		n += int64(s.Len)
	}
	return n
}

// Check compares the bytes of stripe i with its checksum.
func (b *Block) Check(i int, data []byte) error {
	if s := b.Stripes[i]; len(data) != s.Len || hash.Sum(data) != s.Sum {
		if i == 0 {
			return errs.New(errs.Corrupt, "the heads of %d pages at byte %d are damaged", b.Pages, b.Off)
		}
		return errs.New(errs.Corrupt, "the stripe of column %d of %d pages at byte %d is damaged", s.ID, b.Pages, b.Off+b.Start(i))
	}
	return nil
}

// CheckAll compares the bytes of the block with the checksums of its stripes.
func (b *Block) CheckAll(data []byte) error {
	if int64(len(data)) != b.Len() {
		return errs.New(errs.Corrupt, "a block of %d bytes was read as %d", b.Len(), len(data))
	}
	for i, s := range b.Stripes {
		if err := b.Check(i, data[:s.Len]); err != nil {
			return err
		}
		data = data[s.Len:]
	}
	return nil
}

// Builder gathers pages for a block. The zero Builder is empty.
type Builder struct {
	hashes  []hash.Hash
	heads   []byte
	ids     []uint64 // of stripes, ascending
	stripes [][]byte
	size    int
	segs    []pageSegment
}

// Pages is how many pages there are.
func (b *Builder) Pages() int { return len(b.hashes) }

// Size is the length of the block so far.
func (b *Builder) Size() int { return b.size }

// Hashes is those of the pages, in their order.
func (b *Builder) Hashes() []hash.Hash { return b.hashes }

// Akin is how many columns a page has in common with the block when one of the two has all columns of the other and most have them all, else -1.
// Columns in groups do not count.
func (b *Builder) Akin(page []byte) int {
	if !b.cut(page) {
		return -1
	}
	n := 0
	for _, s := range b.segs {
		if _, ok := slices.BinarySearch(b.ids, s.id); ok {
			n++
		}
	}
	if n < len(b.segs) && n < len(b.ids) || 2*n < max(len(b.segs), len(b.ids)) {
		return -1
	}
	return n
}

// Fits tells whether a page can be in a block: it is a page of the known format, of which every byte follows from head and segments.
func Fits(page []byte) bool {
	var b Builder
	return b.cut(page)
}

// cut reads where the segments of a page are.
func (b *Builder) cut(page []byte) bool {
	b.segs = b.segs[:0]
	head, size, ok := headLen(page)
	if !ok || size != len(page) || !segmentsOf(page[:head], size, func(s pageSegment) { b.segs = append(b.segs, s) }) {
		return false
	}
	at := head
	for _, s := range b.segs {
		if !zeros(page[at+s.size : at+pad8(s.size)]) {
			return false
		}
		at += pad8(s.size)
	}
	return zeros(page[at:])
}

// Add puts a page behind the others, whose bytes it copies; false when it cannot be in a block.
func (b *Builder) Add(h hash.Hash, page []byte) bool {
	if !b.cut(page) {
		return false
	}
	at, _, _ := headLen(page)
	b.hashes = append(b.hashes, h)
	b.heads = append(b.heads, page[:at]...)
	b.size += hash.Size + at
	for _, s := range b.segs {
		k, ok := slices.BinarySearch(b.ids, s.id)
		if !ok {
			b.ids = slices.Insert(b.ids, k, s.id)
			b.stripes = slices.Insert(b.stripes, k, nil)
		}
		b.stripes[k] = append(b.stripes[k], page[at:at+s.size]...)
		b.size += s.size
		at += pad8(s.size)
	}
	return true
}

// Finish is the block, as of offset off, and appends its bytes to dst. The Builder is empty afterwards.
func (b *Builder) Finish(off int64, dst []byte) (Block, []byte) {
	at := len(dst)
	for _, h := range b.hashes {
		dst = append(dst, h[:]...)
	}
	dst = append(dst, b.heads...)
	out := Block{Off: off, Pages: len(b.hashes), Stripes: []Stripe{{headsID, len(dst) - at, hash.Sum(dst[at:])}}}
	for k, s := range b.stripes {
		out.Stripes = append(out.Stripes, Stripe{b.ids[k], len(s), hash.Sum(s)})
		dst = append(dst, s...)
	}
	out.size = int64(len(dst) - at)
	*b = Builder{segs: b.segs[:0]}
	return out, dst
}
