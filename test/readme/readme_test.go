package readme

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/stemmadb/stemma/internal/cli"
	"github.com/stemmadb/stemma/internal/op"
)

func program() { os.Exit(cli.Main(&cli.Program{Version: "1.2.3", Specs: op.All()})) }

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"stemma": program}) }

// block is a fenced block of a document.
type block struct {
	language string
	text     string
	line     int
}

var fence = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

func blocks(t *testing.T, name string) []block {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var out []block
	for _, m := range fence.FindAllSubmatchIndex(b, -1) {
		out = append(out, block{string(b[m[2]:m[3]]), string(b[m[4]:m[5]]), bytes.Count(b[:m[4]], []byte("\n")) + 1})
	}
	return out
}

// A new user, without any configuration, types the commands and statements one after the other; each succeeds.
func TestReadme(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the commands are a Unix shell's")
	}
	home := t.TempDir()
	dir := filepath.Join(home, "mydb")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"prices.csv": "id,price\n1,10\n2,20.5\n3,7\n", "notes.md": "# Notes\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + t.TempDir()}
	var server *sql.DB
	commands, statements := 0, 0
	for _, b := range blocks(t, filepath.Join("..", "..", "README.md")) {
		switch b.language {
		case "console":
			for i, line := range strings.Split(b.text, "\n") {
				command, ok := strings.CutPrefix(line, "$ ")
				if !ok {
					continue
				}
				if strings.HasPrefix(command, "pip ") {
					continue // tests of the package itself install it
				}
				commands++
				if strings.HasPrefix(command, "stemma sql-server") {
					server = serve(t, dir, env, command)
					continue
				}
				if strings.HasPrefix(command, "stemma serve") { // instead of the server above: in another directory here
					other := filepath.Join(t.TempDir(), "mydb")
					if err := os.Mkdir(other, 0o777); err != nil {
						t.Fatal(err)
					}
					initialize := exec.Command("stemma", "init")
					initialize.Dir, initialize.Env = other, env
					if out, err := initialize.CombinedOutput(); err != nil {
						t.Fatalf("stemma init: %v\n%s", err, out)
					}
					command, _, _ = strings.Cut(command, "#")
					serve(t, other, env, command+" --flight-port 0 --port 3306")
					continue
				}
				if strings.Contains(command, "date ") {
					time.Sleep(time.Second) // date cuts off fractions: it must not be before the first commit
				}
				cmd := exec.Command("sh", "-c", command)
				cmd.Dir, cmd.Env = dir, env
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("README.md line %d: %s: %v\n%s", b.line+i, command, err, out)
				}
			}
		case "sql":
			if server == nil {
				t.Fatal("SQL comes before the server is started")
			}
			for i, line := range strings.Split(strings.TrimSpace(b.text), "\n") {
				statements++
				if err := query(server, line); err != nil {
					t.Errorf("README.md line %d: %s: %v", b.line+i, line, err)
				}
			}
		}
	}
	if commands < 25 || statements < 10 {
		t.Errorf("%d commands and %d statements: are they still found?", commands, statements)
	}
}

// query runs a statement and reads its rows.
func query(db *sql.DB, statement string) error {
	rows, err := db.Query(statement)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
	}
	return rows.Err()
}

// serve starts a server as a command says, but on a free port, and connects to it with one session.
func serve(t *testing.T, dir string, env []string, command string) *sql.DB {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	command, _, _ = strings.Cut(command, "#")
	if !strings.Contains(command, " 3306") {
		t.Fatalf("%q names no port 3306", command)
	}
	args := strings.Fields(strings.Replace(command, " 3306", " "+port, 1))
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, env
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	db, err := sql.Open("mysql", "root@tcp(127.0.0.1:"+port+")/mydb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for db.PingContext(ctx) != nil {
		if ctx.Err() != nil {
			t.Fatalf("%q does not answer", command)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return db
}
