package tree_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/tree/treetest"
)

func rows(rng *rand.Rand) []treetest.Row {
	m := map[string]string{}
	for range 1 + rng.IntN(120) {
		k := fmt.Sprintf("k%d", rng.IntN(400))
		if rng.IntN(50) == 0 {
			k = ""
		}
		m[k] = fmt.Sprint(rng.IntN(10))
		if rng.IntN(10) == 0 {
			m[k] = fmt.Sprintf("%0*d", rng.IntN(2000), 7)
		}
	}
	if rng.IntN(5) == 0 {
		m["k0wide"] = fmt.Sprintf("%070000d", 7)
	}
	var out []treetest.Row
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, treetest.Row{Key: []byte(k), Row: []byte(m[k])})
	}
	return out
}

func TestKVFormat(t *testing.T) {
	for _, size := range []int{0, 128, 16384} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			treetest.RunFormat(t, func() tree.Format { return tree.KVFormat{Size: size} }, rows)
		})
	}
}

func FuzzRowLeaf(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 1))
	format := tree.KVFormat{}
	for range 3 {
		b := format.NewBuilder()
		some := rows(rng)
		for _, r := range some[:min(4, len(some))] {
			if _, err := b.Add(r.Key, r.Row); err != nil {
				f.Fatal(err)
			}
		}
		data, _, err := b.Finish(f.Context(), chunk.NewMem())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("\x03\x01\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		st := chunk.NewMem()
		l, err := format.Open(st, data)
		if err != nil {
			return
		}
		treetest.Exercise(t.Context(), st, format, l)
	})
}
