package pack

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/stripe"
)

const (
	packVersion  = 1  // all chunks can be read on their own
	dictVersion  = 2  // the first chunk is a dictionary
	stripes      = 3  // pages are in blocks whose columns can be read apart; in buckets only
	packHeader   = 16 // bytes before the first record
	recordHeader = 48 // bytes before a record's stored bytes
	indexEntry   = 20 // bytes of index a chunk
	footerSize   = 96
	packMagic    = "STMPACK1"
	footerMagic  = "STMPEND1"
)

// inBlock is set in the length of a page that lies in a block: off is that of the block, and the other bits of the length are the page's place in it.
const inBlock = 1 << 31

// entry is one line of a pack's index.
type entry struct {
	prefix uint64 // first 8 bytes of the hash, big endian
	off    uint64 // of the record's header in the file
	length uint32 // stored bytes behind that header
}

func prefixOf(h hash.Hash) uint64 { return binary.BigEndian.Uint64(h[:]) }

// index finds records by hash prefix. It is the index of the file as it stands there, read into memory, and a fan-out derived from it so
// that a bucket holds about eight prefixes: 20.5 bytes a chunk.
type index struct {
	n      int
	b      []byte   // n prefixes, n offsets, n lengths, sorted by (prefix, offset)
	fanout []uint32 // fanout[b] is the first position whose prefix>>shift is >= b
	shift  uint
	blocks []stripe.Block // of a striped pack, in the order of the file
}

// newIndex sorts entries, which it keeps no reference to.
func newIndex(entries []entry) *index {
	slices.SortFunc(entries, func(a, b entry) int {
		if a.prefix != b.prefix {
			return cmp.Compare(a.prefix, b.prefix)
		}
		return cmp.Compare(a.off, b.off)
	})
	x := &index{n: len(entries), b: make([]byte, 0, len(entries)*indexEntry+footerSize)} // encodeTail appends the footer
	le := binary.LittleEndian
	for _, e := range entries {
		x.b = le.AppendUint64(x.b, e.prefix)
	}
	for _, e := range entries {
		x.b = le.AppendUint64(x.b, e.off)
	}
	for _, e := range entries {
		x.b = le.AppendUint32(x.b, e.length)
	}
	x.fan()
	return x
}

// prefix is that of position i.
func (x *index) prefix(i int) uint64 { return binary.LittleEndian.Uint64(x.b[8*i:]) }

// off is the offset of the record at position i.
func (x *index) off(i int) uint64 { return binary.LittleEndian.Uint64(x.b[8*(x.n+i):]) }

// length is the number of stored bytes of the record at position i.
func (x *index) length(i int) uint32 { return binary.LittleEndian.Uint32(x.b[16*x.n+4*i:]) }

func (x *index) fan() {
	width := max(bits.Len(uint(x.n/8)), 1)
	x.shift = uint(64 - width)
	x.fanout = make([]uint32, 1<<width+1)
	b := 0
	for i := range x.n {
		for p := x.prefix(i); b <= int(p>>x.shift); b++ {
			x.fanout[b] = uint32(i)
		}
	}
	for ; b < len(x.fanout); b++ {
		x.fanout[b] = uint32(x.n)
	}
}

// find is the first position whose prefix is p, and whether there is one.
func (x *index) find(p uint64) (int, bool) {
	b := p >> x.shift
	lo, hi := int(x.fanout[b]), int(x.fanout[b+1])
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if x.prefix(m) < p {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo, lo < x.n && x.prefix(lo) == p
}

func (x *index) len() int { return x.n }

// footer is the end of a pack.
type footer struct {
	indexOff uint64 // of a striped pack: where its table of blocks begins
	table    uint64 // length of the table of blocks
	count    uint32
	version  uint32
	hashes   [sha256.Size]byte // SHA-256 of all full hashes in the order of the records
	digest   hash.Hash         // SHA-256 of index and the footer's fields before it; the pack's name
}

// encodeTail is the table of blocks, if there are any, the index and the footer; it sets ft.digest.
func encodeTail(x *index, ft *footer) []byte {
	le := binary.LittleEndian
	out := x.b
	if len(x.blocks) > 0 {
		out = append(stripe.AppendTable(nil, x.blocks), out...)
	}
	n := len(out)
	out = le.AppendUint64(out, ft.indexOff)
	out = le.AppendUint64(out, uint64(n))
	out = le.AppendUint32(out, ft.count)
	out = le.AppendUint32(out, ft.version)
	out = append(out, ft.hashes[:]...)
	ft.digest = hash.Sum(out)
	out = append(out, ft.digest[:]...)
	return append(out, footerMagic...)
}

// parseFooter reads the last footerSize bytes of a pack of size bytes, of version most at most.
func parseFooter(b []byte, size int64, most uint32) (footer, error) {
	le := binary.LittleEndian
	if len(b) != footerSize || string(b[88:]) != footerMagic {
		return footer{}, errs.New(errs.Corrupt, "it does not end like a pack")
	}
	v := le.Uint32(b[20:])
	if v < packVersion || v > stripes {
		return footer{}, errs.New(errs.TooNew, "its format version is %d and this program knows %d; use a newer stemma", v, stripes)
	}
	if v > most {
		return footer{}, errs.New(errs.Corrupt, "it is a striped pack, which belongs into a remote and not into a database")
	}
	ft := footer{indexOff: le.Uint64(b), count: le.Uint32(b[16:]), version: v}
	copy(ft.hashes[:], b[24:])
	copy(ft.digest[:], b[56:])
	n := uint64(ft.count) * indexEntry
	if v == stripes && le.Uint64(b[8:]) >= n && le.Uint64(b[8:]) <= uint64(size) {
		ft.table = le.Uint64(b[8:]) - n
		n += ft.table
	}
	if le.Uint64(b[8:]) != n || ft.indexOff < packHeader || ft.indexOff > uint64(size) || ft.indexOff+n+footerSize != uint64(size) {
		return footer{}, errs.New(errs.Corrupt, "its footer does not fit its length %d", size)
	}
	return ft, nil
}

// parseTail reads index and footer, as encodeTail makes them, and checks everything that a lookup relies on.
func parseTail(b []byte, ft footer) (*index, error) {
	n, t := int(ft.count), int(ft.table)
	if len(b) != t+n*indexEntry+footerSize {
		return nil, errs.New(errs.Corrupt, "its index has %d bytes, want %d", len(b)-footerSize, t+n*indexEntry)
	}
	if hash.Sum(b[:t+n*indexEntry+56]) != ft.digest {
		return nil, errs.New(errs.Corrupt, "its index does not have the hash in its footer")
	}
	x := &index{n: n, b: b[t : t+n*indexEntry : t+n*indexEntry]}
	if ft.version == stripes {
		var err error
		if x.blocks, err = stripe.ParseTable(b[:t], packHeader, int64(ft.indexOff)); err != nil {
			return nil, err
		}
	}
	var last uint64
	pages := 0
	for i := range n {
		prefix, off := x.prefix(i), x.off(i)
		if prefix < last {
			return nil, errs.New(errs.Corrupt, "its index is not sorted at entry %d", i)
		}
		if ft.version == stripes && x.length(i)&inBlock != 0 {
			k, ok := x.block(int64(off))
			if !ok || int(x.length(i)&^inBlock) >= x.blocks[k].Pages {
				return nil, errs.New(errs.Corrupt, "entry %d of its index points at no page", i)
			}
			pages++
		} else if x.length(i) > chunk.MaxSize {
			return nil, errs.New(errs.Corrupt, "entry %d of its index names a record of %d bytes, which is above the limit", i, x.length(i))
		} else if off < packHeader || off > ft.indexOff || off+recordHeader+uint64(x.length(i)) > ft.indexOff {
			return nil, errs.New(errs.Corrupt, "entry %d of its index points outside the file", i)
		}
		last = prefix
	}
	for _, b := range x.blocks {
		pages -= b.Pages
	}
	if pages != 0 {
		return nil, errs.New(errs.Corrupt, "its index does not list the pages of its blocks")
	}
	x.fan()
	if ft.version == dictVersion && x.first() < 0 {
		return nil, errs.New(errs.Corrupt, "its index does not list the dictionary with which it begins")
	}
	return x, nil
}

// block is the place of the block at off.
func (x *index) block(off int64) (int, bool) {
	return slices.BinarySearchFunc(x.blocks, off, func(b stripe.Block, off int64) int { return cmp.Compare(b.Off, off) })
}

// span is what is at position i.
func (x *index) span(i int) Span {
	off, n := int64(x.off(i)), x.length(i)
	if n&inBlock == 0 {
		return Span{Off: off, Len: recordHeader + int64(n)}
	}
	k, _ := x.block(off)
	return Span{Off: off, Len: x.blocks[k].Len(), Page: int(n&^inBlock) + 1}
}

// first is the position of the record with which the pack begins; below 0 when there is none.
func (x *index) first() int {
	for i := range x.n {
		if x.off(i) == packHeader {
			return i
		}
	}
	return -1
}
