package op

import (
	"context"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/value"
)

// runColumns are the columns of what verbs tell of runs, named as those of stemma_runs.
var runColumns = []Column{
	Text("run_uid"), Text("system"), Text("external_id"), Text("parent_uid"), Text("job"), Moment("started_at"), Moment("ended_at"),
	Text("state"), Text("user"), Text("host"), Text("git_sha"), Flag("git_dirty"), Document("params"), Text("error"),
	Text("base_commit"), Text("result_commit"), Text("branch"), Text("message"), Whole("dropped_inputs"),
}

// runRow are a run's cells in runColumns.
func runRow(r *lineage.Run) []any {
	var started, ended, params any
	if !r.Started.IsZero() {
		started = r.Started.UTC()
	}
	if !r.Ended.IsZero() {
		ended = r.Ended.UTC()
	}
	if r.Params != "" {
		params = string(value.AppendJSONText(nil, []byte(r.Params)))
	}
	return []any{
		r.UID, r.System, r.ExternalID, r.Parent, r.Job, started, ended, r.State, r.User, r.Host, r.GitSHA, Truth(r.GitDirty), params, r.Error,
		r.BaseCommit, r.ResultCommit, r.Branch, r.Message, r.Dropped,
	}
}

// canonicalJSON is the canonical form of a JSON text that a user gave, "" of "" and null; what says which it is.
func canonicalJSON(what, text string) (string, error) {
	if text == "" || text == "null" {
		return "", nil
	}
	b, err := value.CanonicalJSON(nil, []byte(text))
	if err != nil {
		return "", errs.New(errs.Invalid, "%s: not JSON: %w", what, err)
	}
	return string(b), nil
}

// fullCommit is the hash in full of a revision; "" of "".
func (s *Scope) fullCommit(ctx context.Context, rev string) (string, error) {
	if rev == "" {
		return "", nil
	}
	id, err := s.Repo.Resolve(ctx, rev, s.branch())
	if err != nil {
		return "", err
	}
	return id.Full(), nil
}

// findRun is the run that a user names: by its id, by what its system calls it, or by the first eight or more characters of its id.
func (s *Scope) findRun(ctx context.Context, name string) (lineage.Run, error) {
	var none lineage.Run
	if name == "" {
		return none, errs.New(errs.Invalid, "name a run: its id, or what its system calls it")
	}
	book := s.Repo.Lineage()
	if uid, err := lineage.ParseUID(name); err == nil {
		run, ok, err := book.Run(ctx, uid)
		if err != nil || ok {
			return run, err
		}
	}
	found, err := book.RunsBySystem(ctx, "", name)
	if err != nil {
		return none, err
	}
	if len(found) == 0 && len(name) >= 8 {
		l := strings.ToLower(name)
		err := book.EachRun(ctx, func(r lineage.Run) (bool, error) {
			if strings.HasPrefix(r.UID, l) {
				found = append(found, r)
			}
			return len(found) < 3, nil
		})
		if err != nil {
			return none, err
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return none, errs.New(errs.Invalid, "run '%s' is ambiguous: it may be %s or %s", name, found[0].UID, found[1].UID)
	}
	var ids []string
	err = book.EachRun(ctx, func(r lineage.Run) (bool, error) {
		ids = append(ids, r.UID)
		if r.ExternalID != "" {
			ids = append(ids, r.ExternalID)
		}
		return len(ids) < 1000, nil
	})
	if err != nil {
		return none, err
	}
	return none, offering(errs.NotFound, errs.Nearest(name, ids), "run not found: %s", name)
}

// RunList is the verb that lists runs.
type RunList struct {
	System string        `flag:"system" value:"name" help:"only runs of this system"`
	State  string        `flag:"state" value:"state" enum:"START,RUNNING,COMPLETE,FAIL,ABORT" help:"only runs in this state"`
	Job    string        `flag:"job" value:"name" help:"only runs of this job"`
	Parent string        `flag:"parent" value:"uuid" help:"only runs that this run started"`
	Dead   bool          `flag:"dead" help:"only runs that have not ended though they began long ago: see --older"`
	Older  time.Duration `flag:"older" default:"24h" help:"with --dead: how long ago"`
	Limit  int           `flag:"limit,n" number:"true" default:"100" help:"at most so many; 0 for all"`
}

func runListSpec() Spec {
	return Define[RunList](Spec{
		Name: "run list", Columns: runColumns, Group: GroupLineage, Needs: NeedDatabase, ReadOnly: true,
		Short:    "List runs, the last started first",
		Long:     "A run that died before it could say so stays RUNNING: --dead lists those.",
		Examples: []Example{{"run list --system kedro -n 5", "the last five runs of Kedro"}, {"run list --dead", "runs that never ended"}},
	})
}

// Run lists.
func (c *RunList) Run(ctx context.Context, s *Scope) (*Result, error) {
	if c.Limit < 0 {
		return nil, errs.New(errs.Invalid, "run list: --limit must not be negative")
	}
	parent := c.Parent
	if parent != "" {
		run, err := s.findRun(ctx, parent)
		if err != nil {
			return nil, err
		}
		parent = run.UID
	}
	since := s.Repo.Clock().Now().Add(-c.Older)
	r := &Result{Columns: runColumns, Lines: []string{}}
	err := s.Repo.Lineage().EachRun(ctx, func(run lineage.Run) (bool, error) {
		switch {
		case c.System != "" && run.System != c.System, c.State != "" && run.State != c.State, c.Job != "" && run.Job != c.Job,
			parent != "" && run.Parent != parent:
			return true, nil
		case c.Dead && (!run.Ended.IsZero() || run.Started.After(since)):
			return true, nil
		}
		r.Rows = append(r.Rows, runRow(&run))
		r.Printf("%s  %-8s  %s", run.UID, run.State, run.Title())
		return c.Limit == 0 || len(r.Rows) < c.Limit, nil
	})
	return r, err
}
