package op

import (
	"errors"
	"io"

	"github.com/stemmadb/stemma/internal/errs"
)

// writeFile makes a file: under another name first, so that the name means the old file or all of the new one. A file that exists is
// of class Exists unless force is set.
func writeFile(s *Scope, name string, force bool, fn func(w io.Writer) error) error {
	fs, path := s.fs(), s.path(name)
	if info, err := fs.Stat(path); err == nil && info.Dir {
		return errs.New(errs.Invalid, "write %s: it is a directory", name)
	} else if err == nil && !force {
		return errs.New(errs.Exists, "write %s: the file exists; use -f to overwrite it", name)
	} else if err != nil && !errs.Is(err, errs.NotFound) {
		return errs.New(errs.CodeOf(err), "write %s: %w", name, err)
	}
	tmp := path + ".tmp"
	f, err := fs.Create(tmp)
	if err != nil {
		return errs.New(errs.CodeOf(err), "write %s: %w", name, err)
	}
	err = fn(io.NewOffsetWriter(f, 0))
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = fs.Rename(tmp, path)
	}
	if err != nil {
		return errs.New(errs.CodeOf(err), "write %s: %w", name, errors.Join(err, fs.Remove(tmp)))
	}
	return nil
}
