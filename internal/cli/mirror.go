package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/remote"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

// The environment variables that say where mirrors are: the program's own, and that of the freedesktop standard.
const (
	envCache    = "STEMMA_CACHE"
	envXDGCache = "XDG_CACHE_HOME"
)

// mirrorPause is how long to wait before looking again whether another process has made the mirror.
const mirrorPause = 50 * time.Millisecond

var urlBeginning = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]+://`)

// isURL tells whether what stands for a directory is a URL.
func isURL(text string) bool { return urlBeginning.MatchString(text) }

// locate finds where a verb works: in a directory, or on the mirror of a remote, which is as the remote is by now.
func (p *Program) locate(ctx context.Context, spec op.Spec, verb op.Op) error {
	dir := p.globals.Dir
	if v, ok := verb.(*serverVerb); ok && v.Store != "" {
		return p.locateStore(ctx, spec, v)
	}
	if !isURL(dir) {
		p.dir = absolute(p.Dir, dir)
		return nil
	}
	url, path, err := p.remoteAt(dir)
	if err != nil {
		return err
	}
	if path != "" {
		p.dir = path
		return nil
	}
	switch verb.(type) {
	case *sqlVerb, *serverVerb:
	default:
		if spec.Needs != op.NeedDatabase {
			return errs.New(errs.Invalid, "%s: --data-dir names a remote, which can be read only, and %s does not read a database", spec.Name, spec.Name)
		}
	}
	p.dir, err = p.mirror(ctx, url)
	p.base = p.Dir
	return err
}

// locateStore finds where a server works on the database that is kept at a remote.
func (p *Program) locateStore(ctx context.Context, spec op.Spec, v *serverVerb) error {
	if p.globals.Dir != "" || v.Private != "" {
		return errs.New(errs.Invalid, "%s: --store goes without --data-dir and --private", spec.Name)
	}
	url, path, err := p.remoteAt(v.Store)
	if err != nil {
		return err
	}
	if path != "" {
		return errs.New(errs.NotFound, "%s: there is no database at file://%s; make one with 'stemma init <url>', or with 'stemma push <url> <branch>' in a database", spec.Name, filepath.ToSlash(path))
	}
	p.dir, err = p.kept(ctx, url)
	p.base = p.Dir
	return err
}

// kept is the directory of the copy of a database that is kept at a remote, which is made when there is none. Who has it open sees to it that it is
// what it is there.
func (p *Program) kept(ctx context.Context, url string) (string, error) {
	return p.copyOf(ctx, url, "stores", op.MakeKept, func() error {
		if marker, err := repo.Locate(vfs.OS{}, p.dir); err != nil || !answers(ctx, marker) {
			return err // who opens it looks
		}
		return p.follow(ctx)
	})
}

// remoteAt is the normal URL of the remote that a URL names, or the path of the directory that it names when that is no remote.
func (p *Program) remoteAt(text string) (url, path string, err error) {
	url, err = remote.Normalize(text, remote.Options{Dir: p.Dir})
	if err != nil {
		return "", "", err
	}
	if rest, ok := strings.CutPrefix(url, "file://"); ok {
		path = filepath.FromSlash(rest)
		if _, err := os.Stat(filepath.Join(path, sync.MarkerName)); err != nil {
			return "", path, nil
		}
	}
	return url, "", nil
}

// mirror is the directory of the mirror of a remote, which is made when there is none, and otherwise brought to what the remote is by now. While
// another process makes it, which may take long, it waits.
func (p *Program) mirror(ctx context.Context, url string) (dir string, err error) {
	return p.copyOf(ctx, url, "mirrors", op.MakeMirror, func() error { return p.follow(ctx) })
}

// copyOf is the directory of the copy of a remote, among those in a part of the cache: make makes it, and follow is called for one that is there.
func (p *Program) copyOf(ctx context.Context, url, part string, make func(context.Context, *op.Scope, string, string) error, follow func() error) (dir string, err error) {
	if dir, err = p.mirrorDir(url, part); err != nil {
		return "", err
	}
	was := p.dir
	p.dir = dir
	defer func() {
		if err != nil {
			p.dir = was
		}
	}()
	for {
		_, err := repo.Locate(vfs.OS{}, dir)
		if err == nil {
			return dir, follow()
		}
		if !errs.Is(err, errs.NotFound) {
			return "", err
		}
		scope, _, err := p.scope()
		if err != nil {
			return "", err
		}
		err = make(ctx, scope, url, dir)
		switch {
		case err == nil:
			return dir, nil
		case errs.Is(err, errs.Exists): // another process was first, or files are left of a mirror that somebody has removed
			if err := clearMirror(dir); err != nil {
				return "", err
			}
		case !errs.Is(err, errs.Locked):
			return "", err
		}
		select {
		case <-time.After(mirrorPause):
		case <-ctx.Done():
			return "", errs.With(errs.Canceled, ctx.Err())
		}
	}
}

// clearMirror removes what is in the directory of a mirror that is none, but for one that is being made.
func clearMirror(dir string) error {
	if _, err := repo.Locate(vfs.OS{}, dir); !errs.Is(err, errs.NotFound) {
		return err
	}
	names, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, n := range names {
		if n.Name() == repo.CloneDirName {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, n.Name())); err != nil {
			return err
		}
	}
	return nil
}

// follow brings the mirror in which the program works to what its remote is by now.
func (p *Program) follow(ctx context.Context) error {
	scope, _, err := p.scope()
	if err != nil {
		return err
	}
	spec, ok := op.Find(p.Specs, "fetch")
	if !ok {
		return errs.New(errs.Internal, "there is no verb fetch")
	}
	_, closeFn, err := p.perform(ctx, spec, spec.New(), scope)
	return errors.Join(err, closeFn())
}

// mirrorDir is the directory of the copy of a remote, in a part of the cache. Its last part is the name of the database.
func (p *Program) mirrorDir(url, part string) (string, error) {
	root := p.Env(envCache)
	if root == "" {
		base := p.Env(envXDGCache)
		if base == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", errs.New(errs.Invalid, "there is no place for what is read of %s: set %s to a directory: %w", url, envCache, err)
			}
			base = filepath.Join(home, ".cache")
		}
		root = filepath.Join(base, "stemma")
	}
	root = filepath.Join(absolute(p.Dir, root), part)
	if err := os.MkdirAll(root, 0o700); err != nil { // what is in a bucket may not be for everybody
		return "", errs.New(errs.Denied, "make a place for what is read of %s: set %s to a directory that can be written: %w", url, envCache, err)
	}
	sum := sha256.Sum256([]byte(remote.Server(url) + "\n" + url))
	name := url[strings.LastIndexByte(url, '/')+1:]
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, `:\`) {
		return "", errs.New(errs.Invalid, "%s names no database: its last part, '%s', is the name that the database has here", url, name)
	}
	return filepath.Join(root, hex.EncodeToString(sum[:16]), name), nil
}
