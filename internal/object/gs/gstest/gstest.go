// Package gstest is an emulator of Google Cloud Storage, for tests.
package gstest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"github.com/stemmadb/stemma/internal/object/objecttest"
)

// New starts an emulator that has that bucket, empty, and gives the environment that names it.
func New(t testing.TB, bucket string) (s *objecttest.Server, env map[string]string) {
	t.Helper()
	s, env, err := Serve(bucket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, env
}

// Serve is New outside a test: the caller closes the emulator.
func Serve(bucket string) (s *objecttest.Server, env map[string]string, err error) {
	f, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, Scheme: "http"})
	if err != nil {
		return nil, nil, err
	}
	f.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: bucket})
	s = objecttest.Start(objecttest.DeletesIf(f.HTTPHandler(), func(r *http.Request) string { return r.URL.Query().Get("ifGenerationMatch") },
		func(answer *httptest.ResponseRecorder) string {
			var about struct{ Generation string }
			if err := json.Unmarshal(answer.Body.Bytes(), &about); err != nil {
				return err.Error()
			}
			return about.Generation
		}))
	end := s.Close
	s.Close = func() {
		end()
		f.Stop()
	}
	return s, map[string]string{"STORAGE_EMULATOR_HOST": s.URL}, nil
}

// Answer is an answer of that status which says what is the matter as Cloud Storage does.
func Answer(status int, message string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error": {"code": %d, "message": %q}}`, status, message)
		return true
	}
}

// Busy answers that another try may help.
func Busy(w http.ResponseWriter, r *http.Request) bool {
	return Answer(http.StatusTooManyRequests, "The object exceeded the rate limit for object mutation operations (create, update, and delete). Please reduce your request rate.")(w, r)
}

// Start is New, and lets the environment of the test name the emulator.
func Start(t testing.TB, bucket string) *objecttest.Server {
	t.Helper()
	s, env := New(t, bucket)
	return objecttest.Named(t, s, env)
}
