package value

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"
)

// A decimal of precision p and scale s is kept as the whole number n = value x 10^s, |n| < 10^p. Up to maxSmallDecimal digits that
// is a cell of class Int64. Above, it is a cell of class Bytes of DecimalLen(p) bytes: n in two's complement, big endian, with the
// sign bit flipped, so that the order of the bytes is the order of the numbers.

const (
	maxSmallDecimal = 18 // digits that an int64 holds whatever they are

	// MaxPrecision and MaxScale bound the digits of a decimal, all and behind the point, as in MySQL.
	MaxPrecision = 65
	MaxScale     = 30
)

// DecimalLen is the number of bytes of a decimal of more than 18 digits: the fewest that hold +-10^precision in two's complement.
func DecimalLen(precision uint8) int {
	// 10^p has floor(p log2 10) + 1 bits, and 108853/2^15 is near enough to log2 10 for p <= MaxPrecision.
	return (int(precision)*108853>>15+1)/8 + 1
}

// wide is a whole number of 256 bits in two's complement, least significant word first. 10^65 takes 216.
type wide [4]uint64

// mulAdd is w*m + a of a number that is not negative.
func (w *wide) mulAdd(m, a uint64) {
	for i := range w {
		hi, lo := bits.Mul64(w[i], m)
		var carry uint64
		w[i], carry = bits.Add64(lo, a, 0)
		a = hi + carry
	}
}

// divMod divides a number that is not negative by d and returns the remainder.
func (w *wide) divMod(d uint64) (rem uint64) {
	for i := len(w) - 1; i >= 0; i-- {
		w[i], rem = bits.Div64(rem, w[i], d)
	}
	return rem
}

func (w *wide) negate() {
	carry := uint64(1)
	for i := range w {
		w[i], carry = bits.Add64(^w[i], 0, carry)
	}
}

func (w *wide) negative() bool { return w[3]>>63 != 0 }

func (w *wide) isZero() bool { return w[0]|w[1]|w[2]|w[3] == 0 }

// cell is the number as a cell of class Bytes of n bytes.
func (w *wide) cell(n int) Cell {
	var b [32]byte
	for i, v := range w {
		binary.BigEndian.PutUint64(b[24-8*i:], v)
	}
	out := make([]byte, n)
	copy(out, b[32-n:])
	out[0] ^= 0x80
	return BytesCell(out)
}

// wideOf is the number of a cell of class Bytes. Bytes of another length than a decimal's are taken as far as they go.
func wideOf(c Cell) wide {
	var b [32]byte
	v := c.bytes
	if len(v) > len(b) {
		v = v[:len(b)]
	}
	if len(v) > 0 {
		if v[0]&0x80 == 0 { // the sign is flipped: negative
			for i := range b {
				b[i] = 0xff
			}
		}
		copy(b[32-len(v):], v)
		b[32-len(v)] ^= 0x80
	}
	var w wide
	for i := range w {
		w[i] = binary.BigEndian.Uint64(b[24-8*i:])
	}
	return w
}

// pow10 are the powers of ten that a uint64 holds.
var pow10 = [20]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}

// DecimalFromString reads a decimal of type t: [+-] digits [. digits] [e [+-] digits], with at least one digit before the exponent.
// Digits beyond the scale are rounded half away from zero. A number with more digits than the precision allows, or other text, is
// an error of class Invalid.
func DecimalFromString(t Type, s string) (Cell, error) { return parseDecimal(&t, s) }

// scanned is the text of a number taken apart.
type scanned struct {
	neg      bool
	from     int // of the first digit or point
	to       int // behind the last digit or point
	whole    int // digits before the point
	digits   int // all
	exponent int
}

// maxExponent is beyond all exponents that a type can hold, and small enough to add to.
const maxExponent = 2 * maxJSONExponent

// scanNumber takes a number apart; ok is false for text that is none. Exponents are clamped to +-maxExponent.
func scanNumber[S string | []byte](s S) (n scanned, ok bool) {
	i := 0
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		n.neg = s[i] == '-'
		i++
	}
	n.from = i
	for i < len(s) && s[i]-'0' <= 9 {
		i++
	}
	n.whole = i - n.from
	n.digits = n.whole
	if i < len(s) && s[i] == '.' {
		i++
		at := i
		for i < len(s) && s[i]-'0' <= 9 {
			i++
		}
		n.digits += i - at
	}
	n.to = i
	if n.digits == 0 {
		return n, false
	}
	if i < len(s) && s[i]|0x20 == 'e' {
		i++
		neg := false
		if i < len(s) && (s[i] == '-' || s[i] == '+') {
			neg = s[i] == '-'
			i++
		}
		at := i
		for i < len(s) && s[i]-'0' <= 9 {
			n.exponent = min(n.exponent*10+int(s[i]-'0'), maxExponent)
			i++
		}
		if i == at {
			return n, false
		}
		if neg {
			n.exponent = -n.exponent
		}
	}
	return n, i == len(s)
}

func parseDecimal[S string | []byte](t *Type, s S) (Cell, error) {
	n, ok := scanNumber(s)
	if !ok {
		return Null, errParse(t, s, "not a number")
	}
	// digit i of the number, counted from the left without the point; those behind the last are zeros
	digit := func(i int) byte {
		if i >= n.digits {
			return 0
		}
		if i >= n.whole {
			i++
		}
		return s[n.from+i] - '0'
	}
	keep := n.whole + n.exponent + int(t.Scale) // digits that count
	first := 0
	for first < n.digits && digit(first) == 0 {
		first++
	}
	if first == n.digits { // zero, whatever its exponent
		first, keep = 0, 0
		n.neg = false
	}
	if keep-first > int(t.Precision) {
		return Null, errParse(t, s, "out of range")
	}
	up := keep >= 0 && digit(keep) >= 5
	if t.Precision <= maxSmallDecimal {
		var v int64
		for i := first; i < keep; i++ {
			v = v*10 + int64(digit(i))
		}
		if up {
			v++
		}
		if v >= int64(pow10[t.Precision]) {
			return Null, errParse(t, s, "out of range")
		}
		if n.neg {
			v = -v
		}
		return IntCell(v), nil
	}
	var w wide
	for i := first; i < keep; {
		chunk, m := uint64(0), uint64(1)
		for ; i < keep && m < 1e19; i++ {
			chunk, m = chunk*10+uint64(digit(i)), m*10
		}
		w.mulAdd(m, chunk)
	}
	if up {
		w.mulAdd(1, 1)
		if w.digits() > int(t.Precision) {
			return Null, errParse(t, s, "out of range")
		}
	}
	if n.neg {
		w.negate()
	}
	return w.cell(DecimalLen(t.Precision)), nil
}

// digits is the number of decimal digits of a number that is not negative; 0 for zero.
func (w wide) digits() int {
	n := 0
	for !w.isZero() {
		low := w.divMod(1e19)
		if w.isZero() {
			for ; low > 0; low /= 10 {
				n++
			}
			return n
		}
		n += 19
	}
	return n
}

// DecimalString is the text of a decimal of type t: a digit at least before the point, and as many behind it as the scale says.
func DecimalString(t Type, c Cell) string { return string(AppendDecimal(nil, t, c)) }

// AppendDecimal appends the text of DecimalString to dst.
func AppendDecimal(dst []byte, t Type, c Cell) []byte {
	var buf [128]byte // digits from the right
	at := len(buf)
	neg := false
	if t.Precision <= maxSmallDecimal {
		v := uint64(c.Int())
		if neg = c.Int() < 0; neg {
			v = -v
		}
		for ; v > 0; v /= 10 {
			at--
			buf[at] = byte('0' + v%10)
		}
	} else {
		w := wideOf(c)
		if neg = w.negative(); neg {
			w.negate()
		}
		for !w.isZero() {
			low := w.divMod(1e19)
			for i := 0; i < 19 && (low > 0 || !w.isZero()); i++ {
				at--
				buf[at] = byte('0' + low%10)
				low /= 10
			}
		}
	}
	scale := min(int(t.Scale), MaxScale)
	for len(buf)-at <= scale {
		at--
		buf[at] = '0'
	}
	if neg {
		dst = append(dst, '-')
	}
	point := len(buf) - scale
	dst = append(dst, buf[at:point]...)
	if scale > 0 {
		dst = append(dst, '.')
		dst = append(dst, buf[point:]...)
	}
	return dst
}

// DecimalBig is the whole number value x 10^scale that a decimal cell of type t keeps.
func DecimalBig(t Type, c Cell) *big.Int {
	if t.Precision <= maxSmallDecimal {
		return big.NewInt(c.Int())
	}
	w := wideOf(c)
	neg := w.negative()
	if neg {
		w.negate()
	}
	var b [32]byte
	for i, v := range w {
		binary.BigEndian.PutUint64(b[24-8*i:], v)
	}
	n := new(big.Int).SetBytes(b[:])
	if neg {
		n.Neg(n)
	}
	return n
}

// DecimalFromBig is the cell that keeps the whole number n = value x 10^scale. More digits than t's precision are an error of class
// Invalid.
func DecimalFromBig(t Type, n *big.Int) (Cell, error) {
	if n.BitLen() > 217 {
		return Null, errParse(&t, n.String(), "out of range")
	}
	var b [32]byte
	n.FillBytes(b[:])
	var w wide
	for i := range w {
		w[i] = binary.BigEndian.Uint64(b[24-8*i:])
	}
	if w.digits() > int(t.Precision) {
		return Null, errParse(&t, n.String(), "out of range")
	}
	if t.Precision <= maxSmallDecimal {
		return IntCell(n.Int64()), nil
	}
	if n.Sign() < 0 {
		w.negate()
	}
	return w.cell(DecimalLen(t.Precision)), nil
}

// DecimalFromInt is the cell of type t for the whole number v, scaled: v x 10^scale must fit the precision, else the error is of
// class Invalid.
func DecimalFromInt(t Type, v int64) (Cell, error) {
	n := big.NewInt(v)
	if t.Scale > 0 {
		n.Mul(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(t.Scale)), nil))
	} else if t.Precision <= maxSmallDecimal && v > math.MinInt64 && uint64(max(v, -v)) < pow10[t.Precision] {
		return IntCell(v), nil
	}
	return DecimalFromBig(t, n)
}
