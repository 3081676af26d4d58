package sync

import (
	"path/filepath"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/vfs"
)

// TestViewsExpire: packs that were made for readers go when nobody has come for them for a while, also where nobody asks for others.
func TestViewsExpire(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	fs, dir, made := vfs.NewMem(), filepath.FromSlash("/db"), filepath.FromSlash("/made")
	must(fs.MkdirAll(dir))
	must(fs.MkdirAll(made))
	must(pack.Create(t.Context(), fs, dir))
	st, err := pack.Open(t.Context(), fs, dir, pack.Options{})
	must(err)
	batch := st.NewBatch()
	h, err := batch.Put(t.Context(), []byte{byte(chunk.KindTag), 1, 2, 3})
	must(err)
	lsn, err := st.Append(t.Context(), batch)
	must(err)
	must(st.Wait(t.Context(), lsn))
	must(batch.Close())
	v := &views{store: st, fs: fs, dir: made}
	target := Target{Commit: history.CommitID(h)}
	x, err := v.of(t.Context(), "heads/main", target, map[string]Target{"heads/main": target})
	must(err)
	left := func() int {
		t.Helper()
		names, err := fs.ReadDir(made)
		must(err)
		return len(names)
	}
	must(v.expire(clock.System{}.Now()))
	if _, ok := v.list(x.name); !ok || left() != 1 {
		t.Errorf("what was used this moment has gone: %d files", left())
	}
	must(v.expire(clock.System{}.Now().Add(2 * viewKept)))
	if _, ok := v.list(x.name); ok || left() != 0 || v.timer != nil {
		t.Errorf("what nobody uses is still there: %d files", left())
	}
	must(v.close())
	must(st.Close(t.Context()))
}
