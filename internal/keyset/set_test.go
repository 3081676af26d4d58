package keyset

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// thing is a thing of the tests.
type thing struct {
	key   string
	bytes []byte // of key
}

func newThing(key string) *thing { return &thing{key, []byte(key)} }

func (x *thing) SortKey() []byte { return x.bytes }

// keysOf makes keys of different shapes, many of which begin alike.
var keysOf = map[string]func(r *rand.Rand) string{
	"numbers": func(r *rand.Rand) string { return fmt.Sprintf("\x01\x80%06d", r.IntN(3000)) },
	"deep":    func(r *rand.Rand) string { return strings.Repeat("https://", 3+r.IntN(6)) + fmt.Sprint(r.IntN(400)) },
	"short": func(r *rand.Rand) string {
		b := make([]byte, r.IntN(12))
		for i := range b {
			b[i] = byte(r.IntN(2)) // of zeros there are more than of anything: heads are filled with them
		}
		return string(b)
	},
	"few": func(r *rand.Rand) string { return strings.Repeat("x", r.IntN(9)) },
}

// pair is a set and what it ought to hold.
type pair struct {
	set  *Set[*thing]
	want map[string]*thing
}

// checkSet compares a set with what it ought to hold, by all ways of reading it, and looks at how it is built.
func checkSet(t *testing.T, r *rand.Rand, p pair, key func(*rand.Rand) string) {
	t.Helper()
	keys := slices.Sorted(maps.Keys(p.want))
	if p.set.Len() != len(keys) {
		t.Fatalf("%d things, want %d", p.set.Len(), len(keys))
	}
	var scanned, forward, backward []string
	p.set.Scan(func(x *thing) bool {
		if x != p.want[x.key] {
			t.Fatalf("the thing of %q is another", x.key)
		}
		scanned = append(scanned, x.key)
		return true
	})
	it := p.set.Iter()
	for ok := it.First(); ok; ok = it.Next() {
		forward = append(forward, it.Item().key)
	}
	for ok := it.Last(); ok; ok = it.Prev() {
		backward = append(backward, it.Item().key)
	}
	slices.Reverse(backward)
	for name, got := range map[string][]string{"scan": scanned, "forward": forward, "backward": backward} {
		if !slices.Equal(got, keys) {
			t.Fatalf("%s: %d keys, want %d, or others", name, len(got), len(keys))
		}
	}
	if last, ok := p.set.Max(); ok != (len(keys) > 0) || ok && last.key != keys[len(keys)-1] {
		t.Fatalf("the last thing: %v", last)
	}
	for range 20 {
		k := key(r)
		if x, ok := p.set.Get([]byte(k)); ok != (p.want[k] != nil) || x != p.want[k] {
			t.Fatalf("get %q: %v", k, ok)
		}
		i, _ := slices.BinarySearch(keys, k)
		if ok := it.Seek([]byte(k)); ok != (i < len(keys)) || ok && it.Item().key != keys[i] {
			t.Fatalf("seek %q: %v", k, ok)
		} else if ok {
			if ok := it.Prev(); ok != (i > 0) || ok && it.Item().key != keys[i-1] {
				t.Fatalf("the thing before %q: %v", k, ok)
			}
		}
	}
	if p.set.root != nil {
		checkNode(t, p.set.root, true)
	}
}

// checkNode looks at how a node is built and returns its height.
func checkNode(t *testing.T, n *node[*thing], top bool) int {
	t.Helper()
	if len(n.heads) != len(n.items) || len(n.items) > maxItems || len(n.items) == 0 || !top && len(n.items) < minItems {
		t.Fatalf("%d things and %d heads", len(n.items), len(n.heads))
	}
	for i, x := range n.items {
		if !bytes.HasPrefix([]byte(x.key), n.prefix[:n.length]) {
			t.Fatalf("%q in a node of %q", x.key, n.prefix[:n.length])
		}
		if j, found := n.search([]byte(x.key)); !found || j != i {
			t.Fatalf("%q is found at %d, not at %d", x.key, j, i)
		}
	}
	if n.leaf() {
		return 0
	}
	if len(n.kids) != len(n.items)+1 {
		t.Fatalf("%d children around %d things", len(n.kids), len(n.items))
	}
	height := checkNode(t, n.kids[0], false)
	for _, k := range n.kids[1:] {
		if h := checkNode(t, k, false); h != height {
			t.Fatalf("heights %d and %d", h, height)
		}
	}
	return height + 1
}

func TestSetsAndTheirCopies(t *testing.T) {
	for name, key := range keysOf {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(3) {
				r := rand.New(rand.NewPCG(seed, 1))
				all := []pair{{&Set[*thing]{}, map[string]*thing{}}}
				steps, growing := 4000, 3
				for step := range steps {
					p := &all[r.IntN(len(all))]
					k := key(r)
					if step > steps/2 {
						growing = 1
					}
					if r.IntN(4) < growing {
						x := newThing(k)
						old, replaced := p.set.Set(x)
						if replaced != (p.want[k] != nil) || old != p.want[k] {
							t.Fatalf("set %q: %v", k, replaced)
						}
						p.want[k] = x
					} else {
						old, deleted := p.set.Delete([]byte(k))
						if deleted != (p.want[k] != nil) || old != p.want[k] {
							t.Fatalf("delete %q: %v", k, deleted)
						}
						delete(p.want, k)
					}
					if r.IntN(100) == 0 {
						c := pair{p.set.Copy(), maps.Clone(p.want)}
						if len(all) < 4 {
							all = append(all, c)
						} else {
							all[r.IntN(len(all))] = c
						}
					}
					a, b := all[r.IntN(len(all))], all[r.IntN(len(all))]
					if got, want := SameAt(a.set, b.set, []byte(k)), a.want[k] == b.want[k]; got != want {
						t.Fatalf("same at %q: %v", k, got)
					}
					if r.IntN(200) == 0 {
						for _, p := range all {
							checkSet(t, r, p, key)
						}
					}
				}
				for _, p := range all { // down to nothing
					for _, k := range slices.Sorted(maps.Keys(p.want)) {
						p.set.Delete([]byte(k))
						delete(p.want, k)
						if r.IntN(50) == 0 {
							checkSet(t, r, p, key)
						}
					}
					checkSet(t, r, p, key)
				}
			}
		})
	}
}

func TestIteratorOverACopiedSet(t *testing.T) {
	var s Set[*thing]
	for i := range 1000 {
		s.Set(newThing(fmt.Sprintf("%04d", i)))
	}
	it := s.Copy().Iter()
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		if want := fmt.Sprintf("%04d", n); it.Item().key != want {
			t.Fatalf("%s, want %s", it.Item().key, want)
		}
		s.Delete([]byte(it.Item().key))
		n++
	}
	if n != 1000 || s.Len() != 0 {
		t.Fatalf("%d things seen, %d left", n, s.Len())
	}
	if it.Next() || it.Prev() {
		t.Error("an iterator at the end moves")
	}
}

// A change of a copy makes a node of each level, each of them one object.
func TestAllocationsOfAChange(t *testing.T) {
	var s Set[*thing]
	for i := range 100_000 {
		s.Set(newThing(fmt.Sprintf("%08d", i*7919%100_000)))
	}
	depth := 1 + checkNode(t, s.root, true)
	x := newThing(fmt.Sprintf("%08d", 4711))
	if got := testing.AllocsPerRun(100, func() { s.Copy().Set(x) }); got > float64(1+depth) {
		t.Errorf("%v objects in a set of %d levels", got, depth)
	}
}
