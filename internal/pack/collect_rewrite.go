package pack

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// RewriteOptions say what is worth rewriting.
type RewriteOptions struct {
	// Garbage is the part of a pack that must be garbage, in hundredths, for it to be rewritten; 0 is any.
	Garbage int
	// Drop rewrites nothing: only packs without any marked chunk go.
	Drop bool
	// Compress says what becomes of chunks that are not hot.
	Compress Compression
	// CompressLeast is how many bytes of cold chunks of a kind are worth a dictionary; 0 is 256 KiB, and below 0 one is used wherever one can be
	// made, whatever it saves.
	CompressLeast int64
	// Renew rewrites every pack that has a dictionary: one may hold pieces of chunks that are gone.
	Renew bool
	// RenewRemoving is Renew where chunks of packs are removed. Those of the journal alone are in no dictionary.
	RenewRemoving bool
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
	if opt.CompressLeast == 0 {
		opt.CompressLeast = leastCold
	}
	if err := c.rewrite(ctx, opt); err != nil {
		return fmt.Errorf("collect garbage: %w", err)
	}
	return nil
}

func (c *Collection) rewrite(ctx context.Context, opt RewriteOptions) error {
	removing := opt.RenewRemoving && !opt.Drop && slices.ContainsFunc(c.packs, func(p *candidate) bool { return p.garbage() > 0 })
	var todo []*candidate
	for _, p := range c.packs {
		switch g := p.garbage(); {
		case p.n == 0, opt.Renew && p.dict >= 0:
			todo = append(todo, p)
		case opt.Drop || g == 0 && !(removing && p.dict >= 0):
		case g > 0 && (g*100 >= int64(opt.Garbage)*p.size || p.size < smallPack):
			todo = append(todo, p)
		case removing && p.dict >= 0:
			p.spare = true
			todo = append(todo, p)
		}
	}
	todo, plan, err := c.compression(ctx, opt, todo)
	if err != nil {
		return err
	}
	defer plan.close()
	// Those with the least to copy come first: they make room for what follows.
	slices.SortStableFunc(todo, func(a, b *candidate) int { return int(min(max(a.bytes-b.bytes, -1), 1)) })
	for first := true; first || len(todo) > 0; first = false {
		n, size := 0, int64(0)
		for n < len(todo) && (n == 0 || todo[n].bytes == 0 || size+todo[n].bytes <= opt.GroupBytes) {
			size += todo[n].bytes
			n++
		}
		if err := c.group(ctx, opt, plan, todo[:n]); err != nil {
			return err
		}
		todo = todo[n:]
	}
	for _, p := range c.packs {
		c.stats.GarbageLeft += p.garbage()
	}
	return nil
}

// group replaces some packs and, the first time, the old segments. Spare ones that cannot be read are left out.
func (c *Collection) group(ctx context.Context, opt RewriteOptions, plan *plan, packs []*candidate) error {
	for {
		stats := c.stats
		bad, err := c.replace(ctx, opt, plan, packs)
		if bad == nil || err != nil {
			return err
		}
		stats.Peak = c.stats.Peak
		c.stats = stats
		packs = slices.DeleteFunc(slices.Clone(packs), func(p *candidate) bool {
			p.rewriting = false
			return p == bad
		})
	}
}

// unreadable tells whether an error is of a file that is not as it was written, or of a disk that does not give it back.
func unreadable(err error) bool { return errs.Is(err, errs.Corrupt) || errors.Is(err, syscall.EIO) }

// replace replaces packs as group does, or nothing when it finds a spare one that cannot be read: bad.
func (c *Collection) replace(ctx context.Context, opt RewriteOptions, plan *plan, packs []*candidate) (bad *candidate, err error) {
	made := &made{c: c, plan: plan, progress: opt.Progress}
	defer func() { err = errors.Join(err, made.undo()) }()
	for _, p := range packs {
		p.rewriting = true
		if err := made.copyPack(ctx, p); p.spare && unreadable(err) {
			return p, nil
		} else if err != nil {
			return nil, err
		}
	}
	return nil, c.swapIn(ctx, opt, made, packs)
}

// swapIn lets what was made of packs, and what else is to stay of them and of the old segments, stand for them.
func (c *Collection) swapIn(ctx context.Context, opt RewriteOptions, made *made, packs []*candidate) (err error) {
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
			c.stats.ChunksRemoved += p.chunks() - p.n
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
