package repo

import (
	"context"
	"time"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/tree"
)

// WorkCommit makes a branch's working set a commit that backups can hold: it has the working root and comes after one with the staged root,
// which comes after the branch's head. It is zero when the working set is clean. The same working set gives the same commit.
func (r *Repo) WorkCommit(ctx context.Context, branch string) (head, id history.CommitID, err error) {
	w, err := r.Fold(ctx, branch)
	if err != nil {
		return head, id, err
	}
	c, err := history.GetCommit(ctx, r.store, w.Head)
	if err != nil || w.Working.Tree() == c.Root && w.Staged.Tree() == c.Root {
		return w.Head, id, err
	}
	batch := r.store.NewBatch()
	defer batch.Close()
	work, err := putWork(ctx, batch, branch, c, w.Staged.Tree(), w.Working.Tree())
	if err != nil || work == nil {
		return head, id, err
	}
	return w.Head, work.ID, r.appendUnnamed(ctx, batch, departure{commit: work.ID})
}

// putWork makes the working set of a branch a commit, as WorkCommit says; nil for a clean one. c is the branch's head.
func putWork(ctx context.Context, batch *pack.Batch, branch string, c *history.Commit, staged, working tree.Root) (*history.Commit, error) {
	if staged == c.Root && working == c.Root {
		return nil, nil
	}
	for _, t := range []tree.Root{staged, working} {
		at := history.Signature{Time: c.Committer.Time.Add(time.Microsecond)}
		c = &history.Commit{Root: t, Parents: []history.CommitID{c.ID}, Height: c.Height + 1, Author: at, Committer: at, Message: "Working set of " + branch}
		if _, err := c.Put(ctx, batch); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// workOf is the commits with the working and the staged root that WorkCommit has made, nil when they are not of that head.
func workOf(ctx context.Context, rd chunk.Reader, id, head history.CommitID) (working, staged *history.Commit, err error) {
	if working, err = history.GetCommit(ctx, rd, id); err != nil || len(working.Parents) != 1 {
		return nil, nil, err
	}
	staged, err = history.GetCommit(ctx, rd, working.Parents[0])
	if err != nil || len(staged.Parents) != 1 || staged.Parents[0] != head {
		return nil, nil, err
	}
	return working, staged, nil
}
