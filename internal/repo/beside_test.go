package repo_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// beside opens the database of the owner as another process does.
func beside(t *testing.T, fs vfs.FS, handOver func(context.Context, *repo.Handover) error) *repo.Repo {
	t.Helper()
	b, err := repo.OpenBeside(t.Context(), fs, "/db", repo.Options{Clock: testClock}, handOver)
	must(t, err)
	t.Cleanup(func() { b.Close(context.Background()) })
	return b
}

// addPeople adds rows with the ids from lo up to hi to the table.
func addPeople(t *testing.T, tx *repo.Tx, table string, lo, hi int64) {
	t.Helper()
	e := edit(t, tx, table)
	for id := lo; id < hi; id++ {
		must(t, e.Insert(t.Context(), person(id, fmt.Sprintf("mail of %d in %s", id, table), id%100)))
	}
}

// count is the number of rows of a working table, -1 without one.
func count(t *testing.T, r *repo.Repo, table string) int {
	t.Helper()
	tx := begin(t, r)
	defer tx.Rollback()
	v, _, ok, err := tx.Table(t.Context(), table)
	must(t, err)
	if !ok {
		return -1
	}
	return int(v.Count())
}

// left is the names below the database's directory for what does not last, and its packs.
func left(t *testing.T, fs vfs.FS) (temp, packs []string) {
	t.Helper()
	for _, line := range strings.Split(fs.(interface{ Files() string }).Files(), "\n") {
		name, _, _ := strings.Cut(line, " ")
		switch dir, base := filepath.Split(strings.TrimPrefix(filepath.ToSlash(name), "/db/.stemma/")); {
		case strings.HasPrefix(dir, "tmp/"):
			temp = append(temp, dir+base)
		case dir == "packs/":
			packs = append(packs, base)
		}
	}
	return temp, packs
}

func noFaults(t *testing.T, r *repo.Repo) {
	t.Helper()
	found, err := problems(t.Context(), r)
	must(t, err)
	for _, f := range found {
		t.Errorf("fsck: %s", f)
	}
}

// TestBeside: what a process beside the owner has made is the database's when it commits, once, and leaves no other files.
func TestBeside(t *testing.T) {
	r, fs := newRepo(t)
	tx := begin(t, r)
	must(t, tx.CreateTable(t.Context(), "a", people()))
	addPeople(t, tx, "a", 0, 10)
	must(t, tx.Commit(t.Context()))
	var given *repo.Handover
	b := beside(t, fs, func(ctx context.Context, h *repo.Handover) error {
		given = h
		return errors.Join(r.Adopt(ctx, h), r.Adopt(ctx, h))
	})
	tx = begin(t, b)
	must(t, tx.CreateTable(t.Context(), "b", people()))
	addPeople(t, tx, "b", 0, 5000)
	addPeople(t, tx, "a", 10, 3000)
	must(t, tx.Commit(t.Context()))
	if len(given.Packs) != 1 || len(given.Put) != 2 || len(given.Seen) != 2 {
		t.Errorf("handed over: %+v", given)
	}
	if a, b := count(t, r, "a"), count(t, r, "b"); a != 3000 || b != 5000 {
		t.Errorf("%d and %d rows", a, b)
	}
	if _, packs := left(t, fs); len(packs) != 1 {
		t.Errorf("packs %q", packs)
	}
	// A table can go, too.
	b2 := beside(t, fs, r.Adopt)
	tx = begin(t, b2)
	must(t, tx.DropTable(t.Context(), "a"))
	must(t, tx.Commit(t.Context()))
	if count(t, r, "a") != -1 {
		t.Error("the table is there still")
	}
	must(t, b.Close(t.Context()))
	must(t, b2.Close(t.Context()))
	if temp, _ := left(t, fs); len(temp) != 0 {
		t.Errorf("left behind: %q", temp)
	}
	noFaults(t, r)
}

// TestBesideMeanwhile: what others commit after the transaction began is kept, or the transaction is refused.
func TestBesideMeanwhile(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(t *testing.T, tx *repo.Tx)
		ok        bool
	}{
		"nothing":            {func(*testing.T, *repo.Tx) {}, true},
		"another table":      {func(t *testing.T, tx *repo.Tx) { addPeople(t, tx, "other", 50, 60) }, true},
		"the table":          {func(t *testing.T, tx *repo.Tx) { addPeople(t, tx, "child", 50, 51) }, false},
		"the table is gone":  {func(t *testing.T, tx *repo.Tx) { must(t, tx.DropTable(t.Context(), "child")) }, false},
		"the parent":         {func(t *testing.T, tx *repo.Tx) { addPeople(t, tx, "parent", 50, 51) }, false},
		"the table, in vain": {func(t *testing.T, tx *repo.Tx) { addPeople(t, tx, "other", 70, 71); must(t, foldAll(t, tx, "child")) }, true},
	} {
		for _, again := range []bool{false, true} { // the owner has changed, too
			t.Run(fmt.Sprintf("%s/another owner %v", name, again), func(t *testing.T) {
				r := family(t, true)
				fs := r.FS()
				tx := begin(t, r)
				must(t, tx.CreateTable(t.Context(), "other", people()))
				must(t, tx.Commit(t.Context()))
				b := beside(t, fs, func(ctx context.Context, h *repo.Handover) error { return r.Adopt(ctx, h) })
				mine := begin(t, b)
				e := edit(t, mine, "child")
				for id := int64(100); id < 2100; id++ {
					must(t, e.Insert(t.Context(), person(id, "", 1)))
				}
				tx = begin(t, r)
				c.meanwhile(t, tx)
				must(t, tx.Commit(t.Context()))
				if again {
					must(t, r.Close(t.Context()))
					r = reopen(t, fs)
				}
				before := count(t, r, "child")
				err := mine.Commit(t.Context())
				switch {
				case c.ok && (err != nil || count(t, r, "child") != before+2000):
					t.Errorf("%v, %d rows after %d", err, count(t, r, "child"), before)
				case !c.ok && (!errs.Is(err, errs.Conflict) || count(t, r, "child") != before):
					t.Errorf("%v, %d rows after %d", err, count(t, r, "child"), before)
				}
				must(t, b.Close(t.Context()))
				temp, packs := left(t, fs)
				if len(temp) != 0 || !c.ok && len(packs) != 0 {
					t.Errorf("left behind: %q, packs %q", temp, packs)
				}
				noFaults(t, r)
			})
		}
	}
}

// foldAll puts the table as it is.
func foldAll(t *testing.T, tx *repo.Tx, name string) error {
	tab, err := tx.FoldTable(t.Context(), name)
	if err != nil {
		return err
	}
	return tx.PutTable(t.Context(), name, tab)
}

// TestBesideOwnerOnly: what only the owner can do is told before anything is handed over.
func TestBesideOwnerOnly(t *testing.T) {
	r, fs := newRepo(t)
	tx := begin(t, r)
	must(t, tx.CreateTable(t.Context(), "a", people()))
	must(t, tx.Commit(t.Context()))
	b := beside(t, fs, func(context.Context, *repo.Handover) error { t.Error("handed over"); return nil })
	tx = begin(t, b)
	if _, err := tx.NextAuto(t.Context(), "a", 0); !errors.Is(err, repo.ErrOwnerOnly) {
		t.Error(err)
	}
	tx.Note(repo.Write{ID: "x"})
	if err := tx.Commit(t.Context()); !errors.Is(err, repo.ErrOwnerOnly) {
		t.Error(err)
	}
	bad := []repo.Handover{
		{ID: "x", Branch: "main", Dir: "../packs"}, {ID: "x", Branch: "main", Dir: "load-x", Packs: []string{"../x"}},
		{Branch: "main", Dir: "load-x"}, {ID: "x", Branch: "main", Dir: "load-x", Packs: []string{".."}},
	}
	for _, h := range bad {
		if err := r.Adopt(t.Context(), &h); !errs.Is(err, errs.Invalid) {
			t.Errorf("%+v: %v", h, err)
		}
	}
}

// TestBesideCrash cuts the power before every operation of a process beside the owner and of the owner that adopts: the rows are all
// there or none, and the next owner finds no files that nobody needs.
func TestBesideCrash(t *testing.T) {
	ctx := context.Background()
	for seed := range uint64(2) {
		mem := vfs.NewMem()
		must(t, repo.Init(ctx, mem, "/db", repo.InitOptions{Author: signature(), Committer: signature()}))
		rng := rand.New(rand.NewPCG(seed, 5))
		var done atomic.Bool
		crashes, there, inTemp := 0, 0, 0
		var on atomic.Bool
		crash := func(acked bool, o vfs.Op) {
			clone := mem.CrashClone(rng)
			crashes++
			if temp, _ := left(t, clone); len(temp) > 0 {
				inTemp++
			}
			r, err := repo.Open(ctx, clone, "/db", repo.Options{Clock: testClock})
			if err != nil {
				t.Errorf("before %v of %s: %v", o.Kind, o.Name, err)
				return
			}
			temp, packs := left(t, clone)
			n := count(t, r, "a")
			if n != 10 && n != 4000 || acked && n != 4000 || len(temp) > 0 || (len(packs) > 0) != (n == 4000) {
				t.Errorf("before %v of %s: %d rows, files %q, packs %q", o.Kind, o.Name, n, temp, packs)
			}
			if n == 4000 {
				there++
			}
			noFaults(t, r)
			must(t, r.Close(ctx))
		}
		fs := vfs.WithHook(mem, func(o vfs.Op) error {
			if !on.Load() || o.Kind == vfs.OpRead || t.Failed() {
				return nil
			}
			acked := done.Load()
			for range 3 {
				crash(acked, o)
			}
			return nil
		})
		r, err := repo.Open(ctx, fs, "/db", repo.Options{Clock: testClock})
		must(t, err)
		tx := begin(t, r)
		must(t, tx.CreateTable(ctx, "a", people()))
		addPeople(t, tx, "a", 0, 10)
		must(t, tx.Commit(ctx))
		on.Store(true)
		b := beside(t, fs, r.Adopt)
		tx = begin(t, b)
		addPeople(t, tx, "a", 10, 4000)
		must(t, tx.Commit(ctx))
		done.Store(true)
		must(t, b.Close(ctx))
		on.Store(false)
		must(t, r.Close(ctx))
		t.Logf("%d crashes, after %d of which the rows are there; %d had files of the process", crashes, there, inTemp)
		if crashes < 20 || there == 0 || there == crashes || inTemp == 0 {
			t.Error("the test does not test")
		}
	}
}

// TestBesideDies: a process that dies leaves nothing when the next one comes, and one that lives keeps what it has.
func TestBesideDies(t *testing.T) {
	r, fs := newRepo(t)
	alive := beside(t, fs, func(ctx context.Context, h *repo.Handover) error { return r.Adopt(ctx, h) })
	tx := begin(t, alive)
	must(t, tx.CreateTable(t.Context(), "a", people()))
	addPeople(t, tx, "a", 0, 10)
	dead := filepath.Join("/db/.stemma/tmp", "load-dead")
	leave := func() {
		must(t, fs.MkdirAll(dead))
		for _, n := range []string{"LOCK", "1.tmp", "x.pack"} {
			f, err := fs.Create(filepath.Join(dead, n))
			must(t, err)
			must(t, f.Close())
		}
	}
	gone := func(when string) {
		if _, err := fs.Stat(dead); !errs.Is(err, errs.NotFound) {
			t.Errorf("%s: %v", when, err)
		}
	}
	leave()
	b := beside(t, fs, nil)
	gone("after another process came")
	must(t, b.Close(t.Context()))
	leave()
	must(t, r.Close(t.Context()))
	gone("after the owner ended")
	leave()
	r = reopen(t, fs)
	gone("after an owner came")
	must(t, tx.Commit(t.Context()))
	if n := count(t, r, "a"); n != 10 {
		t.Errorf("%d rows", n)
	}
}

// TestBesideOwnerEnds ends the owner at every operation of an adoption, by death or because it is told to stop. The process beside it
// asks the next owner again, which adopts the same, whatever the first has got done.
func TestBesideOwnerEnds(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name        string
		dies, links bool
	}{{"dies", true, true}, {"dies, no links", true, false}, {"stops", false, true}, {"stops, no links", false, false}} {
		t.Run(c.name, func(t *testing.T) {
			refused := 0 // first attempts
			for n, reached := int64(1), true; reached; n++ {
				mem := vfs.NewMem()
				must(t, repo.Init(ctx, mem, "/db", repo.InitOptions{Author: signature(), Committer: signature()}))
				var on, dead atomic.Bool
				var ops atomic.Int64
				stopping, stop := context.WithCancel(ctx)
				defer stop()
				first, err := repo.Open(ctx, vfs.WithHook(mem, func(o vfs.Op) error {
					switch {
					case dead.Load():
						return errors.New("the process is dead")
					case !c.links && o.Kind == vfs.OpLink:
						return errs.New(errs.Denied, "no links here")
					case !on.Load() || o.Kind == vfs.OpRead && c.dies || ops.Add(1) != n:
						return nil
					}
					if stop(); c.dies {
						dead.Store(true)
						return errors.New("the process dies")
					}
					return nil
				}), "/db", repo.Options{Clock: testClock})
				must(t, err)
				tx := begin(t, first)
				must(t, tx.CreateTable(ctx, "a", people()))
				addPeople(t, tx, "a", 0, 10)
				must(t, tx.Commit(ctx))
				var next *repo.Repo
				b := beside(t, mem, func(ctx context.Context, h *repo.Handover) error {
					on.Store(true)
					err := first.Adopt(stopping, h)
					on.Store(false)
					reached = ops.Load() >= n
					if err != nil {
						refused++
					}
					// A dead process fails to close. Its lock is free all the same.
					if err := first.Close(ctx); err != nil && !c.dies {
						t.Errorf("operation %d: close: %v", n, err)
					}
					next = reopen(t, mem)
					return next.Adopt(ctx, h)
				})
				tx = begin(t, b)
				addPeople(t, tx, "a", 10, 3000)
				if err := tx.Commit(ctx); err != nil {
					t.Fatalf("operation %d: %v", n, err)
				}
				must(t, b.Close(ctx))
				if rows := count(t, next, "a"); rows != 3000 {
					t.Errorf("operation %d: %d rows", n, rows)
				}
				noFaults(t, next)
				must(t, next.Close(ctx))
				if temp, packs := left(t, mem); len(temp) != 0 || len(packs) != 1 {
					t.Errorf("operation %d: left behind %q, packs %q", n, temp, packs)
				}
			}
			if refused < 3 {
				t.Errorf("%d first attempts failed: the test does not test", refused)
			}
		})
	}
}

// TestDirectoriesLeftInTemp: what a process that died has left is no hindrance, directories with something in them included.
func TestDirectoriesLeftInTemp(t *testing.T) {
	r, fs := newRepo(t)
	must(t, r.Close(t.Context()))
	for _, dir := range []string{"/db/.stemma/tmp/verify", "/db/.stemma/tmp/load-dead/store"} {
		must(t, fs.MkdirAll(dir))
		must(t, vfs.WriteFile(fs, filepath.Join(dir, "x"), nil))
	}
	reopen(t, fs)
	for _, dir := range []string{"/db/.stemma/tmp/verify", "/db/.stemma/tmp/load-dead"} {
		if _, err := fs.Stat(dir); !errs.Is(err, errs.NotFound) {
			t.Errorf("%s is left: %v", dir, err)
		}
	}
}

// TestScratch: the directory of a process that works is left alone by an owner that opens the database, and goes in the end.
func TestScratch(t *testing.T) {
	owner, fs := newRepo(t)
	must(t, owner.Close(t.Context()))
	reader, err := repo.Open(t.Context(), fs, "/db", repo.Options{ReadOnly: true})
	must(t, err)
	dir, done, err := reader.Scratch()
	must(t, err)
	must(t, fs.MkdirAll(filepath.Join(dir, "store")))
	file := filepath.Join(dir, "store", "x")
	must(t, vfs.WriteFile(fs, file, nil))
	owner = reopen(t, fs)
	if _, err := fs.Stat(file); err != nil {
		t.Errorf("when an owner came: %v", err)
	}
	must(t, owner.Close(t.Context()))
	if _, err := fs.Stat(file); err != nil {
		t.Errorf("when the owner ended: %v", err)
	}
	must(t, done())
	if _, err := fs.Stat(dir); !errs.Is(err, errs.NotFound) {
		t.Errorf("it is left: %v", err)
	}
	must(t, reader.Close(t.Context()))
}
