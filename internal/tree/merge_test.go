package tree

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
)

// TestMergeAgainstModel runs three-way merges with every kind of resolution.
func TestMergeAgainstModel(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 11))
		st := chunk.NewMem()
		space := []int{10, 200, 3000}[seed%3]
		base := random(rng, rng.IntN(space+1), space)
		ours := base.apply(randomEdits(rng, base, 1+rng.IntN(space), space))
		theirs := base.apply(randomEdits(rng, base, 1+rng.IntN(space), space))
		rb, ro, rt := base.build(t, st, small, 0), ours.build(t, st, small, 0), theirs.build(t, st, small, 0)
		get := func(m model, k string) *string {
			if v, have := m[k]; have {
				return &v
			}
			return nil
		}
		eq := func(x, y *string) bool { return (x == nil) == (y == nil) && (x == nil || *x == *y) }
		decide := func(k string, o, th *string) (row *string, keep bool) {
			switch len(k) % 3 {
			case 0:
				return nil, true
			case 1:
				return th, false
			}
			v := "resolved " + k
			return &v, false
		}
		want := maps.Clone(ours)
		conflicts := 0
		for k := range base.apply(edit(ours)).apply(edit(theirs)) {
			b, o, th := get(base, k), get(ours, k), get(theirs, k)
			if eq(b, th) || eq(o, th) {
				continue
			}
			row := th
			if !eq(b, o) {
				conflicts++
				var keep bool
				if row, keep = decide(k, o, th); keep {
					continue
				}
			}
			if row == nil {
				delete(want, k)
			} else {
				want[k] = *row
			}
		}
		str := func(b []byte) *string {
			if b == nil {
				return nil
			}
			s := string(b)
			return &s
		}
		asked := 0
		src := Merge(st, small, rb, ro, rt, func(c Conflict) ([]byte, bool, error) {
			asked++
			k := string(c.Key)
			if !eq(str(c.Base), get(base, k)) || !eq(str(c.Ours), get(ours, k)) || !eq(str(c.Theirs), get(theirs, k)) {
				t.Fatalf("seed %d: conflict %q has other payloads than the trees", seed, k)
			}
			row, keep := decide(k, str(c.Ours), str(c.Theirs))
			if row == nil {
				return nil, keep, nil
			}
			return []byte(*row), keep, nil
		})
		got, err := Apply(t.Context(), st, small, ro, src)
		ok(t, err)
		if got != want.build(t, st, small, 0) || asked != conflicts {
			t.Fatalf("seed %d: merge differs from the model; %d conflicts, want %d", seed, asked, conflicts)
		}
	}
}

// edit is m as edits that put all of it.
func edit(m model) map[string]*string {
	out := map[string]*string{}
	for k, v := range m {
		out[k] = &v
	}
	return out
}

// TestMergeLaws: merge(a,a,b) = b, merge(a,b,a) = b, merge(a,b,b) = b, and without conflicts the order does not matter.
func TestMergeLaws(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 13))
		st := chunk.NewMem()
		a := random(rng, 1500, 20000)
		b := a.apply(randomEdits(rng, a, 300, 20000))
		merge := func(base, ours, theirs Root) Root {
			t.Helper()
			src := Merge(st, small, base, ours, theirs, func(c Conflict) ([]byte, bool, error) {
				return nil, false, fmt.Errorf("conflict at %q", c.Key)
			})
			out, err := Apply(t.Context(), st, small, ours, src)
			ok(t, err)
			return out
		}
		ra, rb := a.build(t, st, small, 0), b.build(t, st, small, 0)
		for i, got := range []Root{merge(ra, ra, rb), merge(ra, rb, ra), merge(ra, rb, rb)} {
			if got != rb {
				t.Fatalf("seed %d: law %d broken", seed, i)
			}
		}
		// Edits of even and of odd keys do not meet.
		c, d := maps.Clone(a), maps.Clone(a)
		for k := range randomEdits(rng, a, 400, 20000) {
			m := c
			if len(k) > 4 && k[4]%2 == 0 {
				m = d
			}
			if rng.IntN(3) == 0 {
				delete(m, k)
			} else {
				m[k] = value(rng)
			}
		}
		rc, rd := c.build(t, st, small, 0), d.build(t, st, small, 0)
		if merge(ra, rc, rd) != merge(ra, rd, rc) {
			t.Fatalf("seed %d: merge depends on the side", seed)
		}
	}
}
