package schema

import (
	"context"
	"sync"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/value"
)

// Compiled is a schema with the layouts of its trees.
type Compiled struct {
	*Schema
	Hash    hash.Hash // of the encoded schema
	Primary *Layout
	Index   []*Layout // of Schema.Indexes

	Types []value.Type // of the cells of Primary: those of the columns, behind the ordinal's when there is no primary key
	InKey []bool       // which cells of Primary are part of its key
}

// Compile lays out the trees of a schema.
func Compile(s *Schema) (*Compiled, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	c := &Compiled{Schema: s, Hash: hash.Sum(s.Encode())}
	var err error
	if c.Primary, err = s.PrimaryLayout(); err != nil {
		return nil, err
	}
	for i := range s.Indexes {
		l, err := s.IndexLayout(i)
		if err != nil {
			return nil, err
		}
		c.Index = append(c.Index, l)
	}
	if s.Keyless() {
		c.Types = append(c.Types, value.Type{Kind: value.KindInt64})
	}
	for i := range s.Columns {
		c.Types = append(c.Types, s.Columns[i].Type)
	}
	c.InKey = make([]bool, len(c.Types))
	for _, k := range c.Primary.Key {
		c.InKey[k] = true
	}
	return c, nil
}

// Cache keeps compiled schemas by hash, since tables of many commits share few schemas. The zero Cache is empty and ready.
type Cache struct {
	mu sync.RWMutex
	m  map[hash.Hash]*Compiled
}

// cacheLimit bounds the number of schemas kept.
const cacheLimit = 4096

// Get is the compiled schema of that hash.
func (c *Cache) Get(ctx context.Context, r chunk.Reader, h hash.Hash) (*Compiled, error) {
	c.mu.RLock()
	s := c.m[h]
	c.mu.RUnlock()
	if s != nil {
		return s, nil
	}
	raw, err := Get(ctx, r, h)
	if err != nil {
		return nil, err
	}
	if s, err = Compile(raw); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil || len(c.m) >= cacheLimit {
		c.m = map[hash.Hash]*Compiled{}
	}
	c.m[h] = s
	return s, nil
}
