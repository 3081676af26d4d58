// Package remote finds the remote that a URL names.
package remote

import (
	"context"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/file"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Options say where the caller is.
type Options struct {
	FS  vfs.FS // of file:// remotes
	Dir string // where relative paths begin
}

// credentials is a user's name, with or without a password, before what names a host.
var credentials = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*://)?[^/@?#]+@`)

var scheme = regexp.MustCompile(`^[a-z][a-z0-9+.-]*://`)

// Normalize makes a URL of what a user names a remote by: a URL as it stands, or a path, which is a directory.
func Normalize(text string, opt Options) (string, error) {
	switch {
	case text == "":
		return "", errs.New(errs.Invalid, "the URL of a remote is empty")
	case !strings.HasPrefix(text, "file://") && !strings.HasPrefix(text, ".") && credentials.MatchString(text):
		return "", errs.New(errs.Invalid, "the URL of a remote holds the name or password of a user, which settings, histories and messages would show: leave out what is before the @")
	case strings.HasPrefix(text, "file://"):
		path := strings.TrimPrefix(text, "file://")
		if path == "" {
			return "", errs.New(errs.Invalid, "%s names no directory; write file:///path/to/remote", text)
		}
		text = path
	case scheme.MatchString(text):
		return strings.TrimRight(text, "/"), nil
	case !strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "./") && !strings.HasPrefix(text, "../") && text != "." && text != "..":
		return "", errs.New(errs.Invalid, "'%s' is no URL of a remote: write file:///path, or a path that begins with / or ./", text)
	}
	path := filepath.FromSlash(text)
	if !filepath.IsAbs(path) {
		path = filepath.Join(opt.Dir, path)
	}
	return "file://" + filepath.ToSlash(filepath.Clean(path)), nil
}

// Open opens the remote at a URL. An unknown scheme is an error of class Unsupported.
func Open(ctx context.Context, url string, opt Options) (*sync.Remote, error) {
	url, err := Normalize(url, opt)
	if err != nil {
		return nil, err
	}
	s, err := store(url, opt)
	if err != nil {
		return nil, err
	}
	return sync.Open(ctx, s)
}

// store is the object store at a normal URL.
func store(url string, opt Options) (object.Store, error) {
	if path, ok := strings.CutPrefix(url, "file://"); ok {
		path = filepath.FromSlash(path)
		if err := foreign(opt.FS, path); err != nil {
			return nil, err
		}
		return file.Open(opt.FS, path), nil
	}
	name, _, _ := strings.Cut(url, "://")
	return nil, errs.New(errs.Unsupported, "remotes of the kind %s:// are not known to this program; file:// is", name)
}

// foreign refuses directories that are something else.
func foreign(fs vfs.FS, path string) error {
	for _, c := range []struct{ name, what string }{
		{"manifest", "%s is a remote of Dolt's own format; clone it with Dolt, dump its tables there with 'dolt dump -r csv' and bring them in with 'stemma table import'"},
		{filepath.Join(".stemma", "FORMAT"), "%s is a database, not a remote: push from there to an empty directory, and name that"},
		{filepath.Join(".dolt", "FORMAT"), "%s is a database, not a remote: push from there to an empty directory, and name that"},
	} {
		if _, err := fs.Stat(filepath.Join(path, c.name)); err == nil {
			return errs.New(errs.Unsupported, c.what, path)
		} else if !errs.Is(err, errs.NotFound) {
			return err
		}
	}
	return nil
}
