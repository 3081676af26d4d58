package table

import (
	"strconv"

	"github.com/stemmadb/stemma/internal/value"
)

// AutoCell is the cell of an AUTO_INCREMENT column of type t of a row that is given c there. As in SQL, NULL and 0 ask for the next value.
// next is told the value that is given, 0 for none, and answers with the row's; a value that counts nothing stays as it is unheard.
func AutoCell(t value.Type, c value.Cell, next func(given uint64) (uint64, error)) (value.Cell, error) {
	var given uint64
	switch {
	case c.IsNull():
	case t.Kind == value.KindUint64:
		given = c.Uint()
	case t.Phys() != value.Int64 || c.Int() < 0:
		return c, nil
	default:
		given = uint64(c.Int())
	}
	n, err := next(given)
	if err != nil {
		return value.Null, err
	}
	if !c.IsNull() && given == n {
		return c, nil
	}
	return value.Parse(t, strconv.AppendUint(nil, n, 10))
}
