package op

import (
	"context"
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
	"github.com/stemmadb/stemma/internal/object/file"
	"github.com/stemmadb/stemma/internal/object/objecttest"
	"github.com/stemmadb/stemma/internal/remote"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	remotesync "github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

var keptBy = history.Signature{Name: "Ada", Email: "ada@example.org"}

// keptWorld makes a database with a table of counters at /rem, with the branches main and side.
func keptWorld(t *testing.T, fs vfs.FS) {
	t.Helper()
	remote.Register()
	ctx := t.Context()
	r := rebaseWorld(t, fs)
	defer r.Close(ctx)
	whole := value.Type{Kind: value.KindInt64}
	s := &schema.Schema{}
	for _, n := range []string{"id", "v", "w"} {
		s.Columns = append(s.Columns, schema.Column{ID: schema.AssignID(n, whole, nil, nil), Name: n, Type: whole})
	}
	s.PrimaryKey = []schema.IndexColumn{{Column: s.Columns[0].ID}}
	for _, b := range []string{"main", "side"} {
		tx, err := r.Begin(ctx, b)
		keptOK(t, err)
		keptOK(t, tx.CreateTable(ctx, "c", s))
		e, err := tx.Editor(ctx, "c")
		keptOK(t, err)
		for i := range 10 {
			keptOK(t, e.Insert(ctx, []value.Cell{value.IntCell(int64(i)), value.IntCell(0), value.IntCell(0)}))
		}
		keptOK(t, tx.Commit(ctx))
		_, err = r.Commit(ctx, repo.CommitOptions{Branch: b, Message: "counters", Author: keptBy, AddNew: true})
		keptOK(t, err)
	}
	settings := filepath.Join(t.TempDir(), "config")
	scope := &Scope{Repo: r, FS: fs, Dir: "/db", Settings: Settings{Local: settings}}
	_, err := (&Remote{Args: []string{"add", "origin", "/rem"}}).Run(ctx, scope)
	keptOK(t, err)
	_, err = (&Push{Remote: "origin", All: true}).Run(ctx, scope)
	keptOK(t, err)
}

func keptOK(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// keptMachine is a machine on which the database at /rem is worked on.
func keptMachine(t *testing.T, fs vfs.FS, name string, every time.Duration, in func(object.Store) object.Store) *repo.Repo {
	t.Helper()
	ctx := t.Context()
	dir := filepath.Join("/", name, "rem")
	keptOK(t, fs.MkdirAll(filepath.Dir(dir)))
	if _, err := repo.Locate(fs, dir); err != nil {
		keptOK(t, MakeKept(ctx, &Scope{FS: fs, Dir: "/", Clock: tick{}, Settings: Settings{Local: filepath.Join(t.TempDir(), "config")}}, "file:///rem", dir))
	}
	r, err := repo.Open(ctx, fs, dir, repo.Options{})
	keptOK(t, err)
	var s object.Store = file.Open(fs, "/rem")
	if in != nil {
		s = object.Retry(in(s), object.RetryOptions{Tries: 30, Pause: time.Microsecond})
	}
	at, err := remotesync.Open(ctx, s)
	keptOK(t, err)
	keptOK(t, r.KeepIn(ctx, &remotesync.Keeper{Remote: at, Store: r.Store(), FS: fs, Temp: r.TempDir()}, every))
	t.Cleanup(func() { r.Close(context.Background()) })
	return r
}

type tick struct{}

// Now implements clock.Clock.
func (tick) Now() time.Time { return time.Now() }

// counter is the cells of a counter on the transaction's branch.
func counter(ctx context.Context, tx *repo.Tx, id int64) ([]value.Cell, error) {
	v, _, _, err := tx.Table(ctx, "c")
	if err != nil {
		return nil, err
	}
	cells := []value.Cell{value.IntCell(id), value.IntCell(0), value.IntCell(0)}
	ok, err := tx.Row(ctx, "c", v.Schema().Primary.AppendKey(nil, cells), cells)
	if err == nil && !ok {
		err = errs.New(errs.NotFound, "counter %d is not there", id)
	}
	return cells, err
}

// countUp adds one to a counter: to v, or w where other is set.
func countUp(ctx context.Context, r *repo.Repo, branch string, id int64, other bool) error {
	tx, err := r.Begin(ctx, branch)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := countIn(ctx, tx, id, other); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

func countIn(ctx context.Context, tx *repo.Tx, id int64, other bool) error {
	cells, err := counter(ctx, tx, id)
	if err != nil {
		return err
	}
	e, err := tx.Editor(ctx, "c")
	if err != nil {
		return err
	}
	next := []value.Cell{cells[0], value.IntCell(cells[1].Int() + 1), cells[2]}
	if other {
		next[1], next[2] = cells[1], value.IntCell(cells[2].Int()+1)
	}
	_, err = e.Update(ctx, cells, next)
	return err
}

// counters are the sums of v and w of all counters of a branch.
func counters(t *testing.T, r *repo.Repo, branch string) (v, w int64) {
	t.Helper()
	tx, err := r.Begin(t.Context(), branch)
	keptOK(t, err)
	defer tx.Rollback()
	for i := range int64(10) {
		cells, err := counter(t.Context(), tx, i)
		keptOK(t, err)
		v, w = v+cells[1].Int(), w+cells[2].Int()
	}
	return v, w
}

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
	_, err = (&Clone{Name: "origin", URL: "/rem", Dir: "clone", Most: 1}).Run(ctx, &Scope{FS: fs, Dir: "/", Clock: tick{}, Settings: Settings{Local: settings}})
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
	_, err = (&Push{Remote: "/rem", Refs: []string{"new"}}).Run(ctx, &Scope{Repo: clone, FS: fs, Dir: "/clone", Settings: Settings{Local: settings}})
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

// fewWrites is a store that takes a write of one ref in a while.
type fewWrites struct {
	object.Store
	pause time.Duration

	mu   sync.Mutex
	last map[string]time.Time
	puts map[string]int
}

// Put implements object.Store.
func (f *fewWrites) Put(ctx context.Context, name string, body object.Body, on object.Condition) error {
	f.mu.Lock()
	late := time.Since(f.last[name]) < f.pause
	f.mu.Unlock()
	if late {
		return errs.New(errs.Unavailable, "429 Too Many Requests: %s", name)
	}
	err := f.Store.Put(ctx, name, body, on)
	if err == nil {
		f.mu.Lock()
		f.last[name] = time.Now()
		f.puts[name]++
		f.mu.Unlock()
	}
	return err
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
	at, err := remotesync.Open(ctx, file.Open(fs, "/rem"))
	keptOK(t, err)
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
	_, err = (&Push{Remote: "/rem", Refs: []string{"main"}, Force: true, NoLease: true}).Run(ctx, &Scope{Repo: old, FS: fs, Dir: "/db", Settings: Settings{Local: settings}})
	keptOK(t, err)
	at, err := remotesync.Open(ctx, file.Open(fs, "/rem"))
	keptOK(t, err)
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
	_, err = (&Push{Remote: "/rem", Refs: []string{"main"}, Force: true, NoLease: true}).Run(ctx, &Scope{Repo: old, FS: fs, Dir: "/db", Settings: Settings{Local: settings}})
	keptOK(t, err)
	at, err := remotesync.Open(ctx, file.Open(fs, "/rem"))
	keptOK(t, err)
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
	if err := countUp(ctx, r, "main", 1, false); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "file:///rem") {
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

// denying is a store that cannot be written while it is on.
type denying struct {
	object.Store
	on bool
}

// Put implements object.Store.
func (d *denying) Put(ctx context.Context, name string, body object.Body, on object.Condition) error {
	if d.on {
		return errs.New(errs.Denied, "PutObject of %s was denied", name)
	}
	return d.Store.Put(ctx, name, body, on)
}

// TestKeptCut: a machine that dies at any request of a transaction leaves the database as it was before it or after it, and the next one goes on.
func TestKeptCut(t *testing.T) {
	ctx := t.Context()
	for n := 0; ; n++ {
		fs := vfs.NewMem()
		keptWorld(t, fs)
		cut := &cutOff{left: 1 << 30}
		r := keptMachine(t, fs, "a", 0, func(s object.Store) object.Store { cut.Store = s; return cut })
		cut.left = n
		err := countUp(ctx, r, "main", 1, false)
		// It comes back without what it had, and another takes its place.
		b := keptMachine(t, fs, "b", 0, nil)
		v, _ := counters(t, b, "main")
		if v > 1 || err == nil && v != 1 {
			t.Fatalf("cut at request %d: the count is %d, the answer was %v", n, v, err)
		}
		keptOK(t, countUp(ctx, b, "main", 1, false))
		cut.left = 1 << 30
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

// cutOff is a store that can be asked so often and no more.
type cutOff struct {
	object.Store
	left int
}

func (c *cutOff) ask() error {
	if c.left--; c.left < 0 {
		return errs.New(errs.Denied, "cut off")
	}
	return nil
}

// Get implements object.Store.
func (c *cutOff) Get(ctx context.Context, name string) ([]byte, object.Generation, error) {
	if err := c.ask(); err != nil {
		return nil, "", err
	}
	return c.Store.Get(ctx, name)
}

// Put implements object.Store.
func (c *cutOff) Put(ctx context.Context, name string, body object.Body, on object.Condition) error {
	if err := c.ask(); err != nil {
		return err
	}
	return c.Store.Put(ctx, name, body, on)
}

// List implements object.Store.
func (c *cutOff) List(ctx context.Context, prefix string) ([]object.Info, error) {
	if err := c.ask(); err != nil {
		return nil, err
	}
	return c.Store.List(ctx, prefix)
}

// Stat implements object.Store.
func (c *cutOff) Stat(ctx context.Context, name string) (object.Info, error) {
	if err := c.ask(); err != nil {
		return object.Info{}, err
	}
	return c.Store.Stat(ctx, name)
}
