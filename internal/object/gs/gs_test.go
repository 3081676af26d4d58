package gs_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/gs"
	"github.com/stemmadb/stemma/internal/object/gs/gstest"
	"github.com/stemmadb/stemma/internal/object/objecttest"
)

func open(t *testing.T, bucket, path string) *gs.Store {
	t.Helper()
	s, err := gs.Open(t.Context(), bucket, path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestBuckets(t *testing.T) {
	objecttest.Buckets{
		Scheme: "gs", Start: gstest.Start, Setting: "STORAGE_EMULATOR_HOST", Busy: gstest.Busy,
		Open: func(t *testing.T, bucket, path string) object.Store { return open(t, bucket, path) },
	}.Run(t)
}

func TestErrors(t *testing.T) {
	srv := gstest.Start(t, "data")
	s := open(t, "data", "p")
	for _, c := range []struct {
		status    int
		message   string
		class     errs.Code
		mentioned string
	}{
		{403, "ada does not have storage.objects.get access", errs.Denied, "objects.get of gs://data/p/a was denied to nobody (an emulator gets no credentials): ada does not"},
		{401, "Invalid Credentials", errs.Denied, "Invalid Credentials"},
		{429, "The object exceeded the rate limit for object mutation operations", errs.Unavailable, "rate limit"},
		{503, "Backend error", errs.Unavailable, "Backend error"},
		{404, "The specified bucket does not exist.", errs.Invalid, "there is no bucket 'data' at " + srv.URL},
		{404, "No such object: data/p/a", errs.NotFound, "not there"},
		{412, "At least one of the pre-conditions you specified did not hold.", errs.Conflict, "changed by somebody else"},
	} {
		srv.Before = gstest.Answer(c.status, c.message)
		_, _, err := s.Get(t.Context(), "a")
		if !errs.Is(err, c.class) || !strings.Contains(err.Error(), c.mentioned) {
			t.Errorf("%d: %s: %v; want %s with %q", c.status, errs.CodeOf(err), err, c.class, c.mentioned)
		}
	}
}

// What arrives damaged is told by its checksum, in both directions.
func TestDamage(t *testing.T) {
	srv := gstest.Start(t, "data")
	s := open(t, "data", "p")
	put := func() error { return s.Put(t.Context(), "a", object.Bytes([]byte("text")), object.Always) }
	if err := put(); err != nil {
		t.Fatal(err)
	}
	srv.Before = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("X-Goog-Hash", "crc32c=AAAAAA==")
		w.Header().Set("X-Goog-Generation", "1")
		_, _ = w.Write([]byte("text"))
		return true
	}
	if _, _, err := s.Get(t.Context(), "a"); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("%v", err)
	}
	srv.Before = func(_ http.ResponseWriter, r *http.Request) bool {
		r.Body = http.NoBody
		return false
	}
	if err := put(); err == nil {
		t.Error("a put without its body succeeds")
	}
}

// A server that is another one is told from one that is busy.
func TestOther(t *testing.T) {
	srv := gstest.Start(t, "data")
	s := open(t, "data", "p")
	text := ""
	srv.Before = func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = w.Write([]byte(text))
		return true
	}
	for _, text = range []string{"<html>Welcome</html>", `{"items": 1, "size": "x"}`, "{"} {
		_, list := s.List(t.Context(), "")
		_, stat := s.Stat(t.Context(), "a")
		for what, err := range map[string]error{"list": list, "stat": stat} {
			if !errs.Is(err, errs.Unsupported) {
				t.Errorf("%s: %q: %s: %v", what, text, errs.CodeOf(err), err)
			}
		}
	}
}

// Credentials that cannot be read are told at once.
func TestBadCredentials(t *testing.T) {
	t.Setenv("STORAGE_EMULATOR_HOST", "")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent/key.json")
	if _, err := gs.Open(t.Context(), "data", ""); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "/nonexistent/key.json") {
		t.Errorf("%v", err)
	}
}
