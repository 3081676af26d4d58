package op

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// backupColumns are the columns of what backup answers.
var backupColumns = []Column{Text("path"), Whole("bytes")}

// Backup is the verb that copies a database while it is in use, to a directory as it is or to a remote.
type Backup struct {
	Verbose bool     `flag:"verbose,v" help:"list URLs too"`
	At      string   `flag:"at" value:"time|revision" help:"with restore: as it was at that time, or at that commit or tag"`
	Force   bool     `flag:"force,f" help:"with sync and sync-url: also where that removes or overwrites what others have pushed"`
	Anew    bool     `flag:"anew" help:"with sync and sync-url: send all again, also what is there, as where that is damaged"`
	Path    string   `arg:"1" value:"path" complete:"file" help:"a directory that is made, or is empty; or add, remove, sync, sync-url, restore, verify"`
	Args    []string `arg:"rest" value:"argument" help:"the name of a backup, a URL, a directory"`
}

func backupSpec() Spec {
	return Define[Backup](Spec{
		Name: "backup", Columns: backupColumns, Group: GroupCare, Needs: NeedDatabase, Admin: true,
		Short: "Copy the database to another place",
		Long: `With a path alone the copy is a database like any other, and holds everything that was durable when the backup began: history, working
sets and all. Others may write meanwhile. A copy that was interrupted is not a database and may be deleted.

A backup with a name is at the URL of a remote, and holds all branches, each with its working set as they were at one moment, tags and runs. It
changes as a whole, or not at all. To sync it again sends what is new only. What is no longer here is not there either afterwards; a place
at which that would lose commits of others is refused, unless --force says so. Stashes and merges in progress are not in it.

What a sync left is remembered until 'backup forget' says otherwise, also what a later one has removed or moved back: 'backup log' lists the syncs, 'backup
restore --at' goes back to them. A server's database (http://, https://) remembers none. What is erased here stays in syncs of before: 'push --mirror --anew'
to the place makes it forget them all.

'backup verify' reads all of a backup. With a URL it needs no database; what it reads is kept, while it runs, in the directory for temporary files
(TMPDIR), and with a name in the database's.`,
		Usage: []string{"<path>", "[-v]", "add <name> <url>", "remove <name>", "[--force] [--anew] sync <name>", "[--force] [--anew] sync-url <url>", "verify <name>|<url>", "restore [--at <time>|<revision>] <url> <directory>"},
		Examples: []Example{
			{"backup /mnt/backup/prices", "copy the database of this directory"}, {"backup add nightly file:///mnt/backups/prices", "name a place"},
			{"backup sync nightly", "send what is new"}, {"backup verify file:///mnt/backups/prices", "read all of a backup, without a database here"}, {"backup restore --at 2026-11-30 file:///mnt/backups/prices old", "as it was when that day began"},
		},
	})
}

// restoreSpec is the verb's part that needs no database.
func restoreSpec() Spec {
	return Define[Restore](Spec{
		Name: "backup restore", Group: GroupCare, Admin: true,
		Short: "Make a database of a backup",
		Long: `The database has the branches, tags, working sets and runs of the backup. With --at a commit or tag only that is there, whichever sync had it.

With --at a time it has what the last sync until then had ('backup log' lists them): its branches, tags and uncommitted changes. Where the next sync
shows that a branch or tag came or went forward in between, by commits that were made until that time, it has these, without the uncommitted changes of
such a branch, which are named: a sync does not tell when they were made. A branch that was moved back, rewritten or removed after the sync is there as the
sync had it. Where no sync of that time or before is remembered, as by backups of older versions, each branch is at its last commit until then, and
what was removed or moved back since is not there, which is said; tags are all that the next sync has. Runs are always all that the backup has.`,
		Usage:    []string{"[--at <time>|<revision>] <url> <directory>"},
		Examples: []Example{{"backup restore file:///mnt/backups/prices again", "into the directory again"}},
	})
}

// Restore is the verb that makes a database of a backup.
type Restore struct {
	At    string `flag:"at" value:"time|revision" help:"as it was at that time, or at that commit or tag"`
	Force bool   `flag:"force,f" hidden:"true" help:"accepted for compatibility"`
	URL   string `arg:"1" required:"true" value:"url" help:"where the backup is"`
	Dir   string `arg:"2" required:"true" value:"directory" complete:"dir" help:"the directory to be made, or an empty one"`
}

// Run restores.
func (c *Restore) Run(ctx context.Context, s *Scope) (*Result, error) {
	clone := &Clone{Name: defaultRemote, URL: c.URL, Dir: c.Dir, restore: true}
	if c.At != "" {
		var err error
		if clone.at, err = ParseTime(c.At); err != nil {
			clone.Rev, clone.restore, clone.older = c.At, false, true
		}
	}
	r, err := clone.Run(ctx, s)
	if err == nil && s.Making == nil {
		r.Lines = []string{"restored " + c.URL + " to " + c.Dir}
		if clone.past != nil {
			r.Lines = append(r.Lines, clone.past.words()...)
		}
	}
	return r, err
}

// Anywhere implements Anywhere: to verify what is at a URL no database is needed.
func (c *Backup) Anywhere() bool {
	return c.Path == "verify" && len(c.Args) == 1 && !remoteName.MatchString(c.Args[0])
}

// Reads implements Reader: a list, a copy and a verification change nothing.
func (c *Backup) Reads() bool {
	switch c.Path {
	case "add", "remove", "rm", "sync", "sync-url", "restore":
		return false
	}
	return true
}

// Run copies.
func (c *Backup) Run(ctx context.Context, s *Scope) (*Result, error) {
	switch c.Path {
	case "add", "remove", "rm", "sync", "sync-url":
		if err := s.notMirror(); err != nil {
			return nil, err
		}
	}
	if run, ok := map[string]func(context.Context, *Scope) (*Result, error){
		"": c.list, "add": c.add, "remove": c.remove, "rm": c.remove, "sync": c.sync, "sync-url": c.sync, "verify": c.verify, "restore": c.restoreIn,
	}[c.Path]; ok {
		return run(ctx, s)
	}
	if len(c.Args) > 0 {
		return nil, errs.New(errs.Invalid, "backup: '%s' is none of add, remove, sync, sync-url, verify and restore, and a copy has one path", c.Path)
	}
	if s.Dolt && !strings.ContainsAny(c.Path, `/\`) { // there a word is a part of the verb or a mistake, and must not become the name of a copy
		return nil, errs.New(errs.Invalid, "unrecognized dolt_backup parameter '%s'", c.Path)
	}
	path := s.path(c.Path)
	if err := s.mayName("file://" + filepath.ToSlash(path)); err != nil {
		return nil, err
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
	part := s.Repo.Partial()
	switch {
	case part != nil && part.Mirror:
		return c.copyRemote(ctx, s, part.URL, path)
	case part != nil && part.Lazy:
		return nil, errs.New(errs.Unsupported, "backup: the database is a lazy part of %[1]s, and a copy would lack the rows that are there only: bring them with '%[2]s fetch --complete' first; '%[2]s backup restore %[1]s <directory>' makes a database of what is there", part.URL, s.Program())
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
	if err == nil {
		err = s.Repo.BackupThinned(s.FS, dir)
	}
	if task != nil {
		task.Done(err)
	}
	if err != nil {
		return nil, errors.Join(err, vfs.RemoveAll(s.FS, made))
	}
	r := Say("Backed up %s to %s.", s.Repo.Name(), path)
	r.Columns, r.Rows = backupColumns, [][]any{{path, last}}
	if part != nil {
		what := "with the newest commits only"
		if part.Tables != nil {
			what = "with the tables " + strings.Join(part.Tables, ", ") + " only"
			if len(part.Shallow) > 0 {
				what += ", and of these the newest commits"
			}
		}
		r.Hints = append(r.Hints, fmt.Sprintf("the copy is a part, as the database is: of %s, %s; '%s fetch --complete' in either brings the rest", part.URL, what, s.Program()))
	}
	return r, nil
}

// copyRemote copies a database that is at a remote, and of which a part is here: all of it is fetched from there.
func (c *Backup) copyRemote(ctx context.Context, s *Scope, url, path string) (*Result, error) {
	made := &Clone{Name: defaultRemote, URL: url, restore: true}
	if err := made.into(ctx, s, url, s.FS, path); err != nil {
		return nil, err
	}
	size, err := sizeOf(s.FS, path)
	if err != nil {
		return nil, err
	}
	r := Say("Backed up %s to %s.", s.Repo.Name(), path)
	r.Columns, r.Rows, r.Hints = backupColumns, [][]any{{path, size}}, made.hints
	return r, nil
}

// sizeOf is how many bytes the files of a directory have.
func sizeOf(fs vfs.FS, dir string) (size int64, err error) {
	names, err := fs.ReadDir(dir)
	for _, n := range names {
		if err != nil {
			return 0, err
		}
		in, e := fs.Stat(filepath.Join(dir, n))
		more := in.Size
		if err = e; err == nil && in.Dir {
			more, err = sizeOf(fs, filepath.Join(dir, n))
		}
		size += more
	}
	return size, err
}
