package repo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/file"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/root"
	remotesync "github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

// The tests of this file hold a change of a database in a bucket at a moment on its way and let something else happen there.

// keptBed is a bed whose branches are in a bucket: main, side and other, each of the latter a commit further than main, side with the number 100.
type keptBed struct {
	*bed
	store *watched
	other *remotesync.Keeper // of another machine
	heads map[string]history.CommitID

	mu   sync.Mutex
	disk error // of writes to the local copy
}

// watched is a store that asks before objects are read and put, and may answer something else afterwards.
type watched struct {
	object.Store
	mu     sync.Mutex
	before func(name string) error // of a put
	after  func(name string) error
	get    func(name string) error
	puts   map[string]int
}

func (w *watched) set(before, after, get func(name string) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before, w.after, w.get = before, after, get
}

func (w *watched) ask(pick func() func(string) error, name string) error {
	w.mu.Lock()
	fn := pick()
	w.mu.Unlock()
	if fn == nil {
		return nil
	}
	return fn(name)
}

// Get implements object.Store.
func (w *watched) Get(ctx context.Context, name string) ([]byte, object.Generation, error) {
	if err := w.ask(func() func(string) error { return w.get }, name); err != nil {
		return nil, "", err
	}
	return w.Store.Get(ctx, name)
}

// Put implements object.Store.
func (w *watched) Put(ctx context.Context, name string, body object.Body, on object.Condition) error {
	w.mu.Lock()
	w.puts[name]++
	w.mu.Unlock()
	if err := w.ask(func() func(string) error { return w.before }, name); err != nil {
		return err
	}
	if err := w.Store.Put(ctx, name, body, on); err != nil {
		return err
	}
	return w.ask(func() func(string) error { return w.after }, name)
}

const mainRef, sideRef = "refs/heads/main", "refs/heads/side"

func newKept(t *testing.T) *keptBed {
	t.Helper()
	b := &keptBed{bed: newBed(t), heads: map[string]history.CommitID{}}
	b.heads["main"] = b.commit("main").ID
	for _, n := range []string{"side", "other"} {
		b.must(b.r.CreateBranch(b.ctx, n, b.heads["main"], false))
		if n == "side" {
			b.put(n, "t", 100)
		}
		b.heads[n] = b.commit(n).ID
	}
	b.must(b.r.Close(b.ctx))
	r, err := Open(b.ctx, vfs.WithHook(b.fs, func(o vfs.Op) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if o.Kind != vfs.OpRead && strings.HasPrefix(o.Name, "/db") {
			return b.disk
		}
		return nil
	}), "/db", Options{Clock: clock.Fixed{T: ada.Time}})
	b.must(err)
	b.r = r
	t.Cleanup(func() { r.Close(context.WithoutCancel(b.ctx)) })
	b.store = &watched{Store: file.Open(b.fs, "/rem"), puts: map[string]int{}}
	at, err := remotesync.Open(b.ctx, b.store)
	b.must(err)
	at.Stripe(pack.Blocks{Full: 1000, Least: 1}) // as buckets are
	var wants []remotesync.Want
	for n, head := range b.heads {
		wants = append(wants, remotesync.Want{Name: remotesync.Heads + n, Commit: head})
	}
	_, _, err = (&remotesync.Push{Remote: at, Store: r.Store(), FS: b.fs, Temp: r.TempDir()}).Run(b.ctx, wants)
	b.must(err)
	p := &remotesync.Partial{URL: at.URL(), Lazy: true, Mirror: true, Kept: true}
	b.must(p.Write(b.fs, r.dir))
	r.usePart(p)
	b.must(r.KeepIn(b.ctx, &remotesync.Keeper{Remote: at, Store: r.Store(), FS: b.fs, Temp: r.TempDir()}, 0))
	b.other = &remotesync.Keeper{Remote: at, Store: r.Store(), FS: b.fs, Temp: r.TempDir()}
	return b
}

// move has another machine move a branch.
func (b *keptBed) move(branch string, to history.CommitID) {
	b.Helper()
	from, err := b.other.Read(b.ctx, remotesync.Heads+branch)
	b.must(err)
	s := remotesync.Swap{From: from, To: remotesync.Target{Commit: to}}
	_, err = b.other.Swap(b.ctx, []remotesync.Swap{s})
	b.must(err)
}

// held has puts of an object wait until they are answered; each is announced first.
func (b *keptBed) held(object string) (came chan struct{}, answer chan error) {
	came, answer = make(chan struct{}), make(chan error)
	b.store.set(func(name string) error {
		if name != object {
			return nil
		}
		came <- struct{}{}
		return <-answer
	}, nil, nil)
	return came, answer
}

// enqueued is a transaction with a number in the table t of main, on its way.
func (b *keptBed) enqueued(n int64) *state {
	b.Helper()
	tx := b.edit("main", "t", n)
	b.Cleanup(tx.Rollback)
	dirty, err := together(b.ctx, []*Tx{tx}, privateFold)
	b.must(err)
	s, err := enqueue(b.ctx, dirty)
	b.must(err)
	return s
}

// TestBucketOvertakenBeforeWait: who comes to wait for a change only when it has been undone is told so.
func TestBucketOvertakenBeforeWait(t *testing.T) {
	b := newKept(t)
	b.move("main", b.heads["other"])
	s := b.enqueued(1)
	b.r.bucket.settle()
	if err := b.r.publish(b.ctx, s); !overtakenBy(err) {
		t.Fatalf("a change that was undone was acknowledged: %v", err)
	}
	if got := b.numbers("main", "t"); got != "" {
		t.Fatalf("what was undone is there: %s", got)
	}
	b.put("main", "t", 2)
	if got := b.numbers("main", "t"); got != "2" {
		t.Fatalf("main has %q, want 2", got)
	}
}

// TestBucketUnknownIsOver: a transaction of which it is not known whether it was committed with its version commit is not committed again.
func TestBucketUnknownIsOver(t *testing.T) {
	b := newKept(t)
	done := false
	b.store.set(nil, func(name string) error {
		if name == mainRef && !done {
			done = true
			return errs.New(errs.Unavailable, "the connection was lost")
		}
		return nil
	}, func(name string) error {
		if name == mainRef && done {
			return errs.New(errs.Denied, "not now")
		}
		return nil
	})
	tx := b.edit("main", "t", 1)
	_, err := tx.CommitStaged(b.ctx, CommitOptions{Branch: "main", Message: "m", Author: ada, All: true})
	if !errs.Is(err, errs.Unavailable) {
		t.Fatalf("%v, want class unavailable", err)
	}
	if !tx.Over() {
		t.Fatal("a transaction that may be in the bucket is open still")
	}
	b.store.set(nil, nil, nil)
	b.must(b.r.RefreshKept(b.ctx))
	if got := b.numbers("main", "t"); got != "1" {
		t.Fatalf("main has %q, want 1", got)
	}
}

// TestBucketLongAgo: a machine that has missed more changes of a branch than its ref remembers is overtaken like others.
func TestBucketLongAgo(t *testing.T) {
	b := newKept(t)
	for i := range 70 {
		b.move("side", b.heads[[]string{"main", "side"}[i%2]])
	}
	b.put("side", "t", 1)
	if got := b.numbers("side", "t"); got != "1 100" {
		t.Fatalf("side has %q, want 1 and 100", got)
	}
}

// TestBucketSameAgain: a branch that is again what it was is known by its new object.
func TestBucketSameAgain(t *testing.T) {
	b := newKept(t)
	for range 2 { // the second time with the same list of packs
		b.move("side", b.heads["main"])
		b.move("side", b.heads["side"])
		b.must(b.r.RefreshKept(b.ctx))
	}
	clear(b.store.puts)
	b.put("side", "t", 1)
	if n := b.store.puts[sideRef]; n != 1 {
		t.Fatalf("a transaction took %d writes of the ref, want 1", n)
	}
}

// TestBucketNotNoted: when the local copy cannot take note of what is in the bucket, nobody is told that it was not made.
func TestBucketNotNoted(t *testing.T) {
	b := newKept(t)
	b.store.set(nil, func(name string) error {
		if name == mainRef { // from here on the disk is full
			b.mu.Lock()
			b.disk = errs.New(errs.NoSpace, "no space left")
			b.mu.Unlock()
			lsn, err := b.r.store.Append(b.ctx, nil, pack.Record{Type: recordChange, Payload: (&change{}).encode()})
			if err == nil {
				err = b.r.store.Wait(b.ctx, lsn)
			}
			if err == nil {
				t.Error("the disk is not full: the test does not test")
			}
		}
		return nil
	}, nil)
	err := b.edit("main", "t", 1).Commit(b.ctx)
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "was made") {
		t.Fatalf("%v, want class unavailable", err)
	}
	x, err := b.other.Read(b.ctx, remotesync.Heads+"main")
	b.must(err)
	if x.Work.IsZero() {
		t.Fatal("the change is not in the bucket: the test does not test")
	}
}

// TestBucketRelearn: what was put, and could not be made the published state, is read again, and who waits for it is told that it was made.
func TestBucketRelearn(t *testing.T) {
	b := newKept(t)
	x := b.r.bucket
	name := remotesync.Heads + "main"
	x.mu.Lock()
	x.ref(name).busy = true // nobody else swaps it
	x.mu.Unlock()
	s := b.enqueued(1)
	f := &flight{b: x, tip: b.r.tip.Load(), names: []string{name}, folded: map[string]*folding{}}
	_, err := f.swap(b.ctx)
	b.must(err)
	b.must(f.relearn(b.ctx, errors.New("a chunk could not be read")))
	b.must(b.r.publish(b.ctx, s))
	if got := b.numbers("main", "t"); got != "1" {
		t.Fatalf("main has %q, want 1", got)
	}
	b.put("main", "t", 2)
}

// TestBucketCopyOfPublished: a branch that is copied has nothing of what may be refused still.
func TestBucketCopyOfPublished(t *testing.T) {
	b := newKept(t)
	came, answer := b.held(mainRef)
	done := make(chan error)
	tx := b.edit("main", "t", 1)
	go func() { done <- tx.Commit(b.ctx) }()
	<-came
	b.must(b.r.CopyBranch(b.ctx, "main", "copy", false))
	answer <- errs.New(errs.Denied, "no")
	if err := <-done; !errs.Is(err, errs.Denied) {
		t.Fatalf("%v, want class denied", err)
	}
	if got := b.numbers("copy", "t"); got != "" {
		t.Fatalf("the copy has %q, which was refused", got)
	}
}

// TestBucketRestageWaits: what has to fit the tip is not planned again and again while that is on its way.
func TestBucketRestageWaits(t *testing.T) {
	b := newKept(t)
	b.put("main", "t", 1)
	came, answer := b.held(mainRef)
	done := make(chan error)
	go func() { done <- b.r.Stage(b.ctx, "main", nil) }()
	<-came
	plans := 0
	go func() {
		done <- b.r.restage(b.ctx, "main", func(_ *pack.Batch, w *Working) (*root.Root, error) {
			plans++
			return w.Working, nil
		})
	}()
	time.Sleep(100 * time.Millisecond)
	b.store.set(nil, nil, nil)
	answer <- nil
	b.must(<-done)
	b.must(<-done)
	if plans > 2 {
		t.Errorf("it was planned %d times", plans)
	}
}

// TestBucketCommitAlone: a commit that others wait for lets them go on when it is on its way.
func TestBucketCommitAlone(t *testing.T) {
	b := newKept(t)
	came, answer := b.held(mainRef)
	_, s, err := b.r.tryCommit(b.ctx, CommitOptions{Branch: "main", Message: "m", Author: ada, AllowEmpty: true}, true)
	b.must(err)
	<-came
	if !b.r.gate.TryLock() {
		t.Fatal("others wait")
	}
	b.r.gate.Unlock()
	answer <- nil
	b.must(b.r.publish(b.ctx, s))
}

// TestBucketMergeOvertaken: a merge that another machine has overtaken is made anew.
func TestBucketMergeOvertaken(t *testing.T) {
	b := newKept(t)
	b.move("main", b.heads["other"])
	out, err := b.r.Merge(b.ctx, MergeOptions{Branch: "main", Kind: history.MergeBranch, Source: "side", Theirs: b.heads["side"], Message: "m", Author: ada})
	b.must(err)
	c, err := history.GetCommit(b.ctx, b.r.store, out.Commit)
	b.must(err)
	if want := []history.CommitID{b.heads["other"], b.heads["side"]}; !slices.Equal(c.Parents, want) {
		t.Fatalf("the merge is of %v, want %v", c.Parents, want)
	}
}

// TestBucketLacksAll: the lists of packs of all branches that are being adopted are noted until they are.
func TestBucketLacksAll(t *testing.T) {
	b := newKept(t)
	x := b.r.bucket
	before := b.r.Partial().Lists
	for _, n := range []string{"heads/one", "heads/two"} {
		ref := remotesync.Ref{Name: n, Target: remotesync.Target{List: hash.Sum([]byte(n))}}
		b.must(x.lack([]string{n}, map[string]remotesync.Ref{n: ref}))
	}
	for _, n := range []string{"heads/one", "heads/two"} {
		if !slices.Contains(b.r.Partial().Lists, hash.Sum([]byte(n))) {
			t.Errorf("the list of %s is not noted", n)
		}
	}
	x.mu.Lock()
	x.end("heads/one", "heads/two")
	x.mu.Unlock()
	b.must(x.lack(nil, nil))
	if now := b.r.Partial().Lists; !slices.Equal(now, before) {
		t.Errorf("the lists are %v, want %v", now, before)
	}
}

// TestBucketBesideOthers: a transaction that changes a database in a bucket and another one is refused, and neither has anything of it; one that
// changes either alone is not.
func TestBucketBesideOthers(t *testing.T) {
	for _, first := range []bool{true, false} {
		kept, plain := newKept(t), &bed{T: t, fs: vfs.NewMem(), ctx: t.Context()}
		plain.must(Init(plain.ctx, plain.fs, "/plain", InitOptions{Author: ada, Committer: ada}))
		plain.openAt(plain.fs, "/plain")
		tx := plain.begin("main")
		plain.must(tx.CreateTable(plain.ctx, "t", numbers()))
		plain.must(tx.Commit(plain.ctx))
		clear(kept.store.puts)
		txs := []*Tx{kept.edit("main", "t", 1), plain.edit("main", "t", 1)}
		if !first {
			slices.Reverse(txs)
		}
		err := CommitAcross(kept.ctx, txs...)
		if !errs.Is(err, errs.Unsupported) || !strings.Contains(err.Error(), "db is kept in a bucket; change that in a transaction of its own") {
			t.Fatalf("%v, want class unsupported and the name of the database", err)
		}
		for _, tx := range txs {
			if err := tx.Commit(kept.ctx); !errs.Is(err, errs.Invalid) {
				t.Errorf("commit after the refusal: %v, want that it is over", err)
			}
		}
		kept.r.bucket.settle()
		if len(kept.store.puts) > 0 {
			t.Errorf("what was refused was put: %v", kept.store.puts)
		}
		if a, b := kept.numbers("main", "t"), plain.numbers("main", "t"); a != "" || b != "" {
			t.Errorf("refused, but there is %q and %q", a, b)
		}
		kept.must(CommitAcross(kept.ctx, kept.edit("main", "t", 2), plain.begin("main")))
		kept.must(CommitAcross(kept.ctx, kept.begin("main"), plain.edit("main", "t", 3)))
		if a, b := kept.numbers("main", "t"), plain.numbers("main", "t"); a != "2" || b != "3" {
			t.Errorf("there is %q and %q, want 2 and 3", a, b)
		}
		if n := kept.store.puts[mainRef]; n != 1 {
			t.Errorf("%d writes of the ref, want 1", n)
		}
	}
}

// noted enqueues a transaction with a number in the table t of a branch and a note, and tells on done what became of it.
func (b *keptBed) noted(branch string, n int64, id string, done chan<- error) {
	b.Helper()
	tx := b.edit(branch, "t", n)
	tx.Note(Write{ID: id, Result: "r"})
	dirty, err := together(b.ctx, []*Tx{tx}, privateFold)
	b.must(err)
	s, err := enqueue(b.ctx, dirty)
	b.must(err)
	go func() { done <- b.r.publish(b.ctx, s) }()
}

// TestBucketNotesStay: a note that is on its way is known after another branch was changed elsewhere, and so are a checked out branch and a move of a ref.
func TestBucketNotesStay(t *testing.T) {
	b := newKept(t)
	came, answer := b.held(mainRef)
	done := make(chan error, 1)
	b.noted("main", 1, "w1", done)
	<-came
	again := func() error {
		tx := b.edit("main", "t", 2)
		tx.Note(Write{ID: "w1", Result: "r"})
		defer tx.Rollback()
		dirty, err := together(b.ctx, []*Tx{tx}, privateFold)
		b.must(err)
		_, err = enqueue(b.ctx, dirty)
		return err
	}
	if err := again(); !errors.Is(err, ErrWritten) {
		t.Fatalf("while it is on its way: %v", err)
	}
	b.move("side", b.heads["main"])
	b.must(b.r.RefreshKept(b.ctx))
	if err := again(); !errors.Is(err, ErrWritten) {
		t.Errorf("after another branch was changed: %v", err)
	}
	b.store.set(nil, nil, nil)
	answer <- nil
	b.must(<-done)
	b.r.bucket.settle()
	if got := b.numbers("main", "t"); got != "1" {
		t.Errorf("main has %q, want 1", got)
	}
}

// TestBucketTipStays: what the tip says of a commit and of the branch that is checked out stays while it is on its way and another branch is changed elsewhere.
func TestBucketTipStays(t *testing.T) {
	b := newKept(t)
	came, answer := b.held(mainRef)
	done := make(chan error, 1)
	go func() { done <- b.r.RenameBranch(b.ctx, "main", "trunk", false) }()
	<-came
	before := b.r.tip.Load()
	b.move("side", b.heads["main"])
	b.must(b.r.RefreshKept(b.ctx))
	after := b.r.tip.Load()
	if before.head != "trunk" || after.head != "trunk" {
		t.Errorf("'%s' is checked out, and '%s' after another branch was changed; want trunk", before.head, after.head)
	}
	if m := after.log.last(refsHeads + "trunk"); m == nil || m.Commit != b.heads["main"] {
		t.Errorf("the move of the renamed branch is %v", m)
	}
	b.store.set(nil, nil, nil)
	answer <- nil
	b.must(<-done)
}

// TestBucketNotesAtHome: what goes into the bucket together leaves each note with the branch that it is of.
func TestBucketNotesAtHome(t *testing.T) {
	b := newKept(t)
	came, answer := b.held(mainRef)
	done := make(chan error, 3)
	tx := b.edit("main", "t", 1)
	go func() { done <- tx.Commit(b.ctx) }()
	<-came
	both, err := together(b.ctx, []*Tx{b.edit("main", "t", 2), b.edit("side", "t", 2)}, privateFold)
	b.must(err)
	side := remotesync.Heads + "side"
	x := b.r.bucket
	x.mu.Lock()
	x.ref(side).busy = true // so that all of it goes at once
	x.mu.Unlock()
	s, err := enqueue(b.ctx, both)
	b.must(err)
	go func() { done <- b.r.publish(b.ctx, s) }()
	b.noted("side", 3, "w", done)
	x.mu.Lock()
	x.end(side)
	x.mu.Unlock()
	b.store.set(nil, nil, nil)
	answer <- nil
	for range 3 {
		b.must(<-done)
	}
	for n, want := range map[string]int{"main": 0, "side": 1} {
		ref, err := b.other.Read(b.ctx, remotesync.Heads+n)
		b.must(err)
		if len(ref.Wrote) != want {
			t.Errorf("%s notes %v, want %d", n, ref.Wrote, want)
		}
	}
}

// TestBucketNotesOfOneSwap: all writes that are acknowledged with one put are noted in it.
func TestBucketNotesOfOneSwap(t *testing.T) {
	b := newKept(t)
	came, answer := b.held(mainRef)
	const n = 100
	done := make(chan error, n+1)
	b.noted("main", 1000, "first", done)
	<-came
	for i := range n {
		b.noted("main", int64(i), fmt.Sprint("id", i), done)
	}
	b.store.set(nil, nil, nil)
	answer <- nil
	for range n + 1 {
		b.must(<-done)
	}
	b.put("main", "t", 2000) // which notes nothing
	ref, err := b.other.Read(b.ctx, remotesync.Heads+"main")
	b.must(err)
	for i := range n {
		if id := fmt.Sprint("id", i); !slices.ContainsFunc(ref.Wrote, func(w remotesync.Wrote) bool { return w.ID == id }) {
			t.Fatalf("a write that was acknowledged is not noted: %s", id)
		}
	}
	b.noted("main", 1001, "last", done)
	b.must(<-done)
	if ref, err = b.other.Read(b.ctx, remotesync.Heads+"main"); err != nil || len(ref.Wrote) != 64 {
		t.Errorf("after one more there are %d notes, %v; want the last 64", len(ref.Wrote), err)
	}
}

// TestBucketLooksWhileRunsWait: while the store does not answer who puts what is known of runs there, branches are adopted, and a deadline is kept.
func TestBucketLooksWhileRunsWait(t *testing.T) {
	b := newKept(t)
	came, answer := b.held("refs/lineage")
	started := make(chan error, 1)
	go func() {
		_, err := b.r.StartRun(b.ctx, lineage.Run{UID: "u1", System: "cli", Job: "x", Started: ada.Time, State: lineage.Start})
		started <- err
	}()
	<-came
	for _, deadline := range []time.Duration{0, 50 * time.Millisecond} {
		b.move("side", b.heads[map[bool]string{true: "main", false: "other"}[deadline == 0]])
		ctx, cancel := b.ctx, func() {}
		if deadline > 0 {
			ctx, cancel = context.WithTimeout(b.ctx, deadline)
		}
		looked := make(chan error, 1)
		go func() { looked <- b.r.RefreshKept(ctx) }()
		select {
		case err := <-looked:
			if deadline == 0 && err != nil || deadline > 0 && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("with a deadline of %s: %v", deadline, err)
			}
		case <-time.After(10 * time.Second):
			t.Error("it waits for the store")
		}
		cancel()
	}
	if head, _ := b.r.BranchHead("side"); head != b.heads["other"] {
		t.Errorf("side is at %s, want %s", head, b.heads["other"])
	}
	b.store.set(nil, nil, nil)
	answer <- nil
	b.must(<-started)
}

// TestBucketRunsUnreadable: when it cannot be found out whether the lineage has what a branch tells of runs, the branch goes on telling, transactions are
// made, and other branches are looked after.
func TestBucketRunsUnreadable(t *testing.T) {
	b := newKept(t)
	x := b.r.bucket
	bad, good := history.CommitID(hash.Sum([]byte("bad"))), b.heads["side"]
	x.mu.Lock()
	main := x.ref(remotesync.Heads + "main")
	main.ref.Runs = remotesync.Target{Commit: bad, List: main.ref.List}
	x.mu.Unlock()
	b.put("main", "t", 1)
	ref, err := b.other.Read(b.ctx, remotesync.Heads+"main")
	b.must(err)
	if ref.Runs.Commit != bad {
		t.Errorf("the branch tells %s, want what it told", ref.Runs.Commit)
	}
	x.runs.taken = map[history.CommitID]bool{bad: true, good: true}
	x.runs.covered = map[history.CommitID]bool{good: true}
	err = x.adoptRuns(b.ctx, remotesync.Ref{}, []remotesync.Ref{ref, {Name: "heads/gone", Runs: remotesync.Target{Commit: good}}})
	if err == nil {
		t.Error("what cannot be read is not said")
	}
	if !x.runs.tidied[good] {
		t.Error("another branch was not looked after")
	}
}
