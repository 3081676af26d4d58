package tree

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
)

// pages is a format of the size that tables use.
var pages = KVFormat{Size: 16384}

func benchKey(dst []byte, i int) []byte { return binary.BigEndian.AppendUint64(dst[:0], uint64(i)) }

// grow is a tree of n rows of 8-byte keys, the even numbers, and 16-byte payloads.
func grow(b *testing.B, st chunk.Store, n int) Root {
	b.Helper()
	bl := NewBuilder(st, pages, BuilderOptions{Parallel: 2})
	var key []byte
	row := make([]byte, 16)
	for i := range n {
		key = benchKey(key, 2*i)
		binary.LittleEndian.PutUint64(row, uint64(i))
		if err := bl.Add(b.Context(), key, row); err != nil {
			b.Fatal(err)
		}
	}
	root, err := bl.Finish(b.Context())
	ok(b, err)
	return root
}

// sizes runs a benchmark on trees of 1 and 10 million rows.
func sizes(b *testing.B, run func(b *testing.B, st chunk.Store, root Root, n int)) {
	for _, n := range []int{1_000_000, 10_000_000} {
		b.Run(fmt.Sprintf("rows=%dM", n/1_000_000), func(b *testing.B) {
			st := chunk.NewMem()
			run(b, st, grow(b, st, n), n)
		})
	}
}

// BenchmarkPointGet: where is the row with this key?
func BenchmarkPointGet(b *testing.B) {
	sizes(b, func(b *testing.B, st chunk.Store, root Root, n int) {
		tr := New(st, pages, root)
		rng := rand.New(rand.NewPCG(1, 1))
		var key, row []byte
		b.ReportAllocs()
		for b.Loop() {
			key = benchKey(key, 2*rng.IntN(n))
			leaf, i, found, err := tr.Get(b.Context(), key)
			if err != nil || !found {
				b.Fatal(found, err)
			}
			if row, err = leaf.AppendRow(b.Context(), row[:0], i); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(root.Level)+1, "levels")
	})
}

// BenchmarkBuild: how long does a sorted load take a row, chunks thrown away?
func BenchmarkBuild(b *testing.B) {
	for _, parallel := range []int{0, 2} {
		b.Run(fmt.Sprintf("parallel=%d", parallel), func(b *testing.B) {
			bl := NewBuilder(discard{}, pages, BuilderOptions{Parallel: parallel})
			var key []byte
			row := make([]byte, 16)
			i := 0
			for b.Loop() {
				key = benchKey(key, i)
				binary.LittleEndian.PutUint64(row, uint64(i))
				if err := bl.Add(b.Context(), key, row); err != nil {
					b.Fatal(err)
				}
				i++
			}
			if _, err := bl.Finish(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// idleFormat has leaves that cost nothing, to see what the tree itself costs.
type idleFormat struct{ KVFormat }

func (idleFormat) NewBuilder() LeafBuilder { return new(idleBuilder) }

type idleBuilder struct{ n int }

func (b *idleBuilder) Add(_, _ []byte) (int, error) { b.n++; return 32, nil }

func (b *idleBuilder) AddFrom(_ context.Context, _ Leaf, i, j int) error { b.n += j - i; return nil }

func (b *idleBuilder) Len() int { return b.n }

func (b *idleBuilder) Finish(context.Context, chunk.Writer) ([]byte, Flags, error) {
	b.n = 0
	return []byte("leaf"), 0, nil
}

// BenchmarkBuildOverhead: what does the tree itself, without the leaves, cost a row?
func BenchmarkBuildOverhead(b *testing.B) {
	bl := NewBuilder(discard{}, idleFormat{pages}, BuilderOptions{})
	var key []byte
	i := 0
	for b.Loop() {
		key = benchKey(key, i)
		if err := bl.Add(b.Context(), key, nil); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// batch is n edits of random rows: updates in place, or a third each of updates, insertions and deletions.
func batch(rng *rand.Rand, n, rows int, mixed bool) Edits {
	at := map[int]bool{}
	for len(at) < n {
		at[2*rng.IntN(rows)] = true
	}
	var es Edits
	for i := range at {
		row := make([]byte, 16)
		binary.LittleEndian.PutUint64(row, rng.Uint64())
		e := Edit{Key: benchKey(nil, i), Row: row}
		if mixed {
			switch rng.IntN(3) {
			case 0:
				e.Key = benchKey(nil, i+1)
			case 1:
				e.Row = nil
			}
		}
		es = append(es, e)
	}
	slices.SortFunc(es, func(a, b Edit) int { return bytes.Compare(a.Key, b.Key) })
	return es
}

// BenchmarkApply: how long does a batch of edits take?
func BenchmarkApply(b *testing.B) {
	sizes(b, func(b *testing.B, st chunk.Store, root Root, n int) {
		for _, mixed := range []bool{false, true} {
			for _, edits := range []int{1, 1000, 100_000} {
				b.Run(fmt.Sprintf("edits=%d/mixed=%v", edits, mixed), func(b *testing.B) {
					rng := rand.New(rand.NewPCG(1, 1))
					es := batch(rng, edits, n, mixed)
					for b.Loop() {
						src := slices.Clone(es)
						if _, err := Apply(b.Context(), st, pages, root, &src); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*edits), "ns/edit")
				})
			}
		}
	})
}

// BenchmarkDiff: how long does it take to list the changes of a batch?
func BenchmarkDiff(b *testing.B) {
	sizes(b, func(b *testing.B, st chunk.Store, root Root, n int) {
		for _, mixed := range []bool{false, true} {
			for _, edits := range []int{1, 1000, 100_000} {
				b.Run(fmt.Sprintf("edits=%d/mixed=%v", edits, mixed), func(b *testing.B) {
					es := batch(rand.New(rand.NewPCG(1, 1)), edits, n, mixed)
					to, err := Apply(b.Context(), st, pages, root, &es)
					ok(b, err)
					for b.Loop() {
						changes := 0
						err := Diff(b.Context(), st, pages, root, to, nil, nil, func(Change) error { changes++; return nil })
						if err != nil || changes != edits {
							b.Fatal(changes, err)
						}
					}
				})
			}
		}
	})
}

// BenchmarkScan: how long does it take to pass a row in key order?
func BenchmarkScan(b *testing.B) {
	sizes(b, func(b *testing.B, st chunk.Store, root Root, _ int) {
		c := New(st, pages, root).Cursor()
		var key []byte
		for b.Loop() {
			if !c.Valid() {
				ok(b, c.First(b.Context()))
			}
			key = c.Key(key[:0])
			ok(b, c.Next(b.Context()))
		}
	})
}
