package http_test

import (
	"context"
	"io"
	"log"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/http"
)

// greeting is a server that says something to all who come, and goes when they say something.
func greeting(t *testing.T, text string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.WriteString(c, text)
				_, _ = c.Read(make([]byte, 4096))
			}()
		}
	}()
	return l.Addr().String()
}

// TestStrangers: who names a port of something else, or one of HTTP as one of HTTPS, is told so, at once and by the error alone.
func TestStrangers(t *testing.T) {
	log.SetOutput(io.Discard) // net/http's client tells of servers that speak first
	defer log.SetOutput(os.Stderr)
	nobody := nethttp.HandlerFunc(func(nethttp.ResponseWriter, *nethttp.Request) {})
	plain := httptest.NewServer(nobody)
	defer plain.Close()
	secure := httptest.NewUnstartedServer(nobody)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	mysql := greeting(t, "J\x00\x00\x00\n8.0.33\x00rest")
	at := func(s *httptest.Server) string { return s.Listener.Addr().String() }
	for _, c := range []struct{ url, says string }{
		{"http://" + mysql, "a port for clients of MySQL"},
		{"https://" + mysql, "a port for clients of MySQL"},
		{"http://" + greeting(t, "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x40\x00"), "speaks HTTP/2 only, as a port for Arrow Flight does"},
		{"http://" + greeting(t, "SSH-2.0-OpenSSH_9.7\r\n"), "is no server of HTTP"},
		{"https://" + greeting(t, "SSH-2.0-OpenSSH_9.7\r\n"), "is no server of HTTP"},
		{"https://" + at(plain), "speaks HTTP and not HTTPS: write http:// instead of https://"},
		{"http://" + at(secure), "speaks HTTPS and not HTTP: write https:// instead of http://"},
		{"https://" + at(secure), "SSL_CERT_FILE names a file"},
	} {
		tries := 0
		s := object.Retry(triesOf{http.Open(c.url+"/db", ada), &tries}, object.RetryOptions{Pause: 1})
		_, _, err := s.Get(t.Context(), "stemma-remote")
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "malformed") || tries != 1 {
			t.Errorf("%s: after %d tries %s: %v; want after one %q", c.url, tries, errs.CodeOf(err), err, c.says)
		}
	}
}

// triesOf is a store that counts what is got of it.
type triesOf struct {
	object.Store
	n *int
}

// Get implements object.Store.
func (c triesOf) Get(ctx context.Context, name string) ([]byte, object.Generation, error) {
	*c.n++
	return c.Store.Get(ctx, name)
}
