package op

import (
	"context"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/fsck"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// filterKept runs filter-branch, whose statement counts counter 7 up by one wherever there is the table of counters.
func filterKept(ctx context.Context, r *repo.Repo, fs vfs.FS, c *FilterBranch, meanwhile func() error) error {
	c.Query = "count"
	count := func(ctx context.Context, tx *repo.Tx, _ string, _ func(string, error) error) error {
		if meanwhile != nil {
			if err := meanwhile(); err != nil {
				return err
			}
			meanwhile = nil
		}
		_, _, ok, err := tx.Table(ctx, "c")
		if err != nil || !ok {
			return err
		}
		return countIn(ctx, tx, 7, false)
	}
	_, err := c.Run(ctx, &Scope{Repo: r, FS: fs, Dir: "/", Branch: "side", Clock: tick{}, Author: Author{keptBy.Name, keptBy.Email}, Evaluate: count})
	return err
}

// filtered tells whether the history of main and side is what filterKept of all branches makes of it, and not what it was.
func filtered(t *testing.T, r *repo.Repo) bool {
	t.Helper()
	got, rows := messages(t, r, "side")
	other, _ := messages(t, r, "main")
	if got != wholeSide || other != "counters m table" || rows != 3 {
		t.Fatalf("side has the commits %q and %d rows, main %q", got, rows, other)
	}
	main, _ := counters(t, r, "main")
	side, _ := counters(t, r, "side")
	if main != side || main < 0 || main > 1 {
		t.Fatalf("half of it was done: %d counts on main, %d on side", main, side)
	}
	return main == 1
}

// TestKeptFilter: a history that one machine rewrites is so for all, with tags and what is not committed; other machines go on with it.
func TestKeptFilter(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	a, b := keptMachine(t, fs, "a", 0, nil), keptMachine(t, fs, "b", 0, nil)
	keptOK(t, a.CreateTag(ctx, "v1", history.Tag{Commit: mustHead(t, a, "side"), Tagger: keptBy}, false))
	was := mustHead(t, a, "side")
	keptOK(t, countUp(ctx, a, "side", 1, false)) // of which b has not heard
	if err := filterKept(ctx, b, fs, &FilterBranch{All: true}, nil); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "local changes") {
		t.Fatalf("it was rewritten under uncommitted changes: %v", err)
	}
	keptOK(t, filterKept(ctx, b, fs, &FilterBranch{All: true, Uncommitted: true}, nil))
	keptOK(t, a.RefreshKept(ctx))
	keptGarbage(t, fs)
	c := keptMachine(t, fs, "c", 0, nil)
	for _, r := range []*repo.Repo{a, b, c} {
		if v, _ := counters(t, r, "side"); v != 2 {
			t.Errorf("%d counts on side, want the rewritten one and the one that is not committed", v)
		}
		if v, _ := counters(t, r, "main"); v != 1 {
			t.Errorf("%d counts on main", v)
		}
		head := mustHead(t, r, "side")
		tags, err := r.TagObjects(ctx)
		keptOK(t, err)
		if head == was || len(tags) != 1 || tags[0].Commit != head {
			t.Errorf("side is at %s, was at %s, and the tags are %+v", head, was, tags)
		}
		if got, rows := messages(t, r, "side"); got != wholeSide || rows != 3 {
			t.Errorf("side has the commits %q and %d rows", got, rows)
		}
	}
	for i, r := range []*repo.Repo{a, c, b} {
		keptOK(t, countUp(ctx, r, "side", int64(i), true))
		_, err := r.Commit(ctx, repo.CommitOptions{Branch: "side", Message: "more", Author: keptBy, All: true})
		keptOK(t, err)
	}
	keptGarbage(t, fs)
	d := keptMachine(t, fs, "d", 0, nil)
	f := fsck.New(d.Store(), func(p fsck.Problem) { t.Errorf("%s", p) }, nil)
	starts, err := d.Starts(ctx)
	keptOK(t, err)
	for _, s := range starts {
		keptOK(t, f.Check(ctx, s))
	}
}

// TestKeptFilterMeanwhile: what another machine has put on a branch, or a tag, while the history was rewritten is not lost, and nothing is rewritten.
func TestKeptFilterMeanwhile(t *testing.T) {
	for _, hears := range []bool{true, false} {
		ctx, fs := t.Context(), vfs.NewMem()
		keptWorld(t, fs)
		a, b := keptMachine(t, fs, "a", 0, nil), keptMachine(t, fs, "b", 0, nil)
		was, other := mustHead(t, a, "side"), mustHead(t, a, "main")
		err := filterKept(ctx, a, fs, &FilterBranch{Branches: true}, func() error {
			err := countUp(ctx, b, "main", 3, false)
			if err == nil && hears {
				err = a.RefreshKept(ctx)
			}
			return err
		})
		if !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "nothing has been rewritten") {
			t.Errorf("heard of %v: it was rewritten over what another machine did: %v", hears, err)
		}
		for _, r := range []*repo.Repo{a, b} {
			keptOK(t, r.RefreshKept(ctx))
			if v, _ := counters(t, r, "main"); v != 1 || mustHead(t, r, "side") != was || mustHead(t, r, "main") != other {
				t.Errorf("heard of %v: %d counts, side is at %s, was at %s", hears, v, mustHead(t, r, "side"), was)
			}
		}
	}
}

// TestKeptFilterCut: a machine that dies while it rewrites the history leaves it as it was, or all of it rewritten.
func TestKeptFilterCut(t *testing.T) {
	keptCut(t, func(*testing.T, *repo.Repo, vfs.FS) {}, func(ctx context.Context, r *repo.Repo, fs vfs.FS) error {
		return filterKept(ctx, r, fs, &FilterBranch{Branches: true}, nil)
	}, filtered)
}
