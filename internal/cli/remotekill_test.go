package cli

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestKilledRemotes kills processes in the middle of push, clone and fetch: what was there before is there still and nothing half of the new,
// what was killed goes on when it is repeated, and in the end all have the same, sound.
func TestKilledRemotes(t *testing.T) {
	must := func(dir string, args ...string) string { t.Helper(); return stemma(t, dir, args...) }
	rng := rand.New(rand.NewPCG(1, 1))
	kill := func(after time.Duration, dir string, args ...string) bool {
		t.Helper()
		return killAfter(t, command(dir, args...), after)
	}
	base := t.TempDir()
	db, remote := filepath.Join(base, "db"), filepath.Join(base, "remote")
	if err := os.Mkdir(db, 0o755); err != nil {
		t.Fatal(err)
	}
	must(db, "init")
	must(db, "remote", "add", "origin", remote)
	load := func(n int) {
		t.Helper()
		var b strings.Builder
		b.WriteString("id,v\n")
		for range n {
			fmt.Fprintf(&b, "%d,%x%x%x%x\n", rng.Uint32()>>1, rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64())
		}
		file := filepath.Join(base, "rows.csv")
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		must(db, "table", "import", "-u", "t", file)
		must(db, "commit", "-A", "-m", "more")
	}
	must(db, "table", "import", "-c", "--pk", "id", "t", writeRows(t, base, "id,v\n1,x\n"))
	must(db, "commit", "-A", "-m", "first")
	must(db, "push", "-u", "origin", "main")
	must(base, "clone", remote, "old")
	load(40000)
	must(db, "branch", "fix")

	// How long each takes undisturbed, into a place of its own, says when to kill.
	took := func(dir string, args ...string) time.Duration {
		t.Helper()
		began := time.Now()
		must(dir, args...)
		return time.Since(began)
	}
	heads := func() string { t.Helper(); return must(base, "ls-remote", "--heads", remote) }
	before, whole := heads(), ""
	push := took(db, "push", filepath.Join(base, "other"), "main", "fix")
	for i := range 8 {
		ended := kill(push*time.Duration(i+1)/9, db, "push", "--atomic", "origin", "main", "fix")
		now := heads()
		if now == before && ended {
			t.Fatal("a push that ended without an error has moved nothing")
		}
		if now != before {
			if strings.Count(now, "\n") != 2 {
				t.Fatalf("a push of two branches has moved some:\n%s", now)
			}
			break
		}
	}
	must(db, "push", "--atomic", "origin", "main", "fix")
	whole = heads()
	if strings.Count(whole, "\n") != 2 || whole == before {
		t.Fatalf("the branches are\n%s", whole)
	}

	clone := took(base, "clone", remote, "undisturbed")
	killed := filepath.Join(base, "killed")
	for i := range 8 {
		if kill(clone*time.Duration(i+1)/9, base, "clone", remote, "killed") {
			break
		}
		if _, err := os.Stat(filepath.Join(killed, ".stemma")); err == nil {
			break // it was whole
		}
		if out, err := command(killed, "status").CombinedOutput(); err == nil && len(out) > 0 {
			t.Fatalf("a clone that was killed is a database:\n%s", out)
		}
	}
	if _, err := os.Stat(filepath.Join(killed, ".stemma")); err != nil {
		// As one leaves it that is killed while it writes the settings.
		made := filepath.Join(killed, ".stemma.clone")
		if err := os.MkdirAll(made, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(made, "config.lock"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		must(base, "clone", remote, "killed")
	}
	if _, err := os.Stat(filepath.Join(killed, ".stemma.clone")); err == nil {
		t.Error("a clone that is whole has left the directory in which it was made")
	}

	old := filepath.Join(base, "old")
	track := func() string { return must(old, "branch", "-r", "-v") }
	seen := track()
	for i := range 8 {
		if kill(clone*time.Duration(i+1)/9, old, "fetch") {
			break
		}
		if now := track(); now != seen && strings.Count(now, "\n") != 2 {
			t.Fatalf("a fetch that was killed has moved some branches:\n%s", now)
		}
	}
	must(old, "fetch")
	must(old, "pull")
	for _, dir := range []string{db, killed, old} {
		if got := must(dir, "fsck"); !strings.Contains(got, "no problems found") {
			t.Errorf("%s: %s", dir, got)
		}
		if got, want := must(dir, "sql", "-r", "csv", "-q", "select hashof('HEAD'), count(*) from t"), must(db, "sql", "-r", "csv", "-q", "select hashof('HEAD'), count(*) from t"); got != want {
			t.Errorf("%s has %s, want %s", dir, got, want)
		}
	}
}

// writeRows is a new file with that content.
func writeRows(t *testing.T, dir, text string) string {
	t.Helper()
	file := filepath.Join(dir, "first.csv")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}
