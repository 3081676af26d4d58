package repo

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// The tests of this file hold a fold, a checkpoint or a commit at the moment between its parts and let something else happen there.

// bed is a database with one table t of numbers.
type bed struct {
	*testing.T
	fs  *vfs.Mem
	r   *Repo
	ctx context.Context
}

var ada = history.Signature{Name: "Ada", Email: "ada@example.org", Time: time.Date(2021, 4, 7, 9, 0, 0, 0, time.UTC)}

func (b *bed) must(err error) {
	if err != nil {
		b.Helper()
		b.Fatal(err)
	}
}

func numbers() *schema.Schema {
	s := &schema.Schema{}
	t := value.Type{Kind: value.KindInt64}
	s.Columns = []schema.Column{{Name: "n", Type: t, ID: schema.AssignID("n", t, nil, nil)}}
	s.PrimaryKey = []schema.IndexColumn{{Column: s.Columns[0].ID}}
	return s
}

func newBed(t *testing.T) *bed {
	b := &bed{T: t, fs: vfs.NewMem(), ctx: t.Context()}
	b.must(Init(b.ctx, b.fs, "/db", InitOptions{Author: ada, Committer: ada}))
	b.open()
	tx := b.begin("main")
	b.must(tx.CreateTable(b.ctx, "t", numbers()))
	b.must(tx.Commit(b.ctx))
	return b
}

func (b *bed) open() {
	b.Helper()
	r, err := Open(b.ctx, b.fs, "/db", Options{Clock: clock.Fixed{T: ada.Time}})
	b.must(err)
	b.r = r
	b.Cleanup(func() { r.Close(context.Background()) })
}

func (b *bed) reopen() {
	b.Helper()
	b.must(b.r.Close(b.ctx))
	b.open()
}

func (b *bed) begin(branch string) *Tx {
	b.Helper()
	tx, err := b.r.Begin(b.ctx, branch)
	b.must(err)
	return tx
}

// edit begins a transaction that inserts n, or deletes -n.
func (b *bed) edit(branch, table string, n int64) *Tx {
	b.Helper()
	tx := b.begin(branch)
	e, err := tx.Editor(b.ctx, table)
	b.must(err)
	if n < 0 {
		_, err = e.Delete(b.ctx, []value.Cell{value.IntCell(-n)})
	} else {
		err = e.Insert(b.ctx, []value.Cell{value.IntCell(n)})
	}
	b.must(err)
	return tx
}

func (b *bed) put(branch, table string, n int64) {
	b.Helper()
	b.must(b.edit(branch, table, n).Commit(b.ctx))
}

func (b *bed) commit(branch string) *history.Commit {
	b.Helper()
	c, err := b.r.Commit(b.ctx, CommitOptions{Branch: branch, Message: "m", Author: ada, AddNew: true, AllowEmpty: true})
	b.must(err)
	return c
}

// want compares the numbers in a table of a branch, now and after the database is opened again.
func (b *bed) want(branch, table, numbers string) {
	b.Helper()
	if got := b.numbers(branch, table); got != numbers {
		b.Fatalf("table %s of branch %s has %q, want %q", table, branch, got, numbers)
	}
	b.reopen()
	if got := b.numbers(branch, table); got != numbers {
		b.Fatalf("after reopening, table %s of branch %s has %q, want %q", table, branch, got, numbers)
	}
}

func (b *bed) numbers(branch, name string) string {
	b.Helper()
	s, err := b.r.SnapshotWorking(branch)
	b.must(err)
	v, _, ok, err := s.Table(b.ctx, name)
	b.must(err)
	if !ok {
		return "none"
	}
	var out []string
	scan := v.Scan(table.ScanOptions{Rows: table.RowsTree})
	cells := make([]value.Cell, 1)
	for {
		x, ok, err := scan.Next(b.ctx)
		b.must(err)
		if !ok {
			return strings.Join(out, " ")
		}
		if x.Page == nil {
			b.must(value.DecodeTuple(x.Row, v.Layout(table.RowsTree).Phys, cells))
			out = append(out, fmt.Sprint(cells[0].Int()))
		}
		for i := x.Lo; i < x.Hi; i++ {
			c, err := x.Page.Cell(b.ctx, 0, i)
			b.must(err)
			out = append(out, fmt.Sprint(c.Int()))
		}
	}
}

// foldWhile folds a branch and calls what when the trees are built but not yet in place.
func (b *bed) foldWhile(branch string, what func()) {
	b.Helper()
	was, _ := b.r.published.Load().branches.Get(branch)
	batch := b.r.store.NewBatch()
	defer batch.Close()
	_, sealed, err := b.r.seal(b.ctx, batch, was, nil)
	b.must(err)
	what()
	s, err := b.r.swap(b.ctx, batch, was, sealed)
	b.must(err)
	b.must(b.r.publish(b.ctx, s))
}

func TestMeanwhile(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(b *bed)
		want string // "branch table numbers"
	}{
		{"a row is added during a fold", func(b *bed) {
			b.put("main", "t", 1)
			b.foldWhile("main", func() { b.put("main", "t", 2) })
		}, "main t 1 2"},
		{"a new row is deleted during a fold", func(b *bed) {
			b.put("main", "t", 1)
			b.foldWhile("main", func() { b.put("main", "t", -1) })
		}, "main t "},
		{"the table is restored during a fold", func(b *bed) {
			c := b.commit("main")
			b.put("main", "t", 1)
			b.foldWhile("main", func() { b.must(b.r.Restore(b.ctx, "main", root.Open(b.r.store, c.Root), []string{"t"})) })
		}, "main t "},
		{"the branch is reset during a fold", func(b *bed) {
			c := b.commit("main")
			b.put("main", "t", 1)
			b.foldWhile("main", func() {
				b.must(b.r.ResetHard(b.ctx, "main", c.ID))
				b.put("main", "t", 5)
			})
		}, "main t 5"},
		{"the branch is made anew during a fold", func(b *bed) {
			c := b.commit("main")
			b.must(b.r.CreateBranch(b.ctx, "side", c.ID, false))
			b.put("side", "t", 1)
			b.foldWhile("side", func() { b.must(b.r.CreateBranch(b.ctx, "side", c.ID, true)) })
		}, "side t "},
		{"the table is emptied during a fold", func(b *bed) {
			b.put("main", "t", 1)
			b.foldWhile("main", func() {
				tx := b.begin("main")
				b.must(tx.DropTable(b.ctx, "t"))
				b.must(tx.CreateTable(b.ctx, "t", numbers()))
				b.must(tx.Commit(b.ctx))
			})
		}, "main t "},
		{"a commit waits for the disk during a checkpoint", func(b *bed) {
			b.put("main", "t", 1)
			s, err := enqueue(b.ctx, []*Tx{b.edit("main", "t", 2)})
			b.must(err)
			b.must(b.r.checkpoint(b.ctx))
			_, err = b.r.Fold(b.ctx, "main")
			b.must(err)
			b.must(b.r.publish(b.ctx, s))
		}, "main t 1 2"},
		{"a row is added during the first fold after a checkpoint", func(b *bed) {
			b.put("main", "t", 1)
			b.must(b.r.checkpoint(b.ctx))
			b.reopen()
			b.foldWhile("main", func() { b.put("main", "t", 2) })
		}, "main t 1 2"},
		{"the branch is made anew during a transaction", func(b *bed) {
			c := b.commit("main")
			b.must(b.r.CreateBranch(b.ctx, "side", c.ID, false))
			b.put("side", "t", 1)
			d := b.commit("side")
			b.must(b.r.CreateBranch(b.ctx, "side", c.ID, true))
			tx := b.begin("side")
			b.must(tx.DropTable(b.ctx, "t"))
			b.must(b.r.CreateBranch(b.ctx, "side", d.ID, true))
			if err := tx.Commit(b.ctx); !errs.Is(err, errs.Conflict) {
				b.Errorf("commit: %v, want a conflict", err)
			}
		}, "side t 1"},
		{"the caller gives up while a commit waits for the disk", func(b *bed) {
			ctx, cancel := context.WithCancel(b.ctx)
			s, err := enqueue(ctx, []*Tx{b.edit("main", "t", 2)})
			b.must(err)
			cancel()
			b.must(b.r.publish(ctx, s))
		}, "main t 2"},
		{"a renamed branch keeps its edits", func(b *bed) {
			b.put("main", "t", 1)
			b.must(b.r.RenameBranch(b.ctx, "main", "main/old", false))
			b.put("main/old", "t", 2)
			if got := b.r.CheckedOut(); got != "main/old" {
				b.Errorf("%s is checked out", got)
			}
		}, "main/old t 1 2"},
		{"a copied branch goes its own way", func(b *bed) {
			b.put("main", "t", 1)
			b.must(b.r.CopyBranch(b.ctx, "main", "side", false))
			b.put("main", "t", 2)
			b.put("side", "t", 3)
			if err := b.r.CopyBranch(b.ctx, "main", "side/a", false); !errs.Is(err, errs.Exists) {
				b.Errorf("side/a beside side: %v", err)
			}
			if err := b.r.CopyBranch(b.ctx, "side", "side", true); err != nil {
				b.Errorf("copy onto itself: %v", err)
			}
		}, "side t 1 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(t)
			c.do(b)
			w := strings.SplitN(c.want, " ", 3)
			b.want(w[0], w[1], w[2])
			_, err := b.r.Fold(b.ctx, w[0])
			b.must(err)
			b.want(w[0], w[1], w[2])
			b.must(b.r.Checkpoint(b.ctx))
			b.want(w[0], w[1], w[2])
		})
	}
}

// TestInitAgain finishes an Init that died before its first commit.
func TestInitAgain(t *testing.T) {
	ctx := t.Context()
	for n := int64(1); ; n++ {
		mem := vfs.NewMem()
		err := Init(ctx, vfs.WithHook(mem, vfs.FailAt(n, errs.New(errs.NoSpace, "disk full"))), "/db", InitOptions{Author: ada, Committer: ada})
		if err == nil {
			if n < 10 {
				t.Errorf("only %d operations", n)
			}
			break
		}
		if !errs.Is(err, errs.NoSpace) {
			t.Fatalf("operation %d: %v", n, err)
		}
		err = Init(ctx, mem, "/db", InitOptions{Author: ada, Committer: ada})
		if err != nil && !errs.Is(err, errs.Exists) {
			t.Fatalf("init after operation %d failed: %v", n, err)
		}
		r, err := Open(ctx, mem, "/db", Options{})
		if err != nil {
			t.Fatalf("open after operation %d failed and init again: %v", n, err)
		}
		if len(r.Branches()) != 1 {
			t.Errorf("branches %v", r.Branches())
		}
		if err := r.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	mem := vfs.NewMem()
	if err := Init(ctx, mem, "/db", InitOptions{Author: ada, Committer: ada}); err != nil {
		t.Fatal(err)
	}
	if err := Init(ctx, mem, "/db", InitOptions{}); !errs.Is(err, errs.Exists) {
		t.Errorf("init of a database that is there: %v", err)
	}
}

// TestSavepointKeepsNames goes back to before a renaming and writes the table as a whole.
func TestSavepointKeepsNames(t *testing.T) {
	b := newBed(t)
	tx := b.edit("main", "t", 1)
	sp := tx.Savepoint()
	b.must(tx.RenameTable(b.ctx, "t", "T"))
	if _, name, _, err := tx.Table(b.ctx, "t"); err != nil || name != "T" {
		t.Fatalf("renamed table is %s, %v", name, err)
	}
	tx.RollbackTo(sp)
	_, err := tx.FoldTable(b.ctx, "t")
	b.must(err)
	b.must(tx.Commit(b.ctx))
	if names, err := b.begin("main").TableNames(b.ctx); err != nil || strings.Join(names, " ") != "t" {
		t.Errorf("tables %v, %v", names, err)
	}
}

// TestUsageMeanwhile commits when the files have been counted: what came is not looked for in them.
func TestUsageMeanwhile(t *testing.T) {
	b := newBed(t)
	b.put("main", "t", 1)
	b.commit("main")
	var hold Hold
	u := &usage{r: b.r, s: b.r.hold(&hold), c: b.r.store.Census()}
	defer hold.Release()
	b.put("main", "t", 2)
	b.commit("main")
	if _, err := u.count(b.ctx, "main"); err != nil {
		t.Fatal(err)
	}
}
