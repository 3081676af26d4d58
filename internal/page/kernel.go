package page

import (
	"context"
	"math"
	"math/bits"

	"github.com/stemmadb/stemma/internal/value"
)

// Sum128 is a sum of int64 values, as a signed number of 128 bits.
type Sum128 struct {
	High int64
	Low  uint64
}

// Add adds b to s.
func (s *Sum128) Add(b Sum128) {
	var carry uint64
	s.Low, carry = bits.Add64(s.Low, b.Low, 0)
	s.High += b.High + int64(carry)
}

func (s *Sum128) addInt(v int64) { s.Add(Sum128{High: v >> 63, Low: uint64(v)}) }

// addTimes adds v k times.
func (s *Sum128) addTimes(v int64, k int) {
	high, low := bits.Mul64(uint64(v), uint64(k))
	h := int64(high)
	if v < 0 {
		h -= int64(k)
	}
	s.Add(Sum128{High: h, Low: low})
}

// Float is the nearest float64, up to the rounding of the two halves.
func (s Sum128) Float() float64 {
	if s.High == int64(s.Low)>>63 {
		return float64(int64(s.Low))
	}
	return float64(s.High)*0x1p64 + float64(s.Low)
}

// sumSegment sums the stored whole numbers of rows [lo,hi) that are not NULL.
func (s *segment) sum(lo, hi int, sc *scratch) (sum Sum128, count int, err error) {
	count = hi - lo
	switch s.nulls {
	case nullsAll:
		return sum, 0, nil
	case nullsSome:
		count = countBits(s.valid, lo, hi)
	}
	if s.enc == encInts && s.width <= maxWidth { // NULL rows are packed as 0
		high, low := sumPacked(s.vals, lo, hi, s.width)
		sum = Sum128{High: int64(high), Low: low}
		sum.addTimes(s.base, count)
		return sum, count, nil
	}
	vals := grow(&sc.numsA, hi-lo)
	if err := s.readNums(vals, lo, &sc.codes); err != nil {
		return sum, 0, err
	}
	for i, v := range vals {
		if s.nulls == nullsNone || bitSet(s.valid, lo+i) {
			sum.addInt(v)
		}
	}
	return sum, count, nil
}

// SumInts is the exact sum of the cells of rows [lo,hi) of a column of class Int64 that are not NULL, and their number.
func (p *Page) SumInts(ctx context.Context, col, lo, hi int) (sum Sum128, count int, err error) {
	c, err := p.column(col, value.Int64, lo, hi)
	if err != nil {
		return sum, 0, err
	}
	var s segment
	ok, err := p.segmentOf(ctx, c, &s)
	if err != nil {
		return sum, 0, err
	}
	if !ok {
		if c.absentNull {
			return sum, 0, nil
		}
		sum.addTimes(c.absentBits, hi-lo)
		return sum, hi - lo, nil
	}
	sc := p.f.scratch()
	defer p.f.release(sc)
	return s.sum(lo, hi, sc)
}

// SumFloats is the sum of the cells of rows [lo,hi) of a column of class Float64 that are not NULL, and their number. Where the page
// keeps decimals the sum is exact before it is rounded once; otherwise cells are added in their order.
func (p *Page) SumFloats(ctx context.Context, col, lo, hi int) (sum float64, count int, err error) {
	c, err := p.column(col, value.Float64, lo, hi)
	if err != nil {
		return 0, 0, err
	}
	var s segment
	ok, err := p.segmentOf(ctx, c, &s)
	if err != nil {
		return 0, 0, err
	}
	if !ok {
		if c.absentNull || lo == hi {
			return 0, 0, nil
		}
		return c.absent.Float() * float64(hi-lo), hi - lo, nil
	}
	sc := p.f.scratch()
	defer p.f.release(sc)
	if s.form != 0 {
		t, count, err := s.sum(lo, hi, sc)
		return t.Float() / pow10[s.form-1], count, err
	}
	vals := grow(&sc.numsA, hi-lo)
	if err := s.readNums(vals, lo, &sc.codes); err != nil {
		return 0, 0, err
	}
	for i, v := range vals {
		if !s.isNull(lo + i) {
			sum += math.Float64frombits(uint64(v))
			count++
		}
	}
	return sum, count, nil
}

// MinMaxInts is the least and greatest cell of rows [lo,hi) of a column of class Int64, and the number of those that are not NULL.
// The limits mean nothing when that is 0.
func (p *Page) MinMaxInts(ctx context.Context, col, lo, hi int) (least, most int64, count int, err error) {
	c, err := p.column(col, value.Int64, lo, hi)
	if err != nil {
		return 0, 0, 0, err
	}
	var s segment
	ok, err := p.segmentOf(ctx, c, &s)
	if err != nil || !ok {
		if err == nil && !c.absentNull {
			count = hi - lo
		}
		return c.absentBits, c.absentBits, count, err
	}
	sc := p.f.scratch()
	defer p.f.release(sc)
	return s.minMax(lo, hi, sc)
}

// minMax is the range of the stored whole numbers of rows [lo,hi) that are not NULL, and their number.
func (s *segment) minMax(lo, hi int, sc *scratch) (least, most int64, count int, err error) {
	if s.nulls == nullsNone && s.enc == encInts && s.width <= maxWidth && lo < hi {
		a, b := minMaxPacked(s.vals, lo, hi, s.width)
		return s.base + int64(a), s.base + int64(b), hi - lo, nil
	}
	vals := grow(&sc.numsA, hi-lo)
	if err := s.readNums(vals, lo, &sc.codes); err != nil {
		return 0, 0, 0, err
	}
	least, most = math.MaxInt64, math.MinInt64
	for i, v := range vals {
		if !s.isNull(lo + i) {
			least, most = min(least, v), max(most, v)
			count++
		}
	}
	return least, most, count, nil
}

// MinMaxFloats is the least and greatest cell of rows [lo,hi) of a column of class Float64, and the number of those that are not
// NULL. NaN counts but is passed over; when all cells are NaN the limits are +Inf and -Inf.
func (p *Page) MinMaxFloats(ctx context.Context, col, lo, hi int) (least, most float64, count int, err error) {
	c, err := p.column(col, value.Float64, lo, hi)
	if err != nil {
		return 0, 0, 0, err
	}
	var s segment
	ok, err := p.segmentOf(ctx, c, &s)
	if err != nil || !ok {
		if err == nil && !c.absentNull {
			count = hi - lo
		}
		if v := c.absent.Float(); !math.IsNaN(v) {
			return v, v, count, err
		}
		return math.Inf(1), math.Inf(-1), count, err
	}
	sc := p.f.scratch()
	defer p.f.release(sc)
	if s.form != 0 {
		a, b, count, err := s.minMax(lo, hi, sc)
		pow := pow10[s.form-1]
		return float64(a) / pow, float64(b) / pow, count, err
	}
	vals := grow(&sc.numsA, hi-lo)
	if err := s.readNums(vals, lo, &sc.codes); err != nil {
		return 0, 0, 0, err
	}
	least, most = math.Inf(1), math.Inf(-1)
	for i, v := range vals {
		if s.isNull(lo + i) {
			continue
		}
		count++
		f := math.Float64frombits(uint64(v))
		if f < least {
			least = f
		}
		if f > most {
			most = f
		}
	}
	return least, most, count, nil
}
