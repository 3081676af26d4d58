package diff

import (
	"context"
	"iter"
	"slices"
	"strings"
)

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

// Skinny gives the columns that stay when those are left out in which no row of changes differs: with them parts of the primary key, columns of
// one side alone, and those of the names in keep, whose case does not matter. All stay when a row comes or goes, or one side has no table. It
// stops reading when all stay.
func (p *Pair) Skinny(ctx context.Context, changes iter.Seq2[Change, error], keep []string) ([]Column, error) {
	if p.from == nil || p.to == nil {
		return p.cols, nil
	}
	stays := make([]bool, len(p.cols))
	for i, k := range p.cols {
		stays[i] = k.From < 0 || k.To < 0 || p.ts.InPrimaryKey(p.ts.Columns[k.To].ID) ||
			slices.ContainsFunc(keep, func(name string) bool { return strings.EqualFold(name, k.Name) })
	}
	for ch, err := range changes {
		if err != nil {
			return nil, err
		}
		if ch.Type != Modified || !slices.Contains(stays, false) {
			return p.cols, nil
		}
		for i := range p.cols {
			if stays[i] {
				continue
			}
			if stays[i], err = p.CellDiffers(ctx, ch, &p.cols[i]); err != nil {
				return nil, err
			}
		}
	}
	var out []Column
	for i, k := range p.cols {
		if stays[i] {
			out = append(out, k)
		}
	}
	return out, nil
}
