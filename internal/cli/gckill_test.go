package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestKilledCollection kills processes in the middle of gc: nothing is lost, nothing is left over, and the next one does what is left.
func TestKilledCollection(t *testing.T) {
	home, db := t.TempDir(), t.TempDir()
	must := func(args ...string) string { t.Helper(); return stemma(t, db, args...) }
	took := time.Second
	must("init")
	load := func(round int) {
		var b strings.Builder
		b.WriteString("id,v\n")
		for i := range 30_000 {
			fmt.Fprintf(&b, "%d,%x\n", i, (i+1)*(round+7)*7919*104729)
		}
		file := filepath.Join(home, "rows.csv")
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		must("table", "import", "-f", "-c", "--pk", "id", "t", file)
	}
	load(0)
	must("commit", "-A", "-m", "first")
	want := func() string { return must("sql", "-r", "csv", "-q", "select count(*), min(v), max(v) from t") }
	for round := range 6 {
		load(1000 + round)
		load(round)
		now := want()
		cmd := command(db, "gc", "--full", "--expire", "now")
		began := time.Now()
		if round == 0 {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			took = time.Since(began)
			continue
		}
		killAfter(t, cmd, took*time.Duration(round)/6)
		if got := want(); got != now {
			t.Fatalf("after a kill the table is\n%swant\n%s", got, now)
		}
		if out := must("fsck"); !strings.Contains(out, "no problems found") {
			t.Fatal(out)
		}
		must("gc", "--full", "--expire", "now")
		if left, _ := filepath.Glob(filepath.Join(db, ".stemma", "*", "*.tmp")); len(left) > 0 {
			t.Errorf("%q are left", left)
		}
	}
	if packs, _ := filepath.Glob(filepath.Join(db, ".stemma", "packs", "*.pack")); len(packs) > 4 {
		t.Errorf("%d packs are left", len(packs))
	}
}
