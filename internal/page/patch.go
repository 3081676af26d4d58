package page

import (
	"context"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// Patch implements tree.Format: the columns in which some patch differs are encoded anew, the segments of the others are copied, and
// groups of which nothing changes are named again without being read.
func (f *Format) Patch(ctx context.Context, w chunk.Writer, l tree.Leaf, patches []tree.Patch) (data []byte, flags tree.Flags, ok bool, err error) {
	p, isPage := l.(*Page)
	if !isPage {
		return nil, 0, false, errs.New(errs.Internal, "patch page: the leaf is a %T", l)
	}
	sc := f.scratch()
	defer f.release(sc)
	cells := make([]value.Cell, len(f.cols)*len(patches))
	for i, pt := range patches {
		if pt.Index < 0 || pt.Index >= p.n || i > 0 && pt.Index <= patches[i-1].Index {
			return nil, 0, false, errs.New(errs.Internal, "patch page: row %d of %d out of order", pt.Index, p.n)
		}
		if err := value.DecodeTuple(pt.Row, f.phys, cells[i*len(f.cols):(i+1)*len(f.cols)]); err != nil {
			return nil, 0, false, err
		}
	}
	touched, same, err := f.compare(ctx, p, patches, cells)
	if err != nil || !same {
		return nil, 0, false, err
	}
	pieces, buf := sc.pieces[:0], sc.seg[:0]
	for _, k := range f.byID {
		c := &f.cols[k]
		if !touched[k] {
			if at := p.find(c); at >= 0 {
				off, size, addr := p.loc(at)
				pieces = append(pieces, piece{id: c.id, key: c.key >= 0, addr: addr, size: size, off: off})
			}
			continue
		}
		col := &sc.col
		if err := col.patched(ctx, p, c, k, patches, cells, len(f.cols), sc); err != nil {
			return nil, 0, false, err
		}
		if col.allAbsent(c) {
			continue
		}
		at := len(buf)
		buf = col.encode(&sc.enc, buf, c)
		pieces = append(pieces, piece{id: c.id, key: c.key >= 0, addr: len(col.addrs) > 0, size: len(buf) - at, off: -1})
	}
	at := 0
	for i := range pieces {
		if pieces[i].off < 0 {
			pieces[i].data = buf[at : at+pieces[i].size : at+pieces[i].size]
			at += pieces[i].size
		}
	}
	data, flags, err = assemble(ctx, w, p.n, pieces, p)
	clear(pieces)
	sc.pieces, sc.seg = pieces, buf
	return data, flags, err == nil, err
}

// compare finds the columns in which a patch differs from its row, and tells whether every row keeps its weight.
func (f *Format) compare(ctx context.Context, p *Page, patches []tree.Patch, cells []value.Cell) (touched []bool, same bool, err error) {
	touched = make([]bool, len(f.cols))
	before, after := make([]int, len(patches)), make([]int, len(patches))
	var s segment
	var buf strBuf
	for k := range f.cols {
		c := &f.cols[k]
		ok, err := p.segmentOf(ctx, c, &s)
		if err != nil {
			return nil, false, err
		}
		for i, pt := range patches {
			old, now := c.absent, cells[i*len(f.cols)+k]
			if ok {
				if old, err = s.cell(pt.Index, buf[:0]); err != nil {
					return nil, false, err
				}
			}
			before[i] += c.cellWeight(old)
			if old.Equal(now) {
				after[i] += c.cellWeight(old)
			} else {
				touched[k] = true
				after[i] += c.cellWeight(now)
			}
		}
	}
	most := f.maxWeight()
	for i := range before {
		if min(before[i]+rowWeight, most) != min(after[i]+rowWeight, most) {
			return touched, false, nil
		}
	}
	return touched, true, nil
}

// patched fills b with column k of p, taking the patched rows' cells from cells, a row of ncols for each patch.
func (b *columnBuf) patched(ctx context.Context, p *Page, c *column, k int, patches []tree.Patch, cells []value.Cell, ncols int, sc *scratch) error {
	b.reset()
	if c.phys != value.Bytes {
		if err := b.addColumn(ctx, p, c, 0, p.n, sc); err != nil {
			return err
		}
		if len(b.nulls) == 0 && !anyNull(cells, k, ncols) { // numbers are replaced where they stand
			for i, pt := range patches {
				v := b.formed(int64(cells[i*ncols+k].Bits()))
				b.nums[pt.Index] = v
			}
			return nil
		}
		b.reset()
	}
	at := 0
	for i, pt := range patches {
		if at < pt.Index {
			if err := b.addColumn(ctx, p, c, at, pt.Index, sc); err != nil {
				return err
			}
		}
		b.addCell(c.phys, cells[i*ncols+k])
		at = pt.Index + 1
	}
	if at < p.n {
		return b.addColumn(ctx, p, c, at, p.n, sc)
	}
	return nil
}

func anyNull(cells []value.Cell, k, ncols int) bool {
	for ; k < len(cells); k += ncols {
		if cells[k].IsNull() {
			return true
		}
	}
	return false
}
