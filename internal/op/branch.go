package op

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
)

// branchColumns are the columns of what branch answers.
var branchColumns = []Column{Text("name"), Text("hash"), Text("latest_commit_message")}

// Branch is the verb that lists, makes, renames, copies and deletes branches.
type Branch struct {
	Copy    bool     `flag:"copy,c" help:"copy a branch"`
	Move    bool     `flag:"move,m" help:"rename a branch"`
	Delete  bool     `flag:"delete,d" help:"delete branches that others contain"`
	DeleteF bool     `flag:",D" help:"delete branches, whatever is lost"`
	Force   bool     `flag:"force,f" help:"take a name that is in use"`
	List    bool     `flag:"list" help:"list branches, of the given names if any"`
	All     bool     `flag:"all,a" help:"list remote branches too"`
	Remotes bool     `flag:"remotes,r" help:"list remote branches only"`
	Verbose bool     `flag:"verbose,v" help:"list hashes and messages too"`
	Current bool     `flag:"show-current" help:"print the checked-out branch"`
	Track   bool     `flag:"track,t" help:"make the new branch follow its start point, a branch"`
	To      string   `flag:"set-upstream-to,u" value:"branch" complete:"branch" help:"make a branch, the checked-out one unless named, follow this one"`
	Args    []string `arg:"rest" value:"name" complete:"branch" help:"a new branch and where it begins; or branches to act on"`
}

func branchSpec() Spec {
	return Define[Branch](Spec{
		Name: "branch", Columns: branchColumns, Group: GroupGrow, Needs: NeedDatabase,
		Short: "List, create, rename or delete branches",
		Usage: []string{
			"[--list] [-v] [-a]", "[-f] <name> [<start-point>]", "-m [-f] [<old>] <new>", "-c [-f] [<old>] <new>", "(-d | -D) <name>...", "-t <name> [<branch>]", "-u <branch> [<name>]", "--show-current",
		},
		Examples: []Example{{"branch", "list the branches"}, {"branch fix main~2", "make a branch at an older commit"}, {"branch -d fix", "delete it again"}},
	})
}

// Reads implements Reader: a list is asked for.
func (c *Branch) Reads() bool {
	return c.Current || !c.Copy && !c.Move && !c.Delete && !c.DeleteF && c.To == "" && !c.Track && (c.List || c.Remotes || len(c.Args) == 0)
}

// Run does it.
func (c *Branch) Run(ctx context.Context, s *Scope) (*Result, error) {
	modes := 0
	for _, b := range []bool{c.Copy, c.Move, c.Delete || c.DeleteF, c.List || c.Remotes, c.Current} {
		if b {
			modes++
		}
	}
	if modes > 1 {
		return nil, errs.New(errs.Invalid, "branch: give only one of -c, -m, -d, --list and --show-current")
	}
	switch {
	case c.Current:
		r := Say("%s", s.branch())
		r.Columns, r.Rows = []Column{Text("name")}, [][]any{{s.branch()}}
		return r, nil
	case c.Delete || c.DeleteF:
		if len(c.Args) == 0 {
			return nil, errs.New(errs.Invalid, "branch: name the branches to delete")
		}
		force := c.DeleteF || c.Force
		for _, n := range c.Args {
			if n == s.branch() {
				return nil, errs.New(errs.Invalid, "attempted to delete checked out branch '%s'; check out another one first", n)
			}
			if err := s.Repo.CanDeleteBranch(ctx, n, s.branch(), force); err != nil {
				return nil, err
			}
			if err := c.used(s, n, force); err != nil {
				return nil, err
			}
		}
		for _, n := range c.Args {
			if err := s.Repo.DeleteBranch(ctx, n, s.branch(), force); err != nil {
				return nil, err
			}
			if err := forget(s, n, ""); err != nil {
				return nil, err
			}
		}
		return statusResult(0), nil
	case c.Copy, c.Move:
		return c.copyOrMove(ctx, s)
	case c.To != "" || c.Track:
		return c.follow(ctx, s)
	case c.List || c.Remotes || len(c.Args) == 0:
		return c.list(ctx, s)
	}
	if len(c.Args) > 2 {
		return nil, errs.New(errs.Invalid, "branch: give a name and at most one start point")
	}
	start := "HEAD"
	if len(c.Args) == 2 {
		start = c.Args[1]
	}
	return statusResult(0), c.create(ctx, s, c.Args[0], start)
}

// follow sets the upstream of a branch, which is made when it is not there.
func (c *Branch) follow(ctx context.Context, s *Scope) (*Result, error) {
	switch {
	case c.To != "" && c.Track:
		return nil, errs.New(errs.Invalid, "error: --set-upstream-to and --track are mutually exclusive options.")
	case len(c.Args) > 2 || c.Track && len(c.Args) == 0:
		return nil, errs.New(errs.Invalid, "branch: give a name and at most one start point")
	}
	name, up, start := s.branch(), c.To, "HEAD"
	if len(c.Args) > 0 {
		name = c.Args[0]
	}
	if c.Track {
		up = s.branch()
		if len(c.Args) == 2 {
			up = c.Args[1]
		}
	}
	if err := checkUpstream(s, name, up); err != nil {
		return nil, err
	}
	if _, there := s.Repo.BranchHead(name); !there || c.Track {
		switch {
		case c.Track:
			start = up
		case len(c.Args) == 2:
			start = c.Args[1]
		}
		if err := c.create(ctx, s, name, start); err != nil {
			return nil, err
		}
	}
	return statusResult(0), follow(s, name, up)
}

// create makes a branch.
func (c *Branch) create(ctx context.Context, s *Scope, name, start string) error {
	at, err := s.Repo.Resolve(ctx, start, s.branch())
	if err != nil {
		return err
	}
	if c.Force && name == s.branch() {
		return errs.New(errs.Invalid, "cannot force update the current branch '%s': use 'reset'", name)
	}
	return s.Repo.CreateBranch(ctx, name, at, c.Force)
}

func (c *Branch) copyOrMove(ctx context.Context, s *Scope) (*Result, error) {
	from, to := s.branch(), ""
	switch len(c.Args) {
	case 1:
		to = c.Args[0]
	case 2:
		from, to = c.Args[0], c.Args[1]
	default:
		return nil, errs.New(errs.Invalid, "branch: give the new name, or the old and the new name")
	}
	if c.Copy {
		return statusResult(0), s.Repo.CopyBranch(ctx, from, to, c.Force)
	}
	if _, there := s.Repo.BranchHead(from); there {
		if err := c.used(s, from, c.Force); err != nil {
			return nil, err
		}
	}
	if err := s.Repo.RenameBranch(ctx, from, to, c.Force); err != nil {
		return nil, err
	}
	if err := forget(s, from, to); err != nil {
		return nil, err
	}
	if from == s.Branch && s.Switch != nil {
		return statusResult(0), s.Switch(ctx, to)
	}
	return statusResult(0), nil
}

// used refuses to take a branch from under another client unless it is forced.
func (c *Branch) used(s *Scope, name string, force bool) error {
	if force || s.InUse == nil || !s.InUse(name) {
		return nil
	}
	return errs.New(errs.Conflict, "branch '%s' is in use in another session: it is unsafe to delete or rename it; use --force to do so all the same", name)
}

func (c *Branch) list(ctx context.Context, s *Scope) (*Result, error) {
	r := &Result{Columns: branchColumns, Lines: []string{}}
	width := 0
	var show []string
	heads := map[string]history.CommitID{}
	follows, err := upstreams(s)
	if err != nil {
		return nil, err
	}
	for _, b := range s.Repo.Branches() {
		if c.Remotes && !c.All {
			break // there are none
		}
		if len(c.Args) > 0 && !slices.Contains(c.Args, b.Name) {
			continue
		}
		show = append(show, b.Name)
		heads[b.Name] = b.Head
		width = max(width, len(b.Name))
	}
	for _, n := range show {
		mark := "  "
		if n == s.branch() {
			mark = "* "
		}
		cm, err := history.GetCommit(ctx, s.Repo.Store(), heads[n])
		if err != nil {
			return nil, err
		}
		first, _, _ := strings.Cut(cm.Message, "\n")
		r.Add(n, cm.ID.String(), first)
		if c.Verbose {
			far, err := aheadBehind(ctx, s, cm.ID, follows[n])
			if err != nil {
				return nil, err
			}
			r.Lines = append(r.Lines, fmt.Sprintf("%s%-*s %s%s %s", mark, width, n, cm.ID, far, first))
		} else {
			r.Lines = append(r.Lines, mark+n)
		}
	}
	return r, nil
}
