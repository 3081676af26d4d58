package op

import (
	"context"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// eachRow calls fn for every row of a table in the order of its key, with a cell for each column; out-of-line cells are fetched. The
// cells are valid during the call.
func eachRow(ctx context.Context, v *table.View, fn func(cells []value.Cell) error) error {
	shift := 0
	if v.Schema().Keyless() {
		shift = 1
	}
	all := make([]value.Cell, len(v.Layout(table.RowsTree).Phys))
	s := v.Scan(table.ScanOptions{Rows: table.RowsTree})
	for {
		b, ok, err := s.Next(ctx)
		if err == nil {
			err = errs.With(errs.Canceled, ctx.Err())
		}
		if err != nil || !ok {
			return err
		}
		for i := b.Lo; i < max(b.Hi, b.Lo+1); i++ {
			if b.Page == nil {
				if err := value.DecodeTuple(b.Row, v.Layout(table.RowsTree).Phys, all); err != nil {
					return err
				}
			}
			for c := range all {
				if b.Page != nil && c >= shift {
					if all[c], err = b.Page.Cell(ctx, c, i); err != nil {
						return err
					}
				}
				if all[c].IsAddr() {
					if all[c], err = table.Resolve(ctx, v.Reader(), all[c]); err != nil {
						return err
					}
				}
			}
			if err := fn(all[shift:]); err != nil {
				return err
			}
		}
	}
}
