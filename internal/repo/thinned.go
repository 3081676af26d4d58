package repo

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/vfs"
)

// thinnedName is the file that says what became of commits when histories were thinned.
const thinnedName = "thinned"

// Thinned is what became of commits when histories of the database were thinned; nil when none was.
func (r *Repo) Thinned() (*lineage.Thinned, error) {
	data, err := vfs.ReadFile(r.fs, filepath.Join(r.dir, thinnedName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, errs.New(errs.CodeOf(err), "read what became of thinned commits: %w", err)
	}
	return lineage.ReadThinned(data)
}

// BackupThinned copies what Thinned says into the directory of a backup. It may say more than the backup's refs do, which does no harm.
func (r *Repo) BackupThinned(to vfs.FS, dir string) error {
	t, err := r.Thinned()
	if err != nil || t == nil {
		return err
	}
	return vfs.WriteFile(to, filepath.Join(dir, thinnedName), t.Encode())
}

// errThinned is the error for the hash of a commit that is not there because a history was thinned; nil when there is another reason.
func (r *Repo) errThinned(rev string) error {
	if !hash.IsPrefix(rev) {
		return nil
	}
	t, err := r.Thinned()
	if err != nil {
		return err
	}
	switch c, ok := t.Find(rev); {
	case !ok:
		return nil
	case c.Now == "":
		return errs.New(errs.NotFound, "commit %s is not there any more: retention rules took it out of the history", c.Was)
	case c.Erased:
		return errs.New(errs.NotFound, "commit %s is not there any more: when rows were erased it became %s", c.Was, c.Now)
	default:
		return errs.New(errs.NotFound, "commit %s is not there any more: when retention rules thinned the history it became %s, with the same tables", c.Was, c.Now)
	}
}

// noteThinned makes what Thinned says durable.
func (r *Repo) noteThinned(t *lineage.Thinned) error {
	name := filepath.Join(r.dir, thinnedName)
	if t == nil {
		err := r.fs.Remove(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return vfs.WriteFile(r.fs, name, t.Encode())
}
