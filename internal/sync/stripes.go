package sync

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/stripe"
)

// What a Source keeps of striped packs in memory: a count, and bytes.
const (
	blocksKept  = 4
	stripesKept = 48 << 20
)

// blocksAhead is how many blocks columns are read of at once, where one was read behind the other.
const blocksAhead = 8

// openBlock is a block that was read whole.
type openBlock struct {
	p   *sourcePack
	off int64
	*pack.PageBlock
}

// blockFrom is the first block that begins at or behind off; nil when there is none.
func (p *sourcePack) blockFrom(off int64) *stripe.Block {
	blocks := p.dir.Blocks()
	i, _ := slices.BinarySearchFunc(blocks, off, func(b stripe.Block, off int64) int { return cmp.Compare(b.Off, off) })
	if i == len(blocks) {
		return nil
	}
	return &blocks[i]
}

// block is the block of a page. The caller holds the lock.
func (s *Source) block(ctx context.Context, p *sourcePack, at pack.Span) (*openBlock, error) {
	for i := len(s.blocks) - 1; i >= 0; i-- {
		if b := s.blocks[i]; b.p == p && b.off == at.Off {
			return b, nil
		}
	}
	if err := p.lost[at.Off]; err != nil {
		return nil, err
	}
	b, _ := p.dir.Block(at.Off)
	open, err := s.openBlock(ctx, p, b)
	if err != nil {
		if s.Broken != nil && errs.Is(err, errs.Corrupt) {
			if p.lost == nil {
				p.lost = map[int64]error{}
			}
			p.lost[at.Off] = err
		}
		return nil, err
	}
	if len(s.blocks) >= blocksKept {
		s.blocks = slices.Delete(s.blocks, 0, 1)
	}
	out := &openBlock{p, at.Off, open}
	s.blocks = append(s.blocks, out)
	return out, nil
}

// openBlock reads a block, and as many behind it as a window has room for.
func (s *Source) openBlock(ctx context.Context, p *sourcePack, b *stripe.Block) (*pack.PageBlock, error) {
	n := b.Len()
	for i := len(s.last) - 1; i >= 0; i-- {
		w := s.last[i]
		if w.p == p && w.off <= b.Off && b.Off+n <= w.off+int64(len(w.data)) {
			return s.opened(p, b, w.data[b.Off-w.off:][:n])
		}
	}
	cached, ok, err := s.Cache.read(p.Digest, b.Off, n)
	if err != nil {
		return nil, err
	}
	if ok {
		if open, err := pack.OpenPages(b, cached); err == nil {
			return open, nil
		}
		if err := s.Cache.drop(p.Digest); err != nil {
			return nil, err
		}
	}
	size, r := p.window(b.Off)
	end := b.Off + n
	for next := p.blockFrom(end); next != nil && next.Off == end && next.Off+next.Len() <= b.Off+size; next = p.blockFrom(end) {
		end += next.Len()
	}
	data := make([]byte, end-b.Off)
	if err := s.Remote.readPack(ctx, p.Pack, data, b.Off); err != nil {
		return nil, err
	}
	open, err := s.opened(p, b, data[:n])
	if err != nil {
		return nil, err
	}
	p.ran(r, end, int64(len(data)))
	s.Cache.keep(p.Digest, b.Off, data, false)
	if int64(len(data)) > n {
		s.remember(&window{p, b.Off, data})
	}
	return open, nil
}

// opened is a block that was read. Where Broken is told of damage, one with a damaged stripe is opened too: the pages that are not of these bytes are whole,
// and who takes one verifies it.
func (s *Source) opened(p *sourcePack, b *stripe.Block, data []byte) (*pack.PageBlock, error) {
	read := pack.OpenPages
	if s.Broken != nil {
		read = pack.SalvagePages
	}
	open, err := read(b, data)
	if err != nil {
		return nil, fmt.Errorf("read pack %s of %s: %w", p.Digest.Full(), s.Remote.URL(), err)
	}
	return open, nil
}

// Projected implements pack.Projected. What is damaged is left to Record, which finds it elsewhere or tells.
func (s *Source) Projected(ctx context.Context, h hash.Hash, ids []uint64) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.indexes(ctx); err != nil {
		return nil, err
	}
	for i := len(s.packs) - 1; i >= 0; i-- {
		p := s.packs[i]
		for _, at := range p.dir.Spans(h) {
			if at.Page == 0 {
				return nil, nil // perhaps this is it
			}
			heads, err := s.heads(ctx, p, at.Off, ids)
			if errs.Is(err, errs.Corrupt) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if heads.Hash(at.Page-1) != h {
				continue
			}
			return heads.AppendProjected(nil, at.Page-1, ids, func(id uint64) []byte { return s.columns.get(stripeKey{p, at.Off, id}).data }), nil
		}
	}
	return nil, nil
}

// heads is the heads of the block at off, when these and the stripes of the columns ids are in memory. The caller holds the lock.
func (s *Source) heads(ctx context.Context, p *sourcePack, off int64, ids []uint64) (*stripe.Heads, error) {
	s.columns.shrink()
	b, at := p.dir.Block(off)
	if lacking := s.lacking(p, b, ids); len(lacking) > 0 {
		own := len(lacking)
		if at != p.next {
			p.ahead = 0
		}
		p.ahead = min(max(2*p.ahead, 1), blocksAhead)
		blocks := p.dir.Blocks()
		p.next = at + 1
		for ; p.next < len(blocks) && p.next < at+p.ahead; p.next++ {
			next := s.lacking(p, &blocks[p.next], ids)
			if len(next) > 0 && next[len(next)-1].id == 0 && len(ids) > 0 { // it has none of the columns
				break
			}
			lacking = append(lacking, next...)
		}
		err := s.fetchStripes(ctx, p, lacking)
		if errs.Is(err, errs.Corrupt) && own < len(lacking) { // perhaps of what is ahead
			p.next, p.ahead = at+1, 0
			err = s.fetchStripes(ctx, p, lacking[:own])
		}
		if err != nil {
			return nil, err
		}
	}
	return s.columns.get(stripeKey{p, off, 0}).heads, nil
}

// wantedStripe is a stripe that is to be read.
type wantedStripe struct {
	b   *stripe.Block
	i   int
	id  uint64
	off int64 // in the pack
	len int64
}

// lacking is the heads of a block and those stripes of the columns ids that are not in memory, in the order of the file.
func (s *Source) lacking(p *sourcePack, b *stripe.Block, ids []uint64) (out []wantedStripe) {
	want := func(i int) {
		id := b.Stripes[i].ID
		if s.columns.get(stripeKey{p, b.Off, id}) == nil {
			out = append(out, wantedStripe{b, i, id, b.Off + b.Start(i), int64(b.Stripes[i].Len)})
		}
	}
	want(0)
	for _, id := range ids {
		if i := b.Find(id); i > 0 {
			want(i)
		}
	}
	return out
}

// fetchStripes reads stripes of a pack, in the order of the file, neighbours together.
func (s *Source) fetchStripes(ctx context.Context, p *sourcePack, list []wantedStripe) error {
	got := make([]*keptStripe, len(list))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for lo := 0; lo < len(list); {
		hi, end := lo+1, list[lo].off+list[lo].len
		for hi < len(list) && list[hi].off-end <= stripeGap && list[hi].off+list[hi].len-list[lo].off <= rangeSize {
			end = list[hi].off + list[hi].len
			hi++
		}
		part, into, off := list[lo:hi], got[lo:hi], list[lo].off
		lo = hi
		g.Go(func() error {
			data, cached, err := s.Cache.read(p.Digest, off, end-off)
			if err != nil {
				return err
			}
			if cached {
				if err = keepStripes(part, into, data, off); err == nil {
					return nil
				}
				if err := s.Cache.drop(p.Digest); err != nil {
					return err
				}
			}
			data = make([]byte, end-off)
			if err := s.Remote.readPack(gctx, p.Pack, data, off); err != nil {
				return err
			}
			if err := keepStripes(part, into, data, off); err != nil {
				return fmt.Errorf("read pack %s of %s: %w", p.Digest.Full(), s.Remote.URL(), err)
			}
			s.Cache.keep(p.Digest, off, data, false)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, w := range list {
		s.columns.put(stripeKey{p, w.b.Off, w.id}, got[i])
	}
	return nil
}

// stripeGap is what is read in vain between two stripes rather than asked for apart.
const stripeGap = 16 << 10

// keepStripes checks stripes, which are in data, the bytes of their pack from off on.
func keepStripes(list []wantedStripe, into []*keptStripe, data []byte, off int64) error {
	for i, w := range list {
		k := &keptStripe{data: data[w.off-off:][:w.len:w.len]}
		if err := w.b.Check(w.i, k.data); err != nil {
			return err
		}
		k.size = len(k.data)
		if w.i == 0 {
			var err error
			if k.heads, err = stripe.ParseHeads(w.b, k.data); err != nil {
				return err
			}
			k.size = k.heads.Size()
		}
		into[i] = k
	}
	return nil
}

// stripeKey names a stripe: of a pack, by the offset of its block, the column of that id or, with 0, the heads.
type stripeKey struct {
	p   *sourcePack
	off int64
	id  uint64
}

// keptStripe is a stripe in memory, which was checked.
type keptStripe struct {
	data  []byte
	heads *stripe.Heads
	size  int
	used  int64
}

// stripeCache is stripes in memory. What is put there stays at least until shrink.
type stripeCache struct {
	m     map[stripeKey]*keptStripe
	size  int
	clock int64
}

// get is a stripe; nil when it is not there.
func (c *stripeCache) get(k stripeKey) *keptStripe {
	x := c.m[k]
	if x != nil {
		c.clock++
		x.used = c.clock
	}
	return x
}

func (c *stripeCache) put(k stripeKey, x *keptStripe) {
	if c.m == nil {
		c.m = map[stripeKey]*keptStripe{}
	}
	if old := c.m[k]; old != nil {
		c.size -= old.size
	}
	c.clock++
	x.used = c.clock
	c.m[k] = x
	c.size += x.size
}

// shrink lets the stripes go that were not used for longest, until what is left takes half of what may be kept, when it is more than that.
func (c *stripeCache) shrink() {
	if c.size <= stripesKept {
		return
	}
	type aged struct {
		k    stripeKey
		used int64
	}
	all := make([]aged, 0, len(c.m))
	for k, x := range c.m {
		all = append(all, aged{k, x.used})
	}
	slices.SortFunc(all, func(a, b aged) int { return cmp.Compare(a.used, b.used) })
	for _, a := range all {
		if c.size <= stripesKept/2 {
			return
		}
		c.size -= c.m[a.k].size
		delete(c.m, a.k)
	}
}

// Projected implements pack.Projected.
func (l *lazily) Projected(ctx context.Context, h hash.Hash, ids []uint64) ([]byte, error) {
	var page []byte
	err := l.ask(ctx, func(src *Source) (err error) {
		page, err = src.Projected(ctx, h, ids)
		return err
	})
	return page, err
}

var _ pack.Projected = (*lazily)(nil)
