package op

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/remote"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

// mirrorMost is how much of what was read of a remote is kept in its mirror, in MiB.
const mirrorMost = 1024

// MakeMirror makes, in a directory, the mirror of a remote at a normal URL: a lazy part of it whose branches and tags are the remote's, which
// fetch brings to what they are there by now, and which nothing else changes. It is for those who read a remote without a clone of their own.
func MakeMirror(ctx context.Context, s *Scope, url, dir string) error {
	c := &Clone{Name: defaultRemote, URL: url, Lazy: true, Most: mirrorMost, mirror: true}
	return c.into(ctx, s, url, s.fs(), dir)
}

// MakeKept makes, in a directory, the copy of a database that is kept at a remote: a mirror, but that what is changed in it is changed at the
// remote. See Keep.
func MakeKept(ctx context.Context, s *Scope, url, dir string) error {
	if err := keepable(url); err != nil {
		return err
	}
	c := &Clone{Name: defaultRemote, URL: url, Lazy: true, Most: mirrorMost, mirror: true, kept: true}
	return c.into(ctx, s, url, s.fs(), dir)
}

// keepable reports why a database cannot be worked on at a URL.
func keepable(url string) error {
	if kind, _, _ := strings.Cut(url, "://"); kind == "http" || kind == "https" {
		return errs.New(errs.Unsupported, "%s is the database of a server: connect to that, or read it with --data-dir; kept are databases in buckets and directories", url)
	}
	return nil
}

// errNoDatabaseAt is the error for a place to work in at which nothing was pushed.
func errNoDatabaseAt(url string) error {
	return errs.New(errs.NotFound, "there is no database at %s; make one with 'stemma init %s', or with 'stemma push %s <branch>' in a database", url, url, url)
}

// keepEvery is how often it is looked for what others have changed in a database that is kept at a remote.
const keepEvery = time.Second

// Keep has what is changed in the copy of a database that is kept at a remote be changed there: see repo.Repo.KeepIn. Other databases stay as they
// are.
func Keep(ctx context.Context, fs vfs.FS, r *repo.Repo) error {
	p := r.Partial()
	if p == nil || !p.Kept {
		return nil
	}
	at, err := remote.Open(ctx, p.URL, remote.Options{FS: fs})
	if err != nil {
		return err
	}
	return r.KeepIn(ctx, &sync.Keeper{Remote: at, Store: r.Store(), FS: fs, Temp: r.TempDir()}, keepEvery)
}

// notMirror refuses a mirror to what changes a remote, or what is known of remotes.
func (s *Scope) notMirror() error {
	if p := s.Repo.Partial(); p != nil && p.Mirror {
		return p.ErrMirror()
	}
	return nil
}

// follow brings a mirror to what its remote is by now.
func (c *Fetch) follow(ctx context.Context, s *Scope, p *sync.Partial) (*fetched, error) {
	if c.Whole || c.Old {
		return nil, p.ErrMirror()
	}
	out := &fetched{lines: []string{}}
	if s.Repo.KeptIn() {
		return out, s.Repo.RefreshKept(ctx)
	}
	err := s.Repo.SyncMirror(ctx, func(ctx context.Context) (*repo.Cloned, []hash.Hash, error) {
		r, err := s.openURL(ctx, p.URL)
		if err != nil {
			return nil, nil, err
		}
		hints := warnings(r)
		defer func() { out.hints = *hints }()
		if out.refs, err = r.Refs(ctx); err != nil {
			return nil, nil, err
		}
		as := &Clone{Lazy: true, mirror: true}
		branch, err := as.choose(p.URL, out.refs)
		if err != nil {
			return nil, nil, err
		}
		now, got := as.seen(out.refs, branch)
		var targets []sync.Target
		var lists []hash.Hash
		for _, x := range got {
			targets = append(targets, x.Target)
			if !slices.Contains(lists, x.List) {
				lists = append(lists, x.List)
			}
		}
		slices.SortFunc(lists, func(a, b hash.Hash) int { return slices.Compare(a[:], b[:]) })
		ok, err := haveAll(ctx, s, targets)
		switch {
		case err != nil:
			return nil, nil, err
		case ok:
			now.Batch = s.Repo.Store().NewBatch()
		default:
			f := &sync.Fetch{Remote: r, Store: s.Repo.Store(), FS: s.Repo.FS(), Progress: s.syncProgress()}
			if now.Batch, _, err = f.Some(ctx, targets, sync.Part{Bare: true}); err != nil {
				return nil, nil, err
			}
		}
		return now, lists, nil
	})
	return out, err
}

// haveAll tells whether the commits and tags of targets are in the database itself.
func haveAll(ctx context.Context, s *Scope, targets []sync.Target) (bool, error) {
	here := map[hash.Hash]bool{}
	for _, t := range targets {
		here[t.Commit] = true
		if !t.Tag.IsZero() {
			here[t.Tag] = true
		}
	}
	for h := range maps.Keys(here) {
		if ok, err := s.Repo.Store().Local().Has(ctx, h); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}
