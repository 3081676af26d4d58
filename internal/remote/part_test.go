package remote_test

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	gosync "sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/fsck"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/mem"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

// counting counts requests for ranges and their bytes.
type counting struct {
	object.Store
	mu              gosync.Mutex
	requests, bytes int64
}

func (c *counting) GetRange(ctx context.Context, name string, b []byte, off int64) error {
	c.mu.Lock()
	c.requests++
	c.bytes += int64(len(b))
	c.mu.Unlock()
	return c.Store.GetRange(ctx, name, b, off)
}

// everything is the hashes of all chunks that a commit reaches.
func everything(t tb, m *machine, at history.CommitID) (out []chunkHash) {
	t.Helper()
	b, err := sync.Commits(ctx, m.Store(), []history.CommitID{at}, nil)
	must(t, err)
	must(t, sync.Missing(ctx, m.Store(), b, func(h chunkHash) error { out = append(out, h); return nil }, func() {}))
	return out
}

type chunkHash = history.CommitID

// TestSource reads all chunks of a remote one by one: the bytes are right, and neighbours come with one request, be it the first time or, with
// a cache, after it was opened again.
func TestSource(t *testing.T) {
	m, _ := started(t)
	rng := rand.New(rand.NewPCG(4, 4))
	for range 30 {
		m.work(t, "main", rng)
	}
	at, _ := m.BranchHead("main")
	base := &mem.Store{}
	_, err := m.push(mustOpen(t, base), false, false, "main")
	must(t, err)
	count := &counting{Store: base}
	r := mustOpen(t, count)
	refs, err := r.Refs(ctx)
	must(t, err)
	hashes := everything(t, m, at)
	fs := vfs.NewMem()
	read := func(c *sync.Cache) (requests, bytes int64) {
		t.Helper()
		count.requests, count.bytes = 0, 0
		src := &sync.Source{Remote: r, Cache: c}
		must(t, src.Add(ctx, refs[sync.Heads+"main"].Target))
		b := m.Store().NewBatch()
		defer b.Close()
		for _, h := range hashes {
			rec, err := src.Record(ctx, h)
			must(t, err)
			must(t, b.PutRecord(ctx, rec, nil))
		}
		_, err := src.Record(ctx, chunkHash{1})
		if !chunk.IsAbsent(err) || !errs.Is(err, errs.NotFound) {
			t.Errorf("a chunk that there is not: %v", err)
		}
		return count.requests, count.bytes
	}
	packs, err := r.Packs(ctx, refs[sync.Heads+"main"].Target)
	must(t, err)
	size := int64(0)
	for _, p := range packs {
		size += p.Size
	}
	requests, bytes := read(nil)
	if limit := int64(len(packs)) + 12; requests > limit || bytes > size*12/10+1<<20 {
		t.Errorf("%d chunks in %d bytes of packs took %d requests for %d bytes, want at most %d requests", len(hashes), size, requests, bytes, limit)
	}
	cache := func(most int64) *sync.Cache { return &sync.Cache{FS: fs, Dir: "/cache", Most: most} }
	first, _ := read(cache(1 << 30))
	if first != requests {
		t.Errorf("with an empty cache %d requests, without one %d", first, requests)
	}
	if again, _ := read(cache(1 << 30)); again != 0 {
		t.Errorf("with all in the cache %d requests", again)
	}
	// What a power cut has left of them does no harm.
	names, err := fs.ReadDir("/cache")
	must(t, err)
	for _, n := range names {
		path := filepath.Join("/cache", n)
		in, err := fs.Stat(path)
		must(t, err)
		must(t, vfs.WriteFile(fs, path, make([]byte, in.Size)))
	}
	if again, _ := read(cache(1 << 30)); again != requests {
		t.Errorf("with a cache of zeros %d requests, without one %d", again, requests)
	}
	if again, _ := read(cache(1 << 30)); again != 0 {
		t.Errorf("after that %d requests", again)
	}
	most := size / 3
	read(cache(most))
	names, err = fs.ReadDir("/cache")
	must(t, err)
	kept, largest := int64(0), int64(0)
	for _, n := range names {
		in, err := fs.Stat(filepath.Join("/cache", n))
		must(t, err)
		kept += in.Size
		largest = max(largest, in.Size)
	}
	if len(names) == 0 || kept > max(most, largest) { // what was read last is kept, whatever its size
		t.Errorf("the cache has %d bytes in %d files, at most %d were asked for", kept, len(names), most)
	}
}

// TestSomeIsSound fetches a part of random histories, of random depth, and more later: everything that is said to be there is there, and the rest
// completes it.
func TestSomeIsSound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 5))
		m := newMachine(t, "ada")
		base := &mem.Store{}
		r, err := openRemote(ctx, base)
		must(t, err)
		push := func() {
			_, err := m.push(r, false, false, "main")
			must(t, err)
		}
		for range 1 + rng.IntN(6) {
			m.work(t, "main", rng)
			if rng.IntN(2) == 0 {
				push()
			}
		}
		push()
		other := newMachine(t, "bob")
		part := sync.Part{Depth: rng.IntN(5)}
		if rng.IntN(2) == 0 {
			part.Tables = &sync.Partial{Tables: []string{"t1"}}
		}
		lacks := &sync.Partial{URL: r.URL(), Tables: nil}
		if part.Tables != nil {
			lacks.Tables = part.Tables.Tables
		}
		for range 3 {
			refs, err := r.Refs(ctx)
			must(t, err)
			x := refs[sync.Heads+"main"]
			batch, shallow, err := (&sync.Fetch{Remote: r, Store: other.Store(), FS: other.FS()}).Some(ctx, []sync.Target{x.Target}, part)
			must(t, err)
			lacks = lacks.With(shallow)
			c := fsck.New(batch, func(p fsck.Problem) { t.Errorf("of a part of depth %d: %s", part.Depth, p) }, nil)
			c.OnlyPart(lacks)
			must(t, c.Check(ctx, fsck.Start{Name: "main", Commit: x.Commit}))
			must(t, batch.Close())
			m.work(t, "main", rng)
			push()
		}
		must(t, m.Close(ctx))
		must(t, other.Close(ctx))
	})
}
