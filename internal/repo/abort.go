package repo

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/merge"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/tree"
)

// abortTries is how often an abort begins anew when tables are edited meanwhile.
const abortTries = 20

// AbortMerge gives up the branch's merge in progress: the tables that it touches are as they were before it, and nothing is staged.
// Later changes of other tables stay, unless their rows refer to rows that the abort takes away, which is an error of class Conflict.
// So is a merge of something else that others have begun in place of the one that was in progress. Without a merge the error is of class Invalid.
func (r *Repo) AbortMerge(ctx context.Context, branchName string) (*history.Merge, error) {
	var from aborted
	for try, lost := 0, 0; try < abortTries; {
		m, s, err := r.tryAbort(ctx, branchName, &from)
		if err != nil {
			return nil, err
		}
		if s != nil {
			err := r.publish(ctx, s)
			if !overtakenBy(err) || lost == overtakenMost || ctx.Err() != nil {
				return m, err
			}
			lost++ // another machine was faster
			continue
		}
		try++
		r.settleKept()
	}
	return nil, errs.New(errs.Conflict, "cannot abort the merge: tables of branch '%s' are being changed; try again", branchName)
}

// aborted is the merge that an abort is of: what its first attempt found.
type aborted struct {
	merge *history.Merge   // nil before that
	head  history.CommitID // of the branch
}

// is tells whether a merge on a branch is that one, some of its conflicts settled since or not.
func (a *aborted) is(b *branch, m *history.Merge) bool {
	return b.head == a.head && m.Head == a.merge.Head && m.Theirs == a.merge.Theirs
}

// tryAbort is one attempt of AbortMerge; the state is nil when it must begin anew.
func (r *Repo) tryAbort(ctx context.Context, branchName string, from *aborted) (*history.Merge, *state, error) {
	if _, err := r.Fold(ctx, branchName); err != nil {
		return nil, nil, err
	}
	b, ok := r.published.Load().branches.Get(branchName)
	if !ok {
		return nil, nil, r.errNoRef(branchName)
	}
	if b.merge.IsZero() {
		return nil, nil, errs.New(errs.Invalid, "fatal: There is no merge to abort")
	}
	m, err := history.GetMerge(ctx, r.store, b.merge)
	if err != nil {
		return nil, nil, err
	}
	if from.merge == nil {
		*from = aborted{merge: m, head: b.head}
	}
	if !from.is(b, m) {
		return nil, nil, errs.New(errs.Conflict, "cannot abort the merge: another machine or session ended it, and began another one on branch '%s': look at 'status'", branchName)
	}
	if b.overlays() {
		return nil, nil, nil
	}
	if !m.Merges() {
		return nil, nil, errs.New(errs.Invalid, "fatal: There is no merge to abort")
	}
	batch := r.store.NewBatch()
	defer batch.Close()
	touched, err := r.touched(ctx, batch, m)
	if err != nil {
		return nil, nil, err
	}
	back, err := r.backTo(ctx, batch, b.working, m, touched)
	if err != nil {
		return nil, nil, err
	}
	w, err := root.Open(batch, b.working).With(ctx, batch, back...)
	if err != nil {
		return nil, nil, err
	}
	orphaned, err := merge.Orphaned(ctx, batch, m.Working, w.Tree(), r.MergeOptions(batch))
	if err != nil {
		return nil, nil, err
	}
	if len(orphaned) > 0 {
		return nil, nil, errOrphaned(orphaned)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	cur, ok := r.tip.Load().branches.Get(branchName)
	if !ok {
		return nil, nil, r.errNoRef(branchName)
	}
	if cur.born != b.born || cur.merge != b.merge || cur.head != b.head || cur.working != b.working || cur.staged != b.staged || cur.overlays() {
		return nil, nil, nil
	}
	next := cur.copy(0)
	next.working, next.staged, next.merge = w.Tree(), m.Staged, hash.Hash{}
	s, err := r.setBranch(ctx, batch, next, &change{}, slices.Sorted(maps.Keys(touched)))
	return m, s, err
}

// backTo is what makes of a working root one with the tables that a merge touched as they were before it.
func (r *Repo) backTo(ctx context.Context, batch *pack.Batch, from tree.Root, m *history.Merge, touched map[string]bool) ([]root.Change, error) {
	back, err := r.entryChanges(ctx, batch, from, m.Working)
	return slices.DeleteFunc(back, func(c root.Change) bool {
		return c.Entry.Kind == root.KindTable && !touched[strings.ToLower(c.Entry.Name)]
	}), err
}

// touched are the lower-case names of the tables that a merge changed in the working set, or has listed: it is computed again.
func (r *Repo) touched(ctx context.Context, batch *pack.Batch, m *history.Merge) (map[string]bool, error) {
	head, err := history.GetCommit(ctx, r.store, m.Head)
	if err != nil {
		return nil, err
	}
	theirs, err := history.GetCommit(ctx, r.store, m.Theirs)
	if err != nil {
		return nil, err
	}
	type pair struct{ from, to tree.Root }
	var pairs []pair
	switch m.Kind {
	case history.CherryPick, history.Revert: // which parent counted is not kept: mostly there is one
		for _, id := range theirs.Parents {
			c, err := history.GetCommit(ctx, r.store, id)
			if err != nil {
				return nil, err
			}
			if m.Kind == history.Revert {
				pairs = append(pairs, pair{theirs.Root, c.Root})
			} else {
				pairs = append(pairs, pair{c.Root, theirs.Root})
			}
		}
	default:
		id, err := history.MergeBase(ctx, r.store, m.Head, m.Theirs)
		if err != nil {
			return nil, err
		}
		c, err := history.GetCommit(ctx, r.store, id)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, pair{c.Root, theirs.Root})
	}
	out := map[string]bool{}
	for i := range m.Tables {
		x := &m.Tables[i]
		for _, n := range []string{x.Name, x.Base.Name, x.Ours.Name, x.Theirs.Name} {
			if n != "" {
				out[strings.ToLower(n)] = true
			}
		}
	}
	for _, p := range pairs {
		res, err := merge.Roots(ctx, batch, p.from, head.Root, p.to, r.MergeOptions(batch))
		if err != nil {
			return nil, err
		}
		changed, err := r.changedTables(ctx, batch, head.Root, res.Root.Tree())
		if err != nil {
			return nil, err
		}
		maps.Copy(out, changed)
	}
	return out, nil
}
