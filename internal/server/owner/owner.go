// Package owner lets the processes of one machine share a database directory. The process that owns the directory for writing
// answers on a private unix socket inside it; the others send it their operations and SQL connections instead of failing.
//
// A connection begins with a line from the client: "op", "adopt", "sql", "columns" or HTTP/2's.
//
//	op    the client sends one Request as a line of JSON and reads Events, a line of JSON each, until one has a Result or an Error;
//	      closing the connection cancels the operation
//	adopt the same with a repo.Handover in the place of the Request and an empty Result: a transaction whose chunks are in packs
//	      that the client has written
//	sql   MySQL's protocol follows, spoken by the engine of the owner
//	PRI * HTTP/2.0   HTTP/2 follows, that of Arrow Flight
//	columns  files of memory for what is read follow, see Memory
//
// An owner that has said "started" for a request has begun to carry it out; before, the request can be sent again without harm.
package owner

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/repo"
)

// SocketName is the name of the socket in the database's directory.
const SocketName = "sock"

// maxSocketPath is the longest path that every system takes for a unix socket.
const maxSocketPath = 100

// Request is an operation to be carried out by the owner.
type Request struct {
	Op     string          `json:"op"`
	Params json.RawMessage `json:"params"`
	Author op.Author       `json:"author"`
	Branch string          `json:"branch,omitempty"` // "" is the directory's checked-out branch
	Dir    string          `json:"dir"`              // the caller's working directory
	Dolt   bool            `json:"dolt,omitempty"`
}

// Event is what the owner says of a request.
type Event struct {
	Started bool       `json:"started,omitempty"`
	Task    *TaskEvent `json:"task,omitempty"`
	Result  *op.Result `json:"result,omitempty"`
	Error   *Failure   `json:"error,omitempty"`
}

// TaskEvent is progress of a piece of work.
type TaskEvent struct {
	ID    int    `json:"id"`
	Title string `json:"title,omitempty"` // when it begins
	Unit  string `json:"unit,omitempty"`
	Total int64  `json:"total,omitempty"`
	Add   int64  `json:"add,omitempty"`
	Done  bool   `json:"done,omitempty"`
	Fail  bool   `json:"failed,omitempty"` // with Done: an error ended the work
}

// Failure is an error on the wire.
type Failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// failure puts an error on the wire.
func failure(err error) *Failure {
	return &Failure{Code: errs.CodeOf(err).String(), Message: err.Error()}
}

// Err is the error again, with its class.
func (f *Failure) Err() error {
	c, ok := errs.ParseCode(f.Code)
	if !ok {
		c = errs.Internal
	}
	return errs.With(c, errors.New(f.Message))
}

// Handler carries out what clients ask for.
type Handler interface {
	// Do carries out an operation.
	Do(ctx context.Context, req *Request, progress op.Progress) (*op.Result, error)
	// Adopt commits a transaction that the client has prepared.
	Adopt(ctx context.Context, h *repo.Handover) error
	// SQL speaks MySQL's protocol on the connection, which it closes in the end. It returns at once.
	SQL(conn net.Conn) error
	// Flight speaks Arrow Flight on the connection, as SQL does its protocol.
	Flight(conn net.Conn) error
	// Memory takes a client's memory, under a name by which a read of Arrow Flight means it. Forget is called in the end.
	Memory(name string, m *Memory) (forget func(), err error)
}

// http2Line is the first line of an HTTP/2 connection.
const http2Line = "PRI * HTTP/2.0\r\n"

// SocketPath is where the socket of the database in dir is: inside it, or, when that path is too long for a socket, under a name
// derived from it in the directory for temporary files.
func SocketPath(dir string) string {
	p := filepath.Join(dir, SocketName)
	if len(p) > maxSocketPath {
		return filepath.Join(os.TempDir(), "stemma-"+hash.Sum([]byte(dir)).String()+".sock")
	}
	return p
}

// Server answers for the owner of a directory.
type Server struct {
	ln      net.Listener
	path    string
	handler Handler
	cancel  context.CancelFunc
	ctx     context.Context
	mu      sync.Mutex
	closed  bool
	active  int
	idle    *sync.Cond
}

// Serve begins to answer on the socket of dir. The caller owns the directory; a socket that a dead owner left is replaced.
func Serve(dir string, h Handler) (*Server, error) {
	path := SocketPath(dir)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, errs.New(errs.Denied, "open socket %s: %w", path, err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, errs.New(errs.Unavailable, "open socket %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(errs.New(errs.Denied, "open socket %s: %w", path, err), ln.Close())
	}
	s := &Server{ln: ln, path: path, handler: h}
	s.idle = sync.NewCond(&s.mu)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	go s.accept()
	return s, nil
}

func (s *Server) accept() {
	for {
		conn, err := s.ln.Accept()
		if err != nil {
			return // closed
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			conn.Close()
			continue
		}
		s.active++
		s.mu.Unlock()
		go func() {
			s.serve(conn)
			s.mu.Lock()
			s.active--
			s.idle.Broadcast()
			s.mu.Unlock()
		}()
	}
}

// Stop takes no new connections and removes the socket. What is under way goes on.
func (s *Server) Stop() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	return s.ln.Close() // removes the socket, the first time
}

// Close ends the service: no new connections, then it waits for the operations under way, at most for the time given, and cancels
// what is left. The error is net.ErrClosed when it was stopped before.
func (s *Server) Close(wait time.Duration) error {
	err := s.Stop()
	timer := time.AfterFunc(wait, s.cancel)
	defer timer.Stop()
	s.mu.Lock()
	for s.active > 0 {
		s.idle.Wait()
	}
	s.mu.Unlock()
	s.cancel()
	return err
}

func (s *Server) serve(conn net.Conn) {
	// Whatever is being read or written then fails, also from a client that says nothing.
	stop := context.AfterFunc(s.ctx, func() { conn.Close() })
	defer stop()
	in := bufio.NewReader(conn)
	line, err := in.ReadSlice('\n') // of any length but that of a word: it is not understood
	if err != nil {
		conn.Close()
		return
	}
	switch string(line) {
	case "sql\n":
		s.hand(&handedConn{Conn: conn, in: in, done: make(chan struct{})}, s.handler.SQL)
	case http2Line:
		s.hand(&handedConn{Conn: conn, in: in, first: http2Line, done: make(chan struct{})}, s.handler.Flight)
	case "columns\n":
		defer conn.Close()
		s.serveMemory(conn)
	case "op\n":
		defer conn.Close()
		serveRequest(s.ctx, conn, in, func(ctx context.Context, req *Request, out *eventWriter) (*op.Result, error) {
			r, err := s.handler.Do(ctx, req, &remoteProgress{out: out})
			if err == nil && r != nil {
				err = r.Collect()
			}
			return r, err
		})
	case "adopt\n":
		defer conn.Close()
		serveRequest(s.ctx, conn, in, func(ctx context.Context, h *repo.Handover, _ *eventWriter) (*op.Result, error) {
			return nil, s.handler.Adopt(ctx, h)
		})
	default:
		conn.Close()
	}
}

// hand lets another protocol have a connection, until it is closed.
func (s *Server) hand(conn *handedConn, to func(net.Conn) error) {
	if err := to(conn); err != nil {
		conn.Close()
		return
	}
	select {
	case <-conn.done:
	case <-s.ctx.Done():
		conn.Close()
	}
}

// Idle tells whether no client is connected.
func (s *Server) Idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.active == 0
}

// serveRequest reads a request, lets do carry it out and answers.
func serveRequest[R any](ctx context.Context, conn net.Conn, in *bufio.Reader, do func(context.Context, *R, *eventWriter) (*op.Result, error)) {
	line, err := in.ReadBytes('\n')
	if err != nil {
		return
	}
	out := &eventWriter{enc: json.NewEncoder(conn)}
	req := new(R)
	if err := json.Unmarshal(line, req); err != nil {
		out.send(Event{Error: failure(errs.New(errs.Invalid, "read request: %w", err))})
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // the client says nothing more: what ends its stream is that it gives up
		if _, err := in.ReadByte(); err != nil {
			cancel()
		}
	}()
	out.send(Event{Started: true})
	r, err := do(ctx, req, out)
	if err != nil {
		out.send(Event{Error: failure(err)})
		return
	}
	if r == nil {
		r = &op.Result{Lines: []string{}}
	}
	out.send(Event{Result: r})
}

// eventWriter sends events. What fails to be sent has nobody to read it: the reader of the connection cancels the work.
type eventWriter struct {
	mu  sync.Mutex
	enc *json.Encoder
}

func (w *eventWriter) send(e Event) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.enc.Encode(e) == nil
}

// remoteProgress shows work to the client.
type remoteProgress struct {
	out *eventWriter
	mu  sync.Mutex
	n   int
}

// Start implements op.Progress.
func (p *remoteProgress) Start(title string, total int64, unit string) op.Task {
	p.mu.Lock()
	p.n++
	id := p.n
	p.mu.Unlock()
	p.out.send(Event{Task: &TaskEvent{ID: id, Title: title, Unit: unit, Total: total}})
	return &remoteTask{p: p, id: id, last: clock.System{}.Now()}
}

// remoteTask sends what was added, at most ten times a second.
type remoteTask struct {
	p    *remoteProgress
	id   int
	mu   sync.Mutex
	sum  int64
	last time.Time
}

// Add implements op.Task.
func (t *remoteTask) Add(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum += n
	if clock.Since(t.last) > 100*time.Millisecond {
		t.flush()
	}
}

func (t *remoteTask) flush() {
	if t.sum > 0 {
		t.p.out.send(Event{Task: &TaskEvent{ID: t.id, Add: t.sum}})
	}
	t.sum, t.last = 0, clock.System{}.Now()
}

// Done implements op.Task.
func (t *remoteTask) Done(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flush()
	t.p.out.send(Event{Task: &TaskEvent{ID: t.id, Done: true, Fail: err != nil}})
}

// handedConn is a connection whose first bytes have been read, and that tells when it is closed.
type handedConn struct {
	net.Conn
	in    *bufio.Reader
	first string // read already, for the other protocol to read again
	once  sync.Once
	done  chan struct{}
}

// Read implements net.Conn.
func (c *handedConn) Read(p []byte) (int, error) {
	if c.first != "" {
		n := copy(p, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	if c.in.Buffered() > 0 {
		return c.in.Read(p)
	}
	return c.Conn.Read(p)
}

// Close implements net.Conn.
func (c *handedConn) Close() error {
	c.once.Do(func() { close(c.done) })
	return c.Conn.Close()
}

// ErrNoOwner says that nobody answers on the socket.
var ErrNoOwner = errors.New("no process answers for the database")

// dial connects to the owner and says what follows.
func dial(ctx context.Context, dir, what string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", SocketPath(dir))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoOwner, err)
	}
	if _, err := io.WriteString(conn, what+"\n"); err != nil {
		return nil, errors.Join(ErrNoOwner, err, conn.Close())
	}
	return conn, nil
}

// DialSQL is a connection to the owner's engine on which MySQL's protocol is spoken. With nobody there the error is ErrNoOwner.
func DialSQL(ctx context.Context, dir string) (net.Conn, error) { return dial(ctx, dir, "sql") }

// Do sends a request to the owner of dir and waits for its result, showing progress meanwhile. The error is ErrNoOwner when nobody
// has begun to carry it out, so that it can be sent again; when the owner dies later, its class is Unavailable.
func Do(ctx context.Context, dir string, req *Request, progress op.Progress) (*op.Result, error) {
	r, err := ask(ctx, dir, "op", req, progress)
	if errors.Is(err, errDied) {
		err = errs.New(errs.Unavailable, "%w; look with 'log' and 'status' whether %s was done", err, req.Op)
	}
	return r, err
}

// Adopt lets the owner of dir commit a transaction. The error is ErrNoOwner when nobody answers or the owner has died; the
// transaction may have been committed then, and can be sent again, since an owner knows it by its ID.
func Adopt(ctx context.Context, dir string, h *repo.Handover) error {
	_, err := ask(ctx, dir, "adopt", h, nil)
	if errors.Is(err, errDied) {
		err = fmt.Errorf("%w: %w", ErrNoOwner, err)
	}
	return err
}

// errDied says that the owner has begun to carry out a request, and did not say how that ended.
var errDied = errors.New("the process that owns the database ended before it answered")

// ask sends a request of a kind to the owner of dir.
func ask(ctx context.Context, dir, what string, req any, progress op.Progress) (_ *op.Result, err error) {
	conn, err := dial(ctx, dir, what)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer func() {
		if stop() {
			conn.Close()
		}
	}()
	if err := json.NewEncoder(conn).Encode(req); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoOwner, err)
	}
	started := false
	tasks := map[int]op.Task{}
	defer func() {
		for _, t := range tasks {
			t.Done(err)
		}
	}()
	dec := json.NewDecoder(conn)
	for {
		var e Event
		if err := dec.Decode(&e); err != nil {
			switch {
			case ctx.Err() != nil:
				return nil, errs.With(errs.Canceled, ctx.Err())
			case !started:
				return nil, fmt.Errorf("%w: %w", ErrNoOwner, err)
			}
			return nil, errDied
		}
		switch {
		case e.Started:
			started = true
		case e.Task != nil:
			follow(tasks, e.Task, progress)
		case e.Error != nil:
			return nil, e.Error.Err()
		case e.Result != nil:
			return e.Result, nil
		}
	}
}

// errFailed ends a piece of work that failed; why is in the answer.
var errFailed = errs.New(errs.Internal, "the work failed")

// follow shows an event of progress.
func follow(tasks map[int]op.Task, e *TaskEvent, progress op.Progress) {
	if progress == nil {
		return
	}
	t := tasks[e.ID]
	if t == nil {
		t = progress.Start(e.Title, e.Total, e.Unit)
		tasks[e.ID] = t
	}
	if e.Add > 0 {
		t.Add(e.Add)
	}
	if e.Done {
		var err error
		if e.Fail {
			err = errFailed
		}
		t.Done(err)
		delete(tasks, e.ID)
	}
}
