// Package gstest is an emulator of Google Cloud Storage, for tests.
package gstest

import (
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"github.com/stemmadb/stemma/internal/object/objecttest"
)

// New starts an emulator that has that bucket, empty, and gives the environment that names it.
func New(t testing.TB, bucket string) (s *objecttest.Server, env map[string]string) {
	t.Helper()
	f, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, Scheme: "http"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	f.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: bucket})
	s = objecttest.Serve(t, f.HTTPHandler())
	return s, map[string]string{"STORAGE_EMULATOR_HOST": s.URL}
}

// Start is New, and lets the environment of the test name the emulator.
func Start(t testing.TB, bucket string) *objecttest.Server {
	t.Helper()
	s, env := New(t, bucket)
	for k, v := range env {
		t.Setenv(k, v)
	}
	return s
}
