package page

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/value"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// dump annotates the bytes of a page or group: cuts are the offsets at which something begins, with its name.
func dump(data []byte, cuts map[int]string) string {
	var b strings.Builder
	for at := 0; at < len(data); {
		if name, ok := cuts[at]; ok {
			fmt.Fprintf(&b, "# %s\n", name)
		}
		end := at + 16
		for k := at + 1; k < end; k++ {
			if _, ok := cuts[k]; ok {
				end = k
			}
		}
		end = min(end, len(data))
		fmt.Fprintf(&b, "%04x  % x\n", at, data[at:end])
		at = end
	}
	return b.String()
}

func (p *Page) dump(t *testing.T) string {
	cuts := map[int]string{
		0: "header: kind, version, columns, rows, length, groups, flags", headerLen: "column ids", headerLen + 8*p.ncols: "segments: offset, length",
		headerLen + 16*p.ncols: "groups: hash, length", len(p.data) - tailLen: "tail",
	}
	if p.ngroups == 0 {
		delete(cuts, headerLen+16*p.ncols)
	}
	groups := map[int]map[int]string{}
	for k := range p.f.cols {
		at := p.find(&p.f.cols[k])
		if at < 0 {
			continue
		}
		off, _, _ := p.loc(at)
		name := fmt.Sprintf("column %d: %s", p.f.cols[k].id, p.describe(t, k))
		if p.inline(off) != nil {
			cuts[off] = name
			continue
		}
		g, at, err := p.groupOf(off)
		if err != nil {
			t.Fatal(err)
		}
		if groups[g] == nil {
			groups[g] = map[int]string{0: fmt.Sprintf("group %d: kind, version, segments, rows", g)}
		}
		groups[g][at] = name
	}
	out := dump(p.data, cuts)
	for g := range p.ngroups {
		b, err := p.group(context.Background(), g)
		if err != nil {
			t.Fatal(err)
		}
		groups[g][len(b)-tailLen] = "tail"
		out += dump(b, groups[g])
	}
	return out
}

// TestGolden pins the bytes of some pages, and their hashes.
func TestGolden(t *testing.T) {
	text, general := textType, value.Type{Kind: value.KindVarchar, Length: 9, Collation: value.CollationASCIIGeneral}
	s := func(v string) value.Cell { return value.BytesCell([]byte(v)) }
	tests := []struct {
		name string
		l    Layout
		rows func(m *model) [][]value.Cell
	}{
		{"prices", Layout{Columns: []Column{{ID: 4, Type: text}, {ID: 3, Type: text}, {ID: 2, Type: floatType}, {ID: 1, Type: intType}}, Key: []KeyColumn{{Column: 0}, {Column: 1}}},
			func(*model) (rows [][]value.Cell) {
				for i := range 40 {
					rows = append(rows, []value.Cell{s(fmt.Sprintf("10000%d", i/25)), s(fmt.Sprintf("CPT %05d", 10000+37*(i%25))), value.FloatCell(float64(i*i*7+19) / 100), value.IntCell(int64(i % 2))})
				}
				return rows
			}},
		{"nulls", Layout{Columns: []Column{{ID: 1, Type: intType}, {ID: 2, Type: intType, Absent: value.IntCell(5)}, {ID: 3, Type: text}, {ID: 4, Type: text}, {ID: 5, Type: value.Type{Kind: value.KindFloat32}}}, Key: []KeyColumn{{Column: 0, Desc: true}}},
			func(*model) (rows [][]value.Cell) {
				for i := range 9 {
					row := []value.Cell{value.IntCell(int64(100 - i)), value.Null, s(""), addr(i / 4), value.Float32Cell(1 / float32(i+1))}
					if i%3 == 0 {
						row[2], row[4] = value.Null, value.Null
					}
					rows = append(rows, row)
				}
				return rows
			}},
		{"collation", Layout{Columns: []Column{{ID: 1, Type: general}, {ID: 2, Type: intType}}, Key: []KeyColumn{{Column: 0}, {Column: 1}}},
			func(*model) (rows [][]value.Cell) {
				for i, v := range []string{"a", "A", "a", "B", "b", "B", "b", "C", "C", "c", "C", "c"} {
					rows = append(rows, []value.Cell{s(v), value.IntCell(int64(i) << 40)})
				}
				return rows
			}},
		{"groups", Layout{Columns: []Column{{ID: 1, Type: intType}, {ID: 2, Type: text}, {ID: 3, Type: floatType}}, Key: []KeyColumn{{Column: 0}}},
			func(*model) (rows [][]value.Cell) {
				r := rand.New(rand.NewPCG(1, 2))
				for i := range 3 {
					long := make([]byte, 6000)
					for k := range long {
						long[k] = byte(r.Uint32())
					}
					rows = append(rows, []value.Cell{value.IntCell(int64(i)), value.BytesCell(long), value.FloatCell(float64(i) / 2)})
				}
				return rows
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := &model{f: newFormat(t, tt.l)}
			for _, cells := range tt.rows(m) {
				m.rows = append(m.rows, m.row(cells))
			}
			st := chunk.NewMem()
			p := m.open(t, st, m.build(t, st, m.rows))
			m.check(t, p, m.rows)
			got := fmt.Sprintf("hash %s\n", hash.Sum(p.data).Full())
			if d := p.dump(t); len(d) < 20000 {
				got += d
			} else { // the page only: a group of noise is pinned by its hash
				got += d[:strings.Index(d, "# group 0")]
			}
			path := filepath.Join("testdata", "golden", tt.name+".hex")
			if *rewrite {
				if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("page differs from %s:\n%s", path, got)
			}
			if b := undump(t, string(want)); !bytes.HasPrefix(b, p.data) {
				t.Error("the golden file's bytes are not the page's")
			}
		})
	}
}

// undump reads the bytes of a dump back.
func undump(t *testing.T, s string) (out []byte) {
	for line := range strings.Lines(s) {
		if line[0] == '#' || strings.HasPrefix(line, "hash") {
			continue
		}
		for _, f := range strings.Fields(line)[1:] {
			var b byte
			if _, err := fmt.Sscanf(f, "%02x", &b); err != nil {
				t.Fatal(err)
			}
			out = append(out, b)
		}
	}
	return out
}
