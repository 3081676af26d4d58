package sync

import (
	"context"
	"testing"

	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/object/mem"
	"github.com/stemmadb/stemma/internal/pack"
)

// TestFetchKeepsWhatItHasFound: what a fetch has found in the database, and nothing names, is not collected as garbage before it is named.
func TestFetchKeepsWhatItHasFound(t *testing.T) {
	st, fs, dir := newStore(t)
	put := func(b *pack.Batch, message string, tag bool) Target {
		t.Helper()
		c := &history.Commit{Height: 1, Message: message}
		id, err := c.Put(t.Context(), b)
		must(t, err)
		out := Target{Commit: id}
		if tag {
			out.Tag, err = (&history.Tag{Commit: id, Message: message}).Put(t.Context(), b)
			must(t, err)
		}
		return out
	}
	batch := st.NewBatch()
	want := []Target{put(batch, "a commit", false), put(batch, "with a tag", true)}
	_, err := st.Append(t.Context(), batch, pack.Record{Type: 1})
	must(t, err)
	must(t, batch.Close())
	f := &Fetch{Remote: &Remote{s: &mem.Store{}}, Store: st, FS: fs, Incoming: dir}
	batch, err = f.Run(t.Context(), nil, want, nil)
	must(t, err)
	c, err := st.Collect(t.Context(), []byte("state"))
	must(t, err)
	must(t, c.Rewrite(t.Context(), pack.RewriteOptions{
		Settle: func(context.Context) error { return nil },
		Lock:   func(_ context.Context, fn func() error) error { return fn() },
	}))
	c.Close()
	_, err = st.Append(t.Context(), batch, pack.Record{Type: 1})
	must(t, err)
	must(t, batch.Close())
	for _, w := range want {
		if ok, err := st.Has(t.Context(), w.Commit); !ok || err != nil {
			t.Errorf("a commit is gone: %v", err)
		}
		if ok, err := st.Has(t.Context(), w.Tag); !w.Tag.IsZero() && !ok || err != nil {
			t.Errorf("a tag is gone: %v", err)
		}
	}
}
