package page

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// genCell draws cells that make every encoding likely.
func genCell(r *rapid.T, ty value.Type, style int, nullable, long bool) value.Cell {
	if nullable && rapid.IntRange(0, 3).Draw(r, "null") == 0 {
		return value.Null
	}
	switch ty.Phys() {
	case value.Int64:
		switch style % 4 {
		case 0:
			return value.IntCell(rapid.Int64Range(-3, 3).Draw(r, "i"))
		case 1:
			return value.IntCell(rapid.Int64().Draw(r, "i"))
		case 2:
			return value.IntCell(1e12 + rapid.Int64Range(0, 1000).Draw(r, "i"))
		}
		return value.IntCell(rapid.SampledFrom([]int64{math.MinInt64, -1, 0, math.MaxInt64, 1 << 40}).Draw(r, "i"))
	case value.Float64:
		switch style % 4 {
		case 0:
			return value.FloatCell(float64(rapid.IntRange(-99999, 999999).Draw(r, "f")) / 100)
		case 1:
			return value.FloatCell(rapid.Float64().Draw(r, "f"))
		case 2:
			return value.FloatCell(float64(rapid.IntRange(0, 5).Draw(r, "f")))
		}
		return value.FloatCell(rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.NaN(), 1e300, 5e-324, 0.1, 1.0 / 3, 1 << 53}).Draw(r, "f"))
	case value.Float32:
		if style%2 == 0 {
			return value.Float32Cell(float32(rapid.IntRange(-9999, 9999).Draw(r, "g")) / 10)
		}
		return value.Float32Cell(rapid.SampledFrom([]float32{0, float32(math.Copysign(0, -1)), 1e30, 0.1, float32(math.NaN()), float32(math.Inf(-1))}).Draw(r, "g"))
	}
	if long && rapid.IntRange(0, 4).Draw(r, "long") == 0 {
		h := hash.Sum([]byte{byte(rapid.IntRange(0, 5).Draw(r, "addr"))})
		return value.AddrCell(binary.LittleEndian.AppendUint64(h[:], 1000))
	}
	switch style % 5 {
	case 0:
		return value.BytesCell([]byte(rapid.SampledFrom([]string{"", "a", "A", "b", "ab", "aB", "zebra"}).Draw(r, "s")))
	case 1:
		return value.BytesCell([]byte(rapid.StringMatching(`[a-cA-C]{0,3}`).Draw(r, "s")))
	case 2:
		return value.BytesCell(fmt.Appendf(nil, "common prefix %c %05d", 'A'+rapid.IntRange(0, 3).Draw(r, "p"), rapid.IntRange(0, 400).Draw(r, "s")))
	case 3:
		return value.BytesCell(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 0xff, 1, 'x'}), 0, 4).Draw(r, "s"))
	}
	return value.BytesCell(fmt.Appendf(nil, "%036x", uint64(rapid.IntRange(0, 1e9).Draw(r, "s"))*0x9e3779b97f4a7c15))
}

var genTypes = []value.Type{
	{Kind: value.KindInt64},
	{Kind: value.KindInt8},
	{Kind: value.KindFloat64},
	{Kind: value.KindFloat32},
	{Kind: value.KindVarchar, Length: 40, Collation: value.CollationUtf8mb40900Bin},
	{Kind: value.KindVarchar, Length: 40, Collation: value.CollationUtf8mb40900AiCi},
	{Kind: value.KindVarchar, Length: 40, Collation: value.CollationUtf8mb4General},
	{Kind: value.KindVarchar, Length: 40, Collation: value.CollationASCIIGeneral},
	{Kind: value.KindVarchar, Length: 40, Collation: value.CollationASCIIBin},
	{Kind: value.KindVarbinary, Length: 40},
}

// genModel draws a layout and rows.
func genModel(r *rapid.T, t fataler, maxRows int) (*model, []func() value.Cell) {
	ncols := rapid.IntRange(1, 6).Draw(r, "columns")
	nkey := rapid.IntRange(1, min(3, ncols)).Draw(r, "key columns")
	l := Layout{Target: rapid.SampledFrom([]int{0, 256, 4096}).Draw(r, "target")}
	gens := make([]func() value.Cell, ncols)
	perm := rapid.Permutation([]int{0, 1, 2, 3, 4, 5}[:ncols]).Draw(r, "ids")
	for k := range ncols {
		ty := rapid.SampledFrom(genTypes).Draw(r, "type")
		style, nullable := rapid.IntRange(0, 19).Draw(r, "style"), rapid.Bool().Draw(r, "nullable")
		long := k >= nkey && rapid.Bool().Draw(r, "may be long")
		gens[k] = func() value.Cell { return genCell(r, ty, style, nullable, long) }
		c := Column{ID: uint64(perm[k])<<60 + 7, Type: ty}
		if rapid.IntRange(0, 2).Draw(r, "has absent") == 0 {
			c.Absent = gens[k]()
		}
		if rapid.IntRange(0, 4).Draw(r, "constant") == 0 && k >= nkey {
			v := gens[k]()
			gens[k] = func() value.Cell { return v }
			if rapid.Bool().Draw(r, "constant is absent") {
				c.Absent = v
			}
		}
		l.Columns = append(l.Columns, c)
	}
	for k, col := range rapid.Permutation([]int{0, 1, 2}[:nkey]).Draw(r, "key order") {
		kc := KeyColumn{Column: col, Desc: rapid.IntRange(0, 2).Draw(r, "desc") == 0}
		if k == 0 && l.Columns[col].Type.Phys() == value.Bytes && rapid.IntRange(0, 5).Draw(r, "prefix") == 0 {
			kc.Prefix = 2
		}
		l.Key = append(l.Key, kc)
	}
	m := &model{f: newFormat(t, l)}
	var rows []modelRow
	for range rapid.IntRange(0, maxRows).Draw(r, "rows") {
		rows = append(rows, m.row(drawRow(gens)))
	}
	m.setRows(rows)
	return m, gens
}

func drawRow(gens []func() value.Cell) []value.Cell {
	cells := make([]value.Cell, len(gens))
	for k, g := range gens {
		cells[k] = g()
	}
	return cells
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		m, gens := genModel(r, r, 60)
		st := chunk.NewMem()
		data := m.build(r, st, m.rows)
		p := m.open(r, st, data)
		m.check(r, p, m.rows)

		// other rows, of which many are the same
		var rows []modelRow
		for _, row := range m.rows {
			switch rapid.IntRange(0, 5).Draw(r, "change") {
			case 0: // gone
			case 1:
				cells := slices.Clone(row.cells)
				k := rapid.IntRange(0, len(gens)-1).Draw(r, "column")
				cells[k] = gens[k]()
				rows = append(rows, m.row(cells))
			case 2:
				rows = append(rows, row, m.row(drawRow(gens)))
			default:
				rows = append(rows, row)
			}
		}
		other := &model{f: m.f}
		other.setRows(rows)
		data2 := other.build(r, st, other.rows)
		q := other.open(r, st, data2)
		m.checkDiff(r, p, m.rows, 0, len(m.rows), q, other.rows, 0, len(other.rows))
		m.checkDiff(r, q, other.rows, 0, len(other.rows), p, m.rows, 0, len(m.rows))
		m.checkDiff(r, p, m.rows, len(m.rows)/3, len(m.rows), q, other.rows, len(other.rows)/4, len(other.rows))
		m.checkDiff(r, p, m.rows, 0, len(m.rows), p, m.rows, 0, len(m.rows))

		m.checkMix(r, st, p, q, other)
		m.checkPatch(r, st, p, gens)
	})
}

// checkMix builds the other model's rows from stretches of both pages and single rows, and wants the same bytes.
func (m *model) checkMix(r *rapid.T, st *chunk.Mem, p, q *Page, other *model) {
	ctx := context.Background()
	want := other.build(r, st, other.rows)
	b := m.f.NewBuilder()
	for i := 0; i < len(other.rows); {
		row := other.rows[i]
		at, eq := p.Search(row.key)
		from := rapid.IntRange(0, 2).Draw(r, "from")
		n := 1
		switch {
		case from == 0 && eq && bytes.Equal(m.rows[at].tuple, row.tuple):
			for i+n < len(other.rows) && at+n < len(m.rows) && bytes.Equal(m.rows[at+n].tuple, other.rows[i+n].tuple) {
				n++
			}
			if err := b.AddFrom(ctx, p, at, at+n); err != nil {
				r.Fatalf("add from: %v", err)
			}
		case from == 1:
			n = rapid.IntRange(1, len(other.rows)-i).Draw(r, "n")
			if err := b.AddFrom(ctx, q, i, i+n); err != nil {
				r.Fatalf("add from: %v", err)
			}
		default:
			if _, err := b.Add(row.key, row.tuple); err != nil {
				r.Fatalf("add: %v", err)
			}
		}
		i += n
	}
	if got := finish(r, b, st); !bytes.Equal(got, want) {
		r.Fatalf("built from pages:\n%x\nbuilt from rows:\n%x", got, want)
	}
}

// checkPatch changes some rows in place and wants the bytes of a rebuild, or no patch where a weight changes.
func (m *model) checkPatch(r *rapid.T, st *chunk.Mem, p *Page, gens []func() value.Cell) {
	rows := slices.Clone(m.rows)
	var patches []tree.Patch
	for i := range rows {
		if rapid.IntRange(0, 3).Draw(r, "patch") != 0 {
			continue
		}
		cells := slices.Clone(rows[i].cells)
		k := rapid.IntRange(0, len(gens)-1).Draw(r, "column")
		cells[k] = gens[k]()
		if now := m.row(cells); bytes.Equal(now.key, rows[i].key) {
			rows[i] = now
			patches = append(patches, tree.Patch{Index: i, Row: now.tuple})
		}
	}
	got, _, ok, err := m.f.Patch(context.Background(), st, p, patches)
	if err != nil {
		r.Fatalf("patch: %v", err)
	}
	q := m.open(r, st, m.build(r, st, rows))
	before, _ := p.Weights(context.Background(), nil, 0, p.Len())
	after, _ := q.Weights(context.Background(), nil, 0, p.Len())
	if ok != slices.Equal(before, after) {
		r.Fatalf("patched: %v, weights %v and %v", ok, before, after)
	}
	if ok && !bytes.Equal(got, q.data) {
		r.Fatalf("patched:\n%x\nbuilt:\n%x", got, q.data)
	}
}

// TestConcurrent reads one page of several groups from many goroutines, with the scratch of one Format.
func TestConcurrent(t *testing.T) {
	m := wide(t, 120, 64)
	st := chunk.NewMem()
	p := m.open(t, st, m.build(t, st, m.rows))
	for g := range 8 {
		t.Run(fmt.Sprint(g), func(t *testing.T) {
			t.Parallel()
			m.check(t, p, m.rows)
			m.checkDiff(t, p, m.rows, 0, p.n, p, m.rows, g, p.n)
		})
	}
}
