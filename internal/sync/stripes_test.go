package sync

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/mem"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/vfs"
)

// pageOf is a page of columns segments of 1,500 bytes.
func pageOf(rng *rand.Rand, columns int) []byte {
	const size = 1500
	p := make([]byte, 16+16*columns)
	p[0], p[1] = byte(chunk.KindPage), 2
	le := binary.LittleEndian
	le.PutUint16(p[2:], uint16(columns))
	le.PutUint32(p[4:], 5)
	for k := range columns {
		le.PutUint64(p[16+8*k:], uint64(1+k))
		le.PutUint32(p[16+8*columns+8*k:], uint32(len(p)))
		le.PutUint32(p[16+8*columns+8*k+4:], size)
		at := len(p)
		p = append(p, make([]byte, (size+7)&^7)...)
		for i := range size {
			p[at+i] = byte(rng.Uint32())
		}
	}
	p = append(p, make([]byte, 16)...)
	le.PutUint32(p[8:], uint32(len(p)))
	return p
}

// countingStore counts what is read.
type countingStore struct {
	object.Store
	bytes int64
}

func (c *countingStore) GetRange(ctx context.Context, name string, b []byte, off int64) error {
	c.bytes += int64(len(b))
	return c.Store.GetRange(ctx, name, b, off)
}

// TestDamagedBlock: of a striped pack with a flipped bit a source that goes on without what is broken has all pages that are not of that bit, and reads
// no block again for each page.
func TestDamagedBlock(t *testing.T) {
	ctx := t.Context()
	st, fs, _ := newStore(t)
	rng := rand.New(rand.NewPCG(1, 1))
	batch := st.NewBatch()
	var in []hash.Hash
	for range 500 {
		h, err := batch.Put(ctx, pageOf(rng, 4))
		must(t, err)
		in = append(in, h)
	}
	lsn, err := st.Append(ctx, batch, pack.Record{Type: 1})
	must(t, err)
	must(t, st.Wait(ctx, lsn))
	must(t, batch.Close())
	built, _, err := build(ctx, st, "/striped.pack", in, 1<<30, &pack.Blocks{Full: 300 << 10})
	must(t, err)
	whole, err := vfs.ReadFile(fs, built.Path)
	must(t, err)
	dir, err := pack.ReadDirectory(whole, built.Size, built.Digest, built.Chunks)
	must(t, err)
	b := dir.Blocks()[1]
	for _, c := range []struct {
		name string
		at   int64
		lost int
	}{
		{"nothing", -1, 0},
		{"a stripe", b.Off + b.Start(2), 1},
		{"the heads", b.Off, b.Pages},
	} {
		data := append([]byte(nil), whole...)
		if c.at >= 0 {
			data[c.at] ^= 1
		}
		p := Pack{Digest: built.Digest, Size: built.Size, Chunks: built.Chunks}
		s := &mem.Store{}
		must(t, s.Put(ctx, p.object(), object.Bytes(data), object.IfAbsent))
		counts := &countingStore{Store: s}
		told := 0
		src := &Source{Remote: &Remote{s: counts, known: true, striped: true}, Broken: func(error) { told++ }}
		src.AddPacks([]Pack{p})
		lost := 0
		for _, h := range in {
			rec, err := src.Record(ctx, h)
			if err != nil {
				lost++
				continue
			}
			if is, _, err := pack.DecodeRecord(rec); err != nil || is != h {
				t.Fatalf("%s: a page is %s, want %s: %v", c.name, is, h, err)
			}
		}
		if lost != c.lost || (told > 0) != (c.lost > 0) {
			t.Errorf("%s: %d pages of %d are lost, want %d; told %d times", c.name, lost, len(in), c.lost, told)
		}
		if counts.bytes > 3*built.Size {
			t.Errorf("%s: %d bytes were read of a pack of %d", c.name, counts.bytes, built.Size)
		}
	}
}
