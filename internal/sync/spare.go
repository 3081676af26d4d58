package sync

import (
	"context"
	"maps"
	"slices"
	gosync "sync"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// Spare has chunks that a database has lost in the packs of remotes, which are asked in turn when the first is asked for. A remote that is
// damaged itself is one that lacks what cannot be read there. It is a pack.Elsewhere.
type Spare struct {
	// Open opens the remotes, by what messages call them.
	Open []func(ctx context.Context) (*Remote, error)
	// Names are what messages call the remotes.
	Names []string
	// Tell, if not nil, is told what is wrong with a remote, each once.
	Tell func(text string)

	mu      gosync.Mutex
	opened  bool
	sources []spareSource
	told    map[string]bool
}

type spareSource struct {
	name string
	*Source
}

func (s *Spare) tell(name string, err error) {
	text := name + ": " + err.Error()
	if s.Tell == nil || s.told[text] {
		return
	}
	if s.told == nil {
		s.told = map[string]bool{}
	}
	s.told[text] = true
	s.Tell(text)
}

// open reads which packs the remotes have. The caller holds the lock.
func (s *Spare) open(ctx context.Context) {
	if s.opened {
		return
	}
	s.opened = true
	for i, open := range s.Open {
		name := s.Names[i]
		r, err := open(ctx)
		var refs map[string]Ref
		if err == nil {
			refs, err = r.Refs(ctx)
		}
		if err == nil && len(refs) == 0 {
			err = errs.New(errs.NotFound, "there is nothing")
		}
		if err != nil {
			s.tell(name, err)
			continue
		}
		src := &Source{Remote: r, Broken: func(err error) { s.tell(name, err) }}
		for _, n := range slices.Sorted(maps.Keys(refs)) {
			if err := src.Add(ctx, refs[n].Target); err != nil {
				s.tell(name, err)
			}
		}
		s.sources = append(s.sources, spareSource{name, src})
	}
}

// Record implements pack.Elsewhere.
func (s *Spare) Record(ctx context.Context, h hash.Hash) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open(ctx)
	for i := 0; i < len(s.sources); i++ {
		src := s.sources[i]
		rec, err := src.Record(ctx, h)
		if err == nil {
			return rec, nil
		}
		if e := ctx.Err(); e != nil {
			return nil, errs.With(errs.Canceled, e)
		}
		if !errs.Is(err, errs.NotFound) && !errs.Is(err, errs.Corrupt) { // it does not answer, and is not asked again
			s.tell(src.name, err)
			s.sources = slices.Delete(s.sources, i, i+1)
			i--
		}
	}
	return nil, chunk.ErrMissing(h)
}
