package page

import (
	"context"
	"sync/atomic"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/tree"
)

// Version is the newest page format that this package reads, and the one that it writes. Groups have the same number.
const Version chunk.Version = 2

const (
	headerLen   = 16
	groupHeader = 8
	groupEntry  = hash.Size + 8
	tailLen     = 16 // zero bytes at the end of pages and groups, which vectors and copies may read
	addrBit     = 1 << 31
	headRefs    = 1 // header flag: the page names other chunks
	headProject = 2 // header flag, of no chunk: columns that the directory does not name were not read, and those without a place in it are left out
)

// Page is a leaf chunk, read in place. It implements tree.Leaf. Reading a cell of a column group fetches the group, once.
type Page struct {
	f       *Format
	r       chunk.Reader
	data    []byte
	n       int
	ncols   int
	ngroups int
	groups  []atomic.Pointer[[]byte]
	// projected says that the page was read without some of its columns.
	projected bool
}

var _ tree.Leaf = (*Page)(nil)

// Open implements tree.Format. It checks the header and the extent of the directory; segments are checked when they are read.
func (f *Format) Open(r chunk.Reader, data []byte) (tree.Leaf, error) {
	p, err := f.OpenPage(r, data)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// OpenPage is Open with the concrete type.
func (f *Format) OpenPage(r chunk.Reader, data []byte) (*Page, error) {
	if err := checkVersion(data, chunk.KindPage); err != nil {
		return nil, err
	}
	if len(data) < headerLen+tailLen {
		return nil, corrupt("too short")
	}
	p := &Page{f: f, r: r, data: data, n: int(le.Uint32(data[4:])), ncols: int(le.Uint16(data[2:])), ngroups: int(le.Uint16(data[12:]))}
	if uint64(le.Uint32(data[8:])) != uint64(len(data)) {
		return nil, corrupt("its length differs from the one in its header")
	}
	if p.n > maxPageRows || headerLen+16*p.ncols+groupEntry*p.ngroups+tailLen > len(data) {
		return nil, corrupt("its directory does not fit")
	}
	if p.projected = data[14]&headProject != 0; p.projected {
		if _, ok := r.(chunk.Projection); !ok {
			return nil, corrupt("it is one without some of its columns")
		}
	}
	if p.ngroups > 0 {
		p.groups = make([]atomic.Pointer[[]byte], p.ngroups)
	}
	return p, nil
}

// checkVersion verifies the kind and version of a page or group.
func checkVersion(data []byte, k chunk.Kind) error {
	v, _, err := chunk.CheckKind(data, k, Version)
	if err == nil && v < Version {
		err = errs.New(errs.Unsupported, "read page: format version %d is older than this program reads; %s", v, chunk.OldAdvice)
	}
	return err
}

// Len implements tree.Leaf.
func (p *Page) Len() int { return p.n }

// Flags are the page's tree flags.
func (p *Page) Flags() tree.Flags {
	if p.data[14]&headRefs != 0 {
		return tree.FlagRefs
	}
	return 0
}

func (p *Page) idAt(k int) uint64 { return le.Uint64(p.data[headerLen+8*k:]) }

// loc is where segment k lies: from the beginning of the page, groups following the page in their order.
func (p *Page) loc(k int) (off, size int, addr bool) {
	v := le.Uint64(p.data[headerLen+8*p.ncols+8*k:])
	return int(uint32(v)), int(uint32(v>>32) &^ addrBit), v>>63 != 0
}

func (p *Page) groupAt(g int) (h hash.Hash, size int) {
	e := p.data[headerLen+16*p.ncols+groupEntry*g:]
	copy(h[:], e)
	return h, int(le.Uint32(e[hash.Size:]))
}

// find is the place of a column in the directory, -1 when it is left out. Nobody calls it for a column with which the page was not read.
func (p *Page) find(c *column) int {
	if c.place < p.ncols && p.idAt(c.place) == c.id && !p.projected {
		return c.place
	}
	lo, hi := 0, p.ncols
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if p.idAt(m) < c.id {
			lo = m + 1
		} else {
			hi = m
		}
	}
	named := lo < p.ncols && p.idAt(lo) == c.id
	if p.projected {
		if !named {
			panic("page: a column is wanted with which the page was not read")
		}
		off, _, _ := p.loc(lo)
		named = off != 0
	}
	if named {
		return lo
	}
	return -1
}

// hasRead tells whether the page was read with a column.
func (p *Page) hasRead(c *column) bool {
	for k := 0; p.projected; k++ {
		if k == p.ncols {
			return false
		}
		if p.idAt(k) == c.id {
			break
		}
	}
	return true
}

// inline is the bytes from offset off to the end of the page; nil when off lies in a group or nowhere.
func (p *Page) inline(off int) []byte {
	if off < headerLen || off >= len(p.data) {
		return nil
	}
	return p.data[off:]
}

// groupOf is the group that holds offset off, and the offset in it.
func (p *Page) groupOf(off int) (g, at int, err error) {
	at = off - len(p.data)
	for g := range p.ngroups {
		_, size := p.groupAt(g)
		if at >= 0 && at < size {
			return g, at, nil
		}
		at -= size
	}
	return 0, 0, corrupt("a segment lies nowhere")
}

// bytesAt is the bytes from offset off to the end of its chunk.
func (p *Page) bytesAt(ctx context.Context, off int) ([]byte, error) {
	if b := p.inline(off); b != nil {
		return b, nil
	}
	g, at, err := p.groupOf(off)
	if err != nil {
		return nil, err
	}
	b, err := p.group(ctx, g)
	if err != nil {
		return nil, err
	}
	if at < groupHeader {
		return nil, corrupt("a segment lies in a group's header")
	}
	return b[at:], nil
}

// group is the bytes of group g.
func (p *Page) group(ctx context.Context, g int) ([]byte, error) {
	if b := p.groups[g].Load(); b != nil {
		return *b, nil
	}
	h, size := p.groupAt(g)
	if p.r == nil {
		return nil, errs.New(errs.Internal, "read column group %s: the page has no reader", h)
	}
	b, err := p.r.Get(ctx, h)
	if err != nil {
		return nil, err
	}
	if err := checkVersion(b, chunk.KindGroup); err != nil {
		return nil, err
	}
	if len(b) != size || size < groupHeader+tailLen || int(le.Uint32(b[4:])) != p.n {
		return nil, corrupt("a column group does not belong to it")
	}
	p.groups[g].Store(&b)
	return b, nil
}

// segmentOf parses the segment of c; ok is false when the page leaves it out.
func (p *Page) segmentOf(ctx context.Context, c *column, s *segment) (ok bool, err error) {
	if !p.hasRead(c) {
		return false, errs.New(errs.Internal, "read page: it was read without the column that is wanted")
	}
	k := p.find(c)
	if k < 0 {
		return false, nil
	}
	off, size, _ := p.loc(k)
	b, err := p.bytesAt(ctx, off)
	if err != nil {
		return false, err
	}
	return true, s.parse(b, size, p.n, c.phys)
}

// keySegment is segmentOf for key columns, which are never in groups. A corrupt segment reads as left out.
func (p *Page) keySegment(c *column, s *segment) bool {
	k := p.find(c)
	if k < 0 {
		return false
	}
	off, size, _ := p.loc(k)
	b := p.inline(off)
	return b != nil && s.parse(b, size, p.n, c.phys) == nil
}
