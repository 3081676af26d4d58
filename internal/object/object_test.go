package object_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/file"
	"github.com/stemmadb/stemma/internal/object/mem"
	"github.com/stemmadb/stemma/internal/object/objecttest"
	"github.com/stemmadb/stemma/internal/vfs"
)

func TestMem(t *testing.T) {
	objecttest.Suite(t, func(*testing.T) object.Store { return &mem.Store{} })
}

func TestFile(t *testing.T) {
	objecttest.Suite(t, func(t *testing.T) object.Store { return file.Open(vfs.OS{}, t.TempDir()) })
}

func TestFileInMemory(t *testing.T) {
	objecttest.Suite(t, func(*testing.T) object.Store { return file.Open(vfs.NewMem(), "/r/s") })
}

// patient is as patient as a test on a bad network must be.
var patient = object.RetryOptions{Tries: 30, Pause: time.Microsecond, Timeout: time.Minute}

// TestRetry runs the suite on a network on which every fifth call fails.
func TestRetry(t *testing.T) {
	seed := uint64(0)
	objecttest.Suite(t, func(*testing.T) object.Store {
		seed++
		return object.Retry(sorted{objecttest.NewFaulty(&mem.Store{}, seed, 200)}, patient)
	})
}

// sorted undoes what a faulty store does to the order of lists.
type sorted struct{ object.Store }

// List implements object.Store.
func (s sorted) List(ctx context.Context, prefix string) ([]object.Info, error) {
	out, err := s.Store.List(ctx, prefix)
	object.SortInfos(out)
	return out, err
}

// TestRetriedPut counts up through conditional puts, each of which may be done though it failed: none is lost or counted twice.
func TestRetriedPut(t *testing.T) {
	for seed := range uint64(20) {
		s := object.Retry(objecttest.NewFaulty(&mem.Store{}, seed, 400), patient)
		on := object.IfAbsent
		for i := range 50 {
			if err := s.Put(t.Context(), "n", object.Bytes(fmt.Append(nil, i)), on); err != nil {
				t.Fatalf("seed %d: put %d: %v", seed, i, err)
			}
			data, g, err := s.Get(t.Context(), "n")
			if err != nil || string(data) != fmt.Sprint(i) {
				t.Fatalf("seed %d: after put %d: %q, %v", seed, i, data, err)
			}
			on = object.If(g)
		}
		if err := s.Put(t.Context(), "n", object.Bytes([]byte("x")), object.IfAbsent); !errs.Is(err, errs.Conflict) {
			t.Errorf("seed %d: %v, want class conflict", seed, err)
		}
	}
}

// slow answers when its caller has given up.
type slow struct{ object.Store }

// Get implements object.Store.
func (slow) Get(ctx context.Context, _ string) ([]byte, object.Generation, error) {
	<-ctx.Done()
	return nil, "", ctx.Err()
}

// TestRetryGivesUp: a store that does not answer is unavailable, one whose caller gives up canceled, and what cannot be mended is tried once.
func TestRetryGivesUp(t *testing.T) {
	s := object.Retry(slow{}, object.RetryOptions{Tries: 2, Pause: 1, Timeout: time.Millisecond})
	if _, _, err := s.Get(t.Context(), "a"); !errs.Is(err, errs.Unavailable) {
		t.Errorf("%v, want class unavailable", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	s = object.Retry(slow{}, object.RetryOptions{})
	if _, _, err := s.Get(ctx, "a"); !errs.Is(err, errs.Canceled) {
		t.Errorf("%v, want class canceled", err)
	}
	f := objecttest.NewFaulty(&mem.Store{}, 1, 0)
	if _, _, err := object.Retry(f, patient).Get(t.Context(), "a"); !errs.Is(err, errs.NotFound) || f.Calls() != 1 {
		t.Errorf("%v after %d calls, want class not-found after one", err, f.Calls())
	}
}

// asked notes how long its caller waits.
type asked struct {
	object.Store
	patience time.Duration
}

// Put implements object.Store.
func (a *asked) Put(ctx context.Context, _ string, _ object.Body, _ object.Condition) error {
	end, _ := ctx.Deadline()
	a.patience = time.Until(end)
	return nil
}

// TestRetryGivesTime: what is long may take long, as over a slow line.
func TestRetryGivesTime(t *testing.T) {
	a := &asked{}
	if err := object.Retry(a, object.RetryOptions{}).Put(t.Context(), "a", object.Bytes(make([]byte, 16<<20)), object.Always); err != nil {
		t.Fatal(err)
	}
	if a.patience < 10*time.Minute {
		t.Errorf("16 MiB must be there after %s", a.patience)
	}
}

// TestFileTemporaries: what a writer that died has left is no object.
func TestFileTemporaries(t *testing.T) {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("/r/.tmp"); err != nil {
		t.Fatal(err)
	}
	if err := vfs.WriteFile(fs, "/r/.tmp/ABC", []byte("half")); err != nil {
		t.Fatal(err)
	}
	s := file.Open(fs, "/r")
	if err := s.Put(t.Context(), "packs/x", object.Bytes([]byte("whole")), object.IfAbsent); err != nil {
		t.Fatal(err)
	}
	if got, err := s.List(t.Context(), ""); err != nil || fmt.Sprint(got) != "[{packs/x 5}]" {
		t.Errorf("%v, %v", got, err)
	}
}

// TestFileSweep: what a writer that died long ago has left is removed by the next one, and what another one is writing is not.
func TestFileSweep(t *testing.T) {
	dir := t.TempDir()
	temp := filepath.Join(dir, ".tmp")
	if err := os.Mkdir(temp, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, age := range map[string]time.Duration{"OLD": 30 * 24 * time.Hour, "NEW": time.Hour} {
		path := filepath.Join(temp, name)
		if err := os.WriteFile(path, []byte("half"), 0o644); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-age)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Open(vfs.OS{}, dir).Put(t.Context(), "x", object.Bytes([]byte("x")), object.IfAbsent); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(temp)
	if err != nil || len(left) != 1 || left[0].Name() != "NEW" {
		t.Errorf("left are %v, %v; want NEW alone", left, err)
	}
}

// dying is the file system of a process that dies when it syncs a directory with one of these names.
type dying struct {
	vfs.FS
	dirs []string
}

// SyncDir implements vfs.FS.
func (d dying) SyncDir(name string) error {
	if slices.Contains(d.dirs, name) {
		return errors.New("died")
	}
	return d.FS.SyncDir(name)
}

// TestFileDurableForOthers: what a writer has renamed and not made durable when it died is durable when another one is told that it is there.
func TestFileDurableForOthers(t *testing.T) {
	for what, tell := range map[string]func(s object.Store) error{
		"IfAbsent": func(s object.Store) error {
			return s.Put(t.Context(), "packs/x", object.Bytes([]byte("x")), object.IfAbsent)
		},
		"If": func(s object.Store) error {
			return s.Put(t.Context(), "packs/x", object.Bytes([]byte("y")), object.If("what it never was"))
		},
		"Settle": func(s object.Store) error { return s.Settle(t.Context(), "packs/x") },
	} {
		for seed := range uint64(20) {
			fs := vfs.NewMem()
			if err := file.Open(dying{fs, []string{filepath.FromSlash("/r/packs")}}, "/r").Put(t.Context(), "packs/x", object.Bytes([]byte("x")), object.IfAbsent); err == nil {
				t.Fatal("the writer lives")
			}
			if err := tell(file.Open(fs, "/r")); err != nil && !errs.Is(err, errs.Conflict) {
				t.Fatalf("%s: %v", what, err)
			}
			after := file.Open(fs.CrashClone(rand.New(rand.NewPCG(seed, 1))), "/r")
			if data, _, err := after.Get(t.Context(), "packs/x"); err != nil || string(data) != "x" {
				t.Fatalf("%s, seed %d: after a power cut %q, %v", what, seed, data, err)
			}
		}
	}
}

// TestFileStaysDeleted: an object that was deleted does not come back with a power cut.
func TestFileStaysDeleted(t *testing.T) {
	for seed := range uint64(20) {
		fs := vfs.NewMem()
		s := file.Open(fs, "/r")
		if err := s.Put(t.Context(), "packs/x", object.Bytes([]byte("x")), object.Always); err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(t.Context(), "packs/x"); err != nil {
			t.Fatal(err)
		}
		after := file.Open(fs.CrashClone(rand.New(rand.NewPCG(seed, 1))), "/r")
		if _, _, err := after.Get(t.Context(), "packs/x"); !errs.Is(err, errs.NotFound) {
			t.Fatalf("seed %d: after a power cut the object is there: %v", seed, err)
		}
	}
}

// TestFileSyncsParents: a put makes directories durable that another writer made and died.
func TestFileSyncsParents(t *testing.T) {
	synced := map[string]bool{}
	fs := vfs.NewMem()
	if err := fs.MkdirAll("/r/a/b"); err != nil {
		t.Fatal(err)
	}
	if err := file.Open(noting{fs, synced}, "/r").Put(t.Context(), "a/b/x", object.Bytes(nil), object.Always); err != nil {
		t.Fatal(err)
	}
	if !synced["/r/a/b"] || !synced["/r/a"] || !synced["/r"] {
		t.Errorf("synced are %v only", synced)
	}
}

// noting notes which directories are synced.
type noting struct {
	vfs.FS
	dirs map[string]bool
}

// SyncDir implements vfs.FS.
func (n noting) SyncDir(name string) error {
	n.dirs[filepath.ToSlash(name)] = true
	return n.FS.SyncDir(name)
}

// TestNoAnswer: a server that takes requests and answers none is given up after few tries, and whoever waits hears of each; one that has answered
// before is asked longer.
func TestNoAnswer(t *testing.T) {
	var told []string
	hangs := &hanging{}
	s := object.Retry(hangs, object.RetryOptions{Pause: 1, First: 1, Timeout: time.Millisecond, Told: func(text string) { told = append(told, text) }})
	_, _, err := s.Get(t.Context(), "a")
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "(tried 3 times in ") || !strings.Contains(err.Error(), "no answer within ") || hangs.tries != 3 {
		t.Errorf("after %d tries %s: %v; want class unavailable after 3, saying so", hangs.tries, errs.CodeOf(err), err)
	}
	if len(told) != 2 || !strings.Contains(told[0], hangs.URL()+" does not answer since ") || !strings.Contains(told[1], "trying again (3 of 3)") {
		t.Errorf("it was told %q", told)
	}
	hangs = &hanging{answers: true, late: true}
	s = object.Retry(hangs, object.RetryOptions{Pause: 1, Told: func(text string) { told = append(told, text) }})
	if _, _, err := s.Get(t.Context(), "a"); !errs.Is(err, errs.NotFound) {
		t.Fatal(err)
	}
	hangs.answers, hangs.tries, told = false, 0, nil
	_, _, err = s.Get(t.Context(), "a")
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "(tried 6 times in ") || hangs.tries != 6 || len(told) != 5 {
		t.Errorf("one that has answered: after %d tries, told %q, %v; want 6", hangs.tries, told, err)
	}
}

// hanging is a store that has nothing, and says so only where it answers.
type hanging struct {
	mem.Store
	answers bool
	late    bool // it says of itself that it was too late
	tries   int
}

// Get implements object.Store.
func (h *hanging) Get(ctx context.Context, name string) ([]byte, object.Generation, error) {
	if h.tries++; h.answers {
		return h.Store.Get(ctx, name)
	}
	if h.late {
		return nil, "", object.WireError(ctx, os.ErrDeadlineExceeded)
	}
	<-ctx.Done()
	return nil, "", object.WireError(ctx, ctx.Err())
}
