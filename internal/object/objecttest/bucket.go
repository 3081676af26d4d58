package objecttest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
)

// Buckets is a kind of stores in buckets.
type Buckets struct {
	Scheme string // of their URLs
	// Start starts a server with an empty bucket, which Open finds by the environment; Setting is the variable there that names it.
	Start   func(t testing.TB, bucket string) *Server
	Setting string
	Open    func(t *testing.T, bucket, path string) object.Store
	// Busy answers that another try may help.
	Busy func(w http.ResponseWriter, r *http.Request) bool
}

// Run checks stores with Suite, and what those in buckets have in common.
func (b Buckets) Run(t *testing.T) {
	t.Run("below a path", func(t *testing.T) {
		b.Start(t, "data")
		n := 0
		Suite(t, func(t *testing.T) object.Store {
			n++
			return b.Open(t, "data", fmt.Sprintf("some/where/%d", n))
		})
	})
	t.Run("the whole bucket", b.whole)
	t.Run("no bucket", b.none)
	t.Run("broken answers", b.broken)
	t.Run("asks once", b.once)
}

// whole: a store without a path has the whole bucket.
func (b Buckets) whole(t *testing.T) {
	b.Start(t, "data")
	s := b.Open(t, "data", "")
	put(t, s, "a/b", "x", object.IfAbsent)
	if got, err := s.List(t.Context(), ""); err != nil || len(got) != 1 || got[0].Name != "a/b" {
		t.Errorf("%v %v", got, err)
	}
	if u := s.URL(); u != b.Scheme+"://data" {
		t.Error(u)
	}
	if u := b.Open(t, "data", "/p/q/").URL(); u != b.Scheme+"://data/p/q" {
		t.Error(u)
	}
}

// none: a bucket that is not there is told from an object that is not.
func (b Buckets) none(t *testing.T) {
	srv := b.Start(t, "data")
	s := b.Open(t, "other", "p")
	_, list := s.List(t.Context(), "")
	for what, err := range map[string]error{"list": list, "put": s.Put(t.Context(), "a", object.Bytes(nil), object.IfAbsent)} {
		code(t, err, errs.Invalid)
		if want := "there is no bucket 'other' at " + srv.URL; !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s: %v; want %q", what, err, want)
		}
	}
}

// broken: answers that break off, and a server that is not there, are worth another try.
func (b Buckets) broken(t *testing.T) {
	srv := b.Start(t, "data")
	s := b.Open(t, "data", "p")
	put(t, s, "a", string(make([]byte, 1<<20)), object.IfAbsent)
	srv.Before = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Length", "1000")
		w.Header().Set("Content-Range", "bytes 0-999/1048576")
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(make([]byte, 10))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	code(t, s.GetRange(t.Context(), "a", make([]byte, 1000), 0), errs.Unavailable)
	refusals := 2
	srv.Before = func(w http.ResponseWriter, r *http.Request) bool {
		refusals--
		return refusals >= 0 && b.Busy(w, r)
	}
	patient := object.Retry(s, object.RetryOptions{Pause: time.Microsecond})
	if err := patient.GetRange(t.Context(), "a", make([]byte, 1000), 0); err != nil || refusals >= 0 {
		t.Errorf("after two refusals: %v", err)
	}
	t.Setenv(b.Setting, "http://127.0.0.1:1")
	for what, call := range map[string]func(s object.Store) error{
		"stat": func(s object.Store) error { _, err := s.Stat(t.Context(), "a"); return err },
		"put":  func(s object.Store) error { return s.Put(t.Context(), "a", object.Bytes(nil), object.IfAbsent) },
	} {
		err := call(b.Open(t, "data", "p"))
		if code(t, err, errs.Unavailable); !object.Unanswered(err) {
			t.Errorf("%s: of a server that is not there came an answer: %v", what, err)
		}
	}
}

// once: each request is made once, for tries are those of object.Retry.
func (b Buckets) once(t *testing.T) {
	srv, n := b.Start(t, "data"), 0
	s := b.Open(t, "data", "p")
	srv.Before = func(w http.ResponseWriter, r *http.Request) bool {
		n++
		return b.Busy(w, r)
	}
	for i, call := range []func() error{
		func() error { _, _, err := s.Get(t.Context(), "a"); return err },
		func() error { _, err := s.Stat(t.Context(), "a"); return err },
		func() error { _, err := s.List(t.Context(), ""); return err },
		func() error { return s.GetRange(t.Context(), "a", make([]byte, 1), 0) },
		func() error { return s.Put(t.Context(), "a", object.Bytes([]byte("x")), object.IfAbsent) },
		func() error { return s.Delete(t.Context(), "a") },
		func() error { return s.DeleteIf(t.Context(), "a", "1") },
	} {
		if err := call(); !errs.Is(err, errs.Unavailable) || object.Unanswered(err) || n != i+1 {
			t.Errorf("call %d: %v after %d requests", i, err, n)
		}
	}
}
