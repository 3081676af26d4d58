package op

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// stashed is the list of stashes that a machine sees, newest first.
func stashed(t *testing.T, r *repo.Repo) string {
	t.Helper()
	list, err := r.Stashes(t.Context())
	keptOK(t, err)
	var out []string
	for _, x := range list {
		out = append(out, fmt.Sprintf("%s %s@%s", x.Name, x.Message, x.Branch))
	}
	return strings.Join(out, ", ")
}

// TestKeptStashes: what one machine has set aside another brings back, on another branch, too, and also when all else that held it is gone.
func TestKeptStashes(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	a, b := keptMachine(t, fs, "a", 0, nil), keptMachine(t, fs, "b", 0, nil)
	for i, message := range []string{"one", "two", "three"} {
		for range i + 1 {
			keptOK(t, countUp(ctx, a, "main", int64(i), false))
		}
		keptOK(t, runKept(ctx, a, fs, "main", &Stash{Message: message}))
		if v, _ := counters(t, a, "main"); v != 0 {
			t.Fatalf("%d counts are there that were set aside", v)
		}
	}
	keptOK(t, countUp(ctx, a, "side", 5, false))
	keptOK(t, runKept(ctx, a, fs, "side", &Stash{Message: "other", Args: []string{"push", "a list/ö"}}))
	keptGarbage(t, fs)
	keptOK(t, b.RefreshKept(ctx))
	c := keptMachine(t, fs, "c", 0, nil)
	const want = "a list/ö other@side, dolt-cli three@main, dolt-cli two@main, dolt-cli one@main"
	for _, r := range []*repo.Repo{a, b, c} {
		if got := stashed(t, r); got != want {
			t.Fatalf("the stashes are %q, want %q", got, want)
		}
	}
	keptOK(t, runKept(ctx, c, fs, "main", &Stash{Args: []string{"pop", "stash@{1}"}}))
	keptOK(t, b.RefreshKept(ctx))
	if v, _ := counters(t, b, "main"); v != 2 {
		t.Errorf("%d counts, want the 2 that were brought back", v)
	}
	keptOK(t, runKept(ctx, b, fs, "main", &Stash{Args: []string{"drop", "1"}}))
	keptOK(t, runKept(ctx, b, fs, "main", &Stash{Args: []string{"apply"}}))
	keptOK(t, runKept(ctx, b, fs, "main", &Stash{Args: []string{"clear", "a list/ö"}}))
	keptGarbage(t, fs)
	d := keptMachine(t, fs, "d", 0, nil)
	if got := stashed(t, d); got != "dolt-cli three@main" {
		t.Errorf("the stashes are %q", got)
	}
	if v, _ := counters(t, d, "main"); v != 5 {
		t.Errorf("%d counts, want 5", v)
	}
	// Clones have none, and are no worse for them.
	_, err := (&Clone{Name: "origin", URL: keptURL(fs), Dir: "clone"}).Run(ctx, &Scope{FS: fs, Dir: "/", Clock: tick{}})
	keptOK(t, err)
	clone, err := repo.Open(ctx, fs, "/clone", repo.Options{})
	keptOK(t, err)
	defer clone.Close(ctx)
	if got := stashed(t, clone); got != "" {
		t.Errorf("a clone has the stashes %q", got)
	}
	if tags, err := clone.Tags(ctx); err != nil || len(tags) > 0 {
		t.Errorf("a clone has the tags %v, %v", tags, err)
	}
}

// TestKeptStashRaces: machines that set aside and bring back at once lose nothing and bring nothing back twice; who names a stash by its place takes
// the one that was there when it was asked for.
func TestKeptStashRaces(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	a, b := keptMachine(t, fs, "a", 0, nil), keptMachine(t, fs, "b", 0, nil)
	keptOK(t, countUp(ctx, a, "main", 1, false))
	keptOK(t, runKept(ctx, a, fs, "main", &Stash{Message: "first"}))
	keptOK(t, b.RefreshKept(ctx))
	// b does not know of the second.
	keptOK(t, countUp(ctx, a, "main", 2, false))
	keptOK(t, runKept(ctx, a, fs, "main", &Stash{Message: "second"}))
	keptOK(t, runKept(ctx, b, fs, "main", &Stash{Args: []string{"drop"}}))
	if got := stashed(t, b); got != "dolt-cli second@main" {
		t.Fatalf("the stashes are %q", got)
	}
	// Nor a that it was brought back.
	keptOK(t, runKept(ctx, b, fs, "main", &Stash{Args: []string{"pop"}}))
	if err := runKept(ctx, a, fs, "main", &Stash{Args: []string{"pop"}}); !errs.Is(err, errs.NotFound) {
		t.Fatalf("it was brought back twice: %v", err)
	}
	keptOK(t, a.RefreshKept(ctx))
	if v, _ := counters(t, a, "main"); v != 1 {
		t.Errorf("%d counts, want 1", v)
	}
	keptOK(t, a.ResetHard(ctx, "main", mustHead(t, a, "main")))
	// All at once, each on a branch of its own, into one list.
	var wait sync.WaitGroup
	for m, r := range []*repo.Repo{a, b} {
		branch := []string{"main", "side"}[m]
		wait.Go(func() {
			for range 3 {
				if err := countUp(ctx, r, branch, int64(m), false); err != nil {
					t.Error(err)
				}
				if err := runKept(ctx, r, fs, branch, &Stash{Message: branch}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	c := keptMachine(t, fs, "c", 0, nil)
	if got := stashed(t, c); strings.Count(got, "main@main") != 3 || strings.Count(got, "side@side") != 3 {
		t.Errorf("the stashes are %q", got)
	}
}

// TestKeptStashCut: a machine that dies while it sets aside or brings back leaves the changes in one place, not in none and not in both.
func TestKeptStashCut(t *testing.T) {
	push := func(ctx context.Context, r *repo.Repo, fs vfs.FS) error {
		return runKept(ctx, r, fs, "main", &Stash{})
	}
	aside := func(t *testing.T, r *repo.Repo) bool {
		v, _ := counters(t, r, "main")
		list, err := r.Stashes(t.Context())
		keptOK(t, err)
		if v+int64(len(list)) != 1 {
			t.Fatalf("%d counts and %d stashes are there", v, len(list))
		}
		return v == 0
	}
	count := func(t *testing.T, r *repo.Repo, _ vfs.FS) { keptOK(t, countUp(t.Context(), r, "main", 1, false)) }
	t.Run("push", func(t *testing.T) { keptCut(t, count, push, aside) })
	t.Run("pop", func(t *testing.T) {
		keptCut(t, func(t *testing.T, r *repo.Repo, fs vfs.FS) {
			count(t, r, fs)
			keptOK(t, push(t.Context(), r, fs))
		}, func(ctx context.Context, r *repo.Repo, fs vfs.FS) error {
			return runKept(ctx, r, fs, "main", &Stash{Args: []string{"pop"}})
		}, func(t *testing.T, r *repo.Repo) bool { return !aside(t, r) })
	})
}

// mustHead is the commit of a branch.
func mustHead(t *testing.T, r *repo.Repo, branch string) history.CommitID {
	t.Helper()
	head, ok := r.BranchHead(branch)
	if !ok {
		t.Fatalf("there is no branch %s", branch)
	}
	return head
}
