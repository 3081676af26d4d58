package objecttest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// Server is a server of objects on this machine, which counts what it is asked, and may be late or refuse.
type Server struct {
	URL string
	// Close ends the server.
	Close func()
	// Before, if not nil, may answer a request instead of the server; it tells whether it has.
	Before func(w http.ResponseWriter, r *http.Request) bool
	// Delay is waited before each answer.
	Delay time.Duration

	mu       sync.Mutex
	requests []string
	bytes    int64
	answered int64
}

// Requests are the requests since Reset, each by its method and path, and the length of their bodies in bytes.
func (s *Server) Requests() (list []string, sent int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(list, s.requests...), s.bytes
}

// Answered is the length of the bodies of the answers since Reset, in bytes.
func (s *Server) Answered() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answered
}

// arriving is a body, of a request that does not tell its length, that is counted.
type arriving struct {
	io.ReadCloser
	s *Server
}

// Read implements io.Reader.
func (a *arriving) Read(b []byte) (int, error) {
	n, err := a.ReadCloser.Read(b)
	a.s.mu.Lock()
	a.s.bytes += int64(n)
	a.s.mu.Unlock()
	return n, err
}

// counted is an answer whose body is counted.
type counted struct {
	http.ResponseWriter
	s *Server
}

// Write implements http.ResponseWriter.
func (c counted) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.s.mu.Lock()
	c.s.answered += int64(n)
	c.s.mu.Unlock()
	return n, err
}

// Flush implements http.Flusher.
func (c counted) Flush() { c.ResponseWriter.(http.Flusher).Flush() }

// Reset forgets the requests so far.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests, s.bytes, s.answered = nil, 0, 0
}

// DeletesIf is a handler whose DELETE minds a condition, as the services that emulators stand for do: wanted is what a request demands, "" for
// nothing, and current what the answer to a request for the object, without a body, says that it is.
func DeletesIf(h http.Handler, wanted func(r *http.Request) string, current func(answer *httptest.ResponseRecorder) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if want := wanted(r); r.Method == http.MethodDelete && want != "" {
			ask := r.Clone(r.Context())
			ask.Method, ask.Body = http.MethodGet, http.NoBody
			answer := httptest.NewRecorder()
			if h.ServeHTTP(answer, ask); answer.Code != http.StatusOK {
				w.WriteHeader(answer.Code)
				return
			}
			if current(answer) != want {
				w.WriteHeader(http.StatusPreconditionFailed)
				return
			}
		}
		h.ServeHTTP(w, r)
	})
}

// Named is a server that the environment of the test names from now on.
func Named(t testing.TB, s *Server, env map[string]string) *Server {
	t.Helper()
	for name, text := range env {
		t.Setenv(name, text)
	}
	return s
}

// Serve starts a server with that handler, for as long as the test runs.
func Serve(t testing.TB, h http.Handler) *Server {
	t.Helper()
	s := Start(h)
	t.Cleanup(s.Close)
	return s
}

// Start starts a server with that handler, which the caller closes.
func Start(h http.Handler) *Server {
	s := &Server{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Method+" "+r.URL.RequestURI())
		s.bytes += max(r.ContentLength, 0)
		s.mu.Unlock()
		if r.ContentLength < 0 { // it is told in parts
			r.Body = &arriving{r.Body, s}
		}
		if s.Delay > 0 {
			time.Sleep(s.Delay)
		}
		if s.Before == nil || !s.Before(w, r) {
			h.ServeHTTP(counted{w, s}, r)
		}
	}))
	s.URL, s.Close = srv.URL, srv.Close
	return s
}
