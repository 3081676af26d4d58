package page

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// modelRow is a row of the model: its cells and what follows from them.
type modelRow struct {
	cells []value.Cell
	key   []byte
	tuple []byte
}

// model is a layout with rows in key order, against which pages are checked.
type model struct {
	f    *Format
	rows []modelRow
}

func (m *model) row(cells []value.Cell) modelRow {
	r := modelRow{cells: cells, tuple: value.AppendTuple(nil, m.f.phys, cells)}
	for _, k := range m.f.key {
		r.key = value.AppendKeyPart(r.key, &k.part, cells[k.col])
	}
	return r
}

// setRows sorts rows by key and drops those with equal keys.
func (m *model) setRows(rows []modelRow) {
	slices.SortStableFunc(rows, func(a, b modelRow) int { return bytes.Compare(a.key, b.key) })
	m.rows = slices.CompactFunc(rows, func(a, b modelRow) bool { return bytes.Equal(a.key, b.key) })
}

type fataler interface {
	Helper()
	Fatalf(string, ...any)
}

func newFormat(t fataler, l Layout) *Format {
	t.Helper()
	f, err := NewFormat(l)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return f
}

// build makes a page of rows by Add.
func (m *model) build(t fataler, st *chunk.Mem, rows []modelRow) []byte {
	t.Helper()
	b := m.f.NewBuilder()
	for _, r := range rows {
		if _, err := b.Add(r.key, r.tuple); err != nil {
			t.Fatalf("add: %v", err)
		}
	}
	return finish(t, b, st)
}

func finish(t fataler, b tree.LeafBuilder, st *chunk.Mem) []byte {
	t.Helper()
	data, flags, err := b.Finish(context.Background(), st)
	if err != nil {
		t.Fatalf("finish: %v", err)
	}
	if refs := data[14]&headRefs != 0; refs != (flags == tree.FlagRefs) {
		t.Fatalf("flags %v do not fit the header", flags)
	}
	return data
}

func (m *model) open(t fataler, st *chunk.Mem, data []byte) *Page {
	t.Helper()
	p, err := m.f.OpenPage(st, slices.Clip(slices.Clone(data)))
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return p
}

// check compares everything that a page tells with the rows.
func (m *model) check(t fataler, p *Page, rows []modelRow) {
	t.Helper()
	ctx := context.Background()
	if p.Len() != len(rows) {
		t.Fatalf("len %d, want %d", p.Len(), len(rows))
	}
	b := m.f.NewBuilder()
	var want []int32
	for i, r := range rows {
		w, err := b.Add(r.key, r.tuple)
		if err != nil {
			t.Fatalf("add: %v", err)
		}
		want = append(want, int32(w))
		if got := p.AppendKey(nil, i); !bytes.Equal(got, r.key) {
			t.Fatalf("row %d: key %x, want %x", i, got, r.key)
		}
		got, err := p.AppendRow(ctx, []byte("x"), i)
		if err != nil || !bytes.Equal(got[1:], r.tuple) {
			t.Fatalf("row %d: tuple %x (%v), want %x", i, got[1:], err, r.tuple)
		}
		for k := range r.cells {
			c, err := p.Cell(ctx, k, i)
			if err != nil || !c.Equal(r.cells[k]) {
				t.Fatalf("row %d column %d: %v (%v), want %v", i, k, c, err, r.cells[k])
			}
		}
		cells := make([]value.Cell, len(r.cells))
		if err := p.Row(ctx, r.key, i, cells); err != nil {
			t.Fatalf("row %d: %v", i, err)
		}
		for k := range cells {
			if !cells[k].Equal(r.cells[k]) {
				t.Fatalf("row %d column %d by key: %v, want %v", i, k, cells[k], r.cells[k])
			}
		}
		m.checkSearch(t, p, rows, r.key)
	}
	got, err := p.Weights(ctx, nil, 0, len(rows))
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("weights %v (%v), want %v", got, err, want)
	}
	if n := len(rows); n > 2 {
		if got, err := p.Weights(ctx, nil, 1, n-1); err != nil || !slices.Equal(got, want[1:n-1]) {
			t.Fatalf("weights of a range %v (%v), want %v", got, err, want[1:n-1])
		}
	}
	m.checkKeys(t, p, rows, 0, len(rows))
	if len(rows) > 2 {
		m.checkKeys(t, p, rows, 1, len(rows)-1)
	}
	m.checkRefs(t, p, rows)
	m.checkVectors(t, p, rows, 0, len(rows))
	if len(rows) > 3 {
		m.checkVectors(t, p, rows, 1, len(rows)-2)
	}
}

// checkSearch looks for a key and for keys near it.
func (m *model) checkSearch(t fataler, p *Page, rows []modelRow, key []byte) {
	t.Helper()
	probes := [][]byte{key, append(slices.Clone(key), 0), nil}
	for cut := 0; cut < len(key); cut += 1 + len(key)/5 {
		probes = append(probes, key[:cut])
		c := slices.Clone(key)
		c[cut]++
		probes = append(probes, c, append(slices.Clone(key[:cut]), 0xff))
		c = slices.Clone(key)
		c[cut]--
		probes = append(probes, c)
	}
	rest := key
	for k := range m.f.key { // whole parts
		n := value.KeyPartLen(rest, &m.f.key[k].part)
		rest = rest[n:]
		probes = append(probes, key[:len(key)-len(rest)])
	}
	for _, k := range probes {
		want, eq := slices.BinarySearchFunc(rows, k, func(r modelRow, k []byte) int { return bytes.Compare(r.key, k) })
		if got, ok := p.Search(k); got != want || ok != eq {
			t.Fatalf("search %x: %d %v, want %d %v", k, got, ok, want, eq)
		}
	}
}

func (m *model) checkRefs(t fataler, p *Page, rows []modelRow) {
	t.Helper()
	want, got := map[hash.Hash]bool{}, map[hash.Hash]bool{}
	for _, r := range rows {
		for k, c := range r.cells {
			if c.IsAddr() && p.find(&m.f.cols[k]) >= 0 {
				want[hash.Hash(c.Bytes()[:hash.Size])] = true
			}
		}
	}
	err := p.Refs(context.Background(), func(r tree.Ref) error {
		if r.Blob {
			got[r.Hash] = true
		}
		return nil
	})
	if err != nil || len(got) != len(want) {
		t.Fatalf("refs %v (%v), want %v", got, err, want)
	}
	for h := range want {
		if !got[h] {
			t.Fatalf("refs lack %s", h)
		}
	}
}

// checkVectors reads rows [lo,hi) column by column.
func (m *model) checkVectors(t fataler, p *Page, rows []modelRow, lo, hi int) {
	t.Helper()
	ctx := context.Background()
	n := hi - lo
	for k := range m.f.cols {
		nulls := make([]bool, n)
		count, err := p.Nulls(ctx, k, lo, hi, nulls)
		if err != nil {
			t.Fatalf("nulls: %v", err)
		}
		if c, err := p.NullCount(ctx, k, lo, hi); err != nil || c != count {
			t.Fatalf("null count %d (%v), want %d", c, err, count)
		}
		var bits []uint64
		for i := lo; i < hi; i++ {
			c := rows[i].cells[k]
			if c.IsNull() != nulls[i-lo] {
				t.Fatalf("column %d row %d: null %v", k, i, nulls[i-lo])
			}
			if c.IsNull() {
				count--
			}
			bits = append(bits, c.Bits())
		}
		if count != 0 {
			t.Fatalf("column %d: null count is off by %d", k, count)
		}
		got := make([]uint64, n)
		switch m.f.phys[k] {
		case value.Int64:
			v := make([]int64, n)
			err = p.Ints(ctx, k, lo, hi, v)
			for i := range v {
				got[i] = uint64(v[i])
			}
			m.checkIntKernels(t, p, k, rows, lo, hi)
		case value.Float64:
			v := make([]float64, n)
			err = p.Floats(ctx, k, lo, hi, v)
			for i := range v {
				got[i] = math.Float64bits(v[i])
			}
			m.checkFloatKernels(t, p, k, rows, lo, hi)
		case value.Float32:
			v := make([]float32, n)
			err = p.Float32s(ctx, k, lo, hi, v)
			for i := range v {
				got[i] = uint64(math.Float32bits(v[i]))
			}
		case value.Bytes:
			m.checkStrings(t, p, k, rows, lo, hi)
			continue
		}
		if err != nil {
			t.Fatalf("column %d: %v", k, err)
		}
		for i := range got {
			if !nulls[i] && got[i] != bits[i] {
				t.Fatalf("column %d row %d: bits %x, want %x", k, lo+i, got[i], bits[i])
			}
		}
	}
}

func (m *model) checkStrings(t fataler, p *Page, k int, rows []modelRow, lo, hi int) {
	t.Helper()
	ctx := context.Background()
	var s Strings
	if err := p.Bytes(ctx, k, 0, min(1, lo), &s); err != nil { // something in front
		t.Fatalf("bytes: %v", err)
	}
	at := s.Len()
	if err := p.Bytes(ctx, k, lo, hi, &s); err != nil {
		t.Fatalf("bytes: %v", err)
	}
	for i := lo; i < hi; i++ {
		c := rows[i].cells[k]
		if got := s.At(at + i - lo); !bytes.Equal(got, c.Bytes()) {
			t.Fatalf("column %d row %d: %q, want %q", k, i, got, c.Bytes())
		}
		if slices.Contains(s.Addrs, at+i-lo) != c.IsAddr() {
			t.Fatalf("column %d row %d: address lost", k, i)
		}
	}
	var d Dict
	ok, err := p.Dict(ctx, k, lo, hi, &d)
	if err != nil {
		t.Fatalf("dict: %v", err)
	}
	for i := lo; ok && i < hi; i++ {
		if c := rows[i].cells[k]; !c.IsNull() && !bytes.Equal(d.At(int(d.Codes[i-lo])), c.Bytes()) {
			t.Fatalf("column %d row %d: dictionary has %q, want %q", k, i, d.At(int(d.Codes[i-lo])), c.Bytes())
		}
	}
}

func (m *model) checkIntKernels(t fataler, p *Page, k int, rows []modelRow, lo, hi int) {
	t.Helper()
	var want Sum128
	least, most, n := int64(math.MaxInt64), int64(math.MinInt64), 0
	for _, r := range rows[lo:hi] {
		if c := r.cells[k]; !c.IsNull() {
			want.addInt(c.Int())
			least, most = min(least, c.Int()), max(most, c.Int())
			n++
		}
	}
	sum, count, err := p.SumInts(context.Background(), k, lo, hi)
	if err != nil || sum != want || count != n {
		t.Fatalf("column %d: sum %v of %d (%v), want %v of %d", k, sum, count, err, want, n)
	}
	a, b, count, err := p.MinMaxInts(context.Background(), k, lo, hi)
	if err != nil || count != n || n > 0 && (a != least || b != most) {
		t.Fatalf("column %d: range %d %d of %d (%v), want %d %d of %d", k, a, b, count, err, least, most, n)
	}
}

func (m *model) checkFloatKernels(t fataler, p *Page, k int, rows []modelRow, lo, hi int) {
	t.Helper()
	want, size, n := 0.0, 0.0, 0
	least, most := math.Inf(1), math.Inf(-1)
	for _, r := range rows[lo:hi] {
		if c := r.cells[k]; !c.IsNull() {
			want += c.Float()
			size += math.Abs(c.Float())
			if !math.IsNaN(c.Float()) {
				least, most = min(least, c.Float()), max(most, c.Float())
			}
			n++
		}
	}
	sum, count, err := p.SumFloats(context.Background(), k, lo, hi)
	near := math.Abs(sum-want) <= 1e-9*size || math.IsNaN(want) || math.IsInf(size, 0)
	if err != nil || !near || count != n {
		t.Fatalf("column %d: sum %v of %d (%v), want %v of %d", k, sum, count, err, want, n)
	}
	a, b, count, err := p.MinMaxFloats(context.Background(), k, lo, hi)
	if err != nil || count != n || n > 0 && (a != least || b != most) {
		t.Fatalf("column %d: range %v %v of %d (%v), want %v %v of %d", k, a, b, count, err, least, most, n)
	}
}

// checkDiff compares Diff with a merge of the models.
func (m *model) checkDiff(t fataler, a *Page, ra []modelRow, alo, ahi int, b *Page, rb []modelRow, blo, bhi int) {
	t.Helper()
	var want, got []string
	i, j := alo, blo
	for i < ahi || j < bhi {
		c := 0
		switch {
		case i == ahi:
			c = 1
		case j == bhi:
			c = -1
		default:
			c = bytes.Compare(ra[i].key, rb[j].key)
		}
		switch {
		case c < 0:
			want = append(want, fmt.Sprint(i, -1))
			i++
		case c > 0:
			want = append(want, fmt.Sprint(-1, j))
			j++
		default:
			if !bytes.Equal(ra[i].tuple, rb[j].tuple) {
				want = append(want, fmt.Sprint(i, j))
			}
			i++
			j++
		}
	}
	err := m.f.Diff(context.Background(), a, alo, ahi, b, blo, bhi, func(i, j int) error {
		got = append(got, fmt.Sprint(i, j))
		return nil
	})
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("diff %q (%v), want %q", got, err, want)
	}
}

// checkKeys compares the keys of rows [lo,hi), read together, with the rows'.
func (m *model) checkKeys(t fataler, p *Page, rows []modelRow, lo, hi int) {
	t.Helper()
	keys, ends := p.AppendKeys([]byte("x"), []int{1}, lo, hi)
	if len(ends) != 1+hi-lo || ends[len(ends)-1] != len(keys) {
		t.Fatalf("keys end at %v of %d bytes", ends, len(keys))
	}
	for i, r := range rows[lo:hi] {
		if got := keys[ends[i]:ends[i+1]]; !bytes.Equal(got, r.key) {
			t.Fatalf("row %d: key %x among others, want %x", lo+i, got, r.key)
		}
	}
}
