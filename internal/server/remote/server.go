// Package remote lets others push to the databases of a server, fetch from them and clone them, over HTTP: each database looks like a remote,
// as docs/design/accepted/0012-remotes-over-http.md says.
package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	gosync "sync"
	"time"

	"github.com/stemmadb/stemma/internal/engine"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
	objecthttp "github.com/stemmadb/stemma/internal/object/http"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Options steer a server.
type Options struct {
	Engine *engine.Engine
	FS     vfs.FS // of the databases

	Address    string      // host:port to listen on
	TLS        *tls.Config // nil: HTTP without
	RequireTLS bool        // refuse passwords that can be overheard
	ReadOnly   bool        // refuse pushes
	Temp       string      // a directory for what is on its way, made when it is not there

	Log *slog.Logger // nil logs nothing
}

// Server answers those who push and fetch. It is made running.
type Server struct {
	opt  Options
	ln   net.Listener
	http *http.Server
	wait gosync.WaitGroup

	mu   gosync.Mutex
	live map[string]served // by name of the database
}

// served is a database as others see it.
type served struct {
	repo *repo.Repo
	live *sync.Live
}

// How long clients may take for the header of a request, and keep a connection without one.
const (
	headerPatience = 30 * time.Second
	idlePatience   = 2 * time.Minute
)

// New begins to answer. Errors of opening the address are of class Unavailable.
func New(opt Options) (*Server, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.RequireTLS && opt.TLS == nil {
		return nil, errs.New(errs.Invalid, "start server: to require TLS, a certificate and a key are needed")
	}
	if err := vfs.RemoveAll(opt.FS, opt.Temp); err != nil && !errs.Is(err, errs.NotFound) { // what a server that died has left
		return nil, err
	}
	if err := opt.FS.MkdirAll(opt.Temp); err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", opt.Address)
	if err != nil {
		return nil, errs.New(errs.Unavailable, "listen on %s: %w", opt.Address, err)
	}
	s := &Server{opt: opt, ln: ln, live: map[string]served{}}
	s.http = &http.Server{
		Handler: &objecthttp.Handler{Open: s.open, FS: opt.FS, Temp: opt.Temp, Failed: func(r *http.Request, err error) {
			opt.Log.Error("A request for objects failed.", "method", r.Method, "path", r.URL.Path, "error", err)
		}},
		TLSConfig: opt.TLS, ReadHeaderTimeout: headerPatience, IdleTimeout: idlePatience, ErrorLog: slog.NewLogLogger(opt.Log.Handler(), slog.LevelDebug),
	}
	s.wait.Go(func() {
		serve := s.http.Serve
		if opt.TLS != nil {
			serve = func(ln net.Listener) error { return s.http.ServeTLS(ln, "", "") }
		}
		if err := serve(ln); !errors.Is(err, http.ErrServerClosed) {
			opt.Log.Error("The server of remotes stopped.", "error", err)
		}
	})
	return s, nil
}

// Addr is the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Shut refuses new requests, lets those under way finish until ctx is done, and then cuts them off.
func (s *Server) Shut(ctx context.Context) error {
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close() // connections of clients, which find out
	}
	s.wait.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for _, d := range s.live {
		err = errors.Join(err, d.live.Close())
	}
	s.live = map[string]served{}
	return errors.Join(err, vfs.RemoveAll(s.opt.FS, s.opt.Temp))
}

// open is the database of that name for whoever makes the request.
func (s *Server) open(r *http.Request, name string) (object.Store, error) {
	if s.opt.RequireTLS && r.TLS == nil {
		return nil, errs.New(errs.Denied, "connections without TLS are prohibited here")
	}
	user, password, ok := r.BasicAuth()
	if !ok {
		user, password = "root", ""
	}
	account, host, err := s.opt.Engine.Authenticate(user, password, hostOf(r), r.TLS != nil)
	if err != nil {
		return nil, err
	}
	rights := []engine.Access{engine.Read}
	if writes := r.Method != http.MethodGet && r.Method != http.MethodHead; writes {
		if s.opt.ReadOnly {
			return nil, errs.New(errs.ReadOnly, "this server is read-only")
		}
		rights = append(rights, engine.Write, engine.Create, engine.Drop)
	}
	found, written, ok := s.opt.Engine.Provider().Lookup(name)
	if ok {
		name = written
	}
	// Who may not read a database is not told whether there is one.
	if err := s.opt.Engine.AllowedDatabase(r.Context(), account, host, name, rights...); err != nil {
		return nil, err
	}
	if !ok {
		return nil, errs.New(errs.NotFound, "database not found: %s", name)
	}
	return s.liveOf(found, name)
}

// liveOf is a database as others see it.
func (s *Server) liveOf(r *repo.Repo, name string) (*sync.Live, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.live[name]
	if ok && d.repo == r {
		return d.live, nil
	}
	if ok { // one that was dropped
		delete(s.live, name)
		if err := d.live.Close(); err != nil && !errs.Is(err, errs.NotFound) {
			return nil, err
		}
	}
	live, err := r.Serve("the database "+name, func(branch string) bool { return s.opt.Engine.InUse(r, branch) })
	if err != nil {
		return nil, err
	}
	s.live[name] = served{r, live}
	return live, nil
}

// proxied is the host of clients that do not come from this machine though their connection does.
const proxied = "proxy"

// hostOf is how MySQL names the host of a client. A proxy on this machine passes on requests of others, and a browser on it those of pages
// of others, whose names they may have made an address of this machine: neither is localhost, whose root need not have a password.
func hostOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return proxied
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return host
	}
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via", "Origin"} {
		if r.Header.Get(h) != "" {
			return proxied
		}
	}
	if !own(r.Host) {
		return proxied
	}
	return "localhost"
}

// own tells whether what a client calls the server, with or without a port, is an address or a name of this machine.
func own(name string) bool {
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	name = strings.ToLower(strings.Trim(name, "[]"))
	if net.ParseIP(name) != nil || name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	self, err := os.Hostname()
	self = strings.ToLower(self)
	short, _, _ := strings.Cut(self, ".")
	return err == nil && self != "" && (name == self || name == short)
}
