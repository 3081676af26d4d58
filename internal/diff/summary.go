package diff

import (
	"context"

	"github.com/stemmadb/stemma/internal/table"
)

// Stat counts how two states of a table differ.
type Stat struct {
	RowsUnmodified, RowsAdded, RowsRemoved, RowsModified uint64
	CellsAdded, CellsRemoved, CellsModified              uint64 // cells of added rows and columns, of removed ones, and changed ones
	OldRows, NewRows                                     uint64
	OldCells, NewCells                                   uint64 // rows times columns
}

// IsEmpty tells whether neither rows nor the number of cells differ.
func (s *Stat) IsEmpty() bool {
	return s.RowsAdded+s.RowsRemoved+s.RowsModified == 0 && s.OldCells == s.NewCells
}

// Stat counts the differences. It reads what Rows reads, and nothing when one side has no rows.
func (p *Pair) Stat(ctx context.Context) (Stat, error) {
	s := Stat{OldRows: rows(p.from), NewRows: rows(p.to)}
	oldCols, newCols := uint64(len(p.fs.Columns)), uint64(len(p.ts.Columns))
	s.OldCells, s.NewCells = s.OldRows*oldCols, s.NewRows*newCols
	if s.OldRows == 0 || s.NewRows == 0 {
		s.RowsAdded, s.RowsRemoved = s.NewRows, s.OldRows
		s.CellsAdded, s.CellsRemoved = s.NewCells, s.OldCells
		return s, nil
	}
	err := p.Each(ctx, Options{}, func(c Change) error {
		switch c.Type {
		case Added:
			s.RowsAdded++
			return nil
		case Removed:
			s.RowsRemoved++
			return nil
		}
		s.RowsModified++
		for i := range p.cols {
			col := &p.cols[i]
			if col.From < 0 || col.To < 0 {
				continue // counted as added
			}
			d, err := p.CellDiffers(ctx, c, col)
			if err != nil {
				return err
			}
			if d {
				s.CellsModified++
			}
		}
		return nil
	})
	if err != nil {
		return Stat{}, err
	}
	s.RowsUnmodified = s.OldRows - s.RowsRemoved - s.RowsModified
	kept := s.OldRows - s.RowsRemoved
	var addedCols, removedCols uint64
	for _, c := range p.cols {
		switch {
		case c.From < 0:
			addedCols++
		case c.To < 0:
			removedCols++
		}
	}
	s.CellsAdded = s.RowsAdded*newCols + kept*addedCols
	s.CellsRemoved = s.RowsRemoved*oldCols + kept*removedCols
	return s, nil
}

func rows(t *table.Table) uint64 {
	if t == nil {
		return 0
	}
	return t.Rows.Count
}
