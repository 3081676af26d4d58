package pack

import (
	"slices"

	"github.com/stemmadb/stemma/internal/hash"
)

// Published is a pack of the store, for those who read its file themselves.
type Published struct {
	Path   string // below the store's file system; a fold may remove it at any time
	Digest hash.Hash
	Size   int64 // in bytes
	Chunks int
	// Dictionary says that chunks of the pack need the dictionary with which it begins, one of its chunks: older programs cannot read it.
	Dictionary bool
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
		packs = append(packs, p.published())
	}
	for _, m := range s.chunksIn(s.segs) {
		journal = append(journal, m.hash)
	}
	return packs, journal
}

// Within is the packs of the store, of that many bytes, all of whose chunks seem to be wanted: only prefixes of their hashes are compared.
func (s *Store) Within(wanted []hash.Hash, least, most int64) (out []Published) {
	s.mu.RLock()
	packs := s.packs
	s.mu.RUnlock()
	packs = slices.DeleteFunc(slices.Clone(packs), func(p *file) bool { return p.size < least || p.size > most || int(p.ft.count) > len(wanted)+1 })
	if len(packs) == 0 {
		return nil
	}
	prefixes := make(map[uint64]struct{}, len(wanted))
	for _, h := range wanted {
		prefixes[prefixOf(h)] = struct{}{}
	}
	for _, p := range packs {
		all := true
		for i := 0; i < p.idx.len() && all; i++ {
			_, all = prefixes[p.idx.prefix(i)]
			all = all || p.isDictionary(i)
		}
		if all {
			out = append(out, p.published())
		}
	}
	return out
}

func (p *file) published() Published {
	return Published{Path: p.path, Digest: p.ft.digest, Size: p.size, Chunks: int(p.ft.count), Dictionary: p.hasDictionary()}
}
