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

// Complete sets the generated columns of rows, which have the cells of the rows' layout, and holds the rows against CHECK constraints. An
// error says which of them it is about; it is of class Constraint for a row that violates one, Invalid for a value that cannot be made.
// A Complete is for one goroutine.
type Complete = func(ctx context.Context, rows ...[]value.Cell) (bad int, err error)

// completeRows is the number of rows that are completed together.
const completeRows = 512

// NoRow stands for the number of a row that is not known, and in a CellError for no row at all.
const NoRow = math.MaxUint64

// incomplete tells whether rows of the table need a Complete.
func (l *load) incomplete() bool {
	if l.view == nil {
		return false
	}
	for i := range l.schema.Checks {
		if l.schema.Checks[i].Enforced {
			return true
		}
	}
	for i := range l.schema.Columns {
		if l.schema.Columns[i].Generated != "" {
			return true
		}
	}
	return false
}

// completer makes a Complete of the table; nil when its rows need none.
func (l *load) completer(ctx context.Context) (func(ctx context.Context, rows [][]value.Cell, at []uint64) error, error) {
	if !l.incomplete() {
		return nil, nil
	}
	complete, err := l.to.Completer(ctx, l.name)
	if err != nil {
		return nil, err
	}
	if complete == nil {
		return nil, errs.New(errs.Unsupported, "table %s has CHECK constraints or generated columns, which only SQL can evaluate here", l.name)
	}
	shift := len(l.template) - len(l.schema.Columns)
	return func(ctx context.Context, rows [][]value.Cell, at []uint64) error {
		if bad, err := complete(ctx, rows...); err != nil {
			if bad < 0 || bad >= len(rows) || errs.Is(err, errs.Canceled) {
				return err
			}
			return l.rowError("", rows[bad], at[bad], err)
		}
		for c := range l.schema.Columns {
			col := &l.schema.Columns[c]
			if col.Generated == "" || col.Nullable || !col.Stored {
				continue
			}
			for i, cells := range rows {
				if cells[shift+c].IsNull() {
					return l.rowError(col.Name, cells, at[i], errs.New(errs.Constraint, "NULL in a column that is NOT NULL"))
				}
			}
		}
		return nil
	}, nil
}

// rowError is an error about a row of the frame, or of a key where its number is not known.
func (l *load) rowError(column string, cells []value.Cell, at uint64, err error) error {
	if at != NoRow {
		return &CellError{Column: column, Row: at, Err: err}
	}
	return errs.New(errs.CodeOf(err), "the row with the primary key %s: %w", table.DescribeKey(l.schema, value.AppendTuple(nil, l.schema.Primary.Phys, cells)), err)
}

// heldRows are copies of rows that wait to be completed.
type heldRows struct {
	rows [][]value.Cell
	at   []uint64
	n    int
}

// add copies a row and tells whether it is time to complete them.
func (h *heldRows) add(cells []value.Cell, at uint64) bool {
	if h.n == len(h.rows) {
		h.rows, h.at = append(h.rows, make([]value.Cell, len(cells))), append(h.at, 0)
	}
	for i := range cells {
		h.rows[h.n][i] = cells[i].Clone()
	}
	h.at[h.n] = at
	h.n++
	return h.n == completeRows
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
