package cli

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestErasedBytes looks into the files for what was erased: values in pages and beside them, in the history of branches, of a branch that was
// deleted, of a remote, and of what a run has read.
func TestErasedBytes(t *testing.T) {
	db := filepath.Join(t.TempDir(), "db")
	if err := os.Mkdir(db, 0o755); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	secret := func(n int) []byte { // cannot be compressed, so that files have it as it is
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	short, long, stays := secret(300), secret(20_000), secret(300)
	filesIn := func(dir string, want []byte) (in []string) {
		t.Helper()
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			if bytes.Contains(data, want[10:200]) {
				in = append(in, filepath.Base(path))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return in
	}
	files := func(want []byte) []string { t.Helper(); return filesIn(db, want) }
	run := func(args ...string) string { t.Helper(); return stemma(t, db, args...) }
	run("init")
	value := func(b []byte) string { return "x'" + hex.EncodeToString(b) + "'" }
	script := filepath.Join(t.TempDir(), "make.sql")
	text := fmt.Sprintf(`create table t (id int primary key, n int, a varbinary(400), b longblob);
		insert into t values (1, 5, %s, %s), (2, 6, %s, null); call dolt_commit('-Am', 'one');
		set stemma_run = '11111111-0000-4000-8000-000000000001'; create table dup (id int primary key); insert into dup select id from t; call dolt_commit('-Am', 'two')`,
		value(short), value(long), value(stays))
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run("sql", "-f", script)
	run("sql", "-q", "call dolt_checkout('-b', 'gone'); update t set n = 8; call dolt_commit('-am', 'on gone'); call dolt_checkout('main'); call dolt_branch('-D', 'gone')")
	remote := filepath.Join(t.TempDir(), "remote")
	run("remote", "add", "origin", remote)
	run("branch", "calm")
	run("push", "--all", "origin")
	run("sql", "-q", "select * from t where n > 100") // makes zones
	for _, b := range [][]byte{short, long, stays} {
		if len(files(b)) == 0 {
			t.Fatal("the bytes are not in the files as they are: the test does not test")
		}
	}
	out := run("erase", "t", "--where", "id = 1")
	for _, b := range [][]byte{short, long} {
		if in := files(b); len(in) > 0 {
			t.Errorf("the bytes are in %v after\n%s", in, out)
		}
	}
	if len(files(stays)) == 0 {
		t.Error("what was to stay has gone")
	}
	if strings.Contains(out, "in the files yet") {
		t.Error(out)
	}
	if out := run("fsck"); !strings.Contains(out, "no problems found") {
		t.Error(out)
	}
	// The remote has them until it is pushed anew.
	if len(filesIn(remote, short)) == 0 {
		t.Fatal("the bytes are not in the remote: the test does not test")
	}
	run("push", "--mirror", "--anew", "origin")
	for range 2 {
		run("gc", "--remote", "origin", "--grace", "0s")
	}
	for _, b := range [][]byte{short, long} {
		if in := filesIn(remote, b); len(in) > 0 {
			t.Errorf("the bytes are in %v at the remote after it was pushed anew", in)
		}
	}
	if len(filesIn(remote, stays)) == 0 {
		t.Error("what was to stay has gone from the remote")
	}
	if out := run("run", "of", "dup"); !strings.HasPrefix(out, "11111111-0000-4000-8000-000000000001 ") {
		t.Errorf("the run that made a table whose rows stay: %s", out)
	}
}
