// Package s3test is a server that speaks S3's protocol, for tests.
package s3test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/stemmadb/stemma/internal/object/objecttest"
)

// New starts a server that has that bucket, empty, and gives the environment that names it.
func New(t testing.TB, bucket string) (s *objecttest.Server, env map[string]string) {
	t.Helper()
	s, env, err := Serve(bucket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, env
}

// Serve is New outside a test: the caller closes the server.
func Serve(bucket string) (s *objecttest.Server, env map[string]string, err error) {
	backend := s3mem.New()
	if err := backend.CreateBucket(bucket); err != nil {
		return nil, nil, err
	}
	s = objecttest.Start(objecttest.DeletesIf(Plain(backend), func(r *http.Request) string { return r.Header.Get("If-Match") },
		func(answer *httptest.ResponseRecorder) string { return answer.Header().Get("ETag") }))
	return s, map[string]string{
		"AWS_ENDPOINT_URL": s.URL, "AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true", "AWS_SESSION_TOKEN": "",
	}, nil
}

// Plain is a server of that backend which does not mind conditions of deletes.
func Plain(backend gofakes3.Backend) http.Handler {
	return gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
}

// Answer is an answer of that status which says what is the matter as S3 does.
func Answer(status int, code, message string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message></Error>`, code, message)
		return true
	}
}

// Busy answers that another try may help.
func Busy(w http.ResponseWriter, r *http.Request) bool {
	return Answer(http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")(w, r)
}

// Start is New, and lets the environment of the test name the server.
func Start(t testing.TB, bucket string) *objecttest.Server {
	t.Helper()
	s, env := New(t, bucket)
	return objecttest.Named(t, s, env)
}
