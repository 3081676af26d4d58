package op

import (
	"context"

	"github.com/stemmadb/stemma/internal/errs"
)

// Add is the verb that stages tables for the next commit.
type Add struct {
	All    bool     `flag:"all,A" help:"stage every changed, new and dropped table"`
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
	if err := s.Repo.Stage(ctx, s.branch(), names); err != nil {
		return nil, err
	}
	r := statusResult(0)
	return r, nil
}

// statusResult is what SQL is answered by verbs that have nothing to say: a row with a status, 0 for success.
func statusResult(status int64) *Result {
	return &Result{Columns: []Column{Whole("status")}, Rows: [][]any{{status}}, Lines: []string{}}
}
