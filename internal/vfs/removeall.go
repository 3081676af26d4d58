package vfs

import (
	"path/filepath"

	"github.com/stemmadb/stemma/internal/errs"
)

// RemoveAll removes a name and all below it; one that is not there is no error.
func RemoveAll(fsys FS, name string) error {
	info, err := fsys.Stat(name)
	if err != nil {
		if errs.Is(err, errs.NotFound) {
			return nil
		}
		return err
	}
	if info.Dir {
		names, err := fsys.ReadDir(name)
		if err != nil {
			return err
		}
		for _, n := range names {
			if err := RemoveAll(fsys, filepath.Join(name, n)); err != nil {
				return err
			}
		}
	}
	if err := fsys.Remove(name); !errs.Is(err, errs.NotFound) {
		return err
	}
	return nil
}
