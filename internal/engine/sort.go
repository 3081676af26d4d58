package engine

import (
	"errors"
	"io"
	"os"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/iters"
	"github.com/dolthub/go-mysql-server/sql/plan"

	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/engine/types"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/vfs"
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

	begun   bool
	engine  sql.RowIter // gives the rows, when the engine has sorted them
	sorter  *table.Sorter
	sorted  *table.Sorted
	bytes   types.RowBytes
	cleanup func() error
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
	_, b, ok, err := s.sorted.Next(ctx)
	switch {
	case err != nil:
		return nil, err
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case !ok:
		return nil, io.EOF
	}
	return s.bytes.Row(b)
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
	if err := s.begin(ctx); err != nil {
		return err
	}
	var key, data []byte
	for i := 0; ; i++ {
		var row sql.Row
		var err error
		if i < len(first) {
			row, first[i] = first[i], nil
		} else if row, err = s.child.Next(ctx); err == io.EOF {
			s.sorted, err = s.sorter.Sort()
			return err
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
		data = s.bytes.Append(data[:0], row)
		if err := s.sorter.Add(key, data); err != nil {
			return err
		}
	}
}

// begin makes the sorter. Its files are with the current database; beside a database that is open for reading only, or without one, they
// are in a directory of the operating system's for such files.
func (s *sortIter) begin(ctx *sql.Context) error {
	if own, ok := ctx.Session.(*session.Session); ok && ctx.GetCurrentDatabase() != "" {
		if h, err := own.Handle(ctx, ctx.GetCurrentDatabase()); err == nil && !h.Repo().ReadOnly() {
			s.sorter = table.NewSorter(h.Repo().FS(), h.Repo().TempDir(), s.memory)
			return nil
		}
	}
	dir, err := os.MkdirTemp("", "stemma-sort-*")
	if err != nil {
		return errs.New(errs.CodeOf(err), "sort rows: %w", err)
	}
	s.cleanup = func() error { return os.RemoveAll(dir) }
	s.sorter = table.NewSorter(vfs.OS{}, dir, s.memory)
	return nil
}

// giveUp lets the engine sort the rows so far, those given and those that the child still has, in memory.
func (s *sortIter) giveUp(ctx *sql.Context, more []sql.Row) error {
	sorted, err := s.sorter.Sort()
	if err != nil {
		return err
	}
	var rows []sql.Row
	for {
		_, b, ok, err := sorted.Next(ctx)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		row, err := s.bytes.Row(b)
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
	if s.sorter != nil {
		err = errors.Join(err, s.sorter.Close())
		s.sorter = nil
	}
	if s.cleanup != nil {
		err = errors.Join(err, s.cleanup())
		s.cleanup = nil
	}
	return errors.Join(err, s.child.Close(ctx))
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
