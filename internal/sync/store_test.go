package sync

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/vfs"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newStore is an empty store in a directory in memory.
func newStore(t *testing.T) (st *pack.Store, fs *vfs.Mem, dir string) {
	t.Helper()
	fs, dir = vfs.NewMem(), filepath.FromSlash("/db")
	must(t, fs.MkdirAll(dir))
	must(t, pack.Create(t.Context(), fs, dir))
	st, err := pack.Open(t.Context(), fs, dir, pack.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, st.Close(context.WithoutCancel(t.Context()))) })
	return st, fs, dir
}
