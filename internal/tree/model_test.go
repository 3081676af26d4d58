package tree

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
)

// small is a format of small leaves, so that few rows make a deep tree.
var small = KVFormat{Size: 256}

// model is a tree's content as a plain map.
type model map[string]string

func (m model) keys() []string { return slices.Sorted(maps.Keys(m)) }

func (m model) build(t testing.TB, st chunk.Store, f Format, parallel int) Root {
	t.Helper()
	b := NewBuilder(st, f, BuilderOptions{Parallel: parallel})
	for _, k := range m.keys() {
		if err := b.Add(t.Context(), []byte(k), []byte(m[k])); err != nil {
			t.Fatal(err)
		}
	}
	root, err := b.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// edits are an EditSource out of a map from key to payload; nil deletes.
func edits(m map[string]*string) *Edits {
	var es Edits
	for _, k := range slices.Sorted(maps.Keys(m)) {
		e := Edit{Key: []byte(k)}
		if v := m[k]; v != nil {
			e.Row = []byte(*v)
		}
		es = append(es, e)
	}
	return &es
}

func (m model) apply(es map[string]*string) model {
	out := maps.Clone(m)
	for k, v := range es {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = *v
		}
	}
	return out
}

func apply(t testing.TB, st chunk.Store, f Format, root Root, es map[string]*string) Root {
	t.Helper()
	out, err := Apply(t.Context(), st, f, root, edits(es))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func check(t testing.TB, st chunk.Reader, f Format, root Root) {
	t.Helper()
	if err := Check(t.Context(), st, f, root, func(p Problem) error { return p }); err != nil {
		t.Fatal(err)
	}
}

func value(rng *rand.Rand) string {
	b := make([]byte, rng.IntN(20))
	for i := range b {
		b[i] = 'a' + byte(rng.IntN(26))
	}
	return string(b)
}

// deep is a key space whose long keys give trees of many levels.
const deep = 20000

// key is one of space keys of varying length.
func key(rng *rand.Rand, space int) string {
	n := rng.IntN(space)
	if space == deep {
		return fmt.Sprintf("%05d%0240d", n, n%3)
	}
	if n%7 == 0 {
		return fmt.Sprintf("%05d/long/%d", n, n*n)
	}
	return fmt.Sprintf("%05d", n)
}

func random(rng *rand.Rand, n, space int) model {
	m := model{}
	for range n {
		m[key(rng, space)] = value(rng)
	}
	return m
}

// randomEdits are n edits of one of the shapes that real batches have.
func randomEdits(rng *rand.Rand, m model, n, space int) map[string]*string {
	es := map[string]*string{}
	keys := m.keys()
	put := func(k string) { v := value(rng); es[k] = &v }
	switch shape := rng.IntN(7); {
	case shape == 0: // a range is deleted
		if len(keys) > 0 {
			from := rng.IntN(len(keys))
			for _, k := range keys[from:min(len(keys), from+n)] {
				es[k] = nil
			}
		}
	case shape == 1: // rows are appended
		for i := range n {
			put(fmt.Sprintf("x%09d", i))
		}
	case shape == 2 && len(keys) > 0: // same-length updates only: the patch path
		for range n {
			k := keys[rng.IntN(len(keys))]
			v := []byte(m[k])
			for i := range v {
				v[i] = 'A' + byte(rng.IntN(26))
			}
			s := string(v)
			es[k] = &s
		}
	case shape == 3 && len(keys) > 0: // the two ends
		es[keys[0]], es[keys[len(keys)-1]] = nil, nil
		put("")
		put("zzz")
	default:
		for range n {
			k := key(rng, space)
			if len(keys) > 0 && rng.IntN(2) == 0 {
				k = keys[rng.IntN(len(keys))]
			}
			if rng.IntN(3) == 0 {
				es[k] = nil
			} else {
				put(k)
			}
		}
	}
	return es
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
