package page

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// anyGroup serves one chunk for every hash.
type anyGroup struct{ data []byte }

func (g anyGroup) Get(context.Context, hash.Hash) ([]byte, error) { return g.data, nil }

// mixed is a layout with every physical class and every kind of key column.
func mixed(t fataler) *Format {
	ci := value.Type{Kind: value.KindVarchar, Length: 40, Collation: value.CollationASCIIGeneral}
	return newFormat(t, Layout{
		Columns: []Column{
			{ID: 1, Type: textType}, {ID: 2, Type: ci}, {ID: 3, Type: intType}, {ID: 4, Type: floatType},
			{ID: 5, Type: textType, Absent: value.BytesCell([]byte("x"))}, {ID: 6, Type: value.Type{Kind: value.KindFloat32}}, {ID: 7, Type: intType, Absent: value.IntCell(1)},
		},
		Key: []KeyColumn{{Column: 0}, {Column: 1, Desc: true}, {Column: 2}, {Column: 3}},
	})
}

func mixedRows(m *model, n int, r *rand.Rand, long bool) {
	var rows []modelRow
	word := func() value.Cell {
		if r.IntN(6) == 0 {
			return value.Null
		}
		return value.BytesCell([]byte([]string{"", "abc", "ABC", "abcd", "b", "zz top", "zz topper"}[r.IntN(7)]))
	}
	for range n {
		row := []value.Cell{word(), word(), value.IntCell(int64(r.IntN(9))), value.FloatCell(float64(r.IntN(50)) / 4), word(), value.Float32Cell(r.Float32()), value.IntCell(int64(r.Uint64()))}
		if r.IntN(9) == 0 && long {
			row[4] = addr(r.IntN(3))
		}
		rows = append(rows, m.row(row))
	}
	m.setRows(rows)
}

// exercise calls every accessor. Nothing may panic; errors are of no interest.
func exercise(f *Format, p *Page, key []byte, other *Page) {
	ctx := context.Background()
	rows := []int{0, p.n / 2, p.n - 1}
	lo, hi := p.n/3, min(p.n, p.n/3+5000)
	if p.n == 0 {
		rows = nil
	}
	for _, i := range rows {
		p.AppendKey(nil, i)
		_, _ = p.AppendRow(ctx, nil, i)
		for k := range f.cols {
			_, _ = p.Cell(ctx, k, i)
		}
	}
	p.Search(key)
	p.Search(nil)
	if len(rows) > 0 {
		p.Search(p.AppendKey(nil, p.n/2))
		if other.n > 0 {
			p.Search(other.AppendKey(nil, other.n/2))
		}
	}
	_, _ = p.Weights(ctx, nil, lo, hi)
	p.AppendKeys(nil, nil, lo, hi)
	_ = p.Refs(ctx, func(tree.Ref) error { return nil })
	n := hi - lo
	for k := range f.cols {
		_, _ = p.Nulls(ctx, k, lo, hi, make([]bool, n))
		_, _ = p.NullCount(ctx, k, lo, hi)
		_ = p.Ints(ctx, k, lo, hi, make([]int64, n))
		_ = p.Floats(ctx, k, lo, hi, make([]float64, n))
		_ = p.Float32s(ctx, k, lo, hi, make([]float32, n))
		var s Strings
		_ = p.Bytes(ctx, k, lo, hi, &s)
		var d Dict
		if ok, err := p.Dict(ctx, k, lo, hi, &d); ok && err == nil {
			for _, c := range d.Codes {
				d.At(int(c))
			}
		}
		_, _, _ = p.SumInts(ctx, k, lo, hi)
		_, _, _ = p.SumFloats(ctx, k, lo, hi)
		_, _, _, _ = p.MinMaxInts(ctx, k, lo, hi)
		_, _, _, _ = p.MinMaxFloats(ctx, k, lo, hi)
	}
	b := f.NewPageBuilder()
	if err := b.AddFrom(ctx, p, lo, hi); err == nil {
		_, _, _ = b.Finish(ctx, chunk.NewMem())
	}
	_ = f.Diff(ctx, p, 0, p.n, other, 0, other.n, func(i, j int) error { return nil })
	_ = f.Diff(ctx, other, 0, other.n, p, lo, hi, func(i, j int) error { return nil })
	if other.n > 0 && p.n > 0 {
		if row, err := other.AppendRow(ctx, nil, 0); err == nil {
			_, _, _, _ = f.Patch(ctx, chunk.NewMem(), p, []tree.Patch{{Index: p.n / 2, Row: row}})
		}
	}
	if bt, err := f.NewBatcher(NewPool(0), allColumns(f), 0, func(_ context.Context, dst, addr []byte) ([]byte, error) { return append(dst, addr...), nil }); err == nil {
		if err := bt.Append(ctx, p, lo, hi); err == nil {
			bt.Record().Release()
		}
	}
}

func FuzzPage(f *testing.F) {
	m := &model{f: mixed(f)}
	r := rand.New(rand.NewPCG(1, 2))
	st := chunk.NewMem()
	for _, n := range []int{0, 1, 20, 150} {
		mixedRows(m, n, r, true)
		f.Add(m.build(f, st, m.rows), []byte{1, 'a', 0, 0, 0xfe})
	}
	w := wide(f, 60, 64)
	f.Add(w.build(f, st, w.rows), []byte{})
	mixedRows(m, 30, r, true)
	other := m.open(f, st, m.build(f, st, m.rows))
	f.Fuzz(func(t *testing.T, data, key []byte) {
		data = slices.Clip(data)
		if len(data) >= 12 { // most mutations would end at the length
			le.PutUint32(data[8:], uint32(len(data)))
		}
		p, err := m.f.OpenPage(anyGroup{data}, data)
		if err != nil || p.n > 20000 {
			return
		}
		exercise(m.f, p, key, other)
	})
}

// TestDamage changes bytes of good pages, one to three at a time.
func TestDamage(t *testing.T) {
	m := &model{f: mixed(t)}
	r := rand.New(rand.NewPCG(3, 4))
	st := chunk.NewMem()
	mixedRows(m, 30, r, true)
	other := m.open(t, st, m.build(t, st, m.rows))
	for _, n := range []int{1, 40, 300} {
		mixedRows(m, n, r, true)
		good := m.build(t, st, m.rows)
		for range 1200 {
			data := slices.Clone(good)
			for range 1 + r.IntN(3) {
				at := r.IntN(len(data))
				if r.IntN(2) == 0 { // headers of segments rather than data
					at = r.IntN(min(len(data), 16+16*len(m.f.cols)+60))
				}
				data[at] = byte(r.Uint32())
			}
			le.PutUint32(data[8:], uint32(len(data)))
			if p, err := m.f.OpenPage(anyGroup{data}, data); err == nil && p.n < 20000 {
				exercise(m.f, p, data[:min(20, len(data))], other)
			}
		}
	}
}
