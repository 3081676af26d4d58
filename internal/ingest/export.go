package ingest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"strconv"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/page"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// Export writes the rows of a table, in the order of its key, as a file that Load reads back. In CSV NULL is an empty field, the empty
// string "", and floats have all the digits that tell them from their neighbours; in JSON members that are NULL are left out, numbers
// and documents stand for themselves, bytes are in base64, and all else is text; Parquet and Arrow have types, and notes of those that
// they lack. It returns the number of rows. rows, which may be nil, is told how many more have been written.
func Export(ctx context.Context, w io.Writer, v *table.View, f Format, rows func(int64)) (n uint64, err error) {
	if rows == nil {
		rows = func(int64) {}
	}
	v = v.Passing()
	switch {
	case f.Columnar():
		return exportBatches(ctx, w, v, f, rows)
	case !f.text():
		return 0, errs.New(errs.Unsupported, "workbooks are read, not written: csv is what they read in turn")
	}
	z, err := f.compress(w)
	if err != nil {
		return 0, err
	}
	if n, err = exportText(ctx, z, v, f, rows); err != nil {
		return n, errors.Join(err, z.Close())
	}
	return n, z.Close()
}

// exportRows is about how many rows one worker makes text of at once.
const exportRows = 16 << 10

// exportText writes the rows as text that workers make.
func exportText(ctx context.Context, w io.Writer, v *table.View, f Format, rows func(int64)) (n uint64, err error) {
	head, tail := f.ends(v.Schema())
	if _, err := w.Write(head); err != nil {
		return 0, err
	}
	g := &gatherer{scan: v.Scan(table.ScanOptions{Rows: table.RowsTree}), most: exportRows}
	worker := func() func(*gathered, *[]byte) error {
		e := newExporter(v, f)
		return func(in *gathered, out *[]byte) error {
			e.out = (*out)[:0]
			for _, b := range in.blocks {
				if err := e.block(ctx, b); err != nil {
					return err
				}
			}
			*out = e.out
			return nil
		}
	}
	err = each(ctx, func(b *gathered) (bool, error) { return g.next(ctx, b) }, runtime.GOMAXPROCS(0), worker, func(in *gathered, out *[]byte) error {
		text := *out
		if n == 0 && f.Type == JSON {
			text = text[1:] // the comma that stands before each object
		}
		n += uint64(in.rows)
		rows(int64(in.rows))
		_, err := w.Write(text)
		return err
	})
	if err != nil {
		return n, err
	}
	_, err = w.Write(tail)
	return n, err
}

// ends are what stands before and behind the rows.
func (f *Format) ends(s *schema.Compiled) (head, tail []byte) {
	switch {
	case f.Type == JSON:
		return []byte(`{"rows": [`), []byte("\n]}\n")
	case f.Type == JSONL || f.NoHeader:
		return nil, nil
	}
	for i := range s.Columns {
		if i > 0 {
			head = append(head, f.Comma)
		}
		head = appendField(head, []byte(f.shown(s.Columns[i].Name)), f.Comma)
	}
	return append(head, '\n'), nil
}

// gathered is some blocks of a scan.
type gathered struct {
	blocks []table.Block
	rows   int
}

// gatherer puts the blocks of a scan together, most rows of them or a few more.
type gatherer struct {
	scan *table.Scan
	most int
}

func (g *gatherer) next(ctx context.Context, out *gathered) (bool, error) {
	clear(out.blocks)
	out.blocks, out.rows = out.blocks[:0], 0
	for out.rows < g.most {
		b, ok, err := g.scan.Next(ctx)
		if err != nil {
			return false, err
		}
		if !ok {
			break
		}
		out.blocks = append(out.blocks, b)
		out.rows += max(b.Hi-b.Lo, 1)
	}
	return out.rows > 0, nil
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

func newExporter(v *table.View, f Format) *exporter {
	e := &exporter{v: v, f: f}
	shift := 0
	if v.Schema().Keyless() {
		shift = 1
	}
	for i := range v.Schema().Columns {
		c := &v.Schema().Columns[i]
		col := exportColumn{cell: i + shift, typ: c.Type}
		if f.Type != CSV {
			col.name = append(appendJSONString(nil, []byte(f.shown(c.Name))), ':')
		}
		e.cols = append(e.cols, col)
	}
	return e
}

// exportColumn is the fields of a column of a block: field i is text[ends[i-1]:ends[i]].
type exportColumn struct {
	cell int
	typ  value.Type
	name []byte // of JSON, with the colon
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
		at := e.begin()
		for i := range e.cols {
			c := &e.cols[i]
			from := 0
			if r > 0 {
				from = c.ends[r-1]
			}
			if e.member(at, i, c.ends[r] == from) {
				e.out = append(e.out, c.text[from:c.ends[r]]...)
			}
		}
		e.end()
	}
	return nil
}

// begin begins a record and returns where its first field will be.
func (e *exporter) begin() int {
	switch e.f.Type {
	case JSON:
		e.out = append(e.out, ",\n{"...)
	case JSONL:
		e.out = append(e.out, '{')
	}
	return len(e.out)
}

// member writes what stands before field i of a record whose fields begin there, and tells whether the field is to be written.
func (e *exporter) member(first, i int, null bool) bool {
	if e.f.Type == CSV {
		if i > 0 {
			e.out = append(e.out, e.f.Comma)
		}
		return true
	}
	if null {
		return false
	}
	if len(e.out) > first {
		e.out = append(e.out, ',')
	}
	e.out = append(e.out, e.cols[i].name...)
	return true
}

// end ends a record.
func (e *exporter) end() {
	switch e.f.Type {
	case CSV:
		e.out = append(e.out, '\n')
	case JSON:
		e.out = append(e.out, '}')
	case JSONL:
		e.out = append(e.out, "}\n"...)
	}
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
	at := e.begin()
	for i := range e.cols {
		c := e.cells[e.cols[i].cell]
		if !e.member(at, i, c.IsNull()) {
			continue
		}
		var err error
		if e.out, err = e.field(ctx, e.out, e.cols[i].typ, c); err != nil {
			return err
		}
	}
	e.end()
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
	if e.f.Type != CSV {
		return appendJSON(dst, t.Kind, e.text), nil
	}
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
				c.text = e.float(c.text, c.typ, value.FloatCell(v))
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
				c.text = e.float(c.text, c.typ, value.Float32Cell(v))
			}
			c.ends = append(c.ends, len(c.text))
		}
	default:
		return e.strings(ctx, c, b)
	}
	return nil
}

// float appends a floating point number. JSON has no NaN and no infinity, so there they are text.
func (e *exporter) float(dst []byte, t value.Type, c value.Cell) []byte {
	at := len(dst)
	dst = value.AppendText(dst, t, c)
	if k := dst[len(dst)-1]; e.f.Type != CSV && k-'0' > 9 {
		return appendJSONString(dst[:at], bytes.Clone(dst[at:]))
	}
	return dst
}

// strings makes the fields of a column of class Bytes.
func (e *exporter) strings(ctx context.Context, c *exportColumn, b table.Block) error {
	e.strs.Reset()
	if err := b.Page.Bytes(ctx, c.cell, b.Lo, b.Hi, &e.strs); err != nil {
		return err
	}
	addrs := e.strs.Addrs
	asIs := isText(c.typ.Kind) && e.f.Type == CSV
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
