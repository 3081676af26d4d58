package catalog

import (
	"strings"

	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// unreservedWords are the words that MySQL takes as names and the SQL engine's parser does not: names of functions, which
// they are where a parenthesis follows at once, and others.
var unreservedWords = map[string]bool{
	"bit_and": true, "bit_or": true, "bit_xor": true, "group_concat": true, "json_arrayagg": true, "json_objectagg": true,
	"std": true, "stddev": true, "stddev_pop": true, "stddev_samp": true, "var_pop": true, "var_samp": true, "variance": true,
	"next": false, "off": false, "plan": false,
}

// Unreserved parses a text with parse, which returns the statement and how much of the text that is. Where it finds an error, words that
// MySQL does not reserve are put in backquotes, and it tries again; the error is the first one's.
func Unreserved(query string, parse func(string) (sqlparser.Statement, int, error)) (sqlparser.Statement, int, error) {
	s, n, err := parse(query)
	if err == nil {
		return s, n, nil
	}
	text, at := quoteUnreserved(query)
	if len(at) == 0 {
		return s, n, err
	}
	again, m, wrong := parse(text)
	if wrong != nil {
		return s, n, err
	}
	if d, ok := again.(*sqlparser.DDL); ok {
		// Where the text of a view or a trigger is.
		d.SubStatementPositionStart = unquotedAt(at, d.SubStatementPositionStart)
		d.SubStatementPositionEnd = unquotedAt(at, d.SubStatementPositionEnd)
	}
	return again, unquotedAt(at, m), nil
}

// quoteUnreserved puts unreservedWords in backquotes where they are no functions. It returns the places in the new text of the quotes.
func quoteUnreserved(query string) (text string, at []int) {
	var out []byte
	for i := 0; i < len(query); {
		rest := query[i:]
		n := 1
		switch {
		case rest[0] == '\'' || rest[0] == '"' || rest[0] == '`':
			n = QuotedLength(rest)
		case rest[0] == '#' || strings.HasPrefix(rest, "--") && (len(rest) == 2 || rest[2] <= ' '):
			n = LengthUpTo(rest, 1, "\n")
		case strings.HasPrefix(rest, "/*"):
			n = LengthUpTo(rest, 2, "*/")
		case inWord(rest[0]):
			for n < len(rest) && inWord(rest[n]) {
				n++
			}
			function, known := unreservedWords[strings.ToLower(rest[:n])]
			if known && !(function && strings.HasPrefix(rest[n:], "(")) {
				at = append(at, len(out), len(out)+n+1)
				out = append(append(append(out, '`'), rest[:n]...), '`')
				i += n
				continue
			}
		}
		out = append(out, rest[:n]...)
		i += n
	}
	return string(out), at
}

// inWord tells whether a byte is of a name, or of a variable, which is none of the words.
func inWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c == '@' || c >= 0x80
}

// unquotedAt is the place in the text without the quotes that at tells of, for one in the text with them.
func unquotedAt(at []int, place int) int {
	n := 0
	for n < len(at) && at[n] < place {
		n++
	}
	return place - n
}

// QuotedLength is the length of the string or quoted name that s begins with.
func QuotedLength(s string) int {
	for i := 1; i < len(s); i++ {
		if s[i] == '\\' && s[0] != '`' {
			i++
		} else if s[i] == s[0] {
			return i + 1 // a doubled quote begins another one
		}
	}
	return len(s)
}

// LengthUpTo is the length of s up to the end of the first mark behind its first n bytes, or of s.
func LengthUpTo(s string, n int, mark string) int {
	if i := strings.Index(s[n:], mark); i >= 0 {
		return n + i + len(mark)
	}
	return len(s)
}
