//go:build unix

package ingest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/stemmadb/stemma/internal/cli"
	"github.com/stemmadb/stemma/internal/op"
)

// The test binary is the program as well, when it is called by its name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"stemma": func() { os.Exit(cli.Main(&cli.Program{Version: "1.2.3", Specs: op.All()})) }})
}

// absent ends a test whose server is not installed.
func absent(t *testing.T, pkg string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("the package %s is not installed", pkg)
	}
	t.Skipf("the package %s is not installed", pkg)
}

// freePort is a port that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// as makes a command run as a user when this process is root's, since servers refuse to be root's.
func as(t *testing.T, name, dir string, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	cmd.Dir = dir
	if os.Getuid() != 0 {
		return cmd
	}
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return cmd
}

// serverDir is a directory that other users may enter.
func serverDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "stemma-server-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// start runs a server until the test ends.
func start(t *testing.T, cmd *exec.Cmd, ready func() error) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
		}
	})
	deadline := time.Now().Add(120 * time.Second)
	for {
		err := ready()
		if err == nil {
			return
		}
		select {
		case e := <-ended:
			ended <- e
			t.Fatalf("the server ended: %v\n%s", e, out.Bytes())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server does not answer: %v\n%s", err, out.Bytes())
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// server is a server that can be killed and started again, on the data that it had.
type server struct {
	t     *testing.T
	addr  string // of PostgreSQL a URL, of MariaDB host:port
	cmd   func() *exec.Cmd
	ready func() error
	run   *exec.Cmd
}

// again starts the server.
func (s *server) again() {
	s.t.Helper()
	s.run = s.cmd()
	start(s.t, s.run, s.ready)
}

// kill ends the server as a loss of its machine's power would, but for what the system has of its files.
func (s *server) kill() { _ = s.run.Process.Kill() }

// postgres is the address of a new PostgreSQL server.
func postgres(t *testing.T) string { return postgresServer(t).addr }

// postgresServer is a new PostgreSQL server.
func postgresServer(t *testing.T) *server {
	t.Helper()
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	bin := ""
	if len(bins) > 0 {
		bin = filepath.Dir(bins[len(bins)-1])
	} else if p, err := exec.LookPath("postgres"); err == nil {
		bin = filepath.Dir(p)
	}
	if bin == "" {
		absent(t, "postgresql")
	}
	dir, port := serverDir(t), freePort(t)
	if out, err := as(t, "postgres", dir, exec.Command(bin+"/initdb", "-D", dir+"/data", "-U", "etl", "--auth=trust", "-E", "UTF8", "--locale=C", "-N")).CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	url := fmt.Sprintf("postgres://etl@127.0.0.1:%d/postgres?sslmode=disable", port)
	s := &server{t: t, addr: url, cmd: func() *exec.Cmd {
		return as(t, "postgres", dir, exec.Command(bin+"/postgres", "-D", dir+"/data", "-p", strconv.Itoa(port), "-k", dir, "-c", "fsync=off", "-c", "listen_addresses=127.0.0.1"))
	}, ready: func() error {
		c, err := pgx.Connect(context.Background(), url)
		if err != nil {
			return err
		}
		return c.Close(context.Background())
	}}
	s.again()
	return s
}

// pg runs statements in PostgreSQL.
func pg(t *testing.T, url, statements string) {
	t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if _, err := c.PgConn().Exec(ctx, statements).ReadAll(); err != nil {
		t.Fatalf("%v\n%s", err, statements)
	}
}

// mariadb is the address of a new MariaDB server with a database shop.
func mariadb(t *testing.T) string { return mariadbServer(t).addr }

// mariadbServer is a new MariaDB server with a database shop.
func mariadbServer(t *testing.T) *server {
	t.Helper()
	bin, err := exec.LookPath("mariadbd")
	if err != nil {
		if bin = "/usr/sbin/mariadbd"; !exists(bin) {
			absent(t, "mariadb-server")
		}
	}
	install, err := exec.LookPath("mariadb-install-db")
	if err != nil {
		absent(t, "mariadb-server")
	}
	dir, port := serverDir(t), freePort(t)
	if out, err := as(t, "mysql", dir, exec.Command(install, "--no-defaults", "--datadir="+dir+"/data", "--auth-root-authentication-method=normal", "--skip-test-db")).CombinedOutput(); err != nil {
		t.Fatalf("mariadb-install-db: %v\n%s", err, out)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	s := &server{t: t, addr: addr, cmd: func() *exec.Cmd {
		return as(t, "mysql", dir, exec.Command(bin, "--no-defaults", "--datadir="+dir+"/data", "--port="+strconv.Itoa(port), "--socket="+dir+"/sock", "--pid-file="+dir+"/pid",
			"--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=2"))
	}, ready: func() error { return my("root@tcp("+addr+")/", "create database if not exists shop") }}
	s.again()
	return s
}

// my runs statements in MySQL.
func my(dsn, statements string) error {
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return err
	}
	cfg.MultiStatements, cfg.Logger = true, &mysql.NopLogger{}
	conn, err := mysql.NewConnector(cfg)
	if err != nil {
		return err
	}
	db := sql.OpenDB(conn)
	_, err = db.Exec(statements)
	return errors.Join(err, db.Close())
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// site is a database of stemma's.
type site struct {
	t   *testing.T
	dir string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t, filepath.Join(t.TempDir(), "db")}
	if err := os.Mkdir(s.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	s.ok("init", "--name", "Ada", "--email", "ada@example.org")
	return s
}

// run runs the program.
func (s *site) run(args ...string) (out string, code int) {
	s.t.Helper()
	cmd := exec.Command("stemma", args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "STEMMA_HOME="+filepath.Join(filepath.Dir(s.dir), "home"))
	b, err := cmd.CombinedOutput()
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) {
		s.t.Fatal(err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

func (s *site) ok(args ...string) string {
	s.t.Helper()
	out, code := s.run(args...)
	if code != 0 {
		s.t.Fatalf("stemma %s: exit %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// says wants an exit code and a text.
func (s *site) says(code int, want string, args ...string) {
	s.t.Helper()
	if out, got := s.run(args...); got != code || !strings.Contains(out, want) {
		s.t.Errorf("stemma %s: exit %d, want %d\n%s\nwant %s", strings.Join(args, " "), got, code, out, want)
	}
}

// query wants the answer of a query.
func (s *site) query(query, want string) {
	s.t.Helper()
	if got := s.ok("sql", "-r", "csv", "-q", query); got != want {
		s.t.Errorf("%s:\n%s\nwant\n%s", query, got, want)
	}
}

// clean wants a sound database with nothing to commit.
func (s *site) clean() {
	s.t.Helper()
	s.says(0, "nothing to commit", "status")
	s.ok("fsck")
}
