package ingest

import (
	"bytes"
	"context"
	"io"
	"strconv"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/page"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// Export writes the rows of a table, in the order of its key, as records that Load reads back: NULL as an empty field, the empty string
// as "", floats with all the digits that tell them from their neighbours. It returns the number of rows. rows, which may be nil, is
// told how many more have been written.
func Export(ctx context.Context, w io.Writer, v *table.View, f Format, rows func(int64)) (uint64, error) {
	e := &exporter{v: v, f: f}
	shift := 0
	if v.Schema().Keyless() {
		shift = 1
	}
	for i := range v.Schema().Columns {
		c := &v.Schema().Columns[i]
		e.cols = append(e.cols, exportColumn{cell: i + shift, typ: c.Type})
		if !f.NoHeader {
			if i > 0 {
				e.out = append(e.out, f.Comma)
			}
			e.out = appendField(e.out, []byte(f.shown(c.Name)), f.Comma)
		}
	}
	if !f.NoHeader {
		e.out = append(e.out, '\n')
	}
	var n uint64
	scan := v.Scan(table.ScanOptions{Rows: table.RowsTree})
	for {
		b, ok, err := scan.Next(ctx)
		if err == nil && ok {
			err = e.block(ctx, b)
		}
		if err == nil {
			err = errs.With(errs.Canceled, ctx.Err())
		}
		if err != nil {
			return n, err
		}
		if ok {
			k := max(b.Hi-b.Lo, 1)
			n += uint64(k)
			if rows != nil {
				rows(int64(k))
			}
		}
		if len(e.out) >= 256<<10 || !ok && len(e.out) > 0 {
			if _, err := w.Write(e.out); err != nil {
				return n, err
			}
			e.out = e.out[:0]
		}
		if !ok {
			return n, nil
		}
	}
}

// exporter makes records of blocks of a scan, a column at a time.
type exporter struct {
	v     *table.View
	f     Format
	cols  []exportColumn
	out   []byte
	cells []value.Cell
	nums  []int64
	strs  page.Strings
	flts  []float64
	flt32 []float32
	nulls []bool
	text  []byte
}

// exportColumn is the fields of a column of a block: field i is text[ends[i-1]:ends[i]].
type exportColumn struct {
	cell int
	typ  value.Type
	text []byte
	ends []int
}

func (e *exporter) block(ctx context.Context, b table.Block) error {
	if b.Page == nil {
		return e.row(ctx, b.Row)
	}
	for i := range e.cols {
		if err := e.column(ctx, &e.cols[i], b); err != nil {
			return err
		}
	}
	for r := range b.Hi - b.Lo {
		for i := range e.cols {
			c := &e.cols[i]
			if i > 0 {
				e.out = append(e.out, e.f.Comma)
			}
			from := 0
			if r > 0 {
				from = c.ends[r-1]
			}
			e.out = append(e.out, c.text[from:c.ends[r]]...)
		}
		e.out = append(e.out, '\n')
	}
	return nil
}

// row writes a row of the overlay.
func (e *exporter) row(ctx context.Context, tuple []byte) error {
	phys := e.v.Schema().Primary.Phys
	if e.cells == nil {
		e.cells = make([]value.Cell, len(phys))
	}
	if err := value.DecodeTuple(tuple, phys, e.cells); err != nil {
		return err
	}
	for i := range e.cols {
		if i > 0 {
			e.out = append(e.out, e.f.Comma)
		}
		var err error
		if e.out, err = e.field(ctx, e.out, e.cols[i].typ, e.cells[e.cols[i].cell]); err != nil {
			return err
		}
	}
	e.out = append(e.out, '\n')
	return nil
}

// field appends a cell as a field.
func (e *exporter) field(ctx context.Context, dst []byte, t value.Type, c value.Cell) ([]byte, error) {
	if c.IsNull() {
		return dst, nil
	}
	c, err := table.Resolve(ctx, e.v.Reader(), c)
	if err != nil {
		return dst, err
	}
	e.text = value.AppendText(e.text[:0], t, c)
	return appendField(dst, e.text, e.f.Comma), nil
}

// column makes the fields of a column.
func (e *exporter) column(ctx context.Context, c *exportColumn, b table.Block) error {
	n := b.Hi - b.Lo
	c.text, c.ends = c.text[:0], c.ends[:0]
	e.nulls = grow(e.nulls, n)
	if _, err := b.Page.Nulls(ctx, c.cell, b.Lo, b.Hi, e.nulls); err != nil {
		return err
	}
	var err error
	switch c.typ.Phys() {
	case value.Int64:
		e.nums = grow(e.nums, n)
		if err := b.Page.Ints(ctx, c.cell, b.Lo, b.Hi, e.nums); err != nil {
			return err
		}
		plain := isPlainInt(c.typ.Kind)
		for i, v := range e.nums {
			switch {
			case e.nulls[i]:
			case plain:
				c.text = strconv.AppendInt(c.text, v, 10)
			default:
				if c.text, err = e.field(ctx, c.text, c.typ, value.IntCell(v)); err != nil {
					return err
				}
			}
			c.ends = append(c.ends, len(c.text))
		}
	case value.Float64:
		e.flts = grow(e.flts, n)
		if err := b.Page.Floats(ctx, c.cell, b.Lo, b.Hi, e.flts); err != nil {
			return err
		}
		for i, v := range e.flts {
			if !e.nulls[i] {
				c.text = value.AppendText(c.text, c.typ, value.FloatCell(v))
			}
			c.ends = append(c.ends, len(c.text))
		}
	case value.Float32:
		e.flt32 = grow(e.flt32, n)
		if err := b.Page.Float32s(ctx, c.cell, b.Lo, b.Hi, e.flt32); err != nil {
			return err
		}
		for i, v := range e.flt32 {
			if !e.nulls[i] {
				c.text = value.AppendText(c.text, c.typ, value.Float32Cell(v))
			}
			c.ends = append(c.ends, len(c.text))
		}
	default:
		return e.strings(ctx, c, b)
	}
	return nil
}

// strings makes the fields of a column of class Bytes.
func (e *exporter) strings(ctx context.Context, c *exportColumn, b table.Block) error {
	e.strs.Reset()
	if err := b.Page.Bytes(ctx, c.cell, b.Lo, b.Hi, &e.strs); err != nil {
		return err
	}
	addrs := e.strs.Addrs
	asIs := isText(c.typ.Kind)
	var err error
	for i := range b.Hi - b.Lo {
		text := e.strs.At(i)
		addr := len(addrs) > 0 && addrs[0] == i
		if addr {
			addrs = addrs[1:]
		}
		switch {
		case e.nulls[i]:
		case addr:
			c.text, err = e.field(ctx, c.text, c.typ, value.AddrCell(text))
		case asIs:
			c.text = appendField(c.text, text, e.f.Comma)
		default:
			c.text, err = e.field(ctx, c.text, c.typ, value.BytesCell(text))
		}
		if err != nil {
			return err
		}
		c.ends = append(c.ends, len(c.text))
	}
	return nil
}

// grow is s with n elements, whatever they hold.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// isPlainInt tells whether the text of a kind's values is the cell in decimal.
func isPlainInt(k value.Kind) bool {
	switch k {
	case value.KindInt8, value.KindInt16, value.KindInt24, value.KindInt32, value.KindInt64,
		value.KindUint8, value.KindUint16, value.KindUint24, value.KindUint32:
		return true
	}
	return false
}

// isText tells whether the text of a kind's values is the cell itself.
func isText(k value.Kind) bool {
	switch k {
	case value.KindChar, value.KindVarchar, value.KindText, value.KindBinary, value.KindVarbinary, value.KindBlob:
		return true
	}
	return false
}

// appendField appends a value's text, quoted when a reader would take it for something else without.
func appendField(dst, text []byte, comma byte) []byte {
	if !needsQuotes(text, comma) {
		return append(dst, text...)
	}
	dst = append(dst, '"')
	for {
		i := bytes.IndexByte(text, '"')
		if i < 0 {
			break
		}
		dst = append(append(dst, text[:i+1]...), '"')
		text = text[i+1:]
	}
	return append(append(dst, text...), '"')
}

// needsQuotes tells whether a field must be quoted: an empty one, which would be NULL; one with a separator, a quote, a line end or a
// NUL; and, for other programs' sake, one with blanks at its ends and PostgreSQL's end of data.
func needsQuotes(text []byte, comma byte) bool {
	n := len(text)
	if n == 0 || text[0] <= ' ' || text[n-1] <= ' ' || n == 2 && string(text) == `\.` {
		return true
	}
	for _, c := range text {
		if c == comma || c <= '"' && (c == '"' || c == '\n' || c == '\r' || c == 0) {
			return true
		}
	}
	return false
}
