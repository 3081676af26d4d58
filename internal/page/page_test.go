package page

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

var (
	intType   = value.Type{Kind: value.KindInt64}
	floatType = value.Type{Kind: value.KindFloat64}
	textType  = value.Type{Kind: value.KindVarchar, Length: 255, Collation: value.CollationUtf8mb40900Bin}
)

// describe says how a column is encoded.
func (p *Page) describe(t fataler, col int) string {
	t.Helper()
	var s segment
	ok, err := p.segmentOf(context.Background(), &p.f.cols[col], &s)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if !ok {
		return "absent"
	}
	out := map[encoding]string{encInts: "ints", encIntDict: "intdict", encPlain: "plain", encDict: "dict"}[s.enc]
	switch {
	case s.nulls == nullsAll:
		return out + " all-null"
	case s.enc == encInts:
		out += fmt.Sprintf(" w%d", s.width)
	case s.enc == encPlain:
		out += fmt.Sprintf(" store%d", s.store)
	default:
		out += fmt.Sprintf(" d%d %s", s.d, [...]string{"bits", "runs", "ids", "rows"}[s.mode])
		if s.enc == encDict {
			out += fmt.Sprintf(" store%d", s.store)
		}
	}
	if s.form > 0 {
		out += fmt.Sprintf(" scale%d", s.form-1)
	}
	if s.nulls == nullsSome {
		out += " nulls"
	}
	if s.addrs != nil {
		out += " addrs"
	}
	return out
}

func addr(i int) value.Cell {
	h := hash.Sum([]byte{byte(i)})
	return value.AddrCell(binary.LittleEndian.AppendUint64(h[:], uint64(i)))
}

func TestEncodings(t *testing.T) {
	str := func(format string, args ...any) value.Cell { return value.BytesCell(fmt.Appendf(nil, format, args...)) }
	r := rand.New(rand.NewPCG(1, 1))
	negZero := math.Copysign(0, -1)
	tests := []struct {
		name string
		typ  value.Type
		n    int
		cell func(i int) value.Cell
		want string
	}{
		{"constant", intType, 100, func(int) value.Cell { return value.IntCell(7) }, "ints w0"},
		{"serial", intType, 100, func(i int) value.Cell { return value.IntCell(int64(1e15) + int64(i)) }, "ints w7"},
		{"extremes", intType, 100, func(i int) value.Cell { return value.IntCell([]int64{math.MinInt64, math.MaxInt64}[r.IntN(2)]) }, "intdict d2 bits"},
		{"random", intType, 100, func(int) value.Cell { return value.IntCell(int64(r.Uint64())) }, "ints w64"},
		{"56 bits", intType, 100, func(i int) value.Cell { return value.IntCell(int64(r.Uint64()>>8) | int64(i&1)<<55) }, "ints w56"},
		{"long runs", intType, 1000, func(i int) value.Cell { return value.IntCell(int64(i/100) * 1e9) }, "intdict d10 ids"},
		{"runs back and forth", intType, 1000, func(i int) value.Cell { return value.IntCell(int64(i/100%3) * 1e9) }, "intdict d3 runs"},
		{"some nulls", intType, 100, func(i int) value.Cell {
			if i%3 == 0 {
				return value.Null
			}
			return value.IntCell(1000000 + int64(i))
		}, "ints w7 nulls"},
		{"all null", intType, 100, func(int) value.Cell { return value.Null }, "ints all-null"},
		{"prices", floatType, 100, func(i int) value.Cell { return value.FloatCell(float64(r.IntN(1e6)) / 100) }, "ints w20 scale2"},
		{"whole", floatType, 100, func(i int) value.Cell { return value.FloatCell(float64(i)) }, "ints w7 scale0"},
		{"random floats", floatType, 100, func(i int) value.Cell { return value.FloatCell(r.NormFloat64()) }, "ints w64"},
		{"minus zero", floatType, 100, func(i int) value.Cell { return value.FloatCell([]float64{0, negZero}[i&1]) }, "intdict d2 bits"},
		{"one NaN", floatType, 100, func(i int) value.Cell { return value.FloatCell([]float64{0.25, math.NaN()}[i/99]) }, "intdict d2 ids"},
		{"tenths", value.Type{Kind: value.KindFloat32}, 100, func(i int) value.Cell { return value.Float32Cell(float32(r.IntN(1000)) / 10) }, "ints w10 scale1"},
		{"infinities", value.Type{Kind: value.KindFloat32}, 64, func(i int) value.Cell { return value.Float32Cell(float32(math.Inf(1 - i&1*2))) }, "intdict d2 bits"},
		{"few names", textType, 100, func(i int) value.Cell { return str("name %d", r.IntN(5)) }, "dict d5 bits store3"},
		{"one name", textType, 100, func(i int) value.Cell { return str("a name") }, "dict d1 bits store0"},
		{"empty", textType, 100, func(i int) value.Cell { return str("") }, "plain store0"},
		{"empty and null", textType, 100, func(i int) value.Cell {
			if i%2 == 0 {
				return value.Null
			}
			return str("")
		}, "dict d1 bits store0 nulls"},
		{"sorted codes", textType, 400, func(i int) value.Cell { return str("HCPCS %05d", i*7/2) }, "dict d400 rows store3"},
		{"ragged names", textType, 100, func(i int) value.Cell { return str("%s", strings.Repeat("ab", r.IntN(8))) }, "dict d8 bits store3"},
		{"digests", textType, 100, func(i int) value.Cell { return str("%x", hash.Sum([]byte{byte(i)})) }, "plain store0"},
		{"random texts", textType, 100, func(i int) value.Cell { return str("%x", bytes.Repeat([]byte{byte(r.Uint32())}, 1+i%40)) }, "dict d99 bits store3"},
		{"long texts", textType, 700, func(i int) value.Cell {
			h := hash.Sum([]byte{byte(i), byte(i >> 8)})
			return value.BytesCell(slices.Concat(h[:], h[:], h[:], h[:i%32]))
		}, "plain store2"},
		{"large dictionary", textType, 2000, func(i int) value.Cell {
			h := hash.Sum([]byte{byte(i / 2), byte(i >> 9)})
			return value.BytesCell(slices.Concat(h[:], h[:], h[:], h[:i/2%32]))
		}, "dict d1000 bits store2"},
		{"large front-coded dictionary", textType, 700, func(i int) value.Cell {
			h := hash.Sum([]byte{byte(i), byte(i >> 8)})
			return value.BytesCell(slices.Concat(bytes.Repeat([]byte("p"), 300), h[:], h[:], h[:], h[:i%32]))
		}, "dict d700 bits store4"},
		{"addresses", textType, 100, func(i int) value.Cell { return addr(i % 3) }, "dict d3 bits store0 addrs"},
		{"address or its bytes", textType, 100, func(i int) value.Cell {
			if i%2 == 0 {
				return addr(1)
			}
			return value.BytesCell(addr(1).Bytes())
		}, "dict d1 bits store0 addrs"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			absent := value.Null
			if strings.Contains(tt.name, "null") {
				absent = map[value.Phys]value.Cell{value.Int64: value.IntCell(1 << 50), value.Bytes: value.BytesCell([]byte("?"))}[tt.typ.Phys()]
			}
			m := &model{f: newFormat(t, Layout{Columns: []Column{{ID: 1, Type: intType}, {ID: 2, Type: tt.typ, Absent: absent}}, Key: []KeyColumn{{Column: 0}}})}
			for i := range tt.n {
				m.rows = append(m.rows, m.row([]value.Cell{value.IntCell(int64(i)), tt.cell(i)}))
			}
			st := chunk.NewMem()
			p := m.open(t, st, m.build(t, st, m.rows))
			m.check(t, p, m.rows)
			if got := p.describe(t, 1); got != tt.want {
				t.Errorf("encoded as %q, want %q", got, tt.want)
			}
			rebuilt := m.f.NewBuilder()
			for i := 0; i < tt.n; i += 37 {
				if err := rebuilt.AddFrom(context.Background(), p, i, min(i+37, tt.n)); err != nil {
					t.Fatal(err)
				}
			}
			if got := finish(t, rebuilt, st); !bytes.Equal(got, p.data) {
				t.Error("built from itself the page differs")
			}
		})
	}
}

func TestNewFormatRefuses(t *testing.T) {
	for name, l := range map[string]Layout{
		"small target":  {Target: 100},
		"large target":  {Target: 1 << 30},
		"equal ids":     {Columns: []Column{{ID: 1, Type: intType}, {ID: 1, Type: intType}}},
		"no such key":   {Columns: []Column{{ID: 1, Type: intType}}, Key: []KeyColumn{{Column: 1}}},
		"a key twice":   {Columns: []Column{{ID: 1, Type: intType}}, Key: []KeyColumn{{Column: 0}, {Column: 0}}},
		"a key below 0": {Columns: []Column{{ID: 1, Type: intType}}, Key: []KeyColumn{{Column: -1}}},
	} {
		if _, err := NewFormat(l); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAddRefuses(t *testing.T) {
	f := newFormat(t, Layout{Columns: []Column{{ID: 1, Type: intType}, {ID: 2, Type: floatType}, {ID: 3, Type: value.Type{Kind: value.KindFloat32}}, {ID: 4, Type: textType}}})
	good := value.AppendTuple(nil, f.phys, []value.Cell{value.IntCell(1000), value.FloatCell(1), value.Float32Cell(2), value.BytesCell([]byte("abc"))})
	for n := range good {
		if _, err := f.NewBuilder().Add(nil, good[:n]); !errs.Is(err, errs.Corrupt) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := f.NewBuilder().Add(nil, append(good, 0)); !errs.Is(err, errs.Corrupt) {
		t.Errorf("trailing byte: %v", err)
	}
	bad := value.AppendTuple(nil, f.phys, []value.Cell{value.Null, value.Null, value.Null, value.AddrCell([]byte("short"))})
	if _, err := f.NewBuilder().Add(nil, bad); !errs.Is(err, errs.Corrupt) {
		t.Errorf("short address: %v", err)
	}
}

// wide is a table of many columns of many kinds.
func wide(t fataler, ncols, nrows int) *model {
	l := Layout{Key: []KeyColumn{{Column: 2}}}
	for k := range ncols {
		l.Columns = append(l.Columns, Column{ID: uint64(k) * 0x9e3779b97f4a7c15, Type: []value.Type{floatType, textType, intType}[k%3]})
	}
	m := &model{f: newFormat(t, l)}
	r := rand.New(rand.NewPCG(5, 6))
	for i := range nrows {
		cells := make([]value.Cell, ncols)
		for k := range cells {
			switch {
			case k == 2:
				cells[k] = value.IntCell(int64(i))
			case k%7 == 0 && i%3 == 0:
				cells[k] = value.Null
			case k%3 == 0:
				cells[k] = value.FloatCell(r.NormFloat64())
			case k%3 == 1:
				cells[k] = value.BytesCell(fmt.Appendf(nil, "%d-%d", k, r.Uint32()>>(k%32)))
			default:
				cells[k] = value.IntCell(int64(r.Uint64() >> (k % 64)))
			}
		}
		m.rows = append(m.rows, m.row(cells))
	}
	return m
}

func TestWide(t *testing.T) {
	m := wide(t, 500, 64)
	st := chunk.NewMem()
	p := m.open(t, st, m.build(t, st, m.rows))
	if p.ngroups < 2 || len(p.data) > inlineMax+p.ngroups*groupEntry {
		t.Fatalf("%d groups, %d bytes inline", p.ngroups, len(p.data))
	}
	for g := range p.ngroups {
		if _, size := p.groupAt(g); size > groupMax+2048 || g < p.ngroups-1 && size < groupMax {
			t.Errorf("group %d has %d bytes", g, size)
		}
	}
	if p.find(&m.f.cols[2]) < 0 || p.inline(first(p.loc(p.find(&m.f.cols[2])))) == nil {
		t.Error("the key column is not inline")
	}
	for i, r := range m.rows {
		got, err := p.AppendRow(context.Background(), nil, i)
		if err != nil || !bytes.Equal(got, r.tuple) {
			t.Fatalf("row %d differs (%v)", i, err)
		}
	}
	var groups int
	err := p.Refs(context.Background(), func(r tree.Ref) error {
		if ok, _ := st.Has(context.Background(), r.Hash); !ok || r.Blob {
			t.Errorf("ref %s blob %v", r.Hash, r.Blob)
		}
		groups++
		return nil
	})
	if err != nil || groups != p.ngroups || p.Flags() != tree.FlagRefs {
		t.Errorf("%d refs (%v), want %d", groups, err, p.ngroups)
	}
}

func first(off, _ int, _ bool) int { return off }

// counter counts what goes through a store.
type counter struct {
	*chunk.Mem
	gets, puts int
}

func (c *counter) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	c.gets++
	return c.Mem.Get(ctx, h)
}

func (c *counter) Put(ctx context.Context, d []byte) (hash.Hash, error) {
	c.puts++
	return c.Mem.Put(ctx, d)
}

func TestPatchTouchesOneGroup(t *testing.T) {
	m := wide(t, 300, 64)
	st := chunk.NewMem()
	data := m.build(t, st, m.rows)
	for _, col := range []int{0, 1, 150, 298} {
		c := &counter{Mem: st}
		p, err := m.f.OpenPage(c, data)
		if err != nil {
			t.Fatal(err)
		}
		rows := slices.Clone(m.rows)
		cells := slices.Clone(rows[7].cells)
		switch m.f.phys[col] {
		case value.Float64:
			cells[col] = value.FloatCell(math.Pi)
		default:
			b := slices.Clone(cells[col].Bytes())
			b[len(b)-1] ^= 1
			cells[col] = value.BytesCell(b)
		}
		rows[7] = m.row(cells)
		// the weights of all columns of the row are read, hence all groups; count what is written
		got, _, ok, err := m.f.Patch(context.Background(), c, p, []tree.Patch{{Index: 7, Row: rows[7].tuple}})
		if err != nil || !ok {
			t.Fatalf("column %d: %v %v", col, ok, err)
		}
		if c.puts > 1 {
			t.Errorf("column %d: %d groups written", col, c.puts)
		}
		if want := m.build(t, st, rows); !bytes.Equal(got, want) {
			t.Errorf("column %d: patch and rebuild differ", col)
		}
		q := m.open(t, st, got)
		n := 0
		err = m.f.Diff(context.Background(), p, 0, p.n, q, 0, q.n, func(i, j int) error {
			if n++; i != 7 || j != 7 {
				t.Errorf("column %d: diff gives %d %d", col, i, j)
			}
			return nil
		})
		if err != nil || n != 1 {
			t.Errorf("column %d: %d differences (%v)", col, n, err)
		}
	}
}

func TestDiffReadsOnlyGroupsThatDiffer(t *testing.T) {
	m := wide(t, 300, 64)
	st := chunk.NewMem()
	rows := slices.Clone(m.rows)
	cells := slices.Clone(rows[7].cells)
	cells[0] = value.FloatCell(math.Pi)
	rows[7] = m.row(cells)
	c := &counter{Mem: st}
	p, _ := m.f.OpenPage(c, m.build(t, st, m.rows))
	q, _ := m.f.OpenPage(c, m.build(t, st, rows))
	n := 0
	err := m.f.Diff(context.Background(), p, 0, p.n, q, 0, q.n, func(i, j int) error { n++; return nil })
	if err != nil || n != 1 || c.gets != 2 {
		t.Errorf("%d differences (%v), %d groups of %d read", n, err, c.gets, p.ngroups)
	}
}

// TestColumnsComeAndGo reads pages with layouts that are not theirs.
func TestColumnsComeAndGo(t *testing.T) {
	cols := []Column{{ID: 10, Type: intType}, {ID: 20, Type: textType}, {ID: 5, Type: floatType, Absent: value.FloatCell(2.5)}, {ID: 15, Type: textType, Absent: value.BytesCell([]byte("new"))}}
	key := []KeyColumn{{Column: 0}}
	old := &model{f: newFormat(t, Layout{Columns: cols[:2], Key: key})}
	now := &model{f: newFormat(t, Layout{Columns: cols, Key: key})}
	dropped := &model{f: newFormat(t, Layout{Columns: []Column{cols[0], cols[2]}, Key: key})}
	for i := range 50 {
		a := []value.Cell{value.IntCell(int64(i)), value.BytesCell(fmt.Appendf(nil, "v%d", i%4))}
		old.rows = append(old.rows, old.row(a))
		now.rows = append(now.rows, now.row(append(slices.Clone(a), cols[2].Absent, cols[3].Absent)))
		dropped.rows = append(dropped.rows, dropped.row([]value.Cell{a[0], cols[2].Absent}))
	}
	st := chunk.NewMem()
	data := old.build(t, st, old.rows)
	if fresh := now.build(t, st, now.rows); !bytes.Equal(fresh, data) {
		t.Error("columns that are all absent change the page")
	}
	now.check(t, now.open(t, st, data), now.rows)
	p := dropped.open(t, st, data)
	dropped.check(t, p, dropped.rows)
	b := dropped.f.NewBuilder()
	if err := b.AddFrom(context.Background(), p, 0, p.n); err != nil {
		t.Fatal(err)
	}
	if got := finish(t, b, st); !bytes.Equal(got, dropped.build(t, st, dropped.rows)) {
		t.Error("a fold does not drop the column")
	}
	got, _, ok, err := dropped.f.Patch(context.Background(), st, p, nil)
	if err != nil || !ok || !bytes.Equal(got, dropped.build(t, st, dropped.rows)) {
		t.Errorf("a patch does not drop the column: %v %v", ok, err)
	}
}

func TestEmptyPage(t *testing.T) {
	m := &model{f: newFormat(t, Layout{Columns: []Column{{ID: 1, Type: intType}}, Key: []KeyColumn{{Column: 0}}})}
	st := chunk.NewMem()
	p := m.open(t, st, m.build(t, st, nil))
	m.check(t, p, nil)
	if i, ok := p.Search([]byte{1, 2, 3}); i != 0 || ok {
		t.Errorf("search: %d %v", i, ok)
	}
}

func TestOpenRefuses(t *testing.T) {
	m := prices(t, 100)
	st := chunk.NewMem()
	data := m.build(t, st, m.rows)
	change := func(at int, b byte) []byte {
		d := slices.Clone(data)
		d[at] = b
		return d
	}
	for name, tt := range map[string]struct {
		data []byte
		code errs.Code
	}{
		"nothing":      {nil, errs.Corrupt},
		"cut":          {data[:len(data)-1], errs.Corrupt},
		"longer":       {append(slices.Clone(data), 0), errs.Corrupt},
		"kind":         {change(0, 2), errs.Corrupt},
		"newer":        {change(1, 3), errs.TooNew},
		"older":        {change(1, 1), errs.Unsupported},
		"many columns": {change(3, 0xff), errs.Corrupt},
		"many groups":  {change(13, 0xff), errs.Corrupt},
		"many rows":    {change(7, 0x80), errs.Corrupt},
	} {
		if _, err := m.f.Open(st, tt.data); errs.CodeOf(err) != tt.code || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWeights(t *testing.T) {
	f := newFormat(t, Layout{Target: 64 * 250, Columns: []Column{
		{ID: 1, Type: value.Type{Kind: value.KindInt16}},
		{ID: 2, Type: textType, Absent: value.BytesCell([]byte("none"))},
		{ID: 3, Type: floatType, Absent: value.FloatCell(0)},
	}})
	null, i, none, zero := value.Null, value.IntCell(3), value.BytesCell([]byte("none")), value.FloatCell(0)
	for _, tt := range []struct {
		cells []value.Cell
		want  int
	}{
		{[]value.Cell{null, none, zero}, 4},
		{[]value.Cell{i, none, zero}, 6},
		{[]value.Cell{null, null, zero}, 5},
		{[]value.Cell{null, value.BytesCell(nil), zero}, 6},
		{[]value.Cell{null, value.BytesCell([]byte("abc")), zero}, 9},
		{[]value.Cell{null, addr(1), zero}, 196},
		{[]value.Cell{null, none, value.FloatCell(math.Copysign(0, -1))}, 12},
		{[]value.Cell{null, none, null}, 5},
		{[]value.Cell{i, value.BytesCell(make([]byte, 500)), null}, 250},
	} {
		if got, err := f.NewBuilder().Add(nil, value.AppendTuple(nil, f.phys, tt.cells)); err != nil || got != tt.want {
			t.Errorf("%v weighs %d (%v), want %d", tt.cells, got, err, tt.want)
		}
	}
}
