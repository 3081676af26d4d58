package schema

import (
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// DefaultCell is the value of the column in rows that come without it. Defaults that are literals or the present time are known here;
// other expressions need an SQL engine and are errors of class Unsupported.
func (c *Column) DefaultCell(now time.Time) (value.Cell, error) {
	text, isNull, ok := literal(c.Default)
	switch {
	case !c.HasDefault || ok && isNull:
		if !c.Nullable {
			return value.Null, errs.New(errs.Constraint, "column %s is missing: it is NOT NULL and has no default", c.Name)
		}
		return value.Null, nil
	case ok:
	case isNow(c.Default):
		text = []byte(now.UTC().Format("2006-01-02 15:04:05.000000"))
	default:
		return value.Null, errs.New(errs.Unsupported, "column %s is missing, and its default is an expression, %s: give its values", c.Name, c.Default)
	}
	cell, err := value.Parse(c.Type, text)
	if err != nil {
		return value.Null, errs.New(errs.Invalid, "default of column %s: %w", c.Name, err)
	}
	return cell, nil
}

// literal reads an SQL literal: NULL, TRUE, FALSE, a number or a string in quotes, in any number of parentheses.
func literal(sql string) (text []byte, isNull, ok bool) {
	sql = strings.TrimSpace(sql)
	for len(sql) > 1 && sql[0] == '(' && sql[len(sql)-1] == ')' {
		sql = strings.TrimSpace(sql[1 : len(sql)-1])
	}
	switch {
	case sql == "":
		return nil, false, false
	case strings.EqualFold(sql, "null"):
		return nil, true, true
	case strings.EqualFold(sql, "true"):
		return []byte("1"), false, true
	case strings.EqualFold(sql, "false"):
		return []byte("0"), false, true
	case sql[0] == '\'' || sql[0] == '"':
		return unquote(sql)
	}
	if _, err := value.Parse(value.Type{Kind: value.KindFloat64}, []byte(sql)); err != nil {
		return nil, false, false
	}
	return []byte(sql), false, true
}

// unquote reads an SQL string: the quote doubled or behind a backslash stands for itself.
func unquote(sql string) (text []byte, isNull, ok bool) {
	q, text := sql[0], []byte{}
	for i := 1; i < len(sql); i++ {
		c := sql[i]
		switch {
		case c == q && i == len(sql)-1:
			return text, false, true
		case c == q && sql[i+1] == q && i+2 < len(sql):
			i++
		case c == q:
			return nil, false, false
		case c == '\\' && i+2 < len(sql):
			i++
			c = sql[i]
			if at := strings.IndexByte("0bnrtZ", c); at >= 0 {
				c = "\x00\b\n\r\t\x1a"[at]
			}
		}
		text = append(text, c)
	}
	return nil, false, false
}

// isNow tells whether an expression is the present time.
func isNow(sql string) bool {
	sql = strings.ToLower(strings.Trim(strings.TrimSpace(sql), "()"))
	name, _, _ := strings.Cut(sql, "(")
	switch strings.TrimSpace(name) {
	case "current_timestamp", "now", "localtime", "localtimestamp":
		return true
	}
	return false
}
