package repo_test

import (
	"context"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
)

// TestFilter rewrites a history with a merge in it.
func TestFilter(t *testing.T) {
	ctx := context.Background()
	r, fs := withPeople(t)
	main, side := forked(t, r, update(1, "m1", 11), update(2, "m2", 22))
	m, err := mergeSide(r, side, nil)
	must(t, err)
	must(t, r.CreateTag(ctx, "v1", history.Tag{Commit: side, Message: "a tag", Tagger: signature()}, false))
	opt := repo.FilterOptions{Branches: []string{"main", "side"}, Tags: true, Change: func(context.Context, history.CommitID, *repo.Tx) error { return nil }}
	done, err := r.FilterHistory(ctx, opt)
	must(t, err)
	if now := mustHead(t, r, "main"); now != m.Commit || done.Changed != 0 || done.Seen != 4 {
		t.Errorf("without changes: head %s, was %s, %+v", now, m.Commit, done)
	}
	boom := errs.New(errs.Constraint, "no")
	opt.Change = func(ctx context.Context, id history.CommitID, tx *repo.Tx) error {
		if err := remove(3)(edit(t, tx, "people")); err != nil {
			return err
		}
		if id == main {
			return boom
		}
		return nil
	}
	if _, err := r.FilterHistory(ctx, opt); !errs.Is(err, errs.Constraint) || mustHead(t, r, "main") != m.Commit || mustHead(t, r, "side") != side {
		t.Errorf("a change that fails: %v", err)
	}
	moved := map[history.CommitID]history.CommitID{}
	opt.Step = func(was, now history.CommitID) { moved[was] = now }
	aside, err := r.BeginAside("main", mustRoot(t, r, main).Tree())
	must(t, err)
	must(t, remove(1)(edit(t, aside, "people")))
	if err := aside.Commit(ctx); !errs.Is(err, errs.Invalid) {
		t.Errorf("commit of a transaction aside: %v", err)
	}
	opt.Change = func(ctx context.Context, id history.CommitID, tx *repo.Tx) error {
		return remove(3)(edit(t, tx, "people"))
	}
	done, err = r.FilterHistory(ctx, opt)
	must(t, err)
	if done.Changed != 4 || len(moved) != 4 {
		t.Errorf("%+v, %d steps", done, len(moved))
	}
	wantTold(t, r, "Merge branch 'side' into main (2): 1:m1:11 2:m2:22 ")
	for was, now := range moved {
		a, err := history.GetCommit(ctx, r.Store(), was)
		must(t, err)
		b, err := history.GetCommit(ctx, r.Store(), now)
		must(t, err)
		if a.Height != b.Height || a.Message != b.Message || !a.Committer.Time.Equal(b.Committer.Time) || len(a.Parents) != len(b.Parents) || a.Author != b.Author {
			t.Errorf("%+v became %+v", a, b)
		}
		for i, p := range a.Parents {
			if to, ok := moved[p]; ok && b.Parents[i] != to {
				t.Errorf("parent %d of %s is %s, want %s", i, now, b.Parents[i], to)
			}
		}
	}
	if tags, err := r.Tags(ctx); err != nil || len(tags) != 1 || tags[0].Commit != moved[side] || tags[0].Message != "a tag" {
		t.Errorf("tags %+v, %v", tags, err)
	}
	must(t, r.Close(ctx))
	r = reopen(t, fs)
	wantTold(t, r, "Merge branch 'side' into main (2): 1:m1:11 2:m2:22 ")
	if mustHead(t, r, "side") != moved[side] {
		t.Error("side is not where it was moved to")
	}
	// A commit in between makes the rewriting void.
	opt.Change = func(ctx context.Context, id history.CommitID, tx *repo.Tx) error {
		if id == moved[main] {
			_, err := r.Commit(ctx, repo.CommitOptions{Branch: "side", Message: "meanwhile", Author: signature(), AllowEmpty: true})
			must(t, err)
		}
		return nil
	}
	if _, err := r.FilterHistory(ctx, opt); !errs.Is(err, errs.Conflict) {
		t.Errorf("with a commit in between: %v", err)
	}
	// So does what would keep the old commits, where these must not stay: a branch, a tag or a stash.
	opt.Erase = true
	opt.Change = func(ctx context.Context, id history.CommitID, tx *repo.Tx) error {
		return remove(1)(edit(t, tx, "people"))
	}
	head := mustHead(t, r, "main")
	for name, keep := range map[string]func() error{
		"branch": func() error { return r.CreateBranch(ctx, "keeps", head, false) },
		"tag": func() error {
			return r.CreateTag(ctx, "keeps", history.Tag{Commit: head, Message: "m", Tagger: signature()}, false)
		},
	} {
		opt.Branches = nil
		for _, b := range r.Branches() {
			opt.Branches = append(opt.Branches, b.Name)
		}
		opt.Ready = keep
		if _, err := r.FilterHistory(ctx, opt); !errs.Is(err, errs.Conflict) || mustHead(t, r, "main") != head {
			t.Errorf("with a %s made meanwhile: %v", name, err)
		}
		if fates, err := r.Thinned(); err != nil || fates != nil {
			t.Errorf("of what did not happen it is noted %v, %v", fates, err)
		}
	}
}

// TestSquashHistory squashes parts of a history with merges.
func TestSquashHistory(t *testing.T) {
	ctx := context.Background()
	r, _ := withPeople(t)
	squash := func(first history.CommitID) (*history.Commit, error) {
		return r.SquashHistory(ctx, repo.SquashOptions{Branch: "main", First: first, Message: "squashed", Author: signature()})
	}
	if _, err := squash(history.CommitID{}); !errs.Is(err, errs.Conflict) {
		t.Errorf("with changes: %v", err)
	}
	main, side := forked(t, r, update(1, "m1", 11), update(2, "m2", 22))
	_, err := mergeSide(r, side, nil)
	must(t, err)
	before := mustRoot(t, r, mustHead(t, r, "main")).Tree()
	c, err := squash(main)
	must(t, err)
	if c.Height != 3 || len(c.Parents) != 1 || c.Root != before || mustHead(t, r, "main") != c.ID {
		t.Errorf("squashed to the first: %+v", c)
	}
	wantTold(t, r, "squashed (1): 1:m1:11 2:m2:22 3:m3:30 ")
	c, err = squash(history.CommitID{})
	must(t, err)
	if c.Height != 2 || c.Root != before {
		t.Errorf("squashed all: %+v", c)
	}
	if _, err := squash(side); !errs.Is(err, errs.Invalid) {
		t.Errorf("a commit of another history: %v", err)
	}
	first, err := history.GetCommit(ctx, r.Store(), c.Parents[0])
	must(t, err)
	// The first commit with two children, one of them a merge.
	must(t, r.CreateBranch(ctx, "other", first.ID, false))
	must(t, r.CreateBranch(ctx, "main2", first.ID, false))
	_, err = r.Commit(ctx, repo.CommitOptions{Branch: "other", Message: "empty", Author: signature(), AllowEmpty: true})
	must(t, err)
	_, err = r.Merge(ctx, repo.MergeOptions{Branch: "main", Kind: history.MergeBranch, Source: "other", Theirs: mustHead(t, r, "other"), Message: "m", Author: signature()})
	must(t, err)
	if _, err := squash(history.CommitID{}); !errs.Is(err, errs.Invalid) {
		t.Errorf("two children of the first commit: %v", err)
	}
	wantSound(t, r)
}
