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
	names []string // of tables and columns; nil until they are asked for
}

// maxNames bounds the names that are fetched.
const maxNames = "20000"

// forget makes the next completion ask for the names anew.
func (c *completer) forget() { c.names = nil }

// complete gives the words that may stand where the text ends.
func (c *completer) complete(s *sqlShell, before string) []string {
	i := strings.LastIndexFunc(before, func(r rune) bool { return r > 0x7f || !isWord(byte(r)) })
	word := before[i+1:]
	if i >= 0 && before[i] >= 0x80 { // the word goes on to the left
		return nil
	}
	if c.names == nil {
		c.names = c.fetch(s)
	}
	var out []string
	for _, n := range c.names {
		if len(n) >= len(word) && strings.EqualFold(n[:len(word)], word) {
			out = append(out, n)
		}
	}
	if word == "" {
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

// fetch asks for the names of tables and columns; without an answer there are none.
func (c *completer) fetch(s *sqlShell) []string {
	// Without a time limit: cancelling would end the session.
	a, err := s.query(context.Background(), "select table_name, column_name from information_schema.columns where table_schema = database() limit "+maxNames)
	if err != nil {
		return []string{}
	}
	seen := map[string]bool{}
	out := []string{}
	for row, err := range a.all() {
		if err != nil {
			break
		}
		for _, cell := range row {
			if n, ok := cell.(string); ok && !seen[n] {
				seen[n] = true
				out = append(out, n)
			}
		}
	}
	if a.close() != nil {
		return []string{}
	}
	slices.Sort(out)
	return out
}
