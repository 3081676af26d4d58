package page

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/value"
)

// Pages of hundreds of rows, of which few are inserted, deleted and changed, differ in just these: whatever way the columns of the key are
// kept, on either side.
func TestDiffOfVersions(t *testing.T) {
	text := value.Type{Kind: value.KindVarchar, Length: 200, Collation: value.CollationUtf8mb40900Bin}
	folded := text
	folded.Collation = value.CollationUtf8mb40900AiCi
	payers := func(r *rand.Rand, n int) []byte { return fmt.Appendf(nil, "payer %c", 'a'+r.IntN(n)) }
	for _, s := range []struct {
		name string
		code value.Type
		desc [3]bool
		grid int // different codes
		many int // different payers
		hubs int // different numbers
		at   func(i int) string
	}{
		{"front-coded", text, [3]bool{}, 2000, 5, 1, func(i int) string { return fmt.Sprintf("%04dT%d", i*5, i%3) }},
		{"front-coded, more numbers", text, [3]bool{}, 2000, 5, 3, func(i int) string { return fmt.Sprintf("%04dT%d", i*5, i%3) }},
		{"repeated", text, [3]bool{}, 60, 20, 1, func(i int) string { return fmt.Sprintf("%04dT%d", i*5, i%3) }},
		{"few", text, [3]bool{}, 3, 26, 40, func(i int) string { return fmt.Sprint("code ", i) }},
		{"of one length", text, [3]bool{}, 2000, 5, 1, func(i int) string { return fmt.Sprintf("%08x", uint32(i)*2654435761) }},
		{"of one length, descending", text, [3]bool{true, true, true}, 2000, 5, 2, func(i int) string { return fmt.Sprintf("%08x", uint32(i)*2654435761) }},
		{"long in common", text, [3]bool{}, 1500, 5, 1, func(i int) string { return fmt.Sprintf("https://example.com/path/%06d", i) }},
		{"long tails", text, [3]bool{}, 1500, 5, 1, func(i int) string { return fmt.Sprintf("%05d has a tail of more than sixteen bytes %d", i, i) }},
		{"sixteen bytes", text, [3]bool{}, 3000, 5, 1, func(i int) string { return fmt.Sprintf("%016d", i) }},
		{"prefixes of others", text, [3]bool{}, 40, 8, 1, func(i int) string { return "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"[:i] }},
		{"descending", text, [3]bool{false, true, false}, 1500, 5, 1, func(i int) string { return fmt.Sprintf("%04dT%d", i*5, i%3) }},
		{"last descending", text, [3]bool{false, false, true}, 60, 20, 1, func(i int) string { return fmt.Sprintf("%04dT%d", i*5, i%3) }},
		{"without case", folded, [3]bool{}, 400, 5, 1, func(i int) string { return fmt.Sprintf("%cb%d", "aA"[i%2], i/2) }},
	} {
		t.Run(s.name, func(t *testing.T) {
			m := &model{f: newFormat(t, Layout{
				Columns: []Column{
					{ID: 1, Type: value.Type{Kind: value.KindInt32}}, {ID: 2, Type: s.code}, {ID: 3, Type: text}, {ID: 4, Type: value.Type{Kind: value.KindFloat64}},
				},
				Key: []KeyColumn{{Column: 0, Desc: s.desc[0]}, {Column: 1, Desc: s.desc[1]}, {Column: 2, Desc: s.desc[2]}},
			})}
			r := rand.New(rand.NewPCG(7, uint64(len(s.name))))
			random := func() modelRow {
				return m.row([]value.Cell{
					value.IntCell(1e9 + int64(r.IntN(s.hubs))), value.BytesCell([]byte(s.at(r.IntN(s.grid)))), value.BytesCell(payers(r, s.many)),
					value.FloatCell(float64(r.IntN(400000)) / 100),
				})
			}
			for round := range 12 {
				var rows []modelRow
				for range 50 + r.IntN(500) {
					rows = append(rows, random())
				}
				m.setRows(rows)
				other := &model{f: m.f}
				rows = nil
				edits := r.IntN(12)
				for _, x := range m.rows {
					switch r.IntN(len(m.rows)) {
					default:
						rows = append(rows, x)
					case 0, 1, 2:
						if edits%2 == 0 { // deleted
							continue
						}
						cells := append([]value.Cell(nil), x.cells...)
						cells[3] = value.FloatCell(cells[3].Float() + 1)
						rows = append(rows, m.row(cells))
					}
				}
				for range edits {
					rows = append(rows, random())
				}
				if round == 0 { // a payer between and behind all others
					for _, p := range []string{"payer aa", "zz"} {
						x := random()
						x.cells[2] = value.BytesCell([]byte(p))
						rows = append(rows, m.row(x.cells))
					}
				}
				other.setRows(rows)
				st := chunk.NewMem()
				p, q := m.open(t, st, m.build(t, st, m.rows)), other.open(t, st, other.build(t, st, other.rows))
				m.checkDiff(t, p, m.rows, 0, p.n, q, other.rows, 0, q.n)
				m.checkDiff(t, q, other.rows, 0, q.n, p, m.rows, 0, p.n)
				m.checkDiff(t, p, m.rows, p.n/3, p.n-1, q, other.rows, q.n/4, q.n)
				m.checkDiff(t, p, m.rows, 0, p.n, p, m.rows, 1, p.n)
				if round < 2 {
					other.check(t, q, other.rows)
				}
				m.damage(r, p, q, 40)
			}
		})
	}
}

// damage reads and compares copies of p with some bytes changed: none may panic.
func (m *model) damage(r *rand.Rand, p, q *Page, times int) {
	for range times {
		data := bytes.Clone(p.data)
		for range 1 + r.IntN(3) {
			i := headerLen + r.IntN(len(data)-headerLen)
			if r.IntN(2) == 0 { // where segments begin, as a rule
				if off, size, _ := p.loc(r.IntN(p.ncols)); off < len(data) {
					i = off + r.IntN(min(size, 32))
				}
			}
			data[i] = byte(r.Uint32() >> r.IntN(8))
		}
		bad, err := m.f.OpenPage(nil, data)
		if err != nil {
			continue
		}
		none := func(int, int) error { return nil }
		_ = m.f.Diff(context.Background(), bad, 0, bad.n, q, 0, q.n, none)
		_ = m.f.Diff(context.Background(), q, q.n/3, q.n, bad, bad.n/4, bad.n, none)
		for i := range min(bad.n, 20) {
			for k := range m.f.cols {
				_, _ = bad.Cell(context.Background(), k, i*7%bad.n)
			}
		}
	}
}

// Vectors are compared as bits: each length, width and place of the first difference counts.
func TestSamePacked(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, w := range []uint{1, 2, 3, 7, 8, 9, 13, 22, 28, 31, 55, 56, 64} {
		for range 300 {
			n, i, j := r.IntN(40), r.IntN(20), r.IntN(20)
			a, b := make([]int64, i+n+1), make([]int64, j+n+1)
			for k := range a {
				a[k] = int64(r.Uint64() & maskOf(w) >> r.IntN(3))
			}
			copy(b[j:], a[i:])
			want := n
			if n > 0 && r.IntN(3) > 0 {
				want = r.IntN(n)
				b[j+want] ^= 1 << r.IntN(int(w))
			}
			va, vb := append(appendPacked(nil, a, 0, w), make([]byte, slack)...), append(appendPacked(nil, b, 0, w), make([]byte, slack)...)
			if got := samePacked(va, i, vb, j, n, w); got != want {
				t.Fatalf("width %d, %d values from %d and %d: %d are equal, want %d", w, n, i, j, got, want)
			}
		}
	}
}

// Rising codes that are moved by a distance are equal up to the first that is not, or that is not below the end.
func TestSameShifted(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	for w := uint(2); w <= 28; w++ {
		for range 200 {
			n, i, j, shift := 1+r.IntN(60), r.IntN(9), r.IntN(9), r.IntN(7)-3
			most := 1<<w - 8
			if most < 4 {
				shift, most = r.IntN(3)-1, 1<<w-1
			}
			low := max(0, -shift)
			a, b := make([]int64, i+n), make([]int64, j+n)
			code := low
			for k := range n {
				code = min(code+r.IntN(3), most)
				a[i+k], b[j+k] = int64(code), int64(code+shift)
			}
			end := low + r.IntN(most-low+1) + 1
			if end+shift > 1<<w {
				end = 1<<w - shift
			}
			want := 0
			bad := n
			if r.IntN(2) == 0 {
				bad = r.IntN(n)
				b[j+bad] ^= 1
			}
			for want < bad && int(a[i+want]) < end {
				want++
			}
			va, vb := append(appendPacked(nil, a, 0, w), make([]byte, slack)...), append(appendPacked(nil, b, 0, w), make([]byte, slack)...)
			if got := sameShifted(va, i, vb, j, n, w, shift, end); got != want {
				t.Fatalf("width %d, %d codes moved by %d, end %d: %d are equal, want %d", w, n, shift, end, got, want)
			}
		}
	}
}
