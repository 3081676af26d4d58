package op

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/fsck"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/objecttest"
	"github.com/stemmadb/stemma/internal/repo"
	remotesync "github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

// runOf is the id of a run of that name.
func runOf(name string) string {
	uid, _ := lineage.Named(name)
	return uid
}

// countFor counts up in a transaction of a run, which ends with a version commit.
func countFor(ctx context.Context, r *repo.Repo, run, branch string, id int64) (*history.Commit, error) {
	ctx = lineage.With(ctx, lineage.Current{Run: runOf(run), Name: run, Node: "count"})
	tx, err := r.Begin(ctx, branch)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	if err := countIn(ctx, tx, id, false); err != nil {
		return nil, err
	}
	return tx.CommitAs(ctx, repo.CommitOptions{Branch: branch, Message: "of " + run, Author: keptBy}, nil)
}

// outputsIn are the runs that a database says have made a commit, sorted.
func outputsIn(t *testing.T, r *repo.Repo, id history.CommitID) []string {
	t.Helper()
	outs, err := r.Lineage().OutputsIn(t.Context(), id.Full())
	keptOK(t, err)
	var runs []string
	for _, x := range outs {
		if _, ok, err := r.Lineage().Run(t.Context(), x.Run); err != nil || !ok {
			t.Errorf("run %s has made %s and is not there: %v", x.Run, id, err)
		}
		runs = append(runs, x.Run+" "+x.Table+" "+x.Node)
	}
	slices.Sort(runs)
	return runs
}

// producersOf are the runs that a database says have made the table c of a branch.
func producersOf(t *testing.T, r *repo.Repo, branch string) []string {
	t.Helper()
	head, ok := r.BranchHead(branch)
	if !ok {
		t.Fatalf("there is no branch %s", branch)
	}
	found, _, err := r.Lineage().Producers(t.Context(), r.Store(), head, "c")
	keptOK(t, err)
	var runs []string
	for _, p := range found {
		if p.Run != "" {
			runs = append(runs, p.Run)
		}
	}
	return runs
}

// soundRuns checks what a database has of runs, and that no row is there twice.
func soundRuns(t *testing.T, r *repo.Repo) {
	t.Helper()
	seen := map[string]bool{}
	err := r.Lineage().Each(t.Context(), func(_ lineage.Run, ins []lineage.Input, outs []lineage.Output) error {
		for _, x := range outs {
			key := fmt.Sprint(x.Run, x.Table, x.Commit)
			if seen[key] {
				t.Errorf("the output %s is there twice", key)
			}
			seen[key] = true
		}
		for _, x := range ins {
			key := fmt.Sprint(x.Run, x.Table, x.Ref, x.Commit, x.Hash, x.Node, x.Query)
			if seen[key] {
				t.Errorf("the input %s is there twice", key)
			}
			seen[key] = true
		}
		return nil
	})
	keptOK(t, err)
}

// TestKeptRuns: what one machine records of a run the others know, be it in the bucket's lineage or still in the value of a branch, and so do clones.
func TestKeptRuns(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	a, b := keptMachine(t, fs, "a", 0, nil), keptMachine(t, fs, "b", 0, nil)
	_, err := a.StartRun(ctx, lineage.Run{UID: runOf("train"), System: "cli", Job: "train"})
	keptOK(t, err)
	keptOK(t, b.RefreshKept(ctx))
	if run, ok, err := b.Lineage().Run(ctx, runOf("train")); err != nil || !ok || run.Job != "train" {
		t.Errorf("a run that has begun elsewhere is not known: %v, %v", run, err)
	}
	c, err := countFor(ctx, a, "train", "main", 1)
	keptOK(t, err)
	if got := outputsIn(t, a, c.ID); !slices.Equal(got, []string{runOf("train") + " c count"}) {
		t.Errorf("who has made the commit knows of %q", got)
	}
	keptOK(t, b.RefreshKept(ctx))
	if got := outputsIn(t, b, c.ID); !slices.Equal(got, []string{runOf("train") + " c count"}) {
		t.Errorf("another machine knows of %q", got)
	}
	// A machine that comes now, and a clone.
	if got := producersOf(t, keptMachine(t, fs, "c", 0, nil), "main"); !slices.Equal(got, []string{runOf("train")}) {
		t.Errorf("a new machine says that main was made by %q", got)
	}
	settings := filepath.Join(t.TempDir(), "config")
	_, err = (&Clone{Name: "origin", URL: keptURL(fs), Dir: "clone", Most: 1}).Run(ctx, &Scope{FS: fs, Dir: "/", Clock: tick{}, Settings: Settings{Local: settings}})
	keptOK(t, err)
	clone, err := repo.Open(ctx, fs, "/clone", repo.Options{})
	keptOK(t, err)
	defer clone.Close(ctx)
	if got := producersOf(t, clone, "main"); !slices.Equal(got, []string{runOf("train")}) {
		t.Errorf("a clone says that main was made by %q", got)
	}
	// What goes on is fetched.
	d, err := countFor(ctx, b, "test", "main", 2)
	keptOK(t, err)
	scope := &Scope{Repo: clone, FS: fs, Dir: "/clone", Clock: tick{}, Settings: Settings{Local: "/clone/.stemma/config"}}
	_, err = (&Remote{Args: []string{"add", "here", keptURL(fs)}}).Run(ctx, &Scope{Repo: clone, FS: fs, Dir: "/clone", Settings: Settings{Local: settings}})
	keptOK(t, err)
	scope.Settings.Local = settings
	_, err = (&Fetch{Remote: "here"}).Run(ctx, scope)
	keptOK(t, err)
	if got := outputsIn(t, clone, d.ID); !slices.Equal(got, []string{runOf("test") + " c count"}) {
		t.Errorf("after a fetch the clone knows of %q", got)
	}
	_, err = b.EndRun(ctx, runOf("test"), func(x *lineage.Run) { x.State = lineage.Complete })
	keptOK(t, err)
	keptOK(t, a.RefreshKept(ctx))
	if run, _, err := a.Lineage().Run(ctx, runOf("test")); err != nil || run.State != lineage.Complete {
		t.Errorf("a run that has ended elsewhere is %v: %v", run.State, err)
	}
	for _, r := range []*repo.Repo{a, b, clone} {
		soundRuns(t, r)
	}
	f := fsck.New(clone.Store(), func(p fsck.Problem) { t.Errorf("clone: %s", p) }, nil)
	starts, err := clone.Starts(ctx)
	keptOK(t, err)
	for _, s := range starts {
		keptOK(t, f.Check(ctx, s))
	}
}

// TestKeptRunsOvertaken: a commit of a run that another machine has overtaken is recorded once, as what it became, and nothing is of the one that
// came to nothing; a refused one is not recorded at all.
func TestKeptRunsOvertaken(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	a, b := keptMachine(t, fs, "a", 0, nil), keptMachine(t, fs, "b", 0, nil)
	for i := range int64(4) { // neither has seen what the other did
		_, err := countFor(ctx, a, "one", "main", 2*i)
		keptOK(t, err)
		_, err = countFor(ctx, b, "two", "main", 2*i+1)
		keptOK(t, err)
	}
	in := func(r *repo.Repo) *repo.Tx {
		tx, err := r.Begin(lineage.With(ctx, lineage.Current{Run: runOf("lost")}), "main")
		keptOK(t, err)
		keptOK(t, countIn(ctx, tx, 9, false))
		return tx
	}
	lost := in(a)
	_, err := countFor(ctx, b, "two", "main", 9)
	keptOK(t, err)
	lostCtx := lineage.With(ctx, lineage.Current{Run: runOf("lost")})
	if _, err := lost.CommitAs(lostCtx, repo.CommitOptions{Branch: "main", Message: "lost", Author: keptBy}, nil); !errs.Is(err, errs.Conflict) {
		t.Fatalf("the same cell was changed twice: %v", err)
	}
	for _, r := range []*repo.Repo{a, b, keptMachine(t, fs, "c", 0, nil)} {
		keptOK(t, r.RefreshKept(ctx))
		soundRuns(t, r)
		n := map[string]int{}
		head, _ := r.BranchHead("main")
		for {
			c, err := history.GetCommit(ctx, r.Store(), head)
			keptOK(t, err)
			for _, x := range outputsIn(t, r, head) {
				n[x]++
			}
			if len(c.Parents) == 0 {
				break
			}
			head = c.Parents[0]
		}
		if n[runOf("one")+" c count"] != 4 || n[runOf("two")+" c count"] != 5 || len(n) != 2 {
			t.Errorf("the commits of main are of %v", n)
		}
		total := 0
		keptOK(t, r.Lineage().Each(ctx, func(run lineage.Run, _ []lineage.Input, outs []lineage.Output) error {
			total += len(outs)
			return nil
		}))
		if total != 9 {
			t.Errorf("%d outputs are recorded for 9 commits", total)
		}
	}
}

// TestKeptRunsCut: a machine that dies at any request of a commit of a run leaves the commit with what it tells of the run, or neither.
func TestKeptRunsCut(t *testing.T) {
	ctx := t.Context()
	for n := 0; ; n++ {
		fs := vfs.NewMem()
		keptWorld(t, fs)
		cut := &cutOff{left: 1 << 30}
		r := keptMachine(t, fs, "a", 0, func(s object.Store) object.Store { cut.Store = s; return cut })
		cut.set(n)
		c, err := countFor(ctx, r, "train", "main", 1)
		b := keptMachine(t, fs, "b", 0, nil)
		v, _ := counters(t, b, "main")
		if v > 1 || err == nil && v != 1 {
			t.Fatalf("cut at request %d: the count is %d, the answer was %v", n, v, err)
		}
		made := producersOf(t, b, "main")
		if v == 1 && !slices.Equal(made, []string{runOf("train")}) || v == 0 && made != nil {
			t.Fatalf("cut at request %d: the count is %d, and main was made by %q", n, v, made)
		}
		// Others go on, and what was told lasts.
		keptOK(t, countUp(ctx, b, "main", 2, false))
		if err == nil && !slices.Equal(outputsIn(t, keptMachine(t, fs, "c", 0, nil), c.ID), []string{runOf("train") + " c count"}) {
			t.Fatalf("cut at request %d: what was told is forgotten", n)
		}
		cut.set(1 << 30)
		if err == nil {
			if n < 5 {
				t.Errorf("a commit of a run took %d requests only: the test does not test", n)
			}
			return
		}
	}
}

// TestKeptRunsModel has machines commit for runs at once, of which some requests fail, on branches that come and go: each commit that was acknowledged
// is told of once, on every machine.
func TestKeptRunsModel(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	var mu sync.Mutex
	made := map[history.CommitID]string{}
	var wait sync.WaitGroup
	var machines []*repo.Repo
	for m := range 3 {
		r := keptMachine(t, fs, fmt.Sprint("m", m), 20*time.Millisecond, func(s object.Store) object.Store {
			return objecttest.NewFaulty(s, uint64(m), 60)
		})
		machines = append(machines, r)
		for g := range 2 {
			run := fmt.Sprint("run ", (m+g)%3) // machines share runs
			own := fmt.Sprintf("task-%d-%d", m, g)
			wait.Go(func() {
				for i := range 6 {
					branch := []string{"main", "side", own}[i%3]
					if branch == own {
						head, _ := r.BranchHead("main")
						if err := r.CreateBranch(ctx, own, head, false); err != nil && !errs.Is(err, errs.Exists) && !errs.Is(err, errs.Unavailable) {
							t.Error(err)
						}
					}
					c, err := countFor(ctx, r, run, branch, int64(m*3+g))
					switch {
					case err == nil:
						mu.Lock()
						made[c.ID] = runOf(run)
						mu.Unlock()
					case !errs.Is(err, errs.Conflict) && !errs.Is(err, errs.NotFound) && !errs.Is(err, errs.Unavailable):
						t.Error(err)
					}
					if branch == own {
						if err := r.DeleteBranch(ctx, own, "", true); err != nil && !errs.Is(err, errs.Unavailable) && !errs.Is(err, errs.NotFound) {
							t.Error(err)
						}
					}
				}
			})
		}
	}
	wait.Wait()
	if len(made) < 20 {
		t.Errorf("only %d of 36 commits came to something", len(made))
	}
	for _, r := range append(machines, keptMachine(t, fs, "last", 0, nil)) {
		keptOK(t, r.RefreshKept(ctx))
		soundRuns(t, r)
		for id, run := range made {
			if got := outputsIn(t, r, id); !slices.Equal(got, []string{run + " c count"}) {
				t.Errorf("%s: commit %s is of %q, want %s", r.Dir(), id, got, run)
			}
		}
	}
	// When nothing happens any more the bucket's lineage has all, and what branches told is dropped by their next change.
	last := keptMachine(t, fs, "after", 0, nil)
	_, err := last.StartRun(ctx, lineage.Run{UID: runOf("end"), System: "cli"})
	keptOK(t, err)
	for _, branch := range []string{"main", "side"} {
		keptOK(t, countUp(ctx, last, branch, 1, true))
	}
	at := keptRemote(t, fs, nil)
	refs, err := at.Refs(ctx)
	keptOK(t, err)
	for _, branch := range []string{"main", "side"} {
		if x := refs[remotesync.Heads+branch]; !x.Runs.IsZero() {
			t.Errorf("%s tells of runs still what the lineage has", branch)
		}
	}
	// Of branches that are gone nothing is left to be told.
	keptOK(t, last.RefreshKept(ctx))
	keptOK(t, last.RefreshKept(ctx))
	if _, telling, err := at.RefsAndRuns(ctx); err != nil || len(telling) > 0 {
		t.Errorf("%d branches tell of runs still what the lineage has: %v", len(telling), err)
	}
	// Collections keep what branches tell and the lineage.
	for range 2 {
		_, err = (&remotesync.Collect{Remote: at, Now: time.Now()}).Run(ctx)
		keptOK(t, err)
	}
	r := keptMachine(t, fs, "collected", 0, nil)
	for id, run := range made {
		if got := outputsIn(t, r, id); !slices.Equal(got, []string{run + " c count"}) {
			t.Errorf("after a collection commit %s is of %q, want %s", id, got, run)
		}
	}
}

// TestKeptRunsOneWrite: a commit of a run is one write of its branch, whatever is recorded with it.
func TestKeptRunsOneWrite(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	few := &fewWrites{last: map[string]time.Time{}, puts: map[string]int{}}
	r := keptMachine(t, fs, "a", 0, func(s object.Store) object.Store { few.Store = s; return few })
	for i := range int64(5) {
		_, err := countFor(ctx, r, "train", "main", i)
		keptOK(t, err)
	}
	few.mu.Lock()
	defer few.mu.Unlock()
	if n := few.puts["refs/heads/main"]; n != 5 {
		t.Errorf("5 commits of a run took %d writes", n)
	}
}
