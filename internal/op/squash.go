package op

import (
	"context"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
)

// squashColumns are the columns of what squash-history answers.
var squashColumns = []Column{Text("hash")}

// SquashHistory is the verb that makes one commit of many.
type SquashHistory struct {
	Message string   `flag:"message,m" value:"text" help:"the message of the new commit"`
	First   string   `flag:"first,f" value:"commit" complete:"ref" help:"the oldest commit that becomes part of it; otherwise the one behind the first of all"`
	Meta    []string `flag:"meta" value:"key=value" help:"structured metadata; may be repeated"`
}

func squashHistorySpec() Spec {
	return Define[SquashHistory](Spec{
		Name: "squash-history", Columns: squashColumns, Group: GroupGrow, Needs: NeedDatabase, Signs: true,
		Short: "Make one commit of the newest part of the history",
		Long: `The new commit has the tables of HEAD and the parents of the oldest commit that becomes part of it. No table is touched. What only the
replaced commits held is reachable through other branches and tags, or not any more.`,
		Examples: []Example{
			{`squash-history -m "May"`, "the whole history but its first commit becomes one"},
			{`squash-history --first HEAD~3 -m "May"`, "the last four commits become one"},
		},
	})
}

// Run squashes.
func (c *SquashHistory) Run(ctx context.Context, s *Scope) (*Result, error) {
	if c.Message == "" {
		return nil, errs.New(errs.Invalid, "must provide a commit message with --message")
	}
	opt := repo.SquashOptions{Branch: s.branch(), Message: c.Message, Author: s.signature(), Committer: s.committer()}
	var err error
	if c.First != "" {
		if opt.First, err = s.Repo.Resolve(ctx, c.First, s.branch()); err != nil {
			return nil, err
		}
	}
	if opt.Meta, err = metaJSON(c.Meta); err != nil {
		return nil, err
	}
	made, err := s.Repo.SquashHistory(ctx, opt)
	if err != nil {
		return nil, err
	}
	r, err := logEntry(ctx, s, made)
	if err != nil {
		return nil, err
	}
	r.Columns, r.Rows = squashColumns, [][]any{{made.ID.String()}}
	return r, nil
}
