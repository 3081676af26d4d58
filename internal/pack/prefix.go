package pack

import (
	"context"
	"errors"
	"io/fs"
	"sort"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// FindPrefix is the hashes of all stored chunks whose base32 form begins with text, which must satisfy hash.IsPrefix. Each is given
// once, in no order.
func (s *Store) FindPrefix(_ context.Context, text string) ([]hash.Hash, error) {
	if !hash.IsBeginning(text) {
		return nil, errs.New(errs.Invalid, "find chunks: '%s' cannot begin a hash", text)
	}
	for {
		out, err := s.findPrefixOnce(text)
		if !errors.Is(err, fs.ErrClosed) || s.isClosed() {
			return out, err
		}
	}
}

func (s *Store) findPrefixOnce(text string) ([]hash.Hash, error) {
	lo, hi := PrefixRange(text)
	seen := map[hash.Hash]bool{}
	take := func(h hash.Hash) {
		if strings.HasPrefix(h.Full(), text) {
			seen[h] = true
		}
	}
	s.mu.RLock()
	packs := s.packs
	for h := range s.chunks {
		if p := prefixOf(h); p >= lo && p <= hi {
			take(h)
		}
	}
	s.mu.RUnlock()
	var buf [hash.Size]byte
	for _, p := range packs {
		i := sort.Search(p.idx.len(), func(i int) bool { return p.idx.prefix(i) >= lo })
		for ; i < p.idx.len() && p.idx.prefix(i) <= hi; i++ {
			if err := readFull(p.f, buf[:], int64(p.idx.off(i))); err != nil {
				return nil, p.at(p.idx.off(i), err)
			}
			take(hash.Hash(buf))
		}
	}
	out := make([]hash.Hash, 0, len(seen))
	for h := range seen {
		out = append(out, h)
	}
	return out, nil
}
