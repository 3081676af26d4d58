package repo_test

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/table"
)

// stashed are the stashes as text.
func stashed(t *testing.T, r *repo.Repo) []string {
	t.Helper()
	all, err := r.Stashes(context.Background())
	must(t, err)
	var out []string
	for i := range all {
		out = append(out, fmt.Sprintf("%s %d %s %s", all[i].Name, all[i].Index, all[i].Branch, all[i].Message))
	}
	return out
}

// editWorking changes people in the working set of main.
func editWorking(t *testing.T, r *repo.Repo, edits ...func(*table.Editor) error) {
	t.Helper()
	tx := begin(t, r)
	for _, e := range edits {
		must(t, e(edit(t, tx, "people")))
	}
	must(t, tx.Commit(context.Background()))
}

// TestStash follows stashes through restarts and checkpoints.
func TestStash(t *testing.T) {
	ctx := context.Background()
	r, fs := withPeople(t)
	c, err := r.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "people", Author: signature(), AddNew: true})
	must(t, err)
	push := repo.StashOptions{Branch: "main", Name: "a"}
	if _, err := r.PushStash(ctx, push); !errs.Is(err, errs.NothingToDo) {
		t.Fatalf("nothing to stash: %v", err)
	}
	for _, age := range []int64{11, 12} {
		editWorking(t, r, update(1, "m1", age))
		push.Message = fmt.Sprint("age ", age)
		x, err := r.PushStash(ctx, push)
		must(t, err)
		if x.Head != c.ID || x.Branch != "main" {
			t.Errorf("stash %+v", x)
		}
		wantTold(t, r, "people (1): 1:m1:10 2:m2:20 3:m3:30 ")
	}
	want := []string{"a 0 main age 12", "a 1 main age 11"}
	for range 2 {
		if got := stashed(t, r); !reflect.DeepEqual(got, want) {
			t.Fatalf("stashes %q, want %q", got, want)
		}
		wantSound(t, r)
		must(t, r.Close(ctx))
		r = reopen(t, fs)
		if got := stashed(t, r); !reflect.DeepEqual(got, want) {
			t.Fatalf("stashes %q after a restart, want %q", got, want)
		}
		must(t, r.Checkpoint(ctx))
	}
	// One that does not fit is kept, and so is everything else.
	editWorking(t, r, update(1, "m1", 99))
	if _, err := r.ApplyStash(ctx, "main", "a", 1, true); !errs.Is(err, errs.Conflict) {
		t.Fatalf("a stash that does not fit: %v", err)
	}
	wantTold(t, r, "people (1): 1:m1:99 2:m2:20 3:m3:30 ")
	if got := stashed(t, r); !reflect.DeepEqual(got, want) {
		t.Errorf("stashes %q, want %q", got, want)
	}
	must(t, r.ResetHard(ctx, "main", c.ID))
	// It comes back onto other changes.
	editWorking(t, r, update(2, "m2", 22))
	_, err = r.ApplyStash(ctx, "main", "a", 1, true)
	must(t, err)
	wantTold(t, r, "people (1): 1:m1:11 2:m2:22 3:m3:30 ")
	for _, i := range []int{1, 7, -1} {
		if _, err := r.ApplyStash(ctx, "main", "a", i, true); !errs.Is(err, errs.NotFound) {
			t.Errorf("stash %d: %v", i, err)
		}
	}
	if _, err := r.DropStash(ctx, "b", 0); !errs.Is(err, errs.NotFound) {
		t.Errorf("drop of no list: %v", err)
	}
	_, err = r.DropStash(ctx, "a", 0)
	must(t, err)
	must(t, r.ClearStashes(ctx, "a"))
	must(t, r.Close(ctx))
	if got := stashed(t, reopen(t, fs)); got != nil {
		t.Errorf("stashes %q are left", got)
	}
}

// TestStashInMerge: what a merge has left to be resolved cannot be set aside, nor can a stash come into it.
func TestStashInMerge(t *testing.T) {
	ctx := context.Background()
	r, _ := withPeople(t)
	_, side := forked(t, r, update(1, "m1", 11), update(1, "m1", 12))
	editWorking(t, r, update(2, "m2", 22))
	_, err := r.PushStash(ctx, repo.StashOptions{Branch: "main", Name: "a"})
	must(t, err)
	_, err = mergeSide(r, side, nil)
	must(t, err)
	if _, err := r.PushStash(ctx, repo.StashOptions{Branch: "main", Name: "a"}); !errs.Is(err, errs.Conflict) {
		t.Errorf("push: %v", err)
	}
	if _, err := r.ApplyStash(ctx, "main", "a", 0, true); !errs.Is(err, errs.Conflict) {
		t.Errorf("pop: %v", err)
	}
}

// TestStashLaw: what is pushed and popped is what was there.
func TestStashLaw(t *testing.T) {
	ctx := context.Background()
	r, _ := withPeople(t)
	c, err := r.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "people", Author: signature(), AddNew: true})
	must(t, err)
	rapid.Check(t, func(rt *rapid.T) {
		must(t, r.ResetHard(ctx, "main", c.ID))
		for range rapid.IntRange(1, 4).Draw(rt, "edits") {
			id := rapid.Int64Range(1, 6).Draw(rt, "id")
			age := rapid.Int64Range(50, 60).Draw(rt, "age")
			tx := begin(t, r)
			e := edit(t, tx, "people")
			switch rapid.IntRange(0, 2).Draw(rt, "what") {
			case 0:
				_ = insert(id, fmt.Sprint("new", id), age)(e)
			case 1:
				_, err = e.Update(ctx, person(id, "", 0), person(id, fmt.Sprint("m", id), age))
				_ = err
			default:
				_ = remove(id)(e)
			}
			must(t, tx.Commit(ctx))
			if rapid.Bool().Draw(rt, "stage") {
				must(t, r.Stage(ctx, "main", nil))
			}
		}
		before, err := r.Fold(ctx, "main")
		must(t, err)
		switch _, err := r.PushStash(ctx, repo.StashOptions{Branch: "main", Name: "law", Untracked: rapid.Bool().Draw(rt, "untracked")}); {
		case errs.Is(err, errs.NothingToDo):
			if before.Working.Tree() != mustRoot(t, r, c.ID).Tree() {
				rt.Fatal("changes were not seen")
			}
			return
		case err != nil:
			rt.Fatal(err)
		}
		between, err := r.Fold(ctx, "main")
		must(t, err)
		if want := mustRoot(t, r, c.ID).Tree(); between.Working.Tree() != want || between.Staged.Tree() != want {
			rt.Fatal("the branch is not as its head")
		}
		_, err = r.ApplyStash(ctx, "main", "law", 0, true)
		must(t, err)
		after, err := r.Fold(ctx, "main")
		must(t, err)
		if after.Working.Tree() != before.Working.Tree() {
			rt.Fatal("the working set is not what it was")
		}
	})
}

// TestStashTogether: pushes and pops beside transactions lose nothing.
func TestStashTogether(t *testing.T) {
	ctx := context.Background()
	r, _ := withPeople(t)
	_, err := r.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "people", Author: signature(), AddNew: true})
	must(t, err)
	const n = 40
	var wg sync.WaitGroup
	failed := make(chan error, 2*n)
	wg.Go(func() {
		for i := range int64(n) {
			for {
				tx, err := r.Begin(ctx, "main")
				if err == nil {
					var e *table.Editor
					if e, err = tx.Editor(ctx, "people"); err == nil {
						err = insert(100+i, fmt.Sprint("t", i), i)(e)
					}
				}
				if err == nil {
					err = tx.Commit(ctx)
				}
				if errs.Is(err, errs.Conflict) {
					continue
				}
				if err != nil {
					failed <- err
				}
				break
			}
		}
	})
	wg.Go(func() {
		for range n / 4 {
			_, err := r.PushStash(ctx, repo.StashOptions{Branch: "main", Name: "a"})
			if errs.Is(err, errs.NothingToDo) {
				continue
			}
			if err == nil {
				_, err = r.ApplyStash(ctx, "main", "a", 0, true)
			}
			if err != nil {
				failed <- err
			}
		}
	})
	wg.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
	s, err := r.SnapshotWorking("main")
	must(t, err)
	v, _, _, err := s.Table(ctx, "people")
	must(t, err)
	tab, err := tableOf(ctx, v)
	must(t, err)
	if len(tab.rows) != 3+n {
		t.Errorf("%d rows, want %d", len(tab.rows), 3+n)
	}
	wantSound(t, r)
}
