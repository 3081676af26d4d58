// Package gstest is an emulator of Google Cloud Storage, for tests.
package gstest

import (
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"github.com/stemmadb/stemma/internal/object/objecttest"
)

// Start starts an emulator that has that bucket, empty, and lets the environment name it.
func Start(t testing.TB, bucket string) *objecttest.Server {
	t.Helper()
	f, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, Scheme: "http"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	f.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: bucket})
	s := objecttest.Serve(t, f.HTTPHandler())
	t.Setenv("STORAGE_EMULATOR_HOST", s.URL)
	return s
}
