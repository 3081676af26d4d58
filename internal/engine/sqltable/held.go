package sqltable

import (
	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// Held is a table whose rows are those that it is given, in their order. It serves to evaluate expressions of a schema that is no
// session's, one query at a time.
type Held struct {
	def  *Def
	dec  *decoder
	rows [][]value.Cell
}

var (
	_ sql.Table           = (*Held)(nil)
	_ sql.PrimaryKeyTable = (*Held)(nil)
)

// NewHeld is a table without rows, in the database db; rd serves cells out of line.
func NewHeld(s *schema.Compiled, db, name string, rd chunk.Reader) (*Held, error) {
	d, err := newDef(s, db, name)
	if err != nil {
		return nil, err
	}
	return &Held{def: d, dec: newDecoder(rd, d.sources(nil, d.cells), s.Primary.Phys)}, nil
}

// Hold sets the rows: cells of the rows' layout, which must stay as they are.
func (h *Held) Hold(rows [][]value.Cell) { h.rows = rows }

// Cell is a value of the engine as the column of that place stores it, as INSERT would.
func (h *Held) Cell(ctx *sql.Context, column int, v any) (value.Cell, error) {
	if v == nil {
		return value.Null, nil
	}
	typ := h.def.sql.Schema[column].Type
	stored, inRange, err := typ.Convert(ctx, v)
	if err != nil {
		return value.Cell{}, err
	}
	if inRange != sql.InRange {
		return value.Cell{}, sql.ErrValueOutOfRange.New(v, typ)
	}
	c, err := h.def.codecs[column].ToCell(ctx, stored)
	return c.Clone(), err
}

// Name implements sql.Table.
func (h *Held) Name() string { return h.def.Name }

// String implements sql.Table.
func (h *Held) String() string { return h.def.Name }

// Schema implements sql.Table.
func (h *Held) Schema(*sql.Context) sql.Schema { return h.def.sql.Schema }

// Collation implements sql.Table.
func (h *Held) Collation() sql.CollationID { return (&Table{def: h.def}).Collation() }

// PrimaryKeySchema implements sql.PrimaryKeyTable.
func (h *Held) PrimaryKeySchema(*sql.Context) sql.PrimaryKeySchema { return h.def.sql }

// Partitions implements sql.Table.
func (h *Held) Partitions(*sql.Context) (sql.PartitionIter, error) {
	return sql.PartitionsToPartitionIter(heldPartition{}), nil
}

// PartitionRows implements sql.Table.
func (h *Held) PartitionRows(ctx *sql.Context, _ sql.Partition) (sql.RowIter, error) {
	out := make([]sql.Row, len(h.rows))
	for i, cells := range h.rows {
		out[i] = make(sql.Row, h.dec.width())
		if err := h.dec.row(ctx, cells, out[i]); err != nil {
			return nil, err
		}
	}
	return sql.RowsToRowIter(out...), nil
}

// heldPartition is all of it.
type heldPartition struct{}

// Key implements sql.Partition.
func (heldPartition) Key() []byte { return []byte{0} }
