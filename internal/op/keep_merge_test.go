package op

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/repo"
	remotesync "github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

// runKept runs a verb on a branch of a machine.
func runKept(ctx context.Context, r *repo.Repo, fs vfs.FS, branch string, x interface {
	Run(ctx context.Context, s *Scope) (*Result, error)
}) error {
	_, err := x.Run(ctx, &Scope{Repo: r, FS: fs, Dir: "/", Branch: branch, Clock: tick{}, Author: Author{keptBy.Name, keptBy.Email}})
	return err
}

// keptFork makes the branch fix of main, commits that count the same counter on both, differently, and more counters of fix alone.
func keptFork(t *testing.T, r *repo.Repo) {
	t.Helper()
	keptForkOf(t, r, 1, 1, 2)
}

// keptForkOf is keptFork where fix counts these.
func keptForkOf(t *testing.T, r *repo.Repo, counts ...int64) {
	t.Helper()
	ctx := t.Context()
	head, _ := r.BranchHead("main")
	keptOK(t, r.CreateBranch(ctx, "fix", head, false))
	keptOK(t, countUp(ctx, r, "main", 1, false))
	for _, id := range counts {
		keptOK(t, countUp(ctx, r, "fix", id, false))
	}
	for _, b := range []string{"main", "fix"} {
		_, err := r.Commit(ctx, repo.CommitOptions{Branch: b, Message: "on " + b, Author: keptBy, All: true})
		keptOK(t, err)
	}
}

// conflicting are the rows in conflict that a machine sees on main, as base/ours/theirs of v.
func conflicting(t *testing.T, r *repo.Repo) string {
	t.Helper()
	ctx := t.Context()
	s, err := r.SnapshotWorking("main")
	keptOK(t, err)
	m, err := s.Merging(ctx)
	keptOK(t, err)
	if m == nil {
		return "no merge"
	}
	var out []string
	for _, x := range m.Tables {
		c, err := repo.OpenConflicts(ctx, s, x)
		keptOK(t, err)
		keptOK(t, c.Each(ctx, func(x repo.Conflict) error {
			out = append(out, fmt.Sprintf("%d:%d/%d/%d", x.Ours[0].Int(), x.Base[1].Int(), x.Ours[1].Int(), x.Theirs[1].Int()))
			return nil
		}))
	}
	return strings.Join(out, " ")
}

// keptGarbage collects the garbage of the database in the bucket, all of it.
func keptGarbage(t *testing.T, fs vfs.FS) {
	t.Helper()
	at := keptRemote(t, fs, nil)
	for range 2 {
		_, err := (&remotesync.Collect{Remote: at, Now: time.Now()}).Run(t.Context())
		keptOK(t, err)
	}
}

// keptVersion is how the object of a branch begins.
func keptVersion(t *testing.T, fs vfs.FS, branch string) string {
	t.Helper()
	data, _, err := keptStore(t, fs, nil).Get(t.Context(), "refs/heads/"+branch)
	keptOK(t, err)
	first, _, _ := strings.Cut(string(data), "\n")
	return first
}

// TestKeptConflicts: a merge with conflicts on one machine is seen, settled, committed and given up on others, also when the branch it came from is
// gone and its garbage removed.
func TestKeptConflicts(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	a, b := keptMachine(t, fs, "a", 0, nil), keptMachine(t, fs, "b", 0, nil)
	keptFork(t, a)
	keptOK(t, countUp(ctx, b, "side", 5, false)) // who works on another branch
	const want = "1:0/1/2"
	keptOK(t, runKept(ctx, a, fs, "main", &Merge{Args: []string{"fix"}}))
	if got := conflicting(t, a); got != want {
		t.Fatalf("the conflicts are %q, want %q", got, want)
	}
	if got := keptVersion(t, fs, "main"); got != "stemma ref 4" {
		t.Errorf("the ref begins with %q, which older programs take for what they know", got)
	}
	// What moves takes it along.
	keptOK(t, a.RenameBranch(ctx, "main", "other", false))
	keptOK(t, a.RenameBranch(ctx, "other", "main", false))
	theirs, _ := a.BranchHead("fix")
	keptOK(t, a.DeleteBranch(ctx, "fix", "", true))
	keptGarbage(t, fs)
	keptOK(t, b.RefreshKept(ctx))
	c := keptMachine(t, fs, "c", 0, nil) // which has seen nothing of it before
	for _, r := range []*repo.Repo{b, c} {
		if got := conflicting(t, r); got != want {
			t.Fatalf("another machine sees the conflicts %q, want %q", got, want)
		}
		if v, _ := counters(t, r, "main"); v != 2 {
			t.Errorf("another machine counts %d, want 2", v)
		}
	}
	// It is given up by one and begun again by another.
	keptOK(t, runKept(ctx, c, fs, "main", &Merge{Abort: true}))
	keptOK(t, b.RefreshKept(ctx))
	if got := conflicting(t, b); got != "no merge" {
		t.Fatalf("a merge that was given up is there: %s", got)
	}
	if v, _ := counters(t, b, "main"); v != 1 {
		t.Errorf("after giving up: %d counts, want 1", v)
	}
	keptOK(t, runKept(ctx, b, fs, "main", &Merge{Args: []string{theirs.Full()}}))
	// What is committed is refused as long as conflicts are left, by whoever does it.
	_, err := c.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "too early", Author: keptBy, All: true})
	if err == nil {
		keptOK(t, c.RefreshKept(ctx))
		_, err = c.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "too early", Author: keptBy, All: true})
	}
	if err == nil {
		t.Fatal("a merge with conflicts was committed")
	}
	keptOK(t, c.RefreshKept(ctx))
	keptOK(t, runKept(ctx, c, fs, "main", &ConflictsResolve{Theirs: true, Tables: []string{"."}}))
	done, err := a.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "late", Author: keptBy, All: true})
	if err == nil { // which did not know of the merge, and had something else to commit: nothing
		t.Fatalf("committed %v", done)
	}
	keptOK(t, a.RefreshKept(ctx))
	done, err = a.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "merged", Author: keptBy, All: true})
	keptOK(t, err)
	if len(done.Parents) != 2 || done.Parents[1] != theirs {
		t.Errorf("the commit has the parents %v, want the second to be %s", done.Parents, theirs)
	}
	keptGarbage(t, fs)
	d := keptMachine(t, fs, "d", 0, nil)
	if got := conflicting(t, d); got != "no merge" {
		t.Errorf("a merge that was committed is in progress: %s", got)
	}
	if v, _ := counters(t, d, "main"); v != 3 {
		t.Errorf("%d counts, want 3", v)
	}
	if got := keptVersion(t, fs, "main"); got == "stemma ref 4" {
		t.Error("the ref goes on being one that older programs do not read")
	}
	if got, _ := messages(t, d, "main"); !strings.Contains(got, "on fix") {
		t.Errorf("the history lacks the other side: %s", got)
	}
}

// TestKeptPicks: a cherry-pick and a revert with conflicts are those of all machines.
func TestKeptPicks(t *testing.T) {
	for name, begin := range map[string]func(ctx context.Context, r *repo.Repo, fs vfs.FS) error{
		"cherry-pick": func(ctx context.Context, r *repo.Repo, fs vfs.FS) error {
			return runKept(ctx, r, fs, "main", &CherryPick{Args: []string{"fix"}})
		},
		"revert": func(ctx context.Context, r *repo.Repo, fs vfs.FS) error {
			if err := countUp(ctx, r, "main", 1, false); err != nil {
				return err
			}
			if _, err := r.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "later", Author: keptBy, All: true}); err != nil {
				return err
			}
			return runKept(ctx, r, fs, "main", &Revert{Args: []string{"main~1"}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, fs := t.Context(), vfs.NewMem()
			keptWorld(t, fs)
			a, b := keptMachine(t, fs, "a", 0, nil), keptMachine(t, fs, "b", 0, nil)
			keptFork(t, a)
			if err := begin(ctx, a, fs); err != nil && !errs.Is(err, errs.Conflict) {
				t.Fatal(err)
			}
			keptOK(t, b.RefreshKept(ctx))
			want := conflicting(t, a)
			if got := conflicting(t, b); got != want || !strings.HasPrefix(got, "1:") {
				t.Fatalf("the conflicts are %q there and %q here", want, got)
			}
			keptOK(t, runKept(ctx, b, fs, "main", &ConflictsResolve{Ours: true, Tables: []string{"c"}}))
			keptOK(t, a.RefreshKept(ctx))
			if m, err := a.Merging(ctx, "main"); err != nil || m == nil || len(m.Tables) > 0 {
				t.Errorf("what another machine has settled is %+v, %v", m, err)
			}
		})
	}
}

// TestKeptMergeRaces: of two machines that begin a merge, or end one, at the same moment one does it; the other is told, and nothing is lost.
func TestKeptMergeRaces(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	a, b := keptMachine(t, fs, "a", 0, nil), keptMachine(t, fs, "b", 0, nil)
	keptFork(t, a)
	keptOK(t, b.RefreshKept(ctx))
	keptOK(t, runKept(ctx, a, fs, "main", &Merge{Args: []string{"fix"}}))
	if err := runKept(ctx, b, fs, "main", &Merge{Args: []string{"fix"}}); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "active merge") {
		t.Fatalf("the second merge: %v", err)
	}
	// A transaction on other rows goes beside it, and the merge stays.
	keptOK(t, countUp(ctx, b, "main", 7, false))
	keptOK(t, a.RefreshKept(ctx))
	if v, _ := counters(t, a, "main"); v != 3 {
		t.Errorf("%d counts, want 3", v)
	}
	// Both settle: the one that comes later has begun on what is no more.
	one, err := a.Begin(ctx, "main")
	keptOK(t, err)
	two, err := b.Begin(ctx, "main")
	keptOK(t, err)
	keptOK(t, one.ResolveConflicts(ctx, nil, false))
	keptOK(t, two.ResolveConflicts(ctx, nil, true))
	keptOK(t, one.Commit(ctx))
	if err := two.Commit(ctx); !errs.Is(err, errs.Conflict) {
		t.Fatalf("conflicts were settled twice: %v", err)
	}
	// One gives it up while the other commits it.
	_, err = a.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "merged", Author: keptBy, All: true})
	keptOK(t, err)
	if err := runKept(ctx, b, fs, "main", &Merge{Abort: true}); err == nil {
		t.Fatal("a merge that was committed was given up")
	}
	keptOK(t, b.RefreshKept(ctx))
	for _, r := range []*repo.Repo{a, b} {
		if v, _ := counters(t, r, "main"); v != 3 || conflicting(t, r) != "no merge" {
			t.Errorf("%d counts, want 3; %s", v, conflicting(t, r))
		}
	}
}

// TestKeptPushOverMerge: what is in progress on a branch is not pushed over, and clones have nothing of it.
func TestKeptPushOverMerge(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	a := keptMachine(t, fs, "a", 0, nil)
	keptForkOf(t, a, 1, 1) // so that the working set is the head's, and there is nothing but the merge
	keptOK(t, runKept(ctx, a, fs, "main", &Merge{Args: []string{"fix"}}))
	settings := filepath.Join(t.TempDir(), "config")
	_, err := (&Clone{Name: "origin", URL: keptURL(fs), Dir: "clone"}).Run(ctx, &Scope{FS: fs, Dir: "/", Clock: tick{}, Settings: Settings{Local: settings}})
	keptOK(t, err)
	clone, err := repo.Open(ctx, fs, "/clone", repo.Options{})
	keptOK(t, err)
	defer clone.Close(ctx)
	if m, err := clone.Merging(ctx, "main"); err != nil || m != nil {
		t.Errorf("a clone has the merge: %v, %v", m, err)
	}
	keptOK(t, countUp(ctx, clone, "main", 3, false))
	_, err = clone.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "mine", Author: keptBy, All: true})
	keptOK(t, err)
	for _, force := range []bool{false, true} {
		_, err = (&Push{Remote: keptURL(fs), Refs: []string{"main"}, Force: force, NoLease: force}).Run(ctx, &Scope{Repo: clone, FS: fs, Dir: "/clone", Settings: Settings{Local: settings}})
		if err == nil || !strings.Contains(err.Error(), "uncommitted changes there") {
			t.Errorf("a push over a merge in progress, force %t: %v", force, err)
		}
	}
}

// keptCut has a verb of a machine be cut off at each of its requests in turn: check is told what another machine sees then, which must be all of it or
// nothing, and whether the verb said that it was done; more is that it is done again by another machine where it was not.
func keptCut(t *testing.T, prepare func(t *testing.T, r *repo.Repo, fs vfs.FS), verb func(ctx context.Context, r *repo.Repo, fs vfs.FS) error, done func(t *testing.T, r *repo.Repo) bool) {
	t.Helper()
	ctx := t.Context()
	for n := 0; ; n++ {
		fs := vfs.NewMem()
		keptWorld(t, fs)
		cut := &cutOff{left: 1 << 30}
		r := keptMachine(t, fs, "a", 0, func(s object.Store) object.Store { cut.Store = s; return cut })
		prepare(t, r, fs)
		cut.set(n)
		err := verb(ctx, r, fs)
		keptGarbage(t, fs)
		b := keptMachine(t, fs, "b", 0, nil)
		was := done(t, b)
		if err == nil && !was {
			t.Fatalf("cut at request %d: what was acknowledged is not there", n)
		}
		if !was {
			if err := verb(ctx, b, fs); err != nil {
				t.Fatalf("cut at request %d, another machine does it: %v", n, err)
			}
			if !done(t, b) {
				t.Fatalf("cut at request %d: another machine has done it, and it is not there", n)
			}
		}
		cut.set(1 << 30)
		keptOK(t, r.RefreshKept(ctx))
		if !done(t, r) {
			t.Fatalf("cut at request %d: the machine that comes back does not see it", n)
		}
		keptOK(t, countUp(ctx, r, "side", 1, false))
		if err == nil {
			if n < 3 {
				t.Errorf("the verb took %d requests only: the test does not test", n)
			}
			return
		}
	}
}

// TestKeptMergeCut: a machine that dies in the middle of beginning, settling, giving up or committing a merge leaves what was before it, or after it.
func TestKeptMergeCut(t *testing.T) {
	begin := func(ctx context.Context, r *repo.Repo, fs vfs.FS) error {
		return runKept(ctx, r, fs, "main", &Merge{Args: []string{"fix"}})
	}
	inMerge := func(t *testing.T, r *repo.Repo, fs vfs.FS) {
		keptFork(t, r)
		keptOK(t, begin(t.Context(), r, fs))
	}
	settled := func(t *testing.T, r *repo.Repo) bool {
		m, err := r.Merging(t.Context(), "main")
		keptOK(t, err)
		return m != nil && len(m.Tables) == 0
	}
	resolve := func(ctx context.Context, r *repo.Repo, fs vfs.FS) error {
		return runKept(ctx, r, fs, "main", &ConflictsResolve{Theirs: true, Tables: []string{"."}})
	}
	for name, x := range map[string]struct {
		prepare func(t *testing.T, r *repo.Repo, fs vfs.FS)
		verb    func(ctx context.Context, r *repo.Repo, fs vfs.FS) error
		done    func(t *testing.T, r *repo.Repo) bool
	}{
		"begin": {func(t *testing.T, r *repo.Repo, _ vfs.FS) { keptFork(t, r) }, begin, func(t *testing.T, r *repo.Repo) bool {
			got := conflicting(t, r)
			v, _ := counters(t, r, "main")
			if got == "no merge" && v == 1 {
				return false
			}
			if got != "1:0/1/2" || v != 2 {
				t.Fatalf("half a merge: %s, %d counts", got, v)
			}
			return true
		}},
		"settle": {inMerge, resolve, settled},
		"abort": {inMerge, func(ctx context.Context, r *repo.Repo, fs vfs.FS) error {
			return runKept(ctx, r, fs, "main", &Merge{Abort: true})
		}, func(t *testing.T, r *repo.Repo) bool {
			v, _ := counters(t, r, "main")
			return conflicting(t, r) == "no merge" && v == 1
		}},
		"rename": {inMerge, func(ctx context.Context, r *repo.Repo, _ vfs.FS) error {
			return r.RenameBranch(ctx, "main", "trunk", false)
		}, func(t *testing.T, r *repo.Repo) bool {
			_, old := r.BranchHead("main")
			_, now := r.BranchHead("trunk")
			if old == now {
				t.Fatalf("main is there: %t, and trunk: %t", old, now)
			}
			if now {
				m, err := r.Merging(t.Context(), "trunk")
				keptOK(t, err)
				if m == nil || len(m.Tables) != 1 {
					t.Fatalf("the merge is %+v", m)
				}
			}
			return now
		}},
		"commit": {func(t *testing.T, r *repo.Repo, fs vfs.FS) {
			inMerge(t, r, fs)
			keptOK(t, resolve(t.Context(), r, fs))
		}, func(ctx context.Context, r *repo.Repo, fs vfs.FS) error {
			return runKept(ctx, r, fs, "main", &Merge{Continue: true})
		}, func(t *testing.T, r *repo.Repo) bool {
			head, _ := r.BranchHead("main")
			c, err := history.GetCommit(t.Context(), r.Store(), head)
			keptOK(t, err)
			return len(c.Parents) == 2 && conflicting(t, r) == "no merge"
		}},
	} {
		t.Run(name, func(t *testing.T) { keptCut(t, x.prepare, x.verb, x.done) })
	}
}

// TestKeptAbortOther: an abort gives up the merge that its machine knows, settled by others meanwhile or not, and none of something else that was begun since.
func TestKeptAbortOther(t *testing.T) {
	for _, other := range []bool{true, false} {
		ctx, fs := t.Context(), vfs.NewMem()
		keptWorld(t, fs)
		a, b := keptMachine(t, fs, "a", 0, nil), keptMachine(t, fs, "b", 0, nil)
		keptFork(t, a)
		keptOK(t, runKept(ctx, a, fs, "main", &Merge{Args: []string{"fix"}}))
		keptOK(t, b.RefreshKept(ctx))
		if other {
			_, err := b.AbortMerge(ctx, "main")
			keptOK(t, err)
			keptOK(t, runKept(ctx, b, fs, "main", &Merge{Args: []string{"side"}}))
		} else {
			keptOK(t, runKept(ctx, b, fs, "main", &ConflictsResolve{Ours: true, Tables: []string{"."}}))
		}
		was, err := b.Merging(ctx, "main")
		keptOK(t, err)
		if was == nil {
			t.Fatal("no merge is in progress")
		}
		_, err = a.AbortMerge(ctx, "main") // of which a has not heard
		if errs.Is(err, errs.Conflict) != other || err != nil && !other {
			t.Errorf("with another merge in progress %v: %v", other, err)
		}
		keptOK(t, a.RefreshKept(ctx))
		keptOK(t, b.RefreshKept(ctx))
		for _, r := range []*repo.Repo{a, b} {
			now, err := r.Merging(ctx, "main")
			keptOK(t, err)
			if (now != nil) != other || other && now.Theirs != was.Theirs {
				t.Errorf("in progress is %+v", now)
			}
		}
	}
}
