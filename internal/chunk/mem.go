package chunk

import (
	"context"
	"sync"

	"github.com/stemmadb/stemma/internal/hash"
)

// Mem is a Store in memory.
type Mem struct {
	mu sync.RWMutex
	m  map[hash.Hash][]byte
}

// NewMem is an empty store.
func NewMem() *Mem { return &Mem{m: map[hash.Hash][]byte{}} }

// Get implements Reader.
func (s *Mem) Get(_ context.Context, h hash.Hash) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if d, ok := s.m[h]; ok {
		return d, nil
	}
	return nil, ErrMissing(h)
}

// Has implements Store.
func (s *Mem) Has(_ context.Context, h hash.Hash) (bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.m[h]
	return ok, nil
}

// Put implements Writer.
func (s *Mem) Put(_ context.Context, data []byte) (hash.Hash, error) {
	h := hash.Sum(data)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m[h] = data
	return h, nil
}

// Len is the number of chunks.
func (s *Mem) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.m)
}

// Size is the sum of the chunks' lengths in bytes.
func (s *Mem) Size() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var n int64
	for _, d := range s.m {
		n += int64(len(d))
	}
	return n
}
