package page

import (
	"math"
	"slices"

	"github.com/stemmadb/stemma/internal/value"
)

// A column of floating-point numbers that are all short decimals (prices) is kept as whole numbers i of one scale s, each of which
// gives back its number as float64(i) / 10^s, bit for bit. Numbers for which that fails, -0, infinities and NaN among them, make
// the column keep raw bits.

// pow10 are the exact powers of ten of the scales.
var pow10 = [maxScale + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// maxDecimal bounds |i|: below it float64 is exact and i*10 of the next scale is too.
const maxDecimal = 1 << 53

// decimal is the whole number of scale s for the float64 of these bits.
func decimal(bits uint64, s int) (int64, bool) {
	x := float64(math.Float64frombits(bits) * pow10[s]) // the conversion forbids a fused operation
	if !(x > -maxDecimal && x < maxDecimal) {
		return 0, false
	}
	i := int64(math.RoundToEven(x))
	return i, math.Float64bits(float64(i)/pow10[s]) == bits
}

// decimal32 is the same for the float32 of these bits.
func decimal32(bits uint32, s int) (int64, bool) {
	x := float64(float64(math.Float32frombits(bits)) * pow10[s])
	if !(x > -maxDecimal && x < maxDecimal) {
		return 0, false
	}
	i := int64(math.RoundToEven(x))
	return i, math.Float32bits(float32(float64(i)/pow10[s])) == bits
}

// toDecimals turns raw bits of non-NULL rows into whole numbers of the smallest scale that fits them all, in place of dst, and
// gives the segment form. Form 0 leaves dst as the raw bits. nulls are the indices of NULL rows, ascending; they become 0.
func toDecimals(dst []int64, raw []int64, nulls []uint32, p value.Phys) (form uint8) {
	s := 0
	for {
		ok := true
		rest := nulls
		for i, r := range raw {
			if len(rest) > 0 && int(rest[0]) == i {
				rest = rest[1:]
				dst[i] = 0
				continue
			}
			v, exact := int64(0), false
			at := s
			for ; s <= maxScale; s++ {
				if p == value.Float32 {
					v, exact = decimal32(uint32(r), s)
				} else {
					v, exact = decimal(uint64(r), s)
				}
				if exact {
					break
				}
			}
			if s > maxScale {
				copy(dst, raw)
				return 0
			}
			if s != at && i > 0 {
				ok = false // rows before this one have numbers of a smaller scale
			}
			dst[i] = v
		}
		if ok {
			return uint8(s) + 1
		}
	}
}

// rawBits is the cell's bits for the stored whole number v.
func (s *segment) rawBits(v int64) uint64 { return formBits(v, s.phys, s.form) }

// formBits is the bits of the cell that a segment of this class and form keeps as v.
func formBits(v int64, p value.Phys, form uint8) uint64 {
	if form == 0 {
		return uint64(v)
	}
	f := float64(v) / pow10[form-1]
	if p == value.Float32 {
		return uint64(math.Float32bits(float32(f)))
	}
	return math.Float64bits(f)
}

// wholeOf is what a segment of this class and form keeps of a cell's bits; false when the form does not fit them.
func wholeOf(p value.Phys, bits int64, form uint8) (int64, bool) {
	switch {
	case form == 0:
		return bits, true
	case p == value.Float32:
		return decimal32(uint32(bits), int(form)-1)
	}
	return decimal(uint64(bits), int(form)-1)
}

// lasting tells whether a column that was made of whole numbers of a form would be given that form again: whether no smaller scale
// fits it. One number that is no multiple of ten shows that, as long as numbers are so small that those of different scales cannot
// round to one cell: the quotients of two of them differ by more than 2^-50 of themselves, float64 rounds by 2^-53 of them (float32
// 2^-20 and 2^-24). False is no proof of the contrary.
func lasting(vals []int64, p value.Phys, form uint8) bool {
	limit := uint64(1) << 50
	if p == value.Float32 {
		limit = 1 << 20
	}
	far := uint64(0)
	for _, v := range vals {
		far |= uint64(v ^ v>>63) // |v|, or one less
	}
	if far >= limit {
		return false
	}
	// NULL rows are 0.
	return form == 1 || slices.ContainsFunc(vals, func(v int64) bool { return v%10 != 0 })
}

// toRaw turns stored whole numbers into cells' bits, in place.
func (s *segment) toRaw(vals []int64) { formToRaw(vals, s.phys, s.form) }

func formToRaw(vals []int64, p value.Phys, form uint8) {
	if form == 0 {
		return
	}
	pow := pow10[form-1]
	if p == value.Float32 {
		for i, v := range vals {
			vals[i] = int64(math.Float32bits(float32(float64(v) / pow)))
		}
		return
	}
	for i, v := range vals {
		vals[i] = int64(math.Float64bits(float64(v) / pow))
	}
}
