package sync

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/mem"
	"github.com/stemmadb/stemma/internal/pack"
)

// stopping ends its caller's context while packs arrive, which it takes nevertheless.
type stopping struct {
	object.Store
	stop func()
}

// Stat implements object.Store.
func (s stopping) Stat(ctx context.Context, name string) (object.Info, error) {
	return s.Store.Stat(context.WithoutCancel(ctx), name)
}

// Put implements object.Store.
func (s stopping) Put(ctx context.Context, name string, body object.Body, on object.Condition) error {
	time.Sleep(20 * time.Millisecond) // until the next pack waits for this one
	s.stop()
	return s.Store.Put(context.WithoutCancel(ctx), name, body, on)
}

// TestCanceledBetweenPacks: packs of which some were not sent are no success, wherever the push was when it was given up.
func TestCanceledBetweenPacks(t *testing.T) {
	defer func(n int64) { sentPack = n }(sentPack)
	sentPack = 4 << 10
	st, fs, dir := newStore(t)
	batch := st.NewBatch()
	var chunks []hash.Hash
	rng := rand.New(rand.NewPCG(1, 1))
	for range 100 {
		data := []byte{byte(chunk.KindTag), 1}
		for range 1000 {
			data = append(data, byte(rng.Uint32()))
		}
		h, err := batch.Put(t.Context(), data)
		must(t, err)
		chunks = append(chunks, h)
	}
	lsn, err := st.Append(t.Context(), batch, pack.Record{Type: 1})
	must(t, err)
	must(t, st.Wait(t.Context(), lsn))
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		p := &Push{Remote: &Remote{s: stopping{&mem.Store{}, cancel}}, Store: st, FS: fs, Temp: dir}
		sent, err := p.packs(ctx, slices.Clone(chunks), nil, p.Remote.pledge(nil), nil)
		n := 0
		for _, s := range sent {
			n += s.Chunks
		}
		if err == nil && n < len(chunks) || err != nil && !errs.Is(err, errs.Canceled) {
			t.Errorf("%d of %d chunks were sent, %v; want class canceled", n, len(chunks), err)
		}
		cancel()
	}
	must(t, batch.Close())
}
