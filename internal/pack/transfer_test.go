package pack

import (
	"context"
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
	if err := verifyFile(t.Context(), mem, p.Path, p.Digest); err != nil {
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
	if got, err := verifiedFile(t.Context(), mem, p.Path, p.Digest); err != nil || !slices.Equal(got, want) {
		t.Errorf("the hashes are %v, %v; want %v", got, err, want)
	}
	for _, step := range []int{1, 50, 100, len(file) / 2, len(file)} {
		a, err := arrived(t.Context(), mem, p.Path, p.Digest, file, step)
		if err != nil {
			t.Fatalf("in pieces of %d bytes: %v", step, err)
		}
		for _, h := range want {
			if !a.Has(h) {
				t.Errorf("in pieces of %d bytes: it has no chunk %s", step, h)
			}
		}
		near := want[0]
		near[hash.Size-1] ^= 1
		if a.Has(near) || a.Has(hash.Sum(nil)) || a.Chunks() != len(want) {
			t.Errorf("in pieces of %d bytes: it has other chunks than those of the pack", step)
		}
	}
	if err := verifyFile(t.Context(), mem, p.Path, hash.Sum(nil)); !errs.Is(err, errs.Corrupt) {
		t.Errorf("as another pack: %v", err)
	}
	path := filepath.Join("/from", "damaged")
	for at := packHeader; at < len(file); at++ {
		damaged := append([]byte(nil), file...)
		damaged[at] ^= 0x10
		if err := vfs.WriteFile(mem, path, damaged); err != nil {
			t.Fatal(err)
		}
		if _, err := verifiedFile(t.Context(), mem, path, p.Digest); err == nil {
			t.Fatalf("byte %d of %d: a flipped bit is not found", at, len(file))
		}
		for _, step := range []int{1, 100, len(file)} {
			if _, err := arrived(t.Context(), mem, path, p.Digest, damaged, step); err == nil {
				t.Fatalf("byte %d of %d, in pieces of %d bytes: a flipped bit is not found", at, len(file), step)
			}
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

// verifiedFile reads a whole pack file as a check of the database does.
func verifiedFile(ctx context.Context, fsys vfs.FS, path string, digest hash.Hash) ([]hash.Hash, error) {
	p, err := openNamed(fsys, path, digest)
	if err != nil {
		return nil, err
	}
	var found error
	hashes, err := p.verified(ctx, newCodecs(), func(pr Problem) { found = errors.Join(found, pr.Err) })
	return hashes, errors.Join(err, found, p.close())
}

// arrived verifies a pack file of which all but the first bytes came in pieces of step bytes, the last ones first.
func arrived(ctx context.Context, fsys vfs.FS, path string, digest hash.Hash, data []byte, step int) (*Arriving, error) {
	a, err := OpenArriving(fsys, path, digest)
	if err != nil {
		return nil, err
	}
	for end := len(data); end > packHeader && err == nil; end -= step {
		from := max(end-step, 0)
		err = a.Check(data[from:end], int64(from))
	}
	if err == nil {
		err = a.Finish(ctx)
	}
	return a, errors.Join(err, a.Close())
}

// verifyFile verifies a pack file that is whole already.
func verifyFile(ctx context.Context, fsys vfs.FS, path string, digest hash.Hash) error {
	_, err := arrived(ctx, fsys, path, digest, nil, 1)
	return err
}
