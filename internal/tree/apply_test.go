package tree

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
)

// TestApplyIsRebuild is T7: whatever the edits, the root is that of the rows built anew.
func TestApplyIsRebuild(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		st := chunk.NewMem()
		space := []int{20, 300, 3000, 20000}[seed%4]
		m := random(rng, rng.IntN(space), space)
		root := m.build(t, st, small, 0)
		for step := range 16 {
			n := []int{1, 3, 40, 400}[rng.IntN(4)]
			es := randomEdits(rng, m, n, space)
			if rng.IntN(12) == 0 {
				es = map[string]*string{}
				for k := range m {
					es[k] = nil
				}
				if rng.IntN(2) == 0 {
					for k := range random(rng, 3, space) {
						delete(es, k)
					}
				}
			}
			m = m.apply(es)
			root = apply(t, st, small, root, es)
			if want := m.build(t, st, small, 0); root != want {
				t.Fatalf("seed %d, step %d: %d edits give %+v, a rebuild of %d rows %+v", seed, step, len(es), root, len(m), want)
			}
			if root.Count != uint64(len(m)) {
				t.Fatalf("seed %d, step %d: %d rows, want %d", seed, step, root.Count, len(m))
			}
		}
		check(t, st, small, root)
	}
}

// TestApplyWritesLittle: one edit writes about one chunk a level, an edit without effect none.
func TestApplyWritesLittle(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	m := random(rng, 20000, 20000)
	st := &counting{Mem: chunk.NewMem()}
	root := m.build(t, st, small, 0)
	keys := m.keys()
	total := 0
	for range 300 {
		k := keys[rng.IntN(len(keys))]
		v := m[k]
		st.gets, st.puts = 0, 0
		if got := apply(t, st, small, root, map[string]*string{k: &v, k + "absent": nil}); got != root || st.puts != 0 {
			t.Fatalf("writing what is there: %d chunks stored, root moved: %v", st.puts, got != root)
		}
		v += "!"
		st.gets, st.puts = 0, 0
		apply(t, st, small, root, map[string]*string{k: &v, k + "absent": nil})
		total += st.puts
		if st.gets > 60 {
			t.Fatalf("one update read %d chunks of a tree of level %d", st.gets, root.Level)
		}
	}
	if mean := float64(total) / 300; mean > float64(root.Level)+1.6 {
		t.Fatalf("one update stores %.2f chunks, the tree has %d levels", mean, root.Level+1)
	}
}

type counting struct {
	*chunk.Mem
	gets, puts int
}

func (c *counting) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	c.gets++
	return c.Mem.Get(ctx, h)
}

func (c *counting) Put(ctx context.Context, data []byte) (hash.Hash, error) {
	c.puts++
	return c.Mem.Put(ctx, data)
}
