package sqltable

import (
	"context"
	"slices"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/engine/types"
	"github.com/stemmadb/stemma/internal/page"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// decoder turns rows of pages and tuples into the engine's rows, column by column. It belongs to one goroutine.
type decoder struct {
	cols  []source
	phys  []value.Phys // of the tuples
	fetch types.Fetcher
	cells []value.Cell // scratch
	ints  []int64
	f64   []float64
	f32   []float32
	nulls []bool
	strs  page.Strings
}

// source is where a column of the rows comes from.
type source struct {
	codec *types.Codec
	cell  int // of the tuple; -1 for a column that is not kept, which is NULL
	phys  value.Phys
	text  bool // the engine's value is a string of the cell's bytes
	near  bool // values out of line are read at once
}

// sources are the sources of the columns cols, nil for all, whose cells are at. All columns of a table with generated ones are what the
// engine evaluates those of, and not as it does the expressions of a query: these must not meet values out of line.
func (d *Def) sources(cols []int, at []int) []source {
	near := cols == nil && slices.ContainsFunc(d.Schema.Columns, func(c schema.Column) bool { return c.Generated != "" })
	if cols == nil {
		cols = make([]int, len(d.codecs))
		for i := range cols {
			cols[i] = i
		}
	}
	out := make([]source, len(cols))
	for i, c := range cols {
		t := d.codecs[c].Type
		out[i] = source{codec: d.codecs[c], cell: at[c], phys: t.Phys()}
		switch t.Kind {
		case value.KindChar, value.KindVarchar, value.KindText:
			out[i].text = true
		}
		out[i].near = near && (t.Kind == value.KindText || t.Kind == value.KindBlob)
	}
	return out
}

func newDecoder(r chunk.Reader, cols []source, phys []value.Phys) *decoder {
	return &decoder{cols: cols, phys: phys, fetch: fetcher{r}, cells: make([]value.Cell, len(phys))}
}

// fetcher reads out-of-line values of a store.
type fetcher struct{ r chunk.Reader }

// Fetch implements types.Fetcher.
func (f fetcher) Fetch(ctx context.Context, addr []byte) ([]byte, error) {
	c, err := table.Resolve(ctx, f.r, value.AddrCell(addr))
	return c.Bytes(), err
}

// width is the number of columns of a row.
func (d *decoder) width() int { return len(d.cols) }

// tuple fills row from an encoded tuple.
func (d *decoder) tuple(ctx context.Context, tuple []byte, row sql.Row) error {
	if err := value.DecodeTuple(tuple, d.phys, d.cells); err != nil {
		return err
	}
	return d.row(ctx, d.cells, row)
}

// row fills row from the cells of a tuple.
func (d *decoder) row(ctx context.Context, cells []value.Cell, row sql.Row) error {
	var err error
	for i := range d.cols {
		s := &d.cols[i]
		if s.cell < 0 {
			row[i] = nil
			continue
		}
		if row[i], err = d.value(ctx, s, cells[s.cell]); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) value(ctx context.Context, s *source, c value.Cell) (any, error) {
	if c.IsAddr() {
		return d.long(ctx, s, c)
	}
	return s.codec.FromCell(c)
}

// long is the value of a cell out of line.
func (d *decoder) long(ctx context.Context, s *source, c value.Cell) (any, error) {
	v, err := s.codec.FromLong(ctx, c, d.fetch)
	if err != nil || !s.near {
		return v, err
	}
	return sql.UnwrapAny(ctx, v)
}

// page fills out, rows of width columns one after the other, from rows [lo,hi) of a page.
func (d *decoder) page(ctx context.Context, p *page.Page, lo, hi int, out []any) error {
	for i := range d.cols {
		if err := d.column(ctx, p, lo, hi, &d.cols[i], out, i); err != nil {
			return err
		}
	}
	return nil
}

// column fills every width-th value of out from i on.
func (d *decoder) column(ctx context.Context, p *page.Page, lo, hi int, s *source, out []any, i int) error {
	n, w := hi-lo, len(d.cols)
	if s.cell < 0 {
		return nil
	}
	d.nulls = sized(d.nulls, n)
	nulls, err := p.Nulls(ctx, s.cell, lo, hi, d.nulls)
	if err != nil || nulls == n {
		return err
	}
	switch s.phys {
	case value.Int64:
		d.ints = sized(d.ints, n)
		if err := p.Ints(ctx, s.cell, lo, hi, d.ints); err != nil {
			return err
		}
		for k, v := range d.ints {
			if !d.nulls[k] {
				if out[k*w+i], err = s.codec.FromCell(value.IntCell(v)); err != nil {
					return err
				}
			}
		}
	case value.Float64:
		d.f64 = sized(d.f64, n)
		if err := p.Floats(ctx, s.cell, lo, hi, d.f64); err != nil {
			return err
		}
		for k, v := range d.f64 {
			if !d.nulls[k] {
				out[k*w+i] = v
			}
		}
	case value.Float32:
		d.f32 = sized(d.f32, n)
		if err := p.Float32s(ctx, s.cell, lo, hi, d.f32); err != nil {
			return err
		}
		for k, v := range d.f32 {
			if !d.nulls[k] {
				out[k*w+i] = v
			}
		}
	default:
		return d.strings(ctx, p, lo, hi, s, out, i)
	}
	return nil
}

// strings is column for the class Bytes; d.nulls is filled.
func (d *decoder) strings(ctx context.Context, p *page.Page, lo, hi int, s *source, out []any, i int) error {
	d.strs.Reset()
	if err := p.Bytes(ctx, s.cell, lo, hi, &d.strs); err != nil {
		return err
	}
	var all string
	if s.text { // one string for all rows, of which each is a part
		all = string(d.strs.Data)
	}
	w, addrs := len(d.cols), d.strs.Addrs
	var err error
	for k := range hi - lo {
		switch {
		case len(addrs) > 0 && addrs[0] == k:
			addrs = addrs[1:]
			out[k*w+i], err = d.long(ctx, s, value.AddrCell(d.strs.At(k)))
		case d.nulls[k]:
		case s.text:
			out[k*w+i] = all[d.strs.Offs[k]:d.strs.Offs[k+1]]
		default:
			out[k*w+i], err = s.codec.FromCell(value.BytesCell(d.strs.At(k)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func sized[T any](b []T, n int) []T {
	if cap(b) < n {
		return make([]T, n, max(n, 2*cap(b)))
	}
	return b[:n]
}
