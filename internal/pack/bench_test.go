package pack

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/chunk/chunktest"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/vfs"
)

// BenchmarkDiskFloor: what does the disk alone take to write and sync what a commit of one row writes?
func BenchmarkDiskFloor(b *testing.B) {
	f, err := vfs.OS{}.Create(filepath.Join(b.TempDir(), "f"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	const size = 8 << 20
	if err := f.Preallocate(0, size); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 104)
	off := int64(0)
	for b.Loop() {
		if _, err := f.WriteAt(buf, off); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		off = (off + int64(len(buf))) % (size - int64(len(buf)))
	}
}

// BenchmarkDurableCommit: how long does one durable commit of a row take, one at a time?
func BenchmarkDurableCommit(b *testing.B) {
	s := newStore(b, vfs.OS{}, filepath.Join(b.TempDir(), "db"))
	r := Record{Type: 1, Payload: make([]byte, 60)}
	for b.Loop() {
		lsn, err := s.Append(b.Context(), nil, r)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Wait(b.Context(), lsn); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDurableCommit16: … by 16 writers at once?
func BenchmarkDurableCommit16(b *testing.B) {
	s := newStore(b, vfs.OS{}, filepath.Join(b.TempDir(), "db"))
	r := Record{Type: 1, Payload: make([]byte, 60)}
	var wg sync.WaitGroup
	const writers = 16
	for g := range writers {
		wg.Go(func() {
			for i := g; i < b.N; i += writers {
				lsn, err := s.Append(b.Context(), nil, r)
				if err != nil {
					b.Error(err)
					return
				}
				if err := s.Wait(b.Context(), lsn); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

// BenchmarkGet: how long does it take to read a chunk, from the cache and from a pack in the page cache?
func BenchmarkGet(b *testing.B) {
	const n = 50000
	fsys, dir := vfs.OS{}, filepath.Join(b.TempDir(), "db")
	s := newStore(b, fsys, dir)
	batch := s.NewBatch()
	var hashes []hash.Hash
	for i := range n {
		h, err := batch.Put(b.Context(), chunktest.Sample(chunk.KindPage, 2300, uint64(i)))
		if err != nil {
			b.Fatal(err)
		}
		hashes = append(hashes, h)
	}
	if _, err := s.Append(b.Context(), batch); err != nil {
		b.Fatal(err)
	}
	mustClose(b, s)
	for name, opt := range map[string]Options{"cached": {CacheBytes: 1 << 30}, "pack": {CacheBytes: -1}} {
		b.Run(name, func(b *testing.B) {
			s := openStore(b, fsys, dir, opt)
			for _, h := range hashes {
				if _, err := s.Get(b.Context(), h); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, err := s.Get(b.Context(), hashes[i*7919%n]); err != nil {
					b.Fatal(err)
				}
				i++
			}
			b.ReportMetric(float64(s.Stats().CacheMisses-n)/float64(b.N), "misses/op")
		})
	}
	b.Run("absent", func(b *testing.B) {
		s := openStore(b, fsys, dir, Options{})
		i := 0
		for b.Loop() {
			h := hashes[i*7919%n]
			h[0] ^= byte(i) | 1
			if ok, err := s.Has(b.Context(), h); ok || err != nil {
				b.Fatal(ok, err)
			}
			i++
		}
	})
}

// BenchmarkBulk: how fast do chunks go into a pack?
func BenchmarkBulk(b *testing.B) {
	for name, kind := range map[string]chunk.Kind{"page": chunk.KindPage, "group": chunk.KindGroup} {
		b.Run(name, func(b *testing.B) {
			s := newStore(b, vfs.OS{}, filepath.Join(b.TempDir(), "db"))
			batch := s.NewBatch()
			data := chunktest.Sample(kind, 4096, 1)
			b.SetBytes(4096)
			for i := 0; b.Loop(); i++ {
				c := append([]byte(nil), data...)
				c[100], c[101], c[102] = byte(i), byte(i>>8), byte(i>>16)
				if _, err := batch.Put(b.Context(), c); err != nil {
					b.Fatal(err)
				}
			}
			if _, err := s.Append(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
		})
	}
}
