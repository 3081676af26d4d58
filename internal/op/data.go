package op

import (
	"context"
	"crypto/sha256"
	"errors"
	"path/filepath"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/ingest"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/training"
	"github.com/stemmadb/stemma/internal/vfs"
)

// trainingRun is one run of a verb on a training configuration. It must be closed.
type trainingRun struct {
	s       *Scope
	config  *training.Config
	lock    *training.Lock // nil when there is none
	opened  map[string]*repo.Repo
	lockAt  string // the lock file's name
	configs string // the configuration's name
	against string // the revision with which items at commits are compared; "" is HEAD
}

// newTraining is a run that has read nothing yet. lock may be "", for the lock file beside the configuration.
func newTraining(s *Scope, config, lock string) *trainingRun {
	if lock == "" {
		lock = strings.TrimSuffix(config, filepath.Ext(config)) + ".lock"
	}
	return &trainingRun{s: s, opened: map[string]*repo.Repo{}, configs: config, lockAt: lock}
}

// openTraining reads a configuration and its lock. needLock says that the verb is of no use without a lock.
func openTraining(s *Scope, config, lock string, needLock bool) (*trainingRun, error) {
	t := newTraining(s, config, lock)
	data, err := vfs.ReadFile(s.fs(), s.path(config))
	if errs.Is(err, errs.NotFound) {
		return nil, errs.New(errs.NotFound, "read %s: there is no such file; it lists the tables of a training configuration: see '%s help data lock'", config, s.Program())
	}
	if err != nil {
		return nil, errs.New(errs.CodeOf(err), "read %s: %w", config, err)
	}
	if t.config, err = training.ParseConfig(config, data); err != nil {
		return nil, err
	}
	data, err = vfs.ReadFile(s.fs(), s.path(t.lockAt))
	switch {
	case errs.Is(err, errs.NotFound) && !needLock:
		return t, nil
	case errs.Is(err, errs.NotFound):
		return nil, errs.New(errs.NotFound, "read %s: there is no lock file; make it with: %s data lock", t.lockAt, s.Program())
	case err != nil:
		return nil, errs.New(errs.CodeOf(err), "read %s: %w", t.lockAt, err)
	}
	t.lock, err = training.ParseLock(t.lockAt, data)
	return t, err
}

// close closes the other databases.
func (t *trainingRun) close(ctx context.Context) error {
	var all error
	for _, r := range t.opened {
		all = errors.Join(all, r.Close(context.WithoutCancel(ctx)))
	}
	return all
}

// database is the database of an item: the one of the scope, one in the directory that the configuration names, one that the caller has
// open, or one in a directory beside that of the scope.
func (t *trainingRun) database(ctx context.Context, name string) (*repo.Repo, error) {
	if name == "" || strings.EqualFold(name, t.s.Repo.Name()) {
		return t.s.Repo, nil
	}
	if r := t.opened[name]; r != nil {
		return r, nil
	}
	dir, named := t.config.Databases[name]
	if named && !filepath.IsAbs(dir) {
		dir = filepath.Join(filepath.Dir(t.configs), dir)
	}
	if !named {
		if t.s.Lookup != nil {
			if r, ok := t.s.Lookup(name); ok {
				return r, nil
			}
		}
		dir = filepath.Join("..", name)
	}
	r, err := repo.Open(ctx, t.s.fs(), t.s.path(dir), repo.Options{ReadOnly: true, Clock: t.s.Clock})
	if err != nil {
		hint := ""
		if !named {
			hint = "; databases: in " + t.configs + " says where one is"
		}
		return nil, errs.New(errs.CodeOf(err), "open database %s: %w%s", name, err, hint)
	}
	t.opened[name] = r
	return r, nil
}

// pinned is an item at a commit.
type pinned struct {
	item   training.Item
	r      *repo.Repo
	commit history.CommitID
	view   *table.View // the whole table
	name   string      // the table's, as written
}

// resolve finds an item at its revision, or at the commit when one is given.
func (t *trainingRun) resolve(ctx context.Context, item training.Item, commit string) (*pinned, error) {
	fail := func(err error) error { return errs.New(errs.CodeOf(err), "%s: %w", item, err) }
	r, err := t.database(ctx, item.Database)
	if err != nil {
		return nil, fail(err)
	}
	branch := r.CheckedOut()
	if r == t.s.Repo {
		branch = t.s.branch()
	}
	p := &pinned{item: item, r: r}
	if commit != "" {
		if p.commit, err = hash.Parse(commit); err != nil {
			return nil, fail(err)
		}
	} else {
		ref := item.Ref
		if ref == "" {
			ref = "HEAD"
		}
		if p.commit, err = r.Resolve(ctx, ref, branch); err != nil {
			return nil, fail(err)
		}
	}
	snap, err := r.SnapshotAt(ctx, p.commit)
	if err != nil {
		return nil, fail(err)
	}
	var ok bool
	if p.view, p.name, ok, err = snap.Table(ctx, item.Table); err != nil {
		return nil, fail(err)
	}
	if !ok {
		return nil, fail(t.noTable(ctx, r, snap, item.Table))
	}
	for _, c := range item.Columns {
		if p.view.Schema().ColumnIndex(c) < 0 {
			var own []string
			for i := range p.view.Schema().Columns {
				own = append(own, p.view.Schema().Columns[i].Name)
			}
			return nil, fail(offering(errs.NotFound, errs.Nearest(c, own), "the table has no column %s", c))
		}
	}
	return p, nil
}

// noTable is the error of a table that a commit has not: it tells of branches that have it.
func (t *trainingRun) noTable(ctx context.Context, r *repo.Repo, snap *repo.Snapshot, name string) error {
	var has []string
	for _, b := range r.Branches() {
		if s, err := r.SnapshotAt(ctx, b.Head); err == nil {
			if _, _, ok, err := s.Table(ctx, name); err == nil && ok {
				has = append(has, b.Name)
			}
		}
	}
	if len(has) > 0 {
		return errs.New(errs.NotFound, "there is no such table at that revision; the branch %s has it", strings.Join(has, ", "))
	}
	return notATable(ctx, snap, name)
}

// pin makes the entry of a lock.
func (t *trainingRun) pin(ctx context.Context, p *pinned) (_ *training.Pin, err error) {
	v, free, err := t.rows(ctx, p)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, free()) }()
	task := t.s.Start("hash "+p.item.String(), int64(v.Count()), "rows")
	content, err := contentHash(ctx, v, task)
	task.Done(err)
	if err != nil {
		return nil, err
	}
	pin := &training.Pin{
		Item: p.item, Commit: p.commit.Full(), TableHash: p.view.Table.Hash().Full(), SchemaHash: p.view.Schema().Hash.Full(), ContentHash: content.Full(), Rows: v.Count(),
	}
	pin.PrimaryKey = keyNames(p.view.Schema().Schema)
	return pin, nil
}

// keyNames are the columns of the primary key; nil when there is none.
func keyNames(s *schema.Schema) []string {
	var names []string
	for _, k := range s.PrimaryKey {
		names = append(names, s.Columns[s.ColumnByID(k.Column)].Name)
	}
	return names
}

// contentHash is the SHA-256 of a table's rows as CSV, the form of which no format of pages has a part in: what `table export` writes.
func contentHash(ctx context.Context, v *table.View, task Task) (hash.Hash, error) {
	h := sha256.New()
	if _, err := ingest.Export(ctx, h, v, ingest.Format{Comma: ','}, task.Add); err != nil {
		return hash.Hash{}, err
	}
	return hash.Hash(h.Sum(nil)), nil
}

// same tells whether an item at its revision holds what the pin says. Of a part of a table it looks at the part's rows.
func (t *trainingRun) same(ctx context.Context, p *pinned, pin *training.Pin) (bool, error) {
	if p.view.Table.Hash().Full() == pin.TableHash {
		return true, nil
	}
	if p.item.Where == "" && p.item.Columns == nil {
		return false, nil
	}
	now, err := t.pin(ctx, p)
	if err != nil {
		return false, err
	}
	return now.ContentHash == pin.ContentHash && now.Rows == pin.Rows, nil
}

// eachPin calls fn for the items of the lock.
func (t *trainingRun) eachPin(fn func(split string, pin *training.Pin) error) error {
	for i := range t.lock.Splits {
		for k := range t.lock.Splits[i].Items {
			if err := fn(t.lock.Splits[i].Name, &t.lock.Splits[i].Items[k]); err != nil {
				return err
			}
		}
	}
	return nil
}
