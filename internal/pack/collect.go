package pack

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// Collection is a garbage collection of a store, while others use it. Its user marks what is to stay, Rewrites the rest away, and ends with
// Close. It belongs to one goroutine.
//
// The files that were there when it began, packs and segments of the journal, are candidates; what is appended later is none of its
// business and stays. Chunks that a batch did not keep because the store had them, and packs that somebody brought a second time, are
// marked by the store itself. As long as it lasts the journal is not folded.
type Collection struct {
	s     *Store
	seg   *segment // where the checkpoint is with which it began
	packs []*candidate
	old   map[*segment]bool      // candidates
	other map[hash.Hash]bool     // kept chunks that are in no candidate pack; true for marked ones
	late  map[hash.Hash]struct{} // kept after their pack was rewritten
	hot   map[hash.Hash]struct{} // those of MarkHot that are in no candidate pack
	stats CollectStats

	mu      sync.Mutex
	touched []uint64        // prefixes of chunks that somebody relies on since it began
	brought map[string]bool // names of packs that somebody brought again
}

// CollectStats is what a collection did, in files, chunks and bytes.
type CollectStats struct {
	Before, After   int64 // bytes of packs and journal
	PacksRemoved    int
	PacksWritten    int
	SegmentsRemoved int
	ChunksKept      int   // in the packs that were removed, and copied
	ChunksRemoved   int   // not there any more; one that was there twice counts each time
	Compressed      int   // chunks that a dictionary was used for, and that had none
	Saved           int64 // bytes that they take less, dictionaries included
	GarbageLeft     int64 // bytes of garbage in packs that were not worth rewriting
	Peak            int64 // most bytes that were there beyond Before
}

// candidate is a pack that was there when a collection began.
type candidate struct {
	*file
	marked    bitset // positions of the index that Mark has been asked for
	kept      bitset // those, and others that somebody relies on, whose names have not been followed
	hot       bitset // positions that MarkHot has been asked for
	n         int    // kept chunks
	bytes     int64  // of their records
	dict      int    // position of the pack's dictionary, which is never kept; below 0 for none
	rewriting bool   // its kept chunks have been copied
	spare     bool   // it need not be rewritten: when it cannot be read it stays as it is
}

// bitset is a set of small numbers.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

// set adds a number; first tells that it was not there.
func (b bitset) set(i int) (first bool) {
	first = !b.has(i)
	b[i/64] |= 1 << (i % 64)
	return first
}

// keep keeps the chunk at a position; first tells that it was not kept.
func (c *candidate) keep(i int) (first bool) {
	if first = c.kept.set(i); first {
		c.n++
		c.bytes += recordHeader + int64(c.idx.length(i))
	}
	return first
}

// garbage is the bytes of records that are not kept.
func (c *candidate) garbage() int64 {
	n := int64(c.ft.indexOff) - packHeader - c.bytes
	if c.dict >= 0 && c.n > 0 {
		n -= recordHeader + int64(c.idx.length(c.dict))
	}
	return n
}

// chunks is how many chunks of the database are in the pack.
func (c *candidate) chunks() int {
	if c.dict >= 0 {
		return c.idx.len() - 1
	}
	return c.idx.len()
}

// Collect is Checkpoint, and the beginning of a collection of all that was stored before. The store folds nothing until the collection
// is closed. Only one runs at a time: another is an error of class Conflict. What can be read is the same during and after it, but for
// chunks that were not marked.
func (s *Store) Collect(ctx context.Context, state []byte) (*Collection, error) {
	if s.j == nil {
		return nil, errReadOnly("collect garbage")
	}
	if !s.lists {
		return nil, errs.New(errs.Unsupported, "collect garbage: this database was made by a program that did not note which packs it has; clone it, and collect the garbage of the clone")
	}
	if s.collection.Load() != nil {
		return nil, errs.New(errs.Conflict, "collect garbage: that is being done already")
	}
	seg, err := s.checkpoint(ctx, state)
	if err != nil {
		return nil, err
	}
	c := &Collection{
		s: s, seg: seg, old: map[*segment]bool{}, other: map[hash.Hash]bool{}, late: map[hash.Hash]struct{}{},
		hot: map[hash.Hash]struct{}{}, brought: map[string]bool{},
	}
	s.barrier.Lock()
	defer s.barrier.Unlock()
	s.mu.RLock()
	for _, p := range s.packs {
		n := p.idx.len()
		x := &candidate{file: p, marked: newBitset(n), kept: newBitset(n), hot: newBitset(n), dict: -1}
		if p.hasDictionary() {
			x.dict = p.idx.first()
		}
		c.packs = append(c.packs, x)
		c.stats.Before += p.size
	}
	for _, x := range s.segs {
		if x.num < seg.num {
			c.old[x] = true
		}
	}
	c.stats.Before += int64(seg.base - s.segs[0].base)
	pieces := make([]hash.Hash, 0, len(s.bodies))
	for _, b := range s.bodies {
		if b.lsn >= seg.base {
			pieces = append(pieces, b.pieces...)
		}
	}
	s.mu.RUnlock()
	for _, h := range pieces {
		if _, err := c.Mark(h); err != nil {
			return nil, fmt.Errorf("collect garbage: %w", err)
		}
		if _, err := c.MarkHot(h); err != nil {
			return nil, fmt.Errorf("collect garbage: %w", err)
		}
	}
	s.collection.Store(c)
	return c, nil
}

// Mark keeps a chunk. first tells that it was not marked before, so that what it names is to be marked as well. A chunk that is not in the
// store is an error of class NotFound.
func (c *Collection) Mark(h hash.Hash) (first bool, err error) {
	marked, kept := c.other[h]
	if marked {
		return false, nil
	}
	for k := len(c.packs) - 1; k >= 0; k-- {
		i, ok, err := c.packs[k].position(h)
		if err != nil {
			return false, err
		}
		if ok {
			if c.packs[k].keep(i) && c.packs[k].rewriting {
				c.late[h] = struct{}{}
			}
			return c.packs[k].marked.set(i), nil
		}
	}
	if kept {
		c.other[h] = true
		return true, nil
	}
	there, err := c.s.Has(context.Background(), h)
	if err != nil {
		return false, err
	}
	if !there {
		return false, chunk.ErrMissing(h)
	}
	c.other[h] = true
	return true, nil
}

// MarkHot says that a chunk is read often: it is never compressed with a dictionary. first tells that it was not marked so before. It keeps
// nothing: see Mark.
func (c *Collection) MarkHot(h hash.Hash) (first bool, err error) {
	if _, ok := c.hot[h]; ok {
		return false, nil
	}
	for k := len(c.packs) - 1; k >= 0; k-- {
		i, ok, err := c.packs[k].position(h)
		if err != nil {
			return false, err
		}
		if ok {
			return c.packs[k].hot.set(i), nil
		}
	}
	there, err := c.s.Has(context.Background(), h)
	if err != nil {
		return false, err
	}
	if !there {
		return false, chunk.ErrMissing(h)
	}
	c.hot[h] = struct{}{}
	return true, nil
}

// touch keeps what somebody relies on: chunks by their prefixes, in all candidates. It does not follow what they name: who relies on a
// chunk that he has made relies on those as well, or reaches them from what he has read.
func (c *Collection) touch(prefixes []uint64) {
	if len(prefixes) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.touched = append(c.touched, prefixes...)
}

// bring takes note that somebody brought a pack that is there already.
func (c *Collection) bring(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.brought[name] = true
}

// Touched keeps what others have come to rely on since the last time.
func (c *Collection) Touched() error {
	c.mu.Lock()
	touched, brought := c.touched, maps.Clone(c.brought)
	c.touched = nil
	c.mu.Unlock()
	if err := c.keepPrefixes(touched); err != nil {
		return err
	}
	for _, p := range c.packs {
		if !brought[p.name] {
			continue
		}
		for i := range p.idx.len() {
			if err := c.keepAt(p, i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Collection) keepPrefixes(prefixes []uint64) error {
	slices.Sort(prefixes)
	prefixes = slices.Compact(prefixes)
	for _, p := range c.packs {
		for _, x := range prefixes {
			i, ok := p.idx.find(x)
			for ; ok && i < p.idx.len() && p.idx.prefix(i) == x; i++ {
				if err := c.keepAt(p, i); err != nil {
					return err
				}
			}
		}
	}
	// What the old segments have.
	if len(prefixes) == 0 || len(c.old) == 0 {
		return nil
	}
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	for h, loc := range c.s.chunks {
		if _, ok := slices.BinarySearch(prefixes, prefixOf(h)); ok && c.old[loc.seg] {
			if _, kept := c.other[h]; !kept {
				c.other[h] = false
			}
		}
	}
	return nil
}

// keepAt keeps the chunk at a position of a candidate.
func (c *Collection) keepAt(p *candidate, i int) error {
	if i == p.dict || !p.keep(i) || !p.rewriting {
		return nil
	}
	var h hash.Hash
	if err := readFull(p.f, h[:], int64(p.idx.off(i))); err != nil {
		return p.at(p.idx.off(i), err)
	}
	c.late[h] = struct{}{}
	return nil
}

// position is where the chunk is in the pack's index.
func (p *file) position(h hash.Hash) (i int, ok bool, err error) {
	i, _, ok, err = p.positionAndRaw(h)
	return i, ok, err
}

// positionAndRaw is position, and the length of the chunk's canonical bytes.
func (p *file) positionAndRaw(h hash.Hash) (i int, raw uint32, ok bool, err error) {
	prefix := prefixOf(h)
	i, ok = p.idx.find(prefix)
	var buf [hash.Size + 4]byte
	for ; ok && i < p.idx.len() && p.idx.prefix(i) == prefix; i++ {
		if err := readFull(p.f, buf[:], int64(p.idx.off(i))); err != nil {
			return 0, 0, false, p.at(p.idx.off(i), err)
		}
		if hash.Hash(buf[:hash.Size]) == h {
			return i, leUint32(buf[hash.Size:]), true, nil
		}
	}
	return 0, 0, false, nil
}

// Stats is what was done so far.
func (c *Collection) Stats() CollectStats {
	now := c.s.Stats()
	out := c.stats
	out.After = now.PackBytes + now.JournalBytes
	return out
}

// Close ends the collection, whatever it has done, and lets the store fold again what has come meanwhile.
func (c *Collection) Close() {
	s := c.s
	s.foldMu.Lock()
	defer s.foldMu.Unlock()
	s.collection.Store(nil)
	seg := c.seg
	if s.owed != nil {
		seg = s.owed
	}
	s.owed = nil
	s.mu.RLock()
	due := len(s.segs) > 0 && s.segs[0].num < seg.num
	s.mu.RUnlock()
	if due {
		s.fold.start(func() error { return s.foldBefore(context.Background(), seg) })
	}
}
