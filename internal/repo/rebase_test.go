package repo_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
)

// TestRebase follows a rebase in progress through restarts, checkpoints, edits of its plan and commits beside it.
func TestRebase(t *testing.T) {
	ctx := context.Background()
	r, fs := withPeople(t)
	main, side := forked(t, r, update(1, "m1", 11), update(2, "m2", 22))
	must(t, r.CheckOut(ctx, "side"))
	if _, err := r.StartRebase(ctx, "side", side, false); !errs.Is(err, errs.NothingToDo) {
		t.Errorf("onto itself: %v", err)
	}
	x, err := r.StartRebase(ctx, "side", main, false)
	must(t, err)
	name := repo.RebaseBranch("side")
	if len(x.Plan) != 1 || x.Plan[0].Commit != side.String() || x.Head != side || x.Onto != main {
		t.Fatalf("begun %+v", x)
	}
	if _, err := r.StartRebase(ctx, "side", main, false); !errs.Is(err, errs.Conflict) {
		t.Errorf("twice: %v", err)
	}
	if _, err := r.StartRebase(ctx, name, main, false); !errs.Is(err, errs.Conflict) {
		t.Errorf("in a rebase: %v", err)
	}
	must(t, r.CheckOut(ctx, name))
	same := func(want *history.Rebase) {
		t.Helper()
		for i := range 3 {
			got, err := r.Rebasing(ctx, name)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%d: rebasing %+v, want %+v, %v", i, got, want, err)
			}
			wantSound(t, r)
			if i == 1 {
				must(t, r.Checkpoint(ctx))
			}
			must(t, r.Close(ctx))
			r = reopen(t, fs)
		}
	}
	same(x)
	// Edits of rows, folds and commits keep it; a transaction changes it, or not.
	tx, err := r.Begin(ctx, name)
	must(t, err)
	must(t, insert(7, "seven", 7)(edit(t, tx, "people")))
	must(t, tx.Commit(ctx))
	must(t, r.Stage(ctx, name, nil))
	_, err = r.Commit(ctx, repo.CommitOptions{Branch: name, Message: "by hand", Author: signature()})
	must(t, err)
	same(x)
	tx, err = r.Begin(ctx, name)
	must(t, err)
	other, err := r.Begin(ctx, name)
	must(t, err)
	next := *x
	next.Plan = append([]history.RebaseStep{{Order: 50, Action: history.RebaseDrop, Commit: "x"}}, x.Plan...)
	sp := tx.Savepoint()
	must(t, tx.SetRebasing(ctx, &history.Rebase{Branch: "none"}))
	tx.RollbackTo(sp)
	must(t, tx.SetRebasing(ctx, &next))
	must(t, other.SetRebasing(ctx, x))
	must(t, tx.Commit(ctx))
	if err := other.Commit(ctx); !errs.Is(err, errs.Conflict) {
		t.Errorf("two change the plan: %v", err)
	}
	same(&next)
	// A step, with what it says of the rebase in the same record.
	at, err := r.RebasePoint(ctx, name)
	must(t, err)
	m, err := r.Merge(ctx, repo.MergeOptions{
		Branch: name, Kind: history.CherryPick, Source: "side", Theirs: side, Message: "picked", Author: signature(), RebaseFrom: at,
		Rebase: func(conflicts bool) *history.Rebase {
			x := next
			x.Begun, x.Last, x.Stopped = true, 100, conflicts
			return &x
		},
	})
	must(t, err)
	next.Begun, next.Last = true, 100
	if now, err := r.RebasePoint(ctx, name); err != nil || !reflect.DeepEqual(now, m.Rebase) {
		t.Errorf("the rebase stands at %+v, the step said %+v (%v)", now, m.Rebase, err)
	}
	same(&next)
	// Nothing goes on from where it stood before.
	refused := func(what string, err error) {
		t.Helper()
		if !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "went on with the rebase") {
			t.Errorf("%s from where the rebase no longer stands: %v", what, err)
		}
	}
	_, err = r.AdvanceRebase(ctx, name, at, x, nil)
	refused("the plan was set", err)
	_, err = r.AdvanceRebase(ctx, name, at, &next, &repo.RebaseCommit{Message: "again", Author: signature()})
	refused("a commit was made", err)
	_, err = r.Merge(ctx, repo.MergeOptions{
		Branch: name, Kind: history.CherryPick, Source: "side", Theirs: side, Message: "again", Author: signature(), AllowEmpty: true, RebaseFrom: at,
		Rebase: func(bool) *history.Rebase { return &next },
	})
	refused("a step was made", err)
	for _, keep := range []bool{false, true} {
		_, err = r.EndRebase(ctx, name, at, keep)
		refused("it was ended", err)
	}
	same(&next)
	if head := mustHead(t, r, name); head != m.Commit {
		t.Errorf("the branch of the rebase is at %s, want %s", head, m.Commit)
	}
	// It does not overwrite what the branch got meanwhile.
	_, err = r.Commit(ctx, repo.CommitOptions{Branch: "side", Message: "meanwhile", Author: signature(), AllowEmpty: true})
	must(t, err)
	if _, err := r.EndRebase(ctx, name, nil, true); !errs.Is(err, errs.Conflict) {
		t.Errorf("the branch has changed: %v", err)
	}
	must(t, r.ResetHard(ctx, "side", side))
	_, err = r.EndRebase(ctx, name, nil, true)
	must(t, err)
	for range 2 {
		if _, there := r.BranchHead(name); there || mustHead(t, r, "side") != m.Commit || r.CheckedOut() != "side" {
			t.Errorf("ended: side is %s, want %s; checked out %s", mustHead(t, r, "side"), m.Commit, r.CheckedOut())
		}
		got, err := told(ctx, r, "side")
		must(t, err)
		if want := "picked (1): 1:m1:11 2:m2:22 3:m3:30 7:seven:7 "; got != want {
			t.Errorf("side is %q, want %q", got, want)
		}
		must(t, r.Close(ctx))
		r = reopen(t, fs)
	}
	wantSound(t, r)
}

// TestRebaseAbort: an abort leaves no trace, wherever the rebase has stopped.
func TestRebaseAbort(t *testing.T) {
	ctx := context.Background()
	for _, conflicts := range []bool{false, true} {
		t.Run(fmt.Sprint(conflicts), func(t *testing.T) {
			r, _ := withPeople(t)
			main, side := forked(t, r, update(1, "m1", 11), update(1, "m1", 12))
			must(t, r.CheckOut(ctx, "side"))
			before, err := told(ctx, r, "side")
			must(t, err)
			x, err := r.StartRebase(ctx, "side", main, false)
			must(t, err)
			name := repo.RebaseBranch("side")
			must(t, r.CheckOut(ctx, name))
			if conflicts {
				at, err := r.RebasePoint(ctx, name)
				must(t, err)
				m, err := r.Merge(ctx, repo.MergeOptions{
					Branch: name, Kind: history.CherryPick, Source: "side", Theirs: side, Message: "picked", Author: signature(), RebaseFrom: at,
					Rebase: func(bool) *history.Rebase { return x },
				})
				must(t, err)
				if !m.Unresolved() {
					t.Fatal("there are no conflicts")
				}
				if _, err := r.RebasePending(ctx, name); !errs.Is(err, errs.Conflict) {
					t.Errorf("conflicts are left: %v", err)
				}
				wantSound(t, r)
			}
			_, err = r.EndRebase(ctx, name, nil, false)
			must(t, err)
			after, err := told(ctx, r, "side")
			must(t, err)
			if after != before || r.CheckedOut() != "side" || mustHead(t, r, "side") != side {
				t.Errorf("after %q, before %q", after, before)
			}
			if _, err := r.EndRebase(ctx, "side", nil, false); !errs.Is(err, errs.Invalid) {
				t.Errorf("without a rebase: %v", err)
			}
		})
	}
}
