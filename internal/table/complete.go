package table

import (
	"context"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// Complete sets the generated columns of rows, which have the cells of the rows' layout, and holds the rows against CHECK constraints. An
// error says which of them it is about; it is of class Constraint for a row that violates one, Invalid for a value that cannot be made.
// A Complete is for one goroutine.
type Complete = func(ctx context.Context, rows ...[]value.Cell) (bad int, err error)

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

// CompleteRows is complete, and refuses NULL in a generated column that is NOT NULL. column names the one that an error is about, if it
// is about one. An error that is not about a row has bad = -1.
func CompleteRows(ctx context.Context, s *schema.Compiled, complete Complete, rows [][]value.Cell) (bad int, column string, err error) {
	if bad, err := complete(ctx, rows...); err != nil {
		if bad < 0 || bad >= len(rows) || errs.Is(err, errs.Canceled) {
			bad = -1
		}
		return bad, "", err
	}
	shift := 0
	if s.Keyless() {
		shift = 1
	}
	for c := range s.Columns {
		col := &s.Columns[c]
		if col.Generated == "" || col.Nullable || !col.Stored {
			continue
		}
		for i, cells := range rows {
			if cells[shift+c].IsNull() {
				return i, col.Name, errs.New(errs.Constraint, "NULL in a column that is NOT NULL")
			}
		}
	}
	return 0, "", nil
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
	return c.part(ctx, 0, n)
}

// part completes the held rows [lo,hi).
func (c *Completing[T]) part(ctx context.Context, lo, hi int) error {
	for lo < hi {
		bad, column, failed := CompleteRows(ctx, c.s, c.complete, c.rows[lo:hi])
		if failed != nil && bad < 0 {
			return failed
		}
		if failed == nil {
			for i := lo; i < hi; i++ {
				if err := c.take(ctx, c.rows[i], c.from[i]); err != nil {
					return err
				}
			}
			return nil
		}
		if err := c.part(ctx, lo, lo+bad); err != nil {
			return err
		}
		lo += bad
		if err := c.refuse(c.rows[lo], c.from[lo], column, failed); err != nil {
			return err
		}
		lo++
	}
	return nil
}
