package table_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// drawPartBound is a bound of a ZoneFilter: none, or about where the key parts of drawn cells are, whole, cut or followed by more.
func drawPartBound(t *rapid.T, c *schema.Column, p *value.KeyPart, label string) []byte {
	b := value.AppendKeyPart(nil, p, drawCell(t, c, label))
	switch rapid.IntRange(0, 6).Draw(t, label+" form") {
	case 0:
		return nil
	case 1:
		return b[:rapid.IntRange(0, len(b)).Draw(t, label+" cut")]
	case 2:
		return append(b, 0)
	case 3:
		return value.PrefixEnd(b)
	}
	return b
}

// drawZones is some filters and whether a row passes them.
func drawZones(t *rapid.T, s *schema.Compiled) (filters []table.ZoneFilter, pass func(row []value.Cell) bool) {
	shift := len(s.Primary.Phys) - len(s.Columns)
	var parts []value.KeyPart
	for range rapid.IntRange(1, 2).Draw(t, "filters") {
		c := rapid.IntRange(0, len(s.Columns)-1).Draw(t, "column")
		p := value.KeyPart{Type: s.Columns[c].Type}
		parts = append(parts, p)
		filters = append(filters, table.ZoneFilter{
			Column: c + shift, Lo: drawPartBound(t, &s.Columns[c], &p, "lo"), Hi: drawPartBound(t, &s.Columns[c], &p, "hi"),
		})
	}
	return filters, func(row []value.Cell) bool {
		for i, f := range filters {
			part := string(value.AppendKeyPart(nil, &parts[i], row[f.Column]))
			if part < string(f.Lo) || f.Hi != nil && part >= string(f.Hi) {
				return false
			}
		}
		return true
	}
}

// checkZones compares a scan with filters with the model: it gives rows of the model in order, and all that pass.
func checkZones(t *rapid.T, v *table.View, m *model) {
	t.Helper()
	filters, pass := drawZones(t, m.s)
	opt := table.ScanOptions{Rows: table.RowsTree, Zones: filters, Reverse: rapid.Bool().Draw(t, "reverse")}
	got := scan(t, v, opt, m.rows)
	want := m.keys()
	if opt.Reverse {
		slices.Reverse(want)
	}
	for _, k := range want {
		switch {
		case len(got) > 0 && got[0] == k:
			got = got[1:]
		case pass(m.rows[k]):
			t.Fatalf("a scan with filters %x leaves out row %x", filters, k)
		}
	}
	if len(got) > 0 {
		t.Fatalf("a scan gives row %x out of order, twice or of nowhere", got[0])
	}
}

// All tables share the zones, as those of a database do.
func TestZonesAgainstModel(t *testing.T) {
	fs := vfs.NewMem()
	z := table.OpenZones(fs, "/zones", false)
	eachSample(t, func(t *rapid.T, s *schema.Compiled) {
		if rapid.IntRange(0, 4).Draw(t, "reopen") == 0 {
			z.Close()
			z = table.OpenZones(fs, "/zones", false)
		}
		st := chunk.NewMem()
		m := &model{s: s, rows: map[string][]value.Cell{}}
		v := table.NewView(st, m.drawBase(t, st), nil).WithZones(z)
		for range 4 {
			checkZones(t, v, m)
		}
		e := table.NewEditor(st, v)
		for range rapid.IntRange(0, 12).Draw(t, "edits") {
			step(t, e, m)
		}
		for range 4 {
			checkZones(t, e.Freeze(), m)
		}
		v = table.NewView(st, fold(t, st, e.View(), m), nil).WithZones(z)
		for range 4 {
			checkZones(t, v, m)
		}
	})
}

// counter counts the chunks that are read.
type counter struct {
	chunk.Reader
	n int
}

func (c *counter) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	c.n++
	return c.Reader.Get(ctx, h)
}

// clustered is a table whose column ts rises with its key.
func clustered(t *testing.T, n int) (*model, *counter, *table.Table) {
	s := newSchema(t, 512, "id int\nts int null\nprimary id")
	m := &model{s: s, rows: map[string][]value.Cell{}}
	for i := range n {
		row := []value.Cell{value.IntCell(int64(i)), value.IntCell(int64(1_000_000 + 10*i))}
		m.rows[m.key(row)] = row
	}
	st := chunk.NewMem()
	return m, &counter{Reader: st}, m.load(t, st)
}

func between(lo, hi int64) []table.ZoneFilter {
	p := value.KeyPart{Type: value.Type{Kind: value.KindInt64}}
	return []table.ZoneFilter{{Column: 1, Lo: value.AppendKeyPart(nil, &p, value.IntCell(lo)), Hi: value.AppendKeyPart(nil, &p, value.IntCell(hi))}}
}

// reads is the chunks that a scan with those filters reads, and the rows that it gives.
func reads(t *testing.T, c *counter, v *table.View, filters []table.ZoneFilter) (chunks, rows int) {
	t.Helper()
	c.n = 0
	rows = len(scan(t, v, table.ScanOptions{Rows: table.RowsTree, Zones: filters}, nil))
	return c.n, rows
}

func TestZonesSkip(t *testing.T) {
	const n = 4000
	_, c, tab := clustered(t, n)
	fs := vfs.NewMem()
	z := table.OpenZones(fs, "/zones", false)
	v := table.NewView(c, tab, nil).WithZones(z)
	all, rows := reads(t, c, v, nil)
	if rows != n {
		t.Fatalf("%d rows", rows)
	}
	// The first query reads every leaf, but gives only rows of those that may have some.
	first, some := reads(t, c, v, between(1_020_000, 1_020_500))
	if first != all || some < 50 || some > n/10 {
		t.Errorf("the first query reads %d of %d chunks and gives %d rows", first, all, some)
	}
	second, again := reads(t, c, v, between(1_020_000, 1_020_500))
	if second > all/3 || again != some {
		t.Errorf("the second query reads %d of %d chunks and gives %d rows, the first %d", second, all, again, some)
	}
	if got, rows := reads(t, c, v, between(5, 10)); got > second || rows != 0 {
		t.Errorf("a query for nothing reads %d chunks and gives %d rows", got, rows)
	}
	z.Close()

	fresh := func(z *table.Zones) int {
		t.Helper()
		defer z.Close()
		n, rows := reads(t, c, table.NewView(c, tab, nil).WithZones(z), between(1_020_000, 1_020_500))
		if rows != some {
			t.Errorf("%d rows, want %d", rows, some)
		}
		return n
	}
	whole, err := vfs.ReadFile(fs, "/zones")
	must(t, err)
	for _, readOnly := range []bool{true, false} {
		if got := fresh(table.OpenZones(fs, "/zones", readOnly)); got != second {
			t.Errorf("with the file, read-only %v, a query reads %d chunks, want %d", readOnly, got, second)
		}
	}

	flipped := slices.Clone(whole)
	flipped[len(whole)-30] ^= 1
	later := slices.Clone(whole)
	binary.LittleEndian.PutUint32(later[8:], 2)
	for _, x := range []struct {
		what string
		file []byte
		some bool // of the zones are kept
	}{
		{"removed", nil, false},
		{"empty", []byte{}, false},
		{"cut in the header", whole[:7], false},
		{"of a later version", later, false},
		{"foreign", []byte("something else altogether"), false},
		{"cut", whole[:len(whole)-5], true},
		{"flipped", flipped, true},
		{"followed by zeros", append(slices.Clone(whole), make([]byte, 100)...), true},
	} {
		t.Run(x.what, func(t *testing.T) {
			put := func() {
				if err := fs.Remove("/zones"); err != nil && !errs.Is(err, errs.NotFound) {
					t.Fatal(err)
				}
				if x.file != nil {
					must(t, vfs.WriteFile(fs, "/zones", x.file))
				}
			}
			put()
			if got := fresh(table.OpenZones(fs, "/zones", true)); x.some != (got < all) {
				t.Errorf("read-only: a query reads %d of %d chunks", got, all)
			}
			now, err := vfs.ReadFile(fs, "/zones")
			if x.file == nil {
				if !errs.Is(err, errs.NotFound) {
					t.Errorf("a read-only process made the file: %v", err)
				}
			} else if string(now) != string(x.file) {
				t.Error("a read-only process changed the file")
			}
			fresh(table.OpenZones(fs, "/zones", false))
			if got := fresh(table.OpenZones(fs, "/zones", false)); got != second {
				t.Errorf("after rebuilding a query reads %d chunks, want %d", got, second)
			}
		})
	}
}

// Removing the file under a process that uses it harms nothing.
func TestZonesRemoved(t *testing.T) {
	m, c, tab := clustered(t, 1000)
	fs := vfs.NewMem()
	z := table.OpenZones(fs, "/zones", false)
	defer z.Close()
	v := table.NewView(c, tab, nil).WithZones(z)
	reads(t, c, v, between(0, 1))
	must(t, fs.Remove("/zones"))
	if got, _ := reads(t, c, v, between(0, 1)); got > 50 {
		t.Errorf("%d chunks", got)
	}
	other := []table.ZoneFilter{{Column: 0, Lo: []byte{2}}}
	if _, rows := reads(t, c, v, other); rows != 0 {
		t.Errorf("%d rows of %d", rows, len(m.rows))
	}
}

// Two tables whose pages leave a column out have the same nodes, whatever the column's absent value is.
func TestZonesAbsent(t *testing.T) {
	z := table.NewZones()
	st := chunk.NewMem()
	roots := map[hash.Hash]bool{}
	for _, absent := range []int64{5, 6, 7} {
		raw := *newSchema(t, 512, "id int\nts int\nprimary id").Schema
		raw.Columns = slices.Clone(raw.Columns)
		raw.Columns[1].Absent = value.IntCell(absent)
		s, err := schema.Compile(&raw)
		must(t, err)
		m := &model{s: s, rows: map[string][]value.Cell{}}
		for i := range 500 {
			row := []value.Cell{value.IntCell(int64(i)), value.IntCell(absent)}
			m.rows[m.key(row)] = row
		}
		tab := m.load(t, st)
		roots[tab.Rows.Hash] = true
		v := table.NewView(st, tab, nil).WithZones(z)
		for range 2 {
			for _, want := range []int64{5, 6, 7} {
				rows := len(scan(t, v, table.ScanOptions{Rows: table.RowsTree, Zones: between(want, want+1)}, m.rows))
				if (rows > 0) != (want == absent) || want == absent && rows != len(m.rows) {
					t.Errorf("%d rows with %d where all have %d", rows, want, absent)
				}
			}
		}
	}
	if len(roots) != 1 {
		t.Errorf("%d trees, so this tests nothing", len(roots))
	}
}

// NULL among values, and cells out of line, are found by a range that no other value is in.
func TestZonesOfRareCells(t *testing.T) {
	s := newSchema(t, 512, "id int\nn int null\nd text null\nprimary id")
	m := &model{s: s, rows: map[string][]value.Cell{}}
	long := value.BytesCell([]byte("\U0010ffff" + strings.Repeat("x", 5000)))
	for i := range 3000 {
		row := []value.Cell{value.IntCell(int64(i)), value.IntCell(7), value.BytesCell(fmt.Appendf(nil, "b%d", i))}
		if i%600 == 300 {
			row[1], row[2] = value.Null, long
		}
		m.rows[m.key(row)] = row
	}
	st := chunk.NewMem()
	v := table.NewView(st, m.load(t, st), nil).WithZones(table.NewZones())
	null := value.AppendKeyPart(nil, &value.KeyPart{Type: s.Columns[1].Type}, value.Null)
	text := value.AppendKeyPart(nil, &value.KeyPart{Type: s.Columns[2].Type}, long)
	for _, f := range []table.ZoneFilter{{Column: 1, Hi: value.PrefixEnd(null)}, {Column: 2, Lo: text, Hi: value.PrefixEnd(text)}} {
		for range 2 {
			found := 0
			got := scan(t, v, table.ScanOptions{Rows: table.RowsTree, Zones: []table.ZoneFilter{f}}, m.rows)
			for _, k := range got {
				if m.rows[k][1].IsNull() {
					found++
				}
			}
			if found != 5 || len(got) > len(m.rows)/2 {
				t.Errorf("column %d: %d rows, of which %d are meant", f.Column, len(got), found)
			}
		}
	}
}

// BenchmarkZones is a query for a thousandth of a million rows in the order of time.
func BenchmarkZones(b *testing.B) {
	const n = 1_000_000
	s := newSchema(b, 0, "id int\nts int\nmail varchar\nprice float\nprimary id")
	st := chunk.NewMem()
	l, err := table.NewLoader(ctx, st, table.Empty(s), table.LoadOptions{FS: vfs.NewMem(), TempDir: "/"})
	must(b, err)
	defer l.Close()
	e := table.NewEncoder(st, s)
	for i := range int64(n) {
		row := []value.Cell{value.IntCell(i), value.IntCell(1_600_000_000 + i), value.BytesCell(fmt.Appendf(nil, "m%d@x.y", i*7919%9973)), value.FloatCell(float64(i%1000) / 4)}
		key, tuple, err := e.Append(ctx, nil, nil, row)
		must(b, err)
		must(b, l.Add(ctx, key, tuple))
	}
	tab, _, err := l.Finish(ctx)
	must(b, err)
	filters := between(1_600_500_000, 1_600_501_000)
	for _, warm := range []bool{false, true} {
		b.Run(fmt.Sprintf("warm=%v", warm), func(b *testing.B) {
			c := &counter{Reader: st}
			z := table.NewZones()
			for b.Loop() {
				if !warm {
					z = table.NewZones()
				}
				c.n = 0
				sc := table.NewView(c, tab, nil).WithZones(z).Scan(table.ScanOptions{Rows: table.RowsTree, Zones: filters})
				for ok := true; ok; {
					if _, ok, err = sc.Next(ctx); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(c.n), "chunks/op")
		})
	}
}
