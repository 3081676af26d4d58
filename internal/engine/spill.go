package engine

import (
	"errors"
	"io"
	"os"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/engine/types"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/vfs"
)

// spill sorts rows of a statement by keys, in files beyond some memory.
type spill struct {
	sorter  *table.Sorter
	sorted  *table.Sorted
	bytes   types.RowBytes
	data    []byte
	cleanup func() error
}

// newSpill makes a spill that keeps about memory bytes in memory. Its files are with the current database; beside a database that is
// open for reading only, or without one, they are in a directory of the operating system's for such files.
func newSpill(ctx *sql.Context, memory int) (*spill, error) {
	if own, ok := ctx.Session.(*session.Session); ok && ctx.GetCurrentDatabase() != "" {
		if h, err := own.Handle(ctx, ctx.GetCurrentDatabase()); err == nil && !h.Repo().ReadOnly() {
			return &spill{sorter: table.NewSorter(h.Repo().FS(), h.Repo().TempDir(), memory)}, nil
		}
	}
	dir, err := os.MkdirTemp("", "stemma-sort-*")
	if err != nil {
		return nil, errs.New(errs.CodeOf(err), "sort rows: %w", err)
	}
	return &spill{sorter: table.NewSorter(vfs.OS{}, dir, memory), cleanup: func() error { return os.RemoveAll(dir) }}, nil
}

// add takes a row, of which it copies what it needs.
func (s *spill) add(key []byte, row sql.Row) error {
	s.data = s.bytes.Append(s.data[:0], row)
	return s.sorter.Add(key, s.data)
}

// sort ends the adding of rows.
func (s *spill) sort() (err error) {
	s.sorted, err = s.sorter.Sort()
	return err
}

// next is the next row in the order of keys, io.EOF behind the last. The key is valid until next is called again.
func (s *spill) next(ctx *sql.Context) (key []byte, row sql.Row, err error) {
	key, b, ok, err := s.sorted.Next(ctx)
	switch {
	case err != nil:
		return nil, nil, err
	case ctx.Err() != nil:
		return nil, nil, ctx.Err()
	case !ok:
		return nil, nil, io.EOF
	}
	row, err = s.bytes.Row(b)
	return key, row, err
}

// close removes the files. A nil spill has none.
func (s *spill) close() error {
	if s == nil || s.sorter == nil {
		return nil
	}
	err := s.sorter.Close()
	s.sorter = nil
	if s.cleanup != nil {
		err = errors.Join(err, s.cleanup())
	}
	return err
}
