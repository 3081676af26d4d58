package torture

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// erDiskFull is MySQL's number for a full disk.
const erDiskFull = 1021

// smallDisk is a file system of that many bytes.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("mount a small disk: %v (root may)", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
			syscall.Unmount(dir, syscall.MNT_DETACH) // so that the directory can be removed
		}
	})
	return dir
}

// fill fills what is left of a disk but for some bytes, and returns the file that does.
func fill(t *testing.T, disk string, leave int64) string {
	t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(disk, &st); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(disk, "ballast")
	if n := int64(st.Bavail)*st.Bsize - leave; n > 0 {
		if err := os.WriteFile(name, make([]byte, n), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return name
}

// isFull complains of an error that is not the one of a full disk.
func isFull(t *testing.T, what string, err error) {
	t.Helper()
	var e *mysql.MySQLError
	if !errors.As(err, &e) || e.Number != erDiskFull || !strings.Contains(e.Message, "no space left on device") {
		t.Errorf("%s on a full disk: %v", what, err)
	}
}

// TestFullDisk fills the disk below a server and below commands: each failure says so, what was committed stays, and when there is
// room again everything goes on, without a restart.
func TestFullDisk(t *testing.T) {
	rounds := or(10, 2)
	disk := smallDisk(t, or(64<<20, 16<<20))
	s := &site{home: t.TempDir()}
	s.place(t, filepath.Join(disk, "db"))
	ctx := context.Background()
	srv := s.serve(t, freePort(t))
	srv.ready(t)
	exec := func(q string) error {
		_, err := srv.db.ExecContext(ctx, q)
		return err
	}
	for _, q := range []string{"create table t (id int primary key, pad longtext)", "create table k (id int, pad longtext)", "call dolt_commit('-Am', 'tables')"} {
		if err := exec(q); err != nil {
			t.Fatal(err)
		}
	}
	there := 0
	rows := func() (n, m int) {
		t.Helper()
		if err := srv.db.QueryRowContext(ctx, "select (select count(*) from t where length(pad) > 0), (select count(*) from k)").Scan(&n, &m); err != nil {
			t.Fatal(err)
		}
		return n, m
	}
	insert := func(size int) error {
		pad := noise(uint64(there), size)
		err := exec(fmt.Sprintf("start transaction; insert into t values (%d, '%s'); insert into k values (%d, '%s'); commit", there, pad, there, pad))
		if err == nil {
			there++
		} else if e := exec("rollback"); e != nil {
			t.Fatal(e)
		}
		return err
	}
	srv.db.SetMaxOpenConns(1) // the session in which a transaction failed goes on
	file := filepath.Join(s.home, "big.csv")
	var lines strings.Builder
	lines.WriteString("id,pad\n")
	for i := range 40000 {
		fmt.Fprintf(&lines, "%d,%s\n", 1_000_000+i, noise(uint64(i), 400))
	}
	if err := os.WriteFile(file, []byte(lines.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	for round := range rounds {
		ballast := fill(t, disk, int64(or(4<<20, 2<<20)+round*137_000))
		// An import is larger than the room.
		e := s.exits(t, 8, "table", "import", "-a", "t", file)
		if !strings.Contains(e.err, "no space left on device; nothing was imported") {
			t.Errorf("import: %s", e)
		}
		// Inserts, until there is no room, and beyond.
		size := 100_000
		for misses := 0; misses < 6; {
			if err := insert(size); err != nil {
				isFull(t, "insert", err)
				misses++
				size = max(size/4, 40)
			}
		}
		if err := exec(fmt.Sprintf("call dolt_commit('-Am', 'round %d')", round)); err != nil {
			isFull(t, "commit", err)
		}
		if n, m := rows(); n != there || m != there {
			t.Fatalf("round %d: %d and %d rows, want %d", round, n, m, there)
		}
		if e, err := s.run("commit", "-Am", "by hand"); err != nil || e.status != 8 && e.status != 0 && !strings.Contains(e.err, "nothing to commit") {
			t.Errorf("commit: %v %s", err, e)
		}
		s.must(t, "status")
		if round%2 == 1 { // the next owner finds a disk that is still full
			srv.kill(t)
			if e, err := s.run("sql", "-q", "select 1"); err != nil || e.status != 8 && e.status != 0 {
				t.Errorf("select by an owner on a full disk: %v %s", err, e)
			}
			s.must(t, "log")
			s.must(t, "fsck")
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if round%2 == 1 {
			srv = s.serve(t, freePort(t))
			srv.ready(t)
			srv.db.SetMaxOpenConns(1)
		}
		if err := insert(100_000); err != nil {
			t.Fatalf("round %d: insert when there is room again: %v", round, err)
		}
		if err := exec(fmt.Sprintf("call dolt_commit('-Am', 'room after round %d')", round)); err != nil {
			t.Fatalf("round %d: commit when there is room again: %v", round, err)
		}
		if n, m := rows(); n != there || m != there {
			t.Fatalf("round %d: %d and %d rows, want %d", round, n, m, there)
		}
		s.fsck(t)
	}
	srv.stop(t)
	s.fsck(t)
}

// TestFullDiskUnderClone fills the disk below clone, fetch and push to a directory: each says so, what was there stays, and with room the
// same command does the rest.
func TestFullDiskUnderClone(t *testing.T) {
	s := newSite(t)
	s.must(t, "sql", "-q", "create table t (id int primary key, pad longtext)")
	s.must(t, "commit", "-Am", "table")
	remote := "file://" + filepath.Join(t.TempDir(), "remote")
	s.must(t, "remote", "add", "origin", remote)
	s.grow(t, 0, 2000, 1000)
	s.must(t, "push", "origin", "main")
	disk := smallDisk(t, 32<<20)
	ballast := fill(t, disk, 700<<10)
	clone := &site{home: s.home, dir: filepath.Join(disk, "clone")}
	full := func(at *site, args ...string) {
		t.Helper()
		if e := at.exits(t, 8, args...); !strings.Contains(e.err, "no space left on device") {
			t.Errorf("stemma %q: %s", args, e)
		}
	}
	room := func() {
		t.Helper()
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
	}
	full(s, "clone", remote, clone.dir)
	room()
	s.must(t, "clone", remote, clone.dir)
	clone.fsck(t)
	was := clone.head(t, "main")
	s.grow(t, 1, 2000, 1000)
	s.must(t, "push", "origin", "main")
	ballast = fill(t, disk, 700<<10)
	full(clone, "pull")
	if is := clone.head(t, "main"); is != was {
		t.Errorf("main moved to %s", is)
	}
	room()
	clone.must(t, "pull")
	clone.fsck(t)
	if is, will := clone.head(t, "main"), s.head(t, "main"); is != will {
		t.Errorf("main is %s, not %s", is, will)
	}
	small := "file://" + filepath.Join(disk, "remote")
	s.must(t, "remote", "add", "small", small)
	ballast = fill(t, disk, 700<<10)
	full(s, "push", "small", "main")
	room()
	s.must(t, "push", "small", "main")
	if is := s.remoteHead(t, "small"); is != s.head(t, "main") {
		t.Errorf("main of the remote is %s", is)
	}
}
