package op

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/repo"
	remotesync "github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

// TestKeptAnew: what is restored from a bucket and pushed there anew needs nothing that was there before, whatever branches told of runs; machines that
// were there go on. Stashes, and what is not committed, are in the way.
func TestKeptAnew(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	a := keptMachine(t, fs, "a", 0, nil)
	for _, branch := range []string{"main", "side"} {
		head := mustHead(t, a, "main")
		keptOK(t, a.CreateTag(ctx, "of-"+branch, history.Tag{Commit: head, Tagger: keptBy}, false))
		_, err := countFor(ctx, a, "train "+branch, branch, 1)
		keptOK(t, err)
	}
	keptOK(t, a.DeleteBranch(ctx, "side", "", true)) // whose object goes on telling of its run
	settings := filepath.Join(t.TempDir(), "config")
	scope := &Scope{FS: fs, Dir: "/", Clock: tick{}, Settings: Settings{Local: settings}}
	_, err := (&Backup{Path: "restore", Args: []string{keptURL(fs), "copy"}}).Run(ctx, scope)
	keptOK(t, err)
	copied, err := repo.Open(ctx, fs, "/copy", repo.Options{})
	keptOK(t, err)
	defer copied.Close(ctx)
	push := func() error {
		_, err := (&Push{Mirror: true, NoLease: true, Anew: true, Remote: keptURL(fs)}).Run(ctx, &Scope{Repo: copied, FS: fs, Dir: "/copy", Clock: tick{}, Settings: Settings{Local: settings}})
		return err
	}
	packs := func() map[string]bool { return keptNames(t, fs, "packs/") }
	keptOK(t, countUp(ctx, a, "main", 3, false))
	if err := push(); err == nil || !strings.Contains(err.Error(), "uncommitted changes there") {
		t.Fatalf("it was pushed over uncommitted changes: %v", err)
	}
	keptOK(t, runKept(ctx, a, fs, "main", &Stash{Message: "half"}))
	if err := push(); err == nil || !strings.Contains(err.Error(), "stashes/dolt-cli") {
		t.Fatalf("it was pushed anew beside stashes: %v", err)
	}
	keptOK(t, runKept(ctx, a, fs, "main", &Stash{Args: []string{"drop"}}))
	before := packs()
	keptOK(t, push())
	keptGarbage(t, fs)
	for n := range packs() {
		if before[n] {
			t.Errorf("the pack %s of before is there", n)
		}
	}
	keptOK(t, countUp(ctx, a, "main", 4, false))
	b := keptMachine(t, fs, "b", 0, nil)
	for _, r := range []*repo.Repo{a, b} {
		if v, _ := counters(t, r, "main"); v != 2 {
			t.Errorf("%d counts, want 2", v)
		}
		for _, run := range []string{"train main", "train side"} {
			if _, ok, err := r.Lineage().Run(ctx, runOf(run)); err != nil || !ok {
				t.Errorf("the run %s is not known: %v", run, err)
			}
		}
		soundRuns(t, r)
	}
}

// untidy is a store that puts no refs any more once a change of several is decided.
type untidy struct {
	object.Store
	decided bool
}

// Put implements object.Store.
func (u *untidy) Put(ctx context.Context, name string, body object.Body, on object.Condition) error {
	if u.decided && strings.HasPrefix(name, "refs/") {
		return errs.New(errs.Denied, "cut off")
	}
	err := u.Store.Put(ctx, name, body, on)
	u.decided = u.decided || strings.HasPrefix(name, "changes/") && (err == nil || errs.Is(err, errs.Conflict)) // an answer may have been lost
	return err
}

// TestKeptAnewUntidy: a machine died when it had ended a rebase, before its refs were tidied up. What the rebase had replaced is needed by nothing when all
// was pushed anew, and by nothing of that push when its program died so too.
func TestKeptAnewUntidy(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	cut := &untidy{}
	a := keptMachine(t, fs, "a", 0, func(s object.Store) object.Store { cut.Store = s; return cut })
	keptOK(t, countUp(ctx, a, "side", 1, false))
	_, err := a.Commit(ctx, repo.CommitOptions{Branch: "side", Message: "secret", Author: keptBy, All: true})
	keptOK(t, err)
	_, err = a.StartRebase(ctx, "side", mustHead(t, a, "main"), false)
	keptOK(t, err)
	cut.decided = false
	_, err = a.EndRebase(ctx, "dolt_rebase_side", nil, true)
	keptOK(t, err)
	if !cut.decided {
		t.Fatal("the branches of the rebase were not changed together")
	}
	scope := &Scope{FS: fs, Dir: "/", Clock: tick{}, Settings: Settings{Local: filepath.Join(t.TempDir(), "config")}}
	_, err = (&Backup{Path: "restore", Args: []string{keptURL(fs), "copy"}}).Run(ctx, scope)
	keptOK(t, err)
	copied, err := repo.Open(ctx, fs, "/copy", repo.Options{})
	keptOK(t, err)
	defer copied.Close(ctx)
	packs := func() map[string]bool { return keptNames(t, fs, "packs/") }
	before := packs()
	_, err = (&Push{Mirror: true, NoLease: true, Anew: true, Remote: keptURL(fs)}).Run(ctx, &Scope{Repo: copied, FS: fs, Dir: "/copy", Clock: tick{}, Settings: scope.Settings})
	keptOK(t, err)
	keptGarbage(t, fs)
	between := packs()
	for n := range between {
		if before[n] {
			t.Errorf("the pack %s of before is there", n)
		}
	}
	if refs := keptNames(t, fs, "refs/heads/"); len(refs) != 2 {
		t.Errorf("what is left of the rebase's branch did not go: %v", refs)
	}

	c, err := history.GetCommit(ctx, copied.Store(), mustHead(t, copied, "main"))
	keptOK(t, err)
	for _, b := range []string{"main", "side"} {
		keptOK(t, copied.ResetHard(ctx, b, c.Parents[0]))
	}
	at := keptRemote(t, fs, func(s object.Store) object.Store { return &untidy{Store: s} })
	p := &remotesync.Push{Remote: at, Store: copied.Store(), FS: fs, Temp: copied.TempDir(), Atomic: true, Anew: true, Held: remotesync.HeldIn(fs, copied.Dir())}
	var wants []remotesync.Want
	for _, b := range copied.Branches() {
		wants = append(wants, remotesync.Want{Name: remotesync.Heads + b.Name, Commit: b.Head, Force: true})
	}
	_, _, err = p.Run(ctx, wants)
	keptOK(t, err)
	keptGarbage(t, fs)
	for n := range packs() {
		if between[n] {
			t.Errorf("the pack %s of before is there", n)
		}
	}
	for _, r := range []string{"main", "side"} {
		want := mustHead(t, copied, r)
		keptOK(t, a.RefreshKept(ctx))
		if got := mustHead(t, a, r); got != want {
			t.Errorf("%s is %s, want %s", r, got, want)
		}
	}
}

// meddler is progress in whose n-th piece of work somebody else does something.
type meddler struct {
	left int
	do   func()
}

// Start implements Progress.
func (m *meddler) Start(string, int64, string) Task {
	if m.left--; m.left == 0 {
		m.do()
	}
	return noTask{}
}

// TestKeptAnewAtOnce: a commit that is made while all is pushed anew stays, with what it tells of its run, whatever the push is forced to do: the push fails, or
// the commit comes after it.
func TestKeptAnewAtOnce(t *testing.T) {
	ctx := t.Context()
	failed := 0
	for n := 1; ; n++ {
		fs := vfs.NewMem()
		keptWorld(t, fs)
		a := keptMachine(t, fs, "a", 0, nil)
		_, err := countFor(ctx, a, "early", "main", 1)
		keptOK(t, err)
		scope := &Scope{FS: fs, Dir: "/", Clock: tick{}, Settings: Settings{Local: filepath.Join(t.TempDir(), "config")}}
		_, err = (&Backup{Path: "restore", Args: []string{keptURL(fs), "copy"}}).Run(ctx, scope)
		keptOK(t, err)
		copied, err := repo.Open(ctx, fs, "/copy", repo.Options{})
		keptOK(t, err)
		keptOK(t, countUp(ctx, copied, "main", 5, false)) // so that what others have committed would be lost
		_, err = copied.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "ours", Author: keptBy, All: true})
		keptOK(t, err)
		_, err = countFor(ctx, a, "middle", "main", 2) // seen by the push, which may overwrite it, but not what it tells of runs
		keptOK(t, err)
		var late *history.Commit
		m := &meddler{left: n, do: func() { late, err = countFor(ctx, a, "late", "main", 3) }}
		_, pushErr := (&Push{Mirror: true, NoLease: true, Anew: true, Remote: keptURL(fs)}).Run(ctx, &Scope{Repo: copied, FS: fs, Dir: "/copy", Clock: tick{}, Settings: scope.Settings, Progress: m})
		keptOK(t, err)
		if late == nil { // the push has fewer pieces
			keptOK(t, pushErr)
			if failed == 0 || n < 3 {
				t.Errorf("%d of %d pushes failed: the test does not test", failed, n)
			}
			keptOK(t, copied.Close(ctx))
			return
		}
		if pushErr != nil {
			failed++
			if !errs.Is(pushErr, errs.Conflict) || !strings.Contains(pushErr.Error(), "changed meanwhile") {
				t.Errorf("meddled with in piece %d: %v", n, pushErr)
			}
		}
		b := keptMachine(t, fs, "b", 0, nil)
		if ok, err := history.IsAncestor(ctx, b.Store(), late.ID, mustHead(t, b, "main")); err != nil || !ok {
			t.Errorf("meddled with in piece %d: the commit is lost (%v); the push said %v", n, err, pushErr)
		}
		for _, run := range []string{"early", "middle", "late"} {
			if _, ok, err := b.Lineage().Run(ctx, runOf(run)); err != nil || !ok {
				t.Errorf("meddled with in piece %d: the run %s is lost (%v); the push said %v", n, run, err, pushErr)
			}
		}
		soundRuns(t, b)
		keptOK(t, copied.Close(ctx))
	}
}
