package pack

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/stripe"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Striped tells whether pages of the pack lie in blocks. Such a pack is what a remote has; a store keeps what Unstripe makes of it.
func (d *Directory) Striped() bool { return d.ft.version == stripes }

// Blocks is the blocks of the pack, in the order of the file. The caller does not change them.
func (d *Directory) Blocks() []stripe.Block { return d.idx.blocks }

// Block is the block at off, nil when there is none, and its place among the blocks.
func (d *Directory) Block(off int64) (*stripe.Block, int) {
	k, ok := d.idx.block(off)
	if !ok {
		return nil, 0
	}
	return &d.idx.blocks[k], k
}

// PageBlock is a block of pages that was read.
type PageBlock struct {
	heads   *stripe.Heads
	stripes [][]byte
}

// OpenPages checks the bytes of a block, which stay in use.
func OpenPages(b *stripe.Block, data []byte) (*PageBlock, error) {
	if err := b.CheckAll(data); err != nil {
		return nil, err
	}
	return openPages(b, data)
}

// SalvagePages is OpenPages of a block of which only the heads are checked: what is damaged in a stripe is damaged in some of the pages only. Whoever
// takes a page of it compares its hash.
func SalvagePages(b *stripe.Block, data []byte) (*PageBlock, error) {
	if int64(len(data)) != b.Len() {
		return nil, errs.New(errs.Corrupt, "a block of %d bytes was read as %d", b.Len(), len(data))
	}
	if err := b.Check(0, data[:b.Stripes[0].Len]); err != nil {
		return nil, err
	}
	return openPages(b, data)
}

// openPages is OpenPages of a block of which the heads were checked.
func openPages(b *stripe.Block, data []byte) (*PageBlock, error) {
	heads, err := stripe.ParseHeads(b, data[:b.Stripes[0].Len])
	if err != nil {
		return nil, err
	}
	p := &PageBlock{heads: heads}
	for i, s := range b.Stripes {
		if i > 0 {
			p.stripes = append(p.stripes, data[:s.Len:s.Len])
		}
		data = data[s.Len:]
	}
	return p, nil
}

// Page is the bytes of page i, which has the hash that it is named by only if the block was made of it.
func (p *PageBlock) Page(i int) []byte {
	return p.heads.AppendPage(make([]byte, 0, p.heads.PageLen(i)), i, p.stripes)
}

// Record is page i of a block, from 1 as in a Span, as a record.
func (p *PageBlock) Record(i int) []byte {
	page := p.Page(i - 1)
	return appendRecord(nil, encoded{hash: p.heads.Hash(i - 1), data: page, raw: uint32(len(page)), codec: codecRaw})
}

// Records calls fn for the records of all chunks of spans, which are of one pack and in data, its bytes from off on. A block that several of them
// are in is opened once.
func (d *Directory) Records(spans []Span, data []byte, off int64, fn func(at Span, rec []byte) error) error {
	var open *PageBlock
	at := int64(-1)
	for _, s := range spans {
		rec := data[s.Off-off:][:s.Len]
		if s.Page > 0 {
			if s.Off != at {
				b, _ := d.Block(s.Off)
				var err error
				if open, err = OpenPages(b, rec); err != nil {
					return err
				}
				at = s.Off
			}
			rec = open.Record(s.Page)
		}
		if err := fn(s, rec); err != nil {
			return err
		}
	}
	return nil
}

// unstriped is a part of a striped pack: a block, or records that lie together.
type unstriped struct {
	off, len int64
	block    *stripe.Block
	records  []Span
}

// unstripeRange is the length in bytes of records that are read at once, as a rule.
const unstripeRange = 4 << 20

// parts is the whole pack in parts, in the order of the file. None begins before the end of the one before it, so that they are no longer than the pack.
func (d *Directory) parts() ([]unstriped, error) {
	var records []Span
	for i := range d.idx.len() {
		if d.idx.length(i)&inBlock == 0 {
			records = append(records, d.idx.span(i))
		}
	}
	slices.SortFunc(records, func(a, b Span) int { return cmp.Compare(a.Off, b.Off) })
	var out []unstriped
	end := int64(packHeader)
	add := func(x unstriped) error {
		if x.off < end {
			return errs.New(errs.Corrupt, "what its index names at byte %d begins before the end of what is in front of it", x.off)
		}
		out, end = append(out, x), x.off+x.len
		return nil
	}
	blocks := d.idx.blocks
	for len(records) > 0 || len(blocks) > 0 {
		if len(records) == 0 || len(blocks) > 0 && blocks[0].Off < records[0].Off {
			if err := add(unstriped{off: blocks[0].Off, len: blocks[0].Len(), block: &blocks[0]}); err != nil {
				return nil, err
			}
			blocks = blocks[1:]
			continue
		}
		x := unstriped{off: records[0].Off}
		n := 0
		for n < len(records) && records[n].Off == x.off+x.len && (n == 0 || x.len+records[n].Len <= unstripeRange) && (len(blocks) == 0 || records[n].Off < blocks[0].Off) {
			x.len += records[n].Len
			n++
		}
		if n == 0 { // it begins where a block does, which add refuses
			n, x.len = 1, records[0].Len
		}
		x.records, records = records[:n], records[n:]
		if err := add(x); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Unstripe makes a pack for a store of a striped pack, whose bytes read gives, in a new file, synced, and is the hashes of its chunks. Each chunk's hash is
// verified. read is called by up to workers goroutines at once.
func (d *Directory) Unstripe(ctx context.Context, fsys vfs.FS, path string, workers int, read func(ctx context.Context, b []byte, off int64) error) (hashes []hash.Hash, err error) {
	parts, err := d.parts()
	if err != nil {
		return nil, err
	}
	w, err := newWriter(fsys, path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.abort())
		}
	}()
	g, gctx := errgroup.WithContext(ctx)
	type result struct {
		chunks []encoded
		room   *[]byte
	}
	turns := make(chan chan result, workers-1)
	c := newCodecs()
	var free, made sync.Pool // of memory
	g.Go(func() error {
		defer close(turns)
		for _, p := range parts {
			done := make(chan result, 1)
			select {
			case turns <- done:
			case <-gctx.Done():
				return errs.With(errs.Canceled, gctx.Err())
			}
			g.Go(func() error {
				buf := taken(&free, p.len)
				defer free.Put(buf)
				data := (*buf)[:p.len]
				if err := read(gctx, data, p.off); err != nil {
					return err
				}
				room := taken(&made, p.room())
				list, err := p.chunks(c, data, room)
				if err != nil {
					return fmt.Errorf("at byte %d: %w", p.off, err)
				}
				done <- result{list, room}
				return nil
			})
		}
		return nil
	})
	g.Go(func() error {
		for done := range turns {
			var part result
			select {
			case part = <-done:
			case <-gctx.Done():
				return errs.With(errs.Canceled, gctx.Err())
			}
			for _, e := range part.chunks {
				hashes = append(hashes, e.hash)
				if err := w.add(e); err != nil {
					return err
				}
			}
			made.Put(part.room)
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	sum := sha256.New()
	for _, h := range hashes {
		sum.Write(h[:])
	}
	if !bytes.Equal(sum.Sum(nil), d.ft.hashes[:]) {
		return nil, errs.New(errs.Corrupt, "its %d chunks are not those that its footer names", len(hashes))
	}
	if _, err := w.end(ctx); err != nil {
		return nil, err
	}
	if err := w.f.Sync(); err != nil {
		return nil, fmt.Errorf("sync pack %s: %w", path, err)
	}
	return hashes, w.f.Close()
}

// taken is n bytes or more of memory that may have been used before.
func taken(free *sync.Pool, n int64) *[]byte {
	if b, _ := free.Get().(*[]byte); b != nil && int64(cap(*b)) >= n {
		*b = (*b)[:cap(*b)]
		return b
	}
	b := make([]byte, n)
	return &b
}

// room is how much memory the chunks of the part take at most: what a page has that its block has not, zero bytes behind segments and at its end,
// is no more than its head.
func (p *unstriped) room() int64 {
	if p.block == nil {
		return p.len
	}
	return p.len + int64(p.block.Stripes[0].Len)
}

// chunks is the chunks of the part, verified, in room.
func (p *unstriped) chunks(c *codecs, data []byte, room *[]byte) ([]encoded, error) {
	buf := (*room)[:0]
	if p.block == nil {
		buf = append(buf, data...)
		out := make([]encoded, 0, len(p.records))
		for _, s := range p.records {
			e, err := parseRecord(buf[s.Off-p.off:][:s.Len])
			if err == nil {
				err = c.check(e)
			}
			if err != nil {
				return nil, err
			}
			out = append(out, e)
		}
		return out, nil
	}
	if err := p.block.Check(0, data[:p.block.Stripes[0].Len]); err != nil {
		return nil, err
	}
	pages, err := openPages(p.block, data)
	if err != nil {
		return nil, err
	}
	out := make([]encoded, 0, p.block.Pages)
	for i := range p.block.Pages {
		at := len(buf)
		buf = pages.heads.AppendPage(buf, i, pages.stripes)
		e := encoded{hash: pages.heads.Hash(i), data: buf[at:len(buf):len(buf)], raw: uint32(len(buf) - at), codec: codecRaw}
		if err := c.check(e); err != nil {
			return nil, cmp.Or(p.block.CheckAll(data), err)
		}
		out = append(out, e)
	}
	*room = buf
	return out, nil
}
