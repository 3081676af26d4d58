package op

import (
	"context"
	"fmt"
	"strings"

	"github.com/stemmadb/stemma/internal/diff"
)

// statLines is the numbers of a pair as Dolt prints them.
func statLines(ctx context.Context, pair *diff.Pair) ([]string, error) {
	st, err := pair.Stat(ctx)
	if err != nil {
		return nil, err
	}
	if st.RowsAdded+st.RowsRemoved+st.RowsModified == 0 && st.OldCells == st.NewCells {
		return []string{"No data changes. See schema changes by using -s or --schema."}, nil
	}
	if !pair.Keyed() {
		return []string{count(st.RowsAdded, "Row Added", "Rows Added"), count(st.RowsRemoved, "Row Deleted", "Rows Deleted")}, nil
	}
	part := func(n, of uint64) string {
		if n == 0 {
			return "0.00%"
		}
		return fmt.Sprintf("%.2f%%", 100*float64(n)/float64(of))
	}
	line := func(n uint64, one, many string, of uint64) string {
		return count(n, one, many) + " (" + part(n, of) + ")"
	}
	return []string{
		line(st.RowsUnmodified, "Row Unmodified", "Rows Unmodified", st.OldRows),
		line(st.RowsAdded, "Row Added", "Rows Added", st.OldRows),
		line(st.RowsRemoved, "Row Deleted", "Rows Deleted", st.OldRows),
		line(st.RowsModified, "Row Modified", "Rows Modified", st.OldRows),
		line(st.CellsAdded, "Cell Added", "Cells Added", st.OldCells),
		line(st.CellsRemoved, "Cell Deleted", "Cells Deleted", st.OldCells),
		line(st.CellsModified, "Cell Modified", "Cells Modified", st.OldCells),
		"(" + count(st.OldRows, "Row Entry", "Row Entries") + " vs " + count(st.NewRows, "Row Entry", "Row Entries") + ")", "",
	}, nil
}

// count is a number with its thousands marked, and the noun for it.
func count(n uint64, one, many string) string {
	digits := fmt.Sprint(n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	if n == 1 {
		return b.String() + " " + one
	}
	return b.String() + " " + many
}
