package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver

	"github.com/stemmadb/stemma/internal/clock"
)

// system is a program with stemma's command line: stemma, or Dolt.
type system struct {
	name, program string
	home          string // its databases and settings
}

// command runs the program in a directory and measures it.
func (s *system) command(ctx context.Context, dir string, args ...string) (stdout []byte, u usage, err error) {
	cmd := s.prepare(ctx, dir, args)
	var out, bad bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &bad
	if u, err = measure(cmd); err != nil {
		return nil, u, fmt.Errorf("%s %s: %w\n%s%s", s.name, strings.Join(args, " "), err, out.Bytes(), bad.Bytes())
	}
	return out.Bytes(), u, nil
}

func (s *system) prepare(ctx context.Context, dir string, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+s.home, "DOLT_ROOT_PATH="+s.home, "XDG_CONFIG_HOME="+s.home, "DOLT_DISABLE_EVENT_FLUSH=true")
	return cmd
}

// fresh is a new empty database.
func (s *system) fresh(ctx context.Context, name string) (dir string, err error) {
	dir = filepath.Join(s.home, name)
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o777)); err != nil {
		return "", err
	}
	_, _, err = s.command(ctx, dir, "init", "--name", "bench", "--email", "bench@localhost")
	return dir, err
}

// kept is a database that is made once and not changed.
func (s *system) kept(ctx context.Context, name string, fill func(dir string) error) (dir string, err error) {
	dir = filepath.Join(s.home, name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	part, err := s.fresh(ctx, name+"_part")
	if err != nil {
		return "", err
	}
	if err := fill(part); err != nil {
		return "", err
	}
	return dir, os.Rename(part, dir)
}

// copyOf is a copy of a kept database, to change.
func (s *system) copyOf(dir, name string) (string, error) {
	to := filepath.Join(s.home, name)
	if err := os.RemoveAll(to); err != nil {
		return "", err
	}
	return to, os.CopyFS(to, os.DirFS(dir))
}

// base is the database of the price list, with one commit.
func (s *system) base(ctx context.Context, e *env) (string, error) {
	csv, err := e.csv("sorted")
	if err != nil {
		return "", err
	}
	return s.kept(ctx, "base", func(dir string) error {
		if _, _, err := s.command(ctx, dir, "table", "import", "-c", "--pk", "npi_number,code,payer", "prices", csv); err != nil {
			return err
		}
		return s.commitAll(ctx, dir, "import")
	})
}

func (s *system) commitAll(ctx context.Context, dir, message string) error {
	_, _, err := s.command(ctx, dir, "commit", "-Am", message)
	return err
}

// server is a running SQL server.
type server struct {
	DB   *sql.DB
	cmd  *exec.Cmd
	done chan error
	log  bytes.Buffer
}

// serve starts a server for the database of a directory, with these flags beside its own. The caller closes it.
func (s *system) serve(ctx context.Context, dir string, flags ...string) (*server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return nil, err
	}
	v := &server{done: make(chan error, 1)}
	v.cmd = s.prepare(ctx, dir, append([]string{"sql-server", "-H", "127.0.0.1", "-P", fmt.Sprint(port), "-l", "warning"}, flags...))
	v.cmd.Stdout, v.cmd.Stderr = &v.log, &v.log
	if err := v.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { v.done <- v.cmd.Wait() }()
	if v.DB, err = sql.Open("mysql", fmt.Sprintf("root@tcp(127.0.0.1:%d)/%s", port, filepath.Base(dir))); err != nil {
		return nil, errors.Join(err, v.close())
	}
	begin := clock.System{}.Now()
	for ; ; time.Sleep(20 * time.Millisecond) {
		if err = v.DB.PingContext(ctx); err == nil {
			return v, nil
		}
		select {
		case end := <-v.done:
			return nil, fmt.Errorf("the server of %s ended: %w\n%s", s.name, end, v.log.Bytes())
		default:
		}
		if clock.Since(begin) > time.Minute {
			return nil, errors.Join(fmt.Errorf("the server of %s does not answer: %w", s.name, err), v.close())
		}
	}
}

// close ends the server as a user would, and waits until it has.
func (v *server) close() error {
	err := v.DB.Close()
	if err := v.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	if end := <-v.done; end != nil {
		return errors.Join(err, fmt.Errorf("end the server: %w\n%s", end, v.log.Bytes()))
	}
	return err
}

// peak is the server's peak resident memory so far in bytes.
func (v *server) peak() int64 { return peakMemory(v.cmd.Process.Pid) }

// read runs a query and reads all of it, and returns the number of rows.
func read(ctx context.Context, db interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}, query string, args ...any) (n int, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", query, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return 0, err
	}
	raw := make([]sql.RawBytes, len(columns))
	into := make([]any, len(columns))
	for i := range raw {
		into[i] = &raw[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return n, err
		}
		n++
	}
	return n, rows.Err()
}
