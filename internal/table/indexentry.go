package table

import (
	"context"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// IndexEntries makes the entries of an index from rows. It belongs to one goroutine.
type IndexEntries struct {
	r     chunk.Reader
	l     *schema.Layout
	types []value.Type
	out   []value.Cell
}

// NewIndexEntries makes entries of index n of s. r serves the long cells of the rows.
func NewIndexEntries(r chunk.Reader, s *schema.Compiled, n int) *IndexEntries {
	return &IndexEntries{r: r, l: s.Index[n], types: s.Types, out: make([]value.Cell, len(s.Index[n].Source))}
}

// Append appends the key and the tuple of the entry of a row, given as cells of the rows' layout, to key and tuple.
func (x *IndexEntries) Append(ctx context.Context, key, tuple []byte, row []value.Cell) ([]byte, []byte, error) {
	if err := indexCells(ctx, x.r, x.l, x.types, row, x.out); err != nil {
		return key, tuple, err
	}
	return x.l.AppendKey(key, x.out), value.AppendTuple(tuple, x.l.Phys, x.out), nil
}
