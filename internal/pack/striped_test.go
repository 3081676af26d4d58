package pack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/stripe"
	"github.com/stemmadb/stemma/internal/vfs"
)

// pageOf is a page with a segment for each of columns first to last.
func pageOf(rng *rand.Rand, first, last int) []byte {
	n := last - first + 1
	p := make([]byte, 16+16*n)
	p[0], p[1] = byte(chunk.KindPage), 2
	le := binary.LittleEndian
	le.PutUint16(p[2:], uint16(n))
	le.PutUint32(p[4:], 5)
	for k := range n {
		size := 1 + rng.IntN(100)
		le.PutUint64(p[16+8*k:], uint64(first+k))
		le.PutUint32(p[16+8*n+8*k:], uint32(len(p)))
		le.PutUint32(p[16+8*n+8*k+4:], uint32(size))
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

// someChunks is pages of some tables, what only begins like a page, nodes and others.
func someChunks(rng *rand.Rand, n int) (out [][]byte) {
	for range n {
		switch rng.IntN(6) {
		case 0:
			out = append(out, append([]byte{byte(chunk.KindNode), 1}, fmt.Sprint(rng.Uint64())...))
		case 1:
			out = append(out, append([]byte{byte(chunk.KindBlob), 1, 0}, strings.Repeat(fmt.Sprint(rng.Uint64()), 1+rng.IntN(30))...))
		case 2:
			out = append(out, append([]byte{byte(chunk.KindPage), 2, 0}, fmt.Sprint(rng.Uint64())...))
		default:
			first := 1 + 10*rng.IntN(3)
			out = append(out, pageOf(rng, first, first+rng.IntN(4)))
		}
	}
	return out
}

// stripedPack makes a striped pack of chunks and is its bytes.
func stripedPack(t fataler, chunks [][]byte, how Blocks) (Built, []byte) {
	t.Helper()
	ctx, mem := context.Background(), vfs.NewMem()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%v", err)
		}
	}
	must(Create(ctx, mem, "/from"))
	s, err := Open(ctx, mem, "/from", Options{})
	must(err)
	b := s.NewBatch()
	var hashes []hash.Hash
	for _, c := range chunks {
		h, err := b.Put(ctx, c)
		must(err)
		hashes = append(hashes, h)
	}
	lsn, err := s.Append(ctx, b, rec("chunks"))
	must(err)
	must(s.Wait(ctx, lsn))
	must(b.Close())
	p, err := s.NewBuilder("/striped")
	must(err)
	p.Stripe(how)
	size := p.Size()
	for _, h := range hashes {
		must(p.Add(ctx, h))
		if p.Size() < size {
			t.Fatalf("the pack became shorter")
		}
		size = p.Size()
		must(p.Add(ctx, h))
	}
	if p.Size() != size {
		t.Fatalf("chunks that are there were added again")
	}
	built, err := p.Finish(ctx)
	must(err)
	must(p.Close())
	must(s.Close(ctx))
	data, err := vfs.ReadFile(mem, built.Path)
	must(err)
	if int64(len(data)) != built.Size {
		t.Fatalf("the pack has %d bytes, not %d", len(data), built.Size)
	}
	return built, data
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// fromBytes reads a pack that is in memory.
func fromBytes(data []byte) func(context.Context, []byte, int64) error {
	return func(_ context.Context, b []byte, off int64) error {
		if copy(b, data[off:]) < len(b) {
			return errs.New(errs.Corrupt, "it ends")
		}
		return nil
	}
}

// TestStriped puts chunks into striped packs: the same make the same, each is found, and the pack that is made of it for a store has the same chunks bit for bit.
func TestStriped(t *testing.T) {
	blocks := 0
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		chunks := someChunks(rng, rapid.IntRange(1, 60).Draw(t, "chunks"))
		how := Blocks{Full: rapid.IntRange(1, 5000).Draw(t, "full"), Least: rapid.IntRange(1, 500).Draw(t, "least")}
		built, data := stripedPack(t, chunks, how)
		again, _ := stripedPack(t, chunks, how)
		if built != again {
			t.Fatalf("the same chunks made %v and %v", built, again)
		}
		dir, err := ReadDirectory(data, built.Size, built.Digest, built.Chunks)
		if err != nil {
			t.Fatal(err)
		}
		if dir.Striped() != (len(dir.Blocks()) > 0) {
			t.Fatalf("%d blocks", len(dir.Blocks()))
		}
		blocks += len(dir.Blocks())
		for _, c := range chunks {
			found := false
			err := dir.Records(dir.Spans(hash.Sum(c)), data, 0, func(_ Span, rec []byte) error {
				h, got, err := DecodeRecord(rec)
				found = found || h == hash.Sum(c) && bytes.Equal(got, c)
				return err
			})
			if err != nil || !found {
				t.Fatalf("chunk %x is not there: %v", c, err)
			}
		}
		if !dir.Striped() {
			return
		}
		mem := vfs.NewMem()
		hashes, err := dir.Unstripe(context.Background(), mem, "/whole", rapid.IntRange(1, 4).Draw(t, "workers"), fromBytes(data))
		if err != nil {
			t.Fatal(err)
		}
		p, err := openPack(mem, "/whole", false)
		if err != nil {
			t.Fatal(err)
		}
		var verified []hash.Hash
		if verified, err = p.verified(context.Background(), newCodecs(), func(p Problem) { t.Errorf("%v", p) }); err != nil || !slices.Equal(verified, hashes) || len(hashes) != built.Chunks {
			t.Fatalf("%d chunks, of %d (%v)", len(hashes), built.Chunks, err)
		}
		for _, c := range chunks {
			if e, _, ok, err := p.get(hash.Sum(c), nil); err != nil || !ok {
				t.Fatalf("chunk %x is not there: %v", c, err)
			} else if got, err := newCodecs().decode(e); err != nil || !bytes.Equal(got, c) {
				t.Fatalf("chunk %x is another: %v", c, err)
			}
		}
		if err := p.close(); err != nil {
			t.Fatal(err)
		}
	})
	if blocks == 0 {
		t.Error("no pack was striped")
	}
}

// TestStripedPackDamage flips a bit of each byte of a striped pack behind its header: nothing comes out of it but what went in.
func TestStripedPackDamage(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 7))
	built, data := stripedPack(t, someChunks(rng, 20), Blocks{Full: 1000, Least: 1})
	if dir, err := ReadDirectory(data, built.Size, built.Digest, built.Chunks); err != nil || !dir.Striped() {
		t.Fatalf("the pack is not striped: %v", err)
	}
	for at := packHeader; at < len(data); at++ { // the header is read of files only
		bad := bytes.Clone(data)
		bad[at] ^= 1 << rng.IntN(8)
		dir, err := ReadDirectory(bad, built.Size, built.Digest, built.Chunks)
		if err == nil {
			_, err = dir.Unstripe(t.Context(), vfs.NewMem(), "/whole", 2, fromBytes(bad))
			if err == nil {
				t.Fatalf("byte %d of %d: a flipped bit is not found", at, len(data))
			}
			for _, b := range dir.Blocks() {
				if int64(at) >= b.Off && int64(at) < b.Off+b.Len() && !strings.Contains(err.Error(), "stripe of column") && !strings.Contains(err.Error(), "heads of") {
					t.Fatalf("byte %d: %v", at, err)
				}
			}
		}
		if !errs.Is(err, errs.Corrupt) && !errs.Is(err, errs.TooNew) {
			t.Fatalf("byte %d: %v", at, err)
		}
	}
}

// A store does not take a striped pack for one of its own.
func TestStripedPackInStore(t *testing.T) {
	_, data := stripedPack(t, someChunks(rand.New(rand.NewPCG(1, 8)), 20), Blocks{Full: 1000, Least: 1})
	mem := vfs.NewMem()
	if err := vfs.WriteFile(mem, "/p", data); err != nil {
		t.Fatal(err)
	}
	if _, err := openPack(mem, "/p", false); !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), "striped") {
		t.Errorf("%v", err)
	}
}

// madeStriped is a pack of what is in front, with that index.
func madeStriped(t *testing.T, front []byte, entries []entry, sum []byte, blocks ...stripe.Block) (dir *Directory, data []byte, err error) {
	t.Helper()
	ft := footer{indexOff: uint64(len(front)), count: uint32(len(entries)), version: stripes}
	copy(ft.hashes[:], sum)
	x := newIndex(entries)
	x.blocks = blocks
	data = append(front, encodeTail(x, &ft)...)
	dir, err = ReadDirectory(data, int64(len(data)), ft.digest, int(ft.count))
	return dir, data, err
}

// TestStripedPackOverlap: a pack whose index names the same bytes many times, or a record in a block, is refused before any of it is read.
func TestStripedPackOverlap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	blob := make([]byte, 1000)
	h := hash.Sum(blob)
	record := appendRecord(make([]byte, packHeader), encoded{hash: h, data: blob, raw: uint32(len(blob)), codec: codecRaw})
	page := pageOf(rng, 1, 3)
	var b stripe.Builder
	b.Add(hash.Sum(page), page)
	block, front := b.Finish(int64(len(record)), record)
	inPage := entry{prefixOf(hash.Sum(page)), uint64(block.Off), inBlock}
	whole := entry{prefixOf(h), packHeader, uint32(len(blob))}
	for _, c := range []struct {
		name    string
		entries []entry
		ok      bool
	}{
		{"a record and a block", []entry{whole, inPage}, true},
		{"a record twice", []entry{whole, whole, inPage}, false},
		{"a record that goes on into a block", []entry{{whole.prefix, packHeader, whole.length + 1}, inPage}, false},
		{"a record where a block begins", []entry{whole, inPage, {1, uint64(block.Off), 1}}, false},
		{"a record in a block", []entry{whole, inPage, {1, uint64(block.Off) + 1, 1}}, false},
		{"a record in a record", []entry{whole, inPage, {1, packHeader + 1, 1}}, false},
	} {
		sum := sha256.New()
		sum.Write(h[:])
		ph := hash.Sum(page)
		sum.Write(ph[:])
		dir, data, err := madeStriped(t, bytes.Clone(front), c.entries, sum.Sum(nil), block)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var read atomic.Int64
		_, err = dir.Unstripe(t.Context(), vfs.NewMem(), "/whole", 1, func(ctx context.Context, b []byte, off int64) error {
			read.Add(int64(len(b)))
			return fromBytes(data)(ctx, b, off)
		})
		if c.ok {
			if err != nil || read.Load() != int64(len(front)-packHeader) {
				t.Errorf("%s: %d bytes were read: %v", c.name, read.Load(), err)
			}
		} else if !errs.Is(err, errs.Corrupt) || read.Load() > 0 {
			t.Errorf("%s: %d bytes were read: %v", c.name, read.Load(), err)
		}
	}
}

// TestStripedPackRoom: what is taken of memory for a block is bounded by its length, whatever number of pages and columns it says it has.
func TestStripedPackRoom(t *testing.T) {
	const pages, columns = 4000, 8000
	b := stripe.Block{Off: packHeader, Pages: pages, Stripes: []stripe.Stripe{{ID: 0, Len: 48 * pages}}}
	for i := range columns {
		b.Stripes = append(b.Stripes, stripe.Stripe{ID: uint64(i + 1), Len: 1})
	}
	var entries []entry
	for i := range pages {
		entries = append(entries, entry{uint64(i), packHeader, inBlock | uint32(i)})
	}
	dir, _, err := madeStriped(t, make([]byte, packHeader+b.Len()), entries, nil, b)
	if err != nil {
		t.Fatal(err)
	}
	parts, err := dir.parts()
	if err != nil || len(parts) != 1 {
		t.Fatalf("%d parts: %v", len(parts), err)
	}
	if n := parts[0].room(); n > 2*b.Len() {
		t.Errorf("%d bytes for a block of %d", n, b.Len())
	}
}

// TestStripedPackRoomSuffices: the pages of a block fit into the memory that is taken for them.
func TestStripedPackRoomSuffices(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var b stripe.Builder
		size, first := 0, 1+rng.IntN(5)
		for range 1 + rng.IntN(5) {
			page := pageOf(rng, first, first+rng.IntN(8))
			b.Add(hash.Sum(page), page)
			size += len(page)
		}
		block, data := b.Finish(packHeader, nil)
		p := unstriped{off: packHeader, len: int64(len(data)), block: &block}
		if int64(size) > p.room() {
			t.Fatalf("%d bytes of pages, and room for %d", size, p.room())
		}
	}
}

// TestIndexBoundsRecords: an index that names a record longer than any chunk is refused, so that nobody makes room for it.
func TestIndexBoundsRecords(t *testing.T) {
	for _, n := range []uint32{chunk.MaxSize, chunk.MaxSize + 1} {
		ft := footer{indexOff: 1 << 30, count: 1, version: packVersion}
		b := encodeTail(newIndex([]entry{{1, packHeader, n}}), &ft)
		_, err := parseTail(b, ft)
		if n <= chunk.MaxSize && err != nil || n > chunk.MaxSize && !errs.Is(err, errs.Corrupt) {
			t.Errorf("a record of %d bytes: %v", n, err)
		}
	}
}

// FuzzStripedPack feeds any bytes to what reads striped packs, with sums that are right: the fuzzer cannot guess them.
func FuzzStripedPack(f *testing.F) {
	for seed := range uint64(3) {
		built, data := stripedPack(f, someChunks(rand.New(rand.NewPCG(seed, 1)), 6), Blocks{Full: 300, Least: 1})
		ft, err := parseFooter(data[len(data)-footerSize:], built.Size, stripes)
		if err != nil {
			f.Fatal(err)
		}
		at := len(data) - footerSize - int(ft.count)*indexEntry
		f.Add(data[:ft.indexOff], data[ft.indexOff:at], data[at:len(data)-footerSize])
	}
	f.Fuzz(func(t *testing.T, front, table, entries []byte) {
		front = bytes.Clone(front)
		if blocks, err := stripe.ParseTable(table, packHeader, int64(len(front))); err == nil {
			for i := range blocks {
				at := blocks[i].Off
				for k := range blocks[i].Stripes {
					s := &blocks[i].Stripes[k]
					s.Sum = hash.Sum(front[at:][:s.Len])
					at += int64(s.Len)
				}
			}
			table = stripe.AppendTable(nil, blocks)
		}
		ft := footer{indexOff: uint64(len(front)), count: uint32(len(entries) / indexEntry), version: stripes}
		entries = entries[:int(ft.count)*indexEntry]
		data := slices.Concat(front, encodeTail(&index{b: slices.Concat(table, entries)}, &ft))
		dir, err := ReadDirectory(data, int64(len(data)), ft.digest, int(ft.count))
		if err != nil {
			if !errs.Is(err, errs.Corrupt) {
				t.Fatal(err)
			}
			return
		}
		if _, err := dir.Unstripe(t.Context(), vfs.NewMem(), "/whole", 1, fromBytes(data)); err != nil && !errs.Is(err, errs.Corrupt) && !errs.Is(err, errs.TooNew) {
			t.Fatal(err)
		}
		for _, at := range dir.Beginning(0, 1<<64-1) {
			if err := dir.Records([]Span{at}, data, 0, func(_ Span, rec []byte) error { _, _, err := DecodeRecord(rec); return err }); err != nil && !errs.Is(err, errs.Corrupt) && !errs.Is(err, errs.TooNew) {
				t.Fatal(err)
			}
		}
	})
}
