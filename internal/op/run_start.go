package op

import (
	"context"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/lineage"
)

// RunStart is the verb that records the start of a run.
type RunStart struct {
	UID        string `arg:"1" name:"run" value:"uuid" help:"the run's id, a UUID; one is made when it is left out"`
	System     string `flag:"system" default:"cli" value:"name" help:"what runs it: kedro, metaflow, cli, spark, …"`
	ExternalID string `flag:"external-id" value:"id" help:"what that system calls the run"`
	Parent     string `flag:"parent" value:"uuid" help:"the run that started this one"`
	Job        string `flag:"job" value:"name" help:"what is run: a pipeline, a flow, a script"`
	Params     string `flag:"params" value:"json" help:"the run's parameters"`
	GitSHA     string `flag:"git-sha" name:"git_sha" value:"sha" help:"commit of the code"`
	GitDirty   bool   `flag:"git-dirty" help:"the code has changes that are not committed"`
	Branch     string `flag:"branch" value:"branch" complete:"branch" help:"the branch that the run works on"`
	Base       string `flag:"base" value:"revision" complete:"ref" help:"the commit that it reads"`
	User       string `flag:"user" value:"name" help:"who runs it; the author unless told otherwise"`
	Host       string `flag:"host" value:"name" help:"where"`
	Message    string `flag:"message,m" value:"text" help:"why"`
}

func runStartSpec() Spec {
	return Define[RunStart](Spec{
		Name: "run start", Columns: runColumns, Group: GroupLineage, Needs: NeedDatabase,
		Short: "Record that a run begins, and name it",
		Long: `What sessions read and commit once they name the run, by SET @@stemma_run = '<uuid>' or the header stemma-run, is recorded as the
run's. A run that is started again with the same system and external id goes on (a retry); another run of the same id is an error.`,
		Examples: []Example{{"run start --job nightly --system cron", "the id of a new run is printed"}},
	})
}

// Run records the start.
func (c *RunStart) Run(ctx context.Context, s *Scope) (*Result, error) {
	run, err := c.start(ctx, s)
	if err != nil {
		return nil, err
	}
	return runResult(&run, run.UID), nil
}

// runResult is the answer of verbs that change one run: its row, and a line for people.
func runResult(run *lineage.Run, line string) *Result {
	return &Result{Columns: runColumns, Rows: [][]any{runRow(run)}, Lines: []string{line}}
}

func (c *RunStart) start(ctx context.Context, s *Scope) (lineage.Run, error) {
	var err error
	run := lineage.Run{
		System: c.System, ExternalID: c.ExternalID, Job: c.Job, GitSHA: c.GitSHA, GitDirty: c.GitDirty, Branch: c.Branch,
		User: c.User, Host: c.Host, Message: c.Message,
	}
	if c.UID == "" {
		run.UID = lineage.NewUID(s.Repo.Clock().Now())
	} else if run.UID, err = lineage.ParseUID(c.UID); err != nil {
		return run, err
	}
	if c.Parent != "" {
		if run.Parent, err = lineage.ParseUID(c.Parent); err != nil {
			return run, err
		}
	}
	if run.User == "" {
		run.User = s.Author.Name
	}
	if run.Params, err = canonicalJSON("run start: --params", c.Params); err != nil {
		return run, err
	}
	if run.BaseCommit, err = s.fullCommit(ctx, c.Base); err != nil {
		return run, err
	}
	return s.Repo.StartRun(ctx, run)
}

// RunEnd is the verb that records the end of a run.
type RunEnd struct {
	UID          string `arg:"1" name:"run" required:"true" value:"run" help:"the run"`
	State        string `flag:"state" default:"COMPLETE" enum:"COMPLETE,FAIL,ABORT" help:"how it ended"`
	Error        string `flag:"error" value:"text" help:"why it failed"`
	ResultCommit string `flag:"result-commit" value:"revision" complete:"ref" help:"the commit that it left"`
}

func runEndSpec() Spec {
	return Define[RunEnd](Spec{
		Name: "run end", Columns: runColumns, Group: GroupLineage, Needs: NeedDatabase,
		Short:    "Record that a run has ended, and how",
		Examples: []Example{{"run end --state FAIL --error 'no input' 0190d6f3-7c1e-7b5a-9a53-0d1c2f3a4b5c", "a run that failed"}},
	})
}

// Run records the end.
func (c *RunEnd) Run(ctx context.Context, s *Scope) (*Result, error) {
	run, err := s.findRun(ctx, c.UID)
	if err != nil {
		return nil, err
	}
	commit, err := s.fullCommit(ctx, c.ResultCommit)
	if err != nil {
		return nil, err
	}
	if !run.Ended.IsZero() {
		if run.State == c.State {
			return runResult(&run, endLine(&run)), nil // asked for again
		}
		return nil, errs.New(errs.Invalid, "run end %s: it has ended already: %s", run.UID, run.State)
	}
	run, err = s.Repo.EndRun(ctx, run.UID, func(r *lineage.Run) {
		r.State, r.Error = c.State, c.Error
		if commit != "" {
			r.ResultCommit = commit
		}
	})
	if err != nil {
		return nil, err
	}
	out := runResult(&run, endLine(&run))
	if run.Dropped > 0 {
		out.Hints = append(out.Hints, dropHint(&run))
	}
	return out, nil
}

func endLine(r *lineage.Run) string { return "Run " + r.UID + ": " + r.State }
