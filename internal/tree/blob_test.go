package tree

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

func noise(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func TestBlobRoundTrip(t *testing.T) {
	ctx := t.Context()
	for _, n := range []int{0, 1, 100, maxPiece - 1, maxPiece, maxPiece + 1, 200_000, 9 << 20} {
		data := noise(uint64(n), n)
		st := chunk.NewMem()
		addr, err := WriteBlob(ctx, st, data)
		ok(t, err)
		if len(addr) != BlobAddrSize || binary.LittleEndian.Uint64(addr[hash.Size:]) != uint64(n) {
			t.Fatalf("address %x of %d bytes", addr, n)
		}
		again, err := WriteBlob(ctx, chunk.NewMem(), data)
		ok(t, err)
		if !bytes.Equal(addr, again) {
			t.Fatal("two writes of one value have two addresses")
		}
		got, err := ReadBlob(ctx, st, addr)
		ok(t, err)
		if !bytes.Equal(got, data) {
			t.Fatalf("%d bytes come back otherwise", n)
		}
		got, err = AppendBlob(ctx, st, []byte("before"), addr)
		ok(t, err)
		if string(got) != "before"+string(data) {
			t.Fatalf("%d bytes are appended otherwise", n)
		}
		r, err := OpenBlob(ctx, st, addr)
		ok(t, err)
		if n <= 200_000 {
			ok(t, iotest.TestReader(r, data))
		}
		visited := 0
		ok(t, WalkBlob(ctx, st, hash.Hash(addr), func(h hash.Hash, level int, _ Flags) (bool, error) {
			visited++
			have, err := st.Has(ctx, h)
			if err == nil && (!have || level != LevelBlob) {
				err = fmt.Errorf("visit %s, level %d, stored %v", h, level, have)
			}
			return true, err
		}))
		if visited != st.Len() {
			t.Fatalf("%d bytes: %d chunks visited, %d stored", n, visited, st.Len())
		}
		if n > 1<<20 {
			lists := 0
			ok(t, WalkBlob(ctx, st, hash.Hash(addr), func(h hash.Hash, _ int, _ Flags) (bool, error) {
				data, err := st.Get(ctx, h)
				if data[2] > 1 {
					lists++
				}
				return true, err
			}))
			if lists == 0 {
				t.Fatal("no list of lists: the value is too short to test recursion")
			}
		}
	}
}

// TestBlobEditIsLocal: a byte inserted in the middle leaves most chunks as they were.
func TestBlobEditIsLocal(t *testing.T) {
	st := chunk.NewMem()
	data := noise(1, 4<<20)
	_, err := WriteBlob(t.Context(), st, data)
	ok(t, err)
	before := st.Len()
	edited := append(append(bytes.Clone(data[:1<<20]), 'x'), data[1<<20:]...)
	_, err = WriteBlob(t.Context(), st, edited)
	ok(t, err)
	if fresh := st.Len() - before; fresh > 8 {
		t.Fatalf("one byte inserted: %d of %d chunks are new", fresh, before)
	}
}

func TestPieceSizes(t *testing.T) {
	data := noise(2, 8<<20)
	g := newGear()
	n, most := 0, 0
	for rest := data; len(rest) > 0; n++ {
		k := g.cut(rest)
		if k < minPiece && k < len(rest) || k > maxPiece {
			t.Fatalf("piece of %d bytes", k)
		}
		most = max(most, k)
		rest = rest[k:]
	}
	mean := len(data) / n
	t.Logf("mean piece %d bytes, longest %d", mean, most)
	if mean < 22<<10 || mean > 30<<10 {
		t.Fatalf("mean piece %d bytes", mean)
	}
	if k := g.cut(make([]byte, 1<<20)); k != maxPiece {
		t.Fatalf("zeros are cut at %d", k)
	}
}

// TestBlobGolden pins addresses: cutting is part of the format.
func TestBlobGolden(t *testing.T) {
	data := make([]byte, 3<<20)
	for i := range data {
		data[i] = byte(i * i >> 7 * (i >> 11))
	}
	for _, c := range []struct {
		n    int
		want string
	}{{0, "r83lt7b9i22fo64srkhj10e4jtqducoq"}, {1000, "q2em2bk8odrfothhjbufm7jtkefpj8b4"}, {3 << 20, "3voep5jo77d0dikk92sv80o980ljae0k"}} {
		addr, err := WriteBlob(t.Context(), chunk.NewMem(), data[:c.n])
		ok(t, err)
		if got := hash.Hash(addr).String(); got != c.want {
			t.Errorf("%d bytes: %s, want %s", c.n, got, c.want)
		}
	}
}

func TestBlobMalformed(t *testing.T) {
	ctx := t.Context()
	st := chunk.NewMem()
	put := func(level byte, body ...[]byte) hash.Hash {
		h, err := st.Put(ctx, append([]byte{byte(chunk.KindBlob), blobVersion, level}, bytes.Join(body, nil)...))
		ok(t, err)
		return h
	}
	addr := func(h hash.Hash, n uint64) []byte { return binary.LittleEndian.AppendUint64(h[:], n) }
	piece := put(0, []byte("abc"))
	list := put(1, addr(piece, 3), addr(piece, 3))
	if got, err := ReadBlob(ctx, st, addr(list, 6)); err != nil || string(got) != "abcabc" {
		t.Fatalf("a sound list: %q, %v", got, err)
	}
	for name, a := range map[string][]byte{
		"short address":      piece[:10],
		"wrong length":       addr(piece, 4),
		"wrong list length":  addr(list, 7),
		"huge length":        addr(list, 1<<63),
		"entry length":       addr(put(1, addr(piece, 2), addr(piece, 3)), 5),
		"empty entry":        addr(put(1, addr(piece, 0), addr(piece, 3)), 3),
		"length overflow":    addr(put(1, addr(piece, 1<<63), addr(piece, 1<<63), addr(piece, 3)), 3),
		"level skipped":      addr(put(2, addr(piece, 3)), 3),
		"empty list":         addr(put(1), 0),
		"half an entry":      addr(put(1, piece[:]), 0),
		"long list":          addr(put(1, bytes.Repeat(addr(piece, 3), maxBlobList+1)), 3*(maxBlobList+1)),
		"long piece":         addr(put(0, make([]byte, maxPiece+1)), maxPiece+1),
		"level out of range": addr(put(200, addr(piece, 3)), 3),
	} {
		if _, err := ReadBlob(ctx, st, a); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := AppendBlob(ctx, st, nil, a); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%s, appended: %v", name, err)
		}
	}
	if _, err := ReadBlob(ctx, st, addr(put(1, addr(hash.Sum(nil), 3)), 3)); !errs.Is(err, errs.NotFound) {
		t.Errorf("absent piece: %v", err)
	}
}

func FuzzBlob(f *testing.F) {
	piece := []byte("\x05\x01\x00abc")
	h := hash.Sum(piece)
	f.Add(piece, uint64(3))
	f.Add(append([]byte("\x05\x01\x01"), binary.LittleEndian.AppendUint64(h[:], 3)...), uint64(3))
	f.Fuzz(func(t *testing.T, data []byte, n uint64) {
		st := chunk.NewMem()
		_, err := st.Put(t.Context(), piece)
		ok(t, err)
		root, err := st.Put(t.Context(), data)
		ok(t, err)
		r, err := OpenBlob(t.Context(), st, binary.LittleEndian.AppendUint64(root[:], n))
		if err != nil {
			return
		}
		if m, err := io.Copy(io.Discard, r); err == nil && uint64(m) != n {
			t.Fatalf("%d bytes of %d without an error", m, n)
		}
	})
}

func BenchmarkWriteBlob1M(b *testing.B) {
	data := noise(1, 1<<20)
	b.SetBytes(1 << 20)
	for b.Loop() {
		if _, err := WriteBlob(b.Context(), discard{}, data); err != nil {
			b.Fatal(err)
		}
	}
}
