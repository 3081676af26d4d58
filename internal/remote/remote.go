// Package remote finds the remote that a URL names.
package remote

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/az"
	"github.com/stemmadb/stemma/internal/object/file"
	"github.com/stemmadb/stemma/internal/object/gs"
	"github.com/stemmadb/stemma/internal/object/http"
	"github.com/stemmadb/stemma/internal/object/s3"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Options say where the caller is.
type Options struct {
	FS  vfs.FS // of file:// remotes
	Dir string // where relative paths begin
	// Told, if not nil, is told of what takes long: a server that does not answer and is asked again.
	Told func(text string)
	Mend bool // what is opened is written to: see sync.OpenToMend
}

// credentials is a user's name, with or without a password, before what names a host.
var credentials = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*://)?[^/@?#]+@`)

var scheme = regexp.MustCompile(`^[a-z][a-z0-9+.-]*://`)

// Normalize makes a URL of what a user names a remote by: a URL as it stands, or a path, which is a directory. A URL of a bucket that cannot be one
// is an error of class Invalid, one of an unknown scheme an error of class Unsupported.
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
		if slipped(path, opt) {
			return "", errs.New(errs.Invalid, "%[1]s is %[2]s below this directory: write file:///%[2]s to mean /%[2]s, or else ./%[2]s", text, path)
		}
		text = path
	case scheme.MatchString(text):
		kind, rest, _ := strings.Cut(text, "://")
		url := kind + "://" + strings.TrimRight(rest, "/")
		switch kind {
		case "az", "gs", "s3":
			_, _, err := inBucket(url)
			return url, err
		case "http", "https":
			return url, nil
		}
		return "", errScheme(kind)
	case !strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "./") && !strings.HasPrefix(text, "../") && text != "." && text != "..":
		return "", errs.New(errs.Invalid, "'%s' is no URL of a remote: write file:///path, or a path that begins with / or ./", text)
	}
	path := filepath.FromSlash(text)
	if !filepath.IsAbs(path) {
		path = filepath.Join(opt.Dir, path)
	}
	return "file://" + filepath.ToSlash(filepath.Clean(path)), nil
}

// slipped tells whether a path behind file:// lacks the slash before it: what it begins with is a directory at the root and none in opt.Dir. Other
// relative paths are taken, as by Dolt.
func slipped(path string, opt Options) bool {
	first, rest, _ := strings.Cut(path, "/")
	if opt.FS == nil || first == "" || strings.HasPrefix(first, ".") || rest == "" {
		return false
	}
	_, here := opt.FS.Stat(filepath.Join(opt.Dir, first))
	_, top := opt.FS.Stat(string(filepath.Separator) + first)
	return errs.Is(here, errs.NotFound) && top == nil
}

// Open opens the remote at a URL. An unknown scheme is an error of class Unsupported.
func Open(ctx context.Context, url string, opt Options) (*sync.Remote, error) {
	url, err := Normalize(url, opt)
	if err != nil {
		return nil, err
	}
	s, err := store(ctx, url, opt)
	if err != nil {
		return nil, err
	}
	open := sync.Open
	if opt.Mend {
		open = sync.OpenToMend
	}
	r, err := open(ctx, s)
	if err == nil && inBuckets(url) {
		r.Stripe(pack.Blocks{})
	}
	return r, err
}

// inBuckets tells whether a normal URL is that of a remote in a bucket. Directories stay without stripes: who clones one copies its packs.
func inBuckets(url string) bool {
	switch scheme, _, _ := strings.Cut(url, "://"); scheme {
	case "az", "gs", "s3":
		return true
	}
	return false
}

// Server is what the environment says, beside a normal URL, of which place that is: the server or the account of a bucket. The same URL is
// another place where this is another text.
func Server(url string) string {
	switch scheme, _, _ := strings.Cut(url, "://"); scheme {
	case "az":
		return az.Server()
	case "gs":
		return gs.Server()
	case "s3":
		return s3.Server()
	}
	return ""
}

// store is the object store at a normal URL.
func store(ctx context.Context, at string, opt Options) (object.Store, error) {
	kind, rest, _ := strings.Cut(at, "://")
	switch kind {
	case "file":
		path := filepath.FromSlash(rest)
		if err := foreign(opt.FS, path); err != nil {
			return nil, err
		}
		return file.Open(opt.FS, path), nil
	case "http", "https":
		return atServer(at, opt)
	case "s3", "gs", "az":
		bucket, path, err := inBucket(at)
		if err != nil {
			return nil, err
		}
		var s object.Store
		switch kind {
		case "s3":
			s, err = s3.Open(ctx, bucket, path)
		case "gs":
			s, err = gs.Open(ctx, bucket, path)
		default:
			s, err = az.Open(ctx, bucket, path)
		}
		if err != nil {
			return nil, fmt.Errorf("open the remote %s: %w", at, err)
		}
		return object.Retry(s, object.RetryOptions{Told: opt.Told}), nil
	}
	return nil, errScheme(kind)
}

// errScheme is the error of a URL whose kind no remote is of.
func errScheme(kind string) error {
	return errs.New(errs.Unsupported, "remotes of the kind %s:// are not known to this program; file://, gs://, s3://, az://, http:// and https:// are", kind)
}

// atServer is the store of a server's database.
func atServer(text string, opt Options) (object.Store, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errs.New(errs.Invalid, "'%s' is no URL: %w", text, err)
	}
	if u.Host == "" || strings.Trim(u.Path, "/") == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errs.New(errs.Invalid, "%s names no database of a server; write %s://host:port/database", text, u.Scheme)
	}
	login, err := http.FindLogin(text)
	if err != nil {
		return nil, err
	}
	return object.Retry(http.Open(text, login), object.RetryOptions{Told: opt.Told}), nil
}

// inBucket splits the URL of a remote in a bucket. Its path consists of what names of objects do.
func inBucket(url string) (bucket, path string, err error) {
	_, rest, _ := strings.Cut(url, "://")
	bucket, path, _ = strings.Cut(rest, "/")
	if bucket == "" {
		return "", "", errs.New(errs.Invalid, "%s names no bucket; write %s://bucket/path", url, url[:strings.Index(url, ":")])
	}
	if strings.ContainsAny(rest, "?#") {
		return "", "", errs.New(errs.Invalid, "%s: a remote in a bucket is %s://bucket/path, without ? and #", url, url[:strings.Index(url, ":")])
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "." || part == ".." || part == "" && path != "" {
			return "", "", errs.New(errs.Invalid, "%s: its path has a part that is '%s'", url, part)
		}
	}
	return bucket, path, nil
}

// errDatabase is what is said of the directory of a database, which is no remote.
const errDatabase = "%[1]s is the directory of a database, which is opened by its path, not a remote: to copy it to another directory say 'stemma -C %[1]s backup <directory>'; " +
	"to clone it, or to share it, push from it to an empty directory with 'stemma -C %[1]s push --mirror <directory>', and name that"

// foreign refuses directories that are something else.
func foreign(fs vfs.FS, path string) error {
	for _, c := range []struct{ name, what string }{
		{"manifest", "%s is a remote of Dolt's own format; clone it with Dolt, serve the clone with 'dolt sql-server' and bring in its history with 'stemma ingest dolt://root@localhost:3306/<database>'"},
		{filepath.Join(".stemma", "FORMAT"), errDatabase},
		{filepath.Join(".dolt", "FORMAT"), errDatabase},
	} {
		if _, err := fs.Stat(filepath.Join(path, c.name)); err == nil {
			return errs.New(errs.Unsupported, c.what, path)
		} else if !errs.Is(err, errs.NotFound) {
			return err
		}
	}
	return nil
}
