package table

import (
	"context"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// Complete sets the generated columns of rows, which have the cells of the rows' layout, and holds the rows against CHECK constraints.
// It returns the rows that cannot be, in their order; an error is about none of them. A Complete is for one goroutine.
type Complete = func(ctx context.Context, rows [][]value.Cell) ([]Refused, error)

// Refused is a row that cannot be.
type Refused struct {
	Row    int    // its place among the rows
	Column string // that Err is about; "" when it is about none
	Err    error  // of class Constraint for a row that violates one, Invalid for a value that cannot be made
}

// NeedsComplete tells whether rows of a schema need a Complete.
func NeedsComplete(s *schema.Compiled) bool {
	for i := range s.Checks {
		if s.Checks[i].Enforced {
			return true
		}
	}
	for i := range s.Columns {
		if s.Columns[i].Generated != "" {
			return true
		}
	}
	return false
}

// CompleteRow is complete for one row. The error is what it is refused for.
func CompleteRow(ctx context.Context, complete Complete, row []value.Cell) error {
	refused, err := complete(ctx, [][]value.Cell{row})
	if err == nil && len(refused) > 0 {
		err = refused[0].Err
	}
	return err
}

// CompleteRows is complete, and refuses NULL in a generated column that is NOT NULL.
func CompleteRows(ctx context.Context, s *schema.Compiled, complete Complete, rows [][]value.Cell) ([]Refused, error) {
	refused, err := complete(ctx, rows)
	if err != nil {
		return nil, err
	}
	shift := 0
	if s.Keyless() {
		shift = 1
	}
	var columns []int
	for c := range s.Columns {
		if col := &s.Columns[c]; col.Generated != "" && !col.Nullable && col.Stored {
			columns = append(columns, c)
		}
	}
	if len(columns) == 0 {
		return refused, nil
	}
	var all []Refused
	for i, cells := range rows {
		if len(refused) > 0 && refused[0].Row == i {
			all, refused = append(all, refused[0]), refused[1:]
			continue
		}
		for _, c := range columns {
			if cells[shift+c].IsNull() {
				all = append(all, Refused{i, s.Columns[c].Name, errs.New(errs.Constraint, "NULL in a column that is NOT NULL")})
				break
			}
		}
	}
	return all, nil
}

// completeRows is the number of rows that are completed together.
const completeRows = 512

// Completing holds rows until there are enough of them to complete at once. T says where a row comes from. It belongs to one goroutine.
type Completing[T any] struct {
	s        *schema.Compiled
	complete Complete
	take     func(ctx context.Context, cells []value.Cell, from T) error
	refuse   func(cells []value.Cell, from T, column string, err error) error

	rows [][]value.Cell
	from []T
	n    int
}

// NewCompleting makes a Completing that gives the rows, in their order, to take. refuse is told of a row that cannot be: its error ends
// all, and without one the row is left out.
func NewCompleting[T any](s *schema.Compiled, complete Complete, take func(ctx context.Context, cells []value.Cell, from T) error,
	refuse func(cells []value.Cell, from T, column string, err error) error) *Completing[T] {
	return &Completing[T]{s: s, complete: complete, take: take, refuse: refuse}
}

// Add takes a row, of which it makes a copy.
func (c *Completing[T]) Add(ctx context.Context, cells []value.Cell, from T) error {
	if c.n == len(c.rows) {
		c.rows, c.from = append(c.rows, make([]value.Cell, len(cells))), append(c.from, from)
	}
	for i := range cells {
		c.rows[c.n][i] = cells[i].Clone()
	}
	c.from[c.n] = from
	if c.n++; c.n < completeRows {
		return nil
	}
	return c.Flush(ctx)
}

// Flush completes the rows that are held. It must follow the last Add.
func (c *Completing[T]) Flush(ctx context.Context) error {
	n := c.n
	c.n = 0
	if n == 0 {
		return nil
	}
	refused, err := CompleteRows(ctx, c.s, c.complete, c.rows[:n])
	if err != nil {
		return err
	}
	for i, cells := range c.rows[:n] {
		if len(refused) > 0 && refused[0].Row == i {
			err = c.refuse(cells, c.from[i], refused[0].Column, refused[0].Err)
			refused = refused[1:]
		} else {
			err = c.take(ctx, cells, c.from[i])
		}
		if err != nil {
			return err
		}
	}
	return nil
}
