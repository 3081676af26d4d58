package repo

import (
	"context"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/root"
)

// RebaseBranch is the branch on which the new commits of a rebase of a branch are made.
func RebaseBranch(branchName string) string { return "dolt_rebase_" + branchName }

// Rebasing is the rebase in progress whose commits are made on a branch; nil for none.
func (r *Repo) Rebasing(ctx context.Context, branchName string) (*history.Rebase, error) {
	b, ok := r.published.Load().branches.Get(branchName)
	if !ok {
		return nil, r.errNoRef(branchName)
	}
	return rebaseOf(ctx, r.store, b.rebase)
}

func rebaseOf(ctx context.Context, rd chunk.Reader, h hash.Hash) (*history.Rebase, error) {
	if h.IsZero() {
		return nil, nil
	}
	return history.GetRebase(ctx, rd, h)
}

// RebasePoint is a rebase in progress and where its branch stood when it was read. What goes on from there, or ends it, is an error of class
// Conflict once others have gone on, or have given it up and begun anew: steps would be made twice, or commits thrown away.
type RebasePoint struct {
	*history.Rebase
	rebase, merge hash.Hash
	head          history.CommitID
}

// RebasePoint is where the rebase stands whose commits are made on a branch; nil for none.
func (r *Repo) RebasePoint(ctx context.Context, branchName string) (*RebasePoint, error) {
	b, ok := r.published.Load().branches.Get(branchName)
	if !ok {
		return nil, r.errNoRef(branchName)
	}
	x, err := rebaseOf(ctx, r.store, b.rebase)
	if err != nil || x == nil {
		return nil, err
	}
	return rebasePoint(x, b), nil
}

func rebasePoint(x *history.Rebase, b *branch) *RebasePoint {
	return &RebasePoint{Rebase: x, rebase: b.rebase, merge: b.merge, head: b.head}
}

// check refuses a branch on which the rebase stands elsewhere.
func (p *RebasePoint) check(b *branch) error {
	if b.rebase != p.rebase || b.head != p.head {
		return errRebaseMoved(b.name)
	}
	return nil
}

// RebaseWentOn begins the error of going on with a rebase with which others have gone on, or which they have ended.
const RebaseWentOn = "another machine or session went on with the rebase"

func errRebaseMoved(name string) error {
	return errs.New(errs.Conflict, RebaseWentOn+" on branch '%s', or ended it: look at 'status' before going on", name)
}

// ID names the point: another one has another name.
func (p *RebasePoint) ID() string { return p.rebase.Full() + "-" + p.head.Full() }

// RebasePointOf is RebasePoint for who has seen the one of that ID: that the rebase stands elsewhere, or has ended, is an error of class Conflict.
func (r *Repo) RebasePointOf(ctx context.Context, branchName, id string) (*RebasePoint, error) {
	p, err := r.RebasePoint(ctx, branchName)
	if err != nil {
		return nil, r.orMoved(branchName, err)
	}
	if p == nil || p.ID() != id {
		return nil, errRebaseMoved(branchName)
	}
	return p, nil
}

// orMoved is the error of going on with a rebase, whose branch may be gone because others have ended it.
func (r *Repo) orMoved(name string, err error) error {
	if _, ok := r.published.Load().branches.Get(name); !ok && errs.Is(err, errs.NotFound) {
		return errRebaseMoved(name)
	}
	return err
}

// Rebasing is the rebase in progress as the transaction sees it; nil for none.
func (t *Tx) Rebasing(ctx context.Context) (*history.Rebase, error) {
	h := t.base.rebase
	if t.rebase != nil {
		h = *t.rebase
	}
	return rebaseOf(ctx, t.reader(), h)
}

// SetRebasing changes the rebase in progress.
func (t *Tx) SetRebasing(ctx context.Context, x *history.Rebase) error {
	if err := t.r.owned(); err != nil {
		return err
	}
	h, err := x.Put(ctx, t.Store())
	if err != nil {
		return err
	}
	t.rebase = &h
	return nil
}

// clean tells whether a branch has no uncommitted changes, new tables that dolt_ignore names aside.
func (r *Repo) clean(ctx context.Context, batch *pack.Batch, b *branch) (bool, error) {
	head, err := history.GetCommit(ctx, r.store, b.head)
	if err != nil || b.staged != head.Root {
		return false, err
	}
	known, err := r.stageAll(ctx, batch, &Working{Branch: b.name, Head: b.head, Working: root.Open(batch, b.working), Staged: root.Open(batch, b.staged)})
	return err == nil && known.Tree() == head.Root, err
}

// StartRebase begins to make the commits that a branch has and onto has not again, on top of onto: it makes the branch RebaseBranch there,
// which holds the plan. Merges are not in the plan. A branch with uncommitted changes, or one in the middle of something, is an error
// of class Conflict; nothing to rebase is one of class NothingToDo.
func (r *Repo) StartRebase(ctx context.Context, branchName string, onto history.CommitID, keepEmpty bool) (*history.Rebase, error) {
	if _, err := r.Fold(ctx, branchName); err != nil {
		return nil, err
	}
	b, ok := r.published.Load().branches.Get(branchName)
	if !ok {
		return nil, r.errNoRef(branchName)
	}
	if err := r.notMerging(ctx, b, errs.New(errs.Conflict, "unable to start rebase while a merge is in progress – abort the current merge before proceeding")); err != nil {
		return nil, err
	}
	if !b.rebase.IsZero() {
		return nil, errs.New(errs.Conflict, "unable to start rebase while another rebase is in progress – abort the current rebase before proceeding")
	}
	batch := r.store.NewBatch()
	defer batch.Close()
	if ok, err := r.clean(ctx, batch, b); err != nil {
		return nil, err
	} else if !ok || b.overlays() {
		return nil, errs.New(errs.Conflict, "cannot start a rebase with uncommitted changes")
	}
	target, err := r.toName(ctx, onto)
	if err != nil {
		return nil, err
	}
	x := &history.Rebase{Branch: branchName, Head: b.head, Onto: onto, Working: b.working, KeepEmpty: keepEmpty}
	w, err := history.Walk(ctx, r.store, []history.CommitID{b.head}, []history.CommitID{onto})
	if err != nil {
		return nil, err
	}
	for {
		c, err := w.Next(ctx)
		if err != nil {
			return nil, err
		}
		if c == nil {
			break
		}
		if len(c.Parents) == 1 {
			x.Plan = append(x.Plan, history.RebaseStep{Action: history.RebasePick, Commit: c.ID.String(), Message: c.Message})
		}
	}
	if len(x.Plan) == 0 {
		return nil, errs.New(errs.NothingToDo, "didn't identify any commits!")
	}
	slices.Reverse(x.Plan)
	for i := range x.Plan {
		x.Plan[i].Order = int64(i+1) * 100
	}
	h, err := x.Put(ctx, batch)
	if err != nil {
		return nil, err
	}
	name := RebaseBranch(branchName)
	err = r.changeRefsWith(ctx, batch, func(s *state) (*change, func(*state), error) {
		cur, ok := s.branches.Get(branchName)
		switch other, taken := s.branches.Get(name); {
		case !ok || cur.born != b.born || cur.head != b.head || cur.working != b.working || cur.staged != b.staged || cur.overlays():
			return nil, nil, errs.New(errs.Conflict, "cannot start a rebase: branch '%s' was changed meanwhile", branchName)
		case taken && !other.rebase.IsZero():
			return nil, nil, errs.New(errs.Conflict, "a rebase of branch '%s' is in progress on branch '%s': go on with 'rebase --continue', or give it up with 'rebase --abort'", branchName, name)
		case taken:
			return nil, nil, errs.New(errs.Exists, "a branch named '%s' already exists, on which the rebase would be made: rename or delete it first", name)
		}
		if err := s.checkRefPath(name, ""); err != nil {
			return nil, nil, err
		}
		n := &branch{name: name, head: onto, working: target.Root, staged: target.Root, rebase: h}
		return n.change(), func(s *state) { n.lsn, n.born = s.lsn, s.lsn; s.branches.Set(name, n) }, nil
	})
	return x, err
}

// PendingRebase is what is to be committed for the last step of a rebase before it can go on.
type PendingRebase int

// What can be pending.
const (
	RebaseClean    PendingRebase = iota // nothing
	RebaseStaged                        // staged tables, or a change with conflicts that have been settled
	RebaseUnstaged                      // tables that are not staged
)

// RebasePending tells what is to be done with the branch of a rebase before it can go on. Conflicts or violations that are left are an
// error of class Conflict.
func (r *Repo) RebasePending(ctx context.Context, name string) (PendingRebase, error) {
	w, err := r.Fold(ctx, name)
	if err != nil {
		return 0, err
	}
	m, err := r.Merging(ctx, name)
	if err != nil {
		return 0, err
	}
	if m != nil {
		if left := m.Unsettled(); len(left) > 0 {
			if err := r.checkSettled(ctx, m, w); err != nil {
				return 0, errs.New(errs.Conflict, "conflicts detected in tables %s; resolve conflicts before continuing the rebase", strings.Join(left, ", "))
			}
		}
	}
	head, err := history.GetCommit(ctx, r.store, w.Head)
	if err != nil {
		return 0, err
	}
	batch := r.store.NewBatch()
	defer batch.Close()
	known, err := r.stageAll(ctx, batch, w)
	switch {
	case err != nil:
		return 0, err
	case known.Tree() != w.Staged.Tree():
		return RebaseUnstaged, nil
	case m != nil || w.Staged.Tree() != head.Root:
		return RebaseStaged, nil
	}
	return RebaseClean, nil
}

// RebaseCommit says what the commit of a step of a rebase says.
type RebaseCommit struct {
	Amend     bool // it replaces the head
	Message   string
	Meta      string
	Author    history.Signature
	Committer history.Signature
}

// AdvanceRebase sets the state of the rebase that stood at a point on the branch name, and tells where it stands then; with a commit it makes one of
// what is staged first, which ends the cherry-pick in progress. One that would change nothing is left out unless the rebase keeps empty ones.
func (r *Repo) AdvanceRebase(ctx context.Context, name string, from *RebasePoint, x *history.Rebase, commit *RebaseCommit) (*RebasePoint, error) {
	var to *RebasePoint
	err := r.rework(ctx, name, func(batch *pack.Batch, _ *state, b *branch) (*reworked, error) {
		next, err := r.advanced(ctx, batch, b, from, x, commit)
		if err != nil {
			return nil, err
		}
		to = rebasePoint(x, next)
		return &reworked{next: next, ch: &change{}}, nil
	})
	if err != nil {
		return nil, r.orMoved(name, err)
	}
	return to, nil
}

// advanced is what AdvanceRebase makes of a branch.
func (r *Repo) advanced(ctx context.Context, batch *pack.Batch, b *branch, from *RebasePoint, x *history.Rebase, commit *RebaseCommit) (*branch, error) {
	if err := from.check(b); err != nil {
		return nil, err
	}
	if commit != nil && b.merge != from.merge { // its conflicts may be others than those that were found settled
		return nil, errRebaseMoved(b.name)
	}
	next := b.copy(0)
	var err error
	if next.rebase, err = x.Put(ctx, batch); err != nil || commit == nil {
		return next, err
	}
	head, err := history.GetCommit(ctx, r.store, b.head)
	if err != nil {
		return nil, err
	}
	next.merge = hash.Hash{}
	if b.staged == head.Root && !x.KeepEmpty && !commit.Amend {
		return next, nil
	}
	c := &history.Commit{
		Root: b.staged, Parents: []history.CommitID{b.head}, Height: head.Height + 1, Author: commit.Author, Committer: commit.Committer,
		Message: commit.Message, Meta: commit.Meta,
	}
	if commit.Amend {
		c.Parents, c.Height = head.Parents, head.Height
	}
	if c.Committer.Time, err = r.commitTime(ctx, c.Committer.Time, c.Parents); err != nil {
		return nil, err
	}
	if c.Author.Time.IsZero() {
		c.Author.Time = c.Committer.Time
	}
	next.head, err = c.Put(ctx, batch)
	return next, err
}

// EndRebase ends the rebase whose commits were made on the branch name, and removes that. It is to stand at the point from, or with nil where it stands
// now. With keep the rebased branch moves to the commits, unless it has changed since the rebase began, which is an error of class Conflict;
// otherwise it stays as it is.
func (r *Repo) EndRebase(ctx context.Context, name string, from *RebasePoint, keep bool) (*history.Rebase, error) {
	if from == nil {
		var err error
		if from, err = r.RebasePoint(ctx, name); err != nil {
			return nil, err
		}
		if from == nil {
			return nil, errs.New(errs.Invalid, "no rebase in progress")
		}
	}
	x := from.Rebase
	if keep {
		if _, err := r.Fold(ctx, x.Branch); err != nil {
			return nil, err
		}
	}
	batch := r.store.NewBatch()
	defer batch.Close()
	err := r.changeRefsWith(ctx, batch, func(s *state) (*change, func(*state), error) {
		done, ok := s.branches.Get(name)
		if !ok {
			return nil, nil, errRebaseMoved(name)
		}
		if err := from.check(done); err != nil {
			return nil, nil, err
		}
		ch := &change{}
		var next *branch
		var whole []string
		if keep {
			b, ok := s.branches.Get(x.Branch)
			if !ok {
				return nil, nil, r.errNoRef(x.Branch)
			}
			if b.head != x.Head || b.working != x.Working || b.overlays() || !b.merge.IsZero() {
				return nil, nil, errs.New(errs.Conflict, "rebase aborted due to changes in branch %s", x.Branch)
			}
			c, err := history.GetCommit(ctx, batch, done.head)
			if err != nil {
				return nil, nil, err
			}
			next = b.copy(0)
			if whole, err = r.resetWorking(ctx, batch, next, c); err != nil {
				return nil, nil, err
			}
			next.head = done.head
			w := workChange{branch: next.name, working: next.working, staged: next.staged}
			for _, l := range whole {
				w.folded = append(w.folded, folded{table: l})
			}
			ch.refs, ch.work = []refChange{{name: next.name, head: next.head}}, []workChange{w}
		}
		ch.refs = append(ch.refs, refChange{name: name})
		to := ""
		if s.head == name {
			if to = x.Branch; s.branches.Len() > 1 {
				if _, ok := s.branches.Get(to); !ok { // removed by hand
					to = slices.DeleteFunc(s.branches.Keys(), func(n string) bool { return n == name })[0]
				}
			} else {
				return nil, nil, errs.New(errs.Invalid, "cannot end the rebase: its branch is the last one")
			}
			ch.head = to
		}
		return ch, func(s *state) {
			s.branches.Delete(name)
			if to != "" {
				s.head = to
			}
			if next != nil {
				next.lsn = s.lsn
				for _, l := range whole {
					next.tables.set(l, workTable{version: s.lsn, since: s.lsn})
				}
				s.branches.Set(next.name, next)
				r.wrote(next.name)
			}
		}, nil
	})
	return x, err
}
