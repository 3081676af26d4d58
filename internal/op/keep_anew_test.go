package op

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// TestKeptAnew: what is restored from a bucket and pushed there anew needs nothing that was there before, whatever branches told of runs; machines that
// were there go on. Stashes, and what is not committed, are in the way.
func TestKeptAnew(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	a := keptMachine(t, fs, "a", 0, nil)
	for _, branch := range []string{"main", "side"} {
		head := mustHead(t, a, "main")
		keptOK(t, a.CreateTag(ctx, "of-"+branch, history.Tag{Commit: head, Tagger: keptBy}, false))
		_, err := countFor(ctx, a, "train "+branch, branch, 1)
		keptOK(t, err)
	}
	keptOK(t, a.DeleteBranch(ctx, "side", "", true)) // whose object goes on telling of its run
	settings := filepath.Join(t.TempDir(), "config")
	scope := &Scope{FS: fs, Dir: "/", Clock: tick{}, Settings: Settings{Local: settings}}
	_, err := (&Backup{Path: "restore", Args: []string{"/rem", "copy"}}).Run(ctx, scope)
	keptOK(t, err)
	copied, err := repo.Open(ctx, fs, "/copy", repo.Options{})
	keptOK(t, err)
	defer copied.Close(ctx)
	push := func() error {
		_, err := (&Push{Mirror: true, NoLease: true, Anew: true, Remote: "/rem"}).Run(ctx, &Scope{Repo: copied, FS: fs, Dir: "/copy", Clock: tick{}, Settings: Settings{Local: settings}})
		return err
	}
	packs := func() map[string]bool {
		names, err := fs.ReadDir("/rem/packs")
		keptOK(t, err)
		out := map[string]bool{}
		for _, n := range names {
			out[n] = true
		}
		return out
	}
	keptOK(t, countUp(ctx, a, "main", 3, false))
	if err := push(); err == nil || !strings.Contains(err.Error(), "uncommitted changes there") {
		t.Fatalf("it was pushed over uncommitted changes: %v", err)
	}
	keptOK(t, runKept(ctx, a, fs, "main", &Stash{Message: "half"}))
	if err := push(); err == nil || !strings.Contains(err.Error(), "stashes/dolt-cli") {
		t.Fatalf("it was pushed anew beside stashes: %v", err)
	}
	keptOK(t, runKept(ctx, a, fs, "main", &Stash{Args: []string{"drop"}}))
	before := packs()
	keptOK(t, push())
	keptGarbage(t, fs)
	for n := range packs() {
		if before[n] {
			t.Errorf("the pack %s of before is there", n)
		}
	}
	keptOK(t, countUp(ctx, a, "main", 4, false))
	b := keptMachine(t, fs, "b", 0, nil)
	for _, r := range []*repo.Repo{a, b} {
		if v, _ := counters(t, r, "main"); v != 2 {
			t.Errorf("%d counts, want 2", v)
		}
		for _, run := range []string{"train main", "train side"} {
			if _, ok, err := r.Lineage().Run(ctx, runOf(run)); err != nil || !ok {
				t.Errorf("the run %s is not known: %v", run, err)
			}
		}
		soundRuns(t, r)
	}
}
