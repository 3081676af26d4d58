package cli

import (
	"context"
	"slices"
	"strings"
)

// keywords are the words that the shell completes beside names.
const keywords = `ADD ALTER ANALYZE AND AS ASC AUTO_INCREMENT BEGIN BETWEEN BIGINT BLOB BY CALL CASCADE CASE CHAR CHECK COLUMN COLUMNS COMMIT
CONSTRAINT COUNT CREATE CROSS DATABASE DATABASES DATE DATETIME DECIMAL DEFAULT DELETE DESC DESCRIBE DISTINCT DOUBLE DROP DUPLICATE ELSE END
ENUM EXISTS EXPLAIN FALSE FLOAT FOREIGN FROM FULL FUNCTION GRANT GROUP HAVING IF IGNORE IN INDEX INNER INSERT INT INTERVAL INTO IS JOIN JSON
KEY LEFT LIKE LIMIT LOAD LONGTEXT MODIFY NATURAL NOT NULL OF OFFSET ON OR ORDER OUTER OVER PARTITION PRIMARY PROCEDURE REFERENCES RENAME
REPLACE RIGHT ROLLBACK SELECT SET SHOW SMALLINT START TABLE TABLES TEMPORARY TEXT THEN TIMESTAMP TINYINT TO TRANSACTION TRIGGER TRUE TRUNCATE
UNION UNIQUE UNSIGNED UPDATE USE USING VALUES VARCHAR VIEW WHEN WHERE WITH`

// completer knows what may be typed.
type completer struct {
	names   []string            // of tables and columns; nil until they are asked for
	columns map[string][]string // by table, lower case
}

// maxNames bounds the names that are fetched.
const maxNames = "20000"

// forget makes the next completion ask for the names anew.
func (c *completer) forget() { c.names, c.columns = nil, nil }

// complete gives the words that may stand where the text ends.
func (c *completer) complete(s *sqlShell, before string) []string {
	i := strings.LastIndexFunc(before, func(r rune) bool { return r > 0x7f || !isWord(byte(r)) })
	word := before[i+1:]
	if i >= 0 && before[i] >= 0x80 { // the word goes on to the left
		return nil
	}
	if c.names == nil {
		c.names, c.columns = c.fetch(s)
	}
	names, dot := c.names, i >= 0 && before[i] == '.' // after a table, a database or an alias
	if dot {
		after := before[strings.LastIndexFunc(before[:i], func(r rune) bool { return r > 0x7f || !isWord(byte(r)) })+1 : i]
		if of := c.columns[strings.ToLower(after)]; of != nil {
			names = of
		}
	}
	var out []string
	for _, n := range names {
		if len(n) >= len(word) && strings.EqualFold(n[:len(word)], word) {
			out = append(out, n)
		}
	}
	if word == "" || dot {
		return out
	}
	lower := word == strings.ToLower(word)
	for k := range strings.FieldsSeq(keywords) {
		if len(k) >= len(word) && strings.EqualFold(k[:len(word)], word) {
			if lower {
				k = strings.ToLower(k)
			}
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// fetch asks for the names of tables and columns, and for those of each table; without an answer there are none.
func (c *completer) fetch(s *sqlShell) (names []string, columns map[string][]string) {
	// Without a time limit: cancelling would end the session.
	a, err := s.query(context.Background(), "select table_name, column_name from information_schema.columns where table_schema = database() limit "+maxNames)
	if err != nil {
		return []string{}, nil
	}
	names, columns = []string{}, map[string][]string{}
	for row, err := range a.all() {
		if err != nil {
			break
		}
		table, ok := row[0].(string)
		column, and := row[1].(string)
		if !ok || !and {
			continue
		}
		names = append(names, table, column)
		columns[strings.ToLower(table)] = append(columns[strings.ToLower(table)], column)
	}
	if a.close() != nil {
		return []string{}, nil
	}
	slices.Sort(names)
	return slices.Compact(names), columns
}
