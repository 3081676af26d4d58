package page

import (
	"bytes"
	"context"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/tree"
)

// Diff works on vectors. Rows are paired by key without looking at values: at once when the key segments are byte for byte the same,
// else by a merge of whole numbers into which both pages' keys are packed (rank.go). Only then are the values of the pairs compared,
// column by column, and columns whose segments are the same bytes are passed over.

// match is a stretch of rows: n rows of a from i and of b from j that have equal keys, or rows that only a (j < 0) or only b (i < 0)
// has.
type match struct{ i, j, n int }

// pairing is stretches in order, of rows of two pages or of entries of two dictionaries.
type pairing []match

// add appends n pairs, or n single ones, behind those there are.
func (p *pairing) add(i, j, n int) {
	if k := len(*p); k > 0 {
		m := &(*p)[k-1]
		if (i < 0) == (m.i < 0) && (j < 0) == (m.j < 0) && (i < 0 || i == m.i+m.n) && (j < 0 || j == m.j+m.n) {
			m.n += n
			return
		}
	}
	*p = append(*p, match{i, j, n})
}

// rest adds [i,iend) of a and then [j,jend) of b as single ones; either may be empty.
func (p *pairing) rest(i, iend, j, jend int) {
	if i < iend {
		p.add(i, -1, iend-i)
	}
	if j < jend {
		p.add(-1, j, jend-j)
	}
}

// ranks numbers pairs and single ones in their order: ra and rb get one number for each of a and of b. It returns how many there are.
func (p pairing) ranks(ra, rb *[]uint32) int {
	na, nb := 0, 0
	for _, m := range p {
		if m.i >= 0 {
			na += m.n
		}
		if m.j >= 0 {
			nb += m.n
		}
	}
	a, b, rank := grow(ra, na), grow(rb, nb), 0
	for _, m := range p {
		if m.i >= 0 {
			number(a[m.i:m.i+m.n], rank)
		}
		if m.j >= 0 {
			number(b[m.j:m.j+m.n], rank)
		}
		rank += m.n
	}
	return rank
}

// number fills dst with the numbers from first on.
func number(dst []uint32, first int) {
	for i := range dst {
		dst[i] = uint32(first + i)
	}
}

// differ is the state of one Diff.
type differ struct {
	f        *Format
	a, b     *Page
	alo, blo int
	matches  pairing
	changed  []byte // for rows of a from alo on: 1 when paired with another payload
	sc       *scratch
}

// Diff implements tree.Format.
func (f *Format) Diff(ctx context.Context, a tree.Leaf, alo, ahi int, b tree.Leaf, blo, bhi int, emit func(i, j int) error) error {
	pa, aok := a.(*Page)
	pb, bok := b.(*Page)
	if !aok || !bok {
		return errs.New(errs.Internal, "compare pages: the leaves are %T and %T", a, b)
	}
	if err := pa.checkRange(alo, ahi); err != nil {
		return err
	}
	if err := pb.checkRange(blo, bhi); err != nil {
		return err
	}
	sc := f.scratch()
	defer f.release(sc)
	d := differ{f: f, a: pa, b: pb, alo: alo, blo: blo, sc: sc, matches: sc.rank.matches[:0]}
	if alo == blo && ahi == bhi && pa.n == pb.n && d.sameKeys() {
		if ahi > alo {
			d.matches = append(d.matches, match{alo, blo, ahi - alo})
		}
	} else if err := d.pair(ahi, bhi); err != nil {
		return err
	}
	d.changed = grow(&sc.changed, ahi-alo)
	clear(d.changed)
	for k := range f.cols {
		if err := d.compareColumn(ctx, &f.cols[k], ahi, bhi); err != nil {
			return err
		}
	}
	sc.rank.matches = d.matches
	return d.emit(emit)
}

func (d *differ) emit(emit func(i, j int) error) error {
	for _, m := range d.matches {
		for k := 0; k < m.n; k++ {
			var err error
			switch {
			case m.j < 0:
				err = emit(m.i+k, -1)
			case m.i < 0:
				err = emit(-1, m.j+k)
			default:
				next := bytes.IndexByte(d.changed[m.i+k-d.alo:m.i+m.n-d.alo], 1)
				if next < 0 {
					k = m.n
					continue
				}
				k += next
				err = emit(m.i+k, m.j+k)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// sameKeys tells whether all key columns have the same bytes in both pages.
func (d *differ) sameKeys() bool {
	for k := range d.f.key {
		if !d.sameBytes(&d.f.cols[d.f.key[k].col]) {
			return false
		}
	}
	return true
}

// sameBytes tells whether column c is the same in both pages for certain: left out of both, the same place of the same group, or the
// same bytes in the pages. Groups are not read.
func (d *differ) sameBytes(c *column) bool {
	ka, kb := d.a.find(c), d.b.find(c)
	if ka < 0 || kb < 0 {
		return ka < 0 && kb < 0
	}
	offA, sizeA, _ := d.a.loc(ka)
	offB, sizeB, _ := d.b.loc(kb)
	if sizeA != sizeB || d.a.n != d.b.n {
		return false
	}
	ba, bb := d.a.inline(offA), d.b.inline(offB)
	if ba != nil && bb != nil {
		return sizeA <= len(ba) && sizeA <= len(bb) && bytes.Equal(ba[:sizeA], bb[:sizeA])
	}
	if ba != nil || bb != nil {
		return false
	}
	ga, atA, errA := d.a.groupOf(offA)
	gb, atB, errB := d.b.groupOf(offB)
	if errA != nil || errB != nil || atA != atB {
		return false
	}
	ha, _ := d.a.groupAt(ga)
	hb, _ := d.b.groupAt(gb)
	return ha == hb
}

// aligned tells whether all pairs are of rows with one index.
func (d *differ) aligned() bool {
	for _, m := range d.matches {
		if m.i >= 0 && m.j >= 0 && m.i != m.j {
			return false
		}
	}
	return true
}
