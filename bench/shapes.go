package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/bench/data"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// shape is a kind of table. Its rows have numbers: even ones are in the table, odd ones are new rows that would lie between them.
type shape struct {
	name    string
	rows    int // at full size
	columns []schema.Column
	key     []string                    // empty: keyless, rows then begin with the ordinal
	large   bool                        // has cells of hundreds of bytes
	row     func(number, edits int) row // an edit changes one column
}

func column(name string, t value.Type) schema.Column {
	return schema.Column{Name: name, Type: t, Nullable: true}
}

func integer() value.Type { return value.Type{Kind: value.KindInt64} }
func double() value.Type  { return value.Type{Kind: value.KindFloat64} }
func varchar(n uint32) value.Type {
	return value.Type{Kind: value.KindVarchar, Length: n, Collation: value.CollationUtf8mb40900Bin}
}
func text() value.Type {
	return value.Type{Kind: value.KindText, Length: value.ShortLength, Collation: value.CollationUtf8mb40900Bin}
}

// schema is the table's schema with that target for pages; 0 is the format's own.
func (s *shape) schema(target int) (*schema.Compiled, error) {
	out := &schema.Schema{Target: target}
	for _, c := range s.columns {
		c.ID = schema.AssignID(c.Name, c.Type, out.Columns, nil)
		c.Nullable = !slices.Contains(s.key, c.Name)
		out.Columns = append(out.Columns, c)
		if !c.Nullable {
			out.PrimaryKey = append(out.PrimaryKey, schema.IndexColumn{Column: c.ID})
		}
	}
	return schema.Compile(out)
}

// shapesOf are the shapes, the price list's among them.
func shapesOf(p *data.Prices) []*shape {
	docs := data.NewDocuments()
	out := []*shape{
		pricesShape(p, "prices", 2_000_000, false),
		pricesShape(p, "prices without a key", 2_000_000, true),
		wideShape(1, 4_000_000),
		wideShape(100, 100_000),
		wideShape(500, 20_000),
		nullShape(20, 1_000_000),
		uuidShape(1_000_000),
	}
	for _, n := range []int{300, 1000, 5000} {
		out = append(out, textShape(docs, n, 100_000_000/n))
	}
	return append(out, jsonShape(docs, 100_000), vectorShape(768, 20_000))
}

func pricesShape(p *data.Prices, name string, rows int, keyless bool) *shape {
	s := &shape{
		name: name, rows: rows,
		columns: []schema.Column{column("npi_number", value.Type{Kind: value.KindInt32}), column("code", varchar(255)), column("payer", varchar(255)), column("price", double())},
		key:     []string{"npi_number", "code", "payer"},
	}
	// One place in 34, as in the full list, and new rows beside them.
	s.row = func(number, edits int) row {
		x := p.At(int32(number/2*33 + number%2*16 + number/2%7))
		cells := row{value.IntCell(int64(x.NPI)), value.BytesCell([]byte(x.Code)), value.BytesCell([]byte(x.Payer)), value.FloatCell(x.Price + float64(edits))}
		if keyless {
			cells = append(row{value.IntCell(int64(number / 2))}, cells...)
		}
		return cells
	}
	if keyless {
		s.key = nil
	}
	return s
}

// wideShape has n columns beside the key: whole numbers, floats, and names, of which every fourth cell is NULL.
func wideShape(n, rows int) *shape {
	s := &shape{name: fmt.Sprintf("%d columns", n), rows: rows, columns: []schema.Column{column("id", integer())}, key: []string{"id"}}
	for i := range n {
		s.columns = append(s.columns, column(fmt.Sprintf("c%03d", i), []value.Type{integer(), double(), varchar(40)}[i%3]))
	}
	s.row = func(number, edits int) row {
		r := rand.New(rand.NewPCG(uint64(number), 7))
		cells := row{value.IntCell(int64(number))}
		for i := range n {
			x := r.Uint64()
			c := value.Null
			switch {
			case x>>60 < 4 && n > 1:
			case i%3 == 0:
				c = value.IntCell(int64(x % 100_000))
			case i%3 == 1:
				c = value.FloatCell(float64(x%1_000_000) / 100)
			default:
				c = value.BytesCell(fmt.Appendf(nil, "name %d", x%5000))
			}
			cells = append(cells, c)
		}
		if edits > 0 {
			cells[1] = value.IntCell(int64(r.Uint64() % 100_000))
		}
		return cells
	}
	return s
}

// nullShape has n columns, all of them NULL. An edit gives one a value.
func nullShape(n, rows int) *shape {
	s := &shape{name: "all NULL", rows: rows, columns: []schema.Column{column("id", integer())}, key: []string{"id"}}
	for i := range n {
		s.columns = append(s.columns, column(fmt.Sprintf("c%03d", i), []value.Type{integer(), double(), varchar(40)}[i%3]))
	}
	s.row = func(number, edits int) row {
		cells := make(row, n+1)
		cells[0] = value.IntCell(int64(number))
		if edits > 0 {
			cells[1] = value.IntCell(int64(number))
		}
		return cells
	}
	return s
}

// uuidShape has random keys of 36 characters.
func uuidShape(rows int) *shape {
	s := &shape{name: "UUID keys", rows: rows, columns: []schema.Column{column("id", value.Type{Kind: value.KindChar, Length: 36, Collation: value.CollationUtf8mb40900Bin}), column("n", integer())}, key: []string{"id"}}
	s.row = func(number, edits int) row {
		r := rand.New(rand.NewPCG(uint64(number), 13))
		a, b := r.Uint64(), r.Uint64()
		id := fmt.Appendf(nil, "%08x-%04x-4%03x-a%03x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>52, b&0xffffffffffff)
		return row{value.BytesCell(id), value.IntCell(int64(number%1000 + edits))}
	}
	return s
}

// textShape has texts of that length. An edit writes over one word.
func textShape(docs *data.Documents, n, rows int) *shape {
	s := &shape{name: fmt.Sprintf("text of %d B", n), rows: rows, columns: []schema.Column{column("id", integer()), column("label", varchar(32)), column("body", text())}, key: []string{"id"}, large: true}
	s.row = func(number, edits int) row {
		b := docs.Text(uint64(number), n)
		if edits > 0 {
			copy(b[n/2:], fmt.Sprintf("edit %d", edits))
		}
		return row{value.IntCell(int64(number)), value.BytesCell([]byte([]string{"news", "letter", "paper"}[number%3])), value.BytesCell(b)}
	}
	return s
}

// jsonShape has objects of 900 to 1,150 bytes. An edit changes a number.
func jsonShape(docs *data.Documents, rows int) *shape {
	s := &shape{name: "JSON of 1 KB", rows: rows, columns: []schema.Column{column("id", integer()), column("body", value.Type{Kind: value.KindJSON})}, key: []string{"id"}, large: true}
	s.row = func(number, edits int) row {
		r := rand.New(rand.NewPCG(uint64(number), 3))
		src := fmt.Sprintf(`{"id":%d,"score":%.3f,"tags":["%s"],"source":{"site":"example.org","page":%d,"lang":"en"},"history":[%d,%d,%d],"text":%q}`,
			number, r.Float64(), []string{"a", "b", "c"}[number%3], r.IntN(1000), r.IntN(99)+edits, r.IntN(99), r.IntN(99), docs.Text(uint64(number), 770+r.IntN(250)))
		b, err := value.CanonicalJSON(nil, []byte(src))
		if err != nil {
			b = []byte("null")
		}
		return row{value.IntCell(int64(number)), value.BytesCell(b)}
	}
	return s
}

// vectorShape has vectors of n floats, as models give them: normal, of length about 1. An edit is another vector.
func vectorShape(n uint32, rows int) *shape {
	s := &shape{name: fmt.Sprintf("vectors of %d floats", n), rows: rows, columns: []schema.Column{column("id", integer()), column("v", value.Type{Kind: value.KindVector, Length: n})}, key: []string{"id"}, large: true}
	s.row = func(number, edits int) row {
		r := rand.New(rand.NewPCG(uint64(number), uint64(edits)))
		b := make([]byte, 0, 4*n)
		scale := 1 / math.Sqrt(float64(n))
		for range n {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(r.NormFloat64()*scale)))
		}
		return row{value.IntCell(int64(number)), value.BytesCell(b)}
	}
	return s
}

// setting is what the format could have chosen otherwise.
type setting struct {
	target int // of pages; 0 is the format's
	long   int // cells longer than that are out of line
}

func (x setting) String() string {
	var parts []string
	if x.target != 0 {
		parts = append(parts, fmt.Sprintf("target %d KiB", x.target>>10))
	}
	if x.long != table.LongLimit {
		parts = append(parts, fmt.Sprintf("limit %d B", x.long))
	}
	if parts == nil {
		return ""
	}
	return ", " + strings.Join(parts, ", ")
}

// benchShapes measures tables of many shapes below SQL, with the format's settings and, when asked for, with others.
func benchShapes(ctx context.Context, e *env) error {
	for _, s := range shapesOf(e.prices) {
		if e.shapes != "" && !slices.Contains(strings.Split(e.shapes, ","), s.name) {
			continue
		}
		settings := []setting{{long: table.LongLimit}}
		if e.variants == "target" || e.variants == "both" {
			for _, t := range []int{4, 8, 32} {
				settings = append(settings, setting{target: t << 10, long: table.LongLimit})
			}
		}
		if s.large && (e.variants == "long" || e.variants == "both") {
			for _, l := range []int{256, 512, 2048, 4096, 8192} {
				settings = append(settings, setting{long: l})
			}
		}
		for _, x := range settings {
			if err := e.shape(ctx, s, x); err != nil {
				return fmt.Errorf("%s%s: %w", s.name, x, err)
			}
		}
	}
	return nil
}
