package mysql

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dolthub/go-mysql-server/server"
	"github.com/dolthub/go-mysql-server/sql"
	vitess "github.com/dolthub/vitess/go/mysql"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/engine"
	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Version is the MySQL version that clients are told, and behave for.
const Version = "8.0.33"

// Defaults of Options.
const (
	DefaultPort           = 3306
	DefaultMaxConnections = 1000
	DefaultTimeout        = 8 * time.Hour
	DefaultBackLog        = 50
	DefaultPatience       = time.Minute
	DefaultQueryLength    = 1000
)

// Options steer a server.
type Options struct {
	Engine *engine.Engine

	Address string // host:port to listen on; "" listens on none
	Socket  string // path of a unix socket to listen on; "" listens on none

	FS         vfs.FS // where Privileges is
	Privileges string // file of users and grants; "" keeps them in memory
	NoRoot     bool   // while there are no users, nobody comes in over the network; else root does from this machine
	Files      string // directory that LOAD DATA INFILE and INTO OUTFILE are bound to; "" is every place

	ReadOnly       bool                         // refuse statements that change anything
	NoAutoCommit   bool                         // sessions begin with autocommit = 0
	UserVars       map[string]map[string]string // session variables that a user's sessions begin with, by user
	Variables      map[string]string            // global variables that are not to have their defaults
	MaxConnections int                          // 0 is DefaultMaxConnections
	BackLog        int                          // how many clients may wait while there are so many; 0 is DefaultBackLog
	Patience       time.Duration                // how long each of them waits before it is refused; 0 is DefaultPatience
	Timeout        time.Duration                // how long a connection may stand idle; 0 is DefaultTimeout, below it there is no limit
	WriteTimeout   time.Duration                // how long a client may take to read; 0 is Timeout, below it there is no limit
	QueryLength    int                          // how many bytes of a statement the log shows; 0 is DefaultQueryLength, below it it shows none
	OneStatement   bool                         // a client cannot send several statements at once
	TLS            *tls.Config                  // nil offers none
	RequireTLS     bool                         // refuse connections without TLS, except trusted ones and unix sockets

	Log *slog.Logger // nil logs nothing
}

// Server answers clients. It is made running.
type Server struct {
	opt      Options
	ln       *listener
	gms      *server.Server
	accepted chan struct{} // closed when no more connections are accepted
	sessions sync.Map      // sql.Session by connection id
	general  bool          // every statement takes the general way, for tests that compare
	shorts   atomic.Int64  // statements that took the short way
	auth     *auth         // of the users' table
}

// New opens the server's addresses and begins to answer. Errors of opening are of class Unavailable.
func New(ctx context.Context, opt Options) (*Server, error) {
	if opt.MaxConnections == 0 {
		opt.MaxConnections = DefaultMaxConnections
	}
	opt.Timeout = cmp.Or(opt.Timeout, DefaultTimeout)
	opt.WriteTimeout = cmp.Or(opt.WriteTimeout, opt.Timeout)
	opt.BackLog, opt.Patience = cmp.Or(opt.BackLog, DefaultBackLog), cmp.Or(opt.Patience, DefaultPatience)
	opt.QueryLength = cmp.Or(opt.QueryLength, DefaultQueryLength)
	if opt.RequireTLS && opt.TLS == nil {
		return nil, errs.New(errs.Invalid, "start server: to require TLS, a certificate and a key are needed")
	}
	redirect(opt.Log)
	freeResults()
	if err := setVariables(opt); err != nil {
		return nil, err
	}
	e := opt.Engine.SQLEngine()
	if opt.ReadOnly {
		e.ReadOnly.Store(true)
	}
	users := &privileges{fs: opt.FS, path: opt.Privileges, none: opt.NoRoot}
	if err := users.load(sql.NewContext(ctx), e.Analyzer.Catalog.MySQLDb); err != nil {
		return nil, err
	}
	opt.Engine.RestoreUsers(func(ctx *sql.Context) error { return users.restore(ctx, e.Analyzer.Catalog.MySQLDb) })
	s := &Server{opt: opt, ln: newListener(), accepted: make(chan struct{}), auth: &auth{}}
	if err := s.listen(); err != nil {
		return nil, errors.Join(err, s.ln.Close())
	}
	gms, err := server.NewServerWithHandler(server.Config{
		Listener:                  s.ln,
		Version:                   Version,
		Address:                   opt.Address,
		ConnReadTimeout:           max(opt.Timeout, 0),
		ConnWriteTimeout:          max(opt.WriteTimeout, 0),
		MaxConnections:            uint64(opt.MaxConnections),
		MaxWaitConnections:        uint32(opt.BackLog),
		MaxWaitConnectionsTimeout: opt.Patience,
		TLSConfig:                 opt.TLS,
		MaxLoggedQueryLen:         opt.QueryLength,
		ProtocolListenerFactory:   s.protocol,

		DisableClientMultiStatements: opt.OneStatement,
	}, e, sql.NewContext, s.session, nil, s.wrap)
	if err != nil {
		return nil, errors.Join(errs.New(errs.Internal, "start server: %w", err), s.ln.Close())
	}
	s.gms = gms
	go func() {
		defer close(s.accepted)
		gms.Listener.Accept()
	}()
	return s, nil
}

func (s *Server) listen() error {
	if s.opt.Address != "" {
		ln, err := net.Listen("tcp", s.opt.Address)
		if err != nil {
			return errs.New(errs.Unavailable, "listen on %s: %w", s.opt.Address, err)
		}
		s.ln.add(ln)
	}
	if s.opt.Socket != "" {
		ln, err := listenUnix(s.opt.Socket)
		if err != nil {
			return err
		}
		s.ln.add(ln)
	}
	return nil
}

// protocol makes the listener of MySQL's protocol.
func (s *Server) protocol(cfg server.Config, lc vitess.ListenerConfig, sel server.ServerEventListener) (server.ProtocolListener, error) {
	*s.auth = *newAuth(lc.AuthServer, s.opt.RequireTLS)
	lc.AuthServer = s.auth
	return server.MySQLProtocolListenerFactory(cfg, lc, sel)
}

// setVariables sets the variables that describe the server. All servers of a process share them.
func setVariables(opt Options) error {
	if err := sql.SystemVariables.AssignValues(map[string]any{
		"version":          Version,
		"version_comment":  "stemma",
		"local_infile":     int8(1),
		"secure_file_priv": opt.Files,
		"max_connections":  int64(opt.MaxConnections),
	}); err != nil {
		return errs.New(errs.Internal, "set the server's variables: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(opt.Variables)) {
		if err := sql.SystemVariables.SetGlobal(sql.NewEmptyContext(), name, literal(opt.Variables[name])); err != nil {
			return errs.New(errs.Invalid, "set @@global.%s: %w", name, err)
		}
	}
	return nil
}

// session makes the session of a connection and takes note of it.
func (s *Server) session(ctx context.Context, c *vitess.Conn, addr string) (sql.Session, error) {
	sess, err := s.newSession(ctx, c, addr)
	if err == nil {
		s.sessions.Store(c.ConnectionID, sess)
	}
	return sess, err
}

func (s *Server) newSession(ctx context.Context, c *vitess.Conn, addr string) (sql.Session, error) {
	base, err := sql.BaseSessionFromConnection(ctx, c, addr)
	if err != nil {
		return nil, err
	}
	if isTrusted(c) {
		return session.New(base, session.Options{Databases: engine.CheckedOut(s.opt.Engine.Provider()), Author: peerAuthor(c.User), Query: s.opt.Engine.Answer}), nil
	}
	sess := s.opt.Engine.NewClientSession(base, clientHost(c.RemoteAddr()))
	if err := handshakeCharset(sql.NewContext(ctx, sql.WithSession(sess)), sess, c.CharacterSet); err != nil {
		return nil, errs.New(errs.Internal, "set the client's character set: %w", err)
	}
	vars := s.opt.UserVars[base.Client().User]
	if s.opt.NoAutoCommit {
		vars = merged(map[string]string{"autocommit": "0"}, vars)
	}
	for name, value := range vars {
		if err := sess.SetSessionVariable(sql.NewContext(ctx, sql.WithSession(sess)), name, literal(value)); err != nil {
			return nil, errs.New(errs.Invalid, "set @@%s for user %s: %w", name, base.Client().User, err)
		}
	}
	return sess, nil
}

// clientHost is how MySQL names the host of a client.
func clientHost(addr net.Addr) string {
	host, _, err := net.SplitHostPort(addr.String())
	if err != nil { // a unix socket
		return "localhost"
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
		return "localhost"
	}
	return host
}

// literal is a variable's value as SQL would write it: a number when it looks like one.
func literal(value string) any {
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		return n
	}
	return value
}

// Addr is the TCP address that the server listens on, or its socket's; of one that listens on none it is "localhost".
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Serve answers a client on a connection that was accepted elsewhere. The client may do everything, without a password; the user name
// that it gives is the author of its commits, as "Name <mail>". Serve returns at once; the server closes the connection. The error is
// net.ErrClosed when the server takes no more clients.
func (s *Server) Serve(conn net.Conn) error {
	return s.ln.hand(&tracked{Conn: conn, l: s.ln, trusted: true})
}

// grace is how long a client that runs no statement may still begin one when the server is being shut: it has perhaps just connected,
// or is on its way from one statement to the next.
const grace = 300 * time.Millisecond

// busy tells whether a client runs a statement, or may be about to.
func (s *Server) busy() bool {
	for _, p := range s.opt.Engine.SQLEngine().ProcessList.Processes() {
		if p.Command != sql.ProcessCommandSleep || clock.Since(p.StartedAt) < grace {
			return true
		}
	}
	return false
}

// Shut refuses new clients, lets statements under way finish until ctx is done, and then hangs up on every client. What a client has
// not committed is rolled back.
func (s *Server) Shut(ctx context.Context) error {
	err := errors.Join(s.gms.Close(), s.ln.Close())
	<-s.accepted
	const pause = 5 * time.Millisecond
	for s.busy() && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	list := s.opt.Engine.SQLEngine().ProcessList
	for _, p := range list.Processes() {
		list.Kill(p.Connection)
	}
	s.ln.hangUp()
	s.gms.SessionManager().WaitForClosedConnections()
	if err != nil {
		return errs.New(errs.Internal, "stop server: %w", err)
	}
	return nil
}

// merged is a with b's members over it.
func merged(a, b map[string]string) map[string]string {
	for k, v := range b {
		a[k] = v
	}
	return a
}
