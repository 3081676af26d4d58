package table

import (
	"context"
	"unicode/utf8"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// LongLimit is the length in bytes above which a cell of a long type is kept out of line, unless it is part of the primary key or
// is the column's absent value. It is a constant of the format: whether a cell is out of line depends on its value and the schema
// only. The absent value stays in line because rows from before the column have it so, and equal rows make equal pages.
const LongLimit = 1024

// store gives the form in which a row is kept: its long cells written to w and replaced by their addresses. cells is changed.
func store(ctx context.Context, w chunk.Writer, l *schema.Layout, types []value.Type, key []bool, cells []value.Cell) error {
	for i := range cells {
		if l.Phys[i] != value.Bytes || cells[i].IsNull() || cells[i].IsAddr() || key[i] || len(cells[i].Bytes()) <= LongLimit || !types[i].Long() || cells[i].Equal(l.Absent[i]) {
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

// AppendLong appends the value of an out-of-line cell, given by its address, to dst and returns the longer slice. It is for those who
// read many values once; Resolve keeps what it reads in memory.
func AppendLong(ctx context.Context, r chunk.Reader, dst, addr []byte) ([]byte, error) {
	return tree.AppendBlob(ctx, r, dst, addr)
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

// IndexMatches tells whether cells are the entry that a row makes in index n.
func IndexMatches(ctx context.Context, r chunk.Reader, s *schema.Compiled, n int, row, cells []value.Cell) (bool, error) {
	types := s.Types
	want := make([]value.Cell, len(cells))
	if err := indexCells(ctx, r, s.Index[n], types, row, want); err != nil {
		return false, err
	}
	for i := range want {
		if !want[i].Equal(cells[i]) {
			return false, nil
		}
	}
	return true, nil
}
