package op

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
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
	List    bool     `flag:"list,l" help:"list branches, those whose names match one of the patterns if any is given: * stands for any characters, ? for one, [a-f] for one of these"`
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
			"[--list [<pattern>...]] [-v] [-a]", "[-f] <name> [<start-point>]", "-m [-f] [<old>] <new>", "-c [-f] [<old>] <new>", "(-d | -D) <name>...", "-t <name> [<branch>]", "-u <branch> [<name>]", "--show-current",
		},
		Examples: []Example{{"branch", "list the branches"}, {"branch fix main~2", "make a branch at an older commit"}, {"branch -d fix", "delete it again"}},
	})
}

// Reads implements Reader: a list is asked for.
func (c *Branch) Reads() bool {
	return c.Current || !c.Copy && !c.Move && !c.Delete && !c.DeleteF && c.To == "" && !c.Track && (c.List || c.Remotes || c.All || len(c.Args) == 0)
}

// Run does it.
func (c *Branch) Run(ctx context.Context, s *Scope) (*Result, error) {
	modes := 0
	deletes := c.Delete || c.DeleteF
	for _, b := range []bool{c.Copy, c.Move, deletes, c.List || (c.Remotes || c.All) && !deletes, c.Current, c.Track || c.To != ""} {
		if b {
			modes++
		}
	}
	switch {
	case modes > 1:
		return nil, errs.New(errs.Invalid, "branch: give only one of -c, -m, -d, --list, --show-current, -t and -u")
	case c.Current && len(c.Args) > 0:
		return nil, errs.New(errs.Invalid, "branch: --show-current takes no names")
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
		if c.Remotes {
			return c.untrack(ctx, s)
		}
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
	case c.List || c.Remotes || c.All || len(c.Args) == 0:
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

// untrack forgets branches of remotes.
func (c *Branch) untrack(ctx context.Context, s *Scope) (*Result, error) {
	var land repo.Landing
	for _, n := range c.Args {
		name := strings.TrimPrefix(n, remotesWord)
		if _, ok := s.Repo.Track(name); !ok {
			return nil, errs.New(errs.NotFound, "remote branch not found: '%s'", n)
		}
		land.Tracks = append(land.Tracks, repo.LandedTrack{Name: name, Anyway: true})
	}
	_, err := s.Repo.Land(ctx, nil, land)
	return statusResult(0), err
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
	up = asUpstream(s, up)
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
	if err := follow(s, name, up); err != nil {
		return nil, err
	}
	r := statusResult(0)
	r.Printf("branch '%s' set up to track '%s'", name, shownUpstream(up))
	return r, nil
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
	follows, err := upstreams(s)
	if err != nil {
		return nil, err
	}
	var show []repo.Branch
	width := 0
	var all []repo.Branch
	if !c.Remotes || c.All {
		all = s.Repo.Branches()
	}
	local := len(all)
	if c.Remotes || c.All {
		for _, t := range s.Repo.Tracks() {
			all = append(all, repo.Branch{Name: remotesWord + t.Name, Head: t.Head})
		}
	}
	current := ""
	for i, b := range all {
		if ok, err := matchesAny(c.Args, b.Name); err != nil {
			return nil, err
		} else if !ok {
			continue
		}
		if i < local && b.Name == s.branch() {
			current = b.Name
		}
		show = append(show, b)
		width = max(width, len(b.Name))
	}
	mark := func(name string) string {
		if name == current {
			return "* "
		}
		return "  "
	}
	if !c.Verbose {
		for _, b := range show {
			r.Lines = append(r.Lines, mark(b.Name)+b.Name)
		}
		// The lines need no commits, of which there may be many to be read.
		r.Stream = func(yield func([]any, error) bool) {
			for _, b := range show {
				cm, err := history.GetCommit(ctx, s.Repo.Store(), b.Head)
				if err != nil {
					yield(nil, err)
					return
				}
				first, _, _ := strings.Cut(cm.Message, "\n")
				if !yield([]any{b.Name, cm.ID.String(), first}, nil) {
					return
				}
			}
		}
		return r, nil
	}
	for _, b := range show {
		cm, err := history.GetCommit(ctx, s.Repo.Store(), b.Head)
		if err != nil {
			return nil, err
		}
		far, err := aheadBehind(ctx, s, cm.ID, follows[b.Name])
		if err != nil {
			return nil, err
		}
		first, _, _ := strings.Cut(cm.Message, "\n")
		r.Add(b.Name, cm.ID.String(), first)
		r.Lines = append(r.Lines, fmt.Sprintf("%s%-*s %s%s %s", mark(b.Name), width, b.Name, cm.ID, far, first))
	}
	return r, nil
}

// matchesAny tells whether the name of a ref matches one of the patterns, of which none means all. The patterns are git's: a * also stands
// for slashes.
func matchesAny(patterns []string, name string) (bool, error) {
	if len(patterns) == 0 {
		return true, nil
	}
	const slash = "\x00" // no name has one, and path.Match does not treat it as the end of a directory's name
	name = strings.ReplaceAll(name, "/", slash)
	for _, p := range patterns {
		ok, err := path.Match(strings.ReplaceAll(p, "/", slash), name)
		if err != nil {
			return false, errs.New(errs.Invalid, "the pattern '%s' cannot be understood: %w", p, err)
		}
		if ok {
			return true, nil
		}
	}
	return false, nil
}
