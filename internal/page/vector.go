package page

import (
	"context"
	"math"
	"slices"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// column is the column col, checked to be of class p, and the rows [lo,hi) to exist.
func (p *Page) column(col int, phys value.Phys, lo, hi int) (*column, error) {
	if col < 0 || col >= len(p.f.cols) || p.f.cols[col].phys != phys {
		return nil, errs.New(errs.Internal, "read page: column %d is not of class %d", col, phys)
	}
	return &p.f.cols[col], p.checkRange(lo, hi)
}

func (p *Page) checkRange(lo, hi int) error {
	if lo < 0 || hi < lo || hi > p.n {
		return errs.New(errs.Internal, "read page: rows [%d,%d) of %d", lo, hi, p.n)
	}
	return nil
}

// Ints fills dst, of length hi-lo, with rows [lo,hi) of a column of class Int64. NULL rows have some number.
func (p *Page) Ints(ctx context.Context, col, lo, hi int, dst []int64) error {
	return p.nums(ctx, col, value.Int64, lo, hi, dst[:hi-lo])
}

// nums fills dst with the bits of the cells.
func (p *Page) nums(ctx context.Context, col int, phys value.Phys, lo, hi int, dst []int64) error {
	c, err := p.column(col, phys, lo, hi)
	if err != nil {
		return err
	}
	var s segment
	ok, err := p.segmentOf(ctx, c, &s)
	if err != nil {
		return err
	}
	if !ok {
		for i := range dst {
			dst[i] = c.absentBits
		}
		return nil
	}
	sc := p.f.scratch()
	defer p.f.release(sc)
	if err := s.readNums(dst, lo, &sc.codes); err != nil {
		return err
	}
	s.toRaw(dst)
	return nil
}

// Floats fills dst, of length hi-lo, with rows [lo,hi) of a column of class Float64. NULL rows have some number.
func (p *Page) Floats(ctx context.Context, col, lo, hi int, dst []float64) error {
	dst = dst[:hi-lo]
	c, err := p.column(col, value.Float64, lo, hi)
	if err != nil {
		return err
	}
	var s segment
	ok, err := p.segmentOf(ctx, c, &s)
	if err != nil {
		return err
	}
	if ok && s.nulls != nullsAll && s.enc == encInts && s.form != 0 {
		unpackDec(dst, s.vals, lo, s.width, s.base, pow10[s.form-1])
		return nil
	}
	sc := p.f.scratch()
	defer p.f.release(sc)
	bits := grow(&sc.numsA, len(dst))
	if err := p.nums(ctx, col, value.Float64, lo, hi, bits); err != nil {
		return err
	}
	for i, b := range bits {
		dst[i] = math.Float64frombits(uint64(b))
	}
	return nil
}

// Float32s fills dst, of length hi-lo, with rows [lo,hi) of a column of class Float32. NULL rows have some number.
func (p *Page) Float32s(ctx context.Context, col, lo, hi int, dst []float32) error {
	dst = dst[:hi-lo]
	sc := p.f.scratch()
	defer p.f.release(sc)
	bits := grow(&sc.numsA, len(dst))
	if err := p.nums(ctx, col, value.Float32, lo, hi, bits); err != nil {
		return err
	}
	for i, b := range bits {
		dst[i] = math.Float32frombits(uint32(b))
	}
	return nil
}

// Nulls tells which of rows [lo,hi) are NULL, one bool each in dst, of length hi-lo, and how many.
func (p *Page) Nulls(ctx context.Context, col, lo, hi int, dst []bool) (int, error) {
	dst = dst[:hi-lo]
	if err := p.checkRange(lo, hi); err != nil {
		return 0, err
	}
	c := &p.f.cols[col]
	var s segment
	ok, err := p.segmentOf(ctx, c, &s)
	if err != nil {
		return 0, err
	}
	clear(dst)
	switch {
	case !ok && !c.absentNull || ok && s.nulls == nullsNone:
		return 0, nil
	case !ok || s.nulls == nullsAll:
		for i := range dst {
			dst[i] = true
		}
		return len(dst), nil
	}
	for i := range dst {
		dst[i] = !bitSet(s.valid, lo+i)
	}
	return len(dst) - countBits(s.valid, lo, hi), nil
}

// NullCount is the number of NULL cells among rows [lo,hi).
func (p *Page) NullCount(ctx context.Context, col, lo, hi int) (int, error) {
	if err := p.checkRange(lo, hi); err != nil {
		return 0, err
	}
	c := &p.f.cols[col]
	var s segment
	ok, err := p.segmentOf(ctx, c, &s)
	switch {
	case err != nil:
		return 0, err
	case !ok && c.absentNull || ok && s.nulls == nullsAll:
		return hi - lo, nil
	case !ok || s.nulls == nullsNone:
		return 0, nil
	}
	return hi - lo - countBits(s.valid, lo, hi), nil
}

// Strings collects cells of class Bytes: cell i is Data[Offs[i]:Offs[i+1]], empty when NULL. Addrs are the cells, ascending, whose
// bytes are the address of an out-of-line value. The zero Strings is empty and ready; Reset keeps its memory.
type Strings struct {
	Offs  []uint32
	Data  []byte
	Addrs []int
}

// Reset empties s.
func (s *Strings) Reset() { s.Offs, s.Data, s.Addrs = s.Offs[:0], s.Data[:0], s.Addrs[:0] }

// Len is the number of cells.
func (s *Strings) Len() int { return max(0, len(s.Offs)-1) }

// At is cell i.
func (s *Strings) At(i int) []byte { return s.Data[s.Offs[i]:s.Offs[i+1]] }

// Bytes appends rows [lo,hi) of a column of class Bytes to dst.
func (p *Page) Bytes(ctx context.Context, col, lo, hi int, dst *Strings) error {
	c, err := p.column(col, value.Bytes, lo, hi)
	if err != nil {
		return err
	}
	var s segment
	ok, err := p.segmentOf(ctx, c, &s)
	if err != nil {
		return err
	}
	if len(dst.Offs) == 0 {
		dst.Offs = append(dst.Offs, 0)
	}
	at := dst.Len()
	n := hi - lo
	if !ok || s.nulls == nullsAll {
		v := c.absentStr
		if ok {
			v = nil
		}
		for i := range n {
			dst.Data = append(dst.Data, v...)
			dst.Offs = append(dst.Offs, uint32(len(dst.Data)))
			if !ok && c.absentAddr {
				dst.Addrs = append(dst.Addrs, at+i)
			}
		}
		return nil
	}
	for i := lo; i < hi && s.addrs != nil; i++ {
		if bitSet(s.addrs, i) && !s.isNull(i) {
			dst.Addrs = append(dst.Addrs, at+i-lo)
		}
	}
	sc := p.f.scratch()
	defer p.f.release(sc)
	rows, err := s.readStrings(lo, hi, sc)
	if err != nil {
		return err
	}
	room, err := rows.room()
	if err != nil {
		return err
	}
	if uint64(len(dst.Data))+uint64(room) > math.MaxUint32 {
		return errs.New(errs.Invalid, "read page: more than 4 GiB of strings in one batch")
	}
	dst.Offs = slices.Grow(dst.Offs, n)[:at+1+n]
	dst.Data = slices.Grow(dst.Data, room+gatherSlack)
	end, err := rows.copyTo(dst.Data[:cap(dst.Data)], dst.Offs[at:])
	dst.Data = dst.Data[:end]
	return err
}

// Dict is a column of class Bytes as codes into sorted distinct strings. Its slices are reused from call to call.
type Dict struct {
	Offs  []uint32 // entry c is Data[Offs[c]:Offs[c+1]]
	Data  []byte   // may alias the page
	Codes []uint32 // for each row; NULL rows have some code

	flat flatDict
}

// Len is the number of entries.
func (d *Dict) Len() int { return max(0, len(d.Offs)-1) }

// At is entry c.
func (d *Dict) At(c int) []byte { return d.Data[d.Offs[c]:d.Offs[c+1]] }

// Dict reads rows [lo,hi) of a column of class Bytes into dst. ok is false when the page keeps them without a dictionary, all of
// them are NULL, or some are out of line.
func (p *Page) Dict(ctx context.Context, col, lo, hi int, dst *Dict) (ok bool, err error) {
	c, err := p.column(col, value.Bytes, lo, hi)
	if err != nil {
		return false, err
	}
	var s segment
	ok, err = p.segmentOf(ctx, c, &s)
	if err != nil {
		return false, err
	}
	if !ok {
		if c.absentNull || c.absentAddr {
			return false, nil
		}
		dst.Data = c.absentStr
		dst.Offs = append(dst.Offs[:0], 0, uint32(len(c.absentStr)))
		clear(grow(&dst.Codes, hi-lo))
		return true, nil
	}
	if s.enc != encDict || s.nulls == nullsAll || s.addrs != nil {
		return false, nil
	}
	if err := s.readCodes(grow(&dst.Codes, hi-lo), lo); err != nil {
		return false, err
	}
	dst.flat.offs = dst.Offs
	if err := dst.flat.read(&s); err != nil {
		return false, err
	}
	dst.Offs, dst.Data = dst.flat.offs, dst.flat.data
	return true, nil
}
