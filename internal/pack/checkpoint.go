package pack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// Packs below smallPack bytes are folded together with the journal once there are manySmall of them, so that looking a chunk up
// asks few packs.
const (
	smallPack = 8 << 20
	manySmall = 8
)

// Checkpoint makes state stand for all records so far: it begins a new segment whose first frame holds state, durably. Afterwards
// the chunks of the older segments are folded into a pack in the background and those segments are removed; Close
// waits for that and reports its errors, and the next Checkpoint does again what failed. No Append may run meanwhile.
func (s *Store) Checkpoint(ctx context.Context, state []byte) error {
	seg, err := s.checkpoint(ctx, state)
	if err != nil {
		return err
	}
	s.foldMu.Lock()
	defer s.foldMu.Unlock()
	if s.collection.Load() != nil { // which has the older segments in hand
		s.owed = seg
		return nil
	}
	s.fold.start(func() error { return s.foldBefore(context.WithoutCancel(ctx), seg) })
	return nil
}

// Folded waits until what Checkpoint has begun in the background is done, so that the next one need not wait for it.
func (s *Store) Folded(ctx context.Context) error { return s.fold.idle(ctx) }

// checkpoint begins the segment and gives it.
func (s *Store) checkpoint(ctx context.Context, state []byte) (*segment, error) {
	if s.j == nil {
		return nil, errReadOnly("checkpoint")
	}
	// A fold that runs holds the segments that the next one would take. Its error is reported by Close, or mended by the next.
	if err := s.fold.idle(ctx); err != nil {
		return nil, err
	}
	payload := append([]byte{bodyInline}, state...)
	var packs []*file
	var pieces []hash.Hash
	if len(payload) > maxPayload {
		var err error
		if payload, packs, pieces, err = s.outside(ctx, state); err != nil {
			return nil, fmt.Errorf("checkpoint: %w", err)
		}
	}
	var seg *segment
	_, err := s.appendWith(packs, func(show func()) (lsn uint64, err error) {
		if seg, err = s.j.checkpoint(payload); err == nil || s.j.isBroken() { // then the frame may be on the disk
			show()
		}
		return 0, err
	})
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	s.mu.Lock()
	s.state, s.tail = nil, nil
	s.mu.Unlock()
	s.note(seg.base, pieces)
	return seg, nil
}

// folder runs at most one fold in the background.
type folder struct {
	mu   sync.Mutex
	done chan struct{} // of the last fold
	err  error         // of the last fold, once done
}

// start runs fn, after the fold that runs.
func (f *folder) start(fn func() error) {
	done := make(chan struct{})
	f.mu.Lock()
	before := f.done
	f.done = done
	f.mu.Unlock()
	go func() {
		defer close(done)
		if before != nil {
			<-before
		}
		err := fn()
		f.mu.Lock()
		f.err = err
		f.mu.Unlock()
	}()
}

// idle returns when no fold runs.
func (f *folder) idle(ctx context.Context) error {
	f.mu.Lock()
	done := f.done
	f.mu.Unlock()
	if done == nil {
		return nil
	}
	select {
	case <-done:
		return nil
	default:
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return errs.With(errs.Canceled, ctx.Err())
	}
}

// wait returns when no fold runs any more, with the error of the last one. The fold itself cannot be abandoned: it uses the
// store's files.
func (f *folder) wait(ctx context.Context) error {
	err := f.idle(context.WithoutCancel(ctx))
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(err, f.err)
}

// foldBefore moves the chunks of all segments before seg into a pack and removes those segments.
//
// Order: the pack is synced, has its name durably and is listed before a segment goes; segments go oldest first, each durably, so
// what a crash leaves is a contiguous end of the journal.
func (s *Store) foldBefore(ctx context.Context, seg *segment) error {
	s.mu.RLock()
	var old []*segment
	for _, x := range s.segs {
		if x.num < seg.num {
			old = append(old, x)
		}
	}
	moved := s.chunksIn(old)
	small, others := s.smallPacks()
	s.mu.RUnlock()

	// An interrupted fold may have left segments whose chunks are in a pack already.
	var fresh []movedChunk
	for _, m := range moved {
		there, err := inPacks(others, m.hash)
		if err != nil {
			return fmt.Errorf("fold the journal: %w", err)
		}
		if !there {
			fresh = append(fresh, m)
		}
	}
	if len(fresh) > 0 || len(small) > 0 {
		if err := s.foldInto(ctx, fresh, small); err != nil {
			return fmt.Errorf("fold the journal: %w", err)
		}
	}
	if err := s.listAll(ctx, small); err != nil {
		return fmt.Errorf("fold the journal: %w", err)
	}
	s.mu.Lock()
	for _, m := range moved {
		delete(s.chunks, m.hash)
	}
	s.segs = slices.DeleteFunc(slices.Clone(s.segs), func(x *segment) bool { return slices.Contains(old, x) })
	s.packs = slices.DeleteFunc(slices.Clone(s.packs), func(p *file) bool { return slices.Contains(small, p) })
	s.bodies = slices.DeleteFunc(slices.Clone(s.bodies), func(b bodyAt) bool { return b.lsn < seg.base })
	s.mu.Unlock()

	err := errors.Join(closeAll(old), closePacks(small))
	for _, x := range old {
		s.folded = append(s.folded, x.path)
	}
	for _, p := range small {
		s.folded = append(s.folded, p.path)
	}
	if err = errors.Join(err, s.removeFolded()); err != nil {
		return fmt.Errorf("remove folded files: %w", err)
	}
	return nil
}

// removeFolded removes the files that are folded, each durably before the next, and stops at the first that cannot be: a segment
// must not outlive a younger one. What is left comes first the next time.
func (s *Store) removeFolded() error {
	for len(s.folded) > 0 {
		if err := s.removeUnlessNamed(s.folded[0]); err != nil {
			return err
		}
		s.folded = s.folded[1:]
	}
	return nil
}

// removeUnlessNamed removes a file durably, unless a pack of the same chunks has got its name meanwhile.
func (s *Store) removeUnlessNamed(path string) error {
	s.naming.Lock()
	defer s.naming.Unlock()
	s.mu.RLock()
	named := slices.ContainsFunc(s.packs, func(p *file) bool { return p.path == path })
	s.mu.RUnlock()
	if named {
		return nil
	}
	if err := s.fsys.Remove(path); err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	return s.fsys.SyncDir(filepath.Dir(path))
}

// movedChunk is a chunk of the journal on its way into a pack.
type movedChunk struct {
	hash hash.Hash
	loc  location
}

// chunksIn is the chunks of some segments in the order they were put.
func (s *Store) chunksIn(segs []*segment) []movedChunk {
	var out []movedChunk
	for h, loc := range s.chunks {
		if slices.Contains(segs, loc.seg) {
			out = append(out, movedChunk{h, loc})
		}
	}
	sortMoved(out)
	return out
}

// sortMoved puts chunks into the order in which they are in the journal.
func sortMoved(list []movedChunk) {
	slices.SortFunc(list, func(a, b movedChunk) int {
		return cmp.Or(cmp.Compare(a.loc.seg.num, b.loc.seg.num), cmp.Compare(a.loc.off, b.loc.off))
	})
}

// smallPacks is the packs to be folded too, if there are enough of them, and the other packs.
func (s *Store) smallPacks() (small, others []*file) {
	for _, p := range s.packs {
		if p.size < smallPack && !p.hasDictionary() { // those are a collection's affair
			small = append(small, p)
		} else {
			others = append(others, p)
		}
	}
	if len(small) < manySmall {
		return nil, s.packs
	}
	return small, others
}

// inPacks tells whether one of the packs has the chunk.
func inPacks(packs []*file, h hash.Hash) (bool, error) {
	for _, p := range packs {
		if ok, err := p.has(h); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// foldInto writes a pack of the given chunks and publishes it. Each chunk's hash is verified on the way.
func (s *Store) foldInto(ctx context.Context, moved []movedChunk, small []*file) error {
	w, err := newWriter(s.fsys, s.tmpPath())
	if err != nil {
		return err
	}
	put := func(e encoded) error {
		if err := s.codecs.check(e); err != nil {
			return err
		}
		return w.add(e)
	}
	err = func() error {
		for _, p := range small {
			if err := p.each(ctx, true, func(e encoded, _ uint64) error { return put(e) }); err != nil {
				return err
			}
		}
		for _, m := range moved {
			e, err := s.readLocation(m.hash, m.loc, nil)
			if err != nil {
				return err
			}
			if err := put(e); err != nil {
				return err
			}
		}
		return nil
	}()
	if err != nil {
		return errors.Join(err, w.abort())
	}
	p, err := w.finish(ctx)
	if err != nil {
		return errors.Join(err, w.abort())
	}
	return s.publish(p)
}
