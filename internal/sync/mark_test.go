package sync

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/mem"
	"github.com/stemmadb/stemma/internal/pack"
)

// TestCutMarker: no part of a marker passes for one, nor for that of a newer version.
func TestCutMarker(t *testing.T) {
	for _, whole := range []string{marker, dictionaryMarker, stripedMarker} {
		if _, err := checkMarker([]byte(whole), "x"); err != nil {
			t.Fatal(err)
		}
		for n := range len(whole) {
			if _, err := checkMarker([]byte(whole[:n]), "x"); !errs.Is(err, errs.Corrupt) {
				t.Errorf("%q: %v", whole[:n], err)
			}
		}
	}
	for _, newer := range []string{
		"stemma remote\nversion 2\nwhatever\n", "stemma remote\nversion 1\nrequired pack-9\nread-only\noptional\n",
		"stemma remote\nversion 2\n", "stemma remote\nversion 1\nrequired pack-9\nread-only\n", "stemma remote\nversion 1\nrequired pack-1 pack-9 zst",
	} {
		if _, err := checkMarker([]byte(newer), "x"); !errs.Is(err, errs.TooNew) {
			t.Errorf("%q: %v", newer, err)
		}
	}
	// What may be a part of something newer is not made again.
	ctx := t.Context()
	for _, left := range []string{"stemma remote\nversion 2", "stemma remote\nversion 1\nrequired pack-1 page-2 sha256 weights-2 zstd-9", "\x00\x00\x00"} {
		at := &mem.Store{}
		must(t, at.Put(ctx, MarkerName, object.Bytes([]byte(left)), object.Always))
		if _, err := OpenToMend(ctx, at); !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), "remove that object") {
			t.Errorf("%q: %v", left, err)
		}
	}
}

// TestMarkAgain: the marker of a remote that has lost it becomes what it was, whatever the one who pushes would make of a new place.
func TestMarkAgain(t *testing.T) {
	ctx := t.Context()
	for _, striped := range []bool{true, false} {
		st, fs, dir := newStore(t)
		batch := st.NewBatch()
		var pages []hash.Hash
		for rng := rand.New(rand.NewPCG(1, 1)); len(pages) < 100; {
			h, err := batch.Put(ctx, pageOf(rng, 4))
			must(t, err)
			pages = append(pages, h)
		}
		lsn, err := st.Append(ctx, batch, pack.Record{Type: 1})
		must(t, err)
		must(t, st.Wait(ctx, lsn))
		must(t, batch.Close())
		at := &mem.Store{}
		r, err := Open(ctx, at)
		must(t, err)
		if striped {
			r.Stripe(pack.Blocks{})
		}
		p := &Push{Remote: r, Store: st, FS: fs, Temp: dir}
		first := newCommit(t, st, "first")
		_, _, err = p.Run(ctx, []Want{{Name: "heads/main", Commit: first}})
		must(t, err)
		if striped { // a pack with pages, as one with rows has it
			built, _, err := build(ctx, st, dir+"/with.pack", pages, sentPack, r.stripes())
			must(t, err)
			f, err := fs.Open(built.Path)
			must(t, err)
			with := Pack{Digest: built.Digest, Size: built.Size, Chunks: built.Chunks}
			must(t, r.putPack(ctx, &sending{pack: with, file: f}, false))
			must(t, f.Close())
			ref, err := r.ref(ctx, "heads/main")
			must(t, err)
			packs, err := r.Packs(ctx, ref.Target)
			must(t, err)
			list, err := r.putList(ctx, append(packs, with), nil, false)
			must(t, err)
			must(t, r.update(ctx, move{from: ref, to: Target{Commit: first, List: list}}))
		}
		before, _, err := at.Get(ctx, MarkerName)
		must(t, err)
		for _, lose := range []func() error{
			func() error { return at.Delete(ctx, MarkerName) },
			func() error { return at.Put(ctx, MarkerName, object.Bytes(before[:30]), object.Always) },
		} {
			must(t, lose())
			if _, err := Open(ctx, at); !errs.Is(err, errs.Corrupt) {
				t.Fatalf("a remote without its marker was opened: %v", err)
			}
			again, err := OpenToMend(ctx, at)
			must(t, err)
			if !striped {
				again.Stripe(pack.Blocks{})
			}
			_, _, err = (&Push{Remote: again, Store: st, FS: fs, Temp: dir}).Run(ctx, []Want{{Name: "heads/main", Commit: first}})
			must(t, err)
			if now, _, err := at.Get(ctx, MarkerName); err != nil || string(now) != string(before) {
				t.Errorf("the marker is %q (%v), was %q", now, err, before)
			}
		}
	}
}
