package op

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/objecttest"
	"github.com/stemmadb/stemma/internal/repo"
	remotesync "github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

// TestKeptTogether: what two machines change lands where they change different cells, and one is refused where they change the same; commits,
// branches and tags of one are seen by the other.
func TestKeptTogether(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	a, b := keptMachine(t, fs, "a", 0, nil), keptMachine(t, fs, "b", 0, nil)
	// Neither has seen what the other has done.
	keptOK(t, countUp(ctx, a, "main", 1, false))
	keptOK(t, countUp(ctx, b, "main", 2, false))
	keptOK(t, countUp(ctx, a, "main", 1, true)) // a has not seen b's
	one, err := a.Begin(ctx, "main")
	keptOK(t, err)
	two, err := b.Begin(ctx, "main")
	keptOK(t, err)
	keptOK(t, countIn(ctx, one, 3, false))
	keptOK(t, countIn(ctx, two, 3, false))
	keptOK(t, one.Commit(ctx))
	if err := two.Commit(ctx); !errs.Is(err, errs.Conflict) {
		t.Fatalf("the same cell was changed twice: %v", err)
	}
	keptOK(t, countUp(ctx, b, "main", 3, false)) // it has been told, and begins anew
	keptOK(t, a.RefreshKept(ctx))
	for _, r := range []*repo.Repo{a, b} {
		if v, w := counters(t, r, "main"); v != 4 || w != 1 {
			t.Errorf("the sums are %d and %d, want 4 and 1", v, w)
		}
	}
	c, err := a.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "counted", Author: keptBy, All: true})
	keptOK(t, err)
	keptOK(t, a.CreateBranch(ctx, "new", c.ID, false))
	keptOK(t, a.CreateTag(ctx, "v1", history.Tag{Commit: c.ID, Tagger: keptBy}, false))
	keptOK(t, a.DeleteBranch(ctx, "side", "", true))
	keptOK(t, b.RefreshKept(ctx))
	if head, _ := b.BranchHead("new"); head != c.ID {
		t.Errorf("the new branch is at %s, want %s", head, c.ID)
	}
	if head, _ := b.BranchHead("main"); head != c.ID {
		t.Errorf("main is at %s, want %s", head, c.ID)
	}
	if _, ok, err := b.TagNamed(ctx, "v1"); err != nil || !ok {
		t.Errorf("the tag is not there: %v", err)
	}
	if _, ok := b.BranchHead("side"); ok {
		t.Error("a branch that was removed is there")
	}
	if _, err := b.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "nothing", Author: keptBy, All: true}); !errs.Is(err, errs.NothingToDo) {
		t.Errorf("what is committed already was committed again: %v", err)
	}
	// Two branches change together or not at all.
	x, err := b.Begin(ctx, "main")
	keptOK(t, err)
	y, err := b.Begin(ctx, "new")
	keptOK(t, err)
	keptOK(t, countIn(ctx, x, 5, false))
	keptOK(t, countIn(ctx, y, 5, false))
	keptOK(t, countUp(ctx, a, "new", 5, false))
	if err := repo.CommitTogether(ctx, x, y); !errs.Is(err, errs.Conflict) {
		t.Fatalf("of two branches one was changed by others: %v", err)
	}
	keptOK(t, a.RefreshKept(ctx))
	if v, _ := counters(t, a, "main"); v != 4 {
		t.Errorf("half of a transaction is there: %d", v)
	}
	// Who clones has what is committed, and may not push over what is not.
	settings := filepath.Join(t.TempDir(), "config")
	_, err = (&Clone{Name: "origin", URL: keptURL(fs), Dir: "clone", Most: 1}).Run(ctx, &Scope{FS: fs, Dir: "/", Clock: tick{}, Settings: Settings{Local: settings}})
	keptOK(t, err)
	clone, err := repo.Open(ctx, fs, "/clone", repo.Options{})
	keptOK(t, err)
	defer clone.Close(ctx)
	if head, _ := clone.BranchHead("main"); head != c.ID {
		t.Errorf("a clone is at %s, want %s", head, c.ID)
	}
	keptOK(t, clone.CreateBranch(ctx, "new", c.ID, false))
	tx, err := clone.Begin(ctx, "new")
	keptOK(t, err)
	keptOK(t, countIn(ctx, tx, 6, false))
	keptOK(t, tx.Commit(ctx))
	_, err = clone.Commit(ctx, repo.CommitOptions{Branch: "new", Message: "mine", Author: keptBy, All: true})
	keptOK(t, err)
	_, err = (&Push{Remote: keptURL(fs), Refs: []string{"new"}}).Run(ctx, &Scope{Repo: clone, FS: fs, Dir: "/clone", Settings: Settings{Local: settings}})
	if err == nil || !strings.Contains(err.Error(), "uncommitted changes there") {
		t.Errorf("a push over uncommitted changes: %v", err)
	}
}

// TestKeptModel has machines count at once, some of which are cut off in the middle: each count that was acknowledged is there once, and of those
// whose outcome is not known each once or not at all.
func TestKeptModel(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { keptModel(t, seed) })
	}
}

func keptModel(t *testing.T, seed uint64) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	var mu sync.Mutex
	done := map[string]int64{}
	open := map[string]int64{}
	var wait sync.WaitGroup
	for m := range 3 {
		seed := seed*10 + uint64(m)
		fault := func(s object.Store) object.Store {
			return objecttest.NewFaulty(s, seed, 60)
		}
		r := keptMachine(t, fs, fmt.Sprint("m", m), 20*time.Millisecond, fault)
		for g := range 3 {
			rng := rand.New(rand.NewPCG(seed, uint64(g)))
			wait.Go(func() {
				for range 7 {
					branch := []string{"main", "side"}[rng.IntN(2)]
					id, other := rng.Int64N(10), rng.IntN(2) == 0
					err := countUp(ctx, r, branch, id, other)
					key := fmt.Sprint(branch, " ", other)
					mu.Lock()
					switch {
					case err == nil:
						done[key]++
					case errs.Is(err, errs.Unavailable):
						open[key]++
					case !errs.Is(err, errs.Conflict):
						t.Error(err)
					}
					mu.Unlock()
					if rng.IntN(6) == 0 {
						_, err := r.Commit(ctx, repo.CommitOptions{Branch: branch, Message: "counted", Author: keptBy, All: true})
						if err != nil && !errs.Is(err, errs.NothingToDo) && !errs.Is(err, errs.Conflict) && !errs.Is(err, errs.Unavailable) {
							t.Error(err)
						}
					}
				}
			})
		}
	}
	wait.Wait()
	r := keptMachine(t, fs, "last", 0, nil)
	total := int64(0)
	for _, branch := range []string{"main", "side"} {
		v, w := counters(t, r, branch)
		for other, have := range map[bool]int64{false: v, true: w} {
			key := fmt.Sprint(branch, " ", other)
			if have < done[key] || have > done[key]+open[key] {
				t.Errorf("%s: %d counts are there, %d were acknowledged and the outcome of %d is not known", key, have, done[key], open[key])
			}
			total += done[key]
		}
	}
	if total < 12 {
		t.Errorf("only %d of 63 counts came to something", total)
	}
}

// TestKeptGroups: where a ref can be written once a second, transactions that wait for it go in one write, and branches do not wait for each
// other.
func TestKeptGroups(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	few := &fewWrites{pause: time.Second, last: map[string]time.Time{}, puts: map[string]int{}}
	r := keptMachine(t, fs, "a", 0, func(s object.Store) object.Store { few.Store = s; return few })
	began := time.Now()
	var wait sync.WaitGroup
	const rounds, writers = 4, 8
	for _, branch := range []string{"main", "side"} {
		for i := range int64(writers) {
			wait.Go(func() {
				for range rounds {
					if err := countUp(ctx, r, branch, i, false); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wait.Wait()
	took := time.Since(began)
	for _, branch := range []string{"main", "side"} {
		if v, _ := counters(t, r, branch); v != rounds*writers {
			t.Errorf("%s: %d counts, want %d", branch, v, rounds*writers)
		}
		// All wait for the write under way, and go in the next one.
		puts := few.puts["refs/heads/"+branch]
		t.Logf("%s: %d writes for %d transactions in %s", branch, puts, rounds*writers, took)
		if puts > 2*rounds {
			t.Errorf("%s: %d writes for %d rounds of transactions", branch, puts, rounds)
		}
	}
}

// TestKeptOneWrite: a transaction with its version commit is one write of the ref, and so is each that comes alone.
func TestKeptOneWrite(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	few := &fewWrites{last: map[string]time.Time{}, puts: map[string]int{}}
	r := keptMachine(t, fs, "a", 0, func(s object.Store) object.Store { few.Store = s; return few })
	for i := range int64(5) {
		tx, err := r.Begin(ctx, "main")
		keptOK(t, err)
		keptOK(t, countIn(ctx, tx, i, false))
		_, err = tx.CommitAs(ctx, repo.CommitOptions{Branch: "main", Message: "one", Author: keptBy}, nil)
		keptOK(t, err)
	}
	if n := few.puts["refs/heads/main"]; n != 5 {
		t.Errorf("5 transactions with a version commit took %d writes", n)
	}
	keptOK(t, countUp(ctx, r, "main", 1, false))
	if n := few.puts["refs/heads/main"]; n != 6 {
		t.Errorf("a transaction took %d writes", n-5)
	}
}

// TestKeptLists: lists of packs stay short however often a branch is swapped, and others read all.
func TestKeptLists(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	r := keptMachine(t, fs, "a", 0, nil)
	for i := range int64(150) {
		keptOK(t, countUp(ctx, r, "main", i%10, false))
	}
	at := keptRemote(t, fs, nil)
	refs, err := at.Refs(ctx)
	keptOK(t, err)
	packs, err := at.Packs(ctx, refs["heads/main"].Target)
	keptOK(t, err)
	if len(packs) > 70 {
		t.Errorf("the list has %d packs", len(packs))
	}
	b := keptMachine(t, fs, "b", 0, nil)
	if v, _ := counters(t, b, "main"); v != 150 {
		t.Errorf("%d counts, want 150", v)
	}
	keptOK(t, countUp(ctx, b, "main", 1, false))
}

// TestKeptFollows: a machine that sees what another does keeps no more of where that is than it must, and its cost does not grow.
func TestKeptFollows(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	a, b := keptMachine(t, fs, "a", 0, nil), keptMachine(t, fs, "b", 0, nil)
	for i := range int64(30) {
		keptOK(t, countUp(ctx, a, "main", i%10, false))
		keptOK(t, b.RefreshKept(ctx))
		if v, _ := counters(t, b, "main"); v != i+1 {
			t.Fatalf("%d counts are seen, want %d", v, i+1)
		}
	}
	if n := len(b.Partial().Lists); n > 3 {
		t.Errorf("%d lists of packs are noted for two branches", n)
	}
}

// TestKeptRewritten: a machine that was away while the history was rewritten, and what it has seen was removed, goes on with what is there.
func TestKeptRewritten(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	a := keptMachine(t, fs, "a", 0, nil)
	for i := range int64(5) {
		keptOK(t, countUp(ctx, a, "main", i, false))
	}
	_, err := a.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "counted", Author: keptBy, All: true})
	keptOK(t, err)
	keptOK(t, a.Close(ctx))
	settings := filepath.Join(t.TempDir(), "config")
	old, err := repo.Open(ctx, fs, "/db", repo.Options{}) // which has not seen that
	keptOK(t, err)
	defer old.Close(ctx)
	_, err = (&Push{Remote: keptURL(fs), Refs: []string{"main"}, Force: true, NoLease: true}).Run(ctx, &Scope{Repo: old, FS: fs, Dir: "/db", Settings: Settings{Local: settings}})
	keptOK(t, err)
	at := keptRemote(t, fs, nil)
	for range 2 {
		_, err = (&remotesync.Collect{Remote: at, Now: time.Now()}).Run(ctx)
		keptOK(t, err)
	}
	a = keptMachine(t, fs, "a", 0, nil)
	if v, _ := counters(t, a, "main"); v != 0 {
		t.Errorf("%d counts are there, which were overwritten", v)
	}
	keptOK(t, countUp(ctx, a, "main", 1, false))
}

// TestKeptRewrittenMeanwhile: a machine that works on while the history is rewritten, and what it counts on is removed, finds out at its next write.
func TestKeptRewrittenMeanwhile(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	a := keptMachine(t, fs, "a", 0, nil)
	for i := range int64(5) {
		keptOK(t, countUp(ctx, a, "main", i, false))
	}
	_, err := a.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "counted", Author: keptBy, All: true})
	keptOK(t, err)
	settings := filepath.Join(t.TempDir(), "config")
	old, err := repo.Open(ctx, fs, "/db", repo.Options{}) // which has not seen that
	keptOK(t, err)
	defer old.Close(ctx)
	_, err = (&Push{Remote: keptURL(fs), Refs: []string{"main"}, Force: true, NoLease: true}).Run(ctx, &Scope{Repo: old, FS: fs, Dir: "/db", Settings: Settings{Local: settings}})
	keptOK(t, err)
	at := keptRemote(t, fs, nil)
	for range 2 {
		_, err = (&remotesync.Collect{Remote: at, Now: time.Now()}).Run(ctx)
		keptOK(t, err)
	}
	keptOK(t, countUp(ctx, a, "main", 9, false))
	if v, _ := counters(t, a, "main"); v != 1 {
		t.Errorf("%d counts are there, want 1", v)
	}
}

// TestKeptDenied: who may read and not write is told so, and goes on reading what is there.
func TestKeptDenied(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	no := &denying{}
	r := keptMachine(t, fs, "a", 0, func(s object.Store) object.Store { no.Store = s; return no })
	no.on = true
	if err := countUp(ctx, r, "main", 1, false); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), keptURL(fs)) {
		t.Errorf("%v, want class denied and where", err)
	}
	if err := r.CreateBranch(ctx, "mine", history.CommitID{1}, false); err == nil {
		t.Error("a branch of nothing was made")
	}
	if v, _ := counters(t, r, "main"); v != 0 {
		t.Errorf("what was denied is seen: %d", v)
	}
	no.on = false
	keptOK(t, countUp(ctx, r, "main", 1, false))
	if v, _ := counters(t, r, "main"); v != 1 {
		t.Errorf("%d counts, want 1", v)
	}
}

// TestKeptCut: a machine that dies at any request of a transaction leaves the database as it was before it or after it, and the next one goes on.
func TestKeptCut(t *testing.T) {
	ctx := t.Context()
	for n := 0; ; n++ {
		fs := vfs.NewMem()
		keptWorld(t, fs)
		cut := &cutOff{left: 1 << 30}
		r := keptMachine(t, fs, "a", 0, func(s object.Store) object.Store { cut.Store = s; return cut })
		cut.set(n)
		err := countUp(ctx, r, "main", 1, false)
		// It comes back without what it had, and another takes its place.
		b := keptMachine(t, fs, "b", 0, nil)
		v, _ := counters(t, b, "main")
		if v > 1 || err == nil && v != 1 {
			t.Fatalf("cut at request %d: the count is %d, the answer was %v", n, v, err)
		}
		keptOK(t, countUp(ctx, b, "main", 1, false))
		cut.set(1 << 30)
		keptOK(t, r.RefreshKept(ctx))
		if now, _ := counters(t, r, "main"); now != v+1 {
			t.Fatalf("cut at request %d: the count is %d, want %d", n, now, v+1)
		}
		keptOK(t, countUp(ctx, r, "main", 1, false))
		if err == nil {
			if n < 4 {
				t.Errorf("a transaction took %d requests only: the test does not test", n)
			}
			return
		}
	}
}
