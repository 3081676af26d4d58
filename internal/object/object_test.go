package object_test

import (
	"context"
	"fmt"
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

// TestFileTemporaries: what a writer that died has left is no object.
func TestFileTemporaries(t *testing.T) {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("/r/packs"); err != nil {
		t.Fatal(err)
	}
	if err := vfs.WriteFile(fs, "/r/packs/x.abc.tmp", []byte("half")); err != nil {
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
