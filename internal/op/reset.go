package op

import (
	"context"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
)

// Reset is the verb that unstages tables and moves a branch back.
type Reset struct {
	Hard  bool     `flag:"hard" help:"set branch, staged and working set to the commit; changes are lost"`
	Soft  bool     `flag:"soft" help:"move the branch only"`
	Mixed bool     `flag:"mixed" help:"move the branch and unstage everything; this is the default"`
	Args  []string `arg:"rest" value:"revision|table" complete:"ref" help:"a commit; tables to unstage, . for all; or a commit and tables to stage as they are there"`
}

func resetSpec() Spec {
	return Define[Reset](Spec{
		Name: "reset", Group: GroupWork, Needs: NeedDatabase,
		Short:    "Unstage tables, or set the branch to another commit",
		Usage:    []string{"[<revision>] [<table>...]", "[--soft | --mixed | --hard] [<revision>]"},
		Examples: []Example{{"reset prices", "unstage a table"}, {"reset --hard", "drop all changes since the last commit"}, {"reset --soft HEAD~1", "undo the last commit, keep its changes staged"}},
	})
}

// Run does it.
func (c *Reset) Run(ctx context.Context, s *Scope) (*Result, error) {
	if c.Hard && c.Soft || c.Hard && c.Mixed || c.Soft && c.Mixed {
		return nil, errs.New(errs.Invalid, "reset: --hard, --soft and --mixed exclude each other")
	}
	head, err := s.Repo.Resolve(ctx, "HEAD", s.branch())
	if err != nil {
		return nil, err
	}
	if c.Hard || c.Soft || c.Mixed {
		if len(c.Args) > 1 {
			return nil, errs.New(errs.Invalid, "reset: --hard, --soft and --mixed take at most one revision")
		}
		to := head
		if len(c.Args) == 1 {
			if to, err = s.Repo.Resolve(ctx, c.Args[0], s.branch()); err != nil {
				return nil, err
			}
		}
		if c.Hard {
			return statusResult(0), s.Repo.ResetHard(ctx, s.branch(), to)
		}
		return unstaged(ctx, s, s.Repo.ResetSoft(ctx, s.branch(), to, c.Soft))
	}
	names := c.Args
	if len(names) == 0 || len(names) == 1 && names[0] == "." {
		return unstaged(ctx, s, s.Repo.Unstage(ctx, s.branch(), head, nil))
	}
	if len(names) == 1 && !stagedOrCommitted(ctx, s, names[0]) {
		to, err := s.Repo.Resolve(ctx, names[0], s.branch())
		if err != nil {
			return nil, errs.New(errs.NotFound, "'%s' is neither a table nor a revision: %w", names[0], err)
		}
		return unstaged(ctx, s, s.Repo.ResetSoft(ctx, s.branch(), to, false))
	}
	from := head
	if len(names) > 1 && !stagedOrCommitted(ctx, s, names[0]) {
		if to, err := s.Repo.Resolve(ctx, names[0], s.branch()); err == nil {
			from, names = to, names[1:]
		} else if !errs.Is(err, errs.NotFound) {
			return nil, err
		}
	}
	if len(names) == 1 && names[0] == "." {
		names = nil
	}
	return unstaged(ctx, s, s.Repo.Unstage(ctx, s.branch(), from, names))
}

// unstaged is the answer of a reset that leaves the working set: the changed tables that are not staged after it.
func unstaged(ctx context.Context, s *Scope, err error) (*Result, error) {
	if err != nil {
		return nil, err
	}
	st, err := readStatus(ctx, s)
	if err != nil {
		return nil, err
	}
	r := statusResult(0)
	for i, t := range st.unstaged {
		if i == 0 {
			r.Printf("Unstaged changes after reset:")
		}
		mark := "M"
		if t.word == "deleted" || t.word == "renamed" { // a rename is a table less, and a new one that is not tracked
			mark = "D"
		}
		r.Printf("%s\t%s", mark, t.name)
	}
	return r, nil
}

// stagedOrCommitted tells whether the staged set or the head has a table of that name.
func stagedOrCommitted(ctx context.Context, s *Scope, name string) bool {
	st, err := s.Repo.SnapshotStaged(s.branch())
	if err != nil {
		return false
	}
	h, err := s.Repo.SnapshotAt(ctx, history.CommitID(st.Commit))
	if err != nil {
		return false
	}
	_, _, a, errA := st.Table(ctx, name)
	_, _, b, errB := h.Table(ctx, name)
	return errA == nil && errB == nil && (a || b)
}
