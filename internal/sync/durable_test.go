package sync

import (
	"math/rand/v2"
	"testing"

	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/vfs"
)

// powerCuts calls check with what power cuts now could leave.
func powerCuts(mem *vfs.Mem, check func(after *vfs.Mem)) {
	for seed := range uint64(12) {
		check(mem.CrashClone(rand.New(rand.NewPCG(seed, 41))))
	}
}

// TestForgetIsDurable: packs that were forgotten before their chunks go are not remembered after a power cut.
func TestForgetIsDurable(t *testing.T) {
	_, fs, dir := newStore(t)
	held := HeldIn(fs, dir)
	must(t, held.Add([]Pack{{Digest: hash.Sum([]byte("pack"))}}))
	powerCuts(fs, func(after *vfs.Mem) {
		if got, err := HeldIn(after, dir).read(); err != nil || len(got) != 1 {
			t.Errorf("%d packs are remembered, %v", len(got), err)
		}
	})
	must(t, held.Forget())
	powerCuts(fs, func(after *vfs.Mem) {
		if got, err := HeldIn(after, dir).read(); err != nil || len(got) != 0 {
			t.Errorf("%d packs are remembered after they were forgotten, %v", len(got), err)
		}
	})
}

// TestPartialIsDurable: what a store lacks is known after a power cut, and so is that it lacks nothing any more.
func TestPartialIsDurable(t *testing.T) {
	_, fs, dir := newStore(t)
	part := &Partial{URL: "https://example.com/db", Lazy: true, Most: 1 << 20}
	must(t, part.Write(fs, dir))
	powerCuts(fs, func(after *vfs.Mem) {
		if got, err := ReadPartial(after, dir); err != nil || got == nil || got.URL != part.URL {
			t.Errorf("the store is said to lack %+v, %v", got, err)
		}
	})
	must(t, EndPartial(fs, dir))
	powerCuts(fs, func(after *vfs.Mem) {
		if got, err := ReadPartial(after, dir); err != nil || got != nil {
			t.Errorf("a whole store is said to lack %+v, %v", got, err)
		}
		s, err := pack.Open(t.Context(), after, dir, pack.Options{})
		must(t, err)
		must(t, s.Close(t.Context()))
	})
}
