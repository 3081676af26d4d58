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

// TestOwnPacks sends packs of the store as they are where all of their chunks are to be sent, and else makes others; damaged ones are not sent.
func TestOwnPacks(t *testing.T) {
	defer func(n int64) { ownLeast = n }(ownLeast)
	ownLeast = 1 << 20
	st, fs, dir := newStore(t)
	rng := rand.New(rand.NewPCG(1, 1))
	var packed []hash.Hash // in the order of the pack
	batch := st.NewBatch()
	for range 80 {
		data := []byte{byte(chunk.KindTag), 1}
		for range 20_000 {
			data = append(data, byte(rng.Uint32()))
		}
		h, err := batch.Put(t.Context(), data)
		must(t, err)
		packed = append(packed, h)
	}
	lsn, err := st.Append(t.Context(), batch, pack.Record{Type: 1})
	must(t, err)
	must(t, st.Wait(t.Context(), lsn))
	small, err := batch.Put(t.Context(), []byte{byte(chunk.KindTag), 1, 7})
	must(t, err)
	lsn, err = st.Append(t.Context(), batch, pack.Record{Type: 1})
	must(t, err)
	must(t, st.Wait(t.Context(), lsn))
	must(t, batch.Close())
	published, journal := st.Published()
	if len(published) != 1 || published[0].Size < ownLeast || !slices.Equal(journal, []hash.Hash{small}) {
		t.Fatalf("the store has packs %v and journal %v: the test does not test", published, journal)
	}
	own := Pack{Digest: published[0].Digest, Size: published[0].Size, Chunks: published[0].Chunks}
	backwards := slices.Clone(packed)
	slices.Reverse(backwards)
	send := func(chunks []hash.Hash, avoid map[string]bool) ([]Pack, *mem.Store, error) {
		remote := &mem.Store{}
		p := &Push{Remote: &Remote{s: remote}, Store: st, FS: fs, Temp: dir}
		sent, err := p.packs(t.Context(), chunks, nil, p.Remote.pledge(nil), avoid)
		n := 0
		for _, s := range sent {
			n += s.Chunks
			in, err := remote.Stat(t.Context(), s.object())
			must(t, err)
			if in.Size != s.Size {
				t.Errorf("the object of a pack of %d bytes has %d", s.Size, in.Size)
			}
		}
		if err == nil && n != len(chunks) {
			t.Errorf("%d chunks were sent, want %d", n, len(chunks))
		}
		return sent, remote, err
	}
	for _, tt := range []struct {
		name   string
		chunks []hash.Hash
		avoid  map[string]bool
		packs  int
		own    bool
	}{
		{"all of it, in another order", backwards, nil, 1, true},
		{"all of it and more", append([]hash.Hash{small}, packed...), nil, 2, true},
		{"all but one", packed[1:], nil, 1, false},
		{"it is removed there", backwards, map[string]bool{own.object(): true}, 1, false},
	} {
		sent, _, err := send(tt.chunks, tt.avoid)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if len(sent) != tt.packs || slices.Contains(sent, own) != tt.own {
			t.Errorf("%s: %d packs, the store's own among them: %v; want %d, %v", tt.name, len(sent), slices.Contains(sent, own), tt.packs, tt.own)
		}
	}
	f, err := fs.OpenRW(published[0].Path)
	must(t, err)
	b := make([]byte, 1)
	_, err = f.ReadAt(b, own.Size/2)
	must(t, err)
	b[0] ^= 1
	_, err = f.WriteAt(b, own.Size/2)
	must(t, err)
	must(t, f.Close())
	_, remote, err := send(packed, nil)
	if !errs.Is(err, errs.Corrupt) {
		t.Errorf("a damaged pack was sent: %v, want class corrupt", err)
	}
	if list, err := remote.List(t.Context(), ""); err != nil || len(list) > 0 {
		t.Errorf("the remote has %v, %v", list, err)
	}
	must(t, fs.Remove(published[0].Path))
	if _, _, err := send([]hash.Hash{small}, nil); err != nil {
		t.Errorf("what is in the journal only: %v", err)
	}
}
