package pull

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/vfs"
)

// TestSweep: what a pull left long ago goes, with what replaces it half written; what is new, or in use, stays.
func TestSweep(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	for name, age := range map[string]time.Duration{"old": 48, "old.new": 48, "young": 1, "used": 48, "replays": 48} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("rows"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, now.Add(-age*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	lock, err := vfs.OS{}.Lock(filepath.Join(dir, "used.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := lock.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := Sweep(vfs.OS{}, dir, now.Add(-24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	names, err := vfs.OS{}.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return filepath.Ext(n) == ".lock" })
	if !slices.Equal(names, []string{"used", "young"}) {
		t.Errorf("left: %v", names)
	}
	if err := Sweep(vfs.OS{}, filepath.Join(dir, "none"), now); err != nil {
		t.Error(err)
	}
}
