package vfs

import (
	"errors"
	"io"
	"path/filepath"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
)

// Within is fsys, of which only dir and what is below it can be named: other names, and those that lead out of it by symbolic links, are
// errors of class Denied. It serves users who may read some of the files of a machine.
func Within(fsys FS, dir string) FS { return &within{fsys: fsys, dir: filepath.Clean(dir)} }

type within struct {
	fsys FS
	dir  string
}

// check refuses a name outside of the directory.
func (w *within) check(name string) error {
	if !below(w.dir, filepath.Clean(name)) || !w.stays(name) {
		return errs.With(errs.Denied, &outside{name, w.dir})
	}
	return nil
}

// outside is the error of a name outside of a directory.
type outside struct{ name, dir string }

// Error implements error.
func (e *outside) Error() string {
	return e.name + " is not in " + e.dir + ", the only directory whose files may be named here"
}

// IsOutside tells whether err is of a name that Within refuses.
func IsOutside(err error) bool {
	var e *outside
	return errors.As(err, &e)
}

// Inside is the error of a name that Within(fsys, dir) would refuse; nil for one that it lets through.
func Inside(fsys FS, dir, name string) error {
	return (&within{fsys: fsys, dir: filepath.Clean(dir)}).check(name)
}

// below tells whether a clean path is dir or in it.
func below(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// stays tells whether a name is in the directory still when symbolic links have been followed.
func (w *within) stays(name string) bool {
	if _, ok := w.fsys.(OS); !ok {
		return true
	}
	root, err := filepath.EvalSymlinks(w.dir)
	if err != nil {
		return true // there is no such directory, so nothing is in it
	}
	for path := filepath.Clean(name); ; path = filepath.Dir(path) {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return below(root, real)
		}
		if path == filepath.Dir(path) {
			return false
		}
	}
}

// Open implements FS.
func (w *within) Open(name string) (File, error) {
	if err := w.check(name); err != nil {
		return nil, err
	}
	return w.fsys.Open(name)
}

// Create implements FS.
func (w *within) Create(name string) (File, error) {
	if err := w.check(name); err != nil {
		return nil, err
	}
	return w.fsys.Create(name)
}

// OpenRW implements FS.
func (w *within) OpenRW(name string) (File, error) {
	if err := w.check(name); err != nil {
		return nil, err
	}
	return w.fsys.OpenRW(name)
}

// Rename implements FS.
func (w *within) Rename(oldname, newname string) error {
	if err := w.check(oldname); err != nil {
		return err
	}
	if err := w.check(newname); err != nil {
		return err
	}
	return w.fsys.Rename(oldname, newname)
}

// Link implements FS.
func (w *within) Link(oldname, newname string) error {
	if err := w.check(oldname); err != nil {
		return err
	}
	if err := w.check(newname); err != nil {
		return err
	}
	return w.fsys.Link(oldname, newname)
}

// Remove implements FS.
func (w *within) Remove(name string) error {
	if err := w.check(name); err != nil {
		return err
	}
	return w.fsys.Remove(name)
}

// MkdirAll implements FS.
func (w *within) MkdirAll(name string) error {
	if err := w.check(name); err != nil {
		return err
	}
	return w.fsys.MkdirAll(name)
}

// ReadDir implements FS.
func (w *within) ReadDir(name string) ([]string, error) {
	if err := w.check(name); err != nil {
		return nil, err
	}
	return w.fsys.ReadDir(name)
}

// Stat implements FS.
func (w *within) Stat(name string) (Info, error) {
	if err := w.check(name); err != nil {
		return Info{}, err
	}
	return w.fsys.Stat(name)
}

// SyncDir implements FS.
func (w *within) SyncDir(name string) error {
	if err := w.check(name); err != nil {
		return err
	}
	return w.fsys.SyncDir(name)
}

// Lock implements FS.
func (w *within) Lock(name string) (io.Closer, error) {
	if err := w.check(name); err != nil {
		return nil, err
	}
	return w.fsys.Lock(name)
}

// DiskFree implements FS.
func (w *within) DiskFree(name string) (int64, error) {
	if err := w.check(name); err != nil {
		return 0, err
	}
	return w.fsys.DiskFree(name)
}
