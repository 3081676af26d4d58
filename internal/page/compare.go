package page

import (
	"bytes"
	"context"

	"github.com/stemmadb/stemma/internal/value"
)

// valueSide is a column of one page of a pair that is being compared.
type valueSide struct {
	seg   segment
	there bool
}

func (v *valueSide) isNull(c *column, i int) bool {
	if !v.there {
		return c.absentNull
	}
	return v.seg.isNull(i)
}

func (v *valueSide) isAddr(c *column, i int) bool {
	if !v.there {
		return c.absentAddr
	}
	return v.seg.isAddr(i)
}

func (v *valueSide) someNull(c *column) bool {
	return !v.there && c.absentNull || v.there && v.seg.nulls != nullsNone
}
func (v *valueSide) someAddr(c *column) bool {
	return !v.there && c.absentAddr || v.there && v.seg.addrs != nil
}

// compareColumn marks the pairs of rows that differ in column c.
func (d *differ) compareColumn(ctx context.Context, c *column, ahi, bhi int) error {
	if c.key >= 0 && c.sortPart == nil && (c.phys == value.Int64 || c.phys == value.Bytes) {
		return nil // equal keys have equal cells
	}
	if d.sameBytes(c) && (d.a.find(c) < 0 || d.aligned()) {
		return nil
	}
	a, b := &d.sc.rank.values[0], &d.sc.rank.values[1]
	var err error
	if a.there, err = d.a.segmentOf(ctx, c, &a.seg); err != nil {
		return err
	}
	if b.there, err = d.b.segmentOf(ctx, c, &b.seg); err != nil {
		return err
	}
	if a.someNull(c) || b.someNull(c) || a.someAddr(c) || b.someAddr(c) {
		d.compareFlags(c, a, b)
	}
	if c.phys == value.Bytes {
		return d.compareStrings(c, a, b, ahi, bhi)
	}
	return d.compareNums(c, a, b, ahi, bhi)
}

// pairs calls fn for every stretch of pairs, with rows counted from alo and blo.
func (d *differ) pairs(fn func(i, j, n int)) {
	for _, m := range d.matches {
		if m.i >= 0 && m.j >= 0 {
			fn(m.i-d.alo, m.j-d.blo, m.n)
		}
	}
}

// compareFlags marks the pairs of which one is NULL, or out of line, and the other is not.
func (d *differ) compareFlags(c *column, a, b *valueSide) {
	d.pairs(func(i, j, n int) {
		for k := range n {
			x, y := d.alo+i+k, d.blo+j+k
			if a.isNull(c, x) != b.isNull(c, y) || a.isAddr(c, x) != b.isAddr(c, y) {
				d.changed[i+k] = 1
			}
		}
	})
}

// differBoth marks pair i+k, j+k as changed unless both are NULL.
func (d *differ) differBoth(c *column, a *valueSide, i int) {
	if !a.isNull(c, d.alo+i) { // one NULL of the two has been marked already
		d.changed[i] = 1
	}
}

// compareNums compares columns of a fixed-size class: as packed bits when these mean the same on both sides, as stored numbers when
// both sides have one form, else as cells' bits.
func (d *differ) compareNums(c *column, a, b *valueSide, ahi, bhi int) error {
	if a.there && b.there && a.seg.samePacking(&b.seg) {
		d.comparePacked(c, a, b)
		return nil
	}
	raw := !a.there || !b.there || a.seg.form != b.seg.form
	va, vb := grow(&d.sc.numsA, ahi-d.alo), grow(&d.sc.numsB, bhi-d.blo)
	if err := d.readSide(c, a, va, d.alo, raw); err != nil {
		return err
	}
	if err := d.readSide(c, b, vb, d.blo, raw); err != nil {
		return err
	}
	for _, m := range d.matches {
		if m.i < 0 || m.j < 0 {
			continue
		}
		x, y := va[m.i-d.alo:][:m.n], vb[m.j-d.blo:][:m.n]
		for k, v := range x {
			if v != y[k] {
				d.differBoth(c, a, m.i-d.alo+k)
			}
		}
	}
	return nil
}

// samePacking tells whether equal packed bits are equal numbers and different ones different.
func (s *segment) samePacking(o *segment) bool {
	return s.enc == encInts && o.enc == encInts && s.nulls != nullsAll && o.nulls != nullsAll && s.form == o.form && s.width == o.width && s.base == o.base
}

// comparePacked compares the vectors of numbers, stretch by stretch.
func (d *differ) comparePacked(c *column, a, b *valueSide) {
	w := a.seg.width
	for _, m := range d.matches {
		if m.i < 0 || m.j < 0 || w == 0 {
			continue
		}
		for k := 0; k < m.n; k++ {
			k += samePacked(a.seg.vals, m.i+k, b.seg.vals, m.j+k, m.n-k, w)
			if k < m.n {
				d.differBoth(c, a, m.i-d.alo+k)
			}
		}
	}
}

func (d *differ) readSide(c *column, v *valueSide, dst []int64, lo int, raw bool) error {
	if !v.there {
		for i := range dst {
			dst[i] = c.absentBits
		}
		return nil
	}
	if err := v.seg.readNums(dst, lo, &d.sc.codes); err != nil {
		return err
	}
	if raw {
		v.seg.toRaw(dst)
	}
	return nil
}

// compareStrings compares columns of class Bytes: by common ranks when both sides have dictionaries in the order of bytes, else
// string by string.
func (d *differ) compareStrings(c *column, a, b *valueSide, ahi, bhi int) error {
	sc := d.sc
	ka := keySide{lo: d.alo, n: ahi - d.alo, c: c, seg: a.seg, there: a.there}
	kb := keySide{lo: d.blo, n: bhi - d.blo, c: c, seg: b.seg, there: b.there}
	if ka.noDict() || kb.noDict() || c.sortPart != nil {
		return d.compareEach(c, a, b)
	}
	if ka.allNull() || kb.allNull() {
		return nil // the flags have told all
	}
	if err := ka.codes(grow(&sc.codes, ka.n)); err != nil {
		return err
	}
	if err := kb.codes(grow(&sc.codesB, kb.n)); err != nil {
		return err
	}
	if ka.coded() && kb.coded() && ka.seg.sameDict(&kb.seg) {
		for _, m := range d.matches {
			if m.i < 0 || m.j < 0 {
				continue
			}
			x, y := sc.codes[m.i-d.alo:][:m.n], sc.codesB[m.j-d.blo:][:m.n]
			for k, v := range x {
				if v != y[k] {
					d.differBoth(c, a, m.i-d.alo+k)
				}
			}
		}
		return nil
	}
	if err := ka.dict(&sc.dictA); err != nil {
		return err
	}
	if err := kb.dict(&sc.dictB); err != nil {
		return err
	}
	sc.rank.entries.unifySorted(&sc.dictA, &sc.dictB)
	sc.rank.entries.ranks(&sc.remap, &sc.remapB)
	ra, rb := sc.remap, sc.remapB
	for _, m := range d.matches {
		if m.i < 0 || m.j < 0 {
			continue
		}
		x, y := sc.codes[m.i-d.alo:][:m.n], sc.codesB[m.j-d.blo:][:m.n]
		for k, v := range x {
			if ra[v] != rb[y[k]] {
				d.differBoth(c, a, m.i-d.alo+k)
			}
		}
	}
	return nil
}

// compareEach compares strings in place.
func (d *differ) compareEach(c *column, a, b *valueSide) error {
	var ba, bb strBuf
	var failed error
	d.pairs(func(i, j, n int) {
		for k := 0; k < n && failed == nil; k++ {
			if d.changed[i+k] != 0 || a.isNull(c, d.alo+i+k) {
				continue
			}
			x, y := c.absentStr, c.absentStr
			var err error
			if a.there {
				if x, err = a.seg.str(d.alo+i+k, ba[:0]); err != nil {
					failed = err
				}
			}
			if b.there {
				if y, err = b.seg.str(d.blo+j+k, bb[:0]); err != nil {
					failed = err
				}
			}
			if failed == nil && !bytes.Equal(x, y) {
				d.changed[i+k] = 1
			}
		}
	})
	return failed
}
