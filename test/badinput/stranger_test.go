package badinput

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// nobody is the user and group id without rights.
const nobody = 65534

// Someone who may read a directory but not write reads it, and is told in one sentence that no more is possible.
func TestStranger(t *testing.T) {
	base := t.TempDir()
	db := filepath.Join(base, "db")
	run := func(program string, args ...string) (status int, out, errOut string) {
		t.Helper()
		cmd := exec.Command(program, args...)
		cmd.Dir = db
		cmd.Env = append(os.Environ(), "STEMMA_HOME="+filepath.Join(base, "home"), "STEMMA_AUTHOR_NAME=Ada", "STEMMA_AUTHOR_EMAIL=ada@example.com")
		var o, e bytes.Buffer
		cmd.Stdout, cmd.Stderr = &o, &e
		var exit *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), o.String(), e.String()
	}
	if err := os.MkdirAll(db, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"init"}, {"sql", "-q", "create table t (a int primary key, b int); insert into t values (1, 2)"}, {"commit", "-Am", "one"},
		{"sql", "-q", "insert into t values (3, 4)"},
	} {
		if status, out, errOut := run("stemma", args...); status != 0 {
			t.Fatalf("%q: %d\n%s%s", args, status, out, errOut)
		}
	}
	lockUp(t, filepath.Dir(base), db)
	if f, err := os.OpenFile(filepath.Join(db, "x"), os.O_CREATE|os.O_WRONLY, 0o666); err == nil && !canDrop() {
		f.Close()
		t.Skip("this user may write everywhere, and cannot become another")
	}
	for _, c := range []struct {
		args string
		out  string
	}{
		{"log --oneline", "one\n"}, {"status", "modified"}, {"ls", "\tt\n"}, {"diff", "| + | 3"}, {"table export t -", "1,2\n3,4\n"}, {"fsck", "no problems found"},
		{"branch", "* main\n"}, {"tag", ""}, {"sql -r csv -q select(sum(b))from(t)", "6\n"},
	} {
		if status, out, errOut := run("stranger", strings.Fields(c.args)...); status != 0 || !strings.Contains(out, c.out) {
			t.Errorf("%s: %d\n%s%s, want %q", c.args, status, out, errOut, c.out)
		}
	}
	for _, args := range []string{
		"add t", "commit -am no", "branch no", "tag no", "checkout -b no", "reset --hard", "table import -u t t.csv",
	} {
		status, out, errOut := run("stranger", strings.Fields(args)...)
		if status != 7 || !strings.HasPrefix(errOut, "error: ") || strings.Count(errOut, "\n") != 1 || !strings.Contains(errOut, "permission denied") {
			t.Errorf("%s: %d\n%s%s", args, status, out, errOut)
		}
	}
	if status, out, errOut := run("stranger", "init"); status != 4 || !strings.Contains(errOut, "this directory already holds a database") {
		t.Errorf("init: %d\n%s%s", status, out, errOut)
	}
}

// lockUp lets everybody read what is in dir, and nobody write; base is made passable.
func lockUp(t *testing.T, base, dir string) {
	t.Helper()
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	chmod := func(dirs, files fs.FileMode) {
		if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() {
				return os.Chmod(path, dirs)
			}
			return os.Chmod(path, files)
		}); err != nil {
			t.Error(err)
		}
	}
	chmod(0o555, 0o444)
	t.Cleanup(func() { chmod(0o755, 0o644) })
}
