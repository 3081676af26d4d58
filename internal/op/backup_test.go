package op

import (
	"testing"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// A backup that fails, at whichever operation, leaves nothing that it made, and the next one works.
func TestFailedBackupLeavesNothing(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	by := history.Signature{Name: "Ada", Email: "ada@example.com", Time: clock.System{}.Now()}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(fs.MkdirAll("/db"))
	check(repo.Init(ctx, fs, "/db", repo.InitOptions{Author: by, Committer: by}))
	r, err := repo.Open(ctx, fs, "/db", repo.Options{ReadOnly: true})
	check(err)
	for _, there := range []bool{false, true} { // the directory that is named
		failed := 0
		for n := int64(1); ; n++ {
			to := vfs.NewMem()
			if there {
				check(to.MkdirAll("/copy"))
			}
			before := to.Files()
			fail := vfs.FailAt(n, errs.New(errs.NoSpace, "disk full"))
			s := &Scope{Dir: "/", FS: vfs.WithHook(to, fail), Repo: r, Clock: clock.System{}}
			_, err := (&Backup{Path: "copy"}).Run(ctx, s)
			if err == nil {
				break
			}
			failed++
			if !errs.Is(err, errs.NoSpace) {
				t.Fatalf("operation %d: %v", n, err)
			}
			_, gone := to.Stat("/copy")
			if to.Files() != before || errs.Is(gone, errs.NotFound) == there {
				t.Errorf("operation %d: %v leaves %q, %v", n, err, to.Files(), gone)
			}
			_, err = (&Backup{Path: "copy"}).Run(ctx, s)
			check(err)
		}
		if failed < 5 {
			t.Errorf("only %d failures: the test does not test", failed)
		}
	}
	check(r.Close(ctx))
}
