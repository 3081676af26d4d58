package value

import (
	"bytes"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stemmadb/stemma/internal/errs"
)

// JSON is kept as text in one canonical form, so that equal documents are equal bytes:
//
//  1. No white space.
//  2. The members of an object in MySQL's order: shorter keys first, then by bytes. Of members with one key the last counts.
//  3. Strings are UTF-8 with as few escapes as can be: \" and \\, \b \f \n \r \t, and \u00xx with lower case digits for other controls.
//  4. A number without point and exponent is a whole number: its digits, however many, and -0 is 0.
//  5. Any other number is a decimal fraction, which stays one: 1.0 and 1 differ. Its digits are kept exactly, however many, without
//     those that do not count; it is written plainly with at least one digit behind the point when its first digit has a decimal
//     exponent of -4 to 15, else as 1.5e-7 or 2e300. Zero is 0.0 or -0.0.
//
// No number passes through floating point.

// JSONDepth is the most arrays and objects that may be inside one another, as in MySQL.
const JSONDepth = 100

// maxJSONExponent bounds the decimal exponent of a JSON number's first digit, so that sums with numbers of digits cannot overflow.
const maxJSONExponent = 1_000_000_000

// CanonicalJSON appends the canonical form of the JSON text src to dst. Text that is not JSON (RFC 8259) or not UTF-8, lone
// surrogates, nesting beyond JSONDepth and exponents beyond a billion are errors of class Invalid. The canonical form of a
// canonical text is itself.
func CanonicalJSON(dst, src []byte) ([]byte, error) {
	var keys [128]byte // room for most documents, so that they need no other
	var members [16]member
	var scratch [128]byte
	c := canonical{src: src, out: dst, keys: keys[:0], members: members[:0], scratch: scratch[:0]}
	c.space()
	if err := c.value(0); err != nil {
		return dst, err
	}
	c.space()
	if c.at != len(src) {
		return dst, c.fail("text behind the value")
	}
	return c.out, nil
}

// canonical is a pass over a JSON text.
type canonical struct {
	src     []byte
	at      int
	out     []byte
	keys    []byte   // decoded keys of the objects that are open
	members []member // of the objects that are open
	scratch []byte
}

// member is an object's member: where its decoded key is in keys, and its canonical text in out.
type member struct {
	key, keyEnd   int
	text, textEnd int
}

func (c *canonical) fail(what string) error {
	return errs.New(errs.Invalid, "parse JSON: %s at byte %d", what, c.at)
}

func (c *canonical) space() {
	for c.at < len(c.src) {
		switch c.src[c.at] {
		case ' ', '\t', '\n', '\r':
			c.at++
		default:
			return
		}
	}
}

// peek is the next byte; 0, which begins nothing, at the end.
func (c *canonical) peek() byte {
	if c.at < len(c.src) {
		return c.src[c.at]
	}
	return 0
}

func (c *canonical) value(depth int) error {
	switch b := c.peek(); {
	case b == '{' || b == '[':
		if depth == JSONDepth {
			return c.fail("nesting deeper than " + strconv.Itoa(JSONDepth))
		}
		c.at++
		c.space()
		if b == '[' {
			return c.array(depth + 1)
		}
		return c.object(depth + 1)
	case b == '"':
		start := len(c.out)
		c.out = append(c.out, '"')
		text, err := c.text(c.out)
		if err != nil {
			return err
		}
		// The decoded string is in out now; escape it there when it must be.
		body := text[start+1:]
		if plainJSON(body) {
			c.out = append(text, '"')
			return nil
		}
		c.scratch = append(c.scratch[:0], body...)
		c.out = appendJSONString(text[:start], c.scratch)
		return nil
	case b == '-' || b >= '0' && b <= '9':
		return c.number()
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if len(c.src)-c.at >= len(word) && string(c.src[c.at:c.at+len(word)]) == word {
			c.at += len(word)
			c.out = append(c.out, word...)
			return nil
		}
	}
	return c.fail("no value")
}

func (c *canonical) array(depth int) error {
	c.out = append(c.out, '[')
	if c.peek() == ']' {
		c.at++
		c.out = append(c.out, ']')
		return nil
	}
	for {
		if err := c.value(depth); err != nil {
			return err
		}
		c.space()
		switch c.peek() {
		case ']':
			c.at++
			c.out = append(c.out, ']')
			return nil
		case ',':
			c.at++
			c.out = append(c.out, ',')
			c.space()
		default:
			return c.fail("no , or ] behind an element")
		}
	}
}

func (c *canonical) object(depth int) error {
	start, firstKey, firstMember := len(c.out), len(c.keys), len(c.members)
	c.out = append(c.out, '{')
	sorted := true
	for n := 0; ; n++ {
		if c.peek() == '}' && n == 0 {
			break
		}
		if c.peek() != '"' {
			return c.fail("no key")
		}
		m := member{key: len(c.keys)}
		var err error
		if c.keys, err = c.text(c.keys); err != nil {
			return err
		}
		m.keyEnd = len(c.keys)
		c.space()
		if c.peek() != ':' {
			return c.fail("no : behind a key")
		}
		c.at++
		c.space()
		if n > 0 {
			c.out = append(c.out, ',')
		}
		m.text = len(c.out)
		c.out = append(appendJSONString(c.out, c.keys[m.key:m.keyEnd]), ':')
		if err := c.value(depth); err != nil {
			return err
		}
		m.textEnd = len(c.out)
		if n > 0 && c.compareKeys(c.members[len(c.members)-1], m) >= 0 {
			sorted = false
		}
		c.members = append(c.members, m)
		c.space()
		if c.peek() == '}' {
			break
		}
		if c.peek() != ',' {
			return c.fail("no , or } behind a member")
		}
		c.at++
		c.space()
	}
	c.at++
	if !sorted {
		c.arrange(start, c.members[firstMember:])
	}
	c.out = append(c.out, '}')
	c.keys, c.members = c.keys[:firstKey], c.members[:firstMember]
	return nil
}

// arrange writes the object that begins at start anew, with its members in order.
func (c *canonical) arrange(start int, members []member) {
	slices.SortStableFunc(members, c.compareKeys)
	c.scratch = append(c.scratch[:0], c.out[start:]...)
	c.out = append(c.out[:start], '{')
	for i, m := range members {
		if i+1 < len(members) && c.compareKeys(m, members[i+1]) == 0 {
			continue
		}
		if len(c.out) > start+1 {
			c.out = append(c.out, ',')
		}
		c.out = append(c.out, c.scratch[m.text-start:m.textEnd-start]...)
	}
}

func (c *canonical) compareKeys(a, b member) int {
	x, y := c.keys[a.key:a.keyEnd], c.keys[b.key:b.keyEnd]
	if len(x) != len(y) {
		return len(x) - len(y)
	}
	return bytes.Compare(x, y)
}

// text appends the decoded string at the cursor, which is on its opening quote, to dst.
func (c *canonical) text(dst []byte) ([]byte, error) {
	c.at++
	from := len(dst)
	for {
		at := c.at
		for at < len(c.src) && c.src[at] != '"' && c.src[at] != '\\' && c.src[at] >= 0x20 {
			at++
		}
		dst = append(dst, c.src[c.at:at]...)
		c.at = at
		switch c.peek() {
		case '"':
			c.at++
			if !utf8.Valid(dst[from:]) {
				return dst, c.fail("a string that is not UTF-8")
			}
			return dst, nil
		case '\\':
			var err error
			if dst, err = c.escape(dst); err != nil {
				return dst, err
			}
		default:
			return dst, c.fail("a string without end or with a control character")
		}
	}
}

// escape appends the character of the escape at the cursor, which is on its backslash.
func (c *canonical) escape(dst []byte) ([]byte, error) {
	c.at++
	b := c.peek()
	c.at++
	switch b {
	case '"', '\\', '/':
		return append(dst, b), nil
	case 'b':
		return append(dst, '\b'), nil
	case 'f':
		return append(dst, '\f'), nil
	case 'n':
		return append(dst, '\n'), nil
	case 'r':
		return append(dst, '\r'), nil
	case 't':
		return append(dst, '\t'), nil
	case 'u':
		r, ok := c.hex4()
		if ok && utf16.IsSurrogate(r) {
			if ok = c.peek() == '\\' && c.at+1 < len(c.src) && c.src[c.at+1] == 'u'; ok {
				c.at += 2
				var low rune
				low, ok = c.hex4()
				r = utf16.DecodeRune(r, low)
				ok = ok && r != utf8.RuneError
			}
		}
		if ok {
			return utf8.AppendRune(dst, r), nil
		}
	}
	return dst, c.fail("a bad escape")
}

func (c *canonical) hex4() (r rune, ok bool) {
	if len(c.src)-c.at < 4 {
		return 0, false
	}
	for range 4 {
		b := c.src[c.at]
		switch {
		case b >= '0' && b <= '9':
			b -= '0'
		case b|0x20 >= 'a' && b|0x20 <= 'f':
			b = b | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(b)
		c.at++
	}
	return r, true
}

// number appends the canonical form of the number at the cursor.
func (c *canonical) number() error {
	start := c.at
	for c.at < len(c.src) {
		b := c.src[c.at]
		if b-'0' > 9 && b != '-' && b != '+' && b != '.' && b|0x20 != 'e' {
			break
		}
		c.at++
	}
	out, ok := appendJSONNumber(c.out, c.src[start:c.at])
	if !ok {
		c.at = start
		return c.fail("a bad number")
	}
	c.out = out
	return nil
}

// appendJSONNumber appends the canonical form of a JSON number; ok is false when s is none.
func appendJSONNumber(dst, s []byte) (_ []byte, ok bool) {
	n, ok := scanNumber(s)
	if !ok || s[0] == '+' || n.whole == 0 || n.whole > 1 && s[n.from] == '0' || s[n.to-1] == '.' {
		return dst, false
	}
	if n.digits == n.whole && n.to == len(s) { // a whole number
		if n.neg && s[n.from] != '0' {
			dst = append(dst, '-')
		}
		return append(dst, s[n.from:n.to]...), true
	}
	digits := make([]byte, 0, 64)
	digits = append(digits, s[n.from:n.from+n.whole]...)
	if n.whole < n.digits {
		digits = append(digits, s[n.from+n.whole+1:n.to]...)
	}
	point := n.whole + n.exponent // digits before the point
	lead := 0
	for lead < len(digits) && digits[lead] == '0' {
		lead++
	}
	digits = bytes.TrimRight(digits[lead:], "0")
	point -= lead
	if n.neg {
		dst = append(dst, '-')
	}
	if len(digits) == 0 {
		return append(dst, "0.0"...), true
	}
	if point-1 < -maxJSONExponent || point-1 > maxJSONExponent {
		return dst, false
	}
	return appendScientific(dst, digits, point), true
}

// appendScientific appends 0.digits x 10^point; the first and last digits are not 0.
func appendScientific(dst, digits []byte, point int) []byte {
	switch {
	case point < -3 || point > 16:
		dst = append(dst, digits[0])
		if len(digits) > 1 {
			dst = append(dst, '.')
			dst = append(dst, digits[1:]...)
		}
		return strconv.AppendInt(append(dst, 'e'), int64(point-1), 10)
	case point <= 0:
		dst = append(dst, "0.000"[:2-point]...)
		return append(dst, digits...)
	case point >= len(digits):
		dst = append(dst, digits...)
		for range point - len(digits) {
			dst = append(dst, '0')
		}
		return append(dst, ".0"...)
	}
	dst = append(dst, digits[:point]...)
	dst = append(dst, '.')
	return append(dst, digits[point:]...)
}

// plainJSON tells whether no byte of a string needs an escape.
func plainJSON(s []byte) bool {
	for _, b := range s {
		if b < 0x20 || b == '"' || b == '\\' {
			return false
		}
	}
	return true
}

// appendJSONString appends s, which is UTF-8, as a JSON string in canonical form. s must not overlap dst's free room.
func appendJSONString(dst, s []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, b := range s {
		switch {
		case b == '"' || b == '\\':
			dst = append(dst, '\\', b)
		case b >= 0x20:
			dst = append(dst, b)
		case b == '\b':
			dst = append(dst, '\\', 'b')
		case b == '\f':
			dst = append(dst, '\\', 'f')
		case b == '\n':
			dst = append(dst, '\\', 'n')
		case b == '\r':
			dst = append(dst, '\\', 'r')
		case b == '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
		}
	}
	return append(dst, '"')
}

// AppendJSONText appends canonical JSON as MySQL shows it, with a space behind each comma and colon.
func AppendJSONText(dst, canonical []byte) []byte {
	quoted := false
	for i := 0; i < len(canonical); i++ {
		b := canonical[i]
		dst = append(dst, b)
		switch {
		case b == '"':
			quoted = !quoted
		case quoted && b == '\\' && i+1 < len(canonical):
			i++
			dst = append(dst, canonical[i])
		case !quoted && (b == ',' || b == ':'):
			dst = append(dst, ' ')
		}
	}
	return dst
}
