// Package buckettest has a server of every kind of buckets, for tests.
package buckettest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/object/az/aztest"
	"github.com/stemmadb/stemma/internal/object/gs/gstest"
	"github.com/stemmadb/stemma/internal/object/objecttest"
	"github.com/stemmadb/stemma/internal/object/s3/s3test"
)

// Kind is a kind of buckets.
type Kind struct {
	Scheme string // of their URLs
	// New starts a server that has that bucket, empty, and gives the environment that names it.
	New func(t testing.TB, bucket string) (s *objecttest.Server, env map[string]string)
	// Busy answers that an object is asked for too often.
	Busy func(w http.ResponseWriter, r *http.Request) bool
}

// Kinds are all kinds of buckets.
var Kinds = []Kind{{"az", aztest.New, aztest.Busy}, {"gs", gstest.New, gstest.Busy}, {"s3", s3test.New, s3test.Busy}}

// Of is the kind of a scheme; ok is false where there is none.
func Of(scheme string) (k Kind, ok bool) {
	for _, k := range Kinds {
		if k.Scheme == scheme {
			return k, true
		}
	}
	return Kind{}, false
}

// Start is New, and lets the environment of the test name the server.
func (k Kind) Start(t testing.TB, bucket string) *objecttest.Server {
	t.Helper()
	s, env := k.New(t, bucket)
	return objecttest.Named(t, s, env)
}

// Behind is the environment that New gives for a server, but that it names a network that lies before the server.
func Behind(s *objecttest.Server, env map[string]string, at string) map[string]string {
	out := map[string]string{}
	for name, text := range env {
		out[name] = strings.Replace(text, s.URL, at, 1)
	}
	return out
}

// Sets tells whether a request changes an object of that name in the bucket; put alone may be all that is wanted of it.
func Sets(r *http.Request, name string) bool {
	if r.Method != http.MethodPut && r.Method != http.MethodPost {
		return false
	}
	return strings.Contains(r.URL.Path, name) || strings.Contains(r.URL.Query().Get("name"), name)
}
