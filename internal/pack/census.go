package pack

import (
	"sort"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
)

// Census numbers the chunks that a store has at a moment, for those who count what they take. It belongs to one goroutine; when a pack is
// removed meanwhile its methods fail with an error that is fs.ErrClosed, and it is to be taken anew.
type Census struct {
	packs   []*file
	first   []int // number of each pack's first chunk
	journal map[hash.Hash]int
	sizes   []int64  // of those in the journal
	raws    []int64  // lengths of those in the journal without compression, and their overhead
	known   []uint32 // lengths of others, as they were found or asked for; 0 for not yet
	n       int
	files   int64
}

// Census counts the chunks of the store.
func (s *Store) Census() *Census {
	st := s.Stats()
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := &Census{packs: s.packs, journal: make(map[hash.Hash]int, len(s.chunks)), files: st.PackBytes + st.JournalBytes}
	for _, p := range c.packs {
		c.first = append(c.first, c.n)
		c.n += p.idx.len()
	}
	c.known = make([]uint32, c.n)
	for h, loc := range s.chunks {
		c.journal[h] = c.n + len(c.sizes)
		c.sizes = append(c.sizes, int64(loc.length))
		c.raws = append(c.raws, int64(loc.raw))
	}
	return c
}

// Len is the number of chunks; one that is there twice counts twice.
func (c *Census) Len() int { return c.n + len(c.sizes) }

// Bytes is the length of all packs and of the journal.
func (c *Census) Bytes() int64 { return c.files }

// Find is the number of a chunk. One that is not there is an error of class NotFound.
func (c *Census) Find(h hash.Hash) (int, error) {
	if i, ok := c.journal[h]; ok {
		return i, nil
	}
	for k := len(c.packs) - 1; k >= 0; k-- {
		i, raw, ok, err := c.packs[k].positionAndRaw(h)
		if err != nil {
			return 0, err
		}
		if ok {
			c.known[c.first[k]+i] = raw // so that nobody reads it again
			return c.first[k] + i, nil
		}
	}
	return 0, chunk.ErrMissing(h)
}

// Raw is what the chunk of a number would take if it were not compressed, in bytes.
func (c *Census) Raw(i int) (int64, error) {
	if i >= c.n {
		return c.raws[i-c.n], nil
	}
	if c.known[i] == 0 {
		k := sort.SearchInts(c.first, i+1) - 1
		off := c.packs[k].idx.off(i - c.first[k])
		var b [4]byte // of the record's header
		if err := readFull(c.packs[k].f, b[:], int64(off)+hash.Size); err != nil {
			return 0, c.packs[k].at(off, err)
		}
		c.known[i] = leUint32(b[:])
	}
	return recordHeader + indexEntry + int64(c.known[i]), nil
}

// IsDictionary tells whether a number is that of the dictionary of a pack, which is none of the database's chunks.
func (c *Census) IsDictionary(i int) bool {
	if i >= c.n {
		return false
	}
	k := sort.SearchInts(c.first, i+1) - 1
	p := c.packs[k]
	return p.isDictionary(i - c.first[k])
}

// Size is what the chunk of a number takes in its file, in bytes.
func (c *Census) Size(i int) int64 {
	if i >= c.n {
		return c.sizes[i-c.n]
	}
	k := sort.SearchInts(c.first, i+1) - 1
	return recordHeader + indexEntry + int64(c.packs[k].idx.length(i-c.first[k]))
}
