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
// A Cache may be used by many goroutines. Two that miss the same chunk at the same time both read it.
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

type cacheShard struct {
	mu     sync.RWMutex
	at     map[hash.Hash]*cacheEntry
	ring   []*cacheEntry // in order of arrival, nil where one was evicted
	free   []int         // indices of nils in ring
	hand   int
	bytes  int64
	budget int64
	_      [40]byte // keeps the locks of two shards on different cache lines
}

type cacheEntry struct {
	hash  hash.Hash
	data  []byte
	slot  int
	count atomic.Int32
}

// NewCache is a cache in front of r with a budget in bytes. A budget below 64 KiB caches nothing.
func NewCache(r Reader, budget int64) *Cache {
	c := &Cache{r: r, shards: make([]cacheShard, cacheShards)}
	if budget < minCacheable {
		budget = 0
	}
	for i := range c.shards {
		c.shards[i].at = map[hash.Hash]*cacheEntry{}
		c.shards[i].budget = budget / cacheShards
	}
	return c
}

func (c *Cache) shard(h hash.Hash) *cacheShard {
	return &c.shards[binary.LittleEndian.Uint32(h[8:])%cacheShards]
}

// Get implements Reader.
func (c *Cache) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	if data, ok := c.Peek(h); ok {
		return data, nil
	}
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
	s := c.shard(h)
	s.mu.RLock()
	e := s.at[h]
	s.mu.RUnlock()
	if e == nil {
		return nil, false
	}
	// Only a count below the limit is written, so that a hot entry's cache line stays shared.
	if n := e.count.Load(); n < countMax {
		e.count.CompareAndSwap(n, n+1)
	}
	return e.data, true
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
	if s.at[h] != nil {
		return
	}
	for s.bytes+cost > s.budget {
		s.evict()
	}
	e := &cacheEntry{hash: h, data: data}
	e.count.Store(firstCount(data))
	if n := len(s.free); n > 0 {
		e.slot, s.free = s.free[n-1], s.free[:n-1]
		s.ring[e.slot] = e
	} else {
		e.slot = len(s.ring)
		s.ring = append(s.ring, e)
	}
	s.at[h] = e
	s.bytes += cost
}

func firstCount(data []byte) int32 {
	if len(data) == 0 {
		return countOther
	}
	switch Kind(data[0]) {
	case KindNode, KindRowLeaf, KindSchema, KindTable, KindCommit, KindTag:
		return countNode
	}
	return countOther
}

// evict moves the hand to the next entry whose count is used up and removes it. The shard is not empty.
func (s *cacheShard) evict() {
	for {
		e := s.ring[s.hand]
		at := s.hand
		s.hand = (s.hand + 1) % len(s.ring)
		if e == nil {
			continue
		}
		if n := e.count.Load(); n > 0 {
			e.count.Add(-1)
			continue
		}
		s.ring[at] = nil
		s.free = append(s.free, at)
		delete(s.at, e.hash)
		s.bytes -= int64(len(e.data)) + entryCost
		return
	}
}

// Forget drops a chunk from memory, for one who knows that it is gone from the Reader or wants it read again.
func (c *Cache) Forget(h hash.Hash) {
	s := c.shard(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.at[h]
	if e == nil {
		return
	}
	s.ring[e.slot] = nil
	s.free = append(s.free, e.slot)
	delete(s.at, h)
	s.bytes -= int64(len(e.data)) + entryCost
}

// Stats describes the cache now.
func (c *Cache) Stats() CacheStats {
	st := CacheStats{Misses: c.misses.Load()}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.RLock()
		st.Entries += len(s.at)
		st.Bytes += s.bytes
		s.mu.RUnlock()
	}
	return st
}
