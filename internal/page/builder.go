package page

import (
	"context"
	"encoding/binary"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// scratch is working memory that a Format lends to calls that keep none of their own.
type scratch struct {
	codes, codesB, remap, remapB []uint32
	used                         []bool
	changed                      []byte
	str                          []byte
	short                        []shortText
	dictA, dictB                 flatDict
	numsA, numsB                 []int64
	col                          columnBuf
	enc                          encoder
	seg                          []byte
	pieces                       []piece
	rank                         rankScratch
	parts                        []keyParts
}

func (f *Format) scratch() *scratch {
	sc, ok := f.scr.Get().(*scratch)
	if !ok {
		return new(scratch)
	}
	return sc
}

func (f *Format) release(sc *scratch) { f.scr.Put(sc) }

// Builder collects rows, column by column, and encodes them as one page. It implements tree.LeafBuilder.
type Builder struct {
	f    *Format
	n    int
	cols []columnBuf
	sc   scratch
}

var (
	_ tree.LeafBuilder = (*Builder)(nil)
	_ tree.Recycler    = (*Builder)(nil)
)

// NewBuilder implements tree.Format.
func (f *Format) NewBuilder() tree.LeafBuilder { return f.NewPageBuilder() }

// NewPageBuilder is NewBuilder with the concrete type.
func (f *Format) NewPageBuilder() *Builder {
	if b, ok := f.builders.Get().(*Builder); ok {
		return b
	}
	b := &Builder{f: f, cols: make([]columnBuf, len(f.cols))}
	b.reset()
	return b
}

// Recycle implements tree.Recycler.
func (b *Builder) Recycle() {
	b.reset()
	b.f.builders.Put(b)
}

func (b *Builder) reset() {
	b.n = 0
	for i := range b.cols {
		b.cols[i].reset()
	}
}

// Len implements tree.LeafBuilder.
func (b *Builder) Len() int { return b.n }

func errTuple(what string) error { return errs.New(errs.Corrupt, "add row to page: %s", what) }

// Add implements tree.LeafBuilder. The key is not read: the row holds the key columns. After an error the builder must be dropped.
func (b *Builder) Add(_, row []byte) (int, error) {
	nb := (len(b.cols) + 7) / 8
	if len(row) < nb {
		return 0, errTuple("short tuple")
	}
	weight := rowWeight
	rest := row[nb:]
	for k := range b.cols {
		col, c := &b.cols[k], &b.f.cols[k]
		if row[k>>3]>>(k&7)&1 == 0 {
			col.addNull(c.phys)
			weight += c.nullCellWeight()
			continue
		}
		switch c.phys {
		case value.Int64:
			v, n := binary.Varint(rest)
			if n <= 0 {
				return 0, errTuple("bad varint")
			}
			rest = rest[n:]
			col.addNum(v)
			weight += c.numWeight(v)
		case value.Float64:
			if len(rest) < 8 {
				return 0, errTuple("short float")
			}
			v := int64(le.Uint64(rest))
			rest = rest[8:]
			col.addNum(v)
			weight += c.numWeight(v)
		case value.Float32:
			if len(rest) < 4 {
				return 0, errTuple("short float")
			}
			v := int64(le.Uint32(rest))
			rest = rest[4:]
			col.addNum(v)
			weight += c.numWeight(v)
		default:
			v, n := binary.Uvarint(rest)
			if n <= 0 || v>>1 > uint64(len(rest)-n) {
				return 0, errTuple("bad length")
			}
			l, addr := int(v>>1), v&1 != 0
			s := rest[n : n+l]
			rest = rest[n+l:]
			if addr && l != value.AddrSize {
				return 0, errTuple("bad address")
			}
			col.addStr(s, addr)
			weight += c.strWeight(s, addr)
		}
	}
	if len(rest) != 0 {
		return 0, errTuple("trailing bytes")
	}
	b.n++
	return min(weight, b.f.maxWeight()), nil
}

// AddFrom implements tree.LeafBuilder: columns are copied vector by vector, dictionaries are taken over or merged.
func (b *Builder) AddFrom(ctx context.Context, l tree.Leaf, i, j int) error {
	p, ok := l.(*Page)
	if !ok {
		return errs.New(errs.Internal, "add rows to page: the source is a %T", l)
	}
	if i < 0 || j < i || j > p.n {
		return errs.New(errs.Internal, "add rows to page: rows [%d,%d) of %d", i, j, p.n)
	}
	if i == j {
		return nil
	}
	for k := range b.cols {
		if err := b.cols[k].addColumn(ctx, p, &b.f.cols[k], i, j, &b.sc); err != nil {
			return err
		}
	}
	b.n += j - i
	return nil
}

// Finish implements tree.LeafBuilder.
func (b *Builder) Finish(ctx context.Context, w chunk.Writer) ([]byte, tree.Flags, error) {
	pieces, buf := b.sc.pieces[:0], b.sc.seg[:0]
	for _, k := range b.f.byID {
		c, col := &b.f.cols[k], &b.cols[k]
		if col.allAbsent(c) {
			continue
		}
		at := len(buf)
		buf = col.encode(&b.sc.enc, buf, c)
		pieces = append(pieces, piece{id: c.id, key: c.key >= 0, addr: len(col.addrs) > 0, size: len(buf) - at})
	}
	at := 0
	for i := range pieces {
		pieces[i].data = buf[at : at+pieces[i].size : at+pieces[i].size]
		at += pieces[i].size
	}
	data, flags, err := assemble(ctx, w, b.n, pieces, nil)
	clear(pieces)
	b.sc.pieces, b.sc.seg = pieces, buf
	b.reset()
	return data, flags, err
}
