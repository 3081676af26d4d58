package page

import (
	"bytes"
	"context"

	"github.com/stemmadb/stemma/internal/value"
)

// Cell is the cell of a row in a column of the layout. It may alias the page's bytes.
func (p *Page) Cell(ctx context.Context, col, row int) (value.Cell, error) {
	c := &p.f.cols[col]
	k := p.find(c)
	if k < 0 {
		return c.absent, nil
	}
	if err := p.checkRow(row); err != nil {
		return value.Null, err
	}
	off, size, _ := p.loc(k)
	b, err := p.bytesAt(ctx, off)
	if err != nil {
		return value.Null, err
	}
	if v, ok := packedInt(b, size, p.n, row, c.phys); ok {
		return v, nil
	}
	var s segment
	if err := s.parse(b, size, p.n, c.phys); err != nil {
		return value.Null, err
	}
	if s.enc != encDict || s.store < storeFront16 || s.addrs != nil || s.isNull(row) {
		return s.cell(row, nil)
	}
	var buf strBuf
	str, err := s.str(row, buf[:0])
	return value.BytesCell(bytes.Clone(str)), err
}

// packedInt is the cell of a row of the usual segment of numbers: packed ones without NULLs. Other segments, and corrupt ones, are left
// to parse.
func packedInt(b []byte, size, n, row int, phys value.Phys) (value.Cell, bool) {
	if size < segHeader+8 || size > len(b)-tailLen || phys == value.Bytes {
		return value.Null, false
	}
	h := le.Uint64(b)
	w, form := uint(uint8(h>>8)), uint8(h>>16)
	if encoding(h) != encInts || uint8(h>>24) != 0 || w > maxWidth || segHeader+8+packedLen(n, w) > size {
		return value.Null, false
	}
	if form > maxScale+1 || form != 0 && phys == value.Int64 {
		return value.Null, false
	}
	v := int64(le.Uint64(b[segHeader:])) + int64(bitsAt(b[segHeader+8:], row, w))
	return fixedCell(phys, formBits(v, phys, form)), true
}
