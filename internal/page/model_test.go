package page

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
	"pgregory.net/rapid"
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
func genModel(r *rapid.T, t fataler, maxRows int) (*model, func() value.Cell, []func() value.Cell) {
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
	return m, nil, gens
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
		m, _, gens := genModel(r, r, 60)
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
