package chunk_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/chunk/chunktest"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

func TestMem(t *testing.T) {
	chunktest.Suite(t, func(*testing.T) chunk.Store { return chunk.NewMem() })
}

// counted counts the reads that reach a store.
type counted struct {
	chunk.Reader
	n atomic.Int64
}

func (c *counted) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	c.n.Add(1)
	return c.Reader.Get(ctx, h)
}

// fill puts n chunks of a kind and size into a store.
func fill(t testing.TB, s chunk.Store, k chunk.Kind, size, n int) []hash.Hash {
	var out []hash.Hash
	for i := range n {
		h, err := s.Put(t.Context(), chunktest.Sample(k, size, uint64(i)))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, h)
	}
	return out
}

func TestCacheKeepsToItsBudget(t *testing.T) {
	mem := chunk.NewMem()
	hashes := fill(t, mem, chunk.KindPage, 1000, 5000)
	const budget = 1 << 20
	r := &counted{Reader: mem}
	c := chunk.NewCache(r, budget)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 20000 {
		h := hashes[rng.IntN(len(hashes))]
		if rng.IntN(10) == 0 {
			c.Forget(h)
		}
		data, err := c.Get(t.Context(), h)
		if err != nil || hash.Sum(data) != h {
			t.Fatalf("Get: %v", err)
		}
	}
	st := c.Stats()
	if st.Bytes > budget || st.Bytes < budget*8/10 || st.Misses != r.n.Load() {
		t.Errorf("%+v with a budget of %d and %d reads", st, budget, r.n.Load())
	}
}

// TestCacheResistsScans: the nodes above a table survive a scan of many times the budget in pages.
func TestCacheResistsScans(t *testing.T) {
	mem := chunk.NewMem()
	nodes := fill(t, mem, chunk.KindNode, 1000, 200)
	pages := fill(t, mem, chunk.KindPage, 1000, 20000)
	r := &counted{Reader: mem}
	c := chunk.NewCache(r, 1<<20)
	for i, p := range pages {
		for _, h := range []hash.Hash{nodes[i%len(nodes)], p} {
			if _, err := c.Get(t.Context(), h); err != nil {
				t.Fatal(err)
			}
		}
	}
	if misses := r.n.Load() - int64(len(pages)); misses > 2*int64(len(nodes)) {
		t.Errorf("%d nodes were read %d times", len(nodes), misses)
	}
}

func TestCacheOfNothing(t *testing.T) {
	mem := chunk.NewMem()
	h := fill(t, mem, chunk.KindNode, 100, 1)[0]
	for _, budget := range []int64{-5, 0, 100} {
		r := &counted{Reader: mem}
		c := chunk.NewCache(r, budget)
		for range 3 {
			if _, err := c.Get(t.Context(), h); err != nil {
				t.Fatal(err)
			}
		}
		if r.n.Load() != 3 {
			t.Errorf("a cache of %d bytes served a read", budget)
		}
	}
	c := chunk.NewCache(mem, 1<<20)
	if _, err := c.Get(t.Context(), hash.Sum([]byte("absent"))); !errs.Is(err, errs.NotFound) {
		t.Errorf("absent chunk: %v", err)
	}
}

func TestCacheConcurrent(t *testing.T) {
	mem := chunk.NewMem()
	hashes := fill(t, mem, chunk.KindPage, 500, 3000)
	c := chunk.NewCache(mem, 512<<10)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(2, uint64(g)))
			for range 5000 {
				h := hashes[rng.IntN(len(hashes))]
				want, err := mem.Get(t.Context(), h)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := c.Get(t.Context(), h); err != nil || !bytes.Equal(got, want) {
					t.Errorf("Get: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkCacheHit(b *testing.B) {
	mem := chunk.NewMem()
	hashes := fill(b, mem, chunk.KindNode, 2000, 4096)
	c := chunk.NewCache(mem, 64<<20)
	i := 0
	for b.Loop() {
		if _, err := c.Get(b.Context(), hashes[i&4095]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// One who goes through a table finds what is in memory, but fills no more than a part of it, whatever the table's size; nodes stay.
func TestCachePassing(t *testing.T) {
	mem := chunk.NewMem()
	hashes := fill(t, mem, chunk.KindPage, 1000, 5000)
	nodes := fill(t, mem, chunk.KindNode, 1000, 10)
	const budget = 4 << 20
	r := &counted{Reader: mem}
	c := chunk.NewCache(r, budget)
	for range 2 {
		for _, h := range append(nodes, hashes...) {
			data, err := c.GetPassing(t.Context(), h)
			if err != nil || hash.Sum(data) != h {
				t.Fatalf("GetPassing: %v", err)
			}
		}
	}
	if st := c.Stats(); st.Bytes > budget/4 || st.Entries < 100 {
		t.Errorf("after passing through %d pages %d chunks of %d bytes are in memory", len(hashes), st.Entries, st.Bytes)
	}
	before := r.n.Load()
	for _, h := range nodes {
		if _, err := c.Get(t.Context(), h); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.n.Load(); n != before {
		t.Errorf("%d of %d nodes were read again", n-before, len(nodes))
	}
}
