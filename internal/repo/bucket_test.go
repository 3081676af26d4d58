package repo

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/root"
	remotesync "github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

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
