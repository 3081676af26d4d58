package value

import (
	"encoding/binary"
	"math"
	"strconv"
)

// AppendText appends the text of a cell of type t to dst, as MySQL sends it: NULL as nothing, numbers in their shortest form,
// times with their fraction digits, ENUM and SET as labels, JSON with its spaces, and BIT, binary strings and geometries as
// their bytes. Two differ from MySQL: a FLOAT or DOUBLE has all the digits that tell it from its neighbours, and a VECTOR is written
// as a list, [1,2.5]. Parse reads the text back. The text of an out-of-line cell is not in the cell: it must be resolved before.
func AppendText(dst []byte, t Type, c Cell) []byte {
	if c.state == stateNull {
		return dst
	}
	switch t.Kind {
	case KindUint64:
		return strconv.AppendUint(dst, c.Uint(), 10)
	case KindFloat64:
		return appendFloat(dst, c.Float(), 64)
	case KindFloat32:
		return appendFloat(dst, float64(c.Float32()), 32)
	case KindDecimal:
		return AppendDecimal(dst, t, c)
	case KindBit:
		n := bitLen(t.Length)
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], c.Uint())
		return append(dst, b[8-n:]...)
	case KindYear:
		return appendDigits(dst, max(int(c.Int()), 0), 4)
	case KindDate:
		return appendDate(dst, c.Int())
	case KindTime:
		return appendTime(dst, c.Int(), t.Precision)
	case KindDatetime, KindTimestamp:
		return appendDatetime(dst, c.Int(), t.Precision)
	case KindEnum:
		if i := c.Int(); i >= 1 && i <= int64(len(t.Values)) {
			dst = append(dst, t.Values[i-1]...)
		}
		return dst
	case KindSet:
		return appendSet(dst, t.Values, c.Uint())
	case KindJSON:
		return AppendJSONText(dst, c.bytes)
	case KindVector:
		return appendVector(dst, c.bytes)
	}
	if t.Phys() == Bytes {
		return append(dst, c.bytes...)
	}
	return strconv.AppendInt(dst, c.Int(), 10)
}

// bitLen is the number of bytes of a BIT of so many bits.
func bitLen(bits uint32) int { return int(min(bits, 64)+7) / 8 }

// appendFloat appends the shortest text that reads back as v: plainly when its first digit has a decimal exponent of -4 up to 8
// (FLOAT) or 14 (DOUBLE), which is about as many digits as the type carries, else with a signed exponent of two digits or more.
func appendFloat(dst []byte, v float64, bits int) []byte {
	least, limit := 1e-4, 1e15
	if bits == 32 {
		least, limit = float64(float32(1e-4)), 1e9
	}
	switch a := math.Abs(v); {
	case a < limit && a >= least || a == 0:
		if v == math.Trunc(v) && a < 1<<53 && (a != 0 || !math.Signbit(v)) && (bits == 64 || a < 1<<24) {
			return strconv.AppendInt(dst, int64(v), 10)
		}
		return strconv.AppendFloat(dst, v, 'f', -1, bits)
	case math.IsInf(v, 0) || math.IsNaN(v):
		return strconv.AppendFloat(dst, v, 'g', -1, bits)
	}
	return strconv.AppendFloat(dst, v, 'e', -1, bits)
}

func appendSet(dst []byte, values []string, set uint64) []byte {
	first := true
	for i, v := range values {
		if i < 64 && set>>i&1 != 0 {
			if !first {
				dst = append(dst, ',')
			}
			dst = append(dst, v...)
			first = false
		}
	}
	return dst
}

func appendVector(dst, b []byte) []byte {
	dst = append(dst, '[')
	for i := 0; i+4 <= len(b); i += 4 {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendFloat(dst, float64(math.Float32frombits(binary.LittleEndian.Uint32(b[i:]))), 32)
	}
	return append(dst, ']')
}

// indexFold is the place of a label among values under a collation, exact matches first; -1 when it is not there.
func indexFold(values []string, label []byte, c Collation) int {
	for i, v := range values {
		if v == string(label) {
			return i
		}
	}
	if c.Bytewise() {
		return -1
	}
	for i, v := range values {
		if Equal(c, []byte(v), label) {
			return i
		}
	}
	return -1
}
