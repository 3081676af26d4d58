package pack

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
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
	GarbageLeft     int64 // bytes of garbage in packs that were not worth rewriting
	Peak            int64 // most bytes that were there beyond Before
}

// candidate is a pack that was there when a collection began.
type candidate struct {
	*file
	marked    bitset // positions of the index that Mark has been asked for
	kept      bitset // those, and others that somebody relies on, whose names have not been followed
	n         int    // kept chunks
	bytes     int64  // of their records
	rewriting bool   // its kept chunks have been copied
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
func (c *candidate) garbage() int64 { return int64(c.ft.indexOff) - packHeader - c.bytes }

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
		brought: map[string]bool{},
	}
	s.barrier.Lock()
	defer s.barrier.Unlock()
	s.mu.RLock()
	for _, p := range s.packs {
		c.packs = append(c.packs, &candidate{file: p, marked: newBitset(p.idx.len()), kept: newBitset(p.idx.len())})
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
	touched, brought := c.touched, c.brought
	c.touched = nil
	c.mu.Unlock()
	if err := c.keepPrefixes(touched); err != nil {
		return err
	}
	for _, p := range c.packs {
		for i := 0; brought[p.name] && i < p.idx.len(); i++ {
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
	if !p.keep(i) || !p.rewriting {
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
	prefix := prefixOf(h)
	i, ok = p.idx.find(prefix)
	var buf [hash.Size]byte
	for ; ok && i < p.idx.len() && p.idx.prefix(i) == prefix; i++ {
		if err := readFull(p.f, buf[:], int64(p.idx.off(i))); err != nil {
			return 0, false, p.at(p.idx.off(i), err)
		}
		if hash.Hash(buf) == h {
			return i, true, nil
		}
	}
	return 0, false, nil
}

// RewriteOptions say what is worth rewriting.
type RewriteOptions struct {
	// Garbage is the part of a pack that must be garbage, in hundredths, for it to be rewritten; 0 is any.
	Garbage int
	// Drop rewrites nothing: only packs without any marked chunk go.
	Drop bool
	// GroupBytes bounds, about, how much is copied before the originals go; 0 is a gibibyte.
	GroupBytes int64
	// Settle marks, once more, all that is to stay, as the caller's state is by now; it is called several times, outside of all locks.
	Settle func(ctx context.Context) error
	// Lock runs fn so that the caller's state does not change and nothing is appended meanwhile, after marking what is to stay a last time.
	Lock func(ctx context.Context, fn func() error) error
	// Progress, if not nil, is told of bytes copied.
	Progress func(n int64)
}

// groupBytes is how much is copied before the originals go.
const groupBytes = 1 << 30

// settleRounds is how often marks are brought up to date before the caller's state is locked for the last time.
const settleRounds = 3

// Rewrite removes what is not kept: packs with enough garbage are replaced by others with what is kept of them, and so are the
// segments before the checkpoint. What is removed was replaced durably before, so that whoever opens the store after a crash at any moment
// finds all that was kept.
func (c *Collection) Rewrite(ctx context.Context, opt RewriteOptions) error {
	if opt.GroupBytes == 0 {
		opt.GroupBytes = groupBytes
	}
	if err := c.rewrite(ctx, opt); err != nil {
		return fmt.Errorf("collect garbage: %w", err)
	}
	return nil
}

func (c *Collection) rewrite(ctx context.Context, opt RewriteOptions) error {
	var todo []*candidate
	for _, p := range c.packs {
		switch g := p.garbage(); {
		case p.n == 0:
			todo = append(todo, p)
		case opt.Drop || g == 0:
		case g*100 >= int64(opt.Garbage)*p.size || p.size < smallPack:
			todo = append(todo, p)
		}
	}
	// Those with the least to copy come first: they make room for what follows.
	slices.SortStableFunc(todo, func(a, b *candidate) int { return int(min(max(a.bytes-b.bytes, -1), 1)) })
	for first := true; first || len(todo) > 0; first = false {
		n, size := 0, int64(0)
		for n < len(todo) && (n == 0 || todo[n].bytes == 0 || size+todo[n].bytes <= opt.GroupBytes) {
			size += todo[n].bytes
			n++
		}
		if err := c.group(ctx, opt, todo[:n]); err != nil {
			return err
		}
		todo = todo[n:]
	}
	for _, p := range c.packs {
		c.stats.GarbageLeft += p.garbage()
	}
	return nil
}

// group replaces some packs and, the first time, the old segments.
func (c *Collection) group(ctx context.Context, opt RewriteOptions, packs []*candidate) (err error) {
	made := &made{c: c, progress: opt.Progress}
	defer func() { err = errors.Join(err, made.undo()) }()
	for _, p := range packs {
		p.rewriting = true
		if err := made.copyPack(ctx, p); err != nil {
			return err
		}
	}
	for round := 0; ; round++ {
		if err := opt.Settle(ctx); err != nil {
			return err
		}
		if err := c.Touched(); err != nil {
			return err
		}
		n, err := made.copyRest(ctx)
		if err != nil {
			return err
		}
		if err := made.finish(ctx); err != nil {
			return err
		}
		if round >= settleRounds || n == 0 {
			break
		}
	}
	var lsn uint64
	var gone []*file
	var segs []*segment
	err = opt.Lock(ctx, func() error {
		lsn, gone, segs, err = c.swap(ctx, made, packs)
		return err
	})
	if err != nil {
		return err
	}
	made.done()
	if err := c.s.j.wait(context.WithoutCancel(ctx), lsn); err != nil {
		return err
	}
	c.packs = slices.DeleteFunc(c.packs, func(p *candidate) bool { return slices.Contains(gone, p.file) })
	return c.remove(gone, segs)
}

// swap lets what was made stand for the packs and old segments: from its frame on they do not belong to the store. Nobody appends.
func (c *Collection) swap(ctx context.Context, made *made, packs []*candidate) (lsn uint64, gone []*file, segs []*segment, err error) {
	s := c.s
	s.barrier.Lock() // no batch finds a chunk from here on that is about to go
	defer s.barrier.Unlock()
	var hits []uint64
	s.batchMu.Lock()
	for b := range s.batches {
		b.hitMu.Lock()
		hits = append(hits, b.hits...)
		b.hitMu.Unlock()
	}
	s.batchMu.Unlock()
	if err := c.keepPrefixes(hits); err != nil {
		return 0, nil, nil, err
	}
	if err := c.Touched(); err != nil {
		return 0, nil, nil, err
	}
	// What came at the last moment goes into the frame itself, or into one more pack when it is too much for that.
	chunks, err := made.rest()
	if err != nil {
		return 0, nil, nil, err
	}
	if batchSize(chunks, nil) > maxPayload/2 || s.inBodies(chunks) {
		if err := made.add(ctx, chunks); err != nil {
			return 0, nil, nil, err
		}
		if err := made.finish(ctx); err != nil {
			return 0, nil, nil, err
		}
		chunks = nil
	}
	s.naming.Lock()
	defer s.naming.Unlock()
	for _, p := range packs {
		if !made.all[p.name] && !c.isBrought(p.name) {
			gone = append(gone, p.file)
		}
	}
	s.mu.RLock()
	left := slices.DeleteFunc(slices.Clone(s.packs), func(p *file) bool { return slices.Contains(gone, p) })
	s.mu.RUnlock()
	rec := packsRecord(packsAll, left)
	if batchSize(chunks, []Record{rec}) > maxPayload {
		rec = packsRecord(packsUnknown, nil)
	}
	payload := appendBatch(nil, chunks, []Record{rec})
	var seg *segment // of the frame
	var off int64
	lsn, err = s.j.append(ctx, frameBatch, payload, func(in *segment, at int64) { seg, off = in, at })
	if err != nil {
		return 0, nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var keep []*segment
	for _, x := range s.segs {
		if c.old[x] {
			segs = append(segs, x)
		} else {
			keep = append(keep, x)
		}
	}
	fresh := map[hash.Hash]location{}
	for h, loc := range s.chunks {
		if !c.old[loc.seg] {
			fresh[h] = loc
			continue
		}
		if _, ok := c.other[h]; !ok {
			c.stats.ChunksRemoved++
		}
	}
	placed, err := parseChunks(&cursor{b: payload, at: 1})
	if err != nil {
		panic("pack: a payload just built does not parse: " + err.Error())
	}
	for _, p := range placed {
		fresh[p.hash] = p.location(seg, off)
	}
	s.chunks, s.packs, s.segs, s.swapped = fresh, left, keep, lsn
	s.bodies = slices.DeleteFunc(slices.Clone(s.bodies), func(b bodyAt) bool { return b.lsn < keep[0].base })
	for _, p := range packs {
		if slices.Contains(gone, p.file) {
			c.stats.PacksRemoved++
			c.stats.ChunksKept += p.n
			c.stats.ChunksRemoved += p.idx.len() - p.n
		}
	}
	c.stats.SegmentsRemoved += len(segs)
	clear(c.old)
	clear(c.late)
	return lsn, gone, segs, nil
}

// inBodies tells whether one of the chunks holds a part of the body of a frame, which is read in packs only.
func (s *Store) inBodies(chunks []encoded) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, b := range s.bodies {
		for _, h := range b.pieces {
			if slices.ContainsFunc(chunks, func(e encoded) bool { return e.hash == h }) {
				return true
			}
		}
	}
	return false
}

func (c *Collection) isBrought(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.brought[name]
}

// remove closes and removes files whose replacement is durable, segments first: a frame of theirs may need a pack.
func (c *Collection) remove(packs []*file, segs []*segment) error {
	err := errors.Join(closeAll(segs), closePacks(packs))
	for _, x := range segs {
		c.s.folded = append(c.s.folded, x.path)
	}
	for _, p := range packs {
		c.s.folded = append(c.s.folded, p.path)
	}
	return errors.Join(err, c.s.removeFolded())
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

// made is the packs that a group of a collection has made and that do not count yet.
type made struct {
	c        *Collection
	progress func(n int64)
	w        *writer
	packs    []*file                // shown
	all      map[string]bool        // names of all that were made, those included that the store had already
	copied   map[hash.Hash]struct{} // of late ones
	ok       bool
}

// put copies a chunk in its stored form, whose hash is verified.
func (m *made) put(ctx context.Context, e encoded) error {
	if err := ctx.Err(); err != nil {
		return errs.With(errs.Canceled, err)
	}
	s := m.c.s
	if err := s.codecs.check(e); err != nil {
		return err
	}
	if m.w == nil {
		w, err := newWriter(s.fsys, s.tmpPath())
		if err != nil {
			return err
		}
		m.w = w
	}
	if err := m.w.add(e); err != nil {
		return err
	}
	if m.progress != nil {
		m.progress(recordHeader + int64(len(e.data)))
	}
	if m.w.size() >= packBytes {
		return m.finish(ctx)
	}
	return nil
}

// copyPack copies the kept chunks of a pack, in the order in which they are in it.
func (m *made) copyPack(ctx context.Context, p *candidate) error {
	type record struct {
		off int64
		n   int
	}
	list := make([]record, 0, p.n)
	for i := range p.idx.len() {
		if p.kept.has(i) {
			list = append(list, record{int64(p.idx.off(i)), recordHeader + int(p.idx.length(i))})
		}
	}
	slices.SortFunc(list, func(a, b record) int { return int(min(max(a.off-b.off, -1), 1)) })
	var buf []byte
	for _, x := range list {
		buf = slices.Grow(buf[:0], x.n)[:x.n]
		if err := readFull(p.f, buf, x.off); err != nil {
			return p.at(uint64(x.off), err)
		}
		e, err := parseRecord(buf)
		if err != nil {
			return p.at(uint64(x.off), err)
		}
		if err := m.put(ctx, e); err != nil {
			return p.at(uint64(x.off), err)
		}
	}
	return nil
}

// rest is the kept chunks that are only in files which are to go and have not been copied.
func (m *made) rest() ([]encoded, error) {
	c := m.c
	if m.copied == nil {
		m.copied = map[hash.Hash]struct{}{}
	}
	var from []movedChunk
	c.s.mu.RLock()
	if len(c.old) > 0 {
		for h, loc := range c.s.chunks {
			if !c.old[loc.seg] {
				continue
			}
			_, kept := c.other[h]
			if _, done := m.copied[h]; kept && !done {
				from = append(from, movedChunk{h, loc})
			}
		}
	}
	c.s.mu.RUnlock()
	sortMoved(from)
	var out []encoded
	for _, x := range from {
		e, err := c.s.readLocation(x.hash, x.loc, nil)
		if err != nil {
			return nil, err
		}
		m.copied[x.hash] = struct{}{}
		out = append(out, e)
	}
	for h := range c.late {
		if _, done := m.copied[h]; done {
			continue
		}
		e, _, err := c.s.find(h, nil)
		if err != nil {
			return nil, err
		}
		m.copied[h] = struct{}{}
		out = append(out, e)
	}
	return out, nil
}

// copyRest copies the rest into the packs. It returns the number of chunks.
func (m *made) copyRest(ctx context.Context) (int, error) {
	list, err := m.rest()
	if err != nil {
		return 0, err
	}
	return len(list), m.add(ctx, list)
}

func (m *made) add(ctx context.Context, list []encoded) error {
	for _, e := range list {
		if err := m.put(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// finish ends the pack that is being written and gives it its name. Its chunks are the store's from here on, as further copies, but no
// frame lists it: a crash takes it away.
func (m *made) finish(ctx context.Context) error {
	if m.w == nil {
		return nil
	}
	w := m.w
	m.w = nil
	p, err := w.finish(ctx)
	if err != nil {
		return errors.Join(err, w.abort())
	}
	s := m.c.s
	if m.all == nil {
		m.all = map[string]bool{}
	}
	m.all[p.name] = true
	if err := s.publish(p); err != nil {
		return err
	}
	if s.owns(p) {
		m.packs = append(m.packs, p)
		m.c.stats.PacksWritten++
	}
	m.peak()
	return nil
}

// peak measures what is there now beyond what was there at the beginning.
func (m *made) peak() {
	s := m.c.Stats()
	m.c.stats.Peak = max(m.c.stats.Peak, s.After-s.Before)
}

// owns tells whether a pack is among the store's.
func (s *Store) owns(p *file) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Contains(s.packs, p)
}

// done says that the packs count.
func (m *made) done() { m.ok = true }

// undo removes the packs when they do not count.
func (m *made) undo() error {
	var err error
	if m.w != nil {
		err = m.w.abort()
		m.w = nil
	}
	if m.ok || len(m.packs) == 0 {
		return err
	}
	s := m.c.s
	if s.j.isBroken() {
		return err // what counts is for the next owner to find out
	}
	s.naming.Lock()
	defer s.naming.Unlock()
	m.c.mu.Lock()
	gone := slices.DeleteFunc(slices.Clone(m.packs), func(p *file) bool { return m.c.brought[p.name] })
	m.c.mu.Unlock()
	s.mu.Lock()
	s.packs = slices.DeleteFunc(slices.Clone(s.packs), func(p *file) bool { return slices.Contains(gone, p) })
	s.mu.Unlock()
	for _, p := range gone {
		err = errors.Join(err, p.close(), s.fsys.Remove(p.path))
	}
	if len(gone) > 0 {
		err = errors.Join(err, s.fsys.SyncDir(filepath.Dir(gone[0].path)))
	}
	return err
}
