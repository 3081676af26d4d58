package diff

import "github.com/stemmadb/stemma/internal/schema"

// Readable tells whether trees of rows under the schema from can be read and compared with the layout of to: rows have the same keys,
// and columns that both have are the same columns with the same cells and the same absent value. Columns of from alone are passed
// over, those of to alone read as their absent value.
func Readable(from, to *schema.Compiled) bool {
	cols := Align(from.Schema, to.Schema)
	return sameKey(from, to, cols) && samePages(from, to, cols)
}
