package sqltable

import (
	"fmt"
	"strings"

	"github.com/dolthub/vitess/go/mysql"

	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// asciiColumns are the columns, by their places, whose text is of the character set ascii.
func asciiColumns(s *schema.Compiled) (out []int) {
	for i := range s.Columns {
		switch t := &s.Columns[i].Type; t.Kind {
		case value.KindChar, value.KindVarchar, value.KindText:
			if t.Collation.ASCII() && kept(s.Schema, i) {
				out = append(out, i)
			}
		}
	}
	return out
}

// checkText refuses a row, of which cells has a cell for each column from first on, whose text in these columns is not of their character set;
// the SQL engine does not. Values out of line have been stored before.
func checkText(s *schema.Compiled, columns []int, cells []value.Cell, first int) error {
	for _, c := range columns {
		cell := cells[first+c]
		if cell.IsNull() || cell.IsAddr() {
			continue
		}
		if at := s.Columns[c].Type.Collation.Beyond(cell.Bytes()); at >= 0 {
			return mysql.NewSQLError(mysql.ERTruncatedWrongValueForField, "HY000", "Incorrect string value: '%s' for column '%s'",
				shownBytes(cell.Bytes()[at:]), s.Columns[c].Name)
		}
	}
	return nil
}

// shownBytes is the beginning of a text as MySQL shows bytes that are no text.
func shownBytes(text []byte) string {
	const most = 6
	var out strings.Builder
	for i, b := range text {
		switch {
		case i == most:
			return out.String() + "..."
		case b < ' ' || b > '~':
			fmt.Fprintf(&out, `\x%02X`, b)
		default:
			out.WriteByte(b)
		}
	}
	return out.String()
}
