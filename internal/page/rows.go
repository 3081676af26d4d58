package page

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// strBuf is room on the stack for a string of a front-coded dictionary.
type strBuf [128]byte

func fixedCell(p value.Phys, bits uint64) value.Cell {
	switch p {
	case value.Float64:
		return value.FloatCell(math.Float64frombits(bits))
	case value.Float32:
		return value.Float32Cell(math.Float32frombits(uint32(bits)))
	}
	return value.IntCell(int64(bits))
}

// cell is the cell of row i. Strings of front-coded dictionaries are built in buf, which the cell then aliases.
func (s *segment) cell(i int, buf []byte) (value.Cell, error) {
	if s.isNull(i) {
		return value.Null, nil
	}
	if s.phys != value.Bytes {
		v, err := s.num(i)
		return fixedCell(s.phys, s.rawBits(v)), err
	}
	b, err := s.str(i, buf)
	if err != nil {
		return value.Null, err
	}
	if s.isAddr(i) {
		if len(b) != value.AddrSize {
			return value.Null, corrupt("bad address of an out-of-line cell")
		}
		return value.AddrCell(b), nil
	}
	return value.BytesCell(b), nil
}

func (p *Page) checkRow(i int) error {
	if i < 0 || i >= p.n {
		return errs.New(errs.Internal, "read page: row %d of %d", i, p.n)
	}
	return nil
}

// Cell is the cell of a row in a column of the layout. It may alias the page's bytes.
func (p *Page) Cell(ctx context.Context, col, row int) (value.Cell, error) {
	c := &p.f.cols[col]
	if c.phys != value.Bytes && row >= 0 && row < p.n {
		if x, ok := p.wholes(c); ok {
			return fixedCell(c.phys, formBits(x.at(row), c.phys, x.form)), nil
		}
	}
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
	if c.phys == value.Bytes {
		if str, ok := quickString(b, size, p.n, row); ok {
			return value.BytesCell(str), nil
		}
	}
	var s segment
	if err := s.parse(b, size, p.n, c.phys); err != nil {
		return value.Null, err
	}
	return s.cell(row, nil)
}

// Row fills cells, one for each column of the layout, from the row of that key, which Search has found. Strings of the key columns are
// copied; other cells may alias the page's bytes.
func (p *Page) Row(ctx context.Context, key []byte, row int, cells []value.Cell) error {
	var found uint64 // columns, of the first 64, whose cells the key tells
	var space [64]byte
	for k := range p.f.key {
		kp := &p.f.key[k]
		n := partLen(key, kp)
		if n < 0 {
			break
		}
		c := &p.f.cols[kp.col]
		if kp.col < 64 && !kp.part.Desc && (kp.raw || c.phys == value.Int64) {
			var pr probe
			if pr.parse(key[:n], kp, space[:0]) {
				switch {
				case pr.null:
					cells[kp.col] = value.Null
				case c.phys == value.Int64:
					cells[kp.col] = value.IntCell(int64(pr.num ^ 1<<63))
				default:
					cells[kp.col] = value.BytesCell(bytes.Clone(pr.str))
				}
				found |= 1 << kp.col
			}
		}
		key = key[n:]
	}
	for c := range cells {
		if c < 64 && found>>c&1 != 0 {
			continue
		}
		var err error
		if cells[c], err = p.Cell(ctx, c, row); err != nil {
			return err
		}
	}
	return nil
}

// ColumnBytes is how many bytes the page has of a column, encoded, those in its groups included.
func (p *Page) ColumnBytes(col int) int {
	k := p.find(&p.f.cols[col])
	if k < 0 {
		return 0
	}
	_, size, _ := p.loc(k)
	return size
}

// AppendKey implements tree.Leaf. The key of a corrupt row is some key.
func (p *Page) AppendKey(dst []byte, i int) []byte {
	return p.appendKeyFrom(dst, i, 0)
}

// appendKeyFrom appends the parts of row i's key from part k on.
func (p *Page) appendKeyFrom(dst []byte, i, k int) []byte {
	var s segment
	var buf strBuf
	for ; k < len(p.f.key); k++ {
		kp := &p.f.key[k]
		c := &p.f.cols[kp.col]
		cell := c.absent
		if p.keySegment(c, &s) {
			v, err := s.cell(i, buf[:0])
			if err != nil {
				v = value.Null
			}
			cell = v
		}
		dst = value.AppendKeyPart(dst, &kp.part, cell)
	}
	return dst
}

// AppendRow implements tree.Leaf.
func (p *Page) AppendRow(ctx context.Context, dst []byte, i int) ([]byte, error) {
	if err := p.checkRow(i); err != nil {
		return dst, err
	}
	at := len(dst)
	for range (len(p.f.cols) + 7) / 8 {
		dst = append(dst, 0)
	}
	var s segment
	var buf strBuf
	for k := range p.f.cols {
		c := &p.f.cols[k]
		ok, err := p.segmentOf(ctx, c, &s)
		if err != nil {
			return dst, err
		}
		cell := c.absent
		if ok {
			if cell, err = s.cell(i, buf[:0]); err != nil {
				return dst, err
			}
		}
		if cell.IsNull() {
			continue
		}
		dst[at+k>>3] |= 1 << (k & 7)
		dst = appendCell(dst, c.phys, cell)
	}
	return dst, nil
}

// appendCell appends a cell that is not NULL in the form of a tuple (value.AppendTuple).
func appendCell(dst []byte, p value.Phys, c value.Cell) []byte {
	switch p {
	case value.Int64:
		return binary.AppendVarint(dst, c.Int())
	case value.Float64:
		return le.AppendUint64(dst, c.Bits())
	case value.Float32:
		return le.AppendUint32(dst, uint32(c.Bits()))
	}
	b := c.Bytes()
	l := uint64(len(b)) << 1
	if c.IsAddr() {
		l |= 1
	}
	return append(binary.AppendUvarint(dst, l), b...)
}

// Weights implements tree.Leaf.
func (p *Page) Weights(ctx context.Context, dst []int32, i, j int) ([]int32, error) {
	at := len(dst)
	for range j - i {
		dst = append(dst, rowWeight)
	}
	out := dst[at:]
	sc := p.f.scratch()
	defer p.f.release(sc)
	for k := range p.f.cols {
		if err := p.addWeights(ctx, out, &p.f.cols[k], i, sc); err != nil {
			return dst[:at], err
		}
	}
	most := int32(p.f.maxWeight())
	for k := range out {
		out[k] = min(out[k], most)
	}
	return dst, nil
}

// addWeights adds the weights of a column's cells from row lo on.
func (p *Page) addWeights(ctx context.Context, out []int32, c *column, lo int, sc *scratch) error {
	var s segment
	ok, err := p.segmentOf(ctx, c, &s)
	if err != nil || !ok || len(out) == 0 {
		return err // cells of a column that is left out weigh nothing
	}
	if err := p.checkRow(lo + len(out) - 1); err != nil {
		return err
	}
	null := int32(c.nullCellWeight())
	if s.nulls == nullsAll {
		for i := range out {
			out[i] += null
		}
		return nil
	}
	if c.phys != value.Bytes && c.absentNull {
		if s.nulls == nullsNone {
			for i := range out {
				out[i] += int32(c.width)
			}
			return nil
		}
		for i := range out {
			if s.isNull(lo + i) {
				out[i] += null
			} else {
				out[i] += int32(c.width)
			}
		}
		return nil
	}
	if c.phys != value.Bytes {
		vals := grow(&sc.numsA, len(out))
		if err := s.readNums(vals, lo, &sc.codes); err != nil {
			return err
		}
		s.toRaw(vals)
		for i, v := range vals {
			if s.isNull(lo + i) {
				out[i] += null
			} else {
				out[i] += int32(c.numWeight(v))
			}
		}
		return nil
	}
	return s.addStrWeights(out, c, lo, sc)
}

func (s *segment) addStrWeights(out []int32, c *column, lo int, sc *scratch) error {
	if c.absentNull && s.addrs == nil { // only lengths count
		return s.addLengths(out, c, lo, sc)
	}
	dict := &sc.dictA
	var codes []uint32
	if s.enc == encDict {
		if err := dict.read(s); err != nil {
			return err
		}
		codes = grow(&sc.codes, len(out))
		if err := s.readCodes(codes, lo); err != nil {
			return err
		}
	} else if err := dict.readRange(s, lo, lo+len(out)); err != nil {
		return err
	}
	for i := range out {
		k := i
		if codes != nil {
			k = int(codes[i])
		}
		if s.isNull(lo + i) {
			out[i] += int32(c.nullCellWeight())
		} else {
			out[i] += int32(c.strWeight(dict.get(k), s.isAddr(lo+i)))
		}
	}
	return nil
}

// addLengths is addStrWeights where a cell's weight follows from its length alone; strings are not built.
func (s *segment) addLengths(out []int32, c *column, lo int, sc *scratch) error {
	first, n := lo, len(out)
	if s.enc == encDict {
		first, n = 0, s.d
	}
	lens := grow(&sc.remap, n)
	if err := s.lengths(lens, first); err != nil {
		return err
	}
	if s.enc == encDict {
		codes := grow(&sc.codes, len(out))
		if err := s.readCodes(codes, lo); err != nil {
			return err
		}
		for i, k := range codes {
			out[i] += int32(lens[k]) + lenWeight
		}
	} else {
		for i, l := range lens {
			out[i] += int32(l) + lenWeight
		}
	}
	if s.nulls == nullsNone {
		return nil
	}
	for i := range out {
		if s.isNull(lo + i) {
			k := i
			if s.enc == encDict {
				k = int(sc.codes[i])
			}
			out[i] += int32(c.nullCellWeight()) - int32(lens[k]) - lenWeight
		}
	}
	return nil
}

// Refs implements tree.Leaf: the column groups, then the roots of out-of-line cells, column by column. A root that several cells
// name is reported once for each column at least.
func (p *Page) Refs(ctx context.Context, fn func(tree.Ref) error) error {
	for g := range p.ngroups {
		h, _ := p.groupAt(g)
		if err := fn(tree.Ref{Hash: h}); err != nil {
			return err
		}
	}
	for k := range p.ncols {
		off, size, addr := p.loc(k)
		if !addr {
			continue
		}
		b, err := p.bytesAt(ctx, off)
		if err != nil {
			return err
		}
		var s segment
		if err := s.parse(b, size, p.n, value.Bytes); err != nil {
			return err
		}
		if err := s.refs(fn); err != nil {
			return err
		}
	}
	return nil
}

func (s *segment) refs(fn func(tree.Ref) error) error {
	var buf strBuf
	for i := range s.n {
		if !s.isAddr(i) || s.isNull(i) {
			continue
		}
		c, err := s.cell(i, buf[:0])
		if err != nil {
			return err
		}
		r := tree.Ref{Blob: true}
		copy(r.Hash[:], c.Bytes()[:hash.Size])
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}
