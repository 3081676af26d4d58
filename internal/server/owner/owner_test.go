package owner

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/repo"
)

// fake is a handler that does what the request's name says.
type fake struct {
	begun   chan string
	release chan struct{}
	memory  chan string
	made    chan *Memory // if not nil, is given what clients are let have
}

func newFake() *fake {
	return &fake{begun: make(chan string, 100), release: make(chan struct{}), memory: make(chan string)}
}

func (f *fake) Do(ctx context.Context, req *Request, p op.Progress) (*op.Result, error) {
	f.begun <- req.Op
	switch req.Op {
	case "fail":
		return nil, errs.New(errs.NoSpace, "the disk is full")
	case "wait":
		select {
		case <-f.release:
		case <-ctx.Done():
			return nil, errs.With(errs.Canceled, ctx.Err())
		}
	case "work":
		t := p.Start("work", 10, "rows")
		t.Add(4)
		t.Add(6)
		t.Done(nil)
	case "nothing":
		return nil, nil
	}
	return op.Say("did %s in %s", req.Op, req.Dir), nil
}

// Adopt fails for branches of that name.
func (f *fake) Adopt(_ context.Context, h *repo.Handover) error {
	f.begun <- h.Branch
	if h.Branch == "fail" {
		return errs.New(errs.Conflict, "%s with %q", h.ID, h.Packs)
	}
	return nil
}

// SQL echoes a line.
func (f *fake) SQL(conn net.Conn) error {
	go func() {
		defer conn.Close()
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err == nil {
			io.WriteString(conn, "echo "+line)
		}
	}()
	return nil
}

// Flight echoes the first two lines.
func (f *fake) Flight(conn net.Conn) error {
	go func() {
		defer conn.Close()
		in := bufio.NewReader(conn)
		first, err := in.ReadString('\n')
		if err != nil {
			return
		}
		second, err := in.ReadString('\n')
		if err == nil {
			io.WriteString(conn, "flight "+first+second)
		}
	}()
	return nil
}

// Memory gives two files with the name in them, once the test has learnt it.
func (f *fake) Memory(name string, m *Memory) (func(), error) {
	if f.made != nil {
		f.made <- m
		return func() {}, nil
	}
	go func() {
		name := <-f.memory
		var files []*os.File
		for _, text := range []string{"first ", "second "} {
			file, err := m.Make(0)
			if err != nil {
				panic(err)
			}
			defer file.Close()
			if _, err := file.WriteString(text + name); err != nil {
				panic(err)
			}
			files = append(files, file)
		}
		if err := m.Give(files); err != nil {
			panic(err)
		}
	}()
	return func() { f.begun <- "forget " + name }, nil
}

// TestHTTP2: a connection that begins as HTTP/2 does is handed over whole.
func TestHTTP2(t *testing.T) {
	dir, s := serve(t, newFake())
	conn, err := net.Dial("unix", SocketPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	for s.Idle() { // it takes a moment to be let in
		time.Sleep(time.Millisecond)
	}
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\nmore\n"); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil || string(got) != "flight PRI * HTTP/2.0\r\nmore\n" {
		t.Errorf("%q, %v", got, err)
	}
	conn.Close()
	for !s.Idle() {
		time.Sleep(time.Millisecond)
	}
}

func serve(t *testing.T, f *fake) (dir string, s *Server) {
	t.Helper()
	dir = t.TempDir()
	s, err := Serve(dir, f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(0) })
	return dir, s
}

// counted is progress that adds up.
type counted struct {
	mu    sync.Mutex
	sum   int64
	ended int
}

func (c *counted) Start(string, int64, string) op.Task { return c }

func (c *counted) Add(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sum += n
}

func (c *counted) Done(error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended++
}

func TestDo(t *testing.T) {
	dir, _ := serve(t, newFake())
	var p counted
	for _, c := range []struct {
		op, line string
		class    errs.Code
	}{
		{"work", "did work in /here", 0}, {"nothing", "", 0}, {"fail", "", errs.NoSpace},
	} {
		r, err := Do(t.Context(), dir, &Request{Op: c.op, Dir: "/here"}, &p)
		if c.class != 0 {
			if !errs.Is(err, c.class) || err.Error() != "the disk is full" {
				t.Errorf("%s: %v, want class %s", c.op, err, c.class)
			}
			continue
		}
		if err != nil || strings.Join(r.Lines, "\n") != c.line {
			t.Errorf("%s: %+v, %v", c.op, r, err)
		}
	}
	if p.sum != 10 || p.ended != 1 {
		t.Errorf("progress: %d, ended %d times", p.sum, p.ended)
	}
}

func TestSQL(t *testing.T) {
	dir, s := serve(t, newFake())
	conn, err := DialSQL(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); err != nil || string(got) != "echo hello\n" {
		t.Errorf("%q, %v", got, err)
	}
	if err := s.Close(time.Minute); err != nil {
		t.Errorf("close when all have gone: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, SocketName)); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// Nobody there, or one that died and left its socket: the request can be sent again.
func TestNoOwner(t *testing.T) {
	dir := t.TempDir()
	try := func() {
		t.Helper()
		if _, err := Do(t.Context(), dir, &Request{Op: "x"}, nil); !errors.Is(err, ErrNoOwner) {
			t.Errorf("Do: %v", err)
		}
		if _, err := DialSQL(t.Context(), dir); !errors.Is(err, ErrNoOwner) {
			t.Errorf("DialSQL: %v", err)
		}
	}
	try()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: SocketPath(dir), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
	try()
	s, err := Serve(dir, newFake()) // replaces it
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Do(t.Context(), dir, &Request{Op: "work"}, nil); err != nil {
		t.Error(err)
	}
	if err := s.Close(0); err != nil {
		t.Error(err)
	}
}

// An owner that ends before it said that it has begun, and after.
func TestOwnerDies(t *testing.T) {
	for _, c := range []struct{ says, want string }{
		{"", "no owner"}, {"{\"started\":true}\n", "unavailable"}, {"{\"started\":true}\n{\"resu", "unavailable"},
	} {
		dir := t.TempDir()
		ln, err := net.Listen("unix", SocketPath(dir))
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			in := bufio.NewReader(conn)
			in.ReadString('\n')
			in.ReadString('\n')
			io.WriteString(conn, c.says)
			conn.Close()
		}()
		_, err = Do(t.Context(), dir, &Request{Op: "commit"}, nil)
		got := "unavailable"
		if errors.Is(err, ErrNoOwner) {
			got = "no owner"
		} else if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "whether commit was done") {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("after %q: %s, want %s", c.says, got, c.want)
		}
		ln.Close()
	}
}

// TestAdopt: a transaction is sent whole, and one whose owner dies can be sent again.
func TestAdopt(t *testing.T) {
	f := newFake()
	dir, _ := serve(t, f)
	if err := Adopt(t.Context(), dir, &repo.Handover{ID: "x", Branch: "b"}); err != nil || <-f.begun != "b" {
		t.Error(err)
	}
	err := Adopt(t.Context(), dir, &repo.Handover{ID: "x", Branch: "fail", Packs: []string{"p", "q"}})
	if !errs.Is(err, errs.Conflict) || err.Error() != `x with ["p" "q"]` {
		t.Error(err)
	}
	dead := t.TempDir()
	ln, err := net.Listen("unix", SocketPath(dead))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		in := bufio.NewReader(conn)
		in.ReadString('\n')
		in.ReadString('\n')
		io.WriteString(conn, "{\"started\":true}\n")
		conn.Close()
	}()
	if err := Adopt(t.Context(), dead, &repo.Handover{ID: "x"}); !errors.Is(err, ErrNoOwner) {
		t.Errorf("the owner has died: %v", err)
	}
}

// A client that gives up cancels its operation.
func TestClientGivesUp(t *testing.T) {
	f := newFake()
	dir, s := serve(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := Do(ctx, dir, &Request{Op: "wait"}, nil)
		done <- err
	}()
	<-f.begun
	cancel()
	if err := <-done; !errs.Is(err, errs.Canceled) {
		t.Errorf("%v", err)
	}
	if err := s.Close(time.Minute); err != nil { // returns at once: the operation has ended
		t.Error(err)
	}
}

// Close waits for what has begun, and lets nothing new in.
func TestCloseWaits(t *testing.T) {
	f := newFake()
	dir, s := serve(t, f)
	done := make(chan error, 1)
	go func() {
		_, err := Do(t.Context(), dir, &Request{Op: "wait"}, nil)
		done <- err
	}()
	<-f.begun
	closed := make(chan error, 1)
	go func() { closed <- s.Close(time.Minute) }()
	for { // until the door is shut
		if _, err := Do(t.Context(), dir, &Request{Op: "work"}, nil); errors.Is(err, ErrNoOwner) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-closed:
		t.Fatal("Close returned while an operation runs")
	case <-time.After(20 * time.Millisecond):
	}
	close(f.release)
	if err := <-done; err != nil {
		t.Errorf("the operation: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
}

// Close does not wait longer than it was told: not for operations, not for sessions, and not for clients that say nothing.
func TestCloseEndsAll(t *testing.T) {
	f := newFake()
	dir, s := serve(t, f)
	for _, said := range []string{"", "op", "op\n", "op\n{\"op\":", "sql\n", "op\n{\"op\":\"wait\"}\n"} {
		conn, err := net.Dial("unix", SocketPath(dir))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, said); err != nil {
			t.Fatal(err)
		}
	}
	<-f.begun
	closed := make(chan error)
	go func() { closed <- s.Close(50 * time.Millisecond) }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Close waits for clients that say nothing")
	}
}

// What is not understood is hung up on, or answered with an error.
func TestStrangeRequests(t *testing.T) {
	dir, _ := serve(t, newFake())
	for said, want := range map[string]string{
		"GET / HTTP/1.1\r\n": "", strings.Repeat("x", 1<<20): "", "op\nnonsense\n": `"code":"invalid"`,
	} {
		conn, err := net.Dial("unix", SocketPath(dir))
		if err != nil {
			t.Fatal(err)
		}
		go io.WriteString(conn, said)
		got, _ := io.ReadAll(conn) // the end may come as a reset
		if !bytes.Contains(got, []byte(want)) || want == "" && len(got) > 0 {
			t.Errorf("%.20q: %q, want %q", said, got, want)
		}
		conn.Close()
	}
}

// Paths longer than a socket's may be.
func TestLongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	s, err := Serve(dir, newFake())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(0)
	if _, err := Do(t.Context(), dir, &Request{Op: "work"}, nil); err != nil {
		t.Error(err)
	}
}
