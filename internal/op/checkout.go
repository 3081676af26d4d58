package op

import (
	"context"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/root"
)

// checkoutColumns are the columns of what checkout answers.
var checkoutColumns = []Column{Whole("status"), Text("message")}

// Checkout is the verb that changes to another branch, or sets tables back.
type Checkout struct {
	New   string   `flag:",b" value:"branch" help:"make the branch first"`
	Reset string   `flag:",B" value:"branch" help:"make the branch first, or move it when it exists"`
	Track string   `flag:"track,t" value:"branch" complete:"branch" help:"make the new branch follow this one, where it begins"`
	Over  bool     `flag:"overwrite-ignore" hidden:"true" help:"accepted for compatibility"`
	Keep  bool     `flag:"no-overwrite-ignore" hidden:"true" help:"accepted for compatibility"`
	Force bool     `flag:"force,f" hidden:"true" help:"accepted for compatibility"`
	Args  []string `arg:"rest" value:"branch|table" complete:"branch" help:"a branch; a revision and tables; or tables"`
	Dash  []string `arg:"dash" value:"table" complete:"table" help:"tables"`
}

func checkoutSpec() Spec {
	return Define[Checkout](Spec{
		Name: "checkout", Columns: checkoutColumns, Group: GroupGrow, Needs: NeedDatabase,
		Short: "Switch branches or restore tables",
		Long: `With a branch: later commands work on it; - is the one that was checked out before. Uncommitted changes stay with the branch on which they were made; each branch has a
working set of its own.

With tables: their working state is set back to the staged one, or to that of the revision given before them.`,
		Usage:    []string{"(<branch> | -)", "-b <new-branch> [-t <branch> | <start-point>]", "[<revision>] [--] <table>..."},
		Examples: []Example{{"checkout -b fix", "make a branch and change to it"}, {"checkout -", "change back"}, {"checkout prices", "undo changes of a table"}},
	})
}

// Run does it.
func (c *Checkout) Run(ctx context.Context, s *Scope) (*Result, error) {
	if c.New != "" && c.Reset != "" {
		return nil, errs.New(errs.Invalid, "checkout: -b and -B exclude each other")
	}
	if c.Track != "" {
		if _, remote := s.Repo.Track(strings.TrimPrefix(c.Track, "remotes/")); remote && c.New+c.Reset == "" {
			_, c.New, _ = strings.Cut(strings.TrimPrefix(c.Track, "remotes/"), "/")
		}
		if c.New+c.Reset == "" || len(c.Args)+len(c.Dash) > 0 {
			return nil, errs.New(errs.Invalid, "checkout: --track goes with -b or -B, and names where the branch begins")
		}
		if err := checkUpstream(s, c.New+c.Reset, asUpstream(s, c.Track)); err != nil {
			return nil, err
		}
		c.Args = []string{c.Track}
	}
	if name := c.New + c.Reset; name != "" {
		if len(c.Args) > 1 || len(c.Dash) > 0 {
			return nil, errs.New(errs.Invalid, "checkout: a new branch takes at most one start point")
		}
		start := "HEAD"
		if len(c.Args) == 1 {
			start = c.Args[0]
		}
		at, err := s.Repo.Resolve(ctx, start, s.branch())
		if err != nil {
			return nil, err
		}
		if err := s.Repo.CreateBranch(ctx, name, at, c.Reset != ""); err != nil {
			return nil, err
		}
		if up := asUpstream(s, start); c.Track != "" || strings.HasPrefix(up, trackPrefix) {
			return c.moveFollowing(ctx, s, name, up)
		}
		return c.move(ctx, s, name)
	}
	if len(c.Args)+len(c.Dash) == 0 {
		return nil, errs.New(errs.Invalid, "checkout: name a branch or tables")
	}
	if len(c.Args) == 1 && len(c.Dash) == 0 {
		if c.Args[0] == "-" {
			name, err := s.previous()
			if err != nil {
				return nil, err
			}
			return c.move(ctx, s, name)
		}
		if _, ok := s.Repo.BranchHead(c.Args[0]); ok {
			return c.move(ctx, s, c.Args[0])
		}
		if c.Args[0] == "." {
			return c.all(ctx, s)
		}
		if r, err := c.guess(ctx, s, c.Args[0]); r != nil || err != nil {
			return r, err
		}
	}
	c.Args = tableWords(ctx, s, c.Args)
	return c.restore(ctx, s)
}

// guess makes a branch of the one of that name that a remote has, and changes to it; it is nil when none has one, or name is a table.
func (c *Checkout) guess(ctx context.Context, s *Scope, name string) (*Result, error) {
	var found []repo.Branch
	for _, t := range s.Repo.Tracks() {
		if _, b, _ := strings.Cut(t.Name, "/"); b == name {
			found = append(found, t)
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	for _, open := range []func(string) (*repo.Snapshot, error){s.Repo.SnapshotWorking, s.Repo.SnapshotStaged} {
		x, err := open(s.branch())
		if err != nil {
			return nil, err
		}
		if _, _, ok, err := x.Table(ctx, name); err != nil || ok {
			return nil, err
		}
	}
	at := found[0]
	if len(found) > 1 {
		i := slices.IndexFunc(found, func(b repo.Branch) bool { return b.Name == defaultRemote+"/"+name })
		if i < 0 {
			return nil, errs.New(errs.Invalid, "'%s' is a branch of several remotes: say which with 'checkout --track %s'", name, found[0].Name)
		}
		at = found[i]
	}
	if err := s.Repo.CreateBranch(ctx, name, at.Head, false); err != nil {
		return nil, err
	}
	return c.moveFollowing(ctx, s, name, trackPrefix+at.Name)
}

// moveFollowing makes a new branch follow another, changes to it, and says both.
func (c *Checkout) moveFollowing(ctx context.Context, s *Scope, name, upstream string) (*Result, error) {
	if err := follow(s, name, upstream); err != nil {
		return nil, err
	}
	r, err := c.move(ctx, s, name)
	if err == nil {
		r.Printf("branch '%s' set up to track '%s'.", name, shownUpstream(upstream))
		r.Rows = [][]any{{int64(0), strings.Join(r.Lines, "\n")}}
	}
	return r, err
}

func (c *Checkout) move(ctx context.Context, s *Scope, name string) (*Result, error) {
	already := name == s.branch()
	hints, err := s.switchTo(ctx, name)
	if err != nil {
		return nil, err
	}
	word := "Switched to branch '%s'"
	if already && c.New == "" {
		word = "Already on branch '%s'"
	}
	r := Say(word, name)
	r.Columns, r.Rows = checkoutColumns, [][]any{{int64(0), r.Lines[0]}}
	r.Hints = hints
	return r, nil
}

// restore sets tables back, to the staged set or to a revision before them.
func (c *Checkout) restore(ctx context.Context, s *Scope) (*Result, error) {
	names := append(append([]string(nil), c.Args...), c.Dash...)
	st, err := s.Repo.SnapshotStaged(s.branch())
	if err != nil {
		return nil, err
	}
	from := st.Root
	first, firstErr := c.tableOrRevision(ctx, s, st, names[0])
	if firstErr != nil {
		return nil, firstErr
	}
	if first != nil {
		if from, names = first, names[1:]; len(names) == 0 {
			return nil, errs.New(errs.Invalid, "'%s' is a commit, not a branch: make a branch there with 'checkout -b <name> %s', or name tables to restore", c.Args[0], c.Args[0])
		}
	}
	if err := s.Repo.Restore(ctx, s.branch(), from, names); err != nil {
		return nil, err
	}
	if first != nil { // as git does, the staged set gets the tables of the revision, too
		return statusResult(0), s.Repo.Stage(ctx, s.branch(), names)
	}
	return statusResult(0), nil
}

// tableOrRevision is the root of the revision that name is, unless it is a table; nil then.
func (c *Checkout) tableOrRevision(ctx context.Context, s *Scope, st *repo.Snapshot, name string) (*root.Root, error) {
	w, err := s.Repo.SnapshotWorking(s.branch())
	if err != nil {
		return nil, err
	}
	for _, x := range []*repo.Snapshot{st, w} {
		if _, _, ok, err := x.Table(ctx, name); err != nil || ok {
			return nil, err
		}
	}
	id, err := s.Repo.Resolve(ctx, name, s.branch())
	if err != nil {
		return nil, errs.New(errs.NotFound, "'%s' is neither a branch, a table nor a revision: %w", name, err)
	}
	if err := s.Repo.Whole(ctx, id); err != nil {
		return nil, err
	}
	cm, err := history.GetCommit(ctx, s.Repo.Store(), id)
	if err != nil {
		return nil, err
	}
	return root.Open(s.Repo.Store(), cm.Root), nil
}

// all sets back every table that the staged set has.
func (c *Checkout) all(ctx context.Context, s *Scope) (*Result, error) {
	st, err := s.Repo.SnapshotStaged(s.branch())
	if err != nil {
		return nil, err
	}
	names, err := st.TableNames(ctx)
	if err != nil {
		return nil, err
	}
	return statusResult(0), s.Repo.Restore(ctx, s.branch(), st.Root, names)
}
