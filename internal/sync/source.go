package sync

import (
	"context"
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
)

// Source reads single chunks of a remote's packs. Of each pack it reads the index once; what it reads of the records it reads in windows, which
// grow as long as one is asked for behind the other: chunks that were written together are as a rule read together. It may be used by many
// goroutines.
type Source struct {
	Remote *Remote
	// Cache keeps the windows in a directory, where later ones find them; nil keeps none but the last, which are in memory.
	Cache *Cache
	// Broken, if not nil, is told of packs, or records of them, that the remote has lost or that are damaged there, and the source is one
	// without them. Otherwise they are errors.
	Broken func(error)

	mu    gosync.Mutex
	packs []*sourcePack // as they were added; the last are asked first
	open  bool          // their indexes were read
	last  []*window     // in memory, the last one that was used at the end
}

// sourcePack is a pack of a remote.
type sourcePack struct {
	Pack
	dir *pack.Directory
	// next is where the last window ended, and size its length.
	next, size int64
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
		return nil, err
	}
	for i := len(s.packs) - 1; i >= 0; i-- {
		p := s.packs[i]
		for _, at := range p.dir.Spans(h) {
			rec, err := s.read(ctx, p, at)
			if err == nil && s.Broken != nil {
				_, _, err = pack.DecodeRecord(rec) // all of it, as another pack may have it
			}
			if s.broken(err) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if is, err := pack.RecordHash(rec); err != nil || is == h {
				return rec, err
			}
		}
	}
	return nil, chunk.ErrAbsent(h, "the remote "+s.Remote.URL()+" does not have it in the packs that were read of it")
}

// Beginning is the hashes of all chunks of kind k whose base32 form begins with text.
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
	for _, p := range s.packs {
		for _, at := range p.dir.Beginning(lo, hi) {
			rec, err := s.read(ctx, p, at)
			if err != nil {
				return nil, err
			}
			h, data, err := pack.DecodeRecord(rec)
			if err != nil {
				return nil, err
			}
			if strings.HasPrefix(h.Full(), text) && len(data) > 0 && chunk.Kind(data[0]) == k && !seen[h] {
				seen[h] = true
				out = append(out, h)
			}
		}
	}
	return out, nil
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
		lost error // why it cannot be read, where Broken is to be told
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
				if s.Broken != nil && errs.Is(err, errs.Corrupt) {
					parts[i].lost, err = err, nil
				}
			}()
			tail, err := p.tail()
			if err != nil {
				return err
			}
			off := p.Size - tail
			if p.Size <= firstWindow {
				off = 0
			}
			directory := func(data []byte) (*pack.Directory, error) {
				return pack.ReadDirectory(data[int64(len(data))-tail:], p.Size, p.Digest)
			}
			data, ok, err := s.Cache.read(p.Digest, off, p.Size-off)
			if err != nil {
				return err
			}
			if ok {
				dir, err := directory(data)
				if err == nil {
					parts[i] = part{off: off, data: data, dir: dir}
					return nil
				}
				if err := s.Cache.drop(p.Digest); err != nil {
					return err
				}
			}
			data = make([]byte, p.Size-off)
			if err := s.Remote.readPack(gctx, p.Pack, data, off); err != nil {
				return err
			}
			dir, err := directory(data)
			if err != nil {
				return err
			}
			parts[i] = part{off: off, data: data, dir: dir}
			return s.Cache.keep(p.Digest, off, data, true)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, p := range s.packs {
		if p.dir != nil {
			continue
		}
		if s.broken(parts[i].lost) {
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

// read is a record of a pack. The caller holds the lock, and does not change the bytes.
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
	size := int64(firstWindow)
	if p.size > 0 && at.Off >= p.next-lastWindow && at.Off-p.next <= rangeGap {
		size = min(2*p.size, lastWindow)
	}
	end := min(max(at.Off+size, at.Off+at.Len), p.dir.End())
	data := make([]byte, end-at.Off)
	if int64(len(data)) < at.Len {
		return nil, errs.New(errs.Corrupt, "the index of pack %s names a record behind its records", p.Digest.Full())
	}
	if err := s.Remote.readPack(ctx, p.Pack, data, at.Off); err != nil {
		return nil, err
	}
	p.next, p.size = end, size
	if err := s.Cache.keep(p.Digest, at.Off, data, false); err != nil {
		return nil, err
	}
	s.remember(&window{p, at.Off, data})
	return data[:at.Len:at.Len], nil
}
