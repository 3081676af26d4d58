package page

import (
	"math"

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
func (s *segment) rawBits(v int64) uint64 {
	if s.form == 0 {
		return uint64(v)
	}
	f := float64(v) / pow10[s.form-1]
	if s.phys == value.Float32 {
		return uint64(math.Float32bits(float32(f)))
	}
	return math.Float64bits(f)
}

// toRaw turns stored whole numbers into cells' bits, in place.
func (s *segment) toRaw(vals []int64) {
	if s.form == 0 {
		return
	}
	pow := pow10[s.form-1]
	if s.phys == value.Float32 {
		for i, v := range vals {
			vals[i] = int64(math.Float32bits(float32(float64(v) / pow)))
		}
		return
	}
	for i, v := range vals {
		vals[i] = int64(math.Float64bits(float64(v) / pow))
	}
}
