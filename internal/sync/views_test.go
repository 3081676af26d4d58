package sync

import (
	"path/filepath"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/history"
)

// TestViewsExpire: packs that were made for readers go when nobody has come for them for a while, also where nobody asks for others.
func TestViewsExpire(t *testing.T) {
	st, fs, _ := newStore(t)
	made := filepath.FromSlash("/made")
	must(t, fs.MkdirAll(made))
	batch := st.NewBatch()
	h, err := batch.Put(t.Context(), []byte{byte(chunk.KindTag), 1, 2, 3})
	must(t, err)
	lsn, err := st.Append(t.Context(), batch)
	must(t, err)
	must(t, st.Wait(t.Context(), lsn))
	must(t, batch.Close())
	v := &views{store: st, fs: fs, dir: made}
	target := Target{Commit: history.CommitID(h)}
	x, err := v.of(t.Context(), "heads/main", target, map[string]Target{"heads/main": target})
	must(t, err)
	left := func() int {
		t.Helper()
		names, err := fs.ReadDir(made)
		must(t, err)
		return len(names)
	}
	must(t, v.expire(clock.System{}.Now()))
	if _, ok := v.list(x.name); !ok || left() != 1 {
		t.Errorf("what was used this moment has gone: %d files", left())
	}
	must(t, v.expire(clock.System{}.Now().Add(2*viewKept)))
	if _, ok := v.list(x.name); ok || left() != 0 || v.timer != nil {
		t.Errorf("what nobody uses is still there: %d files", left())
	}
	must(t, v.close())
}
