package pack

import (
	"bytes"
	"cmp"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/stripe"
)

// Blocks says how packs are striped: lengths in bytes, of which 0 stands for one that is right as a rule. They are no part of the format.
type Blocks struct {
	Full  int // at which a block ends: whoever wants one page reads the block
	Least int // pages of a shorter one are rather kept as records
}

const (
	blockFull  = 4 << 20
	blockLeast = 256 << 10
	blocksOpen = 8        // blocks that are filled at a time, each with pages of other columns
	blocksMost = 16 << 20 // of all blocks that are being filled
	nodesMost  = 8 << 20  // nodes are kept back so that they lie together, up to that
)

// striping sorts the chunks of a pack that is written into blocks and records. What it makes is a pure function of the chunks in their order.
type striping struct {
	w     *writer
	how   Blocks
	open  []*stripe.Builder // the one that was used last at the end
	nodes []encoded
	in    map[hash.Hash]struct{} // what is in open and nodes
	size  int64                  // of that
	back  int64                  // of nodes
}

func newStriping(w *writer, how Blocks) *striping {
	return &striping{w: w, how: Blocks{cmp.Or(how.Full, blockFull), cmp.Or(how.Least, blockLeast)}, in: map[hash.Hash]struct{}{}}
}

// add appends a chunk unless it is there. Its bytes may be used again afterwards.
func (s *striping) add(e encoded) error {
	if _, ok := s.in[e.hash]; ok {
		return nil
	}
	if _, ok := s.w.at[e.hash]; ok {
		return nil
	}
	if e.codec != codecRaw || len(e.data) == 0 {
		return s.w.add(e)
	}
	switch {
	case chunk.Kind(e.data[0]) == chunk.KindNode:
		e.data = bytes.Clone(e.data)
		s.nodes = append(s.nodes, e)
		n := recordHeader + int64(len(e.data))
		s.back, s.size = s.back+n, s.size+n
		s.in[e.hash] = struct{}{}
		if s.back >= nodesMost {
			return s.putNodes()
		}
		return nil
	case chunk.Kind(e.data[0]) != chunk.KindPage || !stripe.Fits(e.data):
		return s.w.add(e)
	}
	b := s.blockFor(e.data)
	was := b.Size()
	b.Add(e.hash, e.data)
	s.in[e.hash] = struct{}{}
	s.size += int64(b.Size() - was)
	if b.Size() >= s.how.Full {
		return s.put(len(s.open) - 1)
	}
	for len(s.open) > blocksOpen || s.size-s.back > blocksMost {
		if err := s.put(0); err != nil {
			return err
		}
	}
	return nil
}

// blockFor is the block that a page goes into, the last of the open ones from now on.
func (s *striping) blockFor(page []byte) *stripe.Builder {
	best, most := -1, -1
	for i, b := range s.open {
		if n := b.Akin(page); n >= 0 && n >= most {
			best, most = i, n
		}
	}
	b := new(stripe.Builder)
	if best >= 0 {
		b = s.open[best]
		s.open = append(s.open[:best], s.open[best+1:]...)
	}
	s.open = append(s.open, b)
	return b
}

// put writes an open block.
func (s *striping) put(i int) error {
	b := s.open[i]
	s.open = append(s.open[:i], s.open[i+1:]...)
	s.size -= int64(b.Size())
	hashes := b.Hashes()
	for _, h := range hashes {
		delete(s.in, h)
	}
	if b.Size() >= s.how.Least {
		return s.w.addBlock(b)
	}
	block, data := b.Finish(0, nil)
	pages, err := OpenPages(&block, data)
	if err != nil {
		return err
	}
	for i, h := range hashes {
		page := pages.Page(i)
		if err := s.w.add(encoded{hash: h, data: page, raw: uint32(len(page)), codec: codecRaw}); err != nil {
			return err
		}
	}
	return nil
}

// putNodes writes the nodes.
func (s *striping) putNodes() error {
	for _, e := range s.nodes {
		if err := s.w.add(e); err != nil {
			return err
		}
		delete(s.in, e.hash)
	}
	s.size -= s.back
	s.nodes, s.back = nil, 0
	return nil
}

// flush writes what is kept back.
func (s *striping) flush() error {
	for len(s.open) > 0 {
		if err := s.put(0); err != nil {
			return err
		}
	}
	return s.putNodes()
}
