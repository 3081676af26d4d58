package repo

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Revive makes the database of path one that can be opened although its journal is damaged: see pack.Revive. Nil without an error:
// the journal is whole. Class Locked: a process has the database open.
func Revive(ctx context.Context, fs vfs.FS, path string) (_ *pack.Revival, err error) {
	dir, err := Locate(fs, path)
	if err != nil {
		return nil, err
	}
	lock, err := fs.Lock(filepath.Join(dir, lockName))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	done, err := pack.Revive(ctx, fs, dir)
	if err != nil || done == nil {
		return nil, err
	}
	return done, forgetChunks(fs, dir)
}

// forgetChunks removes side files that remember chunks which may be gone.
func forgetChunks(fs vfs.FS, dir string) error {
	for _, path := range []string{sync.HeldIn(fs, dir).Path, filepath.Join(dir, zonesName)} {
		if err := fs.Remove(path); err != nil && !errs.Is(err, errs.NotFound) {
			return err
		}
	}
	return nil
}
