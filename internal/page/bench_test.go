package page

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// The price table: who charges how much for what. The key is all columns but the price; nearly every code of a page is distinct.
func priceFormat(t fataler) *Format {
	text := value.Type{Kind: value.KindVarchar, Length: 64, Collation: value.CollationUtf8mb40900Bin}
	return newFormat(t, Layout{
		Columns: []Column{
			{ID: 0x30, Type: text},
			{ID: 0x10, Type: text},
			{ID: 0x40, Type: text},
			{ID: 0x20, Type: value.Type{Kind: value.KindFloat64}},
		},
		Key: []KeyColumn{{Column: 0}, {Column: 1}, {Column: 2}},
	})
}

func priceRow(r *rand.Rand, h, c, y int) []value.Cell {
	payers := [...]string{"AETNA COMMERCIAL", "BLUE CROSS PPO", "CASH PRICE", "CIGNA HMO", "DE-IDENTIFIED MAX", "DE-IDENTIFIED MIN", "GROSS CHARGE", "HUMANA", "KAISER", "MEDICAID", "MEDICARE", "UNITED HEALTHCARE"}
	var code string
	switch c % 3 {
	case 0:
		code = fmt.Sprintf("CPT %05d", 10000+c)
	case 1:
		code = fmt.Sprintf("HCPCS %c%04d", 'A'+c%22, c%10000)
	default:
		code = fmt.Sprintf("%04dT%d", c%10000, c/10000)
	}
	return []value.Cell{
		value.BytesCell(fmt.Appendf(nil, "%d", 1000000000+h*7127)), value.BytesCell([]byte(code)), value.BytesCell([]byte(payers[y])),
		value.FloatCell(math.Round(math.Exp(r.NormFloat64()*1.6+5.5)*100) / 100),
	}
}

// prices is a model of about n rows in key order.
func prices(t fataler, n int) *model {
	m := &model{f: priceFormat(t)}
	r := rand.New(rand.NewPCG(1, 2))
	var rows []modelRow
	for i := range n {
		rows = append(rows, m.row(priceRow(r, i/7000, r.IntN(20000), r.IntN(12))))
	}
	m.setRows(rows)
	var arena []byte
	for i := range m.rows { // in one piece, as a sorted run would have them
		at := len(arena)
		arena = append(arena, m.rows[i].tuple...)
		m.rows[i].tuple = arena[at:len(arena):len(arena)]
	}
	return m
}

// pages cuts the rows into pages of the target weight.
func (m *model) pages(t fataler, st *chunk.Mem) (pages []*Page, starts []int) {
	b := m.f.NewPageBuilder()
	total, start := 0, 0
	flush := func(end int) {
		pages, starts = append(pages, m.open(t, st, finish(t, b, st))), append(starts, start)
		start, total = end, 0
	}
	for i, r := range m.rows {
		w, err := b.Add(r.key, r.tuple)
		if err != nil {
			t.Fatalf("%v", err)
		}
		if total += w; total >= m.f.target {
			flush(i + 1)
		}
	}
	if b.Len() > 0 {
		flush(len(m.rows))
	}
	return pages, starts
}

func BenchmarkBuild(b *testing.B) {
	m := prices(b, 20000)
	st := chunk.NewMem()
	bl := m.f.NewPageBuilder()
	size := 0
	b.ReportAllocs()
	for b.Loop() {
		total := 0
		size = 0
		for _, r := range m.rows {
			w, _ := bl.Add(r.key, r.tuple)
			if total += w; total >= m.f.target {
				d, _, _ := bl.Finish(context.Background(), st)
				size += len(d)
				total = 0
			}
		}
		d, _, _ := bl.Finish(context.Background(), st)
		size += len(d)
	}
	rate(b, len(m.rows))
	b.ReportMetric(float64(size)/float64(len(m.rows)), "B/row")
}

func rate(b *testing.B, rows int) {
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
}

func BenchmarkSum(b *testing.B) {
	m := prices(b, 20000)
	st := chunk.NewMem()
	pages, _ := m.pages(b, st)
	for b.Loop() {
		for _, p := range pages {
			if _, _, err := p.SumFloats(context.Background(), 3, 0, p.n); err != nil {
				b.Fatal(err)
			}
		}
	}
	rate(b, len(m.rows))
}

func BenchmarkGet(b *testing.B) {
	m := prices(b, 20000)
	st := chunk.NewMem()
	pages, starts := m.pages(b, st)
	r := rand.New(rand.NewPCG(3, 4))
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		i := r.IntN(len(m.rows))
		k, _ := slices.BinarySearch(starts, i+1)
		p, _ := m.f.OpenPage(st, pages[k-1].data)
		at, ok := p.Search(m.rows[i].key)
		if !ok {
			b.Fatal("lost")
		}
		buf, _ = p.AppendRow(context.Background(), buf[:0], at)
	}
}

func BenchmarkPatch(b *testing.B) {
	m := prices(b, 20000)
	st := chunk.NewMem()
	pages, starts := m.pages(b, st)
	r := rand.New(rand.NewPCG(3, 4))
	b.ReportAllocs()
	for b.Loop() {
		k := r.IntN(len(pages))
		i := r.IntN(pages[k].n)
		cells := slices.Clone(m.rows[starts[k]+i].cells)
		cells[3] = value.FloatCell(17.25)
		row := m.row(cells)
		if _, _, ok, err := m.f.Patch(context.Background(), st, pages[k], []tree.Patch{{Index: i, Row: row.tuple}}); !ok {
			b.Fatal(err)
		}
	}
}

func BenchmarkInsert(b *testing.B) {
	m := prices(b, 20000)
	st := chunk.NewMem()
	pages, _ := m.pages(b, st)
	r := rand.New(rand.NewPCG(3, 4))
	bl := m.f.NewPageBuilder()
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		p := pages[r.IntN(len(pages))]
		i := r.IntN(p.n)
		row := m.row(priceRow(r, 3, r.IntN(20000), r.IntN(12)))
		_ = bl.AddFrom(ctx, p, 0, i)
		_, _ = bl.Add(row.key, row.tuple)
		_ = bl.AddFrom(ctx, p, i, p.n)
		if _, _, err := bl.Finish(ctx, st); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDiff(b *testing.B) {
	m := prices(b, 20000)
	st := chunk.NewMem()
	pages, starts := m.pages(b, st)
	r := rand.New(rand.NewPCG(3, 4))
	for _, kind := range []string{"update", "insert", "delete"} {
		b.Run(kind, func(b *testing.B) {
			var others []*Page
			for k, p := range pages {
				rows := slices.Clone(m.rows[starts[k] : starts[k]+p.n])
				i := r.IntN(p.n)
				switch kind {
				case "update":
					cells := slices.Clone(rows[i].cells)
					cells[3] = value.FloatCell(17.25)
					rows[i] = m.row(cells)
				case "insert":
					cells := slices.Clone(rows[i].cells)
					cells[1] = value.BytesCell(append(slices.Clone(cells[1].Bytes()), '1'))
					rows = slices.Insert(rows, i+1, m.row(cells))
				default:
					rows = slices.Delete(rows, i, i+1)
				}
				slices.SortFunc(rows, func(a, b modelRow) int { return slices.Compare(a.key, b.key) })
				others = append(others, m.open(b, st, m.build(b, st, rows)))
			}
			n, k := 0, 0
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				p, _ := m.f.OpenPage(st, pages[k].data)
				q, _ := m.f.OpenPage(st, others[k].data)
				err := m.f.Diff(context.Background(), p, 0, p.n, q, 0, q.n, func(i, j int) error { n++; return nil })
				if err != nil {
					b.Fatal(err)
				}
				if k++; k == len(pages) {
					k = 0
				}
			}
			if n != b.N {
				b.Fatalf("%d changes in %d diffs", n, b.N)
			}
		})
	}
}
