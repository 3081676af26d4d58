package op

import (
	"context"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Init is the verb that makes a database.
type Init struct {
	Name   string `flag:"name" value:"name" help:"author of the first commit"`
	Email  string `flag:"email" value:"mail" help:"mail address of that author"`
	Date   string `flag:"date" value:"time" help:"time of the first commit"`
	Branch string `flag:"initial-branch,b" value:"branch" help:"name of the first branch (default: init.defaultbranch, else main)"`
	Dir    string `arg:"1" value:"directory|url" help:"where the database is to be: a directory, made when it is not there, or a place in a bucket; otherwise this directory"`
}

func initSpec() Spec {
	return Define[Init](Spec{
		Name: "init", Group: GroupStart,
		Short: "Create an empty database in this directory, or another",
		Long: `The database's name is that of the directory. Everything it holds is in the directory .stemma (.dolt when the program is called
dolt). It begins with one branch and one commit. At the URL of a bucket, or file:// of a directory that several machines see, it is made for servers
with --store and programs that work on it there. Of those who make one there at the same moment one does, and the others are refused.`,
		Usage: []string{"[-b <branch>] [<directory>]", "[-b <branch>] <url>"},
		Examples: []Example{
			{"init", "make a database here"}, {"init -b trunk", "with another name for the first branch"}, {"init prices", "make a database in the new directory prices"},
			{"init s3://bucket/prices", "make a database in a bucket"},
		},
	})
}

// Run makes the database.
func (c *Init) Run(ctx context.Context, s *Scope) (*Result, error) {
	who := s.signature()
	if c.Name != "" {
		who.Name = c.Name
	}
	if c.Email != "" {
		who.Email = c.Email
	}
	who.Time = s.Clock.Now()
	if c.Date != "" {
		t, err := ParseTime(c.Date)
		if err != nil {
			return nil, err
		}
		who.Time = t
	}
	branch := c.Branch
	if branch == "" {
		v, err := s.Settings.DefaultBranch()
		if err != nil {
			return nil, err
		}
		branch = v
	}
	opt := repo.InitOptions{Branch: branch, Author: who, Committer: who}
	if strings.Contains(c.Dir, "://") {
		return c.at(ctx, s, opt)
	}
	word := "stemma"
	if s.Dolt {
		opt.DirName, word = repo.DoltDirName, "dolt"
	}
	dir := s.Dir
	if c.Dir != "" {
		dir = s.path(c.Dir)
	}
	if err := repo.Init(ctx, s.FS, dir, opt); err != nil {
		return nil, err
	}
	return Say("Successfully initialized %s data repository.", word), nil
}

// at makes the database at a remote. What it begins with is pushed from memory.
func (c *Init) at(ctx context.Context, s *Scope, opt repo.InitOptions) (*Result, error) {
	url, err := s.remoteURL(c.Dir)
	if err != nil {
		return nil, err
	}
	if err := keepable(url); err != nil {
		return nil, err
	}
	there := errs.New(errs.Exists, "there is a database at %s already", url)
	at, err := s.openURL(ctx, url)
	if err != nil {
		return nil, err
	}
	refs, err := at.Refs(ctx)
	if err != nil {
		return nil, err
	}
	if len(refs) > 0 {
		return nil, there
	}
	const dir = "/new"
	fs := vfs.NewMem()
	if err := repo.Init(ctx, fs, dir, opt); err != nil {
		return nil, err
	}
	r, err := repo.Open(ctx, fs, dir, repo.Options{Clock: s.Clock})
	if err != nil {
		return nil, err
	}
	defer r.Close(ctx)
	head, _ := r.BranchHead(opt.Branch)
	push := &sync.Push{Remote: at, Store: r.Store(), FS: fs, Temp: r.TempDir(), First: true}
	out, _, err := push.Run(ctx, []sync.Want{{Name: sync.Heads + opt.Branch, Commit: head}})
	if err != nil {
		return nil, err
	}
	if out[0].Status != sync.Created {
		return nil, there
	}
	return Say("Successfully initialized a data repository at %s.", url), nil
}

// signatureWith is the author given by a flag as "Name <mail>", else the scope's.
func (s *Scope) signatureWith(flag string) (history.Signature, error) {
	if flag == "" {
		return s.signature(), nil
	}
	a, err := parseAuthor(flag)
	return history.Signature{Name: a.Name, Email: a.Email, Time: s.AuthorTime}, err
}

// parseAuthor reads "Name <mail>".
func parseAuthor(text string) (Author, error) {
	for i := len(text) - 1; i > 0; i-- {
		if text[i] == '<' && text[len(text)-1] == '>' && text[i-1] == ' ' {
			return Author{Name: text[:i-1], Email: text[i+1 : len(text)-1]}, nil
		}
	}
	return Author{}, errs.New(errs.Invalid, "author '%s' is not in the form 'Name <mail>'", text)
}
