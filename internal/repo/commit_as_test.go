package repo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// by is what transactions of these tests commit as.
func by(message string) CommitOptions {
	return CommitOptions{Message: message, Author: ada}
}

// messages are those of the branch's commits, newest first, without the first.
func (b *bed) messages(branch string) string {
	b.Helper()
	id, _ := b.r.BranchHead(branch)
	var out []string
	for {
		c, err := history.GetCommit(b.ctx, b.r.store, id)
		b.must(err)
		if len(c.Parents) == 0 {
			return strings.Join(out, " ")
		}
		out = append(out, c.Message)
		id = c.Parents[0]
	}
}

// TestCommitAs commits transactions with version commits: of rows, of whole tables, on top of edits of others and of what is staged.
func TestCommitAs(t *testing.T) {
	b := newBed(t)
	c, err := b.edit("main", "t", 1).CommitAs(b.ctx, by("one"), nil)
	b.must(err)
	if head, _ := b.r.BranchHead("main"); head != c.ID {
		t.Fatalf("the head is %s, want %s", head, c.ID)
	}
	b.want("main", "t", "1")

	tx := b.edit("main", "t", 2)
	b.put("main", "t", 3) // by another, without a commit
	b.must(tx.CreateTable(b.ctx, "u", numbers()))
	c, err = tx.CommitAs(b.ctx, by("two"), func(c *history.Commit) error {
		tx.Note(Write{ID: "w", Result: c.ID.Full()})
		return nil
	})
	b.must(err)
	if got, _ := b.r.Written("w"); got != c.ID.Full() {
		t.Errorf("the note is %q, want %s", got, c.ID.Full())
	}
	b.want("main", "t", "1 2 3")
	if got := b.messages("main"); got != "two one" {
		t.Errorf("commits: %s", got)
	}
	w, err := b.r.Fold(b.ctx, "main")
	b.must(err)
	if w.Working.Tree() != w.Staged.Tree() {
		t.Error("what was committed is not staged as it is")
	}

	// Nothing that differs from HEAD: the transaction is committed, and no version.
	tx = b.edit("main", "t", 4)
	e, err := tx.Editor(b.ctx, "t")
	b.must(err)
	_, err = e.Delete(b.ctx, []value.Cell{value.IntCell(4)})
	b.must(err)
	called := false
	c, err = tx.CommitAs(b.ctx, by("three"), func(c *history.Commit) error {
		called = c == nil
		tx.Note(Write{ID: "x"})
		return nil
	})
	b.must(err)
	if _, ok := b.r.Written("x"); c != nil || !called || !ok || b.messages("main") != "two one" {
		t.Errorf("a commit of nothing: %v, keep called with it: %v, noted: %v, commits %s", c, called, ok, b.messages("main"))
	}

	// A table that another has changed is committed when it is named.
	b.put("main", "u", 7)
	opt := by("four")
	opt.Tables = []string{"U"}
	if c, err = b.begin("main").CommitAs(b.ctx, opt, nil); err != nil || c == nil {
		t.Fatalf("commit of a named table: %v, %v", c, err)
	}
	b.want("main", "u", "7")
	if got := b.messages("main"); got != "four two one" {
		t.Errorf("commits: %s", got)
	}
}

// TestCommitAsFails checks that nothing is changed when a transaction cannot be committed, or its commit not be made.
func TestCommitAsFails(t *testing.T) {
	b := newBed(t)
	b.put("main", "t", 1)
	stop := errors.New("stop")
	for name, c := range map[string]struct {
		do   func(tx *Tx) error
		want error
	}{
		"no message": {func(tx *Tx) error { _, err := tx.CommitAs(b.ctx, CommitOptions{Author: ada}, nil); return err }, errs.New(errs.Invalid, "")},
		"a conflict": {func(tx *Tx) error {
			b.put("main", "t", 2)
			_, err := tx.CommitAs(b.ctx, by("m"), nil)
			b.put("main", "t", -2)
			return err
		}, errs.New(errs.DuplicateKey, "")},
		"keep": {func(tx *Tx) error {
			_, err := tx.CommitAs(b.ctx, by("m"), func(*history.Commit) error { return stop })
			return err
		}, stop},
		"a known write": {func(tx *Tx) error {
			b.must(b.r.NoteWrite(b.ctx, Write{ID: "w"}))
			tx.Note(Write{ID: "w"})
			_, err := tx.CommitAs(b.ctx, by("m"), nil)
			return err
		}, ErrWritten},
	} {
		err := c.do(b.edit("main", "t", 2))
		if err == nil || !errors.Is(err, c.want) && errs.CodeOf(err) != errs.CodeOf(c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if got := b.numbers("main", "t") + b.messages("main"); got != "1" {
			t.Errorf("%s: afterwards there is %q", name, got)
		}
	}
}

// TestCommitStaged commits transactions with what Repo.Commit would: what is staged only, all that the history knows, new tables, an amended commit.
func TestCommitStaged(t *testing.T) {
	b := newBed(t)
	commit := func(n int64, opt CommitOptions) *history.Commit {
		t.Helper()
		tx := b.edit("main", "t", n)
		c, err := tx.CommitStaged(b.ctx, opt)
		b.must(err)
		if !tx.Over() {
			t.Fatal("the transaction is not over")
		}
		return c
	}
	at := func(c *history.Commit) string {
		t.Helper()
		s, err := b.r.SnapshotAt(b.ctx, c.ID)
		b.must(err)
		v, _, ok, err := s.Table(b.ctx, "t")
		b.must(err)
		if !ok {
			return "none"
		}
		return fmt.Sprint(v.Count())
	}
	all, plain := by("all"), by("plain")
	all.AddNew = true
	if c := commit(1, plain); c != nil {
		t.Errorf("a commit of nothing staged: %v", c)
	}
	b.want("main", "t", "1")
	if c := commit(2, all); c == nil || at(c) != "2" {
		t.Errorf("a commit of all: %v", c)
	}
	b.put("main", "t", 3)
	b.must(b.r.Stage(b.ctx, "main", nil))
	if c := commit(4, plain); c == nil || at(c) != "3" {
		t.Errorf("a commit of what was staged before: %v", c)
	}
	b.want("main", "t", "1 2 3 4")
	known := by("known")
	known.All = true
	if c := commit(5, known); c == nil || at(c) != "5" {
		t.Errorf("a commit of known tables: %v", c)
	}
	again := by("again")
	again.All, again.Amend = true, true
	if c := commit(6, again); c == nil || at(c) != "6" {
		t.Errorf("an amended commit: %v", c)
	}
	if got := b.messages("main"); got != "again plain all" {
		t.Errorf("commits: %s", got)
	}

	// What cannot be made a commit can be committed alone.
	tx := b.edit("main", "t", 7)
	if c, err := tx.CommitStaged(b.ctx, CommitOptions{All: true, Author: ada}); !errs.Is(err, errs.Invalid) || tx.Over() {
		t.Errorf("a commit without a message: %v, %v, over: %v", c, err, tx.Over())
	}
	if got := b.numbers("main", "t"); got != "1 2 3 4 5 6" {
		t.Errorf("after it there is %q", got)
	}
	b.must(tx.Commit(b.ctx))
	b.want("main", "t", "1 2 3 4 5 6 7")
}

// TestCommitAsCrash cuts the power at every write and sync while a transaction is committed with its version: the row, its commit and the note
// are there together or not at all.
func TestCommitAsCrash(t *testing.T) {
	ctx := context.Background()
	b := newBed(t)
	b.must(b.r.Close(ctx))
	seen := map[string]int{}
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 1))
		mem := b.fs.CrashClone(rng)
		check := func(clone *vfs.Mem, acknowledged bool) {
			r, err := Open(ctx, clone, "/db", Options{})
			b.must(err)
			defer r.Close(ctx)
			x := &bed{T: t, fs: clone, ctx: ctx, r: r}
			_, noted := r.Written("w")
			got := fmt.Sprint(x.numbers("main", "t"), " ", x.messages("main"), " ", noted)
			if got != "1 m true" && (acknowledged || got != "  false") {
				t.Fatalf("after a crash there is %q", got)
			}
			seen[got]++
		}
		hooked := vfs.WithHook(mem, func(op vfs.Op) error {
			if op.Kind != vfs.OpRead {
				check(mem.CrashClone(rng), false)
			}
			return nil
		})
		r, err := Open(ctx, hooked, "/db", Options{})
		b.must(err)
		x := &bed{T: t, r: r, ctx: ctx}
		tx := x.edit("main", "t", 1)
		if seed%3 == 0 { // with chunks of its own
			b.must(tx.CreateTable(ctx, "u", numbers()))
		}
		_, err = tx.CommitAs(ctx, by("m"), func(*history.Commit) error { tx.Note(Write{ID: "w"}); return nil })
		b.must(err)
		check(mem.CrashClone(rng), true)
		b.must(r.Close(ctx))
		check(mem.CrashClone(rng), true)
	}
	if len(seen) != 2 {
		t.Errorf("crashes left %v: the test does not test", seen)
	}
}

// TestCommitAsBeforeFold folds the branch while a transaction with its commit is in the journal and not yet durable: the fold takes nothing away.
func TestCommitAsBeforeFold(t *testing.T) {
	b := newBed(t)
	b.put("main", "t", 1) // above the tree
	b.must(b.r.Close(b.ctx))
	var r *Repo
	var others sync.WaitGroup
	armed := false
	hooked := vfs.WithHook(b.fs, func(op vfs.Op) error {
		if !armed || op.Kind != vfs.OpSync {
			return nil
		}
		armed = false
		tip := r.tip.Load()
		others.Go(func() {
			if _, err := r.Fold(b.ctx, "main"); err != nil {
				t.Error(err)
			}
		})
		for end := time.Now().Add(200 * time.Millisecond); r.tip.Load() == tip && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		return nil
	})
	r, err := Open(b.ctx, hooked, "/db", Options{})
	b.must(err)
	x := &bed{T: t, fs: b.fs, ctx: b.ctx, r: r}
	tx := x.edit("main", "t", 2)
	armed = true
	_, err = tx.CommitAs(b.ctx, by("two"), nil)
	b.must(err)
	others.Wait()
	if armed {
		t.Fatal("the commit did not wait for a sync")
	}
	if got := x.numbers("main", "t"); got != "1 2" {
		t.Errorf("after a fold there is %q, want %q", got, "1 2")
	}
	b.must(r.Close(b.ctx))
	b.open()
	b.want("main", "t", "1 2")
}

// TestCommitAsMeanwhile commits versions while others write rows without end and fold: each has its row, and none waits for ever.
func TestCommitAsMeanwhile(t *testing.T) {
	b := newBed(t)
	done := make(chan struct{})
	var others sync.WaitGroup
	for w := range 3 {
		others.Go(func() {
			for n := int64(1000 + w); ; n += 3 {
				select {
				case <-done:
					return
				default:
				}
				if err := b.edit("main", "t", n).Commit(b.ctx); err != nil && !errs.Is(err, errs.Conflict) {
					t.Error(err)
					return
				}
				if n%16 == 0 {
					if _, err := b.r.Fold(b.ctx, "main"); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	var want []string
	for n := range int64(30) {
		if _, err := b.edit("main", "t", n+1).CommitAs(b.ctx, by(strconv.FormatInt(n+1, 10)), nil); err != nil {
			t.Fatal(err)
		}
		want = append([]string{strconv.FormatInt(n+1, 10)}, want...)
	}
	close(done)
	others.Wait()
	if got := b.messages("main"); got != strings.Join(want, " ") {
		t.Errorf("commits: %s", got)
	}
	before := b.numbers("main", "t")
	for n := range 30 {
		if !strings.Contains(" "+before+" ", " "+strconv.Itoa(n+1)+" ") {
			t.Errorf("row %d is missing", n+1)
		}
	}
	b.want("main", "t", before)
}
