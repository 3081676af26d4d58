package repo_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/vfs"
)

// TestCollectInterrupted gives up at many moments: the database has what it had, in no more files than an orderly end leaves.
func TestCollectInterrupted(t *testing.T) {
	r, fs := newRepo(t)
	for i := range 4 {
		fill(t, r, "main", "", 10_000*i, 1000)
		must(t, r.Checkpoint(t.Context()))
	}
	want := rows(t, r, "people")
	before := r.Store().Stats()
	stopped := 0
	for n := 0; ; n++ {
		ctx, cancel := context.WithCancel(t.Context())
		opt := everything()
		steps := 0
		step := func() {
			if steps++; steps > n {
				cancel()
			}
		}
		opt.Marked = func(int) { step() }
		opt.Copied = func(int64) { step() }
		_, err := r.Collect(ctx, opt)
		cancel()
		if err == nil {
			break
		}
		stopped++
		if !errs.Is(err, errs.Canceled) {
			t.Fatalf("step %d: %v", n, err)
		}
		must(t, r.Store().Folded(t.Context()))
		if got := rows(t, r, "people"); got != want {
			t.Fatal("the table is not what it was")
		}
		_, names := bytesOf(t, fs, "/db")
		for _, name := range names {
			if strings.HasSuffix(name, ".tmp") {
				t.Errorf("%s is left", name)
			}
		}
		if now := r.Store().Stats(); now.PackBytes > before.PackBytes+64<<10 {
			t.Errorf("step %d: %d bytes of packs, there were %d", n, now.PackBytes, before.PackBytes)
		}
	}
	if stopped < 5 {
		t.Errorf("stopped %d times: the test does not test", stopped)
	}
	wantSound(t, r)
	if got := rows(t, r, "people"); got != want {
		t.Fatal("the table is not what it was")
	}
}

// TestCollectFaults lets operations on files fail in the middle.
func TestCollectFaults(t *testing.T) {
	for _, class := range []errs.Code{errs.NoSpace, errs.Internal} {
		t.Run(class.String(), func(t *testing.T) {
			_, mem := newRepoClosed(t)
			r := openBare(t, mem)
			for i := range 3 {
				fill(t, r, "main", "", 10_000*i, 600)
				must(t, r.Checkpoint(t.Context()))
			}
			want := rows(t, r, "people")
			must(t, r.Close(t.Context()))
			failed := 0
			for n := int64(1); ; n++ {
				clone := mem.(*vfs.Mem).CrashClone(rand.New(rand.NewPCG(uint64(n), 1)))
				armed := false
				fail := vfs.FailAt(n, errs.New(class, "injected"))
				hit := false
				var mu sync.Mutex
				r, err := repo.Open(t.Context(), vfs.WithHook(clone, func(op vfs.Op) error {
					mu.Lock()
					defer mu.Unlock()
					if !armed || op.Kind == vfs.OpRead {
						return nil
					}
					err := fail(op)
					hit = hit || err != nil
					return err
				}), "/db", repo.Options{Clock: testClock, CacheBytes: -1})
				must(t, err)
				mu.Lock()
				armed = true
				mu.Unlock()
				_, err = r.Collect(t.Context(), everything())
				mu.Lock()
				armed = false
				mu.Unlock()
				if !hit {
					must(t, err)
					must(t, r.Close(t.Context()))
					break
				}
				if err != nil {
					failed++
					if !errs.Is(err, class) {
						t.Fatalf("fault %d: %v", n, err)
					}
				}
				if got := rows(t, r, "people"); got != want {
					t.Fatalf("fault %d: the table is not what it was", n)
				}
				_ = r.Close(t.Context()) // says again what failed
				again := openBare(t, clone)
				if got := rows(t, again, "people"); got != want {
					t.Fatalf("fault %d: the table is not what it was after opening", n)
				}
				wantSound(t, again)
				must(t, again.Close(t.Context()))
			}
			if failed < 5 {
				t.Errorf("failed %d times: the test does not test", failed)
			}
		})
	}
}

// TestCollectOnlyOnce refuses a second collection, one of a database that is read, and goes on after errors.
func TestCollectOnlyOnce(t *testing.T) {
	r, fs := newRepo(t)
	fill(t, r, "main", "first", 0, 100)
	opt := everything()
	inner := errors.New("not called")
	opt.Marked = func(int) { _, inner = r.Collect(t.Context(), everything()) }
	_, err := r.Collect(t.Context(), opt)
	must(t, err)
	if !errs.Is(inner, errs.Conflict) {
		t.Errorf("a second collection: %v", inner)
	}
	ro, err := repo.Open(t.Context(), fs, "/db", repo.Options{Clock: testClock, ReadOnly: true})
	must(t, err)
	defer ro.Close(t.Context())
	if _, err := ro.Collect(t.Context(), everything()); !errs.Is(err, errs.ReadOnly) {
		t.Errorf("of a database that is open for reading: %v", err)
	}
}

// TestCollectBesideOthers collects time and again while others commit, read, make and remove branches, and load tables.
func TestCollectBesideOthers(t *testing.T) {
	ctx := t.Context()
	_, fs := newRepoClosed(t)
	r, err := repo.Open(ctx, fs, "/db", repo.Options{Clock: testClock, CacheBytes: -1})
	must(t, err)
	fill(t, r, "main", "first", 0, 400)
	var wg sync.WaitGroup
	var stop atomic.Bool
	var failed atomic.Pointer[error]
	run := func(fn func(i int) error) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; !stop.Load() && failed.Load() == nil; i++ {
				if err := fn(i); err != nil && !errs.Is(err, errs.Conflict) {
					failed.Store(&err)
				}
			}
		}()
	}
	var written atomic.Int64
	run(func(i int) error { // rows
		tx, err := r.Begin(ctx, "main")
		if err != nil {
			return err
		}
		defer tx.Rollback()
		e, err := tx.Editor(ctx, "people")
		if err != nil {
			return err
		}
		if err := e.Insert(ctx, person(int64(1_000_000+i), fmt.Sprintf("w%d", i), 1)); err != nil {
			return err
		}
		if err := tx.Commit(ctx); err != nil {
			return err
		}
		written.Add(1)
		if i%40 == 0 {
			_, err = r.Commit(ctx, repo.CommitOptions{Branch: "main", Message: fmt.Sprint("c", i), AddNew: true, Author: signature()})
			if errs.Is(err, errs.NothingToDo) {
				err = nil
			}
		}
		return err
	})
	run(func(i int) error { // tables as a whole, the same ones again and again, on branches that come and go
		name := fmt.Sprint("b", i%3)
		id, _ := r.BranchHead("main")
		if err := r.CreateBranch(ctx, name, id, true); err != nil {
			return err
		}
		tx, err := r.Begin(ctx, name)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if err := tx.DropTable(ctx, "people"); err != nil {
			return err
		}
		if err := tx.CreateTable(ctx, "people", people()); err != nil {
			return err
		}
		e, err := tx.Editor(ctx, "people")
		if err != nil {
			return err
		}
		for k := range 300 {
			if err := e.Insert(ctx, person(int64(k), fmt.Sprintf("%d@%d", k, i%5), 1)); err != nil {
				return err
			}
		}
		if _, err := tx.FoldTable(ctx, "people"); err != nil {
			return err
		}
		if err := tx.Commit(ctx); err != nil {
			return err
		}
		return r.DeleteBranch(ctx, name, "", true)
	})
	run(func(i int) error { // readers
		tx, err := r.Begin(ctx, "main")
		if err != nil {
			return err
		}
		defer tx.Rollback()
		v, _, _, err := tx.Table(ctx, "people")
		if err != nil {
			return err
		}
		var n [2]uint64
		for k := range n {
			if n[k], err = countRows(ctx, v); err != nil {
				return err
			}
		}
		if n[0] != n[1] || n[0] < 400 {
			return fmt.Errorf("%d rows, then %d", n[0], n[1])
		}
		return nil
	})
	removed := 0
	begin := time.Now() // the others may be slow to begin
	for i := 0; (i < 12 || removed == 0 || written.Load() < 20) && failed.Load() == nil && time.Since(begin) < time.Minute; i++ {
		opt := everything()
		opt.Full = i%2 == 0
		done, err := r.Collect(ctx, opt)
		if err != nil {
			t.Error(err)
			break
		}
		removed += done.ChunksRemoved
	}
	stop.Store(true)
	wg.Wait()
	if e := failed.Load(); e != nil {
		t.Error(*e)
	}
	if removed == 0 || written.Load() == 0 {
		t.Errorf("%d chunks removed, %d rows written: the test does not test", removed, written.Load())
	}
	wantSound(t, r)
	must(t, r.Close(ctx))
	r = openBare(t, fs)
	defer r.Close(ctx)
	wantSound(t, r)
	if got := strings.Count(rows(t, r, "people"), "w"); int64(got) != written.Load() {
		t.Errorf("%d rows, %d were written", got, written.Load())
	}
}

// countRows reads all rows of a view.
func countRows(ctx context.Context, v *table.View) (n uint64, err error) {
	s := v.Scan(table.ScanOptions{Rows: table.RowsTree})
	for {
		b, ok, err := s.Next(ctx)
		if err != nil || !ok {
			return n, err
		}
		if b.Page == nil {
			n++
			continue
		}
		n += uint64(b.Hi - b.Lo)
	}
}
