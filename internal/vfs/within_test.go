package vfs_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/vfs"
)

func TestWithin(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "files")
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{filepath.Join(root, "secret"), filepath.Join(root, "files-too")} {
		if err := os.WriteFile(name, []byte("x"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	out := []string{filepath.Join(root, "secret"), filepath.Join(root, "files-too"), filepath.Join(dir, "..", "secret"), root, "secret"}
	if runtime.GOOS != "windows" {
		for link, to := range map[string]string{"link": filepath.Join(root, "secret"), "way": root} {
			if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
				t.Fatal(err)
			}
		}
		out = append(out, filepath.Join(dir, "link"), filepath.Join(dir, "way", "secret"), filepath.Join(dir, "way", "new"))
	}
	fs := vfs.Within(vfs.OS{}, dir)
	for _, name := range out {
		if _, err := fs.Open(name); !errs.Is(err, errs.Denied) {
			t.Errorf("open %s: %v", name, err)
		}
		if _, err := fs.Create(name); !errs.Is(err, errs.Denied) {
			t.Errorf("create %s: %v", name, err)
		}
		if _, err := fs.Stat(name); !errs.Is(err, errs.Denied) {
			t.Errorf("stat %s: %v", name, err)
		}
		if err := fs.Link(name, filepath.Join(dir, "new")); !errs.Is(err, errs.Denied) {
			t.Errorf("link %s: %v", name, err)
		}
		if err := fs.Rename(filepath.Join(dir, "sub"), name); !errs.Is(err, errs.Denied) {
			t.Errorf("rename to %s: %v", name, err)
		}
	}
	for _, name := range []string{filepath.Join(dir, "a"), filepath.Join(dir, "sub", "..", "sub", "b")} {
		f, err := fs.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := fs.Open(name); err != nil {
			t.Error(err)
		}
	}
	if err := fs.MkdirAll(filepath.Join(dir, "new", "er")); err != nil {
		t.Error(err)
	}
}
