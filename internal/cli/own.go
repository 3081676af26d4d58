package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/stemmadb/stemma/internal/engine"
	"github.com/stemmadb/stemma/internal/engine/fn"
	"github.com/stemmadb/stemma/internal/engine/proc"
	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/engine/systab"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/server/flight"
	"github.com/stemmadb/stemma/internal/server/mysql"
	"github.com/stemmadb/stemma/internal/server/owner"
	"github.com/stemmadb/stemma/internal/server/remote"
	"github.com/stemmadb/stemma/internal/vfs"
)

// How long a process that is ending waits for what others have asked of it. A verb waits as long as that takes, an interrupt ends it;
// a server must end before whoever stops it loses patience.
const (
	drainVerb   = 24 * time.Hour
	drainServer = 10 * time.Second
)

// listening is how the servers of a process listen, when they are started.
type listening struct {
	sql    mysql.Options
	arrow  flight.Options
	remote remote.Options // without an address there is no such server
	follow following
}

// holding is what this process owns: the database of a directory, or those of its sub-directories, each with a socket on which the
// other processes of the machine are served meanwhile.
type holding struct {
	p     *Program
	fs    vfs.FS
	dir   string        // where the databases are
	repo  *repo.Repo    // of dir itself; nil when dir only holds databases
	many  bool          // sub-directories of dir are databases too
	drain time.Duration // how long to wait in the end for what others have begun

	sockMu sync.Mutex
	socks  map[*repo.Repo]*owner.Server
	closed bool // no socket is made any more

	mu sync.Mutex
	listening
	engine *engine.Engine
	server *mysql.Server
	flight *flight.Server
	others *remote.Server // nil when it does not run
	ended  bool

	followers followers
	// evaluator is the engine of verbs that evaluate SQL; nil until one does.
	evaluator *engine.Engine
}

// hold opens the database of dir for writing and serves it to others. When another process owns it the error is of class Locked.
func (p *Program) hold(ctx context.Context, dir string) (*holding, error) {
	return p.holdWith(ctx, dir, repo.Options{Clock: p.Clock, Expressions: engine.Expressions()}, listening{})
}

// holdWith is hold with options of the database, and how servers are to listen.
func (p *Program) holdWith(ctx context.Context, dir string, opt repo.Options, on listening) (*holding, error) {
	h := &holding{p: p, fs: vfs.OS{}, dir: dir, drain: drainVerb, listening: on}
	r, err := repo.Open(ctx, h.fs, dir, opt)
	if err != nil {
		return nil, err
	}
	if err := op.Keep(ctx, h.fs, r); err != nil {
		return nil, errors.Join(err, r.Close(context.WithoutCancel(ctx)))
	}
	h.repo = r
	h.serve(r)
	return h, nil
}

// look opens the database of a directory that this user cannot write, for reading beside its owner.
func (p *Program) look(ctx context.Context, dir string) (*holding, error) {
	h := &holding{p: p, fs: vfs.OS{}, dir: dir, drain: drainVerb}
	r, err := repo.Open(ctx, h.fs, dir, repo.Options{ReadOnly: true, Clock: p.Clock, Expressions: engine.Expressions()})
	h.repo = r
	return h, err
}

// holdAll opens the databases of dir: its own, if there is one, and those of its sub-directories, and starts the engine on them.
func (p *Program) holdAll(ctx context.Context, dir string, on listening) (h *holding, err error) {
	if _, found, err := findDatabase(dir); err != nil {
		return nil, err
	} else if found {
		h, err = p.holdWith(ctx, dir, repo.Options{Clock: p.Clock, Expressions: engine.Expressions()}, on)
		if errs.Is(err, errs.Denied) || errs.Is(err, errs.ReadOnly) {
			if h, err = p.look(ctx, dir); err == nil {
				on.sql.ReadOnly = true
			}
		}
		if err != nil {
			return nil, err
		}
	} else {
		h = &holding{p: p, fs: vfs.OS{}, dir: dir, drain: drainVerb, listening: on}
	}
	h.many, h.listening = true, on
	if on.sql.Address != "" {
		h.drain = drainServer
	}
	if h.repo != nil {
		h.repo.MarkHistory()
	}
	if _, err := h.start(ctx); err != nil {
		return nil, errors.Join(err, h.close(ctx))
	}
	return h, nil
}

// serve answers for a database. A directory that cannot have a socket, such as one on some network file systems, is not served: then
// other processes find it locked.
func (h *holding) serve(r *repo.Repo) {
	h.sockMu.Lock()
	defer h.sockMu.Unlock()
	if h.closed || h.socks[r] != nil {
		return
	}
	h.listening.follow.mark(r) // before anybody is let in
	r.AutoCollect(h.p.growth(r))
	if h.many {
		r.MarkHistory()
	}
	s, err := owner.Serve(r.Dir(), &handler{h: h, repo: r})
	if err != nil {
		return
	}
	if h.socks == nil {
		h.socks = map[*repo.Repo]*owner.Server{}
	}
	h.socks[r] = s
}

// growth is by how many hundredths a database is to have grown for garbage to be collected by itself; 0 is never. A setting that cannot be
// understood is as none.
func (p *Program) growth(r *repo.Repo) int {
	global, err := p.globalSettings()
	if err != nil {
		global = ""
	}
	n, err := op.Settings{Global: global, Local: filepath.Join(r.Dir(), "config")}.Growth()
	if err != nil {
		return repo.DefaultGrowth
	}
	return n
}

// unserve ends the service of a database that is dropped. It does not wait for those who use it, one of whom may be dropping it.
func (h *holding) unserve(r *repo.Repo) {
	h.sockMu.Lock()
	s := h.socks[r]
	delete(h.socks, r)
	h.sockMu.Unlock()
	if s != nil && s.Stop() == nil { // an error is of a socket that goes with the directory
		go s.Close(h.drain)
	}
}

// unserveAll ends the service of all databases and returns their sockets.
func (h *holding) unserveAll() []*owner.Server {
	h.sockMu.Lock()
	defer h.sockMu.Unlock()
	h.closed = true
	return slices.Collect(maps.Values(h.socks))
}

// fixed says why the databases that are served are neither made nor dropped; "" when they may be.
func (h *holding) fixed() string {
	switch {
	case h.listening.follow.remote != "":
		return "the server follows a remote (--follow), and its databases are those that were there when it began"
	case h.repo != nil && h.repo.KeptIn():
		return "the server works on one database in a bucket (--store); one beside its copy here would be in no bucket"
	}
	return ""
}

// start starts the SQL engine and its server, unless they run.
func (h *holding) start(ctx context.Context) (*mysql.Server, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return nil, errs.New(errs.Unavailable, "the process is ending")
	}
	if h.server != nil {
		return h.server, nil
	}
	procs := proc.New(h.p.Specs, h.p.Version)
	opt := engine.Options{
		FS: h.fs, Repo: repo.Options{Clock: h.p.Clock}, ReadOnly: h.sql.ReadOnly, Fixed: h.fixed(), Opened: h.serve, Closing: h.unserve,
		Registries: registry.Registries{
			SystemTables:   systab.Tables(),
			Functions:      append(fn.Functions(h.p.versions()), fn.Procedures(procs.Rows, procs.Names()...)...),
			TableFunctions: systab.Functions(), Reshaped: systab.Reshaped,
			Procedures: procs.Procedures(),
		},
	}
	if h.repo != nil {
		opt.Repos = []*repo.Repo{h.repo}
	}
	if h.many {
		opt.Dir = h.dir
	}
	e, err := engine.New(ctx, opt)
	if err != nil {
		return nil, err
	}
	for _, l := range e.Provider().LeftOut() {
		if h.sql.Log != nil {
			h.sql.Log.Error("A database is left out.", "database", l.Name, "error", l.Err)
		} else {
			fmt.Fprintln(h.p.Err, "warning: "+l.Err.Error())
		}
	}
	h.engine = e
	fail := func(err error) (*mysql.Server, error) {
		h.followers.end()
		h.engine = nil
		return nil, errors.Join(err, e.Close(ctx))
	}
	if err := h.follow(ctx); err != nil {
		return fail(err)
	}
	o := h.sql
	o.Engine, o.FS = e, h.fs
	if o.Privileges == "" {
		o.Privileges = h.privileges()
	}
	s, err := mysql.New(ctx, o)
	if err != nil {
		return fail(err)
	}
	procs.Evaluate, procs.Ask, procs.Dropped, procs.Making = e.Evaluate, h.p.askOf, e.Provider(), e.Provider()
	h.server = s
	if h.flight, err = h.newFlight(e); err != nil {
		return nil, err
	}
	if h.listening.remote.Address != "" {
		if h.others, err = h.newRemote(e); err != nil {
			return nil, err
		}
	}
	if h.many {
		return s, h.serveMany()
	}
	return s, nil
}

// newFlight makes the Arrow server on the engine. Without an address it answers what comes over the sockets of databases only.
func (h *holding) newFlight(e *engine.Engine) (*flight.Server, error) {
	o := h.arrow
	o.Engine, o.Owner, o.Version, o.Specs, o.Scope, o.Log = e, mysql.OwnerName, h.p.Version, h.p.Specs, h.scopeOf, h.sql.Log
	o.TLS, o.RequireTLS, o.Files = h.sql.TLS, h.sql.RequireTLS, h.sql.Files
	if h.repo != nil {
		o.Default = h.repo.Name()
	}
	return flight.New(o)
}

// newRemote makes the server of remotes on the engine.
func (h *holding) newRemote(e *engine.Engine) (*remote.Server, error) {
	o := h.listening.remote
	o.Engine, o.FS, o.Log = e, h.fs, h.sql.Log
	o.TLS, o.RequireTLS, o.ReadOnly = h.sql.TLS, h.sql.RequireTLS, h.sql.ReadOnly
	o.Temp = filepath.Join(filepath.Dir(h.privileges()), "arriving")
	return remote.New(o)
}

// scopeOf is the scope of a verb on a database of this process, "" for that of the directory.
func (h *holding) scopeOf(database string) (*op.Scope, error) {
	r := h.repo
	if database != "" {
		found, _, ok := h.engine.Provider().Lookup(database)
		if !ok {
			return nil, errs.New(errs.NotFound, "database not found: %s", database)
		}
		r = found
	}
	scope := &op.Scope{FS: h.fs, Clock: h.p.Clock, Version: h.p.Version, Evaluate: h.evaluate, Ask: h.p.askOf, Lookup: h.lookup}
	if r == nil {
		return scope, nil
	}
	global, err := h.p.globalSettings()
	if err != nil {
		return nil, err
	}
	scope.Repo, scope.Dir = r, filepath.Dir(r.Dir())
	scope.InUse = h.inUse(r)
	scope.Settings = op.Settings{Global: global, Local: filepath.Join(r.Dir(), "config")}
	scope.Author, _, err = scope.Settings.Identity(h.p.fallback())
	return scope, err
}

// inUse tells of a database's branches whether an SQL session is on one.
func (h *holding) inUse(r *repo.Repo) func(branch string) bool {
	return func(branch string) bool {
		h.mu.Lock()
		e := h.engine
		h.mu.Unlock()
		return e != nil && e.InUse(r, branch)
	}
}

// lookup finds a database that this process serves.
func (h *holding) lookup(name string) (*repo.Repo, bool) {
	r, _, ok := h.engine.Provider().Lookup(name)
	return r, ok
}

// evaluate runs statements for a verb on the holding's database, with the rights of whoever may write its files. It has an engine of its
// own, which knows no accounts and no procedures.
func (h *holding) evaluate(ctx context.Context, tx *repo.Tx, query string, failed func(statement string, err error) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.evaluator == nil {
		e, err := engine.New(ctx, engine.Options{Repos: []*repo.Repo{tx.Repo()}, Registries: h.p.evaluating()})
		if err != nil {
			return err
		}
		h.evaluator = e
	}
	return h.evaluator.Evaluate(ctx, "", "", tx, query, failed)
}

// versions are what functions of SQL say about the program.
func (p *Program) versions() fn.Versions {
	return fn.Versions{Program: p.Version, Storage: storageName}
}

// storageName is what dolt_storage_format() says.
const storageName = "STEMMA"

// serveMany serves the databases in sub-directories.
func (h *holding) serveMany() error {
	names, err := databasesIn(h.fs, h.dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if r, _, ok := h.engine.Provider().Lookup(n); ok && r != h.repo {
			h.serve(r)
		}
	}
	return nil
}

// databasesIn are the names of the sub-directories of dir that are databases.
func databasesIn(fs vfs.FS, dir string) ([]string, error) {
	names, err := fs.ReadDir(dir)
	if err != nil {
		return nil, errs.New(errs.CodeOf(err), "look for databases in %s: %w", dir, err)
	}
	var out []string
	for _, n := range names {
		if _, err := repo.Locate(fs, filepath.Join(dir, n)); err == nil {
			out = append(out, n)
		}
	}
	return out, nil
}

// privileges is the file of users and grants for the databases.
func (h *holding) privileges() string {
	const name = "privileges.db"
	if h.repo != nil {
		return filepath.Join(h.repo.Dir(), name)
	}
	return filepath.Join(h.dir, ".stemmacfg", name)
}

// dial connects to the engine of this process.
func (h *holding) dial(ctx context.Context) (net.Conn, error) {
	s, err := h.start(ctx)
	if err != nil {
		return nil, err
	}
	here, there := net.Pipe()
	if err := s.Serve(there); err != nil {
		return nil, errors.Join(err, here.Close(), there.Close())
	}
	return here, nil
}

// close ends the holding: others are no longer let in, what they have begun is finished, and the databases are closed.
func (h *holding) close(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
	h.followers.end()
	var wait sync.WaitGroup
	socks := h.unserveAll()
	fail := make([]error, len(socks))
	for i, s := range socks {
		wait.Go(func() { fail[i] = s.Close(h.drain) })
	}
	err := h.stopSQL(ctx)
	wait.Wait()
	for _, e := range []*engine.Engine{h.engine, h.evaluator} {
		if e != nil {
			err = errors.Join(err, e.Close(ctx))
		}
	}
	if h.repo != nil {
		err = errors.Join(err, h.repo.Close(ctx))
	}
	for _, e := range fail {
		if e != nil && !errors.Is(e, net.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// stopSQL hangs up on the clients of the SQL server, if it was started.
func (h *holding) stopSQL(ctx context.Context) error {
	if h.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, h.drain)
	defer cancel()
	if h.flight != nil {
		h.flight.Shut(ctx)
	}
	var err error
	if h.others != nil {
		err = h.others.Shut(ctx)
	}
	return errors.Join(err, h.server.Shut(ctx))
}

// handler does what other processes ask of a database that this one owns.
type handler struct {
	h    *holding
	repo *repo.Repo
}

var _ owner.Handler = (*handler)(nil)

// Do implements owner.Handler.
func (x *handler) Do(ctx context.Context, req *owner.Request, progress op.Progress) (*op.Result, error) {
	spec, ok := op.Find(x.h.p.Specs, req.Op)
	if !ok {
		return nil, errs.New(errs.Unsupported, "the process that owns the database does not know '%s': it is of version %s", req.Op, x.h.p.Version)
	}
	verb, err := op.BindJSON(spec, req.Params)
	if err != nil {
		return nil, err
	}
	global, err := x.h.p.globalSettings()
	if err != nil {
		return nil, err
	}
	return op.Run(ctx, verb, &op.Scope{
		Dir: filepath.Dir(x.repo.Dir()), Base: req.Dir, FS: x.h.fs, Repo: x.repo, Branch: req.Branch, Author: req.Author, Clock: x.h.p.Clock, Progress: progress,
		Settings: op.Settings{Global: global, Local: filepath.Join(x.repo.Dir(), "config")}, Dolt: req.Dolt, Version: x.h.p.Version,
		Evaluate: x.h.evaluate, Ask: x.h.p.askOf, InUse: x.h.inUse(x.repo),
	})
}

// Adopt implements owner.Handler.
func (x *handler) Adopt(ctx context.Context, h *repo.Handover) error { return x.repo.Adopt(ctx, h) }

// SQL implements owner.Handler.
func (x *handler) SQL(conn net.Conn) error {
	s, err := x.h.start(context.Background())
	if err != nil {
		return err
	}
	return s.Serve(conn)
}

// Flight implements owner.Handler.
func (x *handler) Flight(conn net.Conn) error {
	if _, err := x.h.start(context.Background()); err != nil {
		return err
	}
	return x.h.flight.Serve(conn)
}

// Memory implements owner.Handler.
func (x *handler) Memory(name string, m *owner.Memory) (func(), error) {
	if _, err := x.h.start(context.Background()); err != nil {
		return nil, err
	}
	return x.h.flight.Share(name, m), nil
}
