package tree

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
)

// TestNodeWith is T5: a node that is edited in place is what its entries make, or is refused because their counts have another width.
func TestNodeWith(t *testing.T) {
	widths := []uint64{1, 255, 256, 65535, 65536, 1<<32 - 1, 1 << 32, 1 << 60}
	kept, refused := 0, 0
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 9))
		es := randomEntries(rng)
		width := widths[rng.IntN(len(widths))]
		if rng.IntN(2) == 0 { // one child alone decides how wide counts are
			for i := range es {
				es[i].count = 1 + uint64(rng.IntN(200))
			}
			es[rng.IntN(len(es))].count = width
		}
		data, err := encodeNode(2, es)
		ok(t, err)
		nd, err := openNode(bytes.Clone(data))
		ok(t, err)
		var puts []put
		before := nd.countLog
		for i := range es {
			if rng.IntN(4) > 0 && len(es) > 1 {
				continue
			}
			es[i].hash = hash.Sum([]byte{byte(seed), byte(i)})
			es[i].flags ^= FlagRefs * Flags(rng.IntN(2))
			if rng.IntN(2) == 0 {
				es[i].count = widths[rng.IntN(len(widths))]
			}
			puts = append(puts, put{i, es[i]})
		}
		want, err := encodeNode(2, es)
		ok(t, err)
		after, err := openNode(want)
		ok(t, err)
		got, same := nd.with(puts)
		if same != (before == after.countLog) {
			t.Fatalf("seed %d: counts of 1<<%d bytes become 1<<%d: in place: %v", seed, before, after.countLog, same)
		}
		if !bytes.Equal(nd.data, data) {
			t.Fatalf("seed %d: the old node has changed", seed)
		}
		if !same {
			refused++
			continue
		}
		kept++
		if !bytes.Equal(got.data, want) {
			t.Fatalf("seed %d: edited in place the node is\n%x\nwant\n%x", seed, got.data, want)
		}
		if again, err := openNode(got.data); err != nil || again.rowsBefore(again.n) != got.rowsBefore(got.n) {
			t.Fatalf("seed %d: %v, or rows are counted in another way", seed, err)
		}
	}
	if kept < 200 || refused < 200 {
		t.Errorf("%d kept, %d refused: the test does not test", kept, refused)
	}
}

// flagging is a format whose leaves have FlagRefs where a payload has the mark.
type flagging struct{ KVFormat }

const mark = '!'

func flagsOf(data []byte, err error) ([]byte, Flags, error) {
	if err == nil && bytes.Contains(data, []byte{mark, mark, mark}) {
		return data, FlagRefs, nil
	}
	return data, 0, err
}

// NewBuilder implements Format.
func (f flagging) NewBuilder() LeafBuilder { return flaggingBuilder{f.KVFormat.NewBuilder()} }

// Patch implements Format.
func (f flagging) Patch(ctx context.Context, w chunk.Writer, l Leaf, patches []Patch) ([]byte, Flags, bool, error) {
	data, _, done, err := f.KVFormat.Patch(ctx, w, l, patches)
	if !done || err != nil {
		return nil, 0, done, err
	}
	data, flags, err := flagsOf(data, nil)
	return data, flags, true, err
}

type flaggingBuilder struct{ LeafBuilder }

// Finish implements LeafBuilder.
func (b flaggingBuilder) Finish(ctx context.Context, w chunk.Writer) ([]byte, Flags, error) {
	data, _, err := b.LeafBuilder.Finish(ctx, w)
	return flagsOf(data, err)
}

// TestFlagsRise sets and clears a leaf's flag by edits of single rows: the root is that of the rows built anew, with the flags of all leaves.
func TestFlagsRise(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	f := flagging{small}
	st := chunk.NewMem()
	m := random(rng, 6000, deep)
	for k := range m {
		m[k] = "abc"
	}
	root := m.build(t, st, f, 0)
	if root.Level < 3 || root.Flags != 0 {
		t.Fatalf("the tree is %+v: the test does not test", root)
	}
	keys := m.keys()
	marked := map[string]bool{}
	for step := range 400 {
		k := keys[rng.IntN(len(keys))]
		v := "!!!"
		if len(marked) > 0 && rng.IntN(2) == 0 { // one after the other until none is left
			for k = range marked {
				break
			}
			v = "cba"
			delete(marked, k)
		} else {
			marked[k] = true
		}
		es := map[string]*string{k: &v}
		m = m.apply(es)
		root = apply(t, st, f, root, es)
		if want := m.build(t, st, f, 0); root != want {
			t.Fatalf("step %d: with %d marks the root is %+v, of the rows built anew %+v", step, len(marked), root, want)
		}
		if (root.Flags != 0) != (len(marked) > 0) {
			t.Fatalf("step %d: flags %d with %d marks", step, root.Flags, len(marked))
		}
	}
}
