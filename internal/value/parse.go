package value

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"
)

// Parse reads text as a value of type t, strictly: what the type cannot hold as it is, is an error of class Invalid that names the
// value and the type, never cut or clamped. Decimals and fractions of seconds are rounded to the type's digits. It reads all that
// AppendText writes, and
//
//   - whole numbers with a sign and leading zeros, and true and false in any case for KindInt8;
//   - numbers with an exponent for FLOAT, DOUBLE and DECIMAL; no NaN and no infinity, which MySQL's types do not have;
//   - BIT as its bytes, big endian; when their number is another than the type's or they hold too much, as decimal digits;
//   - times as the head of timeparse.go says;
//   - text in UTF-8, of the character set ascii only its characters;
//   - ENUM by a label, SET by labels with commas, in the type's collation;
//   - BINARY with the zero bytes that pad it left out; JSON in any form; VECTOR as a JSON array of numbers.
//
// There is no text for NULL: what stands for it is the caller's matter. A cell of class Bytes may alias text.
func Parse(t Type, text []byte) (Cell, error) {
	switch t.Kind {
	case KindInt8, KindInt16, KindInt24, KindInt32, KindInt64, KindUint8, KindUint16, KindUint24, KindUint32, KindUint64:
		return parseInt(&t, text)
	case KindChar, KindVarchar:
		if !utf8.Valid(text) {
			return Null, errParse(&t, text, "not UTF-8")
		}
		if len(text) > int(t.Length) && utf8.RuneCount(text) > int(t.Length) {
			return Null, errParse(&t, text, "too long")
		}
		if t.Collation.Beyond(text) >= 0 {
			return Null, errParse(&t, text, "not ASCII")
		}
		return BytesCell(text), nil
	case KindText:
		if !utf8.Valid(text) {
			return Null, errParse(&t, text, "not UTF-8")
		}
		if t.Collation.Beyond(text) >= 0 {
			return Null, errParse(&t, text, "not ASCII")
		}
		return parseBytes(&t, text)
	case KindFloat64, KindFloat32:
		return parseFloat(&t, text)
	case KindDecimal:
		return parseDecimal(&t, text)
	case KindDate:
		return parseDate(&t, text)
	case KindDatetime, KindTimestamp:
		return parseDatetime(&t, text)
	case KindTime:
		return parseTime(&t, text)
	case KindYear:
		return parseYear(&t, text)
	case KindVarbinary, KindBlob:
		return parseBytes(&t, text)
	case KindBinary:
		if len(text) < int(t.Length) {
			padded := make([]byte, t.Length)
			copy(padded, text)
			text = padded
		}
		return parseBytes(&t, text)
	case KindBit:
		return parseBit(&t, text)
	case KindEnum:
		i := indexFold(t.Values, text, t.Collation)
		if i < 0 {
			return Null, errParse(&t, text, "not a label")
		}
		return IntCell(int64(i) + 1), nil
	case KindSet:
		return parseSet(&t, text)
	case KindJSON:
		out, err := CanonicalJSON(make([]byte, 0, len(text)), text)
		if err != nil {
			return Null, err
		}
		return BytesCell(out), nil
	case KindGeometry:
		if len(text) < 9 {
			return Null, errParse(&t, text, "shorter than an SRID and the head of a WKB")
		}
		return BytesCell(text), nil
	case KindVector:
		return parseVector(&t, text)
	}
	return Null, errParse(&t, text, "a type that has no text")
}

// intMax are the greatest values of the integer kinds but KindUint64, by number; the least are -intMax-1 for those with a sign.
var intMax = [...]int64{
	KindInt8: math.MaxInt8, KindInt16: math.MaxInt16, KindInt24: 1<<23 - 1, KindInt32: math.MaxInt32, KindInt64: math.MaxInt64,
	KindUint8: math.MaxUint8, KindUint16: math.MaxUint16, KindUint24: 1<<24 - 1, KindUint32: math.MaxUint32,
}

func parseInt(t *Type, text []byte) (Cell, error) {
	v, neg, ok := scanInt(text)
	if !ok {
		if t.Kind == KindInt8 && len(text) <= 5 {
			if bytes.EqualFold(text, []byte("true")) {
				return IntCell(1), nil
			}
			if bytes.EqualFold(text, []byte("false")) {
				return IntCell(0), nil
			}
		}
		if isDigits(text) {
			return Null, errParse(t, text, "out of range")
		}
		return Null, errParse(t, text, "not a whole number")
	}
	if t.Kind == KindUint64 {
		if neg && v != 0 {
			return Null, errParse(t, text, "out of range")
		}
		return UintCell(v), nil
	}
	limit := uint64(intMax[t.Kind])
	if neg {
		if t.Kind >= KindUint8 {
			limit = 0
		} else {
			limit++
		}
	}
	if v > limit {
		return Null, errParse(t, text, "out of range")
	}
	if neg {
		return IntCell(-int64(v)), nil
	}
	return IntCell(int64(v)), nil
}

// scanInt reads [+-] digits; ok is false for other text and for what a uint64 does not hold.
func scanInt(text []byte) (v uint64, neg, ok bool) {
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		neg = text[0] == '-'
		text = text[1:]
	}
	if len(text) == 0 {
		return 0, neg, false
	}
	for i, c := range text {
		c -= '0'
		if c > 9 {
			return 0, neg, false
		}
		if i >= 19 { // nineteen digits always fit
			if v > math.MaxUint64/10 || v*10 > math.MaxUint64-uint64(c) {
				return 0, neg, false
			}
		}
		v = v*10 + uint64(c)
	}
	return v, neg, true
}

// isDigits tells whether text is [+-] digits.
func isDigits(text []byte) bool {
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		text = text[1:]
	}
	for _, c := range text {
		if c-'0' > 9 {
			return false
		}
	}
	return len(text) > 0
}

func parseBytes(t *Type, text []byte) (Cell, error) {
	if uint64(len(text)) > uint64(t.Length) {
		return Null, errParse(t, text, "too long")
	}
	return BytesCell(text), nil
}

func parseFloat(t *Type, text []byte) (Cell, error) {
	bits := 64
	if t.Kind == KindFloat32 {
		bits = 32
	}
	v, ok, inRange := scanFloat(text, bits)
	if !ok {
		return Null, errParse(t, text, "not a number")
	}
	if !inRange {
		return Null, errParse(t, text, "out of range")
	}
	if bits == 32 {
		return Float32Cell(float32(v)), nil
	}
	return FloatCell(v), nil
}

// exact10 are the powers of ten that a float64 holds exactly.
var exact10 = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
	1e19, 1e20, 1e21, 1e22}

// scanFloat reads the nearest float of 64 or 32 bits. With up to 15 digits and a power of ten up to 22 one rounded operation on two
// exact numbers gives it (Clinger, "How to read floating point numbers accurately", 1990); strconv reads the rest.
func scanFloat(text []byte, size int) (v float64, ok, inRange bool) {
	i, neg := 0, false
	if i < len(text) && (text[i] == '-' || text[i] == '+') {
		neg = text[i] == '-'
		i++
	}
	var digits uint64
	from, point := i, -1
	for ; i < len(text); i++ {
		c := text[i] - '0'
		if c <= 9 {
			digits = digits*10 + uint64(c)
		} else if text[i] == '.' && point < 0 {
			point = i
		} else {
			break
		}
	}
	n, scale := i-from, 0
	if point >= 0 {
		n--
		scale = i - 1 - point
	}
	if n == 0 {
		return 0, false, true
	}
	if i == len(text) && size == 64 && n <= 15 && scale <= 22 {
		v = float64(digits) / exact10[scale]
		if neg {
			v = -v
		}
		return v, true, true
	}
	if size == 32 && i == len(text) && n <= 7 && scale <= 10 { // below 2^24, and 10^10 is exact in 24 bits
		f := float32(digits) / float32(exact10[scale])
		if neg {
			f = -f
		}
		return float64(f), true, true
	}
	if _, ok := scanNumber(text); !ok { // strconv reads hexadecimal, underscores and words too
		return 0, false, true
	}
	v, err := strconv.ParseFloat(string(text), size)
	return v, true, err == nil
}

func parseBit(t *Type, text []byte) (Cell, error) {
	width := min(t.Length, 64)
	if len(text) == bitLen(t.Length) {
		var v uint64
		for _, b := range text {
			v = v<<8 | uint64(b)
		}
		if v>>width == 0 {
			return UintCell(v), nil
		}
	}
	v, neg, ok := scanInt(text)
	if !ok || neg {
		return Null, errParse(t, text, "neither the bytes nor the number of a bit string")
	}
	if v>>width != 0 {
		return Null, errParse(t, text, "out of range")
	}
	return UintCell(v), nil
}

func parseSet(t *Type, text []byte) (Cell, error) {
	var set uint64
	for rest := text; len(rest) > 0; {
		label, more, found := bytes.Cut(rest, []byte(","))
		i := indexFold(t.Values, label, t.Collation)
		if i < 0 || i >= 64 || found && len(more) == 0 {
			return Null, errParse(t, text, "not a list of labels")
		}
		set |= 1 << i
		rest = more
	}
	return UintCell(set), nil
}

func parseVector(t *Type, text []byte) (Cell, error) {
	list := bytes.TrimSpace(text)
	if len(list) < 2 || list[0] != '[' || list[len(list)-1] != ']' {
		return Null, errParse(t, text, "not a list in brackets")
	}
	list = list[1 : len(list)-1]
	out := make([]byte, 0, 4*min(int(t.Length), len(list)))
	for n := uint32(0); n < t.Length; n++ {
		item, more, found := bytes.Cut(list, []byte(","))
		v, ok, inRange := scanFloat(bytes.TrimSpace(item), 32)
		if !ok {
			return Null, errParse(t, text, "not a list of numbers")
		}
		if !inRange {
			return Null, errParse(t, text, "out of range")
		}
		if found != (n+1 < t.Length) {
			return Null, errParse(t, text, "another number of dimensions")
		}
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(float32(v)))
		list = more
	}
	if len(out) == 0 && len(bytes.TrimSpace(list)) > 0 {
		return Null, errParse(t, text, "another number of dimensions")
	}
	return BytesCell(out), nil
}
