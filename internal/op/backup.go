package op

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// backupColumns are the columns of what backup answers.
var backupColumns = []Column{Text("path"), Whole("bytes")}

// Backup is the verb that copies a database while it is in use.
type Backup struct {
	Path string `arg:"1" required:"true" value:"path" complete:"file" help:"a directory that is made, or is empty"`
}

func backupSpec() Spec {
	return Define[Backup](Spec{
		Name: "backup", Columns: backupColumns, Group: GroupCare, Needs: NeedDatabase, ReadOnly: true,
		Short: "Copy the database to another directory",
		Long: `The copy holds everything that was durable when the backup began: history, working sets and all. Others may write meanwhile.
It is a database like any other; a copy that was interrupted is not one and may be deleted.`,
		Examples: []Example{{"backup /mnt/backup/prices", "copy the database of this directory"}},
	})
}

// Run copies.
func (c *Backup) Run(ctx context.Context, s *Scope) (*Result, error) {
	path := c.Path
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.Dir, path)
	}
	if _, err := repo.Locate(s.FS, path); err == nil {
		return nil, errs.New(errs.Exists, "backup: %s already holds a database", path)
	} else if !errs.Is(err, errs.NotFound) {
		return nil, err
	}
	names, err := s.FS.ReadDir(path)
	if len(names) > 0 {
		return nil, errs.New(errs.Exists, "backup: the directory %s is not empty", path)
	}
	dir := filepath.Join(path, filepath.Base(s.Repo.Dir()))
	made := dir // by this verb, which takes it away again when the copy fails
	if errs.Is(err, errs.NotFound) {
		made = path
	}
	if err := s.FS.MkdirAll(dir); err != nil {
		return nil, err
	}
	var task Task
	var last int64
	err = s.Repo.Store().Backup(ctx, s.FS, dir, func(done, total int64) {
		if task == nil {
			task = s.Start("backup", total, "bytes")
		}
		task.Add(done - last)
		last = done
	})
	if task != nil {
		task.Done(err)
	}
	if err != nil {
		return nil, errors.Join(err, vfs.RemoveAll(s.FS, made))
	}
	r := Say("Backed up %s to %s.", s.Repo.Name(), path)
	r.Columns, r.Rows = backupColumns, [][]any{{path, last}}
	return r, nil
}
