package repo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// twoBeds is two databases on one file system, each with an empty table t.
func twoBeds(t *testing.T) (a, b *bed) {
	t.Helper()
	fs := vfs.NewMem()
	beds := make([]*bed, 2)
	for i, dir := range []string{"/one", "/two"} {
		x := &bed{T: t, fs: fs, ctx: t.Context()}
		x.must(Init(x.ctx, fs, dir, InitOptions{Author: ada, Committer: ada}))
		x.openAt(fs, dir)
		tx := x.begin("main")
		x.must(tx.CreateTable(x.ctx, "t", numbers()))
		x.must(tx.Commit(x.ctx))
		beds[i] = x
	}
	return beds[0], beds[1]
}

func (b *bed) openAt(fs vfs.FS, dir string) {
	b.Helper()
	r, err := Open(b.ctx, fs, dir, Options{Clock: clock.Fixed{T: ada.Time}})
	b.must(err)
	b.r = r
	b.Cleanup(func() { r.Close(context.Background()) })
}

// TestCommitAcrossFails checks that nothing is there in any database when the transaction cannot be committed in one of them, whichever it is.
func TestCommitAcrossFails(t *testing.T) {
	for _, swapped := range []bool{false, true} {
		for _, cause := range []string{"a row of another", "a table that is gone", "a note that is known", "canceled"} {
			t.Run(fmt.Sprint(cause, " ", swapped), func(t *testing.T) {
				a, b := twoBeds(t)
				fails, other := b, a
				if swapped {
					fails, other = a, b
				}
				one, two := a.edit("main", "t", 1), b.edit("main", "t", 1)
				ctx, want, left := a.ctx, errs.Conflict, ""
				switch cause {
				case "a row of another":
					fails.put("main", "t", 1)
					want, left = errs.DuplicateKey, "1"
				case "a table that is gone":
					tx := fails.begin("main")
					fails.must(tx.DropTable(a.ctx, "t"))
					fails.must(tx.Commit(a.ctx))
					left = "none"
				case "a note that is known":
					fails.must(fails.r.NoteWrite(a.ctx, Write{ID: "x", Result: "y"}))
					x := map[bool]*Tx{false: two, true: one}[swapped]
					x.Note(Write{ID: "x", Result: "z"})
					want = errs.Exists
				case "canceled":
					c, cancel := context.WithCancel(ctx)
					cancel()
					ctx, want = c, errs.Canceled
				}
				if err := CommitAcross(ctx, one, two); !errs.Is(err, want) {
					t.Fatalf("commit: %v, want %v", err, want)
				}
				for _, tx := range []*Tx{one, two} {
					if err := tx.Commit(a.ctx); !errs.Is(err, errs.Invalid) {
						t.Errorf("commit after a failure: %v, want that it is over", err)
					}
				}
				if got := other.numbers("main", "t"); got != "" {
					t.Errorf("the other database has %q", got)
				}
				if got := fails.numbers("main", "t"); got != left {
					t.Errorf("the database that failed has %q, want %q", got, left)
				}
			})
		}
	}
}

// TestCommitAcrossWithoutRoom fills the disk under one of two databases: neither gets its rows, and both can be used on.
func TestCommitAcrossWithoutRoom(t *testing.T) {
	for _, rows := range []int64{60_000, 160_000} { // within a frame of the journal, and beyond it
		for _, full := range []string{"/one/", "/two/"} {
			t.Run(fmt.Sprint(rows, full), func(t *testing.T) {
				a, b := twoBeds(t)
				mem := a.fs
				a.must(a.r.Close(a.ctx))
				b.must(b.r.Close(b.ctx))
				var on sync.Mutex
				armed, hits := false, 0
				hooked := vfs.WithHook(mem, func(op vfs.Op) error {
					on.Lock()
					defer on.Unlock()
					if !armed || !strings.HasPrefix(op.Name, full) || op.Kind != vfs.OpPreallocate && op.Kind != vfs.OpWrite {
						return nil
					}
					hits++
					return errs.New(errs.NoSpace, "no space left on device")
				})
				a.openAt(hooked, "/one")
				b.openAt(hooked, "/two")
				txs := []*Tx{a.edit("main", "t", 1), b.edit("main", "t", 1)}
				for _, tx := range txs {
					e, err := tx.Editor(a.ctx, "t")
					a.must(err)
					for n := int64(2); n < rows; n++ {
						a.must(e.Insert(a.ctx, []value.Cell{value.IntCell(n)}))
					}
				}
				on.Lock()
				armed = true
				on.Unlock()
				err := CommitAcross(a.ctx, txs...)
				on.Lock()
				armed = false
				on.Unlock()
				if !errs.Is(err, errs.NoSpace) || strings.Contains(err.Error(), "are committed") || hits == 0 {
					t.Fatalf("commit, with %d failures: %v", hits, err)
				}
				for _, x := range []*bed{a, b} {
					if got := x.numbers("main", "t"); got != "" {
						t.Errorf("database %s has %.20q", x.r.Name(), got)
					}
				}
				a.must(CommitAcross(a.ctx, a.edit("main", "t", 7), b.edit("main", "t", 8)))
				if got := a.numbers("main", "t") + b.numbers("main", "t"); got != "78" {
					t.Errorf("afterwards there is %q", got)
				}
			})
		}
	}
}

// TestCommitAcrossCrash cuts the power at every write and sync: an answered transaction is there in both databases, and each has all of its part or
// nothing. That one alone has it can be: there is no record of both.
func TestCommitAcrossCrash(t *testing.T) {
	ctx := context.Background()
	a, b := twoBeds(t)
	a.must(a.r.Close(ctx))
	b.must(b.r.Close(ctx))
	found := map[string]int{}
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 2))
		mem := a.fs.CrashClone(rng)
		var one sync.Mutex // hooks come from the journals of both
		check := func(acknowledged bool) {
			clone := mem.CrashClone(rng)
			got := make([]string, 2)
			for i, dir := range []string{"/one", "/two"} {
				r, err := Open(ctx, clone, dir, Options{})
				a.must(err)
				x := &bed{T: t, fs: clone, ctx: ctx, r: r}
				got[i] = x.numbers("main", "t")
				a.must(r.Close(ctx))
				if got[i] != "" && got[i] != "1 2" {
					t.Fatalf("after a crash %s has %q", dir, got[i])
				}
			}
			if acknowledged && (got[0] == "" || got[1] == "") {
				t.Fatalf("after the answer there is %q", got)
			}
			found[strings.Join(got, "/")]++
		}
		hooked := vfs.WithHook(mem, func(op vfs.Op) error {
			if op.Kind != vfs.OpRead {
				one.Lock()
				defer one.Unlock()
				check(false)
			}
			return nil
		})
		x, y := &bed{T: t, ctx: ctx}, &bed{T: t, ctx: ctx}
		x.openAt(hooked, "/one")
		y.openAt(hooked, "/two")
		txs := []*Tx{x.edit("main", "t", 1), y.edit("main", "t", 1)}
		for _, tx := range txs {
			e, err := tx.Editor(ctx, "t")
			a.must(err)
			a.must(e.Insert(ctx, []value.Cell{value.IntCell(2)}))
		}
		a.must(CommitAcross(ctx, txs...))
		one.Lock()
		check(true)
		one.Unlock()
		a.must(x.r.Close(ctx))
		a.must(y.r.Close(ctx))
	}
	if found["1 2/1 2"] == 0 || found["/"] == 0 {
		t.Errorf("crashes left %v", found)
	}
}

// TestCommitAcrossInAnyOrder has transactions name the databases in either order at once, beside such as change one only.
func TestCommitAcrossInAnyOrder(t *testing.T) {
	a, b := twoBeds(t)
	const each = 40
	var wg sync.WaitGroup
	for w := range int64(4) {
		wg.Go(func() {
			for i := range int64(each) {
				n := 1 + w*each + i
				x, y := a, b
				if w%2 == 1 {
					x, y = b, a
				}
				txs := []*Tx{x.edit("main", "t", n), y.edit("main", "t", n)}
				if err := CommitAcross(a.ctx, txs...); err != nil {
					t.Errorf("commit: %v", err)
				}
				if i%8 == 0 {
					x.put("main", "t", n+1000)
					if _, err := x.r.Fold(a.ctx, "main"); err != nil {
						t.Errorf("fold: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	for _, x := range []*bed{a, b} {
		if got := len(strings.Fields(x.numbers("main", "t"))); got != 4*each+2*each/8 {
			t.Errorf("database %s has %d rows", x.r.Name(), got)
		}
	}
}

// TestCommitAcrossOfOneChange: where one of two databases is only read, a commit lets in what others have done to other rows, however large
// it is.
func TestCommitAcrossOfOneChange(t *testing.T) {
	a, b := twoBeds(t)
	one, two := a.edit("main", "t", 10), b.begin("main")
	e, err := one.Editor(a.ctx, "t")
	a.must(err)
	for i := range 30_000 {
		a.must(e.Insert(a.ctx, []value.Cell{value.IntCell(int64(i + 11))}))
	}
	_, _, _, err = two.Table(b.ctx, "t")
	b.must(err)
	a.put("main", "t", 1)
	a.must(CommitAcross(a.ctx, two, one))
	if got := a.numbers("main", "t"); !strings.HasPrefix(got, "1 10 11 ") {
		t.Errorf("the table has %.40q", got)
	}
	if err := two.Commit(b.ctx); !errs.Is(err, errs.Invalid) {
		t.Errorf("the transaction that only read is not over: %v", err)
	}
}
