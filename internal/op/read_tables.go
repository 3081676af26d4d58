package op

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/vfs"
)

// readTablesColumns are the columns of what read-tables answers.
var readTablesColumns = []Column{Text("table")}

// ReadTables is the verb that makes a database of tables of a remote, without their history.
type ReadTables struct {
	Dir    string   `flag:"dir,d" value:"directory" complete:"dir" help:"the directory to be made, or an empty one; otherwise one named after the remote"`
	URL    string   `arg:"1" required:"true" value:"url" help:"where the remote is"`
	Commit string   `arg:"2" required:"true" value:"revision" help:"a branch, a tag or a commit of the remote"`
	Tables []string `arg:"rest" value:"table" help:"the tables; all of them otherwise"`
}

func readTablesSpec() Spec {
	return Define[ReadTables](Spec{
		Name: "read-tables", Columns: readTablesColumns, Group: GroupStart,
		Short: "Make a database of tables of a remote",
		Long: `The tables are in the working set of the new database, not committed, as they are in a commit of the remote. The database has no history
of them and does not follow the remote: see clone.`,
		Usage:    []string{"[--dir <directory>] <url> <revision> [<table>...]"},
		Examples: []Example{{"read-tables file:///mnt/share/prices main prices", "a table as a branch has it, into the directory prices"}},
	})
}

// Run reads the tables.
func (c *ReadTables) Run(ctx context.Context, s *Scope) (*Result, error) {
	url, err := s.remoteURL(c.URL)
	if err != nil {
		return nil, err
	}
	dir := c.Dir
	if dir == "" {
		dir = url[strings.LastIndexByte(url, '/')+1:]
	}
	if dir == "" {
		return nil, errs.New(errs.Invalid, "read-tables: say into which directory: --dir <directory>")
	}
	dir = s.path(dir)
	if err := cloneable(s.fs(), dir); err != nil {
		return nil, err
	}
	_, err = s.fs().Stat(dir)
	fresh := errs.Is(err, errs.NotFound)
	names, err := c.into(ctx, s, url, dir)
	if err != nil {
		left := dir
		if !fresh {
			left = filepath.Join(dir, s.dirName())
		}
		return nil, errors.Join(err, vfs.RemoveAll(s.fs(), left))
	}
	r := &Result{Columns: readTablesColumns}
	for _, n := range names {
		r.Printf("Retrieving %s", n)
		r.Add(n)
	}
	return r, nil
}

// into makes the database in a directory.
func (c *ReadTables) into(ctx context.Context, s *Scope, url, dir string) (names []string, err error) {
	in := *s
	in.Dir, in.FS = dir, s.fs()
	if err := in.FS.MkdirAll(dir); err != nil {
		return nil, err
	}
	if _, err := (&Init{}).Run(ctx, &in); err != nil {
		return nil, err
	}
	in.Settings.Local = filepath.Join(dir, s.dirName(), "config")
	if in.Repo, err = repo.Open(ctx, in.FS, dir, repo.Options{Clock: s.Clock}); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Repo.Close(ctx)) }()
	// What the remote has is fetched as by who follows it, and its refs are forgotten again.
	const name = defaultRemote
	if _, err := (&Remote{Args: []string{"add", name, url}}).Run(ctx, &in); err != nil {
		return nil, err
	}
	if _, err := (&Fetch{Remote: name}).Run(ctx, &in); err != nil {
		return nil, err
	}
	at, err := in.Repo.Resolve(ctx, name+"/"+c.Commit, in.branch())
	if errs.Is(err, errs.NotFound) {
		at, err = in.Repo.Resolve(ctx, c.Commit, in.branch())
	}
	if err != nil {
		return nil, errs.New(errs.CodeOf(err), "find commit '%s' at %s: %w", c.Commit, url, err)
	}
	cm, err := history.GetCommit(ctx, in.Repo.Store(), at)
	if err != nil {
		return nil, err
	}
	snap, err := in.Repo.SnapshotAt(ctx, at)
	if err != nil {
		return nil, err
	}
	all, err := snap.TableNames(ctx)
	if err != nil {
		return nil, err
	}
	if len(c.Tables) == 0 {
		names = all
	}
	for _, n := range c.Tables {
		_, written, ok, err := snap.Table(ctx, n)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, offering(errs.NotFound, errs.Nearest(n, all), "No table named '%s' at '%s'", n, c.Commit)
		}
		names = append(names, written)
	}
	if err := in.Repo.Restore(ctx, in.branch(), root.Open(in.Repo.Store(), cm.Root), names); err != nil {
		return nil, err
	}
	tags, err := in.Repo.Tags(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range tags {
		if err := in.Repo.DeleteTag(ctx, t.Name); err != nil {
			return nil, err
		}
	}
	_, err = (&Remote{Args: []string{"remove", name}}).Run(ctx, &in)
	return names, err
}

// dirName is the name of the directory inside a database's that has all that it holds.
func (s *Scope) dirName() string {
	if s.Dolt {
		return repo.DoltDirName
	}
	return repo.DirName
}
