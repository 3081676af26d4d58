package value

import (
	"bytes"
	"math"
	"unicode/utf8"
)

// Inferrer finds the type of a column of text from its values. It keeps the narrowest type that holds all values so far, and only
// ever widens it:
//
//	nothing -> TINYINT (true, false)
//	        -> INT -> BIGINT or BIGINT UNSIGNED -> DOUBLE
//	        -> DATE -> DATETIME
//	documents -> JSON
//	any of them -> VARCHAR -> TEXT
//
// Documents stay JSON beside values of other classes, which are documents too.
//
// What would lose its value or look stays text: digits with leading zeros or a plus, whole numbers beyond 64 bits, fractions of a
// second finer than a microsecond, moments of a zone other than UTC. Numbers with a point or exponent are DOUBLE however many digits
// they have, and so are the whole numbers beside them. The result does not depend on the order of the values. The zero Inferrer is
// ready for use; it belongs to one goroutine.
type Inferrer struct {
	class    inferClass
	null     bool   // a NULL was seen
	empty    bool   // an empty string was seen
	fsp      uint8  // fraction digits of the finest moment
	least    int64  // of the whole numbers, 0 included
	most     uint64 // of the whole numbers, 0 included
	maxChars int    // characters of the longest value
	maxBytes int    // bytes of the longest value
}

// inferClass is what all values of a column have been so far.
type inferClass uint8

const (
	inferNothing inferClass = iota
	inferBool
	inferInt
	inferFloat
	inferDate
	inferDatetime
	inferString
	inferJSON
)

// Observe takes a value into account; isNull says that the text stands for NULL. An empty text is NULL too unless the column turns
// out to be text.
func (f *Inferrer) Observe(text []byte, isNull bool) {
	if isNull {
		f.null = true
		return
	}
	if len(text) > f.maxChars {
		f.maxBytes = max(f.maxBytes, len(text))
		f.maxChars = max(f.maxChars, utf8.RuneCount(text))
	}
	if f.class >= inferString {
		return
	}
	if len(text) == 0 {
		f.empty = true
		return
	}
	f.widen(text)
}

// ObserveString takes a value into account that is known to be text, as a string of JSON is: it is no number, but may be a moment.
func (f *Inferrer) ObserveString(text []byte) {
	if len(text) > 0 && (f.class == inferNothing && f.moment(text) == inferString || f.class == inferBool || f.class == inferInt || f.class == inferFloat) {
		f.class = inferString
	}
	f.Observe(text, false)
}

// ObserveDocument takes a value into account that is an object or an array of JSON.
func (f *Inferrer) ObserveDocument([]byte) { f.class = inferJSON }

// widen makes the class hold text, which is not empty.
func (f *Inferrer) widen(text []byte) {
	switch f.class {
	case inferNothing:
		switch {
		case isBool(text):
			f.class = inferBool
		case f.whole(text):
			f.class = inferInt
		case isFloat(text):
			f.class = inferFloat
		default:
			f.class = f.moment(text)
		}
	case inferBool:
		if !isBool(text) {
			f.class = inferString
		}
	case inferInt:
		switch {
		case f.whole(text):
		case isFloat(text):
			f.class = inferFloat
		default:
			f.class = inferString
		}
		if f.least < 0 && f.most > math.MaxInt64 { // no integer type holds both
			f.class = inferString
		}
	case inferFloat:
		if !f.whole(text) && !isFloat(text) || f.least < 0 && f.most > math.MaxInt64 {
			f.class = inferString
		}
	case inferDate, inferDatetime:
		f.class = max(f.class, f.moment(text))
	}
}

// Result is the type of the column so far and whether it has NULLs. A column without values is VARCHAR(255). Texts of up to 4,095
// characters are VARCHAR(255), (1023) or (4095), longer ones TEXT, MEDIUMTEXT or LONGTEXT by their bytes.
func (f *Inferrer) Result() (t Type, nullable bool) {
	nullable = f.null || f.empty // text overrules this at the end: there an empty string is a value
	switch f.class {
	case inferBool:
		return Type{Kind: KindInt8}, nullable
	case inferInt:
		switch {
		case f.most > math.MaxInt64:
			return Type{Kind: KindUint64}, nullable
		case f.least < math.MinInt32 || f.most > math.MaxInt32:
			return Type{Kind: KindInt64}, nullable
		}
		return Type{Kind: KindInt32}, nullable
	case inferFloat:
		return Type{Kind: KindFloat64}, nullable
	case inferDate:
		return Type{Kind: KindDate}, nullable
	case inferDatetime:
		return Type{Kind: KindDatetime, Precision: f.fsp}, nullable
	case inferJSON:
		return Type{Kind: KindJSON}, f.null
	}
	t = Type{Kind: KindVarchar, Collation: CollationUtf8mb40900Bin}
	switch {
	case f.maxChars <= 255:
		t.Length = 255
	case f.maxChars <= 1023:
		t.Length = 1023
	case f.maxChars <= 4095:
		t.Length = 4095
	default:
		t.Kind = KindText
		switch {
		case f.maxBytes <= ShortLength:
			t.Length = ShortLength
		case f.maxBytes <= MediumLength:
			t.Length = MediumLength
		default:
			t.Length = LongLength
		}
	}
	return t, f.null
}

func isBool(text []byte) bool {
	return len(text) == 4 && bytes.EqualFold(text, []byte("true")) || len(text) == 5 && bytes.EqualFold(text, []byte("false"))
}

// whole tells whether text is a whole number of 64 bits as a program writes it, and keeps the range.
func (f *Inferrer) whole(text []byte) bool {
	v, neg, ok := scanInt(text)
	if !ok || !canonicalDigits(text) || neg && (v == 0 || v > 1<<63) {
		return false
	}
	if neg {
		f.least = min(f.least, -int64(v))
	} else {
		f.most = max(f.most, v)
	}
	return true
}

// canonicalDigits tells whether a number has neither a plus nor leading zeros.
func canonicalDigits(text []byte) bool {
	if text[0] == '-' {
		text = text[1:]
	}
	return text[0] != '+' && (text[0] != '0' || len(text) == 1 || text[1]-'0' > 9)
}

// isFloat tells whether text is a number with a point or exponent, or -0, that a DOUBLE holds.
func isFloat(text []byte) bool {
	if c := text[0]; c-'0' > 9 && c != '-' && c != '.' || !canonicalDigits(text) {
		return false
	}
	if isDigits(text) { // a whole number, and too long for one
		return string(text) == "-0"
	}
	_, ok, inRange := scanFloat(text, 64)
	return ok && inRange
}

// moment is the class of a text that is a date or a date and time, else inferString; it keeps the fraction digits.
func (f *Inferrer) moment(text []byte) inferClass {
	if len(text) < 10 || text[4] != '-' || text[7] != '-' {
		return inferString
	}
	p := textScanner[[]byte]{s: text}
	days, nanos, offset, ok := p.moment()
	if !ok || offset != 0 || days == ZeroDate && nanos != 0 {
		return inferString
	}
	if len(text) == 10 {
		return inferDate
	}
	if i := bytes.IndexByte(text, '.'); i >= 0 {
		digits := 0 // up to the last that is not zero
		for j := i + 1; j < len(text) && text[j]-'0' <= 9; j++ {
			if text[j] != '0' {
				digits = j - i
			}
		}
		if digits > 6 {
			return inferString
		}
		f.fsp = max(f.fsp, uint8(digits))
	}
	return inferDatetime
}
