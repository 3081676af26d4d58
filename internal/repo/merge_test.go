package repo_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/vfs"
)

// editOn makes an edit of people on a branch and a commit of it.
func editOn(t *testing.T, r *repo.Repo, branch string, edits ...func(*table.Editor) error) history.CommitID {
	t.Helper()
	ctx := context.Background()
	tx, err := r.Begin(ctx, branch)
	must(t, err)
	for _, e := range edits {
		must(t, e(edit(t, tx, "people")))
	}
	must(t, tx.Commit(ctx))
	c, err := r.Commit(ctx, repo.CommitOptions{Branch: branch, Message: "edits on " + branch, Author: signature(), AddNew: true})
	must(t, err)
	return c.ID
}

// forked is a database with the branches main and side, which have changed people each in its way.
func forked(t *testing.T, r *repo.Repo, ours, theirs func(*table.Editor) error) (main, side history.CommitID) {
	t.Helper()
	ctx := context.Background()
	c, err := r.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "people", Author: signature(), AddNew: true})
	must(t, err)
	must(t, r.CreateBranch(ctx, "side", c.ID, false))
	return editOn(t, r, "main", ours), editOn(t, r, "side", theirs)
}

func mergeSide(r *repo.Repo, side history.CommitID, change func(*repo.MergeOptions)) (*repo.Merged, error) {
	opt := repo.MergeOptions{Branch: "main", Kind: history.MergeBranch, Source: "side", Theirs: side, Message: "Merge branch 'side' into main", Author: signature()}
	if change != nil {
		change(&opt)
	}
	return r.Merge(context.Background(), opt)
}

// told describes a branch: its head's message and number of parents, its rows, and what it has in progress.
func told(ctx context.Context, r *repo.Repo, branch string) (string, error) {
	id, _ := r.BranchHead(branch)
	c, err := history.GetCommit(ctx, r.Store(), id)
	if err != nil {
		return "", err
	}
	s, err := r.SnapshotWorking(branch)
	if err != nil {
		return "", err
	}
	out := fmt.Sprintf("%s (%d): ", c.Message, len(c.Parents))
	if v, _, ok, err := s.Table(ctx, "people"); err != nil {
		return "", err
	} else if ok {
		tab, err := tableOf(ctx, v)
		if err != nil {
			return "", err
		}
		for id := range int64(20) {
			if row, ok := tab.rows[id]; ok {
				out += fmt.Sprintf("%d:%s:%d ", id, row.mail, row.age)
			}
		}
	}
	m, err := r.Merging(ctx, branch)
	if err != nil || m == nil {
		return out, err
	}
	out += "merging " + m.Source
	for i := range m.Tables {
		x := &m.Tables[i]
		out += fmt.Sprintf(" [%s %q %d %d]", strings.ToLower(x.Name), x.Schema, x.Conflicts.Count, x.Violations.Count)
	}
	return out, nil
}

func wantTold(t *testing.T, r *repo.Repo, want string) {
	t.Helper()
	got, err := told(context.Background(), r, "main")
	must(t, err)
	if got != want {
		t.Fatalf("main is\n%s\nwant\n%s", got, want)
	}
	wantSound(t, r)
}

func TestMerge(t *testing.T) {
	ctx := context.Background()
	r, fs := withPeople(t)
	main, side := forked(t, r, update(1, "m1", 11), update(2, "m2", 22))
	if _, err := mergeSide(r, side, func(o *repo.MergeOptions) { o.FFOnly = true }); !errs.Is(err, errs.Conflict) {
		t.Errorf("fast-forward only: %v", err)
	}
	m, err := mergeSide(r, side, nil)
	must(t, err)
	wantTold(t, r, "Merge branch 'side' into main (2): 1:m1:11 2:m2:22 3:m3:30 ")
	c, err := history.GetCommit(ctx, r.Store(), m.Commit)
	must(t, err)
	if !slices.Equal(c.Parents, []history.CommitID{main, side}) || c.Height != 4 || m.FastForward || m.Head != main {
		t.Errorf("merge commit %+v, %+v", c, m)
	}
	if m, err := mergeSide(r, side, nil); err != nil || !m.UpToDate {
		t.Errorf("merge again: %+v, %v", m, err)
	}
	// The other branch can be moved forward.
	m, err = mergeSide(r, c.ID, func(o *repo.MergeOptions) { o.Branch, o.Source = "side", "main" })
	must(t, err)
	if head, _ := r.BranchHead("side"); !m.FastForward || head != c.ID {
		t.Errorf("fast-forward: %+v, head %s", m, head)
	}
	must(t, r.Close(ctx))
	wantTold(t, reopen(t, fs), "Merge branch 'side' into main (2): 1:m1:11 2:m2:22 3:m3:30 ")
}

func TestMergeForward(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name   string
		change func(*repo.MergeOptions)
		want   string
	}{
		{"plain", nil, "edits on side (1): 1:m1:10 2:m2:22 3:m3:30 "},
		{"no-ff", func(o *repo.MergeOptions) { o.NoFF = true }, "Merge branch 'side' into main (2): 1:m1:10 2:m2:22 3:m3:30 "},
		{"squash", func(o *repo.MergeOptions) { o.Squash = true }, "people (1): 1:m1:10 2:m2:22 3:m3:30 "},
		{"no-ff, no-commit", func(o *repo.MergeOptions) { o.NoFF, o.NoCommit = true, true }, "people (1): 1:m1:10 2:m2:22 3:m3:30 merging side"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := withPeople(t)
			base, err := r.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "people", Author: signature(), AddNew: true})
			must(t, err)
			must(t, r.CreateBranch(ctx, "side", base.ID, false))
			side := editOn(t, r, "side", update(2, "m2", 22))
			_, err = mergeSide(r, side, c.change)
			must(t, err)
			wantTold(t, r, c.want)
			if c.name == "plain" || c.name == "no-ff" {
				return
			}
			made, err := r.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "by hand", Author: signature()})
			must(t, err)
			if want := map[string]int{"squash": 1, "no-ff, no-commit": 2}[c.name]; len(made.Parents) != want {
				t.Errorf("the commit has %d parents, want %d", len(made.Parents), want)
			}
			wantTold(t, r, fmt.Sprintf("by hand (%d): 1:m1:10 2:m2:22 3:m3:30 ", len(made.Parents)))
		})
	}
}

// TestMergeConflict follows a merge in progress through a restart, a checkpoint, a fold, refused commits, and to its end.
func TestMergeConflict(t *testing.T) {
	ctx := context.Background()
	for _, how := range []string{"ours", "theirs", "abort", "hard reset"} {
		t.Run(how, func(t *testing.T) {
			r, fs := withPeople(t)
			main, side := forked(t, r, update(1, "m1", 11), func(e *table.Editor) error {
				return joinErrors(update(1, "m1", 12)(e), update(2, "m2", 22)(e), insert(5, "five", 5)(e))
			})
			if _, err := mergeSide(r, side, func(o *repo.MergeOptions) { o.NoConflicts = true }); err != repo.ErrUnresolved {
				t.Fatalf("merge without conflicts: %v", err)
			}
			wantTold(t, r, "edits on main (1): 1:m1:11 2:m2:20 3:m3:30 ")
			m, err := mergeSide(r, side, nil)
			must(t, err)
			if !m.Unresolved() || !m.Commit.IsZero() {
				t.Fatalf("merged %+v", m)
			}
			const merging = "edits on main (1): 1:m1:11 2:m2:22 3:m3:30 5:five:5 merging side [people \"\" 1 0]"
			wantTold(t, r, merging)
			if _, err := mergeSide(r, side, nil); !errs.Is(err, errs.Conflict) {
				t.Errorf("merge in a merge: %v", err)
			}
			must(t, r.Close(ctx))
			r = reopen(t, fs)
			wantTold(t, r, merging)
			must(t, r.Checkpoint(ctx))
			must(t, r.Close(ctx))
			r = reopen(t, fs)
			wantTold(t, r, merging)
			// Edits and folds keep it.
			tx := begin(t, r)
			must(t, insert(6, "six", 6)(edit(t, tx, "people")))
			must(t, tx.Commit(ctx))
			must(t, r.Stage(ctx, "main", nil))
			const edited = "edits on main (1): 1:m1:11 2:m2:22 3:m3:30 5:five:5 6:six:6 merging side [people \"\" 1 0]"
			wantTold(t, r, edited)
			for _, opt := range []repo.CommitOptions{{}, {AddNew: true}, {Amend: true}, {AllowEmpty: true}} {
				opt.Branch, opt.Message, opt.Author = "main", "too early", signature()
				if _, err := r.Commit(ctx, opt); !errs.Is(err, errs.Conflict) {
					t.Errorf("commit %+v with conflicts: %v", opt, err)
				}
			}
			if err := r.ResetSoft(ctx, "main", side, true); !errs.Is(err, errs.Conflict) {
				t.Errorf("move a branch in a merge: %v", err)
			}
			switch how {
			case "abort":
				_, err := r.AbortMerge(ctx, "main")
				must(t, err)
				wantTold(t, r, "edits on main (1): 1:m1:11 2:m2:20 3:m3:30 ")
				if _, err := r.AbortMerge(ctx, "main"); !errs.Is(err, errs.Invalid) {
					t.Errorf("abort twice: %v", err)
				}
				return
			case "hard reset":
				must(t, r.ResetHard(ctx, "main", main))
				wantTold(t, r, "edits on main (1): 1:m1:11 2:m2:20 3:m3:30 ")
				return
			}
			if err := r.ResolveConflicts(ctx, "main", []string{"nothing"}, false); !errs.Is(err, errs.NotFound) {
				t.Errorf("resolve a table that is not there: %v", err)
			}
			must(t, r.ResolveConflicts(ctx, "main", []string{"PEOPLE"}, how == "theirs"))
			age := map[string]int{"ours": 11, "theirs": 12}[how]
			rows := fmt.Sprintf("1:m1:%d 2:m2:22 3:m3:30 5:five:5 6:six:6 ", age)
			wantTold(t, r, "edits on main (1): "+rows+"merging side")
			must(t, r.Close(ctx))
			r = reopen(t, fs)
			c, err := r.Commit(ctx, repo.CommitOptions{Branch: "main", Author: signature(), AddNew: true})
			must(t, err)
			if !slices.Equal(c.Parents, []history.CommitID{main, side}) {
				t.Errorf("parents %v", c.Parents)
			}
			wantTold(t, r, "Merge branch 'side' into main (2): "+rows)
			if m, err := mergeSide(r, side, nil); err != nil || !m.UpToDate {
				t.Errorf("merge again: %+v, %v", m, err)
			}
		})
	}
}

func joinErrors(list ...error) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestMergeViolation commits only when the rows that violate a unique index are fixed and taken off the list.
func TestMergeViolation(t *testing.T) {
	ctx := context.Background()
	r, _ := withPeople(t)
	_, side := forked(t, r, insert(7, "same", 7), insert(8, "same", 8))
	_, err := mergeSide(r, side, nil)
	must(t, err)
	wantTold(t, r, "edits on main (1): 1:m1:10 2:m2:20 3:m3:30 7:same:7 8:same:8 merging side [people \"\" 0 2]")
	commit := func() error {
		_, err := r.Commit(ctx, repo.CommitOptions{Branch: "main", Author: signature(), AddNew: true})
		return err
	}
	if err := commit(); !errs.Is(err, errs.Conflict) {
		t.Fatalf("commit with violations: %v", err)
	}
	if n, err := r.VerifyConstraints(ctx, "main", repo.VerifyOptions{}); err != nil || n["People"] != 2 {
		t.Errorf("verify: %v, %v", n, err)
	}
	tx := begin(t, r)
	must(t, update(8, "other", 8)(edit(t, tx, "people")))
	must(t, tx.Commit(ctx))
	if err := commit(); !errs.Is(err, errs.Conflict) {
		t.Fatalf("commit with listed violations: %v", err)
	}
	if n, err := r.VerifyConstraints(ctx, "main", repo.VerifyOptions{All: true}); err != nil || len(n) != 0 {
		t.Errorf("verify: %v, %v", n, err)
	}
	must(t, commit())
	wantTold(t, r, "Merge branch 'side' into main (2): 1:m1:10 2:m2:20 3:m3:30 7:same:7 8:other:8 ")
}

// TestMergeDirty leaves uncommitted changes of other tables alone and does not run over those of its own.
func TestMergeDirty(t *testing.T) {
	ctx := context.Background()
	r, _ := withPeople(t)
	main, side := forked(t, r, update(1, "m1", 11), update(2, "m2", 22))
	tx := begin(t, r)
	must(t, tx.CreateTable(ctx, "other", people()))
	must(t, insert(1, "o", 1)(edit(t, tx, "other")))
	must(t, tx.Commit(ctx))
	must(t, r.Stage(ctx, "main", []string{"other"}))
	if _, err := mergeSide(r, side, nil); !errs.Is(err, errs.Conflict) {
		t.Errorf("merge with a staged table: %v", err)
	}
	must(t, r.Unstage(ctx, "main", main, nil))
	dirty := begin(t, r)
	must(t, update(3, "m3", 33)(edit(t, dirty, "people")))
	must(t, dirty.Commit(ctx))
	_, err := mergeSide(r, side, nil)
	if !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "local changes would be stomped by merge: people") {
		t.Errorf("merge over changes: %v", err)
	}
	must(t, r.Restore(ctx, "main", mustRoot(t, r, main), []string{"people"}))
	_, err = mergeSide(r, side, nil)
	must(t, err)
	wantTold(t, r, "Merge branch 'side' into main (2): 1:m1:11 2:m2:22 3:m3:30 ")
	if got := rows(t, r, "other"); got != "1:o:1 " {
		t.Errorf("the other table has %q", got)
	}
}

// TestMergeMeanwhile merges while others write to a table that the merge does not touch.
func TestMergeMeanwhile(t *testing.T) {
	ctx := context.Background()
	r, _ := withPeople(t)
	tx := begin(t, r)
	must(t, tx.CreateTable(ctx, "other", people()))
	must(t, tx.Commit(ctx))
	_, side := forked(t, r, update(1, "m1", 11), update(2, "m2", 22))
	stop, done := make(chan struct{}), make(chan int64)
	go func() {
		n := int64(0)
		defer func() { done <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			tx, err := r.Begin(ctx, "main")
			if err == nil {
				var e *table.Editor
				if e, err = tx.Editor(ctx, "other"); err == nil {
					if err = e.Insert(ctx, person(n+1, "", n)); err == nil {
						err = tx.Commit(ctx)
					}
				}
			}
			if err != nil {
				t.Errorf("write beside a merge: %v", err)
				return
			}
			n++
		}
	}()
	for range 20 {
		_, err := mergeSide(r, side, nil)
		must(t, err)
		must(t, r.ResetSoft(ctx, "main", mustHead(t, r, "main"), true))
	}
	close(stop)
	n := <-done
	s, err := r.SnapshotWorking("main")
	must(t, err)
	v, _, _, err := s.Table(ctx, "other")
	must(t, err)
	if v.Count() != uint64(n) {
		t.Errorf("%d rows after %d insertions", v.Count(), n)
	}
	wantSound(t, r)
}

func mustHead(t *testing.T, r *repo.Repo, branch string) history.CommitID {
	t.Helper()
	id, ok := r.BranchHead(branch)
	if !ok {
		t.Fatalf("no branch %s", branch)
	}
	return id
}

func mustRoot(t *testing.T, r *repo.Repo, id history.CommitID) *root.Root {
	t.Helper()
	s, err := r.SnapshotAt(context.Background(), id)
	must(t, err)
	return s.Root
}

// TestPick picks and reverts commits.
func TestPick(t *testing.T) {
	r, _ := withPeople(t)
	main, side := forked(t, r, update(1, "m1", 11), update(2, "m2", 22))
	pick := func(o *repo.MergeOptions) { o.Kind, o.Message = history.CherryPick, "picked" }
	_, err := mergeSide(r, side, pick)
	must(t, err)
	wantTold(t, r, "picked (1): 1:m1:11 2:m2:22 3:m3:30 ")
	if _, err := mergeSide(r, side, pick); !errs.Is(err, errs.NothingToDo) {
		t.Errorf("pick again: %v", err)
	}
	_, err = mergeSide(r, main, func(o *repo.MergeOptions) { o.Kind, o.Message = history.Revert, "reverted" })
	must(t, err)
	wantTold(t, r, "reverted (1): 1:m1:10 2:m2:22 3:m3:30 ")
	editOn(t, r, "main", update(2, "m2", 23))
	m, err := mergeSide(r, side, func(o *repo.MergeOptions) { o.Kind, o.Message = history.Revert, "reverted" })
	must(t, err)
	if !m.Unresolved() {
		t.Fatalf("reverted %+v", m)
	}
	must(t, r.ResolveConflicts(context.Background(), "main", nil, true))
	_, err = r.Commit(context.Background(), repo.CommitOptions{Branch: "main", Author: signature(), AddNew: true})
	must(t, err)
	wantTold(t, r, "reverted (1): 1:m1:10 2:m2:20 3:m3:30 ")
}

// TestMergeCrash cuts the power before operations on files: a merge, its resolution and its commit are there as a whole or not at all.
func TestMergeCrash(t *testing.T) {
	ctx := context.Background()
	for seed := range scale(6) {
		mem := vfs.NewMem()
		must(t, repo.Init(ctx, mem, "/db", repo.InitOptions{Author: signature(), Committer: signature()}))
		rng := rand.New(rand.NewPCG(uint64(seed), 5))
		var mu sync.Mutex
		var before, after string // what may be seen; "" before the test begins
		crashes := 0
		hooked := vfs.WithHook(mem, func(op vfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if op.Kind == vfs.OpRead || before == "" || t.Failed() {
				return nil
			}
			crashes++
			r, err := repo.Open(ctx, mem.CrashClone(rng), "/db", repo.Options{Clock: testClock})
			if err != nil {
				t.Errorf("open after a crash: %v", err)
				return nil
			}
			got, err := told(ctx, r, "main")
			if err != nil || got != before && got != after {
				t.Errorf("after a crash: %v\n%s\nwant\n%s\nor\n%s", err, got, before, after)
			}
			if ps, err := problems(ctx, r); err != nil || len(ps) > 0 {
				t.Errorf("fsck after a crash: %v, %v", ps, err)
			}
			if err := r.Close(ctx); err != nil {
				t.Errorf("close after a crash: %v", err)
			}
			return nil
		})
		r := openPlay(t, hooked)
		setUp := begin(t, r)
		must(t, setUp.CreateTable(ctx, "people", people()))
		for i := range int64(3) {
			must(t, insert(i+1, fmt.Sprint("m", i+1), 10*(i+1))(edit(t, setUp, "people")))
		}
		must(t, setUp.Commit(ctx))
		_, side := forked(t, r, update(1, "m1", 11), update(1, "m1", 12))
		const start = "edits on main (1): 1:m1:11 2:m2:20 3:m3:30 "
		const end = "Merge branch 'side' into main (2): 1:m1:12 2:m2:20 3:m3:30 "
		step := func(to string, do func() error) {
			now, err := told(ctx, r, "main")
			must(t, err)
			mu.Lock()
			before, after = now, to
			mu.Unlock()
			must(t, do())
			mu.Lock()
			before = after
			mu.Unlock()
			if got, err := told(ctx, r, "main"); err != nil || got != to {
				t.Fatalf("%s, %v, want %s", got, err, to)
			}
		}
		merge := func() error { _, err := mergeSide(r, side, nil); return err }
		step(start+"merging side [people \"\" 1 0]", merge)
		step(start, func() error { _, err := r.AbortMerge(ctx, "main"); return err })
		step(start+"merging side [people \"\" 1 0]", merge)
		if seed%2 == 0 {
			step(start+"merging side [people \"\" 1 0]", func() error { return r.Checkpoint(ctx) })
		}
		step("edits on main (1): 1:m1:12 2:m2:20 3:m3:30 merging side", func() error { return r.ResolveConflicts(ctx, "main", nil, true) })
		step(end, func() error {
			_, err := r.Commit(ctx, repo.CommitOptions{Branch: "main", Author: signature(), AddNew: true})
			return err
		})
		must(t, r.Close(ctx))
		if crashes < 10 {
			t.Errorf("%d crashes: the test does not test", crashes)
		}
	}
}
