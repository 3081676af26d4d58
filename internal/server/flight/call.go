package flight

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/stemmadb/stemma/internal/engine"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/repo"
)

// caller is who makes a call.
type caller struct {
	user, host string // the account
	from       string // where from
	peer       string // the connection, by the address at its other end; "" when that does not tell
	trusted    bool   // in no need of an account: the owner of the files
}

type callerKey struct{}

func callerOf(ctx context.Context) *caller {
	c, _ := ctx.Value(callerKey{}).(*caller)
	return c
}

// token names a caller who has given the password.
type token string

// authenticate finds out who calls.
func (s *service) authenticate(ctx context.Context, trusted bool) (*caller, error) {
	if trusted {
		return &caller{user: s.opt.Owner, host: "localhost", from: "localhost", trusted: true}, nil
	}
	from, end, secure := "", "", false
	if p, ok := peer.FromContext(ctx); ok {
		from, end = hostOf(p.Addr), p.Addr.String()
		_, secure = p.AuthInfo.(credentials.TLSInfo)
	}
	md, _ := metadata.FromIncomingContext(ctx)
	user, password := "root", ""
	if h := first(md, "authorization"); h != "" {
		kind, rest, _ := strings.Cut(h, " ")
		switch {
		case strings.EqualFold(kind, "bearer"):
			if known, ok := s.tokens.Load(token(rest)); ok && known.(*caller).from == from {
				c := *known.(*caller)
				c.peer = end
				return &c, nil
			}
			return nil, status.Error(codes.Unauthenticated, "the token is not known any more: log in again")
		case strings.EqualFold(kind, "basic"):
			text, err := base64.StdEncoding.DecodeString(rest)
			if err != nil {
				if text, err = base64.RawStdEncoding.DecodeString(rest); err != nil {
					return nil, status.Error(codes.Unauthenticated, "authorization: the credentials are not base64")
				}
			}
			user, password, _ = strings.Cut(string(text), ":")
		default:
			return nil, status.Error(codes.Unauthenticated, "authorization: Basic or Bearer are understood")
		}
	}
	if s.opt.RequireTLS && !secure {
		return nil, status.Error(codes.Unauthenticated, "connections without TLS are prohibited here")
	}
	u, h, err := s.opt.Engine.Authenticate(user, password, from, secure)
	if err != nil {
		return nil, status.Error(codes.Unauthenticated, err.Error())
	}
	return &caller{user: u, host: h, from: from, peer: end}, nil
}

// login gives a caller a token that stands for the password in later calls.
func (s *service) login(c *caller) string {
	t := rand.Text()
	s.tokens.Store(token(t), c)
	return "Bearer " + t
}

// hostOf is how MySQL names the host of a client.
func hostOf(addr net.Addr) string {
	host, _, err := net.SplitHostPort(addr.String())
	if err != nil {
		return "localhost"
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
		return "localhost"
	}
	return host
}

func first(md metadata.MD, key string) string {
	if v := md.Get(key); len(v) > 0 {
		return v[0]
	}
	return ""
}

// unary and stream are what every call goes through: they find out who calls, keep a panic from ending the server, and give errors the
// form that clients read.
func (s *service) unary(trusted bool) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (out any, err error) {
		defer s.calls.begin()()
		defer s.finish(info.FullMethod, func(md metadata.MD) { _ = grpc.SetTrailer(ctx, md) }, &err)
		c, err := s.authenticate(ctx, trusted)
		if err != nil {
			return nil, err
		}
		return next(context.WithValue(ctx, callerKey{}, c), req)
	}
}

func (s *service) stream(trusted bool) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
		defer s.calls.begin()()
		defer s.finish(info.FullMethod, ss.SetTrailer, &err)
		c, err := s.authenticate(ss.Context(), trusted)
		if err != nil {
			return err
		}
		return next(srv, &calledStream{ss, context.WithValue(ss.Context(), callerKey{}, c)})
	}
}

// calledStream is a stream whose context knows the caller.
type calledStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s *calledStream) Context() context.Context { return s.ctx }

// Headers of calls; docs/design/accepted/0007-arrow.md says what they mean. Options of Flight sessions have the names behind the dash.
const (
	headerPrefix      = "stemma-"
	headerDatabase    = "database"
	headerBranch      = "branch"
	headerRef         = "ref"
	headerAuthor      = "author"
	headerRun         = "run"
	headerRunNode     = "run-node"
	headerRunAttempt  = "run-attempt"
	headerRunAlias    = "run-alias"
	headerTransaction = "transaction"
	headerWriteID     = "write-id"
	headerMode        = "mode"
	headerPrimaryKey  = "primary-key"
	headerMessage     = "message"
	headerBooleans    = "booleans"
)

// call is what a call's headers, and its Flight session, say.
type call struct {
	s       *service
	caller  *caller
	md      metadata.MD
	session *flightSession // nil when it is in none
}

func (s *service) call(ctx context.Context) *call {
	md, _ := metadata.FromIncomingContext(ctx)
	c := &call{s: s, caller: callerOf(ctx), md: md}
	c.session = s.sessionOf(md, c.caller)
	return c
}

// header is a header of the call, or the option of its session.
func (c *call) header(name string) string {
	if v := first(c.md, headerPrefix+name); v != "" {
		return v
	}
	if c.session != nil {
		return c.session.option(name)
	}
	return ""
}

func (c *call) integers() bool { return strings.EqualFold(c.header(headerBooleans), "int8") }

// author is the author of commits; zero when the user is to be.
func (c *call) author() history.Signature {
	name, rest, ok := strings.Cut(c.header(headerAuthor), " <")
	if !ok {
		return history.Signature{Name: name}
	}
	return history.Signature{Name: name, Email: strings.TrimSuffix(rest, ">")}
}

// run is the run that the call is made for.
func (c *call) run() lineage.Current {
	by := lineage.Current{Node: c.header(headerRunNode), Attempt: c.header(headerRunAttempt), Alias: c.header(headerRunAlias)}
	by.Run, by.Name = lineage.Named(c.header(headerRun))
	return by
}

// database is the name of the call's database with the branch that the headers name; given is what the request itself says.
func (c *call) database(given string) (string, error) {
	name := given
	if name == "" {
		name = c.header(headerDatabase)
	}
	if name == "" && c.session != nil {
		name = c.session.option("catalog")
	}
	if name == "" {
		name = c.s.opt.Default
	}
	if name == "" {
		all := c.s.opt.Engine.Provider().Names()
		if len(all) != 1 {
			return "", &problem{err: errs.New(errs.Invalid, "name a database: the server has %d", len(all)), near: all,
				hint: "give one in the header stemma-database or in the request"}
		}
		name = all[0]
	}
	if b := c.header(headerBranch); b != "" && !strings.ContainsAny(name, "/@") {
		name += "/" + b
	}
	return name, nil
}

// ref is the ref that a call reads at; given is what the request itself says.
func (c *call) ref(given string) string {
	if given != "" {
		return given
	}
	return c.header(headerRef)
}

// isWorking tells whether a ref means what a branch has without one.
func isWorking(ref string) bool { return strings.EqualFold(ref, "WORKING") }

// atCommit is a ref as a name of a database can say it, which neither HEAD nor STAGED can.
func (c *call) atCommit(ctx context.Context, database, ref string) (string, error) {
	if strings.EqualFold(ref, "STAGED") {
		return "", errs.New(errs.Unsupported, "statements cannot be run at STAGED; read a table there instead")
	}
	if base, _, _ := strings.Cut(strings.ToUpper(ref), "~"); base != "HEAD" && base != "@" {
		return ref, nil
	}
	client, err := c.connect(ctx, database)
	if err != nil {
		return "", err
	}
	defer client.Close()
	at, err := client.Resolve(ctx, "", ref)
	if err != nil {
		return "", &problem{err: err, database: database, ref: ref}
	}
	return at.Commit.Full(), nil
}

// held is a session for the time of a call. It must be released.
type held struct {
	*engine.Client
	release func()
}

// client is the session in which a call runs: that of its transaction, else one of its own. With a ref the session's database is as of
// it, which no transaction changes.
func (c *call) client(ctx context.Context, database, ref string) (*held, error) {
	if id := c.header(headerTransaction); id != "" && (ref == "" || isWorking(ref)) {
		h, err := c.s.transactions.hold(ctx, id, c.caller)
		if by := c.run(); err == nil && by.Run != "" {
			h.SetRun(by, c.s.readsIn.of(c.caller, by.Run))
		}
		return h, err
	}
	name, err := c.database(database)
	if err != nil {
		return nil, err
	}
	if ref != "" && !isWorking(ref) {
		if ref, err = c.atCommit(ctx, name, ref); err != nil {
			return nil, err
		}
		base, _, _ := strings.Cut(name, "/")
		name = base + "/" + ref
	}
	client, err := c.connect(ctx, name)
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(name, "/@") { // a statement about no table would not look whether it is there
		if _, err := client.Resolve(ctx, "", ""); err != nil {
			client.Close()
			return nil, &problem{err: err, database: name}
		}
	}
	return &held{client, sync.OnceFunc(client.Close)}, nil
}

// connect makes a session with database as the current one.
func (c *call) connect(ctx context.Context, database string) (*engine.Client, error) {
	by, author := c.run(), c.author()
	if c.caller.trusted { // the owner's account is nobody's name
		author = c.signature()
	}
	return c.s.opt.Engine.Connect(ctx, engine.ClientOptions{
		User: c.caller.user, Host: c.caller.host, From: c.caller.from, Author: author, CheckedOut: c.caller.trusted, Database: database,
		Run: by, ReadsIn: c.s.readsIn.of(c.caller, by.Run),
	})
}

// forRun is a context in which commits are those of a run of the caller; its Run is "" for none.
func (c *call) forRun(ctx context.Context, by lineage.Current) context.Context {
	return repo.WithReadsIn(lineage.With(ctx, by), c.s.readsIn.of(c.caller, by.Run))
}

// readsIn are the databases in which reads of runs are recorded: the calls of a run have no session in common.
type readsIn struct {
	mu sync.Mutex
	m  map[runOf]*repo.ReadsIn
}

// runOf is a run by who calls for it: of what others read under its id nobody is told.
type runOf struct{ user, host, run string }

// keptRuns bounds the runs that are remembered.
const keptRuns = 1 << 12

// of are the databases of a caller's run; nil for no run.
func (x *readsIn) of(c *caller, run string) *repo.ReadsIn {
	if run == "" {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	k := runOf{c.user, c.host, run}
	in := x.m[k]
	if in == nil {
		if x.m == nil || len(x.m) >= keptRuns {
			x.m = map[runOf]*repo.ReadsIn{}
		}
		in = &repo.ReadsIn{}
		x.m[k] = in
	}
	return in
}
