package torture

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/object/objecttest"
	"github.com/stemmadb/stemma/internal/object/s3/s3test"
)

// grow adds rows to table t of the site, and commits them.
func (s *site) grow(t *testing.T, n, rows, size int) {
	t.Helper()
	var lines strings.Builder
	lines.WriteString("id,pad\n")
	for i := range rows {
		fmt.Fprintf(&lines, "%d,%s\n", n*rows+i, noise(uint64(n*rows+i), size))
	}
	file := filepath.Join(s.home, "rows.csv")
	if err := os.WriteFile(file, []byte(lines.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	s.must(t, "table", "import", "-a", "t", file)
	s.must(t, "commit", "-am", fmt.Sprintf("rows %d", n))
}

// head is what a ref means.
func (s *site) head(t *testing.T, ref string) string {
	t.Helper()
	out := s.must(t, "sql", "-r", "csv", "-q", fmt.Sprintf("select hashof('%s') as h", ref))
	return strings.TrimSpace(strings.TrimPrefix(out, "h\n"))
}

// remoteHead is the head of main at a remote; "" when there is none.
func (s *site) remoteHead(t *testing.T, remote string) string {
	t.Helper()
	for line := range strings.Lines(s.settle(t, "ls-remote", remote)) {
		if f := strings.Fields(line); len(f) == 2 && f[1] == "refs/heads/main" {
			return f[0]
		}
	}
	return ""
}

// killAfter starts a verb and kills it after that time. It reports false when the verb had succeeded by then; the network may have failed it.
func (s *site) killAfter(t *testing.T, after time.Duration, args ...string) bool {
	t.Helper()
	cmd := s.command(args...)
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := s.start(cmd); err != nil {
		t.Fatal(err)
	}
	end := time.AfterFunc(after, func() { s.kill(cmd.Process.Pid) })
	err := s.wait(cmd)
	if end.Stop() && err != nil && cmd.ProcessState.ExitCode() != 6 {
		t.Fatalf("stemma %q: %v\n%s", args, err, errs.String())
	}
	return err != nil
}

// settle runs a verb until the network lets it: it fails with nothing but the status for a remote that cannot be reached.
func (s *site) settle(t *testing.T, args ...string) string {
	t.Helper()
	for range 50 {
		e, err := s.run(args...)
		if err != nil {
			t.Fatal(err)
		}
		if e.status == 0 || args[0] == "clone" && e.status == 4 && strings.Contains(e.err, "already exists") { // it was killed when all was done
			return e.out
		}
		if e.status != 6 {
			t.Fatalf("stemma %q: %s", args, e)
		}
	}
	t.Fatalf("stemma %q never comes to its end", args)
	return ""
}

// TestRemoteKill kills push, fetch, clone and gc at any moment, with a bucket behind a slow network that cuts connections, and with a
// directory. What a killed verb leaves is what was there before or all of the new: refs are the old or the new ones, the next run of the
// verb does what is left, and each database is sound.
func TestRemoteKill(t *testing.T) {
	srv := s3test.Start(t, "data")
	slow, at := objecttest.NewNetwork(t, srv.URL, 20<<20)
	t.Setenv("AWS_ENDPOINT_URL", at)
	for remote, rounds := range map[string]int{
		"s3://data/db": or(12, 2),
		"file://" + filepath.Join(t.TempDir(), "remote"): or(50, 2),
	} {
		t.Run(strings.SplitN(remote, ":", 2)[0], func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			rng := rand.New(rand.NewPCG(seed, 1))
			t.Logf("seed %d", seed)
			s := newSite(t)
			s.must(t, "sql", "-q", "create table t (id int primary key, pad longtext)")
			s.must(t, "commit", "-Am", "table")
			s.must(t, "remote", "add", "origin", remote)
			s.must(t, "push", "-u", "origin", "main")
			other := &site{home: s.home, dir: filepath.Join(t.TempDir(), "other")}
			s.must(t, "clone", remote, other.dir)
			slow.Cut.Store(700 << 10)
			killed, whole := map[string]int{}, map[string]int{}
			longest := map[string]time.Duration{"push": time.Second, "pull": time.Second, "clone": time.Second, "gc": time.Second}
			try := func(at *site, args ...string) { // kills within about the time that the verb takes
				t.Helper()
				verb, begin := args[0], time.Now()
				if at.killAfter(t, time.Duration(rng.Int64N(int64(longest[verb]))), args...) {
					killed[verb]++
					longest[verb] += longest[verb] / 8
				} else {
					whole[verb]++
					longest[verb] = time.Since(begin) * 5 / 4
				}
			}
			for n := range rounds {
				s.grow(t, n, 400, 2000)
				was, will := s.remoteHead(t, "origin"), s.head(t, "main")
				try(s, "push")
				if is := s.remoteHead(t, "origin"); is != was && is != will {
					t.Fatalf("after a push that was killed main is %s, neither %s nor %s", is, was, will)
				}
				s.settle(t, "push")
				if is := s.remoteHead(t, "origin"); is != will {
					t.Fatalf("main is %s, not %s", is, will)
				}
				try(other, "pull")
				other.fsck(t)
				other.settle(t, "pull")
				if is := other.head(t, "main"); is != will {
					t.Fatalf("after a pull main is %s, not %s", is, will)
				}
				clone := &site{home: s.home, dir: filepath.Join(t.TempDir(), "clone")}
				try(s, "clone", remote, clone.dir)
				s.settle(t, "clone", remote, clone.dir)
				if is := clone.head(t, "main"); is != will {
					t.Fatalf("main of a clone is %s, not %s", is, will)
				}
				try(other, "gc")
				other.must(t, "gc")
				if n%5 == 0 {
					for _, x := range []*site{s, other, clone} {
						x.fsck(t)
					}
				}
			}
			slow.Cut.Store(0)
			s.fsck(t)
			other.fsck(t)
			t.Logf("killed %v, too late for %v, %d connections cut", killed, whole, slow.Cuts.Load())
			if full() {
				for _, verb := range []string{"push", "pull", "clone", "gc"} {
					if killed[verb] == 0 {
						t.Errorf("no %s was killed: the test does not test", verb)
					}
				}
			}
		})
	}
	if full() && slow.Cuts.Load() == 0 {
		t.Error("no connection was cut: the test does not test")
	}
}
