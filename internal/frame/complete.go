package frame

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// NoRow stands for the number of a row that is not known, and in a CellError for no row at all.
const NoRow = math.MaxUint64

// completer makes a Complete of the table; nil when its rows need none.
func (l *load) completer(ctx context.Context) (table.Complete, error) {
	if l.view == nil || !table.NeedsComplete(l.schema) {
		return nil, nil
	}
	complete, err := l.to.Completer(ctx, l.name)
	if err != nil {
		return nil, err
	}
	if complete == nil {
		return nil, errs.New(errs.Unsupported, "table %s has CHECK constraints or generated columns, which only SQL can evaluate here", l.name)
	}
	return complete, nil
}

// rowError is an error about a row of the frame, or of a key where its number is not known.
func (l *load) rowError(column string, cells []value.Cell, at uint64, err error) error {
	if at != NoRow {
		return &CellError{Column: column, Row: at, Err: err}
	}
	return errs.New(errs.CodeOf(err), "the row with the primary key %s: %w", table.DescribeKey(l.schema, value.AppendTuple(nil, l.schema.Primary.Phys, cells)), err)
}

// withoutGenerated is the frame without the columns that the table generates: what they hold comes of the others.
func (l *load) withoutGenerated() {
	var keep []int
	fields := l.src.Schema().Fields()
	for i, f := range fields {
		c := l.schema.ColumnIndex(f.Name)
		if c >= 0 && l.schema.Columns[c].Generated != "" {
			l.res.Generated = append(l.res.Generated, l.schema.Columns[c].Name)
			continue
		}
		keep = append(keep, i)
	}
	if len(keep) == len(fields) {
		return
	}
	kept := make([]arrow.Field, len(keep))
	for i, k := range keep {
		kept[i] = fields[k]
	}
	l.src = &projected{src: l.src, keep: keep, schema: arrow.NewSchema(kept, nil)}
}

// projected is some columns of a frame.
type projected struct {
	src    Source
	keep   []int
	schema *arrow.Schema
}

// Schema implements Source.
func (p *projected) Schema() *arrow.Schema { return p.schema }

// Next implements Source.
func (p *projected) Next(ctx context.Context) (arrow.RecordBatch, error) {
	b, err := p.src.Next(ctx)
	if err != nil || b == nil {
		return nil, err
	}
	defer b.Release()
	columns := make([]arrow.Array, len(p.keep))
	for i, k := range p.keep {
		columns[i] = b.Column(k)
	}
	return array.NewRecordBatch(p.schema, columns, b.NumRows()), nil
}

// numbered is a copy of a row with its number behind it, as a sorter keeps it; unnumbered takes them apart.
func numbered(row []byte, at uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, len(row)+8), row...), at)
}

func unnumbered(row []byte) ([]byte, uint64) {
	n := len(row) - 8
	return row[:n], binary.BigEndian.Uint64(row[n:])
}
