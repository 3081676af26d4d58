package ingest

import (
	"context"
	"errors"
	"io"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Source is a file to read, more than once.
type Source struct {
	Name string      // how messages call it
	R    io.ReaderAt // its bytes, which must not change
	Size int64       // their number
	Unit string      // what messages call a line, because it is one of a copy only; "" for a line
}

// Spool is a temporary copy of a stream, since a stream cannot be read twice.
type Spool struct {
	Source
	fs   vfs.FS
	file vfs.File
}

// NewSpool copies r into a new file of that path, and must be closed. name is how messages call it.
func NewSpool(ctx context.Context, fs vfs.FS, path, name string, r io.Reader) (*Spool, error) {
	f, err := fs.Create(path)
	if err != nil {
		return nil, err
	}
	s := &Spool{Source: Source{Name: name, R: f}, fs: fs, file: f}
	buf := make([]byte, 256<<10)
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			if _, err := f.WriteAt(buf[:n], s.Size); err != nil {
				return nil, errors.Join(err, s.Close())
			}
			s.Size += int64(n)
		}
		if err == nil {
			err = errs.With(errs.Canceled, ctx.Err())
		}
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return s, nil
		default:
			return nil, errors.Join(err, s.Close())
		}
	}
}

// Close removes the copy.
func (s *Spool) Close() error { return errors.Join(s.file.Close(), s.fs.Remove(s.file.Name())) }

// unit is what messages call a line.
func (s *Source) unit() string {
	if s.Unit != "" {
		return s.Unit
	}
	return "line"
}
