package frame

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/page"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// DefaultBatchRows is how many rows a batch has unless it is told otherwise.
const DefaultBatchRows = 64 << 10

// Range is rows by their place in the order of the key, half open.
type Range struct{ From, To uint64 }

// ScanOptions choose what a scan reads.
type ScanOptions struct {
	Columns   []string // in this order, matched without case; nil is all, empty is rows without columns
	Range     *Range   // clipped to the rows that there are; nil is all
	BatchRows int      // rows of a batch at most; 0 is DefaultBatchRows
	Integers  bool     // BOOLEAN is int8
	Raw       bool     // columns are Raw as page.BatchColumn says
	Memory    memory.Allocator
	Metadata  map[string]string // of the schema, beside what the table's says
}

// Scan reads a view into record batches. It belongs to one goroutine.
type Scan struct {
	view    *table.View
	opt     ScanOptions
	scan    *table.Scan
	b       *page.Batcher
	rows    int
	skip    uint64 // rows still to be passed over
	left    uint64 // rows still to be given
	first   uint64 // place of the first row of the batch that is gathered
	cells   []value.Cell
	picked  []value.Cell
	at      []int // cell of each column of the batch
	phys    []value.Phys
	names   []string
	pending table.Block // what did not fit into the last batch
}

// Plain tells whether tables of that schema can be scanned: all columns that are asked for are kept. Columns that are computed when they
// are read need SQL.
func Plain(s *schema.Compiled, columns []string) bool {
	for _, c := range s.Columns {
		if c.Generated == "" || c.Stored {
			continue
		}
		if columns == nil {
			return false
		}
		for _, n := range columns {
			if i := s.ColumnIndex(n); i >= 0 && s.Columns[i].ID == c.ID {
				return false
			}
		}
	}
	return true
}

// FieldOf is a column as Arrow has it, with the keys stemma.type and those of extension types in its metadata.
func FieldOf(name string, t value.Type, nullable, integers bool) page.RowColumn {
	c := page.RowColumn{Name: name, Type: t, Nullable: nullable, Integer: integers}
	c.Metadata = page.TypeMetadata(t)
	if t.Kind == value.KindJSON {
		c.Metadata = arrow.NewMetadata(append(c.Metadata.Keys(), page.MetaExtension, extensionData), append(c.Metadata.Values(), page.JSONExtension, ""))
	}
	return c
}

// Keys of the metadata of schemas and, extensionData, of fields.
const (
	MetaPrimaryKey = "stemma.primary_key" // of a schema: the key's columns, a JSON array
	MetaRows       = "stemma.rows"        // of a schema: how many the table has

	extensionData = "ARROW:extension:metadata"
)

// KeyNames are the columns of the primary key, in its order.
func KeyNames(s *schema.Schema) []string {
	names := make([]string, len(s.PrimaryKey))
	for i, k := range s.PrimaryKey {
		names[i] = s.Columns[s.ColumnByID(k.Column)].Name
	}
	return names
}

// pickColumns are the places of columns in the schema.
func pickColumns(s *schema.Compiled, names []string) ([]int, error) {
	if names == nil {
		out := make([]int, len(s.Columns))
		for i := range out {
			out[i] = i
		}
		return out, nil
	}
	out := make([]int, len(names))
	for i, n := range names {
		if out[i] = s.ColumnIndex(n); out[i] < 0 {
			return nil, &ColumnError{Column: n, Near: errs.Nearest(n, columnNames(s))}
		}
	}
	return out, nil
}

func columnNames(s *schema.Compiled) []string {
	out := make([]string, len(s.Columns))
	for i, c := range s.Columns {
		out[i] = c.Name
	}
	return out
}

// ColumnError says that a table, or a frame, has no such column.
type ColumnError struct {
	Column string
	Near   []string // that may be meant
	Frame  bool     // it is the frame that has none
}

// Error implements error.
func (e *ColumnError) Error() string {
	if e.Frame {
		return "the frame has no column " + strconv.Quote(e.Column)
	}
	return "the table has no column " + strconv.Quote(e.Column)
}

// Unwrap gives an error of class NotFound.
func (e *ColumnError) Unwrap() error { return errs.New(errs.NotFound, "no column") }

// CellError says which cell of a frame or table is at fault.
type CellError struct {
	Column string // empty: the whole row
	Row    uint64 // from 0; NoRow: the whole column
	Err    error
}

// Error implements error.
func (e *CellError) Error() string {
	switch {
	case e.Row == NoRow:
		return "column " + strconv.Quote(e.Column) + ": " + e.Err.Error()
	case e.Column == "":
		return "row " + strconv.FormatUint(e.Row, 10) + ": " + e.Err.Error()
	}
	return "column " + strconv.Quote(e.Column) + ", row " + strconv.FormatUint(e.Row, 10) + ": " + e.Err.Error()
}

// Unwrap gives the error itself.
func (e *CellError) Unwrap() error { return e.Err }

// NewScan begins a scan of the view. A column that the table does not have is a *ColumnError.
func NewScan(ctx context.Context, v *table.View, opt ScanOptions) (*Scan, error) {
	s := v.Schema()
	cols, err := pickColumns(s, opt.Columns)
	if err != nil {
		return nil, err
	}
	if opt.BatchRows <= 0 {
		opt.BatchRows = DefaultBatchRows
	}
	if opt.Memory == nil {
		opt.Memory = memory.DefaultAllocator
	}
	shift := 0
	if s.Keyless() {
		shift = 1
	}
	l := v.Layout(table.RowsTree)
	picked := make([]int, len(cols))
	for i, c := range cols {
		picked[i] = c + shift
	}
	if v.Overlay().Len() == 0 && len(cols) < len(s.Columns) { // no keys are compared
		v = v.Projecting(picked)
	} else {
		v = v.Passing()
	}
	sc := &Scan{view: v, opt: opt, rows: opt.BatchRows, left: v.Count(), phys: l.Phys, cells: make([]value.Cell, len(l.Phys)), picked: make([]value.Cell, len(cols))}
	batch := make([]page.BatchColumn, len(cols))
	for i, c := range cols {
		col := &s.Columns[c]
		f := FieldOf(col.Name, col.Type, col.Nullable && !s.InPrimaryKey(col.ID), opt.Integers)
		batch[i] = page.BatchColumn{Column: c + shift, Name: f.Name, Nullable: f.Nullable, Metadata: f.Metadata, Integer: f.Integer, Raw: opt.Raw}
		sc.at, sc.names = append(sc.at, c+shift), append(sc.names, col.Name)
	}
	resolve := func(ctx context.Context, dst, addr []byte) ([]byte, error) {
		return table.AppendLong(ctx, v.Reader(), dst, addr)
	}
	if sc.b, err = l.Format.NewBatcher(opt.Memory, batch, min(opt.BatchRows, int(min(sc.left, 1<<20))), resolve); err != nil {
		return nil, err
	}
	key, err := json.Marshal(KeyNames(s.Schema))
	if err != nil {
		return nil, errs.With(errs.Internal, err)
	}
	meta := map[string]string{MetaPrimaryKey: string(key), MetaRows: strconv.FormatUint(v.Count(), 10)}
	for k, x := range opt.Metadata {
		meta[k] = x
	}
	md := arrow.MetadataFrom(meta)
	sc.b.SetMetadata(md)
	sc.begin(opt.Range)
	return sc, nil
}

// begin goes to the first row of the range, nil being all.
func (s *Scan) begin(r *Range) {
	so := table.ScanOptions{Rows: table.RowsTree}
	total := s.view.Count()
	s.first, s.left, s.skip, s.pending = 0, total, 0, table.Block{}
	if r != nil {
		from, to := min(r.From, total), min(r.To, total)
		s.left = max(to, from) - from
		s.first = from
		if from > 0 && s.left > 0 {
			if s.edited() {
				s.skip = from
			} else {
				so.From = from
			}
		}
	}
	s.scan = s.view.Scan(so)
}

// edited tells whether rows of the view are in its overlay, so that a row is not found by its place.
func (s *Scan) edited() bool { return s.view.Overlay().Len() > 0 }

// Schema is the schema of the batches.
func (s *Scan) Schema() *arrow.Schema { return s.b.Schema() }

// Rows is how many rows are still to come.
func (s *Scan) Rows() uint64 { return s.left }

// Next is the next batch, which the caller releases; nil at the end. A cell that Arrow has no value for is a *CellError.
func (s *Scan) Next(ctx context.Context) (arrow.RecordBatch, error) {
	for s.left > 0 {
		if err := ctx.Err(); err != nil {
			return nil, errs.With(errs.Canceled, err)
		}
		b := s.pending
		s.pending = table.Block{}
		if b.Page == nil && b.Row == nil {
			var ok bool
			var err error
			if b, ok, err = s.scan.Next(ctx); err != nil {
				return nil, err
			}
			if !ok {
				return nil, errs.New(errs.Corrupt, "read table: it ends %d rows early", s.left)
			}
		}
		full, err := s.take(ctx, b)
		if err != nil {
			return nil, s.located(err)
		}
		if full {
			break
		}
	}
	if s.b.Len() == 0 {
		return nil, nil
	}
	s.first += uint64(s.b.Len())
	return s.b.Record(), nil
}

// located names the row of the table of an error about a cell.
func (s *Scan) located(err error) error {
	var c *page.CellError
	if errors.As(err, &c) {
		return &CellError{Column: s.names[c.Column], Row: s.first + uint64(c.Row), Err: c.Err}
	}
	return err
}

// take gathers a block and tells whether the batch is full.
func (s *Scan) take(ctx context.Context, b table.Block) (full bool, err error) {
	if b.Page == nil {
		if s.skip > 0 {
			s.skip--
			return false, nil
		}
		if err := value.DecodeTuple(b.Row, s.phys, s.cells); err != nil {
			return false, err
		}
		for i, at := range s.at {
			s.picked[i] = s.cells[at]
		}
		s.left--
		if err := s.b.AppendRow(ctx, s.picked); err != nil {
			return false, err
		}
		return s.b.Len() >= s.rows || s.b.Size() > page.BatchBytes, nil
	}
	n := uint64(b.Hi - b.Lo)
	if s.skip >= n {
		s.skip -= n
		return false, nil
	}
	b.Lo += int(s.skip)
	s.skip = 0
	n = min(uint64(b.Hi-b.Lo), s.left, uint64(s.rows-s.b.Len()))
	rest := b
	rest.Lo += int(n)
	s.left -= n
	if s.left > 0 && rest.Lo < rest.Hi {
		s.pending = rest
	}
	if err := s.b.Append(ctx, b.Page, b.Lo, b.Lo+int(n)); err != nil {
		return false, err
	}
	return s.b.Len() >= s.rows || s.b.Size() > page.BatchBytes, nil
}

// Close gives buffers back. It may be called twice.
func (s *Scan) Close() { s.b.Release() }
