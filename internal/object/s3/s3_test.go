package s3_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/objecttest"
	"github.com/stemmadb/stemma/internal/object/s3"
	"github.com/stemmadb/stemma/internal/object/s3/s3test"
)

func open(t *testing.T, bucket, path string) *s3.Store {
	t.Helper()
	s, err := s3.Open(t.Context(), bucket, path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestBuckets(t *testing.T) {
	objecttest.Buckets{
		Scheme: "s3", Start: s3test.Start, Setting: "AWS_ENDPOINT_URL", Busy: s3test.Busy,
		Open: func(t *testing.T, bucket, path string) object.Store { return open(t, bucket, path) },
	}.Run(t)
}

// Bodies are covered by the signature, so that the server compares them with their hash, and buckets are named in the path.
func TestRequests(t *testing.T) {
	srv := s3test.Start(t, "data")
	var hash string
	srv.Before = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			hash = r.Header.Get("X-Amz-Content-Sha256")
		}
		return false
	}
	if err := open(t, "data", "p").Put(t.Context(), "a", object.Bytes([]byte("abc")), object.IfAbsent); err != nil {
		t.Fatal(err)
	}
	if hash != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("the body's hash is %q", hash)
	}
	if got, sent := srv.Requests(); len(got) != 1 || !strings.HasPrefix(got[0], "PUT /data/p/a") || sent != 3 {
		t.Errorf("%q, %d bytes", got, sent)
	}
}

func TestErrors(t *testing.T) {
	srv := s3test.Start(t, "data")
	s := open(t, "data", "p")
	for _, c := range []struct {
		status    int
		code      string
		class     errs.Code
		mentioned string
	}{
		{403, "AccessDenied", errs.Denied, "GetObject of s3://data/p/a was denied to access key AKIATEST (EnvConfigCredentials)"},
		{403, "SignatureDoesNotMatch", errs.Denied, "AKIATEST"},
		{400, "ExpiredToken", errs.Denied, "AKIATEST"},
		{403, "RequestTimeTooSkewed", errs.Denied, "clock"},
		{503, "SlowDown", errs.Unavailable, "SlowDown"},
		{500, "InternalError", errs.Unavailable, "InternalError"},
		{409, "ConditionalRequestConflict", errs.Unavailable, "Conflict"},
		{404, "NoSuchBucket", errs.Invalid, "there is no bucket 'data' at " + srv.URL},
		{404, "NoSuchKey", errs.NotFound, "not there"},
		{301, "PermanentRedirect", errs.Invalid, "AWS_REGION"},
		{507, "XMinioStorageFull", errs.NoSpace, "XMinioStorageFull"},
	} {
		srv.Before = s3test.Answer(c.status, c.code, "as told")
		_, _, err := s.Get(t.Context(), "a")
		if !errs.Is(err, c.class) || !strings.Contains(err.Error(), c.mentioned) {
			t.Errorf("%s: %s: %v; want %s with %q", c.code, errs.CodeOf(err), err, c.class, c.mentioned)
		}
	}
}

func TestNoCredentials(t *testing.T) {
	s3test.Start(t, "data")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	_, err := s3.Open(t.Context(), "data", "")
	if !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("%v", err)
	}
	t.Setenv("AWS_NO_SIGN_REQUEST", "yes")
	if err := open(t, "data", "").Put(t.Context(), "a", object.Bytes(nil), object.IfAbsent); err != nil {
		t.Errorf("anonymously: %v", err)
	}
}
