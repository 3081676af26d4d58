package op

import (
	"context"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
)

// Init is the verb that makes a database.
type Init struct {
	Name   string `flag:"name" value:"name" help:"author of the first commit"`
	Email  string `flag:"email" value:"mail" help:"mail address of that author"`
	Date   string `flag:"date" value:"time" help:"time of the first commit"`
	Branch string `flag:"initial-branch,b" value:"branch" help:"name of the first branch (default: init.defaultbranch, else main)"`
	Dir    string `arg:"1" value:"directory" help:"where the database is to be, made when it is not there; otherwise this directory"`
}

func initSpec() Spec {
	return Define[Init](Spec{
		Name: "init", Group: GroupStart,
		Short: "Create an empty database in this directory, or another",
		Long: `The database's name is that of the directory. Everything it holds is in the directory .stemma (.dolt when the program is called
dolt). It begins with one branch and one commit.`,
		Examples: []Example{{"init", "make a database here"}, {"init -b trunk", "with another name for the first branch"}, {"init prices", "make a database in the new directory prices"}},
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
