package engine

import (
	"errors"
	"io"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/iters"
	"github.com/dolthub/go-mysql-server/sql/plan"

	"github.com/stemmadb/stemma/internal/engine/types"
)

const (
	// fewRows is up to how many rows are left to the engine's sort.
	fewRows = 500
	// sortMemory is how many bytes of rows a sort keeps in memory, more or less; the others are in files.
	sortMemory = 96 << 20
	// heapRows is up to how many rows ORDER BY with LIMIT keeps in the engine's heap.
	heapRows = 10_000
)

// sortConditions make the keys by which rows are sorted.
type sortConditions struct {
	conditions sql.SortConditions
	parts      []*types.SortPart
}

// newSortConditions is nil when only the engine can compare the values.
func newSortConditions(ctx *sql.Context, conditions sql.SortConditions) *sortConditions {
	c := &sortConditions{conditions: conditions}
	for _, x := range conditions {
		if x.NullOrdering != sql.NullsFirst {
			return nil
		}
		p, err := types.NewSortPart(x.Expr.Type(ctx), x.Order == sql.Descending)
		if err != nil {
			return nil
		}
		c.parts = append(c.parts, p)
	}
	return c
}

// key appends the key of a row to dst; !ok when only the engine knows the row's place.
func (c *sortConditions) key(ctx *sql.Context, dst []byte, row sql.Row) (key []byte, ok bool, err error) {
	for i, x := range c.conditions {
		v, err := x.Expr.Eval(ctx, row)
		if err != nil {
			return dst, false, sql.ErrUnableSort.Wrap(err)
		}
		if dst, ok, err = c.parts[i].Append(ctx, dst, v); err != nil || !ok {
			return dst, false, err
		}
	}
	return dst, true, nil
}

// sort is ORDER BY within bounded memory; nil leaves it to the engine.
func (e *executor) sort(ctx *sql.Context, n *plan.Sort, row sql.Row) (sql.RowIter, error) {
	return e.sorted(ctx, n.SortConditions, n.Child, row, -1)
}

// topN is ORDER BY with a LIMIT that is too large for the engine's heap; nil leaves it to the engine.
func (e *executor) topN(ctx *sql.Context, n *plan.TopN, row sql.Row) (sql.RowIter, error) {
	if n.CalcFoundRows {
		return nil, nil
	}
	limit, err := iters.GetInt64Value(ctx, n.Limit)
	if err != nil || limit <= int64(e.heapRows) {
		return nil, err
	}
	return e.sorted(ctx, n.SortConditions, n.Child, row, limit)
}

func (e *executor) sorted(ctx *sql.Context, conditions sql.SortConditions, child sql.Node, row sql.Row, limit int64) (sql.RowIter, error) {
	c := newSortConditions(ctx, conditions)
	if c == nil {
		return nil, nil
	}
	rows, err := e.base.Build(ctx, child, row)
	if err != nil {
		return nil, err
	}
	return &sortIter{sortConditions: c, child: rows, few: e.fewRows, memory: e.sortMemory, left: limit}, nil
}

// sortIter sorts a few rows as the engine does. More are sorted by the bytes of their keys, beyond some memory in files. When it meets a
// row whose key has no bytes it gives all of them to the engine.
type sortIter struct {
	*sortConditions
	child  sql.RowIter
	few    int
	memory int
	left   int64 // rows that are still to be given; below 0 for all

	begun  bool
	engine sql.RowIter // gives the rows, when the engine has sorted them
	rows   *spill
}

// Next implements sql.RowIter.
func (s *sortIter) Next(ctx *sql.Context) (sql.Row, error) {
	if !s.begun {
		s.begun = true
		if err := s.load(ctx); err != nil {
			return nil, err
		}
	}
	if s.left == 0 {
		return nil, io.EOF
	}
	s.left--
	if s.engine != nil {
		return s.engine.Next(ctx)
	}
	_, row, err := s.rows.next(ctx)
	return row, err
}

// load reads and sorts all rows.
func (s *sortIter) load(ctx *sql.Context) error {
	var first []sql.Row
	for len(first) <= s.few {
		row, err := s.child.Next(ctx)
		if err == io.EOF {
			s.engine = iters.NewSortIter(s.conditions, sql.RowsToRowIter(first...))
			return nil
		}
		if err != nil {
			return err
		}
		first = append(first, row)
	}
	var err error
	if s.rows, err = newSpill(ctx, s.memory); err != nil {
		return err
	}
	var key []byte
	for i := 0; ; i++ {
		var row sql.Row
		var err error
		if i < len(first) {
			row, first[i] = first[i], nil
		} else if row, err = s.child.Next(ctx); err == io.EOF {
			return s.rows.sort()
		} else if err != nil {
			return err
		}
		var ok bool
		if key, ok, err = s.key(ctx, key[:0], row); err != nil {
			return err
		}
		if !ok {
			var rest []sql.Row
			if i < len(first) {
				rest = first[i+1:]
			}
			return s.giveUp(ctx, append([]sql.Row{row}, rest...))
		}
		if err := s.rows.add(key, row); err != nil {
			return err
		}
	}
}

// giveUp lets the engine sort the rows so far, those given and those that the child still has, in memory.
func (s *sortIter) giveUp(ctx *sql.Context, more []sql.Row) error {
	if err := s.rows.sort(); err != nil {
		return err
	}
	var rows []sql.Row
	for {
		_, row, err := s.rows.next(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	s.engine = iters.NewSortIter(s.conditions, &chained{rows: append(rows, more...), then: s.child})
	return nil
}

// Close implements sql.RowIter.
func (s *sortIter) Close(ctx *sql.Context) error {
	var err error
	if s.engine != nil {
		err = s.engine.Close(ctx)
	}
	return errors.Join(err, s.rows.close(), s.child.Close(ctx))
}

// chained is rows and those of an iterator, which it does not close.
type chained struct {
	rows []sql.Row
	then sql.RowIter
}

// Next implements sql.RowIter.
func (c *chained) Next(ctx *sql.Context) (sql.Row, error) {
	if len(c.rows) > 0 {
		row := c.rows[0]
		c.rows = c.rows[1:]
		return row, nil
	}
	return c.then.Next(ctx)
}

// Close implements sql.RowIter.
func (*chained) Close(*sql.Context) error { return nil }
