package table_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// tester is what testing.T and rapid.T share.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

func must(t tester, err error) {
	if err != nil {
		t.Helper()
		t.Fatalf("%v", err)
	}
}

var ctx = context.Background()

// newSchema compiles a schema from a line a column, "name kind [null]", and a line a key: "primary a b(3) desc" or
// "[unique] index name a, …". Kinds are int, varchar, ci (a varchar without case), text and float.
func newSchema(t tester, target int, text string) *schema.Compiled {
	t.Helper()
	s := &schema.Schema{Target: target}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		w := strings.Fields(line)
		switch w[0] {
		case "primary":
			s.PrimaryKey = indexColumns(t, s, w[1:])
		case "index":
			s.Indexes = append(s.Indexes, schema.Index{Name: w[1], Columns: indexColumns(t, s, w[2:])})
		case "unique":
			s.Indexes = append(s.Indexes, schema.Index{Name: w[1], Unique: true, Columns: indexColumns(t, s, w[2:])})
		default:
			c := schema.Column{Name: w[0], Nullable: len(w) > 2}
			switch w[1] {
			case "int":
				c.Type = value.Type{Kind: value.KindInt64}
			case "float":
				c.Type = value.Type{Kind: value.KindFloat64}
			case "varchar":
				c.Type = value.Type{Kind: value.KindVarchar, Length: 8000, Collation: value.CollationUtf8mb40900Bin}
			case "ci":
				c.Type = value.Type{Kind: value.KindVarchar, Length: 100, Collation: value.CollationUtf8mb40900AiCi}
			case "text":
				c.Type = value.Type{Kind: value.KindText, Length: 65535, Collation: value.CollationUtf8mb40900Bin}
			default:
				t.Fatalf("column of kind %s", w[1])
			}
			c.ID = schema.AssignID(c.Name, c.Type, s.Columns, nil)
			s.Columns = append(s.Columns, c)
		}
	}
	c, err := schema.Compile(s)
	must(t, err)
	return c
}

func indexColumns(t tester, s *schema.Schema, words []string) (out []schema.IndexColumn) {
	for _, w := range words {
		if w == "desc" {
			out[len(out)-1].Desc = true
			continue
		}
		name, rest, _ := strings.Cut(w, "(")
		k := schema.IndexColumn{}
		if rest != "" {
			k.Prefix = uint32(rest[0] - '0')
		}
		c := s.ColumnIndex(name)
		if c < 0 {
			t.Fatalf("an index names %s", name)
		}
		k.Column = s.Columns[c].ID
		out = append(out, k)
	}
	return out
}

// samples are the tables that the model tests use. Their leaves are small, so that few rows make deep trees.
var samples = map[string]string{
	"plain":   "id int\nmail varchar null\nage int null\nnote text null\nprimary id\nunique mail mail\nindex age age",
	"nocase":  "name ci\ncity ci null\nn int\nprimary name\nunique place city desc n\nindex part city(2)",
	"compose": "a int\nb varchar\nc float null\nd text null\nprimary a desc b(3)\nunique c c\nindex d d(4) desc a\nindex b b(2)",
	"bare":    "a int null\nb text null\nindex a a\nindex b b(3)",
	"barest":  "a int null\nunique a a",
}

// model is a table as a map from key to the cells of the rows' layout, long cells in line.
type model struct {
	s    *schema.Compiled
	rows map[string][]value.Cell
}

func (m *model) clone() *model { return &model{s: m.s, rows: maps.Clone(m.rows)} }

func (m *model) keys() []string { return slices.Sorted(maps.Keys(m.rows)) }

func (m *model) key(cells []value.Cell) string { return string(m.s.Primary.AppendKey(nil, cells)) }

// entry is the key of the entry that a row makes in index n, and its part that a unique index compares; null tells that a part
// of that is NULL.
func (m *model) entry(n int, cells []value.Cell) (key, unique string, null bool) {
	shift := 0
	if m.s.Keyless() {
		shift = 1
	}
	var b []byte
	full := map[uint64]bool{}
	for _, k := range m.s.Indexes[n].Columns {
		c := m.s.ColumnByID(k.Column)
		full[k.Column] = k.Prefix == 0
		p := value.KeyPart{Type: m.s.Columns[c].Type, Desc: k.Desc, Prefix: k.Prefix}
		b = value.AppendKeyPart(b, &p, cells[c+shift])
		null = null || cells[c+shift].IsNull()
	}
	unique = string(b)
	for i := range m.s.Primary.Parts {
		c := m.s.Primary.Key[i]
		if !m.s.Keyless() && full[m.s.Columns[c].ID] {
			continue
		}
		p := m.s.Primary.Parts[i]
		p.Desc = false
		b = value.AppendKeyPart(b, &p, cells[c])
	}
	return string(b), unique, null
}

// taken tells whether a row other than the one under own has the unique values of cells.
func (m *model) taken(cells []value.Cell, own string) bool {
	for n := range m.s.Indexes {
		_, u, null := m.entry(n, cells)
		if !m.s.Indexes[n].Unique || null {
			continue
		}
		for k, row := range m.rows {
			if k == own {
				continue
			}
			if _, v, null := m.entry(n, row); !null && v == u {
				return true
			}
		}
	}
	return false
}

// nextOrdinal is the ordinal of the next row of a keyless table.
func (m *model) nextOrdinal() int64 {
	if len(m.rows) == 0 {
		return 0
	}
	ks := m.keys()
	return m.rows[ks[len(ks)-1]][0].Int() + 1
}

// tree is the keys of one of the table's trees, in order, and the rows behind them.
func (m *model) tree(n table.Rows) (keys []string, rows map[string][]value.Cell) {
	if n == table.RowsTree {
		return m.keys(), m.rows
	}
	rows = map[string][]value.Cell{}
	for _, row := range m.rows {
		k, _, _ := m.entry(int(n), row)
		rows[k] = row
	}
	return slices.Sorted(maps.Keys(rows)), rows
}

// scan is the keys of a scan, made from the cells that it gives; the cells are compared with the rows that want has.
func scan(t tester, v *table.View, opt table.ScanOptions, want map[string][]value.Cell) (keys []string) {
	t.Helper()
	l := v.Layout(opt.Rows)
	cells := make([]value.Cell, len(l.Phys))
	s := v.Scan(opt)
	for {
		b, ok, err := s.Next(ctx)
		must(t, err)
		if !ok {
			return keys
		}
		lo, hi := b.Lo, b.Hi
		if b.Page == nil {
			lo, hi = 0, 1
		}
		if lo >= hi {
			t.Fatalf("a block of rows [%d,%d)", lo, hi)
		}
		for i := range hi - lo {
			at := lo + i
			if opt.Reverse {
				at = hi - 1 - i
			}
			if b.Page == nil {
				must(t, value.DecodeTuple(b.Row, l.Phys, cells))
			} else {
				for c := range cells {
					if cells[c], err = b.Page.Cell(ctx, c, at); err != nil {
						t.Fatalf("read a cell: %v", err)
					}
				}
			}
			k := string(l.AppendKey(nil, cells))
			keys = append(keys, k)
			if row := want[k]; row != nil {
				sameCells(t, v, opt.Rows, row, cells)
			}
		}
	}
}

// sameCells compares the cells of a tree's row with those of the model's row.
func sameCells(t tester, v *table.View, n table.Rows, row, cells []value.Cell) {
	t.Helper()
	for c := range cells {
		var want value.Cell
		exact := true
		if n == table.RowsTree {
			want = row[c]
		} else {
			src := v.Layout(n).Source[c]
			want, exact = row[src.Cell], src.Prefix == 0
		}
		got, err := table.Resolve(ctx, v.Reader(), cells[c])
		must(t, err)
		switch {
		case exact && !got.Equal(want):
			t.Fatalf("cell %d of tree %d is %q, want %q", c, n, show(got), show(want))
		case !exact && !bytes.HasPrefix(want.Bytes(), got.Bytes()):
			t.Fatalf("cell %d of index %d is %q, no prefix of %q", c, n, show(got), show(want))
		}
	}
}

func show(c value.Cell) string {
	if c.IsNull() {
		return "NULL"
	}
	b := c.Bytes()
	if b == nil {
		return fmt.Sprintf("bits %x", c.Bits())
	}
	return string(b[:min(len(b), 40)])
}

// load is a fresh table with the model's rows.
func (m *model) load(t tester, st chunk.Store) *table.Table {
	t.Helper()
	l, err := table.NewLoader(ctx, st, table.Empty(m.s), table.LoadOptions{FS: vfs.NewMem(), TempDir: "/", Memory: 1 << 16})
	must(t, err)
	defer l.Close()
	e := table.NewEncoder(st, m.s)
	for _, k := range m.keys() {
		key, row, err := e.Append(ctx, nil, nil, m.rows[k])
		must(t, err)
		must(t, l.Add(ctx, key, row))
	}
	tab, _, err := l.Finish(ctx)
	must(t, err)
	return tab
}

// drawCell is a value of a column; few of them, so that rows collide, and sometimes a long one.
func drawCell(t *rapid.T, c *schema.Column, label string) value.Cell {
	if c.Nullable && rapid.IntRange(0, 4).Draw(t, label+" null") == 0 {
		return value.Null
	}
	switch c.Type.Phys() {
	case value.Int64:
		return value.IntCell(rapid.Int64Range(-3, 60).Draw(t, label))
	case value.Float64:
		return value.FloatCell(rapid.SampledFrom([]float64{-2.5, -1, 0, 1, 2, 3, 4.25, 1e300, 7, 8, 9}).Draw(t, label))
	}
	s := rapid.StringMatching(`[aAbBé]{0,3}[0-9]{0,2}`).Draw(t, label)
	if c.Type.Length > 100 && rapid.IntRange(0, 9).Draw(t, label+" long") == 0 {
		n := rapid.SampledFrom([]int{table.LongLimit - 1, table.LongLimit, table.LongLimit + 1, 5000}).Draw(t, label+" length")
		s += strings.Repeat("x", n-len(s))
	}
	return value.BytesCell([]byte(s))
}

func (m *model) drawRow(t *rapid.T) []value.Cell {
	var row []value.Cell
	if m.s.Keyless() {
		row = append(row, value.IntCell(m.nextOrdinal()))
	}
	for i := range m.s.Columns {
		row = append(row, drawCell(t, &m.s.Columns[i], m.s.Columns[i].Name))
	}
	return row
}

// drawBase fills the model and loads it.
func (m *model) drawBase(t *rapid.T, st chunk.Store) *table.Table {
	n := rapid.SampledFrom([]int{0, 3, 40}).Draw(t, "rows")
	for range n {
		row := m.drawRow(t)
		k := m.key(row)
		if m.rows[k] == nil && !m.taken(row, k) {
			m.rows[k] = row
		}
	}
	return m.load(t, st)
}

// eachSample runs fn with random samples.
func eachSample(t *testing.T, fn func(t *rapid.T, s *schema.Compiled)) {
	compiled := map[string]*schema.Compiled{}
	for name, text := range samples {
		compiled[name] = newSchema(t, 512, text)
	}
	names := slices.Sorted(maps.Keys(samples))
	rapid.Check(t, func(t *rapid.T) { fn(t, compiled[rapid.SampledFrom(names).Draw(t, "sample")]) })
}
