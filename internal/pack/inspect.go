package pack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// Stats describes a store now.
type Stats struct {
	Packs         int
	PackChunks    int   // a chunk in two packs counts twice
	PackBytes     int64 // of files
	Segments      int
	JournalChunks int
	JournalBytes  int64 // of frames, without what is allocated ahead
	TailBytes     int64 // journal bytes since the last checkpoint
	CacheEntries  int
	CacheBytes    int64
	CacheMisses   int64
}

// Stats describes the store now.
func (s *Store) Stats() Stats {
	c := s.cache.Stats()
	st := Stats{TailBytes: s.TailBytes(), CacheEntries: c.Entries, CacheBytes: c.Bytes, CacheMisses: c.Misses}
	var next uint64
	if s.j != nil {
		s.j.mu.Lock()
		next = s.j.next
		s.j.mu.Unlock()
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	st.Packs, st.Segments, st.JournalChunks = len(s.packs), len(s.segs), len(s.chunks)
	for _, p := range s.packs {
		st.PackChunks += p.idx.len()
		st.PackBytes += p.size
	}
	if len(s.segs) > 0 {
		if next == 0 {
			next = s.end
		}
		st.JournalBytes = int64(next - s.segs[0].base)
	}
	return st
}

// Files is the paths of the store's files relative to its directory, sorted.
func (s *Store) Files() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := []string{formatFile}
	for _, seg := range s.segs {
		out = append(out, filepath.Join(journalDir, filepath.Base(seg.path)))
	}
	for _, p := range s.packs {
		out = append(out, filepath.Join(packsDir, filepath.Base(p.path)))
	}
	slices.Sort(out)
	return out
}

// Each calls fn with every chunk that is there when it begins, the length in bytes of its canonical form and the path of the file
// it is in. A chunk in two packs comes twice; so may one that is moved meanwhile. fn must not call Close.
func (s *Store) Each(ctx context.Context, fn func(h hash.Hash, size int64, where string) error) error {
	s.mu.RLock()
	var inJournal []movedChunk
	for h, loc := range s.chunks {
		inJournal = append(inJournal, movedChunk{h, loc})
	}
	s.mu.RUnlock()
	for _, m := range inJournal {
		if err := ctx.Err(); err != nil {
			return errs.With(errs.Canceled, err)
		}
		if err := fn(m.hash, int64(m.loc.raw), m.loc.seg.path); err != nil {
			return err
		}
	}
	return s.eachPack(func(p *file) error {
		return p.each(ctx, false, func(e encoded, _ uint64) error { return fn(e.hash, int64(e.raw), p.path) })
	})
}

// eachPack calls fn with every pack. One that is folded into another meanwhile fails with fs.ErrClosed, which is passed over, because that
// other one comes later.
func (s *Store) eachPack(fn func(p *file) error) error {
	seen := map[*file]bool{}
	for {
		s.mu.RLock()
		var next *file
		for _, p := range s.packs {
			if !seen[p] {
				next = p
				break
			}
		}
		s.mu.RUnlock()
		if next == nil {
			return nil
		}
		seen[next] = true
		if err := fn(next); err != nil && (!errors.Is(err, fs.ErrClosed) || s.isClosed()) {
			return err
		}
	}
}

// Verify reads one chunk from its file, not from the cache, and compares it with its hash. A difference is of class Corrupt and
// says where the bytes are.
func (s *Store) Verify(_ context.Context, h hash.Hash) error {
	e, at, err := s.find(h, nil)
	if err != nil {
		return err
	}
	if err := s.codecs.check(e); err != nil {
		return fmt.Errorf("%s at byte %d: %w", at.path, at.off, err)
	}
	return nil
}

// Problem is a fault that a verification found.
type Problem struct {
	File   string
	Offset int64     // in bytes, of the record; 0 when the whole file is meant
	Hash   hash.Hash // of the chunk, zero when it is not about one
	Err    error     // of class Corrupt or TooNew
}

// VerifyPacks reads all packs: checksums and hashes of records, indexes, digests. The error is about the verification itself.
func (s *Store) VerifyPacks(ctx context.Context, report func(Problem)) error {
	err := s.eachPack(func(p *file) error { return p.verify(ctx, s.codecs, report) })
	if err != nil {
		return fmt.Errorf("verify packs: %w", err)
	}
	return nil
}

// VerifyJournal reads all segments: frames, their order, hashes of chunks. The error is about the verification itself.
func (s *Store) VerifyJournal(ctx context.Context, report func(Problem)) error {
	if s.j != nil {
		if _, err := s.j.sync(ctx); err != nil {
			return fmt.Errorf("verify the journal: %w", err)
		}
	}
	s.mu.RLock()
	segs := slices.Clone(s.segs)
	s.mu.RUnlock()
	for i, seg := range segs {
		if err := ctx.Err(); err != nil {
			return errs.With(errs.Canceled, err)
		}
		limit := uint64(math.MaxUint64)
		if i+1 < len(segs) {
			limit = segs[i+1].base
		}
		if err := s.verifySegment(seg, limit, report); err != nil && (!errors.Is(err, fs.ErrClosed) || s.isClosed()) {
			return fmt.Errorf("verify the journal: %w", err)
		}
	}
	return nil
}

func (s *Store) verifySegment(seg *segment, limit uint64, report func(Problem)) error {
	data, err := readAll(seg.f)
	if err != nil {
		return err
	}
	head := *seg
	if err := head.parseHeader(data); err != nil {
		report(Problem{File: seg.path, Err: err})
		return nil
	}
	_, err = scanSegment(seg, data, limit, func(f frame, off int64) error {
		if f.typ != frameBatch || len(f.payload) == 0 || f.payload[0] != bodyInline {
			return nil
		}
		chunks, err := parseChunks(&cursor{b: f.payload, at: 1})
		if err != nil {
			return seg.corrupt(f.lsn, err)
		}
		for _, p := range chunks {
			if err := s.codecs.check(p.encoded); err != nil {
				report(Problem{File: seg.path, Offset: off + frameHeader + int64(p.off), Hash: p.hash, Err: err})
			}
		}
		return nil
	})
	if errs.Is(err, errs.Corrupt) {
		report(Problem{File: seg.path, Err: err})
		return nil
	}
	return err
}
