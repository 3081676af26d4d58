package tree

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
)

// TestMissing: with the chunks of its bases, what is visited makes the whole tree, each chunk comes once, and few that the bases have.
func TestMissing(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 7))
		st := chunk.NewMem()
		m := model{}
		for range rng.IntN(3000) {
			m[fmt.Sprintf("%06d", rng.IntN(100000))] = value(rng)
		}
		var bases []Base
		for range rng.IntN(3) {
			es := map[string]*string{}
			for range rng.IntN(1 + rng.IntN(200)) {
				v := value(rng)
				es[fmt.Sprintf("%06d", rng.IntN(100000))] = &v
			}
			bases = append(bases, Base{small, m.apply(es).build(t, st, small, 1)})
		}
		if seed%7 == 0 {
			bases = append(bases, Base{small, Root{}})
		}
		root := m.build(t, st, small, 1)
		there := map[hash.Hash]bool{}
		for _, b := range bases {
			err := Walk(t.Context(), st, small, b.Root, func(h hash.Hash, _ int, _ Flags) (bool, error) {
				there[h] = true
				return true, nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		got, twice := map[hash.Hash]bool{}, 0
		err := Missing(t.Context(), st, small, root, bases, func(h hash.Hash) error {
			if got[h] {
				t.Errorf("seed %d: chunk %s comes twice", seed, h)
			}
			if got[h] = true; there[h] {
				twice++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if twice > len(got)/10+2 {
			t.Errorf("seed %d: of %d chunks %d are in the bases", seed, len(got), twice)
		}
		err = Walk(t.Context(), st, small, root, func(h hash.Hash, _ int, _ Flags) (bool, error) {
			if !there[h] && !got[h] {
				t.Errorf("seed %d: chunk %s is left out", seed, h)
			}
			return true, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestMissingReadsLittle: the difference of one row in many is found without a look at the rest.
func TestMissingReadsLittle(t *testing.T) {
	st := chunk.NewMem()
	m := model{}
	for i := range 20000 {
		m[fmt.Sprintf("%06d", i)] = "some text"
	}
	base := m.build(t, st, small, 1)
	v := "another"
	root := apply(t, st, small, base, map[string]*string{"010000": &v})
	c := &counting{Mem: st}
	n := 0
	if err := Missing(context.Background(), c, small, root, []Base{{small, base}}, func(hash.Hash) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	if n > int(root.Level)+2 || c.gets > 2*int(root.Level)+2 {
		t.Errorf("%d chunks are missing and %d were read for one row of a tree of %d levels", n, c.gets, root.Level+1)
	}
}
