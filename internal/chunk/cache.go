package chunk

import (
	"context"
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/stemmadb/stemma/internal/hash"
)

// Cache is a Reader that keeps chunks it has read in memory, up to a budget in bytes. It is cut into shards by hash; each evicts
// by GCLOCK (Nicola, Dan, Dias: The Generalized Clock Buffer Replacement Scheme, SIGMETRICS 1992): an entry survives as many passes
// of the hand as its count says; a hit raises the count. Nodes start higher than pages, so that a scan of a table, which
// reads each page once, does not drive the upper levels of trees out.
//
// A Cache may be used by many goroutines, and one that finds a chunk waits for nobody. Two that miss the same chunk at the same time both
// read it.
type Cache struct {
	r      Reader
	shards []cacheShard
	misses atomic.Int64
}

// CacheStats describes a cache. Hits are not counted: each would write to memory that all processors share.
type CacheStats struct {
	Misses  int64 // reads that went to the Reader
	Entries int
	Bytes   int64 // counted against the budget, bookkeeping included
}

const (
	cacheShards  = 64
	entryCost    = 128 // bytes of bookkeeping an entry is counted with
	countOther   = 0   // first count of pages, groups and blobs
	countNode    = 2   // first count of nodes, row leaves, schemas, tables
	countMax     = 3
	minCacheable = cacheShards * 1024
)

// cacheShard finds entries through a table of open addressing with linear probing, which is read without a lock: entries come and go
// under mu, and a table that is full is replaced.
type cacheShard struct {
	tab    atomic.Pointer[[]atomic.Pointer[cacheEntry]] // of a power of two; never full
	mu     sync.Mutex
	used   int           // places of tab that are not nil, those of dropped entries included
	live   int           // entries
	ring   []*cacheEntry // in order of arrival, nil where one was evicted
	free   []int         // indices of nils in ring
	hand   int
	bytes  int64
	budget int64
	_      [24]byte // keeps the locks of two shards on different cache lines
}

type cacheEntry struct {
	hash  hash.Hash
	data  []byte
	view  atomic.Pointer[cacheView]
	slot  int
	cost  int64
	count atomic.Int32
}

// cacheView is what a reader made of a chunk.
type cacheView struct{ v any }

// dropped stands in tables for entries that are gone, so that those behind it are still found.
var dropped = new(cacheEntry)

const firstTable = 64

// NewCache is a cache in front of r with a budget in bytes. A budget below 64 KiB caches nothing.
func NewCache(r Reader, budget int64) *Cache {
	c := &Cache{r: r, shards: make([]cacheShard, cacheShards)}
	if budget < minCacheable {
		budget = 0
	}
	for i := range c.shards {
		tab := make([]atomic.Pointer[cacheEntry], firstTable)
		c.shards[i].tab.Store(&tab)
		c.shards[i].budget = budget / cacheShards
	}
	return c
}

func (c *Cache) shard(h hash.Hash) *cacheShard {
	return &c.shards[binary.LittleEndian.Uint32(h[8:])%cacheShards]
}

// place is where the search for a hash begins in a table.
func place(h *hash.Hash, size int) int { return int(binary.LittleEndian.Uint64(h[:])) & (size - 1) }

// find is the entry of a hash, nil when there is none, and where it stands.
func (s *cacheShard) find(h *hash.Hash) (*cacheEntry, *atomic.Pointer[cacheEntry]) {
	tab := *s.tab.Load()
	for i := place(h, len(tab)); ; i = (i + 1) & (len(tab) - 1) {
		e := tab[i].Load()
		if e == nil {
			return nil, nil
		}
		if e.hash == *h && e != dropped {
			return e, &tab[i]
		}
	}
}

// Get implements Reader.
func (c *Cache) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	if data, ok := c.Peek(h); ok {
		return data, nil
	}
	return c.read(ctx, h)
}

func (c *Cache) read(ctx context.Context, h hash.Hash) ([]byte, error) {
	c.misses.Add(1)
	data, err := c.r.Get(ctx, h)
	if err != nil {
		return nil, err
	}
	c.Add(h, data)
	return data, nil
}

// Peek is the chunk if it is in memory.
func (c *Cache) Peek(h hash.Hash) (data []byte, ok bool) {
	e, _ := c.shard(h).find(&h)
	if e == nil {
		return nil, false
	}
	e.touch()
	return e.data, true
}

// touch counts a hit. Only a count below the limit is written, so that a hot entry's cache line stays shared.
func (e *cacheEntry) touch() {
	if n := e.count.Load(); n < countMax {
		e.count.CompareAndSwap(n, n+1)
	}
}

// View implements Viewer.
func (c *Cache) View(ctx context.Context, h hash.Hash, open func(data []byte) (v any, size int, err error)) (any, error) {
	e, _ := c.shard(h).find(&h)
	if e == nil {
		data, err := c.read(ctx, h)
		if err != nil {
			return nil, err
		}
		if e, _ = c.shard(h).find(&h); e == nil { // too large to be kept
			v, _, err := open(data)
			return v, err
		}
	}
	e.touch()
	if v := e.view.Load(); v != nil {
		return v.v, nil
	}
	v, size, err := open(e.data)
	if err != nil {
		return nil, err
	}
	if e.view.CompareAndSwap(nil, &cacheView{v}) {
		s := c.shard(h)
		s.mu.Lock()
		if now, _ := s.find(&h); now == e {
			e.cost += int64(size)
			s.bytes += int64(size)
			s.shrink(0)
		}
		s.mu.Unlock()
	}
	return v, nil
}

// passingShare is the part of the budget up to which pages are kept that somebody reads in passing.
const passingShare = 8

// GetPassing is Get for one who goes through a table once: nodes are kept as ever, pages only as long as an eighth of the budget is not
// taken.
func (c *Cache) GetPassing(ctx context.Context, h hash.Hash) ([]byte, error) {
	if data, ok := c.Peek(h); ok {
		return data, nil
	}
	c.misses.Add(1)
	data, err := c.r.Get(ctx, h)
	if err == nil && (firstCount(data) != countOther || c.roomy(h)) {
		c.Add(h, data)
	}
	return data, err
}

// roomy tells whether a page read in passing is to be kept.
func (c *Cache) roomy(h hash.Hash) bool {
	s := c.shard(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes < s.budget/passingShare
}

// Add puts a chunk into memory as if it had been read. A chunk over an eighth of its shard's budget is not kept.
func (c *Cache) Add(h hash.Hash, data []byte) {
	s := c.shard(h)
	cost := int64(len(data)) + entryCost
	if cost > s.budget/8 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, _ := s.find(&h); e != nil {
		return
	}
	s.shrink(cost)
	e := &cacheEntry{hash: h, data: data, cost: cost}
	e.count.Store(firstCount(data))
	if n := len(s.free); n > 0 {
		e.slot, s.free = s.free[n-1], s.free[:n-1]
		s.ring[e.slot] = e
	} else {
		e.slot = len(s.ring)
		s.ring = append(s.ring, e)
	}
	s.insert(e)
	s.bytes += cost
}

// insert puts an entry that is not there into the table.
func (s *cacheShard) insert(e *cacheEntry) {
	tab := *s.tab.Load()
	if 4*(s.used+1) > 3*len(tab) {
		size := firstTable
		for size < 2*(s.live+1) {
			size *= 2
		}
		next := make([]atomic.Pointer[cacheEntry], size)
		for i := range tab {
			if o := tab[i].Load(); o != nil && o != dropped {
				put(next, o)
			}
		}
		s.used = s.live
		s.tab.Store(&next)
		tab = next
	}
	put(tab, e)
	s.used++
	s.live++
}

// put stores an entry in the first place that was never taken.
func put(tab []atomic.Pointer[cacheEntry], e *cacheEntry) {
	i := place(&e.hash, len(tab))
	for tab[i].Load() != nil {
		i = (i + 1) & (len(tab) - 1)
	}
	tab[i].Store(e)
}

func firstCount(data []byte) int32 {
	if len(data) == 0 {
		return countOther
	}
	switch Kind(data[0]) {
	case KindNode, KindRowLeaf, KindSchema, KindTable, KindCommit, KindTag, KindMerge, KindStash, KindRebase:
		return countNode
	}
	return countOther
}

// shrink evicts entries until there is room for more bytes.
func (s *cacheShard) shrink(more int64) {
	for s.live > 0 && s.bytes+more > s.budget {
		s.evict()
	}
}

// evict moves the hand to the next entry whose count is used up and removes it. The shard is not empty.
func (s *cacheShard) evict() {
	for {
		e := s.ring[s.hand]
		s.hand = (s.hand + 1) % len(s.ring)
		if e == nil {
			continue
		}
		if n := e.count.Load(); n > 0 {
			e.count.Add(-1)
			continue
		}
		s.remove(e)
		return
	}
}

func (s *cacheShard) remove(e *cacheEntry) {
	_, at := s.find(&e.hash)
	at.Store(dropped)
	s.ring[e.slot] = nil
	s.free = append(s.free, e.slot)
	s.live--
	s.bytes -= e.cost
}

// Forget drops a chunk from memory, for one who knows that it is gone from the Reader or wants it read again.
func (c *Cache) Forget(h hash.Hash) {
	s := c.shard(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, _ := s.find(&h); e != nil {
		s.remove(e)
	}
}

// Stats describes the cache now.
func (c *Cache) Stats() CacheStats {
	st := CacheStats{Misses: c.misses.Load()}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		st.Entries += s.live
		st.Bytes += s.bytes
		s.mu.Unlock()
	}
	return st
}
