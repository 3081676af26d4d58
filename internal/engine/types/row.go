package types

import (
	"context"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// RowCodec converts between the engine's rows and tuples. It is safe for use by many goroutines at once; what changes is in the
// caller's slices.
type RowCodec struct {
	phys  []value.Phys // of the tuple's cells
	slots []slot       // by column of the row
}

// slot is a row's column: its codec, and the place of its cell in the tuple, or -1 when it has none.
type slot struct {
	codec *Codec
	cell  int
}

// NewRowCodec makes the codec of rows whose column i has codec codecs[i] and is cell cells[i] of a tuple with the classes phys. A
// column without a cell, -1, is NULL in rows read and left out of tuples written: a virtual column. The rows may have any subset of
// the tuple's cells, in any order; then only ToRow is of use.
func NewRowCodec(phys []value.Phys, codecs []*Codec, cells []int) (*RowCodec, error) {
	r := &RowCodec{phys: phys, slots: make([]slot, len(codecs))}
	for i, c := range codecs {
		at := cells[i]
		if at >= len(phys) || at >= 0 && phys[at] != c.phys {
			return nil, errs.New(errs.Internal, "make a row codec: column %d of type %s does not match cell %d", i, c.Type, at)
		}
		r.slots[i] = slot{codec: c, cell: at}
	}
	return r, nil
}

// Width is the number of columns of a row.
func (r *RowCodec) Width() int { return len(r.slots) }

// Cells is the number of cells of a tuple.
func (r *RowCodec) Cells() int { return len(r.phys) }

// ToCells converts a row to the cells of its tuple. Cells that no column has, such as a hidden ordinal, are left as they are; cells
// may share memory with the row.
func (r *RowCodec) ToCells(ctx context.Context, row sql.Row, cells []value.Cell) error {
	if len(row) != len(r.slots) {
		return errs.New(errs.Internal, "store a row: it has %d values for %d columns", len(row), len(r.slots))
	}
	for i := range r.slots {
		s := &r.slots[i]
		if s.cell < 0 {
			continue
		}
		cell, err := s.codec.ToCell(ctx, row[i])
		if err != nil {
			return err
		}
		cells[s.cell] = cell
	}
	return nil
}

// RowToTuple appends the tuple of a row to dst. cells is scratch of Cells length, in which the caller sets the cells that no column
// has.
func (r *RowCodec) RowToTuple(ctx context.Context, dst []byte, row sql.Row, cells []value.Cell) ([]byte, error) {
	if err := r.ToCells(ctx, row, cells); err != nil {
		return dst, err
	}
	return value.AppendTuple(dst, r.phys, cells), nil
}

// ToRow fills row, of Width length, from the cells of a tuple. Out-of-line cells must have been resolved; see OutOfLine.
func (r *RowCodec) ToRow(cells []value.Cell, row sql.Row) error {
	for i := range r.slots {
		s := &r.slots[i]
		if s.cell < 0 {
			row[i] = nil
			continue
		}
		v, err := s.codec.FromCell(cells[s.cell])
		if err != nil {
			return err
		}
		row[i] = v
	}
	return nil
}

// TupleToRow is ToRow of an encoded tuple. cells is scratch of Cells length and holds the tuple's cells afterwards.
func (r *RowCodec) TupleToRow(tuple []byte, cells []value.Cell, row sql.Row) error {
	if err := value.DecodeTuple(tuple, r.phys, cells); err != nil {
		return err
	}
	return r.ToRow(cells, row)
}

// OutOfLine calls resolve for each cell that the rows have and that is out of line, and puts what it returns in its place.
func (r *RowCodec) OutOfLine(cells []value.Cell, resolve func(addr []byte) ([]byte, error)) error {
	for i := range r.slots {
		at := r.slots[i].cell
		if at < 0 || !cells[at].IsAddr() {
			continue
		}
		b, err := resolve(cells[at].Bytes())
		if err != nil {
			return err
		}
		cells[at] = value.BytesCell(b)
	}
	return nil
}
