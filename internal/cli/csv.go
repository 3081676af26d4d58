package cli

import (
	"bufio"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/stemmadb/stemma/internal/op"
)

// csvRows draws RFC 4180 with \n line ends. encoding/csv cannot tell NULL from the empty string, so quoting is done here.
type csvRows struct {
	w    *bufio.Writer
	cols []op.Column
}

func newCSV(w *bufio.Writer, cols []op.Column) (*csvRows, error) {
	c := &csvRows{w, cols}
	for i := range cols {
		c.field(i, cols[i].Name)
	}
	return c, w.WriteByte('\n')
}

func (c *csvRows) row(cells []any) error {
	for i, cell := range cells {
		if cell == nil {
			if i > 0 {
				c.w.WriteByte(',')
			}
			continue
		}
		c.field(i, op.FormatCell(c.cols[i].Type, cell))
	}
	return c.w.WriteByte('\n')
}

func (c *csvRows) end() error { return nil }

func (c *csvRows) field(i int, s string) {
	if i > 0 {
		c.w.WriteByte(',')
	}
	if !needsQuotes(s) {
		c.w.WriteString(s)
		return
	}
	c.w.WriteByte('"')
	c.w.WriteString(strings.ReplaceAll(s, `"`, `""`))
	c.w.WriteByte('"')
}

// needsQuotes tells whether a reader would take the bare field for something else: for NULL, for more fields, for a trimmed one, or
// for PostgreSQL's end of data.
func needsQuotes(s string) bool {
	if s == "" || s == `\.` || strings.ContainsAny(s, ",\"\r\n") {
		return true
	}
	first, _ := utf8.DecodeRuneInString(s)
	last, _ := utf8.DecodeLastRuneInString(s)
	return unicode.IsSpace(first) || unicode.IsSpace(last)
}
