package sync

import (
	"context"
	"fmt"
	"slices"
	"strings"
	gosync "sync"

	"golang.org/x/sync/errgroup"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/pack"
)

// How single chunks are read: sizes in bytes.
const (
	firstWindow = 64 << 10 // read at a place where nothing was read before
	lastWindow  = rangeSize
	windowsKept = 16 // in memory
	runsKept    = 16 // of a pack: who scan a table at once each have one
)

// Source reads single chunks of a remote's packs. Of each pack it reads the index once; what it reads of the records it reads in windows, which
// grow as long as one is asked for behind the other: chunks that were written together are as a rule read together. A window is at most half of
// what was read before it in its run, so that no more than that is read in vain where the run ends. It may be used by many goroutines.
type Source struct {
	Remote *Remote
	// Cache keeps the windows in a directory, where later ones find them; nil keeps none but the last, which are in memory.
	Cache *Cache
	// Broken, if not nil, is told of packs, or records of them, that the remote has lost or that are damaged there, and the source is one
	// without them. Otherwise they are errors when no other pack has the same.
	Broken func(error)

	mu    gosync.Mutex
	packs []*sourcePack // as they were added; the last are asked first
	open  bool          // their indexes were read
	dark  []darkPack    // whose indexes could not be read; they are tried again when something is not found without them
	last  []*window     // in memory, the last one that was used at the end
	// Of striped packs, in memory:
	blocks  []*openBlock // that were read whole, the last one at the end
	columns stripeCache
}

// sourcePack is a pack of a remote.
type sourcePack struct {
	Pack
	dir  *pack.Directory
	dict *pack.Dictionary // when it was needed
	runs []run            // the one that was used last at the end
	// Of columns that are read apart: the block behind those that were read last, and how many these were.
	next, ahead int
	// Why blocks cannot be read, by their offsets, where Broken is told: they are read once.
	lost map[int64]error
}

// darkPack is a pack whose index is damaged or lost.
type darkPack struct {
	p   *sourcePack
	err error
}

// run is windows of a pack that were read one behind the other.
type run struct {
	next int64 // where the last one ended
	size int64 // of all
}

// window is how much is to be read at off, and the run that it is of. Bytes that no run has come to begin one.
func (p *sourcePack) window(off int64) (size int64, r run) {
	for i := len(p.runs) - 1; i >= 0; i-- {
		if r = p.runs[i]; off >= r.next-lastWindow && off-r.next <= rangeGap {
			p.runs = slices.Delete(p.runs, i, i+1)
			return min(max(r.size/2, firstWindow), lastWindow), r
		}
	}
	return firstWindow, run{}
}

// ran notes that a run has come to next.
func (p *sourcePack) ran(r run, next, size int64) {
	if len(p.runs) >= runsKept {
		p.runs = slices.Delete(p.runs, 0, 1)
	}
	p.runs = append(p.runs, run{max(next, r.next), r.size + size})
}

// window is a piece of a pack in memory.
type window struct {
	p    *sourcePack
	off  int64
	data []byte
}

// Add makes the source know the packs of those targets.
func (s *Source) Add(ctx context.Context, targets ...Target) error {
	packs, err := s.Remote.Packs(ctx, targets...)
	if err != nil {
		return err
	}
	s.AddPacks(packs)
	return nil
}

// AddPacks makes the source know packs.
func (s *Source) AddPacks(packs []Pack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range packs {
		if !slices.ContainsFunc(s.packs, func(o *sourcePack) bool { return o.Digest == p.Digest }) {
			s.packs = append(s.packs, &sourcePack{Pack: p})
			s.open = false
		}
	}
}

// Packs are those that the source knows.
func (s *Source) Packs() []Pack {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Pack
	for _, p := range s.packs {
		out = append(out, p.Pack)
	}
	return out
}

// Record implements pack.Elsewhere.
func (s *Source) Record(ctx context.Context, h hash.Hash) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.indexes(ctx); err != nil {
		return nil, s.Remote.damaged(err)
	}
	f := s.faults()
	for i := len(s.packs) - 1; i >= 0; i-- {
		p := s.packs[i]
		for _, at := range p.dir.Spans(h) {
			rec, err := s.record(ctx, p, at)
			if err == nil && s.Broken != nil {
				_, _, err = pack.DecodeRecord(rec) // all of it, as another pack may have it
			}
			var is hash.Hash
			if err == nil {
				is, err = pack.RecordHash(rec)
			}
			if err != nil && !isLost(err) {
				err = fmt.Errorf("read pack %s of %s: %w", p.Digest.Full(), s.Remote.URL(), err)
			}
			if f.passBy(err) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if is == h {
				return rec, nil
			}
		}
	}
	if err := f.err(); err != nil {
		return nil, s.Remote.damaged(err)
	}
	return nil, chunk.ErrAbsent(h, "the remote "+s.Remote.URL()+" does not have it in the packs that were read of it")
}

// Beginning is the hashes of all chunks of kind k whose base32 form begins with text. Where there are none and something is damaged, that is the error.
func (s *Source) Beginning(ctx context.Context, text string, k chunk.Kind) ([]hash.Hash, error) {
	if !hash.IsBeginning(text) {
		return nil, errs.New(errs.Invalid, "'%s' cannot begin a hash", text)
	}
	lo, hi := pack.PrefixRange(text)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.indexes(ctx); err != nil {
		return nil, err
	}
	seen := map[hash.Hash]bool{}
	var out []hash.Hash
	f := s.faults()
	for _, p := range s.packs {
		for _, at := range p.dir.Beginning(lo, hi) {
			if at.Page > 0 && k != chunk.KindPage {
				continue
			}
			rec, err := s.record(ctx, p, at)
			var h hash.Hash
			var data []byte
			if err == nil {
				h, data, err = pack.DecodeRecord(rec)
			}
			if f.passBy(err) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if strings.HasPrefix(h.Full(), text) && len(data) > 0 && chunk.Kind(data[0]) == k && !seen[h] {
				seen[h] = true
				out = append(out, h)
			}
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	return nil, s.Remote.damaged(f.err())
}

// faults are what is damaged in packs or lost, and passed by, since another pack may have the same whole.
type faults struct {
	s     *Source
	first error // that nobody was told of; one of what is lost before others, since lists of now may have it
}

// faults begins with those of the packs without an index.
func (s *Source) faults() *faults {
	f := &faults{s: s}
	for _, d := range s.dark {
		f.passBy(d.err)
	}
	return f
}

// err is the error for what was not found anywhere; nil where nothing was passed by of which nobody was told. What could not be read of indexes is read again
// by who asks next.
func (f *faults) err() error {
	var again []*sourcePack
	for _, d := range f.s.dark {
		again = append(again, d.p)
	}
	if len(again) > 0 {
		f.s.packs, f.s.dark, f.s.open = append(again, f.s.packs...), nil, false
	}
	return f.first
}

// passBy tells whether an error is a fault of the remote, which is noted.
func (f *faults) passBy(err error) bool {
	if err == nil || !errs.Is(err, errs.Corrupt) {
		return false
	}
	if !f.s.broken(err) && (f.first == nil || isLost(err) && !isLost(f.first)) {
		f.first = err
	}
	return true
}

// broken tells of a fault of the remote, if that is what err is and somebody is to be told.
func (s *Source) broken(err error) bool {
	if s.Broken == nil || !errs.Is(err, errs.Corrupt) {
		return false
	}
	s.Broken(err)
	return true
}

// indexes reads the indexes of packs that were not read yet; small packs are read whole. The caller holds the lock.
func (s *Source) indexes(ctx context.Context) error {
	if s.open {
		return nil
	}
	type part struct {
		off  int64
		data []byte
		dir  *pack.Directory
		lost error // why it cannot be read
	}
	parts := make([]part, len(s.packs))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, p := range s.packs {
		if p.dir != nil {
			continue
		}
		g.Go(func() (err error) {
			defer func() {
				if errs.Is(err, errs.Corrupt) {
					parts[i].lost, err = err, nil
				}
			}()
			var data []byte
			var off int64
			var cached, fresh bool // fresh: not from the cache, which may be one that cannot drop what is wrong
			end := func(n int64) (_ []byte, err error) {
				off = p.Size - n
				if p.Size <= firstWindow {
					off = 0
				}
				if cached = false; !fresh {
					data, cached, err = s.Cache.read(p.Digest, off, p.Size-off)
				}
				if err == nil && !cached {
					data = make([]byte, p.Size-off)
					err = s.Remote.readPack(gctx, p.Pack, data, off)
				}
				return data, err
			}
			dir, err := s.Remote.directory(p.Pack, end)
			if errs.Is(err, errs.Corrupt) && cached {
				if err := s.Cache.drop(p.Digest); err != nil {
					return err
				}
				fresh = true
				dir, err = s.Remote.directory(p.Pack, end)
			}
			if err != nil {
				return err
			}
			parts[i] = part{off: off, data: data, dir: dir}
			if !cached {
				s.Cache.keep(p.Digest, off, data, true)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, p := range s.packs {
		if p.dir != nil {
			continue
		}
		if lost := parts[i].lost; lost != nil {
			if !s.broken(lost) {
				s.dark = append(s.dark, darkPack{p, lost})
			}
			continue
		}
		p.dir = parts[i].dir
		if parts[i].off == 0 {
			s.remember(&window{p, 0, parts[i].data})
		}
	}
	s.packs = slices.DeleteFunc(s.packs, func(p *sourcePack) bool { return p.dir == nil })
	s.open = true
	return nil
}

func (s *Source) remember(w *window) {
	if len(s.last) >= windowsKept {
		s.last = slices.Delete(s.last, 0, 1)
	}
	s.last = append(s.last, w)
}

// record is a record of a pack, made of a block perhaps, that can be read without the pack's dictionary. The caller holds the lock, and does not
// change the bytes.
func (s *Source) record(ctx context.Context, p *sourcePack, at pack.Span) ([]byte, error) {
	if at.Page > 0 {
		b, err := s.block(ctx, p, at)
		if err != nil {
			return nil, err
		}
		return b.Record(at.Page), nil
	}
	rec, err := s.read(ctx, p, at)
	if err != nil || !pack.NeedsDictionary(rec) {
		return rec, err
	}
	if p.dict == nil {
		at, ok := p.dir.Dictionary()
		if !ok {
			return nil, errs.New(errs.Corrupt, "pack %s has no dictionary, and a chunk needs one", p.Digest.Full())
		}
		rec, err := s.read(ctx, p, at)
		if err == nil {
			p.dict, err = pack.ReadDictionary(rec)
		}
		if err != nil {
			return nil, fmt.Errorf("pack %s: %w", p.Digest.Full(), err)
		}
	}
	return pack.Standalone(rec, p.dict)
}

// read is a record of a pack as it is there. The caller holds the lock, and does not change the bytes.
func (s *Source) read(ctx context.Context, p *sourcePack, at pack.Span) ([]byte, error) {
	for i := len(s.last) - 1; i >= 0; i-- {
		w := s.last[i]
		if w.p == p && w.off <= at.Off && at.Off+at.Len <= w.off+int64(len(w.data)) {
			return w.data[at.Off-w.off:][:at.Len:at.Len], nil
		}
	}
	cached, ok, err := s.Cache.read(p.Digest, at.Off, at.Len)
	if err != nil {
		return nil, err
	}
	if ok {
		if _, err := pack.RecordHash(cached); err == nil {
			return cached, nil
		}
		if err := s.Cache.drop(p.Digest); err != nil {
			return nil, err
		}
	}
	size, r := p.window(at.Off)
	end := min(max(at.Off+size, at.Off+at.Len), p.dir.End())
	if b := p.blockFrom(at.Off); b != nil { // whose columns may be wanted apart
		end = min(end, max(b.Off, at.Off+at.Len))
	}
	data := make([]byte, end-at.Off)
	if int64(len(data)) < at.Len {
		return nil, errs.New(errs.Corrupt, "the index of pack %s names a record behind its records", p.Digest.Full())
	}
	if err := s.Remote.readPack(ctx, p.Pack, data, at.Off); err != nil {
		return nil, err
	}
	p.ran(r, end, int64(len(data)))
	s.Cache.keep(p.Digest, at.Off, data, false)
	s.remember(&window{p, at.Off, data})
	return data[:at.Len:at.Len], nil
}
