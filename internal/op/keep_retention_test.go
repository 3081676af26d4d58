package op

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

const (
	wholeSide = "counters c b a table"
	thinSide  = "counters table" // the head, and the commit at which it parts from main
)

func retainKept(ctx context.Context, r *repo.Repo, fs vfs.FS, args ...string) error {
	return runKept(ctx, r, fs, "side", &Retention{Args: args})
}

// TestKeptRetention: rules that one machine makes are those of all, and what one of them thins is thinned for all; what others have done meanwhile stays.
func TestKeptRetention(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	a, b := keptMachine(t, fs, "a", 0, nil), keptMachine(t, fs, "b", 0, nil)
	var wait sync.WaitGroup
	for m, r := range []*repo.Repo{a, b} {
		wait.Go(func() {
			for _, p := range []string{"x", "y", "z"} {
				if err := retainKept(ctx, r, fs, "set", p+string(rune('0'+m)), "all 7d"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	keptOK(t, retainKept(ctx, a, fs, "set", "si*", "tags forever"))
	for _, p := range []string{"x0", "y0", "z0", "x1", "y1", "z1"} {
		keptOK(t, retainKept(ctx, b, fs, "unset", p))
	}
	res, err := (&Retention{}).Run(ctx, &Scope{Repo: b, FS: fs, Dir: "/", Branch: "side", Clock: tick{}})
	keptOK(t, err)
	if got := strings.Join(res.Lines, "; "); got != "si*: tags forever (branches: 1)" {
		t.Fatalf("the rules are %q", got)
	}
	// a has uncommitted changes, and b has not seen them.
	keptOK(t, countUp(ctx, a, "side", 1, false))
	res, err = (&Retention{Args: []string{"apply"}}).Run(ctx, &Scope{Repo: b, FS: fs, Dir: "/", Branch: "side", Clock: tick{}})
	keptOK(t, err)
	hints := strings.Join(res.Hints, "; ")
	if strings.Contains(hints, "gc --expire") || !strings.Contains(hints, "push --mirror --anew "+keptURL(fs)+"'") || !strings.Contains(hints, "gc --remote "+keptURL(fs)+"'") {
		t.Errorf("what frees the bucket: %q", hints)
	}
	keptOK(t, a.RefreshKept(ctx))
	keptGarbage(t, fs)
	c := keptMachine(t, fs, "c", 0, nil)
	for _, r := range []*repo.Repo{a, b, c} {
		if got, rows := messages(t, r, "side"); got != thinSide || rows != 3 {
			t.Errorf("side has the commits %q and %d rows", got, rows)
		}
		if v, _ := counters(t, r, "side"); v != 1 {
			t.Errorf("%d counts, want the one that is not committed", v)
		}
		if got, _ := messages(t, r, "main"); got != "counters m table" {
			t.Errorf("main has the commits %q", got)
		}
	}
	keptOK(t, countUp(ctx, b, "side", 2, false))
	_, err = b.Commit(ctx, repo.CommitOptions{Branch: "side", Message: "before", Author: keptBy, All: true})
	keptOK(t, err)
	keptOK(t, countUp(ctx, a, "side", 4, false))
	_, err = a.Commit(ctx, repo.CommitOptions{Branch: "side", Message: "after", Author: keptBy, All: true})
	keptOK(t, err)
	// A commit that b has not seen is in the history that it thins; and what is in progress is in the way, wherever it was begun.
	keptOK(t, retainKept(ctx, b, fs, "apply"))
	if got, _ := messages(t, b, "side"); got != "after table" {
		t.Errorf("side has the commits %q", got)
	}
	keptFork(t, a)
	keptOK(t, runKept(ctx, a, fs, "main", &Merge{Args: []string{"fix"}}))
	keptOK(t, b.RefreshKept(ctx))
	for range 2 {
		keptOK(t, countUp(ctx, b, "side", 3, false))
		_, err = b.Commit(ctx, repo.CommitOptions{Branch: "side", Message: "more", Author: keptBy, All: true})
		keptOK(t, err)
	}
	if err := retainKept(ctx, b, fs, "apply"); !errs.Is(err, errs.Conflict) {
		t.Errorf("a history was thinned in the middle of a merge: %v", err)
	}
}

// TestKeptRetentionCut: a machine that dies while it thins leaves the history as it was, or thinned.
func TestKeptRetentionCut(t *testing.T) {
	keptCut(t, func(t *testing.T, r *repo.Repo, fs vfs.FS) {
		keptOK(t, retainKept(t.Context(), r, fs, "set", "*", "tags forever"))
	}, func(ctx context.Context, r *repo.Repo, fs vfs.FS) error {
		return retainKept(ctx, r, fs, "apply")
	}, func(t *testing.T, r *repo.Repo) bool {
		got, _ := messages(t, r, "side")
		other, _ := messages(t, r, "main")
		switch got + ", " + other {
		case wholeSide + ", counters m table":
			return false
		case thinSide + ", counters table":
			return true
		}
		t.Fatalf("half of it was done: side has the commits %q, main %q", got, other)
		return false
	})
}
