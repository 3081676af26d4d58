package op

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/vfs"
)

// TestPushBreaksOff: of a push in the middle of which the remote fails, what has moved is said and known as the remote's branch.
func TestPushBreaksOff(t *testing.T) {
	fs := vfs.NewMem()
	r := rebaseWorld(t, fs)
	defer r.Close(t.Context())
	settings := filepath.Join(t.TempDir(), "config")
	moved := 0
	failing := vfs.WithHook(fs, func(o vfs.Op) error {
		if o.Kind == vfs.OpSyncDir && filepath.Base(o.Name) == "heads" {
			if moved++; moved > 1 {
				return errs.New(errs.NoSpace, "no space is left")
			}
		}
		return nil
	})
	s := &Scope{Repo: r, FS: failing, Dir: "/db", Settings: Settings{Local: settings}}
	if _, err := (&Remote{Args: []string{"add", "origin", "/rem"}}).Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	_, err := (&Push{Remote: "origin", Refs: []string{"main", "side", "main:later"}}).Run(t.Context(), s)
	if !errs.Is(err, errs.NoSpace) {
		t.Fatalf("%v, want class no-space", err)
	}
	for _, want := range []string{"no space is left", "[new branch]          main -> main", "side -> side (remote failure)", "main -> later (remote failure)"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	head, _ := r.BranchHead("main")
	if got, _ := r.Track("origin/main"); got != head {
		t.Errorf("origin/main is at %s, want %s", got, head)
	}
	for _, n := range []string{"origin/side", "origin/later"} {
		if _, ok := r.Track(n); ok {
			t.Errorf("%s is known, which was not pushed for sure", n)
		}
	}
}
