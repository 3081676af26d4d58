// Package buckettest has a server of every kind of buckets, for tests.
package buckettest

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/az"
	"github.com/stemmadb/stemma/internal/object/az/aztest"
	"github.com/stemmadb/stemma/internal/object/gs"
	"github.com/stemmadb/stemma/internal/object/gs/gstest"
	"github.com/stemmadb/stemma/internal/object/objecttest"
	"github.com/stemmadb/stemma/internal/object/s3"
	"github.com/stemmadb/stemma/internal/object/s3/s3test"
)

// Kind is a kind of buckets.
type Kind struct {
	Scheme string // of their URLs
	// New starts a server that has that bucket, empty, and gives the environment that names it.
	New func(t testing.TB, bucket string) (s *objecttest.Server, env map[string]string)
	// Open opens the store below a path of a bucket of the server that the environment names.
	Open func(ctx context.Context, bucket, path string) (object.Store, error)
	// Busy answers that an object is asked for too often.
	Busy func(w http.ResponseWriter, r *http.Request) bool
}

// Kinds are all kinds of buckets.
var Kinds = []Kind{
	{"az", aztest.New, opener(az.Open), aztest.Busy},
	{"gs", gstest.New, opener(gs.Open), gstest.Busy},
	{"s3", s3test.New, opener(s3.Open), s3test.Busy},
}

func opener[S object.Store](open func(ctx context.Context, bucket, path string) (S, error)) func(ctx context.Context, bucket, path string) (object.Store, error) {
	return func(ctx context.Context, bucket, path string) (object.Store, error) {
		s, err := open(ctx, bucket, path)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
}

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

// Puts is the name in its bucket of the object that a request puts there; "" for other requests.
func (k Kind) Puts(r *http.Request, bucket string) string {
	if k.Scheme != "gs" {
		if r.Method != http.MethodPut {
			return ""
		}
		_, name, _ := strings.Cut(r.URL.Path, "/"+bucket+"/")
		return name
	}
	if r.Method != http.MethodPost || !strings.HasPrefix(r.URL.Path, "/upload/") {
		return ""
	}
	// The name is in the first part of the body, which is read again by who answers.
	body := bufio.NewReaderSize(r.Body, 4<<10)
	beginning, _ := body.Peek(body.Size()) // also where it is shorter
	r.Body = struct {
		io.Reader
		io.Closer
	}{body, r.Body}
	name := uploaded.FindSubmatch(beginning)
	if name == nil {
		return ""
	}
	return string(name[1])
}

var uploaded = regexp.MustCompile(`"name":"([^"]*)"`)
