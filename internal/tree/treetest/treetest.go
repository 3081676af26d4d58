// Package treetest is the conformance suite of tree.Format: what every kind of leaf must do for trees of it to be canonical.
package treetest

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/tree"
)

// Row is a key and its payload.
type Row struct{ Key, Row []byte }

// rounds is how often each law is tried.
const rounds = 30

// RunFormat checks the contract of tree.Format. gen makes one to some hundreds of valid rows, sorted by key without equal keys;
// two calls must often give one key with two payloads, for the suite to reach updates (it fails when it does not). newFormat makes
// equal formats.
func RunFormat(t *testing.T, newFormat func() tree.Format, gen func(rng *rand.Rand) []Row) {
	laws := []struct {
		name string
		law  func(s *suite)
	}{
		{"RoundTrip", (*suite).roundTrip},
		{"Canonical", (*suite).canonical},
		{"Search", (*suite).search},
		{"Weights", (*suite).weights},
		{"Patch", (*suite).patch},
		{"Diff", (*suite).diff},
		{"Refs", (*suite).refs},
		{"Malformed", (*suite).malformed},
		{"Apply", (*suite).apply},
	}
	for _, l := range laws {
		t.Run(l.name, func(t *testing.T) {
			s := &suite{T: t, ctx: t.Context(), f: newFormat(), twin: newFormat(), gen: gen, rng: rand.New(rand.NewPCG(1, 2)), st: chunk.NewMem()}
			l.law(s)
		})
	}
}

type suite struct {
	*testing.T
	ctx     context.Context
	f, twin tree.Format
	gen     func(rng *rand.Rand) []Row
	rng     *rand.Rand
	st      *chunk.Mem
}

func (s *suite) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// encode builds a leaf of rows and returns it with the weights that Add gave.
func (s *suite) encode(f tree.Format, rows []Row) (data []byte, flags tree.Flags, weights []int32) {
	s.Helper()
	b := f.NewBuilder()
	for i, r := range rows {
		w, err := b.Add(r.Key, r.Row)
		s.ok(err)
		weights = append(weights, int32(w))
		if b.Len() != i+1 {
			s.Fatalf("builder has %d rows after %d", b.Len(), i+1)
		}
	}
	data, flags, err := b.Finish(s.ctx, s.st)
	s.ok(err)
	if b.Len() != 0 {
		s.Fatal("Finish left rows in the builder")
	}
	return data, flags, weights
}

func (s *suite) leaf(rows []Row) tree.Leaf {
	s.Helper()
	data, _, _ := s.encode(s.f, rows)
	l, err := s.f.Open(s.st, data)
	s.ok(err)
	return l
}

// row i of l.
func (s *suite) row(l tree.Leaf, i int) Row {
	s.Helper()
	p, err := l.AppendRow(s.ctx, nil, i)
	s.ok(err)
	return Row{l.AppendKey(nil, i), p}
}

// overlapping gives two sets of rows that share keys, and how many of those have other payloads.
func (s *suite) overlapping() (a, b []Row, updates int) {
	for range 1000 {
		a, b = s.gen(s.rng), s.gen(s.rng)
		for _, r := range b {
			if i, ok := find(a, r.Key); ok && !bytes.Equal(a[i].Row, r.Row) {
				updates++
			}
		}
		if updates > 0 {
			return a, b, updates
		}
	}
	s.Fatal("gen never gave one key with two payloads")
	return nil, nil, 0
}

func find(rows []Row, key []byte) (int, bool) {
	return slices.BinarySearchFunc(rows, key, func(r Row, k []byte) int { return bytes.Compare(r.Key, k) })
}

// union is a with b's rows put over it.
func union(a, b []Row) []Row {
	out := slices.Clone(a)
	for _, r := range b {
		if i, ok := find(out, r.Key); ok {
			out[i] = r
		} else {
			out = slices.Insert(out, i, r)
		}
	}
	return out
}

func (s *suite) roundTrip() {
	for range rounds {
		rows := s.gen(s.rng)
		l := s.leaf(rows)
		if l.Len() != len(rows) {
			s.Fatalf("%d rows, want %d", l.Len(), len(rows))
		}
		for i, r := range rows {
			got := s.row(l, i)
			if !bytes.Equal(got.Key, r.Key) || !bytes.Equal(got.Row, r.Row) {
				s.Fatalf("row %d is %x %x, want %x %x", i, got.Key, got.Row, r.Key, r.Row)
			}
		}
		// Append must append.
		if p, err := l.AppendRow(s.ctx, []byte("x"), 0); err != nil || !bytes.Equal(p, append([]byte("x"), rows[0].Row...)) {
			s.Fatalf("AppendRow after x: %x, %v", p, err)
		}
		if k := l.AppendKey([]byte("x"), 0); !bytes.Equal(k, append([]byte("x"), rows[0].Key...)) {
			s.Fatalf("AppendKey after x: %x", k)
		}
	}
}

// canonical: the bytes depend on rows only, whichever builder, in whatever pieces they came.
func (s *suite) canonical() {
	reused := s.f.NewBuilder()
	for range rounds {
		rows := s.gen(s.rng)
		want, wantFlags, _ := s.encode(s.twin, rows)
		l := s.leaf(rows)
		other := s.leaf(union(rows, s.gen(s.rng)))
		for i := 0; i < len(rows); {
			switch s.rng.IntN(3) {
			case 0:
				_, err := reused.Add(rows[i].Key, rows[i].Row)
				s.ok(err)
				i++
			case 1:
				j := i + 1 + s.rng.IntN(len(rows)-i)
				s.ok(reused.AddFrom(s.ctx, l, i, j))
				i = j
			default:
				// The same row out of a leaf that has other rows as well.
				k, _ := other.Search(rows[i].Key)
				if !bytes.Equal(s.row(other, k).Row, rows[i].Row) {
					continue
				}
				s.ok(reused.AddFrom(s.ctx, other, k, k+1))
				i++
			}
		}
		got, flags, err := reused.Finish(s.ctx, s.st)
		s.ok(err)
		if !bytes.Equal(got, want) || flags != wantFlags {
			s.Fatalf("%d rows in pieces give other bytes than row by row", len(rows))
		}
	}
}

func (s *suite) search() {
	for range rounds {
		rows := s.gen(s.rng)
		l := s.leaf(rows)
		probe := func(key []byte) {
			wi, wok := find(rows, key)
			if i, ok := l.Search(key); i != wi || ok != wok {
				s.Fatalf("Search(%x) = %d, %v, want %d, %v", key, i, ok, wi, wok)
			}
		}
		for _, r := range rows {
			probe(r.Key)
		}
		for _, r := range s.gen(s.rng) {
			probe(r.Key)
		}
	}
}

func (s *suite) weights() {
	most := int32(s.f.Target() / 64)
	for range rounds {
		rows := s.gen(s.rng)
		_, _, want := s.encode(s.f, rows)
		for i, w := range want {
			if w < 1 || w > most {
				s.Fatalf("row %d weighs %d, not 1 to %d", i, w, most)
			}
		}
		// A function of the row alone: a leaf of one row agrees.
		i := s.rng.IntN(len(rows))
		if _, _, one := s.encode(s.f, rows[i:i+1]); one[0] != want[i] {
			s.Fatalf("row %d weighs %d alone, %d among others", i, one[0], want[i])
		}
		j := i + s.rng.IntN(len(rows)-i+1)
		got, err := s.leaf(rows).Weights(s.ctx, []int32{-7}, i, j)
		s.ok(err)
		if !slices.Equal(got, append([]int32{-7}, want[i:j]...)) {
			s.Fatalf("Weights(%d, %d) = %v, want %v", i, j, got, want[i:j])
		}
	}
}

func (s *suite) patch() {
	for range rounds {
		a, b, _ := s.overlapping()
		l := s.leaf(a)
		_, _, before := s.encode(s.f, a)
		changed := slices.Clone(a)
		var patches []tree.Patch
		for _, r := range b {
			if i, ok := find(a, r.Key); ok {
				changed[i] = r
				patches = append(patches, tree.Patch{Index: i, Row: r.Row})
			}
		}
		want, wantFlags, after := s.encode(s.f, changed)
		data, flags, ok, err := s.f.Patch(s.ctx, s.st, l, patches)
		s.ok(err)
		if !ok {
			continue
		}
		if !slices.Equal(before, after) {
			s.Fatal("Patch took a change of weight")
		}
		if !bytes.Equal(data, want) || flags != wantFlags {
			s.Fatalf("Patch of %d of %d rows gives other bytes than a builder", len(patches), len(a))
		}
		for i, r := range a {
			if got := s.row(l, i); !bytes.Equal(got.Row, r.Row) {
				s.Fatal("Patch changed the leaf that it was given")
			}
		}
	}
}

func (s *suite) diff() {
	type pair struct{ i, j int }
	for range 2 * rounds {
		a, b, _ := s.overlapping()
		if s.rng.IntN(3) == 0 {
			b = union(a, b[:1+s.rng.IntN(len(b))])
		}
		alo, blo := s.rng.IntN(len(a)+1), s.rng.IntN(len(b)+1)
		ahi, bhi := alo+s.rng.IntN(len(a)-alo+1), blo+s.rng.IntN(len(b)-blo+1)
		if s.rng.IntN(2) == 0 {
			alo, blo, ahi, bhi = 0, 0, len(a), len(b)
		}
		var want, got []pair
		for i, j := alo, blo; i < ahi || j < bhi; {
			c := 1
			switch {
			case j == bhi:
				c = -1
			case i < ahi:
				c = bytes.Compare(a[i].Key, b[j].Key)
			}
			switch {
			case c < 0:
				want = append(want, pair{i, -1})
				i++
			case c > 0:
				want = append(want, pair{-1, j})
				j++
			default:
				if !bytes.Equal(a[i].Row, b[j].Row) {
					want = append(want, pair{i, j})
				}
				i++
				j++
			}
		}
		s.ok(s.f.Diff(s.ctx, s.leaf(a), alo, ahi, s.leaf(b), blo, bhi, func(i, j int) error {
			got = append(got, pair{i, j})
			return nil
		}))
		if !slices.Equal(got, want) {
			s.Fatalf("Diff [%d,%d) [%d,%d) = %v, want %v", alo, ahi, blo, bhi, got, want)
		}
		if len(want) > 0 {
			n := 0
			err := s.f.Diff(s.ctx, s.leaf(a), alo, ahi, s.leaf(b), blo, bhi, func(int, int) error {
				n++
				return context.Canceled
			})
			if err == nil || n != 1 {
				s.Fatalf("Diff went on after emit's error: %v, %d calls", err, n)
			}
		}
	}
}

// refs: FlagRefs is set if and only if the leaf names chunks, and those are in the store.
func (s *suite) refs() {
	for range rounds {
		rows := s.gen(s.rng)
		data, flags, _ := s.encode(s.f, rows)
		l, err := s.f.Open(s.st, data)
		s.ok(err)
		n := 0
		s.ok(l.Refs(s.ctx, func(r tree.Ref) error {
			n++
			if r.Blob {
				return nil
			}
			_, err := s.st.Get(s.ctx, r.Hash)
			return err
		}))
		if (n > 0) != (flags&tree.FlagRefs != 0) {
			s.Fatalf("flags %d, %d refs", flags, n)
		}
	}
}

// malformed: no bytes make Open or the methods of what it opens panic.
func (s *suite) malformed() {
	for range rounds {
		data, _, _ := s.encode(s.f, s.gen(s.rng))
		for range 20 {
			bad := bytes.Clone(data)
			if s.rng.IntN(4) == 0 {
				bad = bad[:s.rng.IntN(len(bad))]
			}
			for range 1 + s.rng.IntN(3) {
				if len(bad) > 0 {
					bad[s.rng.IntN(min(len(bad), 64+s.rng.IntN(len(bad)+1)))] = byte(s.rng.Uint32())
				}
			}
			l, err := s.f.Open(s.st, bad)
			if err != nil {
				continue
			}
			Exercise(s.ctx, s.st, s.f, l)
		}
	}
}

// Exercise calls every method of a leaf, for fuzz tests of Open: none may panic, whatever it answers. It goes through at most
// 1,000 rows.
func Exercise(ctx context.Context, w chunk.Writer, f tree.Format, l tree.Leaf) (calls int) {
	n := min(l.Len(), 1000)
	note := func(error) { calls++ }
	var buf []byte
	for i := range n {
		buf = l.AppendKey(buf[:0], i)
		l.Search(buf)
		_, err := l.AppendRow(ctx, nil, i)
		note(err)
	}
	_, err := l.Weights(ctx, nil, 0, n)
	note(err)
	note(l.Refs(ctx, func(tree.Ref) error { return nil }))
	note(f.Diff(ctx, l, 0, n, l, 0, n, func(int, int) error { return nil }))
	b := f.NewBuilder()
	note(b.AddFrom(ctx, l, 0, n))
	if b.Len() > 0 {
		_, _, err := b.Finish(ctx, w)
		note(err)
	}
	return calls
}

// apply: a tree edited is the tree built anew, and Check finds nothing in it.
func (s *suite) apply() {
	build := func(rows []Row) tree.Root {
		b := tree.NewBuilder(s.st, s.f, tree.BuilderOptions{})
		for _, r := range rows {
			s.ok(b.Add(s.ctx, r.Key, r.Row))
		}
		root, err := b.Finish(s.ctx)
		s.ok(err)
		return root
	}
	var rows []Row
	for range 2 * rounds {
		rows = union(rows, s.gen(s.rng))
	}
	root := build(rows)
	for range rounds {
		var edits tree.Edits
		for _, r := range s.gen(s.rng) {
			i, ok := find(rows, r.Key)
			switch {
			case ok && s.rng.IntN(3) == 0:
				rows = slices.Delete(rows, i, i+1)
				edits = append(edits, tree.Edit{Key: r.Key})
			case ok:
				rows[i] = r
				edits = append(edits, tree.Edit{Key: r.Key, Row: r.Row})
			default:
				rows = slices.Insert(rows, i, r)
				edits = append(edits, tree.Edit{Key: r.Key, Row: r.Row})
			}
		}
		next, err := tree.Apply(s.ctx, s.st, s.f, root, &edits)
		s.ok(err)
		if want := build(rows); next != want {
			s.Fatalf("an edited tree of %d rows is not the tree built anew: %v, want %v", len(rows), next, want)
		}
		root = next
	}
	s.ok(tree.Check(s.ctx, s.st, s.f, root, func(p tree.Problem) error { return p }))
}
