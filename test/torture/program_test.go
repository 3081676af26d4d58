package torture

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/stemmadb/stemma/internal/cli"
	"github.com/stemmadb/stemma/internal/op"
)

// The test binary is the program as well, when it is called by its name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"stemma": program, "limited": limited})
}

func program() { os.Exit(cli.Main(&cli.Program{Version: "1.2.3", Specs: op.All()})) }

// full tells whether the tests run at length.
func full() bool { return os.Getenv("STEMMA_TORTURE") != "" }

// or is a when the tests run at length, else b.
func or[T any](a, b T) T {
	if full() {
		return a
	}
	return b
}

// exit is how a program ended.
type exit struct {
	status   int // -1: by a signal
	out, err string
}

func (e exit) String() string {
	return fmt.Sprintf("status %d\n%s%s", e.status, e.out, e.err)
}

// site is a database directory and the program's processes on it.
type site struct {
	home string
	dir  string

	mu  sync.Mutex
	ids map[int]bool // process ids of those that run
}

// newSite makes a database in a directory of its own.
func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{home: t.TempDir()}
	s.place(t, filepath.Join(t.TempDir(), "db"))
	return s
}

// place makes a database in dir.
func (s *site) place(t *testing.T, dir string) {
	t.Helper()
	s.dir = dir
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	s.must(t, "init")
}

// command is the program with arguments, not yet started.
func (s *site) command(args ...string) *exec.Cmd {
	cmd := exec.Command("stemma", args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "STEMMA_HOME="+s.home, "STEMMA_AUTHOR_NAME=Ada", "STEMMA_AUTHOR_EMAIL=ada@example.com")
	return cmd
}

// start starts a process, which the site knows until it has been waited for.
func (s *site) start(cmd *exec.Cmd) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	if s.ids == nil {
		s.ids = map[int]bool{}
	}
	s.ids[cmd.Process.Pid] = true
	return nil
}

// wait waits for a process that was started.
func (s *site) wait(cmd *exec.Cmd) error {
	err := cmd.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ids, cmd.Process.Pid)
	return err
}

// kill kills a process of the site without warning. It reports false when none has that id.
func (s *site) kill(pid int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ids[pid] {
		return false
	}
	p, err := os.FindProcess(pid)
	return err == nil && p.Kill() == nil
}

// killStarted kills the process of a command that another goroutine starts. It reports false when it does not run.
func (s *site) killStarted(cmd *exec.Cmd) bool {
	s.mu.Lock()
	pid := 0
	if cmd.Process != nil {
		pid = cmd.Process.Pid
	}
	s.mu.Unlock()
	return s.kill(pid)
}

// patience is how long a verb may take before the test says that it hangs.
const patience = 2 * time.Minute

// run runs the program to its end.
func (s *site) run(args ...string) (exit, error) {
	return s.finish(s.command(args...))
}

// finish runs a command to its end.
func (s *site) finish(cmd *exec.Cmd) (exit, error) {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := s.start(cmd); err != nil {
		return exit{}, err
	}
	hung := time.AfterFunc(patience, func() { cmd.Process.Signal(abort) }) // the program shows what its goroutines do
	defer hung.Stop()
	err := s.wait(cmd)
	var e *exec.ExitError
	if err != nil && !errors.As(err, &e) {
		return exit{}, err
	}
	return exit{cmd.ProcessState.ExitCode(), out.String(), errs.String()}, nil
}

// must runs the program, which must succeed, and returns its answer.
func (s *site) must(t *testing.T, args ...string) string {
	t.Helper()
	return s.exits(t, 0, args...).out
}

// exits runs the program, which must end with the status.
func (s *site) exits(t *testing.T, status int, args ...string) exit {
	t.Helper()
	e, err := s.run(args...)
	if err != nil {
		t.Fatalf("stemma %q: %v", args, err)
	}
	if e.status != status {
		t.Fatalf("stemma %q: want status %d, got %s", args, status, e)
	}
	return e
}

// fsck verifies the database.
func (s *site) fsck(t *testing.T) {
	t.Helper()
	if out := s.must(t, "fsck"); !strings.Contains(out, "no problems found") {
		t.Fatalf("fsck: %s", out)
	}
}

// server is a running sql-server.
type server struct {
	site *site
	cmd  *exec.Cmd
	err  bytes.Buffer
	db   *sql.DB
	done chan struct{} // closed when the process has ended
}

// freePort is a TCP port on which nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// serve starts a server on the port, without waiting until it can be reached.
func (s *site) serve(t *testing.T, port string) *server {
	t.Helper()
	srv := &server{site: s, cmd: s.command("sql-server", "-H", "127.0.0.1", "-P", port, "-l", "warning"), done: make(chan struct{})}
	srv.cmd.Stderr = &srv.err
	if err := s.start(srv.cmd); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.wait(srv.cmd) // how it ended is in ProcessState
		close(srv.done)
	}()
	t.Cleanup(func() { srv.kill(t) })
	cfg := mysql.NewConfig()
	cfg.User, cfg.Net, cfg.Addr, cfg.DBName = "root", "tcp", "127.0.0.1:"+port, filepath.Base(s.dir)
	cfg.MultiStatements, cfg.InterpolateParams = true, true
	cfg.Logger = log.New(io.Discard, "", 0)
	c, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	srv.db = sql.OpenDB(c)
	return srv
}

// ready waits until the server answers.
func (srv *server) ready(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		err := srv.db.PingContext(ctx)
		if err == nil {
			return
		}
		select {
		case <-srv.done:
			t.Fatalf("the server ended: %v\n%s", srv.cmd.ProcessState, srv.err.String())
		case <-ctx.Done():
			srv.cmd.Process.Signal(abort)
			<-srv.done
			t.Fatalf("the server does not answer: %v\n%s", err, srv.err.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// kill ends the server without warning.
func (srv *server) kill(t *testing.T) {
	t.Helper()
	srv.site.kill(srv.cmd.Process.Pid)
	<-srv.done
	if srv.db != nil {
		srv.db.Close() // its connections are broken
		srv.db = nil
	}
}

// stop ends the server in order.
func (srv *server) stop(t *testing.T) {
	t.Helper()
	if err := srv.db.Close(); err != nil {
		t.Error(err)
	}
	srv.db = nil
	if err := srv.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	hung := time.AfterFunc(patience, func() { srv.cmd.Process.Signal(abort) })
	defer hung.Stop()
	<-srv.done
	if !srv.cmd.ProcessState.Success() {
		t.Errorf("the server ended with %v\n%s", srv.cmd.ProcessState, srv.err.String())
	}
}
