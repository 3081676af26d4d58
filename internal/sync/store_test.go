package sync

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/history"
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

// newCommit is a commit of nothing in the store.
func newCommit(t *testing.T, st *pack.Store, message string, parents ...history.CommitID) history.CommitID {
	t.Helper()
	ctx := t.Context()
	by := history.Signature{Name: "Ada", Email: "ada@example.org", Time: time.Date(2021, 4, 7, 9, 0, 0, 0, time.UTC)}
	batch := st.NewBatch()
	defer batch.Close()
	id, err := (&history.Commit{Height: uint64(len(parents)) + 1, Author: by, Committer: by, Message: message, Parents: parents}).Put(ctx, batch)
	must(t, err)
	lsn, err := st.Append(ctx, batch, pack.Record{Type: 1})
	must(t, err)
	must(t, st.Wait(ctx, lsn))
	return id
}
