package tree

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// TestBuilderParallel: neither goroutines nor bulk copies change the tree.
func TestBuilderParallel(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	m := random(rng, 5000, 20000)
	st := chunk.NewMem()
	want := m.build(t, st, small, 0)
	if got := m.build(t, chunk.NewMem(), small, 4); got != want {
		t.Fatalf("parallel build gives %+v, want %+v", got, want)
	}
	for _, parallel := range []int{0, 3} {
		b := NewBuilder(chunk.NewMem(), small, BuilderOptions{Parallel: parallel})
		c := New(st, small, want).Cursor()
		ok(t, c.First(t.Context()))
		for c.Valid() {
			n := c.Leaf().Len()
			for i := 0; i < n; {
				j := i + 1 + rng.IntN(n-i)
				if rng.IntN(3) == 0 {
					row, err := c.Leaf().AppendRow(t.Context(), nil, i)
					ok(t, err)
					ok(t, b.Add(t.Context(), c.Leaf().AppendKey(nil, i), row))
					i++
					continue
				}
				ok(t, b.AddLeafRows(t.Context(), c.Leaf(), i, j))
				i = j
			}
			ok(t, c.NextLeaf(t.Context()))
		}
		got, err := b.Finish(t.Context())
		ok(t, err)
		if got != want {
			t.Fatalf("copying rows with %d goroutines gives %+v, want %+v", parallel, got, want)
		}
	}
}

func TestBuilderRefusesDisorder(t *testing.T) {
	for _, c := range []struct {
		second string
		want   errs.Code
	}{{"b", errs.DuplicateKey}, {"a", errs.Invalid}} {
		b := NewBuilder(chunk.NewMem(), small, BuilderOptions{Parallel: 2})
		ok(t, b.Add(t.Context(), []byte("b"), nil))
		if err := b.Add(t.Context(), []byte(c.second), nil); errs.CodeOf(err) != c.want {
			t.Errorf("b then %s: %v", c.second, err)
		}
	}
	b := NewBuilder(chunk.NewMem(), small, BuilderOptions{})
	if err := b.Add(t.Context(), make([]byte, MaxKey+1), nil); !errs.Is(err, errs.Invalid) {
		t.Errorf("a key too long: %v", err)
	}
	for _, es := range []Edits{
		{{Key: []byte("b"), Row: []byte{1}}, {Key: []byte("a"), Row: []byte{1}}},
		{{Key: []byte("b"), Row: []byte{1}}, {Key: []byte("b"), Row: []byte{1}}},
	} {
		for _, m := range []model{{}, {"a": "1"}} {
			st := chunk.NewMem()
			src := slices.Clone(es)
			if _, err := Apply(t.Context(), st, small, m.build(t, st, small, 0), &src); !errs.Is(err, errs.Invalid) {
				t.Errorf("edits out of order: %v", err)
			}
		}
	}
}

// TestBuilderStoreFails: an error of the store comes out, with nothing left running.
func TestBuilderStoreFails(t *testing.T) {
	for _, parallel := range []int{0, 4} {
		st := &failing{Mem: chunk.NewMem(), after: 10}
		b := NewBuilder(st, small, BuilderOptions{Parallel: parallel})
		var err error
		for i := 0; err == nil && i < 10000; i++ {
			err = b.Add(t.Context(), fmt.Appendf(nil, "%06d", i), []byte("row"))
		}
		if !errs.Is(err, errs.NoSpace) {
			t.Fatalf("parallel %d: %v", parallel, err)
		}
	}
}

type failing struct {
	*chunk.Mem
	after int
}

func (f *failing) Put(ctx context.Context, data []byte) (hash.Hash, error) {
	h, err := f.Mem.Put(ctx, data)
	if err == nil && f.Mem.Len() > f.after {
		return hash.Hash{}, errs.New(errs.NoSpace, "store chunk: full")
	}
	return h, err
}
