package catalog

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// DroppedDir is the directory among the databases to which those go that are dropped.
const DroppedDir = ".stemma_dropped_databases"

// setAside moves the directory of a database that has been closed to the dropped ones. One of the same name that is there already gets
// another name, with the time.
func (p *Provider) setAside(e *entry) error {
	fs, aside := p.opt.FS, filepath.Join(p.opt.Dir, DroppedDir)
	if err := fs.MkdirAll(aside); err != nil {
		return err
	}
	to := filepath.Join(aside, e.name)
	if _, err := fs.Stat(to); err == nil {
		other := fmt.Sprintf("%s.backup.%d", to, p.now().UnixMilli())
		if _, err := fs.Stat(other); err == nil {
			return errs.New(errs.Exists, "drop database %s: %s is in the way", e.name, other)
		}
		if err := fs.Rename(to, other); err != nil {
			return err
		}
	}
	if err := fs.Rename(filepath.Dir(e.repo.Dir()), to); err != nil {
		return err
	}
	return p.syncMoved()
}

// syncMoved makes moves between the databases and the dropped ones durable.
func (p *Provider) syncMoved() error {
	if err := p.opt.FS.SyncDir(filepath.Join(p.opt.Dir, DroppedDir)); err != nil {
		return err
	}
	return p.opt.FS.SyncDir(p.opt.Dir)
}

// Dropped are the names of the databases that can be restored.
func (p *Provider) Dropped() ([]string, error) {
	if p.opt.Dir == "" {
		return nil, nil
	}
	names, err := p.opt.FS.ReadDir(filepath.Join(p.opt.Dir, DroppedDir))
	if errs.Is(err, errs.NotFound) {
		err = nil
	}
	return names, err
}

// Undrop restores a database that has been dropped, by its name, in which case does not count. One that is not there is an error of class
// NotFound; when another has the name by now it is of class Exists.
func (p *Provider) Undrop(ctx context.Context, name string) error {
	names, err := p.Dropped()
	if err != nil {
		return err
	}
	found := ""
	for _, n := range names {
		if n == name || found == "" && plain(n) == plain(name) {
			found = n
		}
	}
	if found == "" {
		return errs.New(errs.NotFound, "no database named '%s' found to undrop. %s", name, available(names))
	}
	if err := p.fixed("undrop " + found); err != nil {
		return err
	}
	if p.opt.Repo.ReadOnly {
		return errs.New(errs.ReadOnly, "undrop %s: the databases are open for reading only", found)
	}
	r, err := p.restore(ctx, found)
	if err == nil && p.opt.Opened != nil {
		p.opt.Opened(r)
	}
	return err
}

// restore moves a database back and opens it.
func (p *Provider) restore(ctx context.Context, name string) (*repo.Repo, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	dir := filepath.Join(p.opt.Dir, name)
	others, err := p.opt.FS.ReadDir(p.opt.Dir)
	if err != nil {
		return nil, err
	}
	taken := p.twin(name) != nil
	for _, o := range others {
		taken = taken || plain(o) == plain(name)
	}
	if taken {
		return nil, errs.New(errs.Exists, "unable to undrop database '%s'; another database already exists with the same case-insensitive name", name)
	}
	if err := p.opt.FS.Rename(filepath.Join(p.opt.Dir, DroppedDir, name), dir); err != nil {
		return nil, err
	}
	if err := p.syncMoved(); err != nil {
		return nil, err
	}
	r, err := repo.Open(ctx, p.opt.FS, dir, p.opt.Repo)
	if err != nil {
		return nil, err
	}
	p.add(r, true)
	return r, nil
}

// available tells what can be restored.
func available(names []string) string {
	if len(names) == 0 {
		return "there are no databases currently available to be undropped"
	}
	return "available databases that can be undropped: " + strings.Join(names, ", ")
}

// PurgeDropped removes all databases that have been dropped, for good.
func (p *Provider) PurgeDropped(context.Context) error {
	names, err := p.Dropped()
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := vfs.RemoveAll(p.opt.FS, filepath.Join(p.opt.Dir, DroppedDir, n)); err != nil {
			return err
		}
	}
	return nil
}
