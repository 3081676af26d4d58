package op

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A branch is checked out also where what it came from cannot be written down: that is a hint, no failure.
func TestCheckoutWithoutSettings(t *testing.T) {
	x := newTables(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	x.s.Settings.Local = filepath.Join(file, "config")
	spec, _ := Find(All(), "checkout")
	for _, branch := range []string{"side", "main"} {
		argv := []string{branch}
		if branch == "side" {
			argv = []string{"-b", branch}
		}
		o, err := BindArgs(spec, argv)
		if err != nil {
			t.Fatal(err)
		}
		r, err := o.Run(t.Context(), x.s)
		if err != nil {
			t.Fatal(err)
		}
		if x.s.Repo.CheckedOut() != branch || strings.Join(r.Lines, "\n") != "Switched to branch '"+branch+"'" || len(r.Hints) != 1 || !strings.Contains(r.Hints[0], "'checkout -' will not lead back") {
			t.Errorf("on %s: %q, hints %q", x.s.Repo.CheckedOut(), r.Lines, r.Hints)
		}
	}
}
