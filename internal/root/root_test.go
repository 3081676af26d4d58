package root_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/tree"
)

var ctx = context.Background()

func entry(name string, n int) root.Entry {
	e := root.Entry{Kind: root.KindTable, Name: name, Table: hash.Sum(fmt.Append(nil, n))}
	if n%3 == 0 {
		e.Comments = []byte("comment")
	}
	if n%10 == 0 {
		e = root.Entry{Kind: root.KindView, Name: name, Body: fmt.Append(nil, "select ", n)}
	}
	return e
}

// TestAgainstMap changes a database of ten thousand entries at random and compares it with a map.
func TestAgainstMap(t *testing.T) {
	st := chunk.NewMem()
	rng := rand.New(rand.NewPCG(1, 1))
	model := map[string]root.Entry{}
	id := func(e root.Entry) string { return string(byte(e.Kind)) + strings.ToLower(e.Name) }
	r := root.Open(st, tree.Root{})
	var changes []root.Change
	for i := range 10000 {
		e := entry(fmt.Sprintf("Table_%d", i), i)
		model[id(e)] = e
		changes = append(changes, root.Change{Entry: e})
	}
	apply := func(changes []root.Change) {
		t.Helper()
		before := st.Len()
		next, err := r.With(ctx, st, changes...)
		if err != nil {
			t.Fatal(err)
		}
		r = next
		if len(changes) == 1 && st.Len()-before > 6 {
			t.Errorf("one change writes %d chunks", st.Len()-before)
		}
	}
	apply(changes)
	for range 200 {
		changes = changes[:0]
		for range []int{1, 1, 1, 40}[rng.IntN(4)] {
			i := rng.IntN(11000)
			name := fmt.Sprintf("Table_%d", i)
			if rng.IntN(2) == 0 {
				name = strings.ToUpper(name)
			}
			e := entry(name, i)
			drop := rng.IntN(3) == 0
			if drop {
				delete(model, id(e))
			} else {
				if e.Kind == root.KindTable {
					e.Table = hash.Sum(fmt.Append(nil, rng.Int()))
				}
				model[id(e)] = e
			}
			changes = append(changes, root.Change{Entry: e, Drop: drop})
		}
		apply(changes)
		probe := entry(fmt.Sprintf("tAbLe_%d", rng.IntN(11000)), rng.IntN(2))
		got, ok, err := r.Get(ctx, probe.Kind, probe.Name)
		want, had := model[id(probe)]
		if err != nil || ok != had || !same(got, want) {
			t.Fatalf("get %s: %+v %v %v, want %+v %v", probe.Name, got, ok, err, want, had)
		}
	}
	var want []root.Entry
	for _, k := range slices.Sorted(maps.Keys(model)) {
		want = append(want, model[k])
	}
	all, err := r.All(ctx)
	if err != nil || !slices.EqualFunc(all, want, same) {
		t.Fatalf("%d entries (%v), want %d", len(all), err, len(want))
	}
	var both []root.Entry
	for _, k := range []root.Kind{root.KindTable, root.KindView} {
		es, err := r.List(ctx, k)
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, es...)
	}
	if !slices.EqualFunc(both, want, same) {
		t.Errorf("the kinds together have %d entries, want %d", len(both), len(want))
	}
	if es, err := r.List(ctx, 99); err != nil || len(es) != 0 {
		t.Errorf("entries of an unknown kind: %v, %v", es, err)
	}
	// A root made at once is the same, and one without entries is the empty tree.
	changes = changes[:0]
	for _, e := range want {
		changes = append(changes, root.Change{Entry: e})
	}
	anew, err := root.Open(st, tree.Root{}).With(ctx, st, changes...)
	if err != nil || anew.Tree() != r.Tree() {
		t.Errorf("made at once the root is %v (%v), made in steps %v", anew.Tree(), err, r.Tree())
	}
	for i := range changes {
		changes[i].Drop = true
	}
	if none, err := r.With(ctx, st, changes...); err != nil || none.Tree() != (tree.Root{}) {
		t.Errorf("a root without entries is %v, %v", none.Tree(), err)
	}
}

func same(a, b root.Entry) bool {
	return a.Kind == b.Kind && a.Name == b.Name && a.Table == b.Table && bytes.Equal(a.Comments, b.Comments) && bytes.Equal(a.Body, b.Body)
}

// TestLastChangeWins gives several changes of one name.
func TestLastChangeWins(t *testing.T) {
	st := chunk.NewMem()
	r, err := root.Open(st, tree.Root{}).With(ctx, st,
		root.Change{Entry: entry("a", 1)}, root.Change{Entry: entry("A", 2)}, root.Change{Entry: entry("b", 1)}, root.Change{Entry: entry("B", 1), Drop: true})
	if err != nil {
		t.Fatal(err)
	}
	es, err := r.All(ctx)
	if err != nil || len(es) != 1 || !same(es[0], entry("A", 2)) {
		t.Errorf("entries %+v, %v", es, err)
	}
}

// TestGolden pins the bytes of entries by the hash of a root.
func TestGolden(t *testing.T) {
	st := chunk.NewMem()
	r, err := root.Open(st, tree.Root{}).With(ctx, st, root.Change{Entry: entry("Über", 1)}, root.Change{Entry: entry("b", 3)}, root.Change{Entry: entry("v", 10)})
	if err != nil {
		t.Fatal(err)
	}
	const want = "4aemgvkga069m5k4o7s7rdf3i15v7tc3dvkglofus2dch348cfg0"
	if got := r.Hash().Full(); got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add([]byte("\x01a"), append([]byte("\x01A"), make([]byte, 33)...))
	f.Add([]byte("\x02v"), []byte("\x01v\x01x"))
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, k, v []byte) {
		e, err := root.DecodeEntry(k, v)
		if err != nil {
			if !errs.Is(err, errs.Corrupt) {
				t.Errorf("error %v", err)
			}
			return
		}
		if e.Kind != root.Kind(k[0]) || strings.ToLower(e.Name) != string(k[1:]) {
			t.Errorf("entry %+v under %q", e, k)
		}
	})
}
