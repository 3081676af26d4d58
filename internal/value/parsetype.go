package value

import (
	"strconv"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
)

// ParseType reads a type as MySQL writes it and Type.String does: "decimal(10,2)", "int(11) unsigned", "enum('a','b')", "varchar(20)
// collate utf8mb4_0900_ai_ci". TINYINT(1), BOOL and BOOLEAN are truth values; display widths count for nothing else. Character types get
// the collation unless they name one. Errors are of class Unsupported for types that there are not, and of class Invalid for others that
// cannot be read.
func ParseType(s string, coll Collation) (Type, error) {
	p, err := splitType(s)
	if err != nil {
		return Type{}, err
	}
	t, err := p.base()
	if err != nil {
		return Type{}, err
	}
	switch t.Kind {
	case KindChar, KindVarchar, KindText, KindEnum, KindSet:
		t.Collation = coll
	}
	return t, p.attributes(&t)
}

// typeText is the text of a type in its parts.
type typeText struct {
	text  string   // all of it, for messages
	name  string   // in lower case
	args  string   // between the parentheses
	given bool     // whether there are parentheses
	rest  []string // the words behind, in lower case
}

// splitType cuts the text of a type into its parts.
func splitType(s string) (*typeText, error) {
	p := &typeText{text: s}
	head, rest := strings.TrimSpace(s), ""
	if i := strings.IndexByte(head, '('); i >= 0 {
		end := strings.LastIndexByte(head, ')')
		if end < i {
			return nil, p.fail("it has no )")
		}
		p.args, p.given = head[i+1:end], true
		head, rest = head[:i], head[end+1:]
	}
	words := strings.Fields(strings.ToLower(head))
	if len(words) == 0 {
		return nil, errs.New(errs.Unsupported, "there is no type for %q", s)
	}
	p.name, words = words[0], words[1:]
	if p.name == "double" && len(words) > 0 && words[0] == "precision" {
		words = words[1:]
	}
	p.rest = append(words, strings.Fields(strings.ToLower(rest))...)
	return p, nil
}

func (p *typeText) fail(why string) error {
	return errs.New(errs.Invalid, "type %s: %s", p.text, why)
}

// attribute takes a word from those behind the type.
func (p *typeText) attribute(word string) bool {
	for i, w := range p.rest {
		if w == word {
			p.rest = append(p.rest[:i:i], p.rest[i+1:]...)
			return true
		}
	}
	return false
}

// numbers are the numbers in parentheses: from least to most of them, each with its own bounds.
func (p *typeText) numbers(least int, bounds ...[2]int) ([]int, error) {
	if !p.given {
		if least > 0 {
			return nil, p.fail("it needs a number in parentheses")
		}
		return nil, nil
	}
	parts := strings.Split(p.args, ",")
	if len(parts) < least || len(parts) > len(bounds) {
		return nil, p.fail("it has " + strconv.Itoa(len(parts)) + " numbers in parentheses")
	}
	out := make([]int, len(parts))
	for i, text := range parts {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < bounds[i][0] || n > bounds[i][1] {
			return nil, p.fail(strings.TrimSpace(text) + " is no number from " + strconv.Itoa(bounds[i][0]) + " to " + strconv.Itoa(bounds[i][1]))
		}
		out[i] = n
	}
	return out, nil
}

// number is the one number in parentheses, or another when there are none.
func (p *typeText) number(otherwise int, bounds [2]int) (int, error) {
	n, err := p.numbers(0, bounds)
	if err != nil || n == nil {
		return otherwise, err
	}
	return n[0], nil
}

// The greatest numbers that types may have.
const (
	maxDisplay = 255
	maxLength  = 1<<32 - 1
)

// wholeKinds are the kinds of whole numbers, signed and not, by name.
var wholeKinds = map[string][2]Kind{
	"tinyint": {KindInt8, KindUint8}, "bool": {KindInt8, KindUint8}, "boolean": {KindInt8, KindUint8}, "int1": {KindInt8, KindUint8},
	"smallint": {KindInt16, KindUint16}, "int2": {KindInt16, KindUint16}, "mediumint": {KindInt24, KindUint24}, "int3": {KindInt24, KindUint24},
	"int": {KindInt32, KindUint32}, "integer": {KindInt32, KindUint32}, "int4": {KindInt32, KindUint32}, "bigint": {KindInt64, KindUint64},
	"int8": {KindInt64, KindUint64},
}

// sizedKinds are types of one length: their kind, the length that they have without one, and the greatest.
var sizedKinds = map[string]struct {
	kind            Kind
	otherwise, most int
}{
	"char": {KindChar, 1, 255}, "varchar": {KindVarchar, 0, 65535}, "binary": {KindBinary, 1, 255}, "varbinary": {KindVarbinary, 0, 65535},
	"bit": {KindBit, 1, 64}, "vector": {KindVector, 2048, 16383},
}

// longKinds are the types of long texts and bytes: their kind and their length.
var longKinds = map[string]Type{
	"tinytext": {Kind: KindText, Length: TinyLength}, "text": {Kind: KindText, Length: ShortLength}, "mediumtext": {Kind: KindText, Length: MediumLength},
	"longtext": {Kind: KindText, Length: LongLength}, "tinyblob": {Kind: KindBlob, Length: TinyLength}, "blob": {Kind: KindBlob, Length: ShortLength},
	"mediumblob": {Kind: KindBlob, Length: MediumLength}, "longblob": {Kind: KindBlob, Length: LongLength},
}

// plainKinds are types without parameters.
var plainKinds = map[string]Type{
	"date": {Kind: KindDate}, "json": {Kind: KindJSON}, "uuid": {Kind: KindChar, Length: 36}, "inet6": {Kind: KindChar, Length: 39}, "inet4": {Kind: KindChar, Length: 15}, // MariaDB's
	"geometry": {Kind: KindGeometry}, "point": {Kind: KindGeometry, Subtype: 1}, "linestring": {Kind: KindGeometry, Subtype: 2}, "polygon": {Kind: KindGeometry, Subtype: 3},
	"multipoint": {Kind: KindGeometry, Subtype: 4}, "multilinestring": {Kind: KindGeometry, Subtype: 5}, "multipolygon": {Kind: KindGeometry, Subtype: 6},
	"geometrycollection": {Kind: KindGeometry, Subtype: 7}, "geomcollection": {Kind: KindGeometry, Subtype: 7},
}

// base is the type without what stands behind it.
func (p *typeText) base() (Type, error) {
	if k, ok := wholeKinds[p.name]; ok {
		return p.whole(k)
	}
	if k, ok := sizedKinds[p.name]; ok {
		if k.otherwise == 0 && !p.given {
			return Type{}, p.fail("it needs a length")
		}
		least := 0
		if k.kind == KindBit || k.kind == KindVector {
			least = 1
		}
		n, err := p.number(k.otherwise, [2]int{least, k.most})
		return Type{Kind: k.kind, Length: uint32(n)}, err
	}
	if t, ok := longKinds[p.name]; ok {
		return p.long(t)
	}
	if t, ok := plainKinds[p.name]; ok {
		if p.given {
			return Type{}, p.fail("it takes nothing in parentheses")
		}
		return t, nil
	}
	switch p.name {
	case "float", "float4":
		return p.float()
	case "double", "real", "float8":
		_, err := p.numbers(0, [2]int{0, maxDisplay}, [2]int{0, 30})
		p.attribute("unsigned")
		p.attribute("zerofill")
		return Type{Kind: KindFloat64}, err
	case "decimal", "numeric", "dec", "fixed":
		return p.decimal()
	case "year":
		_, err := p.numbers(0, [2]int{4, 4})
		return Type{Kind: KindYear}, err
	case "time", "datetime", "timestamp":
		n, err := p.number(0, [2]int{0, 6})
		return Type{Kind: map[string]Kind{"time": KindTime, "datetime": KindDatetime, "timestamp": KindTimestamp}[p.name], Precision: uint8(n)}, err
	case "enum", "set":
		labels, ok := parseLabels(p.args)
		if !ok {
			return Type{}, p.fail("its values cannot be read")
		}
		return Type{Kind: map[string]Kind{"enum": KindEnum, "set": KindSet}[p.name], Values: labels}, nil
	}
	return Type{}, errs.New(errs.Unsupported, "there is no type for %s", p.text)
}

// whole is a type of whole numbers.
func (p *typeText) whole(k [2]Kind) (Type, error) {
	width, err := p.number(0, [2]int{0, maxDisplay})
	if err != nil {
		return Type{}, err
	}
	p.attribute("signed")
	unsigned := p.attribute("unsigned")
	if p.attribute("zerofill") || unsigned {
		return Type{Kind: k[1]}, nil
	}
	if k[0] == KindInt8 && (width == 1 || !p.given && (p.name == "bool" || p.name == "boolean")) {
		return Type{Kind: KindInt8, Precision: 1}, nil
	}
	return Type{Kind: k[0]}, nil
}

// float is FLOAT, which more than 24 bits make a DOUBLE.
func (p *typeText) float() (Type, error) {
	n, err := p.numbers(0, [2]int{0, maxDisplay}, [2]int{0, 30})
	p.attribute("unsigned")
	p.attribute("zerofill")
	if len(n) == 1 && n[0] > 53 {
		return Type{}, p.fail("it has at most 53 bits")
	}
	if len(n) == 1 && n[0] > 24 {
		return Type{Kind: KindFloat64}, err
	}
	return Type{Kind: KindFloat32}, err
}

func (p *typeText) decimal() (Type, error) {
	n, err := p.numbers(0, [2]int{0, 65}, [2]int{0, 30})
	if err != nil {
		return Type{}, err
	}
	p.attribute("unsigned")
	p.attribute("zerofill")
	t := Type{Kind: KindDecimal, Precision: 10}
	if len(n) > 0 && n[0] > 0 {
		t.Precision = uint8(n[0])
	}
	if len(n) > 1 {
		t.Scale = uint8(n[1])
	}
	if t.Scale > t.Precision {
		return Type{}, p.fail("more digits behind the point than there are")
	}
	return t, nil
}

// long is a type of long texts or bytes; TEXT and BLOB of a length are the smallest that hold so much.
func (p *typeText) long(t Type) (Type, error) {
	if !p.given {
		return t, nil
	}
	if p.name != "text" && p.name != "blob" {
		return Type{}, p.fail("it takes nothing in parentheses")
	}
	n, err := p.number(0, [2]int{0, maxLength})
	if err != nil {
		return Type{}, err
	}
	if t.Kind == KindText {
		n *= 4 // characters of up to 4 bytes
	}
	for _, most := range []uint32{TinyLength, ShortLength, MediumLength, LongLength} {
		if t.Length = most; n <= int(most) {
			break
		}
	}
	return t, nil
}

// attributes reads the words behind a type; what is not known is an error.
func (p *typeText) attributes(t *Type) error {
	for len(p.rest) > 0 {
		word := p.rest[0]
		p.rest = p.rest[1:]
		next := func() (string, error) {
			if len(p.rest) == 0 {
				return "", p.fail("nothing stands behind " + word)
			}
			v := p.rest[0]
			p.rest = p.rest[1:]
			return strings.Trim(v, "'`\""), nil
		}
		character := t.Kind == KindChar || t.Kind == KindVarchar || t.Kind == KindText || t.Kind == KindEnum || t.Kind == KindSet
		switch {
		case character && word == "collate":
			name, err := next()
			if err != nil {
				return err
			}
			c, ok := ParseCollation(name)
			if !ok {
				return errs.New(errs.Unsupported, "type %s: there is no collation %s", p.text, name)
			}
			t.Collation = c
		case character && (word == "charset" || word == "character"):
			if word == "character" && (len(p.rest) == 0 || p.rest[0] != "set") {
				return p.fail("set must stand behind character")
			} else if word == "character" {
				p.rest = p.rest[1:]
			}
			if _, err := next(); err != nil { // what is kept is UTF-8, whatever it came in
				return err
			}
		case t.Kind == KindGeometry && word == "srid":
			text, err := next()
			if err != nil {
				return err
			}
			n, err := strconv.ParseUint(text, 10, 32)
			if err != nil {
				return p.fail(text + " is no SRID")
			}
			t.SRID, t.HasSRID = uint32(n), true
		default:
			return p.fail(word + " is not understood")
		}
	}
	return nil
}

// parseLabels reads the labels of an ENUM or a SET.
func parseLabels(s string) (out []string, ok bool) {
	s = strings.TrimSpace(s)
	for len(s) > 0 {
		if s[0] != '\'' {
			return nil, false
		}
		var b strings.Builder
		i := 1
		for ; i < len(s); i++ {
			if s[i] == '\'' {
				if i+1 < len(s) && s[i+1] == '\'' {
					i++
				} else {
					break
				}
			}
			b.WriteByte(s[i])
		}
		if i >= len(s) {
			return nil, false
		}
		out = append(out, b.String())
		if s = strings.TrimSpace(s[i+1:]); s == "" {
			break
		}
		if s[0] != ',' {
			return nil, false
		}
		if s = strings.TrimSpace(s[1:]); s == "" {
			return nil, false
		}
	}
	return out, len(out) > 0
}
