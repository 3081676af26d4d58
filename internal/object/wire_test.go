package object_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
)

// TestAnswered: what an answer says, breaks off or is too late for has its class, and never passes for done.
func TestAnswered(t *testing.T) {
	broken := io.MultiReader(strings.NewReader("so"), errReader{})
	for _, c := range []struct {
		name   string
		status int
		body   io.Reader
		late   bool
		class  errs.Code
	}{
		{"a refusal", 403, strings.NewReader("no"), false, errs.Denied},
		{"a refusal that breaks off", 403, broken, false, errs.Denied},
		{"a refusal that comes when nobody waits", 503, strings.NewReader("busy"), true, errs.Canceled},
		{"an answer that breaks off", 200, broken, false, errs.Unavailable},
		{"an answer that breaks off when nobody waits", 200, broken, true, errs.Canceled},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		if c.late {
			cancel()
		}
		closed := &closer{Reader: c.body}
		err := object.Answered(ctx, "GET of a", &http.Response{StatusCode: c.status, Body: closed},
			func(r *http.Response, text []byte) error {
				return errs.New(object.StatusClass(r.StatusCode), "%s", text)
			},
			func(r *http.Response) error { _, err := io.ReadAll(r.Body); return err })
		cancel()
		if !errs.Is(err, c.class) || !closed.done {
			t.Errorf("%s: %s: %v, closed %t; want class %s", c.name, errs.CodeOf(err), err, closed.done, c.class)
		}
	}
}

type errReader struct{}

// Read implements io.Reader.
func (errReader) Read([]byte) (int, error) { return 0, errors.New("the connection broke") }

// closer notes that it was closed.
type closer struct {
	io.Reader
	done bool
}

// Close implements io.Closer.
func (c *closer) Close() error { c.done = true; return nil }

// TestBounded holds that of an answer that is an error no more is read than somebody reads, and all of another one.
func TestBounded(t *testing.T) {
	status := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write(make([]byte, 1<<20))
	}))
	defer srv.Close()
	client := object.Client()
	client.Transport = object.Bounded(client.Transport)
	for code, want := range map[int]int{200: 1 << 20, 500: 64 << 10, 403: 64 << 10} {
		status = code
		r, err := client.Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r.Body)
		if err := errors.Join(err, r.Body.Close()); err != nil || len(got) != want {
			t.Errorf("%d: %d bytes, %v; want %d", code, len(got), err, want)
		}
	}
}
