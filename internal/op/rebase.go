package op

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
)

// Rebase is the verb that makes the commits of a branch again on top of another.
type Rebase struct {
	Interactive bool     `flag:"interactive,i" help:"stop before the first commit, so that the plan can be changed in the table dolt_rebase"`
	Empty       string   `flag:"empty" value:"drop|keep" help:"what becomes of commits whose change is there already; otherwise they are dropped"`
	Abort       bool     `flag:"abort" help:"give up the rebase in progress"`
	Continue    bool     `flag:"continue" help:"go on with the rebase in progress"`
	Plan        string   `flag:"plan" value:"text" help:"with --continue: the steps that are left, instead of those in dolt_rebase: a line each of action, commit and message; none give up the rebase"`
	PlanOf      string   `flag:"plan-of" value:"id" hidden:"true" help:"what --plan and --abort are for: where the rebase stood when its plan was read. Others who went on since are not overruled; a plan that makes no sense gives the rebase up"`
	Skip        bool     `flag:"skip-verification" hidden:"true" help:"accepted for compatibility"`
	Args        []string `arg:"rest" value:"upstream" complete:"ref" help:"the branch or commit on which the commits are put"`
}

func rebaseSpec() Spec {
	return Define[Rebase](Spec{
		Name: "rebase", Group: GroupGrow, Needs: NeedDatabase, Signs: true,
		Short: "Make the commits of this branch again on top of another",
		Long: `The commits that the branch has and the upstream has not, merges left out, are made again one after the other on the branch
dolt_rebase_<branch>, to which the branch moves in the end. Where changes stand against each other it stops: settle the conflicts, stage
the tables, and go on with --continue, or go back with --abort.

With -i the plan can be changed first. Where an editor is set (the setting core.editor or STEMMA_EDITOR; on a terminal VISUAL or EDITOR, too)
the command line opens it with the plan: a line for each commit with action (pick, drop, reword, edit, squash or fixup), hash and message.
Otherwise it stops, and the plan is a table, dolt_rebase: rebase_order, action, commit_hash and commit_message. Change it with SQL and go on
with --continue.`,
		Usage: []string{"[-i] [--empty=(drop | keep)] <upstream>", "--continue [--plan <text>]", "--abort"},
		Examples: []Example{
			{"rebase main", "put this branch's commits on top of main"}, {"rebase -i HEAD~3", "rework the last three commits"},
			{`sql -q "update dolt_rebase set action = 'squash' where rebase_order = 2"`, "make the second part of the first"},
		},
	})
}

// rebaseResult is the row of dolt_rebase.
func rebaseResult(message string) *Result {
	r := Say("%s", message)
	r.Columns, r.Rows = []Column{Whole("status"), Text("message")}, [][]any{{int64(0), message}}
	return r
}

// Run does it.
func (c *Rebase) Run(ctx context.Context, s *Scope) (*Result, error) {
	switch {
	case c.Abort && c.Continue:
		return nil, errFlags("abort", "continue")
	case c.Abort || c.Continue:
		if len(c.Args) > 0 {
			return nil, errs.New(errs.Invalid, "rebase: --abort and --continue take no upstream")
		}
		name, err := rebasedOn(ctx, s)
		if err != nil && (c.PlanOf == "" || !errs.Is(err, errs.NotFound)) { // its branch may be gone because others have ended it
			return nil, err
		}
		var from *repo.RebasePoint
		if c.PlanOf != "" {
			if from, err = s.Repo.RebasePointOf(ctx, name, c.PlanOf); err != nil {
				return nil, err
			}
		}
		if c.Abort {
			return c.abort(ctx, s, name, from)
		}
		return c.goOn(ctx, s, name, from)
	case c.Plan != "":
		return nil, errs.New(errs.Invalid, "rebase: --plan goes with --continue")
	case c.PlanOf != "":
		return nil, errs.New(errs.Invalid, "rebase: --plan-of goes with --continue and --abort")
	case len(c.Args) == 0:
		return nil, errs.New(errs.Invalid, "rebase: not enough args")
	case len(c.Args) > 1:
		return nil, errs.New(errs.Invalid, "rebase takes at most one positional argument.")
	}
	if c.Empty != "" && !strings.EqualFold(c.Empty, "keep") && !strings.EqualFold(c.Empty, "drop") {
		return nil, errs.New(errs.Invalid, "unsupported option for the empty flag (%s); only 'keep' or 'drop' are allowed", c.Empty)
	}
	branch := s.branch()
	onto, err := s.Repo.Resolve(ctx, c.Args[0], branch)
	if err != nil {
		return nil, err
	}
	if _, err := s.Repo.StartRebase(ctx, branch, onto, strings.EqualFold(c.Empty, "keep")); err != nil {
		return nil, err
	}
	name := repo.RebaseBranch(branch)
	hints, err := s.switchTo(ctx, name)
	if err != nil {
		return nil, err
	}
	if c.Interactive {
		r := rebaseResult("interactive rebase started on branch " + name +
			"; adjust the rebase plan in the dolt_rebase table, then continue rebasing by calling dolt_rebase('--continue')")
		r.Hints = append(hints, "other sessions find the plan with checkout "+name+"; they can go on, or give up, from "+branch+" as well: rebase --continue, rebase --abort")
		return r, nil
	}
	r := &rebaser{s: s, name: name, hints: hints}
	res, err := r.run(ctx)
	if chunk.IsAbsent(err) { // nobody has settled anything yet
		if _, failed := abortRebase(ctx, s, name, r.x); failed != nil {
			return nil, errors.Join(err, failed)
		}
		return nil, errs.New(errs.CodeOf(err), "branch '%s' cannot be rebased, and is as it was: %w", branch, err)
	}
	return res, err
}

// goOn goes on with the rebase on the branch name, which stands at from; nil for wherever it stands.
func (c *Rebase) goOn(ctx context.Context, s *Scope, name string, from *repo.RebasePoint) (*Result, error) {
	if c.Plan != "" || c.PlanOf != "" { // what an editor left empty is a plan without steps
		now, left, err := setPlan(ctx, s, name, c.Plan, from)
		if err != nil {
			return nil, c.senseless(ctx, s, name, from, err)
		} else if !left {
			return c.abort(ctx, s, name, from)
		}
		from = now
	}
	r := &rebaser{s: s, name: name, x: from}
	if name != s.branch() { // where what stops the rebase is to be settled
		var err error
		if r.hints, err = s.switchTo(ctx, name); err != nil {
			return nil, err
		}
	}
	res, err := r.run(ctx)
	if chunk.IsAbsent(err) {
		err = errs.New(errs.CodeOf(err), "%w; the rebase is still in progress: go on with 'rebase --continue' then, or give it up with 'rebase --abort'", err)
	}
	if err != nil {
		return nil, c.senseless(ctx, s, name, r.x, err)
	}
	return res, nil
}

// senseless gives up the rebase of a plan that somebody has written in an editor and that makes no sense, which stands at x, and gives the error that tells why.
func (c *Rebase) senseless(ctx context.Context, s *Scope, name string, x *repo.RebasePoint, err error) error {
	if c.PlanOf == "" || x == nil || !errs.Is(err, errs.Invalid) && !errs.Is(err, errs.NotFound) {
		return err
	}
	_, failed := abortRebase(ctx, s, name, x)
	return errors.Join(err, failed)
}

// abort gives up the rebase on the branch name, which stands at from; nil for wherever it stands.
func (c *Rebase) abort(ctx context.Context, s *Scope, name string, from *repo.RebasePoint) (*Result, error) {
	hints, err := abortRebase(ctx, s, name, from)
	if err != nil {
		return nil, err
	}
	r := rebaseResult("Interactive rebase aborted")
	r.Hints = hints
	return r, nil
}

// rebasedOn is the branch that has the rebase in progress: the scope's own, or the one on which that is being rebased.
func rebasedOn(ctx context.Context, s *Scope) (string, error) {
	name := s.branch()
	x, err := s.Repo.Rebasing(ctx, name)
	if err != nil || x != nil {
		return name, err
	}
	x, err = rebasingElsewhere(ctx, s)
	if err != nil || x == nil {
		return name, err
	}
	return repo.RebaseBranch(name), nil
}

// rebasingElsewhere is the rebase of the scope's branch that is in progress on the branch made for it; nil for none.
func rebasingElsewhere(ctx context.Context, s *Scope) (*history.Rebase, error) {
	other := repo.RebaseBranch(s.branch())
	if _, ok := s.Repo.BranchHead(other); !ok {
		return nil, nil
	}
	return s.Repo.Rebasing(ctx, other)
}

// abortRebase gives up the rebase whose commits are made on the branch name, and which stands at from; nil for wherever it stands. hints are those
// of switchTo.
func abortRebase(ctx context.Context, s *Scope, name string, from *repo.RebasePoint) (hints []string, err error) {
	x, err := s.Repo.EndRebase(ctx, name, from, false)
	if err != nil {
		return nil, err
	}
	return s.switchTo(ctx, x.Branch)
}

// rebaser goes on with a rebase.
type rebaser struct {
	s     *Scope
	name  string            // of the branch on which the commits are made
	hints []string          // for the result
	x     *repo.RebasePoint // where the rebase stands; nil until it is read
}

// run does the steps that are left, until one stops it.
func (r *rebaser) run(ctx context.Context) (_ *Result, err error) {
	if r.x == nil {
		if r.x, err = r.s.Repo.RebasePoint(ctx, r.name); err != nil {
			return nil, err
		}
	}
	if r.x == nil {
		return nil, errs.New(errs.Invalid, "no rebase in progress")
	}
	if err := r.check(ctx); err != nil {
		return nil, err
	}
	if err := r.settle(ctx); err != nil {
		return nil, err
	}
	task := r.s.Start("rebase", int64(len(r.x.Plan)), "commits")
	defer func() { task.Done(err) }()
	for _, step := range slices.Clone(r.x.Plan) {
		if r.x.Begun && step.Order <= r.x.Last {
			task.Add(1)
			continue
		}
		stopped, err := r.step(ctx, step)
		if err != nil {
			return nil, err
		}
		if stopped != nil {
			stopped.Hints = append(r.hints, stopped.Hints...)
			return stopped, nil
		}
		task.Add(1)
	}
	x, err := r.s.Repo.EndRebase(ctx, r.name, r.x, true)
	if err != nil {
		return nil, err
	}
	hints, err := r.s.switchTo(ctx, x.Branch)
	if err != nil {
		return nil, err
	}
	done := rebaseResult("Successfully rebased and updated refs/heads/" + x.Branch)
	done.Hints = append(r.hints, hints...)
	return done, nil
}

// check finds what is wrong with the plan.
func (r *rebaser) check(ctx context.Context) error {
	if len(r.x.Plan) == 0 {
		return errs.New(errs.Invalid, "the rebase plan has no steps: a commit is left out by the action drop; to give up the rebase, use --abort")
	}
	picked := false
	for _, step := range r.x.Plan {
		switch step.Action {
		case history.RebasePick, history.RebaseReword:
			picked = true
		case history.RebaseSquash, history.RebaseFixup:
			if !picked {
				return errs.New(errs.Invalid, "invalid rebase plan: squash and fixup actions must appear after a pick or reword action")
			}
		}
		cm, err := commitOf(ctx, r.s, step.Commit)
		if err != nil {
			return errs.New(errs.CodeOf(err), "unable to resolve commit hash %s: %w", step.Commit, err)
		}
		if step.Action != history.RebaseDrop && len(cm.Parents) != 1 {
			what := "is a merge"
			if len(cm.Parents) == 0 {
				what = "is the first one, which changes nothing"
			}
			return errs.New(errs.Invalid, "invalid rebase plan: commit %s %s and cannot be picked; delete its row from dolt_rebase or make its action 'drop'", cm.ID, what)
		}
	}
	return nil
}

// settle commits what was staged for the step at which the rebase stopped.
func (r *rebaser) settle(ctx context.Context) error {
	pending, err := r.s.Repo.RebasePending(ctx, r.name)
	switch {
	case err != nil:
		return err
	case !r.x.Begun && pending != repo.RebaseClean:
		return errs.New(errs.Conflict, "cannot start a rebase with uncommitted changes")
	case pending == repo.RebaseUnstaged:
		return errs.New(errs.Conflict, "cannot continue a rebase with unstaged changes. Use dolt_add() to stage tables and then continue the rebase")
	case pending == repo.RebaseClean:
		return nil
	}
	at := slices.IndexFunc(r.x.Plan, func(s history.RebaseStep) bool { return s.Order == r.x.Last })
	if at < 0 {
		return errs.New(errs.Invalid, "the plan has no step for the tables that are staged: commit them, or reset them, and continue the rebase")
	}
	commit, err := r.commit(ctx, r.x.Plan[at])
	if err != nil {
		return err
	}
	return r.advance(ctx, r.x.Last, false, commit)
}

// advance notes how far the rebase is, with a commit of what is staged if any.
func (r *rebaser) advance(ctx context.Context, last int64, stopped bool, commit *repo.RebaseCommit) error {
	to, err := r.s.Repo.AdvanceRebase(ctx, r.name, r.x, r.at(last, stopped), commit)
	if err != nil {
		return err
	}
	r.x = to
	return nil
}

// at is the rebase in progress after a step.
func (r *rebaser) at(last int64, stopped bool) *history.Rebase {
	x := *r.x.Rebase
	x.Begun, x.Last, x.Stopped = true, last, stopped
	return &x
}

// commit is what the commit of a step says.
func (r *rebaser) commit(ctx context.Context, step history.RebaseStep) (*repo.RebaseCommit, error) {
	cm, err := commitOf(ctx, r.s, step.Commit)
	if err != nil {
		return nil, err
	}
	out := &repo.RebaseCommit{Message: cm.Message, Meta: cm.Meta, Author: cm.Author, Committer: r.s.committer()}
	if step.Action == history.RebaseReword {
		out.Message = step.Message
	}
	if step.Action != history.RebaseSquash && step.Action != history.RebaseFixup {
		return out, nil
	}
	id, _ := r.s.Repo.BranchHead(r.name)
	if id == r.x.Onto { // there is no commit of the branch before it
		return out, nil
	}
	head, err := history.GetCommit(ctx, r.s.Repo.Store(), id)
	if err != nil {
		return nil, err
	}
	out.Amend, out.Author, out.Meta = true, head.Author, head.Meta
	if step.Action == history.RebaseSquash {
		out.Message = head.Message + "\n\n" + cm.Message
	} else {
		out.Message = head.Message
	}
	return out, nil
}

// step does a step of the plan. A result says that the rebase stops behind it.
func (r *rebaser) step(ctx context.Context, step history.RebaseStep) (*Result, error) {
	if step.Action == history.RebaseDrop {
		return nil, r.advance(ctx, step.Order, false, nil)
	}
	cm, err := commitOf(ctx, r.s, step.Commit)
	if err != nil {
		return nil, err
	}
	empty := false // from the beginning: such commits are kept
	if len(cm.Parents) == 1 {
		p, err := history.GetCommit(ctx, r.s.Repo.Store(), cm.Parents[0])
		if err != nil {
			return nil, err
		}
		empty = p.Root == cm.Root
	}
	commit, err := r.commit(ctx, step)
	if err != nil {
		return nil, err
	}
	m, err := r.s.Repo.Merge(ctx, repo.MergeOptions{
		Branch: r.name, Kind: history.CherryPick, Source: step.Commit, Theirs: cm.ID, AllowEmpty: empty || r.x.KeepEmpty, Amend: commit.Amend,
		NoJSON: r.s.NoMergeJSON, NoConflicts: r.s.RefuseConflicts, NoViolations: r.s.RefuseViolations, Message: commit.Message, Meta: commit.Meta, Author: commit.Author,
		Committer: commit.Committer, Rebase: func(conflicts bool) *history.Rebase { return r.at(step.Order, conflicts) }, RebaseFrom: r.x,
	})
	switch {
	case errs.Is(err, errs.NothingToDo):
		return nil, r.advance(ctx, step.Order, false, nil)
	case err == repo.ErrUnresolved, err == repo.ErrViolated:
		what, variable := "conflicts", "dolt_allow_commit_conflicts"
		if err == repo.ErrViolated {
			what, variable = "constraint violations", "dolt_force_transaction_commit"
		}
		if _, err := abortRebase(ctx, r.s, r.name, r.x); err != nil {
			return nil, err
		}
		return nil, errs.New(errs.Conflict, "data %[1]s from rebase, but session settings do not allow preserving %[1]s, so they cannot be resolved. "+
			"The rebase has been aborted. Set @@autocommit to 0 or set @@%[2]s to 1 and try the rebase again to resolve the %[1]s.", what, variable)
	case err != nil:
		return nil, err
	}
	r.x = m.Rebase
	for _, h := range unseenHints(r.s, m) {
		if !slices.Contains(r.hints, h) {
			r.hints = append(r.hints, h)
		}
	}
	if m.Unresolved() {
		return nil, errs.New(errs.Conflict, "data conflict detected while rebasing commit %s (%s). \n\n"+
			"Resolve the conflicts and remove them from the dolt_conflicts_<table> tables, "+
			"then continue the rebase by calling dolt_rebase('--continue')", cm.ID, step.Message)
	}
	if step.Action == history.RebaseEdit {
		return rebaseResult("edit action paused at commit " + cm.ID.String() + " (" + step.Message + "). \n\n" +
			"You can now modify the working directory and stage changes. " +
			"When ready, continue the rebase by calling dolt_rebase('--continue')"), nil
	}
	return nil, nil
}
