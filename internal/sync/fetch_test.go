package sync

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/object/mem"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/vfs"
)

// TestFetchKeepsWhatItHasFound: what a fetch has found in the database, and nothing names, is not collected as garbage before it is named.
func TestFetchKeepsWhatItHasFound(t *testing.T) {
	fs, dir := vfs.NewMem(), filepath.Join(string(filepath.Separator), "db")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(fs.MkdirAll(dir))
	must(pack.Create(t.Context(), fs, dir))
	st, err := pack.Open(t.Context(), fs, dir, pack.Options{})
	must(err)
	put := func(b *pack.Batch, message string, tag bool) Target {
		t.Helper()
		c := &history.Commit{Height: 1, Message: message}
		id, err := c.Put(t.Context(), b)
		must(err)
		out := Target{Commit: id}
		if tag {
			out.Tag, err = (&history.Tag{Commit: id, Message: message}).Put(t.Context(), b)
			must(err)
		}
		return out
	}
	batch := st.NewBatch()
	want := []Target{put(batch, "a commit", false), put(batch, "with a tag", true)}
	_, err = st.Append(t.Context(), batch, pack.Record{Type: 1})
	must(err)
	must(batch.Close())
	f := &Fetch{Remote: &Remote{s: &mem.Store{}}, Store: st, FS: fs, Incoming: dir}
	batch, err = f.Run(t.Context(), nil, want, nil)
	must(err)
	c, err := st.Collect(t.Context(), []byte("state"))
	must(err)
	must(c.Rewrite(t.Context(), pack.RewriteOptions{
		Settle: func(context.Context) error { return nil },
		Lock:   func(_ context.Context, fn func() error) error { return fn() },
	}))
	c.Close()
	_, err = st.Append(t.Context(), batch, pack.Record{Type: 1})
	must(err)
	must(batch.Close())
	for _, w := range want {
		if ok, err := st.Has(t.Context(), w.Commit); !ok || err != nil {
			t.Errorf("a commit is gone: %v", err)
		}
		if ok, err := st.Has(t.Context(), w.Tag); !w.Tag.IsZero() && !ok || err != nil {
			t.Errorf("a tag is gone: %v", err)
		}
	}
	must(st.Close(t.Context()))
}
