package tree

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
)

// collect gathers what a Diff emits.
func collect(t testing.TB, r chunk.Reader, f Format, a, b Root, lo, hi []byte) map[string][2]*string {
	t.Helper()
	out := map[string][2]*string{}
	var prev []byte
	ok(t, Diff(t.Context(), r, f, a, b, lo, hi, func(c Change) error {
		k := c.AppendKey(nil)
		if prev != nil && bytes.Compare(k, prev) <= 0 {
			t.Fatalf("Diff emits %q after %q", k, prev)
		}
		prev = k
		var pair [2]*string
		for i, side := range []struct {
			l Leaf
			i int
		}{{c.A, c.AI}, {c.B, c.BI}} {
			if side.l == nil {
				if side.i != -1 {
					t.Fatalf("absent row has index %d", side.i)
				}
				continue
			}
			row, err := side.l.AppendRow(t.Context(), nil, side.i)
			ok(t, err)
			s := string(row)
			pair[i] = &s
		}
		out[string(k)] = pair
		return nil
	}))
	return out
}

// naive is the diff of two models.
func naive(a, b model, lo, hi []byte) map[string][2]*string {
	out := map[string][2]*string{}
	for k := range a.apply(nil) {
		va := a[k]
		vb, have := b[k]
		if !have {
			out[k] = [2]*string{&va, nil}
		} else if va != vb {
			out[k] = [2]*string{&va, &vb}
		}
	}
	for k, vb := range b {
		if _, have := a[k]; !have {
			out[k] = [2]*string{nil, &vb}
		}
	}
	for k := range out {
		if lo != nil && k < string(lo) || hi != nil && k >= string(hi) {
			delete(out, k)
		}
	}
	return out
}

func sameDiff(a, b map[string][2]*string) bool {
	eq := func(x, y *string) bool { return (x == nil) == (y == nil) && (x == nil || *x == *y) }
	return maps.EqualFunc(a, b, func(x, y [2]*string) bool { return eq(x[0], y[0]) && eq(x[1], y[1]) })
}

// TestDiffAgainstModel also is the law apply(diff(a,b), a) = b.
func TestDiffAgainstModel(t *testing.T) {
	for seed := range uint64(18) {
		rng := rand.New(rand.NewPCG(seed, 7))
		st := chunk.NewMem()
		space := []int{30, 3000, 20000}[seed%3]
		a := random(rng, rng.IntN(space), space)
		ra := a.build(t, st, small, 0)
		for range 8 {
			b := a.apply(randomEdits(rng, a, []int{1, 20, 500}[rng.IntN(3)], space))
			if rng.IntN(6) == 0 {
				b = random(rng, rng.IntN(50), space)
			}
			rb := b.build(t, st, small, 0)
			var lo, hi []byte
			if rng.IntN(2) == 0 {
				lo = []byte(key(rng, space))
			}
			if rng.IntN(2) == 0 {
				hi = []byte(key(rng, space))
			}
			if got, want := collect(t, st, small, ra, rb, lo, hi), naive(a, b, lo, hi); !sameDiff(got, want) {
				t.Fatalf("seed %d, [%q,%q): %d changes, want %d", seed, lo, hi, len(got), len(want))
			}
			es := map[string]*string{}
			for k, c := range collect(t, st, small, ra, rb, nil, nil) {
				es[k] = c[1]
			}
			if got := apply(t, st, small, ra, es); got != rb {
				t.Fatalf("seed %d: apply(diff(a,b), a) is not b", seed)
			}
			a, ra = b, rb
		}
	}
}

// TestDiffReadsLittle: the cost is that of the changes.
func TestDiffReadsLittle(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	m := random(rng, 20000, 20000)
	st := &counting{Mem: chunk.NewMem()}
	root := m.build(t, st, small, 0)
	v := "changed"
	for _, es := range []map[string]*string{
		{m.keys()[5000]: &v},
		{m.keys()[5000]: nil},
		{"05000x": &v},
		{"": &v},
		{"zzz": &v},
	} {
		to := apply(t, st, small, root, es)
		st.gets = 0
		if n := len(collect(t, st, small, root, to, nil, nil)); n != 1 {
			t.Fatalf("%d changes", n)
		}
		if st.gets > 2*int(root.Level+1)+8 {
			t.Errorf("one change: %d chunks read, the trees have %d levels", st.gets, root.Level+1)
		}
	}
	st.gets = 0
	collect(t, st, small, root, root, nil, nil)
	if st.gets != 0 {
		t.Errorf("equal trees: %d chunks read", st.gets)
	}
}
