package remote_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/fsck"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/mem"
	"github.com/stemmadb/stemma/internal/object/objecttest"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

var ctx = context.Background()

// tb is what testing and rapid have in common.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

func must(t tb, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
}

// machine is a database of one who pushes and fetches.
type machine struct {
	name string
	fs   *vfs.Mem
	*repo.Repo
}

func signature(name string) history.Signature {
	return history.Signature{Name: name, Email: name + "@example.org", Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

func open(t tb, fs *vfs.Mem, name string) *machine {
	t.Helper()
	r, err := repo.Open(ctx, fs, "/db", repo.Options{Clock: clock.Fixed{T: signature(name).Time}})
	must(t, err)
	return &machine{name, fs, r}
}

func newMachine(t tb, name string) *machine {
	t.Helper()
	fs := vfs.NewMem()
	must(t, repo.Init(ctx, fs, "/db", repo.InitOptions{Author: signature(name), Committer: signature(name)}))
	return open(t, fs, name)
}

// long is a text that goes out of line.
func long(rng *rand.Rand) []byte { return []byte(strings.Repeat(fmt.Sprint(rng.IntN(1000)), 600)) }

func notes() *schema.Schema {
	s := &schema.Schema{Target: 1024}
	text := value.Type{Kind: value.KindVarchar, Length: 5000, Collation: value.CollationUtf8mb40900Bin}
	for _, c := range []schema.Column{{Name: "id", Type: value.Type{Kind: value.KindInt64}}, {Name: "note", Type: text, Nullable: true}} {
		c.ID = schema.AssignID(c.Name, c.Type, s.Columns, nil)
		s.Columns = append(s.Columns, c)
	}
	s.PrimaryKey = []schema.IndexColumn{{Column: s.Columns[0].ID}}
	s.Indexes = []schema.Index{{Name: "note", Columns: []schema.IndexColumn{{Column: s.Columns[1].ID, Prefix: 8}}}}
	return s
}

// work makes a commit of some rows of a table on a branch.
func (m *machine) work(t tb, branch string, rng *rand.Rand) {
	t.Helper()
	tx, err := m.Begin(ctx, branch)
	must(t, err)
	name := fmt.Sprintf("t%d", rng.IntN(3))
	if _, _, ok, err := tx.Table(ctx, name); err != nil || !ok {
		must(t, err)
		must(t, tx.CreateTable(ctx, name, notes()))
	}
	e, err := tx.Editor(ctx, name)
	must(t, err)
	for range 1 + rng.IntN(200) {
		note := value.BytesCell(fmt.Appendf(nil, "%s %d", m.name, rng.IntN(50)))
		if rng.IntN(20) == 0 {
			note = value.BytesCell(long(rng))
		}
		err := e.Insert(ctx, []value.Cell{value.IntCell(int64(rng.IntN(100000))), note})
		if !errs.Is(err, errs.DuplicateKey) {
			must(t, err)
		}
	}
	must(t, tx.Commit(ctx))
	_, err = m.Commit(ctx, repo.CommitOptions{Branch: branch, Message: "work of " + m.name, Author: signature(m.name), AddNew: true, AllowEmpty: true})
	must(t, err)
}

func (m *machine) push(r *sync.Remote, atomic, force bool, branches ...string) ([]sync.Outcome, error) {
	var wants []sync.Want
	for _, b := range branches {
		head, _ := m.BranchHead(b)
		wants = append(wants, sync.Want{Name: sync.Heads + b, Commit: head, Force: force})
	}
	p := &sync.Push{Remote: r, Store: m.Store(), FS: m.FS(), Temp: m.TempDir(), Atomic: atomic, Held: sync.HeldIn(m.FS(), m.Dir())}
	out, _, err := p.Run(ctx, wants)
	return out, err
}

// fetch brings all branches of a remote.
func (m *machine) fetch(r *sync.Remote) error {
	refs, err := r.Refs(ctx)
	if err != nil {
		return err
	}
	var land repo.Landing
	var got []sync.Ref
	for n, x := range refs {
		got = append(got, x)
		land.Tracks = append(land.Tracks, repo.LandedTrack{Name: "origin/" + strings.TrimPrefix(n, sync.Heads), Head: x.Commit, Anyway: true})
	}
	dir, done, err := m.Incoming()
	if err != nil {
		return err
	}
	defer done()
	var have []history.CommitID
	for _, b := range append(m.Branches(), m.Tracks()...) {
		have = append(have, b.Head)
	}
	f := &sync.Fetch{Remote: r, Store: m.Store(), FS: m.FS(), Incoming: dir, Held: sync.HeldIn(m.FS(), m.Dir())}
	batch, err := f.Refs(ctx, got, have)
	if err != nil {
		return err
	}
	defer batch.Close()
	if _, err := m.Land(ctx, batch, land); err != nil {
		return err
	}
	return f.Landed()
}

// clone makes a database of those branches of a remote.
func clone(r *sync.Remote, fs *vfs.Mem, refs map[string]sync.Ref) error {
	return repo.Clone(ctx, fs, "/db", "", "test", func(ctx context.Context, st *pack.Store, _, incoming string) (*repo.Cloned, error) {
		var out repo.Cloned
		var got []sync.Ref
		for n, x := range refs {
			out.Branches = append(out.Branches, repo.Branch{Name: strings.TrimPrefix(n, sync.Heads), Head: x.Commit})
			out.Head = out.Branches[0].Name
			got = append(got, x)
		}
		var err error
		out.Batch, err = (&sync.Fetch{Remote: r, Store: st, FS: fs, Incoming: incoming}).Refs(ctx, got, nil)
		return &out, err
	})
}

// sound checks everything that the database holds.
func (m *machine) sound(t tb) {
	t.Helper()
	c := fsck.New(m.Store(), func(p fsck.Problem) { t.Errorf("%s: %s", m.name, p) }, nil)
	starts, err := m.Starts(ctx)
	must(t, err)
	for _, s := range starts {
		must(t, c.Check(ctx, s))
	}
}

// whole checks that every ref of a remote, alone, makes a database that is sound.
func whole(t tb, s object.Store) {
	t.Helper()
	r, err := openRemote(ctx, s)
	must(t, err)
	refs, err := r.Refs(ctx)
	must(t, err)
	for n, x := range refs {
		fs := vfs.NewMem()
		must(t, clone(r, fs, map[string]sync.Ref{n: x}))
		m := open(t, fs, "clone of "+n)
		if head, _ := m.BranchHead(strings.TrimPrefix(n, sync.Heads)); head != x.Commit {
			t.Errorf("the clone of %s is at %s, not at %s", n, head, x.Commit)
		}
		m.sound(t)
		must(t, m.Close(ctx))
	}
}

// live is a database of another machine as its server shows it.
func live(t tb) object.Store {
	t.Helper()
	fs := vfs.NewMem()
	must(t, repo.Init(ctx, fs, "/db", repo.InitOptions{Branch: "theirs", Author: signature("server"), Committer: signature("server")}))
	s, err := open(t, fs, "server").Serve("the server", nil)
	must(t, err)
	return s
}

// TestHistories lets machines commit, push, fetch and merge on a network that fails: everything stays sound, a branch of the remote is never
// set back but by force, and clone after push is identity.
func TestHistories(t *testing.T) {
	histories(t, func(tb) object.Store { return &mem.Store{} })
}

// TestHistoriesAtServer does so with a server's database as the remote.
func TestHistoriesAtServer(t *testing.T) { histories(t, live) }

func histories(t *testing.T, make func(tb) object.Store) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 3))
		base := make(t)
		faulty := objecttest.NewFaulty(base, rng.Uint64(), 100)
		faulty.Flip = rng.IntN(3) == 0
		r, err := openRemote(ctx, object.Retry(faulty, object.RetryOptions{Tries: 20, Pause: time.Microsecond}))
		must(t, err)
		first := newMachine(t, "ada")
		first.work(t, "main", rng)
		var ms []*machine
		for {
			if _, err := first.push(r, false, false, "main"); err == nil {
				break
			} else if !errs.Is(err, errs.Corrupt) {
				t.Fatalf("first push: %v", err)
			}
		}
		clean, err := openRemote(ctx, base)
		must(t, err)
		refs, err := clean.Refs(ctx)
		must(t, err)
		ms = append(ms, first)
		for _, n := range []string{"bob", "eve"} {
			fs := vfs.NewMem()
			must(t, clone(clean, fs, refs))
			ms = append(ms, open(t, fs, n))
		}
		branches := []string{"main", "fix", "Release/1.0"}
		// tolerate takes the errors of bytes that were flipped on the way.
		tolerate := func(what string, err error) bool {
			if err != nil && !(faulty.Flip && (errs.Is(err, errs.Corrupt) || errs.Is(err, errs.TooNew))) {
				t.Fatalf("%s: %v", what, err)
			}
			return err == nil
		}
		for range 12 {
			m := ms[rng.IntN(len(ms))]
			b := branches[rng.IntN(len(branches))]
			if _, ok := m.BranchHead(b); !ok {
				at, _ := m.BranchHead("main")
				must(t, m.CreateBranch(ctx, b, at, false))
			}
			switch rng.IntN(5) {
			case 0, 1:
				m.work(t, b, rng)
			case 2:
				before, err := clean.Refs(ctx)
				must(t, err)
				var all []string
				for _, x := range m.Branches() {
					all = append(all, x.Name)
				}
				force, atomic := rng.IntN(6) == 0, rng.IntN(2) == 0
				out, err := m.push(r, atomic, force, all...)
				if !tolerate("push", err) {
					continue
				}
				after, err := clean.Refs(ctx)
				must(t, err)
				for _, o := range out {
					head, _ := m.BranchHead(strings.TrimPrefix(o.Name, sync.Heads))
					switch now := after[o.Name].Commit; {
					case o.Status.Refused() && now != before[o.Name].Commit:
						t.Fatalf("a refused push (%d) has moved %s", o.Status, o.Name)
					case !o.Status.Refused() && now != head:
						t.Fatalf("a push that was done has left %s at %s, not at %s", o.Name, now, head)
					case o.Status == sync.Raced:
						t.Fatalf("%s was raced by nobody", o.Name)
					}
				}
			case 3:
				tolerate("fetch", m.fetch(r))
			case 4:
				theirs, ok := m.Track("origin/" + b)
				if !ok {
					continue
				}
				_, err := m.Merge(ctx, repo.MergeOptions{Branch: b, Kind: history.MergeBranch, Source: "origin/" + b, Theirs: theirs, NoConflicts: true, Author: signature(m.name), Message: "merge"})
				if err != nil && !errors.Is(err, repo.ErrUnresolved) && !errs.Is(err, errs.Conflict) {
					t.Fatalf("merge: %v", err)
				}
			}
		}
		for _, m := range ms {
			m.sound(t)
			must(t, m.Close(ctx))
		}
		whole(t, base)
	})
}

// TestDyingPush cuts a push of several branches off at every request: with --atomic all branches have moved or none, what is there is sound,
// and another push ends the work.
func TestDyingPush(t *testing.T) {
	dyingPush(t, func(tb) object.Store { return &mem.Store{} })
}

// TestDyingPushToServer does so with a server's database as the remote.
func TestDyingPushToServer(t *testing.T) { dyingPush(t, live) }

func dyingPush(t *testing.T, make func(tb) object.Store) {
	rng := rand.New(rand.NewPCG(1, 2))
	m := newMachine(t, "ada")
	m.work(t, "main", rng)
	at, _ := m.BranchHead("main")
	must(t, m.CreateBranch(ctx, "fix", at, false))
	m.work(t, "fix", rng)
	var first object.Store
	for try := 0; ; try++ {
		// A remote with the first state, and then a push of the second that dies.
		base := make(t)
		r, err := openRemote(ctx, base)
		must(t, err)
		if try == 0 {
			first = base
		}
		seedRefs := map[string]hash.Hash{}
		p := &sync.Push{Remote: r, Store: m.Store(), FS: m.FS(), Temp: m.TempDir()}
		_, _, err = p.Run(ctx, []sync.Want{{Name: "heads/main", Commit: at}, {Name: "heads/fix", Commit: at}})
		must(t, err)
		if try == 0 {
			m.work(t, "main", rng)
		}
		seedRefs["heads/main"], seedRefs["heads/fix"] = at, at
		f := objecttest.NewFaulty(base, 1, 0)
		f.Kill = int64(try + 1)
		dying, err := openRemote(ctx, f)
		if err == nil {
			_, err = m.push(dying, true, false, "main", "fix")
		}
		refs, e := r.Refs(ctx)
		must(t, e)
		main, _ := m.BranchHead("main")
		fix, _ := m.BranchHead("fix")
		got := [2]hash.Hash{refs["heads/main"].Commit, refs["heads/fix"].Commit}
		if got != [2]hash.Hash{at, at} && got != [2]hash.Hash{main, fix} {
			t.Fatalf("a push cut off at request %d has left main at %s and fix at %s: neither both old nor both new", try+1, got[0], got[1])
		}
		if err == nil && f.Calls() <= int64(try) {
			break
		}
		whole(t, base)
		// Another machine can go on, and so can this one.
		out, err := m.push(r, try%2 == 0, false, "main", "fix")
		must(t, err)
		for _, o := range out {
			if o.Status.Refused() {
				t.Fatalf("after a push cut off at request %d, %s is refused: %d", try+1, o.Name, o.Status)
			}
		}
		whole(t, base)
	}
	whole(t, first)
	m.sound(t)
}

// TestRacingPushes lets several machines push different commits to one branch at once: of each round one wins, and nothing of it is lost.
func TestRacingPushes(t *testing.T) {
	racing(t, &mem.Store{})
}

// TestRacingPushesToServer does so with a server's database as the remote.
func TestRacingPushesToServer(t *testing.T) { racing(t, live(t)) }

func racing(t *testing.T, base object.Store) {
	rng := rand.New(rand.NewPCG(1, 2))
	r, err := openRemote(ctx, base)
	must(t, err)
	first := newMachine(t, "ada")
	first.work(t, "main", rng)
	_, err = first.push(r, false, false, "main")
	must(t, err)
	refs, err := r.Refs(ctx)
	must(t, err)
	ms := []*machine{first}
	for i := range 3 {
		fs := vfs.NewMem()
		must(t, clone(r, fs, refs))
		ms = append(ms, open(t, fs, fmt.Sprint("machine ", i)))
	}
	for range 4 {
		won := make([]bool, len(ms))
		var wait gosync.WaitGroup
		for i, m := range ms {
			m.work(t, "main", rand.New(rand.NewPCG(rng.Uint64(), uint64(i))))
		}
		for i, m := range ms {
			wait.Go(func() {
				out, err := m.push(r, false, false, "main")
				if err != nil {
					t.Errorf("push: %v", err)
					return
				}
				won[i] = !out[0].Status.Refused()
			})
		}
		wait.Wait()
		winner := -1
		for i := range won {
			if won[i] && winner >= 0 {
				t.Fatal("two pushes of one round have won")
			}
			if won[i] {
				winner = i
			}
		}
		if winner < 0 {
			t.Fatal("no push has won")
		}
		refs, err := r.Refs(ctx)
		must(t, err)
		if head, _ := ms[winner].BranchHead("main"); refs["heads/main"].Commit != head {
			t.Fatalf("the branch is at %s, the winner at %s", refs["heads/main"].Commit, head)
		}
		for _, m := range ms {
			must(t, m.fetch(r))
			head, _ := m.Track("origin/main")
			must(t, m.CreateBranch(ctx, "main", head, true))
		}
	}
	whole(t, base)
}

// TestDyingFetch cuts a clone off at every request: there is no database until it is whole, and the next try goes on.
func TestDyingFetch(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 2))
	base := &mem.Store{}
	r, err := openRemote(ctx, base)
	must(t, err)
	m := newMachine(t, "ada")
	for range 3 {
		m.work(t, "main", rng)
		_, err = m.push(r, false, false, "main")
		must(t, err)
	}
	fs := vfs.NewMem()
	for kill := int64(1); ; kill++ {
		f := objecttest.NewFaulty(base, 1, 0)
		f.Kill = kill
		err := func() error {
			dying, err := openRemote(ctx, f)
			if err != nil {
				return err
			}
			refs, err := dying.Refs(ctx)
			if err != nil {
				return err
			}
			return clone(dying, fs, refs)
		}()
		if err == nil {
			break
		}
		if _, err := repo.Locate(fs, "/db"); !errs.Is(err, errs.NotFound) {
			t.Fatalf("after request %d there is a database: %v", kill, err)
		}
	}
	c := open(t, fs, "clone")
	c.sound(t)
	want, _ := m.BranchHead("main")
	if got, _ := c.BranchHead("main"); got != want {
		t.Errorf("the clone is at %s, want %s", got, want)
	}
}

// TestFetchedIsDurable cuts the power behind a clone and behind a fetch: what they have brought is there as a whole.
func TestFetchedIsDurable(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 3))
	r := mustOpen(t, &mem.Store{})
	m := newMachine(t, "ada")
	publish := func() history.CommitID {
		for range 3 {
			m.work(t, "main", rng)
		}
		_, err := m.push(r, false, false, "main")
		must(t, err)
		head, _ := m.BranchHead("main")
		return head
	}
	want := publish()
	refs, err := r.Refs(ctx)
	must(t, err)
	fs := vfs.NewMem()
	must(t, clone(r, fs, refs))
	check := func(head func(m *machine) history.CommitID) {
		t.Helper()
		for seed := range uint64(10) {
			c := open(t, fs.CrashClone(rand.New(rand.NewPCG(seed, 1))), "clone")
			c.sound(t)
			if got := head(c); got != want {
				t.Errorf("after a power cut the branch is at %s, want %s", got, want)
			}
			must(t, c.Close(ctx))
		}
	}
	check(func(m *machine) history.CommitID { head, _ := m.BranchHead("main"); return head })
	c := open(t, fs, "clone")
	want = publish()
	must(t, c.fetch(r))
	check(func(m *machine) history.CommitID {
		for _, b := range m.Tracks() {
			if b.Name == "origin/main" {
				return b.Head
			}
		}
		return history.CommitID{}
	})
	must(t, c.Close(ctx))
}

// TestRequests counts what the network sees: few requests, however many rows and chunks there are.
func TestRequests(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	f := objecttest.NewFaulty(&mem.Store{}, 1, 0)
	count := func(what string, most int64, do func(r *sync.Remote) error) {
		t.Helper()
		before := f.Calls()
		r, err := openRemote(ctx, f)
		must(t, err)
		must(t, do(r))
		if n := f.Calls() - before; n > most {
			t.Errorf("%s takes %d requests, want %d at most", what, n, most)
		}
	}
	m := newMachine(t, "ada")
	for range 20 {
		m.work(t, "main", rng)
	}
	push := func(r *sync.Remote) error { _, err := m.push(r, false, false, "main"); return err }
	count("the first push", 13, push)
	fs := vfs.NewMem()
	count("a clone", 7, func(r *sync.Remote) error {
		refs, err := r.Refs(ctx)
		if err != nil {
			return err
		}
		return clone(r, fs, refs)
	})
	c := open(t, fs, "clone")
	m.work(t, "main", rng)
	count("a push of one commit", 10, push)
	count("a push of nothing", 6, push)
	count("a fetch of one commit", 8, c.fetch)
	count("a fetch of nothing", 6, c.fetch)
	for range 20 {
		m.work(t, "main", rng)
		count("a push of one commit", 10, push)
		count("a fetch of one commit behind many", 7, c.fetch)
	}
	// What is remembered of packs may be wrong.
	must(t, m.FS().Remove(filepath.Join(m.Dir(), "held")))
	must(t, m.fetch(mustOpen(t, f)))
	lost := newMachine(t, "bob")
	refs, err := mustOpen(t, f).Refs(ctx)
	must(t, err)
	packs, err := mustOpen(t, f).Packs(ctx, refs["heads/main"].Target)
	must(t, err)
	must(t, sync.HeldIn(lost.FS(), lost.Dir()).Add(packs))
	must(t, lost.fetch(mustOpen(t, f)))
	lost.sound(t)
	c.sound(t)
}

func mustOpen(t tb, s object.Store) *sync.Remote {
	t.Helper()
	r, err := openRemote(ctx, s)
	must(t, err)
	return r
}
