package op

import (
	"context"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
)

// Add is the verb that stages tables for the next commit.
type Add struct {
	All    bool     `flag:"all,A" help:"stage every changed, new and dropped table"`
	Force  bool     `flag:"force,f" help:"stage new tables that dolt_ignore names, too"`
	Patch  bool     `flag:"patch,p" hidden:"true" help:"not offered: rows are not staged one by one"`
	Branch string   `flag:"branch" value:"branch" complete:"branch" help:"stage on this branch rather than the checked-out one"`
	Tables []string `arg:"rest" value:"table" complete:"table" help:"tables to stage; . is all of them"`
}

func addSpec() Spec {
	return Define[Add](Spec{
		Name: "add", Group: GroupWork, Needs: NeedDatabase,
		Short:    "Stage tables for the next commit",
		Usage:    []string{"[<table>...]", "-A", "."},
		Examples: []Example{{"add .", "stage everything"}, {"add prices", "stage one table"}},
	})
}

// Run stages.
func (c *Add) Run(ctx context.Context, s *Scope) (*Result, error) {
	if c.Patch {
		return nil, errs.New(errs.Unsupported, "add: rows cannot be chosen with -p; stage single rows with UPDATE dolt_workspace_<table> SET staged = true WHERE …")
	}
	s, err := s.on(ctx, c.Branch)
	if err != nil {
		return nil, err
	}
	names := c.Tables
	for _, n := range names {
		if n == "." {
			c.All = true
		}
	}
	if c.All {
		names = nil
	} else if len(names) == 0 {
		return nil, errs.New(errs.Invalid, "nothing specified, nothing added: name tables, or use '%s add .'", s.Program())
	}
	r := statusResult(0)
	if c.All && c.Force {
		return r, s.Repo.StageIgnored(ctx, s.branch())
	}
	if !c.All && !c.Force {
		st, err := readStatus(ctx, s)
		if err != nil {
			return nil, err
		}
		for _, t := range st.ignored {
			at := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, t.name) })
			if at >= 0 {
				names = slices.Delete(slices.Clone(names), at, at+1)
				r.Hints = append(r.Hints, "table "+t.name+" is named in dolt_ignore and was not staged; use add -f to stage it")
			}
		}
		if len(names) == 0 {
			return r, nil
		}
	}
	return r, s.Repo.Stage(ctx, s.branch(), names)
}

// statusResult is what SQL is answered by verbs that have nothing to say: a row with a status, 0 for success.
func statusResult(status int64) *Result {
	return &Result{Columns: []Column{Whole("status")}, Rows: [][]any{{status}}, Lines: []string{}}
}
