package frame

import (
	"context"

	"github.com/stemmadb/stemma/internal/table"
)

// Split cuts the rows of a view into at most n ranges of about equal size. Those of a view without edits end where pages end.
func Split(ctx context.Context, v *table.View, n int) ([]Range, error) {
	total := v.Count()
	if total == 0 {
		return nil, nil
	}
	var cuts []uint64
	if v.Overlay().Len() == 0 {
		t := v.Tree(table.RowsTree)
		bounds, err := t.Split(ctx, n)
		if err != nil {
			return nil, err
		}
		for _, b := range bounds {
			at, err := t.Rank(ctx, b)
			if err != nil {
				return nil, err
			}
			cuts = append(cuts, at)
		}
	} else {
		for k := 1; k < n; k++ {
			cuts = append(cuts, total/uint64(n)*uint64(k)+total%uint64(n)*uint64(k)/uint64(n))
		}
	}
	var out []Range
	var from uint64
	for _, to := range append(cuts, total) {
		if to > from {
			out = append(out, Range{from, to})
			from = to
		}
	}
	return out, nil
}
