package table

import (
	"context"
	"unicode/utf8"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// LongLimit is the length in bytes above which a cell of a long type that is not part of the primary key is kept out of line.
// It is a constant of the format: whether a cell is out of line depends on nothing but its length.
const LongLimit = 1024

// store gives the form in which a row is kept: its long cells written to w and replaced by their addresses. cells is changed.
func store(ctx context.Context, w chunk.Writer, l *schema.Layout, types []value.Type, key []bool, cells []value.Cell) error {
	for i := range cells {
		if l.Phys[i] != value.Bytes || cells[i].IsNull() || cells[i].IsAddr() || key[i] || len(cells[i].Bytes()) <= LongLimit || !types[i].Long() {
			continue
		}
		addr, err := tree.WriteBlob(ctx, w, cells[i].Bytes())
		if err != nil {
			return err
		}
		cells[i] = value.AddrCell(addr)
	}
	return nil
}

// Resolve reads the value of an out-of-line cell; other cells are returned as they are.
func Resolve(ctx context.Context, r chunk.Reader, c value.Cell) (value.Cell, error) {
	if !c.IsAddr() {
		return c, nil
	}
	b, err := tree.ReadBlob(ctx, r, c.Bytes())
	if err != nil {
		return value.Null, err
	}
	return value.BytesCell(b), nil
}

// indexCells fills out with the cells of an index tuple, given those of the row. Long cells that the index needs are read.
func indexCells(ctx context.Context, r chunk.Reader, l *schema.Layout, types []value.Type, row, out []value.Cell) error {
	for i, src := range l.Source {
		c, err := Resolve(ctx, r, row[src.Cell])
		if err != nil {
			return err
		}
		if src.Prefix > 0 && !c.IsNull() {
			c = value.BytesCell(prefix(types[src.Cell], c.Bytes(), int(src.Prefix)))
		}
		out[i] = c
	}
	return nil
}

// prefix is the first n characters of a string, or bytes of a binary value.
func prefix(t value.Type, b []byte, n int) []byte {
	switch t.Kind {
	case value.KindBinary, value.KindVarbinary, value.KindBlob:
		return b[:min(n, len(b))]
	}
	at := 0
	for ; n > 0 && at < len(b); n-- {
		_, size := utf8.DecodeRune(b[at:])
		at += size
	}
	return b[:at]
}
