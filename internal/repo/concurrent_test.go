package repo_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// sums adds a column of a view's rows.
func sums(ctx context.Context, v *table.View, cell int) (rows uint64, sum int64, err error) {
	scan := v.Scan(table.ScanOptions{Rows: table.RowsTree})
	cells := make([]value.Cell, len(v.Layout(table.RowsTree).Phys))
	for {
		b, ok, err := scan.Next(ctx)
		if err != nil || !ok {
			return rows, sum, err
		}
		if b.Page == nil {
			if err := value.DecodeTuple(b.Row, v.Layout(table.RowsTree).Phys, cells); err != nil {
				return 0, 0, err
			}
			rows, sum = rows+1, sum+cells[cell].Int()
		}
		for i := b.Lo; i < b.Hi; i++ {
			c, err := b.Page.Cell(ctx, cell, i)
			if err != nil {
				return 0, 0, err
			}
			rows, sum = rows+1, sum+c.Int()
		}
	}
}

// TestConcurrent moves amounts between accounts and appends to a log from 16 goroutines, while others fold, commit versions, reset,
// rename branches and read: every snapshot has the same sum, and all that was acknowledged is there in the end.
func TestConcurrent(t *testing.T) {
	const accounts, each = 40, 25
	ctx := context.Background()
	mem := vfs.NewMem()
	must(t, repo.Init(ctx, mem, "/db", repo.InitOptions{Author: signature(), Committer: signature()}))
	r, err := repo.Open(ctx, mem, "/db", repo.Options{})
	must(t, err)
	tx := begin(t, r)
	must(t, tx.CreateTable(ctx, "accounts", people()))
	must(t, tx.CreateTable(ctx, "log", &schema.Schema{Columns: people().Columns[2:]}))
	e := edit(t, tx, "accounts")
	for i := range int64(accounts) {
		must(t, e.Insert(ctx, person(i, fmt.Sprintf("m%d", i), 100)))
	}
	must(t, tx.Commit(ctx))
	first, err := r.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "begin", Author: signature(), AddNew: true})
	must(t, err)

	var writers, others sync.WaitGroup
	var done atomic.Bool
	var logged, conflicts, seen atomic.Int64
	fail := func(format string, args ...any) {
		t.Errorf(format, args...)
		done.Store(true)
	}
	for g := range 16 {
		writers.Go(func() {
			for i := 0; i < each && !done.Load(); {
				from, to := int64((g*7+i*3)%accounts), int64((g*11+i*5+1)%accounts)
				if from == to {
					to = (to + 1) % accounts
				}
				err := func() error {
					tx, err := r.Begin(ctx, "main")
					if err != nil {
						return err
					}
					defer tx.Rollback()
					e, err := tx.Editor(ctx, "accounts")
					if err != nil {
						return err
					}
					for _, x := range []struct{ id, add int64 }{{from, -1}, {to, 1}} {
						row := make([]value.Cell, 3)
						key := e.View().Schema().Primary.AppendKey(nil, person(x.id, "", 0))
						if ok, err := e.View().Get(ctx, key, row); err != nil || !ok {
							return fmt.Errorf("get: %v, %w", ok, err)
						}
						if _, err := e.Update(ctx, row, []value.Cell{row[0], row[1], value.IntCell(row[2].Int() + x.add)}); err != nil {
							return err
						}
					}
					l, err := tx.Editor(ctx, "log")
					if err != nil {
						return err
					}
					if err := l.Insert(ctx, []value.Cell{value.Null, value.IntCell(1)}); err != nil {
						return err
					}
					return tx.Commit(ctx)
				}()
				switch {
				case errs.Is(err, errs.Conflict):
					conflicts.Add(1)
					continue
				case err != nil:
					fail("transaction: %v", err)
				}
				logged.Add(1)
				i++
			}
		})
	}
	background := func(pause time.Duration, do func(n int) error) {
		others.Go(func() {
			for n := 0; !done.Load(); n++ {
				if err := do(n); err != nil {
					fail("beside: %v", err)
				}
				time.Sleep(pause)
			}
		})
	}
	background(time.Millisecond, func(int) error { _, err := r.Fold(ctx, "main"); return err })
	background(5*time.Millisecond, func(int) error { return r.Checkpoint(ctx) })
	background(3*time.Millisecond, func(n int) error {
		_, err := r.Commit(ctx, repo.CommitOptions{Branch: "main", Message: fmt.Sprint(n), Author: signature(), AddNew: true, AllowEmpty: true})
		return err
	})
	background(2*time.Millisecond, func(n int) error {
		name := fmt.Sprintf("b%d", n%3)
		if err := r.CreateBranch(ctx, name, first.ID, true); err != nil {
			return err
		}
		if n%2 == 0 {
			return r.ResetHard(ctx, name, first.ID)
		}
		if err := r.CopyBranch(ctx, "main", name, true); err != nil {
			return err
		}
		return r.RenameBranch(ctx, name, name+"x", true)
	})
	for range 2 {
		background(0, func(n int) error {
			s, err := r.SnapshotWorking("main")
			if err != nil {
				return err
			}
			v, _, _, err := s.Table(ctx, "accounts")
			if err != nil {
				return err
			}
			rows, sum, err := sums(ctx, v, 2)
			if err == nil && (rows != accounts || sum != 100*accounts) {
				err = fmt.Errorf("a snapshot has %d rows with the sum %d", rows, sum)
			}
			seen.Add(1)
			return err
		})
	}
	writers.Wait()
	done.Store(true)
	others.Wait()
	if t.Failed() {
		return
	}
	check := func(r *repo.Repo) {
		t.Helper()
		s, err := r.SnapshotWorking("main")
		must(t, err)
		for name, want := range map[string]int64{"accounts": accounts * 100, "log": logged.Load()} {
			v, _, _, err := s.Table(ctx, name)
			must(t, err)
			cell := len(v.Layout(table.RowsTree).Phys) - 1
			if _, sum, err := sums(ctx, v, cell); err != nil || sum != want {
				t.Errorf("%s has the sum %d (%v), want %d", name, sum, err, want)
			}
		}
	}
	if logged.Load() != 16*each || seen.Load() == 0 {
		t.Errorf("%d transactions, %d snapshots", logged.Load(), seen.Load())
	}
	check(r)
	wantSound(t, r)
	must(t, r.BackgroundError())
	must(t, r.Close(ctx))
	r = reopen(t, mem)
	check(r)
	wantSound(t, r)
	t.Logf("%d conflicts, %d snapshots read", conflicts.Load(), seen.Load())
}

// TestResetKeepsUntracked commits to a table that no commit knows while the branch is reset: each acknowledged row stays.
func TestResetKeepsUntracked(t *testing.T) {
	ctx := context.Background()
	r, fs := withPeople(t)
	id, _ := r.BranchHead("main")
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !stop.Load() {
			if err := r.ResetHard(ctx, "main", id); err != nil {
				t.Errorf("reset: %v", err)
			}
		}
	})
	const n = 200
	for i := int64(10); i < 10+n; i++ {
		tx := begin(t, r)
		must(t, edit(t, tx, "people").Insert(ctx, person(i, "", 1)))
		must(t, tx.Commit(ctx))
	}
	stop.Store(true)
	wg.Wait()
	for range 2 {
		if got := len(strings.Fields(rows(t, r, "people"))); got != n+3 {
			t.Errorf("%d rows, want %d", got, n+3)
		}
		must(t, r.Close(ctx))
		r = reopen(t, fs)
	}
}

// TestDamagedFiles flips bytes of pack files and removes one: the verification names what it cannot read.
func TestDamagedFiles(t *testing.T) {
	ctx := context.Background()
	r, fs := withPeople(t)
	_, err := r.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "people", Author: signature(), AddNew: true})
	must(t, err)
	must(t, r.Checkpoint(ctx))
	must(t, r.Close(ctx))
	r = reopen(t, fs)
	wantSound(t, r)
	files := r.Store().Files()
	must(t, r.Close(ctx))
	pack := ""
	for _, f := range files {
		if strings.Contains(f, "packs") {
			pack = filepath.Join("/db", repo.DirName, f)
		}
	}
	if pack == "" {
		t.Fatalf("no pack among %v", files)
	}
	data, err := vfs.ReadFile(fs, pack)
	must(t, err)
	missed := 0
	for at := 0; at < len(data); at += 7 {
		bad := slices.Clone(data)
		bad[at] ^= 0x10
		must(t, vfs.WriteFile(fs, pack, bad))
		if !damageFound(t, fs) {
			missed++ // bytes that no reader needs: the index's and the record heads' spare ones
		}
	}
	if missed > len(data)/7/4 {
		t.Errorf("%d of %d flipped bytes are not found", missed, len(data)/7)
	}
	must(t, vfs.WriteFile(fs, pack, data))
	if damageFound(t, fs) {
		t.Error("a sound database counts as damaged")
	}
	must(t, fs.Remove(pack))
	if !damageFound(t, fs) {
		t.Error("a missing pack is not found")
	}
}

func damageFound(t *testing.T, fs vfs.FS) bool {
	ctx := context.Background()
	r, err := repo.Open(ctx, fs, "/db", repo.Options{ReadOnly: true})
	if err != nil {
		return true
	}
	defer r.Close(ctx)
	ps, err := problems(ctx, r)
	if err != nil {
		t.Errorf("fsck stops: %v", err)
	}
	for _, p := range ps {
		if !strings.Contains(p, "main: ") {
			t.Errorf("%q names no place", p)
		}
	}
	return len(ps) > 0
}
