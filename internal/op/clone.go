package op

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Clone is the verb that makes a database of a remote.
type Clone struct {
	Name   string `flag:"remote" value:"name" default:"origin" help:"what the remote is called here"`
	Branch string `flag:"branch,b" value:"branch" help:"the branch to check out; otherwise main, or the only one, or the first"`
	Single bool   `flag:"single-branch" help:"take the history of that branch only, and no tags"`
	Depth  int64  `flag:"depth" value:"n" least:"1" help:"take the newest n commits only, of that branch; the others can be fetched later"`
	Rev    string `flag:"rev" alias:"revision" value:"revision" help:"take the history of this commit or tag, as the branch that is named or the remote's default"`
	Tables string `flag:"tables" value:"a,b" least:"1" help:"take these tables only; the others can be fetched later"`
	Lazy   bool   `flag:"lazy" help:"take commits only; rows come from the remote when they are read, and the last of them are kept"`
	Most   int64  `flag:"cache" value:"MiB" default:"1024" help:"with --lazy: how much of what was read is kept"`
	Silent bool   `flag:"silent" hidden:"true" help:"accepted for compatibility"`
	URL    string `arg:"1" required:"true" value:"url" help:"where the remote is"`
	Dir    string `arg:"2" value:"directory" complete:"dir" help:"the directory to be made, or an empty one; otherwise one named after the remote"`

	restore bool      // all branches with their working sets, and no remote: what a backup holds
	kept    bool      // with mirror: what is changed is changed there
	mirror  bool      // all branches as they are there, which nothing but fetch changes; with Lazy
	at      time.Time // with restore: as it was then; zero for as it is
	older   bool      // with Rev: also what only earlier syncs of a backup had

	hints     []string      // of what the remote has beside refs
	past      *past         // with at
	without   []string      // with at: branches whose uncommitted changes are left out
	elsewhere []sync.Target // with older: lists of packs of earlier syncs, where it takes these
}

// MadeDatabases is where a server makes databases.
type MadeDatabases interface {
	// MakeDatabase lets fill make the database of that name in the directory dir of fs, and opens it. One of that name is an error of class Exists.
	MakeDatabase(ctx context.Context, name string, fill func(fs vfs.FS, dir string) error) error
}

func cloneSpec() Spec {
	return Define[Clone](Spec{
		Name: "clone", Group: GroupStart, Admin: true,
		Short: "Make a database of a remote",
		Long: `The database has the remote's branches as origin/<branch>, one of them as a branch of its own that follows it, and all tags. A clone
that was interrupted is no database yet, and goes on where it stopped when it is repeated.

With --depth, --tables or --lazy the database is a part of the remote's. It knows what it lacks: what needs more than is there says so, and
'fetch --complete' brings the rest.`,
		Usage: []string{"[-b <branch>] [--single-branch] [--depth <n>] [--rev <revision>] [--tables <a,b>] [--lazy] [--remote <name>] <url> [<directory>]"},
		Examples: []Example{
			{"clone file:///mnt/share/prices", "into the directory prices"}, {"clone -b fix ../share/prices mine", "another branch, into the directory mine"},
			{"clone --depth 1 --tables prices ../share/prices", "one table as it is now; 'fetch --complete' brings the rest"},
		},
	})
}

// Run clones.
func (c *Clone) Run(ctx context.Context, s *Scope) (*Result, error) {
	if !remoteName.MatchString(c.Name) {
		return nil, errs.New(errs.Invalid, "'%s' is no name of a remote: it may consist of letters, digits and _ . - only", c.Name)
	}
	url, err := s.remoteURL(c.URL)
	if err != nil {
		return nil, err
	}
	dir := c.Dir
	if dir == "" {
		dir = url[strings.LastIndexByte(url, '/')+1:]
	}
	if dir == "" {
		return nil, errs.New(errs.Invalid, "clone: say into which directory: clone %s <directory>", c.URL)
	}
	if s.Making != nil {
		err := s.Making.MakeDatabase(ctx, dir, func(fs vfs.FS, dir string) error { return c.into(ctx, s, url, fs, dir) })
		res := statusResult(0)
		res.Hints = c.hints
		return res, err
	}
	if err := c.into(ctx, s, url, s.fs(), s.path(dir)); err != nil {
		return nil, err
	}
	res := Say("cloning %s", url)
	res.Hints = c.hints
	return res, nil
}

// into clones into a directory.
func (c *Clone) into(ctx context.Context, s *Scope, url string, fs vfs.FS, dir string) error {
	if err := c.check(); err != nil {
		return err
	}
	if err := cloneable(fs, dir); err != nil {
		return err
	}
	r, err := s.openURL(ctx, url)
	if err != nil {
		return err
	}
	hints := warnings(r)
	defer func() { c.hints = slices.Concat(c.hints, *hints, c.left()) }()
	refs, runs, err := r.RefsAndRuns(ctx)
	if err != nil {
		return err
	}
	if !c.at.IsZero() {
		if c.past, err = pastOf(ctx, r, refs, c.at); err != nil {
			return err
		}
		refs = c.past.refs(refs)
	}
	if c.mirror { // whose lineage is the remote's, or is joined when it is opened
		runs = nil
	}
	branch, err := c.choose(url, refs)
	if err != nil {
		return err
	}
	opt := s.dirName()
	f := &sync.Fetch{Remote: r, FS: fs, Progress: s.syncProgress()}
	err = repo.Clone(ctx, fs, dir, opt, c.source(url, branch), func(ctx context.Context, st *pack.Store, made, incoming string) (*repo.Cloned, error) {
		f.Store, f.Incoming = st, incoming
		return c.fill(ctx, s, f, refs, runs, branch, url, made)
	})
	if err != nil {
		return err
	}
	f.Incoming = "" // it went with the directory in which the clone was made
	f.Held = sync.HeldIn(fs, filepath.Join(dir, opt))
	if err := f.Landed(); err != nil || len(runs) == 0 {
		return err
	}
	made, err := repo.Open(ctx, fs, dir, repo.Options{Clock: s.Clock})
	if err != nil {
		return err
	}
	return errors.Join(made.TakeRuns(ctx, nil, commitsOf(runs)), made.Close(ctx))
}

// source says what the clone is to be like: one that was interrupted goes on only where that is the same.
func (c *Clone) source(url, branch string) string {
	text := fmt.Sprintf("url %q\nremote %q\nbranch %q\nsingle-branch %t\n", url, c.Name, branch, c.Single)
	if c.restore {
		text += fmt.Sprintf("restore %s\n", c.at.UTC())
	}
	if c.part() || c.Rev != "" {
		text += fmt.Sprintf("depth %d\nrevision %q\ntables %q\nlazy %t\n", c.Depth, c.Rev, c.tables(), c.Lazy)
	}
	if c.mirror {
		text += "mirror\n"
	}
	if c.kept {
		text += "kept\n"
	}
	return text
}

// cloneable reports why a directory cannot become a clone.
func cloneable(fs vfs.FS, dir string) error {
	names, err := fs.ReadDir(dir)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := repo.Locate(fs, dir); err == nil {
		return errs.New(errs.Exists, "data repository already exists: %s", dir)
	} else if !errs.Is(err, errs.NotFound) {
		return err
	}
	if i := slices.IndexFunc(names, func(n string) bool { return n != repo.CloneDirName }); i >= 0 {
		return errs.New(errs.Exists, "the directory %s is not empty: it holds %s", dir, names[i])
	}
	return nil
}

// choose is the branch to be checked out.
func (c *Clone) choose(url string, refs map[string]sync.Ref) (string, error) {
	names := branchNames(refs)
	switch {
	case len(names) == 0 && c.restore:
		return "", errs.New(errs.NotFound, "backup restore: there is no backup at %s", url)
	case len(names) == 0 && c.kept:
		return "", errNoDatabaseAt(url)
	case len(names) == 0:
		return "", errs.New(errs.NotFound, "clone failed: the remote at %s has no branches; push to it first", url)
	case c.Branch != "" && c.Rev != "":
		return c.Branch, history.CheckRefName(c.Branch)
	case c.Branch != "" && !slices.Contains(names, c.Branch):
		return "", offering(errs.NotFound, errs.Nearest(c.Branch, names), "clone failed: the remote at %s has no branch '%s'", url, c.Branch)
	case c.Branch != "":
		return c.Branch, nil
	}
	for _, n := range []string{repo.DefaultBranch, "master"} {
		if slices.Contains(names, n) {
			return n, nil
		}
	}
	return names[0], nil
}

// seen is what of the refs of a remote the clone begins with, and which of them these are.
func (c *Clone) seen(refs map[string]sync.Ref, branch string) (out *repo.Cloned, got []sync.Ref) {
	out = &repo.Cloned{Branches: []repo.Branch{{Name: branch, Head: refs[sync.Heads+branch].Commit}}, Head: branch}
	out.Work = map[string]history.CommitID{}
	single := c.Single || c.Depth > 0 || c.Rev != ""
	for name, x := range refs {
		b, isBranch := strings.CutPrefix(name, sync.Heads)
		switch {
		case name == sync.Lineage:
			out.Lineage = x.Commit
		case single && b != branch || c.Rev != "":
			continue
		case (c.restore || c.mirror) && isBranch:
			if b != branch {
				out.Branches = append(out.Branches, repo.Branch{Name: b, Head: x.Commit})
			}
			got = append(got, c.worked(x, out)...)
		case strings.HasPrefix(name, sync.Work):
			if !c.restore {
				continue
			}
			if !c.at.IsZero() { // it depends on what the branch is then
				continue
			}
			out.Work[strings.TrimPrefix(name, sync.Work)] = x.Commit
		case isBranch:
			out.Tracks = append(out.Tracks, repo.LandedTrack{Name: c.Name + "/" + b, Head: x.Commit})
		default:
			out.Tags = append(out.Tags, repo.LandedTag{Name: strings.TrimPrefix(name, sync.Tags), Object: x.Tag, Commit: x.Commit})
		}
		got = append(got, x)
	}
	return out, got
}

// worked is what else is to be fetched of a branch that is worked on at the remote, where that is restored: its uncommitted changes.
func (c *Clone) worked(x sync.Ref, out *repo.Cloned) []sync.Ref {
	b := strings.TrimPrefix(x.Name, sync.Heads)
	if !c.restore {
		return nil
	}
	if !x.Open.IsZero() {
		c.hints = append(c.hints, "warning: what is in progress on branch '"+b+"' there, a merge or a rebase, is left out")
	}
	switch {
	case x.Work.IsZero():
		return nil
	case !c.at.IsZero():
		c.without = append(c.without, b)
		return nil
	}
	out.Work[b] = x.Work
	return []sync.Ref{{Name: x.Name, Target: sync.Target{Commit: x.Work, List: x.List}}}
}

// left says what of a backup a state of the past has not.
func (c *Clone) left() (out []string) {
	if c.past != nil {
		out = c.past.hints()
	}
	if len(c.without) > 0 {
		out = append(out, "uncommitted changes of "+strings.Join(c.without, ", ")+" are not there: the backup has those of its syncs only, and not when they were made; a restore of the time of a sync, or without --at, has them")
	}
	return out
}

// fill fetches into the store of the clone, and writes its settings.
func (c *Clone) fill(ctx context.Context, s *Scope, f *sync.Fetch, refs map[string]sync.Ref, runs []sync.Ref, branch, url, dir string) (*repo.Cloned, error) {
	out, got := c.seen(refs, branch)
	if c.past != nil {
		got = distinct(append(got, c.past.needs()...))
	}
	got = append(got, asLineage(runs)...)
	out.Time = s.Clock.Now()
	var err error
	if c.part() || c.Rev != "" {
		err = c.fillPart(ctx, s, f, refs, got, out, url, dir)
	} else {
		out.Batch, err = f.Refs(ctx, got, nil)
	}
	if err != nil {
		return nil, err
	}
	if c.restore {
		if !c.at.IsZero() {
			err = c.back(ctx, out)
		}
		if err == nil {
			err = c.leftWork(ctx, out)
		}
		if err == nil && c.at.IsZero() {
			err = noteRestored(f.FS, dir, f.Remote.URL(), refs)
		}
		if err != nil {
			return nil, errors.Join(err, out.Batch.Close())
		}
		return out, nil
	}
	settings := map[string]func(map[string]string){remotesSetting: func(m map[string]string) { m[c.Name] = url }}
	if c.Rev == "" && !c.mirror {
		settings[upstreamSetting] = func(m map[string]string) { m[branch] = trackPrefix + c.Name + "/" + branch }
	}
	if err = changeObjects(filepath.Join(dir, "config"), settings); err != nil {
		return nil, errors.Join(err, out.Batch.Close())
	}
	return out, nil
}
