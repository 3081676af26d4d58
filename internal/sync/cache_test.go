package sync

import (
	"errors"
	"path/filepath"
	gosync "sync"
	"syscall"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/mem"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/vfs"
)

// TestCacheFailures keeps pieces again some time after the disk was full, and never where the directory is not to be written, also while
// others read.
func TestCacheFailures(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		back bool // later on
	}{
		{"a full disk", errs.With(errs.NoSpace, syscall.ENOSPC), true},
		{"any other", errors.New("too many open files"), true},
		{"denied", errs.With(errs.Denied, syscall.EACCES), false},
		{"read-only", errs.With(errs.ReadOnly, syscall.EROFS), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var mu gosync.Mutex
			failing, tries := c.err, 0
			fs := vfs.WithHook(vfs.NewMem(), func(op vfs.Op) error {
				mu.Lock()
				defer mu.Unlock()
				if op.Kind != vfs.OpCreate {
					return nil
				}
				tries++
				return failing
			})
			must(t, fs.MkdirAll(filepath.FromSlash("/db")))
			cache := &Cache{FS: fs, Dir: filepath.FromSlash("/db/cache"), Most: 1 << 20}
			digest := hash.Sum([]byte("pack"))
			var all gosync.WaitGroup
			for range 4 {
				all.Go(func() {
					cache.keep(digest, 0, []byte("text"), false)
					if err := cache.drop(digest); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if tries != 1 {
				t.Errorf("it was tried %d times at once", tries)
			}
			failing = nil
			cache.keep(digest, 0, []byte("text"), false)
			if _, ok, err := cache.read(digest, 0, 4); err != nil || ok {
				t.Errorf("at once: %v, %v", ok, err)
			}
			cache.later = cache.later.Add(-2 * time.Minute)
			cache.keep(digest, 0, []byte("text"), false)
			if _, ok, err := cache.read(digest, 0, 4); err != nil || ok != c.back {
				t.Errorf("later: %v, %v", ok, err)
			}
		})
	}
}

// TestDamagedIndexInReadOnlyCache: what is damaged in a cache that cannot be changed is read of the remote.
func TestDamagedIndexInReadOnlyCache(t *testing.T) {
	ctx := t.Context()
	p, data, in := randomPack(t, 300)
	s := &mem.Store{}
	must(t, s.Put(ctx, p.object(), object.Bytes(data), object.IfAbsent))
	fs := vfs.NewMem()
	must(t, fs.MkdirAll("/db"))
	r := &Remote{s: s, known: true}
	ask := func(readOnly bool) {
		t.Helper()
		src := &Source{Remote: r, Cache: &Cache{FS: fs, Dir: "/db/cache", Most: 1 << 30, ReadOnly: readOnly}}
		src.AddPacks([]Pack{p})
		rec, err := src.Record(ctx, in[0])
		must(t, err)
		if h, _, err := pack.DecodeRecord(rec); err != nil || h != in[0] {
			t.Errorf("read-only %t: %s, want %s: %v", readOnly, h, in[0], err)
		}
	}
	ask(false)
	names, err := fs.ReadDir("/db/cache")
	must(t, err)
	if len(names) < 2 {
		t.Fatalf("the cache has %q", names)
	}
	for _, n := range names {
		path := filepath.Join("/db/cache", n)
		b, err := vfs.ReadFile(fs, path)
		must(t, err)
		for i := range b {
			b[i] ^= 1
		}
		must(t, fs.Remove(path))
		must(t, vfs.WriteFile(fs, path, b))
	}
	ask(true)
	ask(false)
}
