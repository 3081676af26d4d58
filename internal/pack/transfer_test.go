package pack

import (
	"errors"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/chunk/chunktest"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/vfs"
)

// built is a pack of samples from to to-1 of a new store, in a file of its file system.
func built(t *testing.T, fsys vfs.FS, name string, from, to int) (Built, [][]byte) {
	t.Helper()
	s := newStore(t, fsys, "/"+name)
	defer mustClose(t, s)
	var chunks [][]byte
	for i := from; i < to; i++ {
		chunks = append(chunks, chunktest.Sample(chunk.Kind(1+i%5), 200+37*i, uint64(i)))
	}
	commit(t, s, chunks[:len(chunks)/2])
	commit(t, s, chunks[len(chunks)/2:])
	b, err := s.NewBuilder("/" + name + "/sent")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for range 2 { // the second time they are there
		for _, c := range chunks {
			if err := b.Add(t.Context(), hash.Sum(c)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := b.Add(t.Context(), hash.Sum([]byte("nothing"))); !errs.Is(err, errs.NotFound) {
		t.Errorf("a chunk that is not there: %v", err)
	}
	p, err := b.Finish(t.Context())
	if err != nil || p.Chunks != len(chunks) {
		t.Fatalf("%+v, %v", p, err)
	}
	return p, chunks
}

// TestTransfer moves chunks from a store to another: in whole packs, and those only that the other lacks.
func TestTransfer(t *testing.T) {
	mem := vfs.NewMem()
	p, chunks := built(t, mem, "from", 0, 40)
	again, _ := built(t, mem, "again", 0, 40)
	if p.Digest != again.Digest || p.Size != again.Size {
		t.Errorf("the same chunks make another pack: %+v, %+v", p, again)
	}
	if _, err := VerifyFile(t.Context(), mem, p.Path, p.Digest); err != nil {
		t.Fatal(err)
	}
	data, err := vfs.ReadFile(mem, p.Path)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := ReadDirectory(data[p.Size-TailSize(p.Chunks):], p.Size, p.Digest, p.Chunks)
	if err != nil {
		t.Fatal(err)
	}

	to := newStore(t, mem, "/to")
	commit(t, to, chunks[10:25])
	spans := dir.Lacking(to.Known())
	if len(spans) != 25 {
		t.Errorf("%d chunks are lacking, want 25", len(spans))
	}
	b := to.NewBatch()
	defer b.Close()
	for i, sp := range spans {
		rec := append([]byte(nil), data[sp.Off:sp.Off+sp.Len]...)
		rec[len(rec)-1] ^= 1
		if err := b.PutRecord(t.Context(), rec, nil); !errs.Is(err, errs.Corrupt) {
			t.Errorf("record %d with a bit flipped: %v", i, err)
		}
		rec[len(rec)-1] ^= 1
		if err := b.PutRecord(t.Context(), rec, nil); err != nil {
			t.Fatal(err)
		}
		clear(rec)
	}
	lsn, err := to.Append(t.Context(), b, rec("fetched"))
	if err != nil {
		t.Fatal(err)
	}
	if err := to.Wait(t.Context(), lsn); err != nil {
		t.Fatal(err)
	}
	for _, c := range chunks {
		wantChunk(t, to, c)
	}
	if left := dir.Lacking(to.Known()); len(left) > 0 {
		t.Errorf("%d chunks are lacking still", len(left))
	}
	if to.HasPack(p.Digest) {
		t.Error("it has the pack, of which it has only chunks")
	}
	noProblems(t, to)
	mustClose(t, to)
}

// TestVerifyFile finds each byte of a pack that is not what it was.
func TestVerifyFile(t *testing.T) {
	t.Run("in one part", func(t *testing.T) { testVerifyFile(t, 3) })
	t.Run("in parts", func(t *testing.T) {
		defer func(n int64) { verifiedAtOnce = n }(verifiedAtOnce)
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
		verifiedAtOnce = 64
		testVerifyFile(t, 7)
	})
}

// testVerifyFile is TestVerifyFile for a pack of that many chunks.
func testVerifyFile(t *testing.T, chunks int) {
	mem := vfs.NewMem()
	p, data := built(t, mem, "from", 0, chunks)
	var want []hash.Hash
	for _, d := range data {
		want = append(want, hash.Sum(d))
	}
	file, err := vfs.ReadFile(mem, p.Path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := VerifyFile(t.Context(), mem, p.Path, p.Digest); err != nil || !slices.Equal(got, want) {
		t.Errorf("the hashes are %v, %v; want %v", got, err, want)
	}
	if _, err := VerifyFile(t.Context(), mem, p.Path, hash.Sum(nil)); !errs.Is(err, errs.Corrupt) {
		t.Errorf("as another pack: %v", err)
	}
	path := filepath.Join("/from", "damaged")
	for at := packHeader; at < len(file); at++ {
		damaged := append([]byte(nil), file...)
		damaged[at] ^= 0x10
		if err := vfs.WriteFile(mem, path, damaged); err != nil {
			t.Fatal(err)
		}
		if _, err := VerifyFile(t.Context(), mem, path, p.Digest); err == nil {
			t.Fatalf("byte %d of %d: a flipped bit is not found", at, len(file))
		}
	}
	tail := file[p.Size-TailSize(p.Chunks):]
	if _, err := ReadDirectory(tail[:50], p.Size, p.Digest, p.Chunks); !errs.Is(err, errs.Corrupt) {
		t.Errorf("an index that is short: %v", err)
	}
	if _, err := ReadDirectory(tail, p.Size, p.Digest, p.Chunks+1); !errs.Is(err, errs.Corrupt) {
		t.Errorf("a pack with fewer chunks than its list says: %v", err)
	}
	var short *ShortError
	if _, err := ReadDirectory(tail[1:], p.Size, p.Digest, p.Chunks); !errors.As(err, &short) || short.Need != int64(len(tail)) {
		t.Errorf("an index of which a byte is missing: %v", err)
	}
	if _, err := ReadDirectory(file, p.Size, p.Digest, p.Chunks); err != nil {
		t.Errorf("an index with all that is in front of it: %v", err)
	}
}
