package objecttest

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// Server is a server of objects on this machine, which counts what it is asked, and may be late or refuse.
type Server struct {
	URL string
	// Before, if not nil, may answer a request instead of the server; it tells whether it has.
	Before func(w http.ResponseWriter, r *http.Request) bool
	// Delay is waited before each answer.
	Delay time.Duration

	mu       sync.Mutex
	requests []string
	bytes    int64
}

// Requests are the requests since Reset, each by its method and path, and the length of their bodies in bytes.
func (s *Server) Requests() (list []string, sent int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(list, s.requests...), s.bytes
}

// Reset forgets the requests so far.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests, s.bytes = nil, 0
}

// Serve starts a server with that handler.
func Serve(t testing.TB, h http.Handler) *Server {
	t.Helper()
	s := &Server{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Method+" "+r.URL.RequestURI())
		s.bytes += max(r.ContentLength, 0)
		s.mu.Unlock()
		if s.Delay > 0 {
			time.Sleep(s.Delay)
		}
		if s.Before == nil || !s.Before(w, r) {
			h.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(srv.Close)
	s.URL = srv.URL
	return s
}
