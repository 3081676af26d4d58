//go:build linux || darwin

package torture

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// fileLimit is the size of a file, in bytes, that the program called limited may write.
const fileLimit = 1 << 20

// limited is the program under a limit for files, which is the full disk that needs no rights.
func limited() {
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: fileLimit, Max: fileLimit}); err != nil {
		fmt.Fprintln(os.Stderr, "limit the size of files:", err)
		os.Exit(99)
	}
	program()
}

// TestFileLimit writes more than a limit allows: the failure is that of a full disk, what was there before stays, and without the
// limit everything goes on.
func TestFileLimit(t *testing.T) {
	s := newSite(t)
	file := filepath.Join(s.home, "big.csv")
	var lines strings.Builder
	lines.WriteString("id,pad\n")
	for i := range 6000 {
		fmt.Fprintf(&lines, "%d,%s\n", i, noise(uint64(i), 800))
	}
	if err := os.WriteFile(file, []byte(lines.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	s.must(t, "sql", "-q", "create table t (id int primary key, pad longtext); insert into t values (-1, 'x')")
	s.must(t, "commit", "-Am", "before")
	under := func(args ...string) exit {
		t.Helper()
		cmd := s.command(args...)
		path, err := exec.LookPath("limited")
		if err != nil {
			t.Fatal(err)
		}
		cmd.Path, cmd.Args[0] = path, path
		e, err := s.finish(cmd)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	if e := under("table", "import", "-a", "t", file); e.status != 8 || !strings.Contains(e.err, "file too large") {
		t.Errorf("import: %s", e)
	}
	if e := under("table", "import", "-c", "--pk", "id", "u", file); e.status != 8 {
		t.Errorf("import of a new table: %s", e)
	}
	done := 0
	for n := 0; ; n++ {
		if n == 100 {
			t.Fatal("there is no limit")
		}
		e := under("sql", "-q", fmt.Sprintf("insert into t values (%d, '%s')", 10_000+n, noise(uint64(n), 100_000)))
		if e.status == 0 {
			done++
			continue
		}
		if e.status != 1 || !strings.Contains(e.err, "file too large") {
			t.Errorf("insert: %s", e)
		}
		break
	}
	if done == 0 {
		t.Error("nothing could be inserted: the test does not test")
	}
	rows := func(want int) {
		t.Helper()
		if out := s.must(t, "sql", "-r", "csv", "-q", "select count(*) from t"); out != fmt.Sprintf("count(*)\n%d\n", want) {
			t.Errorf("%q, want %d", out, want)
		}
		s.fsck(t)
	}
	rows(1 + done)
	s.must(t, "table", "import", "-a", "t", file)
	s.must(t, "commit", "-am", "after")
	rows(1 + done + 6000)
}
