package pack

import (
	"github.com/stemmadb/stemma/internal/hash"
)

// Published is a pack of the store, for those who read its file themselves.
type Published struct {
	Path   string // below the store's file system; a fold may remove it at any time
	Digest hash.Hash
	Size   int64 // in bytes
	Chunks int
}

// HasDictionaries tells whether packs of the store have dictionaries, or may have had some.
func (s *Store) HasDictionaries() bool {
	return s.dicts.Load()
}

// Published is the store's packs, and the chunks that are in the journal only, in the order in which they were put: together, all chunks.
func (s *Store) Published() (packs []Published, journal []hash.Hash) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, p := range s.packs {
		packs = append(packs, Published{Path: p.path, Digest: p.ft.digest, Size: p.size, Chunks: int(p.ft.count)})
	}
	for _, m := range s.chunksIn(s.segs) {
		journal = append(journal, m.hash)
	}
	return packs, journal
}
