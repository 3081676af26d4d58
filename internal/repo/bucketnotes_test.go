package repo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/pack"
	remotesync "github.com/stemmadb/stemma/internal/sync"
)

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
