package pack

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

const (
	packVersion  = 1
	packHeader   = 16 // bytes before the first record
	recordHeader = 48 // bytes before a record's stored bytes
	indexEntry   = 20 // bytes of index a chunk
	footerSize   = 96
	packMagic    = "STMPACK1"
	footerMagic  = "STMPEND1"
)

// entry is one line of a pack's index.
type entry struct {
	prefix uint64 // first 8 bytes of the hash, big endian
	off    uint64 // of the record's header in the file
	length uint32 // stored bytes behind that header
}

func prefixOf(h hash.Hash) uint64 { return binary.BigEndian.Uint64(h[:]) }

// index finds records by hash prefix: three parallel arrays sorted by (prefix, offset), and a fan-out derived from them so that a
// bucket holds about eight prefixes. 20.5 bytes a chunk.
type index struct {
	prefix []uint64
	off    []uint64
	length []uint32
	fanout []uint32 // fanout[b] is the first position whose prefix>>shift is >= b
	shift  uint
}

// newIndex sorts entries, which it keeps no reference to.
func newIndex(entries []entry) *index {
	slices.SortFunc(entries, func(a, b entry) int {
		if a.prefix != b.prefix {
			return cmp.Compare(a.prefix, b.prefix)
		}
		return cmp.Compare(a.off, b.off)
	})
	x := &index{prefix: make([]uint64, len(entries)), off: make([]uint64, len(entries)), length: make([]uint32, len(entries))}
	for i, e := range entries {
		x.prefix[i], x.off[i], x.length[i] = e.prefix, e.off, e.length
	}
	x.fan()
	return x
}

func (x *index) fan() {
	n := len(x.prefix)
	width := max(bits.Len(uint(n/8)), 1)
	x.shift = uint(64 - width)
	x.fanout = make([]uint32, 1<<width+1)
	b := 0
	for i, p := range x.prefix {
		for ; b <= int(p>>x.shift); b++ {
			x.fanout[b] = uint32(i)
		}
	}
	for ; b < len(x.fanout); b++ {
		x.fanout[b] = uint32(n)
	}
}

// find is the first position whose prefix is p, and whether there is one.
func (x *index) find(p uint64) (int, bool) {
	b := p >> x.shift
	lo, hi := int(x.fanout[b]), int(x.fanout[b+1])
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if x.prefix[m] < p {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo, lo < len(x.prefix) && x.prefix[lo] == p
}

func (x *index) len() int { return len(x.prefix) }

// footer is the end of a pack.
type footer struct {
	indexOff uint64
	count    uint32
	hashes   [sha256.Size]byte // SHA-256 of all full hashes in the order of the records
	digest   hash.Hash         // SHA-256 of index and the footer's fields before it; the pack's name
}

// encodeTail is the index and the footer; it sets ft.digest.
func encodeTail(x *index, ft *footer) []byte {
	out := make([]byte, 0, x.len()*indexEntry+footerSize)
	le := binary.LittleEndian
	for _, p := range x.prefix {
		out = le.AppendUint64(out, p)
	}
	for _, o := range x.off {
		out = le.AppendUint64(out, o)
	}
	for _, l := range x.length {
		out = le.AppendUint32(out, l)
	}
	n := len(out)
	out = le.AppendUint64(out, ft.indexOff)
	out = le.AppendUint64(out, uint64(n))
	out = le.AppendUint32(out, ft.count)
	out = le.AppendUint32(out, packVersion)
	out = append(out, ft.hashes[:]...)
	ft.digest = hash.Sum(out)
	out = append(out, ft.digest[:]...)
	return append(out, footerMagic...)
}

// parseFooter reads the last footerSize bytes of a pack of size bytes.
func parseFooter(b []byte, size int64) (footer, error) {
	le := binary.LittleEndian
	if len(b) != footerSize || string(b[88:]) != footerMagic {
		return footer{}, errs.New(errs.Corrupt, "it does not end like a pack")
	}
	if v := le.Uint32(b[20:]); v != packVersion {
		return footer{}, errs.New(errs.TooNew, "its format version is %d and this program knows %d; use a newer stemma", v, packVersion)
	}
	ft := footer{indexOff: le.Uint64(b), count: le.Uint32(b[16:])}
	copy(ft.hashes[:], b[24:])
	copy(ft.digest[:], b[56:])
	n := uint64(ft.count) * indexEntry
	if le.Uint64(b[8:]) != n || ft.indexOff < packHeader || ft.indexOff > uint64(size) || ft.indexOff+n+footerSize != uint64(size) {
		return footer{}, errs.New(errs.Corrupt, "its footer does not fit its length %d", size)
	}
	return ft, nil
}

// parseTail reads index and footer, as encodeTail makes them, and checks everything that a lookup relies on.
func parseTail(b []byte, ft footer) (*index, error) {
	n := int(ft.count)
	if len(b) != n*indexEntry+footerSize {
		return nil, errs.New(errs.Corrupt, "its index has %d bytes, want %d", len(b)-footerSize, n*indexEntry)
	}
	if hash.Sum(b[:n*indexEntry+56]) != ft.digest {
		return nil, errs.New(errs.Corrupt, "its index does not have the hash in its footer")
	}
	le := binary.LittleEndian
	x := &index{prefix: make([]uint64, n), off: make([]uint64, n), length: make([]uint32, n)}
	offs, lens := b[8*n:], b[16*n:]
	for i := range n {
		x.prefix[i] = le.Uint64(b[8*i:])
		x.off[i] = le.Uint64(offs[8*i:])
		x.length[i] = le.Uint32(lens[4*i:])
		if i > 0 && x.prefix[i] < x.prefix[i-1] {
			return nil, errs.New(errs.Corrupt, "its index is not sorted at entry %d", i)
		}
		if x.off[i] < packHeader || x.off[i] > ft.indexOff || x.off[i]+recordHeader+uint64(x.length[i]) > ft.indexOff {
			return nil, errs.New(errs.Corrupt, "entry %d of its index points outside the file", i)
		}
	}
	x.fan()
	return x, nil
}
