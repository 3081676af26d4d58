// Package flight lets Arrow clients in: Flight SQL, and beside it reads, writes and actions in JSON, as
// docs/design/accepted/0007-arrow.md says.
//
//	server.go   connections       call.go    who calls, on which database and ref
//	service.go  which call is which read.go    DoGet     write.go  DoPut     action.go  DoAction
//	wire.go     how batches go out  shared.go  memory that clients share
//	statement.go, prepared.go, transaction.go, catalog.go, info.go   Flight SQL
//	errors.go   what clients are told of errors
package flight

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"math"
	"net"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/stemmadb/stemma/internal/engine"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/page"
)

// DefaultPort is the usual port of Flight SQL servers.
const DefaultPort = 8815

// Options steer a server.
type Options struct {
	Engine *engine.Engine

	Address    string      // host:port to listen on; "" listens on none
	TLS        *tls.Config // nil offers none
	RequireTLS bool        // refuse passwords that can be overheard

	Owner   string    // the account that trusted clients have; it may do everything
	Default string    // the database of calls that name none; "" is the only one
	Version string    // of this program
	Specs   []op.Spec // the verbs
	Files   string    // the only directory whose files clients may name in verbs, unless they are trusted; "" is every place
	// Scope is the scope in which a verb works on a database, with the branch and the author of the call.
	Scope func(database string) (*op.Scope, error)

	Log *slog.Logger // nil logs nothing
}

// Server answers Arrow clients. It is made running.
type Server struct {
	opt     Options
	service *service
	ln      net.Listener // of Address; nil without one
	inner   *handed
	open    *grpc.Server // of Address
	trusted *grpc.Server // of connections that are handed over
	wait    sync.WaitGroup
}

// batchPool is how many bytes of buffers a server keeps for batches to come.
const batchPool = 32 << 20

// New begins to answer. Errors of opening the address are of class Unavailable.
func New(opt Options) (*Server, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.RequireTLS && opt.TLS == nil {
		return nil, errs.New(errs.Invalid, "start server: to require TLS, a certificate and a key are needed")
	}
	s := &Server{opt: opt, inner: newHanded()}
	s.service = newService(&s.opt, page.NewPool(batchPool))
	s.trusted = s.newGRPC(true, nil)
	s.serve(s.trusted, s.inner)
	if opt.Address != "" {
		ln, err := net.Listen("tcp", opt.Address)
		if err != nil {
			s.trusted.Stop()
			return nil, errs.New(errs.Unavailable, "listen on %s: %w", opt.Address, err)
		}
		s.ln = ln
		s.open = s.newGRPC(false, opt.TLS)
		s.serve(s.open, ln)
	}
	return s, nil
}

// Sizes of buffers and windows: a batch is some megabytes.
const (
	windowSize = 16 << 20
	bufferSize = 256 << 10
)

func (s *Server) newGRPC(trusted bool, cfg *tls.Config) *grpc.Server {
	opts := []grpc.ServerOption{
		grpc.ForceServerCodecV2(newWireCodec(&s.service.calls)),
		grpc.MaxRecvMsgSize(math.MaxInt32), grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.InitialWindowSize(windowSize), grpc.InitialConnWindowSize(windowSize),
		grpc.WriteBufferSize(bufferSize), grpc.ReadBufferSize(bufferSize),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.ChainUnaryInterceptor(s.service.unary(trusted)), grpc.ChainStreamInterceptor(s.service.stream(trusted)),
	}
	if cfg != nil {
		opts = append(opts, grpc.Creds(credentials.NewTLS(cfg)))
	}
	g := grpc.NewServer(opts...)
	flight.RegisterFlightServiceServer(g, s.service)
	return g
}

func (s *Server) serve(g *grpc.Server, ln net.Listener) {
	s.wait.Go(func() {
		if err := g.Serve(ln); err != nil && !errors.Is(err, net.ErrClosed) {
			s.opt.Log.Error("The Arrow server stopped.", "error", err)
		}
	})
}

// Addr is the TCP address that the server listens on; nil when it listens on none.
func (s *Server) Addr() net.Addr {
	if s.ln == nil {
		return nil
	}
	return s.ln.Addr()
}

// Serve answers a client on a connection that was accepted elsewhere. The client may do everything, without a password. Serve returns at
// once; the server closes the connection. The error is net.ErrClosed when the server takes no more clients.
func (s *Server) Serve(conn net.Conn) error { return s.inner.hand(conn) }

// Shut refuses new calls, lets those under way finish until ctx is done, and then cancels them. Transactions that were begun and not
// ended are rolled back.
func (s *Server) Shut(ctx context.Context) {
	s.inner.Close()
	over, cancel := s.service.calls.over(ctx)
	defer cancel()
	var all sync.WaitGroup
	for _, g := range []*grpc.Server{s.trusted, s.open} {
		if g == nil {
			continue
		}
		all.Go(func() {
			stop := context.AfterFunc(over, g.Stop)
			defer stop()
			g.GracefulStop()
		})
	}
	all.Wait()
	s.wait.Wait()
	s.service.close()
}

// handed is a listener whose connections are handed to it.
type handed struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newHanded() *handed { return &handed{conns: make(chan net.Conn), done: make(chan struct{})} }

func (h *handed) hand(c net.Conn) error {
	select {
	case h.conns <- c:
		return nil
	case <-h.done:
		return net.ErrClosed
	}
}

// Accept implements net.Listener.
func (h *handed) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handed) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

// Addr implements net.Listener.
func (h *handed) Addr() net.Addr { return &net.UnixAddr{Name: "owner", Net: "unix"} }
