package repo

import (
	"context"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/sync"
)

// Whole is an error of class NotFound unless everything is there that commits reach. What refs and the reflog name always is; of other
// commits, which somebody knows by their hashes, collections of garbage may have left a part, in files that were not worth rewriting or in
// memory. What is whole stays so as long as the caller holds the database. A part of a database need not be whole.
func (r *Repo) Whole(ctx context.Context, ids ...history.CommitID) error {
	if r.Partial() != nil || r.opt.ReadOnly {
		return nil
	}
	have, err := r.named(ctx)
	if err != nil {
		return err
	}
	var want []history.CommitID
	for _, id := range ids {
		if !have[id] {
			want = append(want, id)
			r.holds.leave(departure{commit: id})
		}
	}
	if len(want) == 0 {
		return nil
	}
	// A collection that has looked for what is held before, and does not do so again, removes chunks with the commit lock in hand.
	r.waitForCommits()
	known := make([]history.CommitID, 0, len(have))
	for id := range have {
		known = append(known, id)
	}
	b, err := sync.Commits(ctx, r.store, want, known)
	if err == nil {
		err = sync.Missing(ctx, r.store, b, func(h hash.Hash) error {
			ok, err := r.store.Has(ctx, h)
			if err == nil && !ok {
				err = chunk.ErrMissing(h)
			}
			return err
		}, func() {})
	}
	if errs.Is(err, errs.NotFound) {
		return errs.New(errs.NotFound, "commit %s is not whole: nothing named it any more, and what it holds has been collected as garbage, at least in part: %w", want[0], err)
	}
	return err
}

// waitForCommits returns when whoever has the commit lock at this moment has let go of it.
func (r *Repo) waitForCommits() {
	r.mu.Lock()
	defer r.mu.Unlock()
}

// toName is a commit that is about to be named, and Whole.
func (r *Repo) toName(ctx context.Context, id history.CommitID) (*history.Commit, error) {
	if err := r.Whole(ctx, id); err != nil {
		return nil, err
	}
	return history.GetCommit(ctx, r.store, id)
}

// named is the commits that branches, tags, branches of remotes and moves in the reflog name.
func (r *Repo) named(ctx context.Context) (map[history.CommitID]bool, error) {
	s := r.published.Load()
	out := map[history.CommitID]bool{}
	s.branches.Scan(func(_ string, b *branch) bool {
		out[b.head] = true
		return true
	})
	s.tracks.Scan(func(_ string, id history.CommitID) bool {
		out[id] = true
		return true
	})
	for _, m := range s.log.keep(r.opt.Clock.Now()) {
		out[m.Commit] = true
	}
	for _, name := range s.tags.Keys() {
		h, _ := s.tags.Get(name)
		t, err := history.GetTag(ctx, r.store, h)
		if err != nil {
			return nil, err
		}
		out[t.Commit] = true
	}
	delete(out, history.CommitID{})
	return out, nil
}
