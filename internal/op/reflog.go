package op

import (
	"context"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
)

// reflogColumns are the columns of what reflog answers.
var reflogColumns = []Column{Text("ref"), Moment("ref_timestamp"), Text("commit_hash"), Text("commit_message")}

// countColumns are the columns of what count-commits answers.
var countColumns = []Column{Whole("ahead"), Whole("behind")}

// Reflog is the verb that shows which commits branches and tags have named.
type Reflog struct {
	All bool   `flag:"all" help:"show all refs; there are none but branches and tags"`
	Ref string `arg:"1" value:"ref" complete:"ref" help:"a branch or a tag, which may have been removed since"`
}

func reflogSpec() Spec {
	return Define[Reflog](Spec{
		Name: "reflog", Columns: reflogColumns, Group: GroupLook, Needs: NeedDatabase, ReadOnly: true,
		Short: "Show which commits branches and tags have named",
		Long: `The newest move comes first. What is kept is of this directory: it is neither pushed nor cloned. Moves older than 90 days go, and
all but the newest 10,000, but of every ref the last one stays.`,
		Examples: []Example{{"reflog", "all branches and tags"}, {"reflog feature", "where a branch was, even when it was deleted"}},
	})
}

// Run shows.
func (c *Reflog) Run(ctx context.Context, s *Scope) (*Result, error) {
	r := &Result{Columns: reflogColumns, Lines: []string{}}
	head, err := s.Repo.Resolve(ctx, "HEAD", s.branch())
	if err != nil {
		return nil, err
	}
	for _, m := range s.Repo.RefLog() {
		if m.Commit.IsZero() || c.Ref != "" && !refIs(m.Ref, c.Ref) {
			continue
		}
		message := ""
		cm, err := history.GetCommit(ctx, s.Repo.Store(), m.Commit)
		switch {
		case err == nil:
			message = cm.Message
		case !errs.Is(err, errs.NotFound):
			return nil, err
		}
		var when any
		if !m.Time.IsZero() {
			when = m.Time.UTC()
		}
		r.Add(m.Ref, when, m.Commit.String(), message)
		short := strings.TrimPrefix(m.Ref, "refs/heads/")
		if tag, ok := strings.CutPrefix(m.Ref, "refs/tags/"); ok {
			short = "tag: " + tag
		}
		if m.Commit == head {
			short = "HEAD -> " + short
		}
		r.Lines = append(r.Lines, m.Commit.String()+" ("+short+") "+message)
	}
	if len(r.Rows) == 0 && c.Ref != "" && !s.Dolt { // Dolt shows nothing
		_, err := s.Repo.Resolve(ctx, c.Ref, s.branch())
		return r, err
	}
	return r, nil
}

// refIs tells whether a full name of a ref is what a user means by a name.
func refIs(full, name string) bool {
	for _, p := range []string{"", "refs/heads/", "refs/tags/", "refs/"} {
		if strings.EqualFold(full, p+name) {
			return true
		}
	}
	return false
}

// CountCommits is the verb that counts the commits between two revisions.
type CountCommits struct {
	From string `flag:"from,f" value:"revision" help:"count what this has and the other has not"`
	To   string `flag:"to,t" value:"revision" help:"and the other way round"`
}

func countCommitsSpec() Spec {
	return Define[CountCommits](Spec{
		Name: "count-commits", Columns: countColumns, Group: GroupLook, Needs: NeedDatabase, ReadOnly: true,
		Short:    "Count the commits that two revisions do not share",
		Examples: []Example{{"count-commits --from main --to feature", "how far a branch is ahead of main and behind it"}},
	})
}

// Run counts.
func (c *CountCommits) Run(ctx context.Context, s *Scope) (*Result, error) {
	if c.From == "" || c.To == "" {
		return nil, errs.New(errs.Invalid, "count-commits: give --from and --to")
	}
	from, err := s.Repo.Resolve(ctx, c.From, s.branch())
	if err != nil {
		return nil, err
	}
	to, err := s.Repo.Resolve(ctx, c.To, s.branch())
	if err != nil {
		return nil, err
	}
	count := func(a, b history.CommitID) (n int64, err error) {
		w, err := history.Walk(ctx, s.Repo.Store(), []history.CommitID{a}, []history.CommitID{b})
		if err != nil {
			return 0, err
		}
		for {
			cm, err := w.Next(ctx)
			if err != nil || cm == nil {
				return n, err
			}
			n++
		}
	}
	ahead, err := count(from, to)
	if err != nil {
		return nil, err
	}
	behind, err := count(to, from)
	if err != nil {
		return nil, err
	}
	return &Result{Columns: countColumns, Rows: [][]any{{ahead, behind}}}, nil
}
