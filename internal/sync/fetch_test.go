package sync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/file"
	"github.com/stemmadb/stemma/internal/object/mem"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/vfs"
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

// randomPack is a pack of that many chunks of 20,000 bytes, as an object, and the chunks.
func randomPack(t *testing.T, chunks int) (p Pack, object []byte, in []hash.Hash) {
	t.Helper()
	st, fs, _ := newStore(t)
	rng := rand.New(rand.NewPCG(1, 1))
	batch := st.NewBatch()
	for range chunks {
		data := make([]byte, 20_000)
		for i := 2; i < len(data); i++ {
			data[i] = byte(rng.Uint32())
		}
		data[0], data[1] = byte(chunk.KindTag), 1
		h, err := batch.Put(t.Context(), data)
		must(t, err)
		in = append(in, h)
	}
	lsn, err := st.Append(t.Context(), batch, pack.Record{Type: 1})
	must(t, err)
	must(t, st.Wait(t.Context(), lsn))
	must(t, batch.Close())
	all, journal := st.Published()
	if len(all) != 1 || len(journal) > 0 {
		t.Fatalf("%d packs and %d chunks in the journal: the test needs one pack", len(all), len(journal))
	}
	object, err = vfs.ReadFile(fs, all[0].Path)
	must(t, err)
	return Pack{Digest: all[0].Digest, Size: all[0].Size, Chunks: all[0].Chunks}, object, in
}

// TestTake takes a pack that comes in several ranges, and finds whatever is wrong with it, wherever the ranges end.
func TestTake(t *testing.T) {
	p, whole, in := randomPack(t, 500)
	if p.Size < rangeSize+2*nearRange {
		t.Fatalf("a pack of %d bytes comes in one range", p.Size)
	}
	tail, err := p.tail()
	must(t, err)
	for name, newRemote := range map[string]func() object.Store{
		"near": func() object.Store { return file.Open(vfs.NewMem(), filepath.FromSlash("/remote")) },
		"far":  func() object.Store { return &mem.Store{} },
	} {
		// take fetches what the remote has instead of the pack, and is what is left beside the store then.
		take := func(t *testing.T, sent []byte, hook vfs.Hook) (f *Fetch, batch *pack.Batch, left []string, err error) {
			t.Helper()
			remote := newRemote()
			must(t, remote.Put(t.Context(), p.object(), object.Bytes(sent), object.Always))
			st, fs, _ := newStore(t)
			incoming := filepath.FromSlash("/incoming")
			must(t, fs.MkdirAll(incoming))
			f = &Fetch{Remote: &Remote{s: remote}, Store: st, FS: vfs.WithHook(fs, hook), Incoming: incoming}
			batch = st.NewBatch()
			t.Cleanup(func() { must(t, batch.Close()) })
			err = f.packs(t.Context(), []Pack{p}, &pack.Known{}, batch)
			err = errors.Join(err, f.settle())
			left, e := fs.ReadDir(incoming)
			must(t, e)
			if len(left) == 1 && strings.HasSuffix(left[0], pack.Ext) {
				got, e := vfs.ReadFile(fs, filepath.Join(incoming, left[0]))
				must(t, e)
				if !bytes.Equal(got, whole) {
					t.Error("the file is not the pack")
				}
			}
			return f, batch, left, err
		}
		none := func(vfs.Op) error { return nil }
		t.Run(name, func(t *testing.T) {
			f, batch, left, err := take(t, whole, none)
			if must(t, err); len(left) != 1 || left[0] != p.Digest.Full()+pack.Ext {
				t.Errorf("there are %v", left)
			}
			if f.chunks != len(in) {
				t.Errorf("%d chunks were verified, want %d", f.chunks, len(in))
			}
			for _, h := range in {
				must(t, f.there(t.Context(), batch, h))
			}
			if err := f.there(t.Context(), batch, hash.Sum(nil)); !errs.Is(err, errs.NotFound) {
				t.Errorf("a chunk that is in no pack: %v", err)
			}
		})
		for _, at := range []int64{0, 100, 20_000, nearRange - 1, nearRange, 2 * nearRange, rangeSize - 1, rangeSize, p.Size - tail - 1, p.Size - tail, p.Size - tail + 9, p.Size - 1} {
			t.Run(fmt.Sprintf("%s, damaged at %d", name, at), func(t *testing.T) {
				sent := bytes.Clone(whole)
				sent[at] ^= 4
				if _, _, left, err := take(t, sent, none); !errs.Is(err, errs.Corrupt) || len(left) > 0 {
					t.Errorf("there are %v, %v; want class corrupt", left, err)
				}
			})
		}
		t.Run(name+", not synced", func(t *testing.T) {
			_, _, left, err := take(t, whole, func(op vfs.Op) error {
				if op.Kind == vfs.OpSync && strings.HasSuffix(op.Name, tempSuffix) {
					return errs.New(errs.NoSpace, "the disk is full")
				}
				return nil
			})
			if !errs.Is(err, errs.NoSpace) || len(left) > 0 {
				t.Errorf("there are %v, %v; want class nospace", left, err)
			}
		})
	}
}
