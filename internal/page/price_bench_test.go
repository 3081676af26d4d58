package page

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// Benchmarks of whole trees of pages on the price table: hospitals, billing codes and payers in key order, each row a price. A row in
// 34 of the possible ones is there, evenly spread, at 10 million rows and fewer alike: fewer rows are fewer hospitals.
// Times are CPU times (cpu-ns/op) where the system tells them: those of a loaded machine stay comparable.

var priceRows = flag.Int("price-rows", 300_000, "rows of the table in the benchmarks of trees")

const priceStride = 34

// priceTable makes the rows of the price table.
type priceTable struct {
	f      *Format
	parts  []value.KeyPart
	codes  []string
	payers []string
	cells  [4]value.Cell
}

func newPriceTable(t fataler) *priceTable {
	p := &priceTable{f: priceFormat(t), payers: []string{
		"AETNA COMMERCIAL", "BLUE CROSS PPO", "CASH PRICE", "CIGNA HMO", "DE-IDENTIFIED MAX", "DE-IDENTIFIED MIN",
		"GROSS CHARGE", "HUMANA", "KAISER", "MEDICAID", "MEDICARE", "UNITED HEALTHCARE",
	}}
	for i := range 20000 {
		switch i % 3 {
		case 0:
			p.codes = append(p.codes, fmt.Sprintf("CPT %05d", 10000+i))
		case 1:
			p.codes = append(p.codes, fmt.Sprintf("HCPCS %c%04d", 'A'+i%22, i%10000))
		default:
			p.codes = append(p.codes, fmt.Sprintf("%04dT%d", i%10000, i/10000))
		}
	}
	sort.Strings(p.codes)
	p.codes = slices.Compact(p.codes)
	for k := range p.f.key {
		p.parts = append(p.parts, p.f.key[k].part)
	}
	return p
}

// row appends the key and the payload of possible row i; salt makes another price of it.
func (p *priceTable) row(key, row []byte, i int, salt uint64) ([]byte, []byte) {
	per := len(p.codes) * len(p.payers)
	r := rand.New(rand.NewPCG(uint64(i), 99+salt))
	p.cells = [4]value.Cell{
		value.BytesCell(fmt.Appendf(nil, "%d", 1000000007+i/per*714281)),
		value.BytesCell([]byte(p.codes[i/len(p.payers)%len(p.codes)])),
		value.BytesCell([]byte(p.payers[i%len(p.payers)])),
		value.FloatCell(math.Round(math.Exp(r.NormFloat64()*1.6+5.5)*100) / 100),
	}
	return value.AppendKey(key, p.parts, p.cells[:3]), value.AppendTuple(row, p.f.phys, p.cells[:])
}

// priceTree is the table as a tree in a store.
type priceTree struct {
	*priceTable
	n    int
	st   *chunk.Mem
	r    *chunk.Cache
	root tree.Root
}

var sharedPrices = sync.OnceValue(func() *priceTree {
	p := &priceTree{priceTable: newPriceTable(panicker{}), n: *priceRows, st: chunk.NewMem()}
	b := tree.NewBuilder(p.st, p.f, tree.BuilderOptions{})
	var key, row []byte
	for i := range p.n {
		key, row = p.row(key[:0], row[:0], i*priceStride, 0)
		if err := b.Add(context.Background(), key, row); err != nil {
			panic(err)
		}
	}
	var err error
	if p.root, err = b.Finish(context.Background()); err != nil {
		panic(err)
	}
	p.r = chunk.NewCache(p.st, 1<<30)
	return p
})

type panicker struct{}

func (panicker) Helper()                      {}
func (panicker) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }

// forgetful is the tree's store with new chunks hashed and forgotten, but for the last few.
type forgetful struct {
	*priceTree
	last [16]struct {
		h    hash.Hash
		data []byte
	}
	n int
}

func (s *forgetful) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	for i := range s.last {
		if s.last[i].h == h {
			return s.last[i].data, nil
		}
	}
	return s.r.Get(ctx, h)
}

func (s *forgetful) Has(ctx context.Context, h hash.Hash) (bool, error) {
	_, err := s.Get(ctx, h)
	return err == nil, nil
}

func (s *forgetful) Put(_ context.Context, data []byte) (hash.Hash, error) {
	h := hash.Sum(data)
	s.last[s.n%len(s.last)].h, s.last[s.n%len(s.last)].data = h, data
	s.n++
	return h, nil
}

// edits is k edits of random rows, spread over the table: updates, insertions and deletions by the letters of kinds in turn.
func (p *priceTree) edits(k int, kinds string) tree.Edits {
	r := rand.New(rand.NewPCG(7, 7))
	at := map[int]bool{}
	for len(at) < k {
		at[r.IntN(p.n)] = true
	}
	var es tree.Edits
	for i := range at {
		kind := kinds[i%len(kinds)]
		j := i * priceStride
		if kind == 'i' {
			j += 1 + r.IntN(priceStride-1)
		}
		key, row := p.row(nil, nil, j, 1)
		if kind == 'd' {
			row = nil
		}
		es = append(es, tree.Edit{Key: key, Row: row})
	}
	slices.SortFunc(es, func(a, b tree.Edit) int { return bytes.Compare(a.Key, b.Key) })
	return es
}

func BenchmarkTreeGet(b *testing.B) {
	p := sharedPrices()
	t := tree.New(p.r, p.f, p.root)
	r := rand.New(rand.NewPCG(3, 4))
	keys := make([][]byte, 1<<14)
	for i := range keys {
		keys[i], _ = p.row(nil, nil, r.IntN(p.n)*priceStride, 0)
	}
	var row []byte
	i := 0
	b.ReportAllocs()
	defer cpuTime(b, 1)()
	for b.Loop() {
		leaf, at, ok, err := t.Get(b.Context(), keys[i&(len(keys)-1)])
		if err != nil || !ok {
			b.Fatal(ok, err)
		}
		if row, err = leaf.AppendRow(b.Context(), row[:0], at); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func BenchmarkTreeApply(b *testing.B) {
	for _, c := range []struct {
		name, kinds string
		edits       int
	}{{"update1", "u", 1}, {"insert1", "i", 1}, {"delete1", "d", 1}, {"update1000", "u", 1000}, {"mixed1000", "iud", 1000}, {"mixed1pct", "iud", 0}} {
		b.Run(c.name, func(b *testing.B) {
			p := sharedPrices()
			k := c.edits
			if k == 0 {
				k = p.n / 100
			}
			es := p.edits(max(k, 512), c.kinds)
			st := &forgetful{priceTree: p}
			i := 0
			b.ReportAllocs()
			defer cpuTime(b, k)()
			for b.Loop() {
				if i+k > len(es) {
					i = 0
				}
				src := es[i : i+k]
				if k == 1 {
					src = tree.Edits{es[i*37%len(es)]}
				}
				i += k
				if _, err := tree.Apply(b.Context(), st, p.f, p.root, &src); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkTreeDiff(b *testing.B) {
	for _, c := range []struct {
		name, kinds string
		edits       int
	}{{"update1000", "u", 1000}, {"mixed1000", "iud", 1000}, {"mixed1pct", "iud", 0}} {
		b.Run(c.name, func(b *testing.B) {
			p := sharedPrices()
			k := c.edits
			if k == 0 {
				k = p.n / 100
			}
			es := p.edits(k, c.kinds)
			to, err := tree.Apply(b.Context(), p.st, p.f, p.root, &es)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			defer cpuTime(b, k)()
			for b.Loop() {
				n := 0
				if err := tree.Diff(b.Context(), p.r, p.f, p.root, to, nil, nil, func(tree.Change) error { n++; return nil }); err != nil || n != k {
					b.Fatal(n, err)
				}
			}
		})
	}
}

func BenchmarkTreeBuild(b *testing.B) {
	p := sharedPrices()
	n := min(p.n, 100_000)
	keys, rows := make([][]byte, n), make([][]byte, n)
	for i := range n {
		keys[i], rows[i] = p.row(nil, nil, i*priceStride, 0)
	}
	st := &forgetful{priceTree: p}
	b.ReportAllocs()
	defer cpuTime(b, n)()
	for b.Loop() {
		bl := tree.NewBuilder(st, p.f, tree.BuilderOptions{})
		for i := range n {
			if err := bl.Add(b.Context(), keys[i], rows[i]); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := bl.Finish(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// eachPage calls fn for all leaves.
func (p *priceTree) eachPage(b *testing.B, fn func(pg *Page) error) {
	c := tree.New(p.r, p.f, p.root).Cursor()
	err := c.First(b.Context())
	for err == nil && c.Valid() {
		if err = fn(c.Leaf().(*Page)); err == nil {
			err = c.NextLeaf(b.Context())
		}
	}
	if err != nil {
		b.Fatal(err)
	}
}

func BenchmarkTreeScan(b *testing.B) {
	p := sharedPrices()
	for _, mem := range []struct {
		name string
		memory.Allocator
	}{{"fresh", memory.DefaultAllocator}, {"pool", NewPool(64 << 20)}} {
		b.Run(mem.name, func(b *testing.B) {
			bt, err := p.f.NewBatcher(mem.Allocator, []BatchColumn{{Column: 0, Name: "npi"}, {Column: 1, Name: "code"}, {Column: 2, Name: "payer"}, {Column: 3, Name: "price"}}, 64<<10, nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			defer cpuTime(b, p.n)()
			for b.Loop() {
				p.eachPage(b, func(pg *Page) error {
					err := bt.Append(b.Context(), pg, 0, pg.Len())
					if bt.Len() >= 64<<10-2000 {
						bt.Record().Release()
					}
					return err
				})
				bt.Record().Release()
			}
		})
	}
}

func BenchmarkTreeSum(b *testing.B) {
	p := sharedPrices()
	defer cpuTime(b, p.n)()
	for b.Loop() {
		p.eachPage(b, func(pg *Page) error {
			_, _, err := pg.SumFloats(b.Context(), 3, 0, pg.Len())
			return err
		})
	}
}
