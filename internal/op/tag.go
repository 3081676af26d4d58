package op

import (
	"context"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
)

// tagColumns are the columns of what tag answers.
var tagColumns = []Column{Text("tag_name"), Text("tag_hash"), Text("tagger"), Text("email"), Moment("date"), Text("message")}

// Tag is the verb that names commits.
type Tag struct {
	Message string   `flag:"message,m" value:"text" help:"why"`
	Delete  bool     `flag:"delete,d" help:"delete tags"`
	List    bool     `flag:"list,l" help:"list tags, those whose names match one of the patterns if any is given"`
	Force   bool     `flag:"force,f" help:"move a tag that exists"`
	Verbose bool     `flag:"verbose,v" help:"list commits, taggers and messages too"`
	Author  string   `flag:"author" value:"'Name <mail>'" help:"the tagger"`
	Args    []string `arg:"rest" value:"name" help:"a new tag and the commit it names; or tags to delete"`
}

func tagSpec() Spec {
	return Define[Tag](Spec{
		Name: "tag", Columns: tagColumns, Group: GroupGrow, Needs: NeedDatabase, Signs: true,
		Short:    "List, create or delete tags",
		Usage:    []string{"[-l [<pattern>...]] [-v]", "[-f] [-m <text>] <name> [<revision>]", "-d <name>..."},
		Examples: []Example{{`tag -m "model 3 was trained on this" v3`, "name the last commit"}},
	})
}

// Reads implements Reader: a list is asked for.
func (c *Tag) Reads() bool { return !c.Delete && (c.List || len(c.Args) == 0) }

// Run does it.
func (c *Tag) Run(ctx context.Context, s *Scope) (*Result, error) {
	if c.Delete && c.List {
		return nil, errFlags("delete", "list")
	}
	if c.Force && (c.Delete || c.List || len(c.Args) == 0) {
		return nil, errs.New(errs.Invalid, "tag: --force is for making a tag: give its name")
	}
	if c.Delete {
		if len(c.Args) == 0 {
			return nil, errs.New(errs.Invalid, "tag: name the tags to delete")
		}
		for _, n := range c.Args {
			if _, ok, err := s.Repo.TagNamed(ctx, n); err != nil {
				return nil, err
			} else if !ok { // before any is gone
				return nil, s.Repo.DeleteTag(ctx, n)
			}
		}
		for _, n := range c.Args {
			if err := s.Repo.DeleteTag(ctx, n); err != nil {
				return nil, err
			}
		}
		return statusResult(0), nil
	}
	if c.List || len(c.Args) == 0 {
		return c.list(ctx, s)
	}
	if len(c.Args) > 2 {
		return nil, errs.New(errs.Invalid, "tag: give a name and at most one revision")
	}
	rev := "HEAD"
	if len(c.Args) == 2 {
		rev = c.Args[1]
	}
	id, err := s.Repo.Resolve(ctx, rev, s.branch())
	if err != nil {
		return nil, err
	}
	who := s.committer()
	if c.Author != "" {
		a, err := parseAuthor(c.Author)
		if err != nil {
			return nil, err
		}
		who.Name, who.Email = a.Name, a.Email
	}
	return statusResult(0), s.Repo.CreateTag(ctx, c.Args[0], history.Tag{Commit: id, Tagger: who, Message: c.Message}, c.Force)
}

func (c *Tag) list(ctx context.Context, s *Scope) (*Result, error) {
	tags, err := s.Repo.Tags(ctx)
	if err != nil {
		return nil, err
	}
	r := &Result{Columns: tagColumns, Lines: []string{}}
	for _, t := range tags {
		if ok, err := matchesAny(c.Args, t.Name); err != nil {
			return nil, err
		} else if !ok {
			continue
		}
		r.Add(t.Name, t.Commit.String(), t.Tagger.Name, t.Tagger.Email, t.Tagger.Time.UTC(), t.Message)
		if !c.Verbose {
			r.Lines = append(r.Lines, "\t"+t.Name)
			continue
		}
		r.Printf("%s\t%s\nTagger: %s <%s>\nDate:   %s", t.Name, t.Commit, t.Tagger.Name, t.Tagger.Email, showTime(t.Tagger.Time))
		r.Lines = append(r.Lines, "")
		if t.Message != "" {
			r.Printf("\t%s", t.Message)
			r.Lines = append(r.Lines, "", "")
		}
	}
	return r, nil
}
