package diff

import "context"

// ChangedColumns gives the columns of which some cell differs, by their place in Columns. A cell of an added or removed row differs
// when it is not NULL. Columns of one side alone are left out. It stops reading when all columns differ.
func (p *Pair) ChangedColumns(ctx context.Context) ([]int, error) {
	var open []int
	for i := range p.cols {
		if p.cols[i].From >= 0 && p.cols[i].To >= 0 {
			open = append(open, i)
		}
	}
	hit := make([]bool, len(p.cols))
	for c, err := range p.Rows(ctx, Options{}) {
		if err != nil {
			return nil, err
		}
		keep := open[:0]
		for _, i := range open {
			differs, err := p.cellChanges(ctx, c, &p.cols[i])
			if err != nil {
				return nil, err
			}
			if differs {
				hit[i] = true
			} else {
				keep = append(keep, i)
			}
		}
		if open = keep; len(open) == 0 {
			break
		}
	}
	var out []int
	for i, h := range hit {
		if h {
			out = append(out, i)
		}
	}
	return out, nil
}

func (p *Pair) cellChanges(ctx context.Context, c Change, col *Column) (bool, error) {
	switch c.Type {
	case Added:
		x, err := c.To.Cell(ctx, col.To)
		return !x.IsNull(), err
	case Removed:
		x, err := c.From.Cell(ctx, col.From)
		return !x.IsNull(), err
	}
	return p.CellDiffers(ctx, c, col)
}
