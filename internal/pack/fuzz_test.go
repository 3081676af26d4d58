package pack

import (
	"bytes"
	"encoding/hex"
	"math"
	"os"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/chunk/chunktest"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/vfs"
)

func someBatch() []byte {
	data := []byte("some chunk")
	return appendBatch(nil, []encoded{{hash: hash.Sum(data), data: data, raw: uint32(len(data))}}, []Record{rec("one"), rec("")})
}

// FuzzFrame feeds any bytes to the journal's decoders: no panic, and what they accept encodes to the same bytes.
func FuzzFrame(f *testing.F) {
	f.Add(appendFrame(nil, frame{lsn: 8, epoch: 1, durable: 8, typ: frameBatch, payload: someBatch()}))
	f.Add(appendFrame(nil, frame{lsn: 8, epoch: 1, typ: frameCheckpoint, payload: []byte{0, 1, 2}}))
	f.Add(appendFrame(nil, frame{lsn: 8, epoch: 1, typ: frameBatch, payload: appendRef(nil, bodyRef{total: 5, pieces: make([]hash.Hash, 2)})}))
	f.Add([]byte{})
	codecs := newCodecs()
	f.Fuzz(func(t *testing.T, b []byte) {
		if fr, size, ok := parseFrame(b, 8, 1); ok {
			again := appendFrame(nil, fr)
			if len(again) != size || !bytes.Equal(again[:frameHeader+len(fr.payload)], b[:frameHeader+len(fr.payload)]) {
				t.Fatalf("frame %x encodes to %x", b[:size], again)
			}
		}
		// The CRC would hide the inner decoders from the fuzzer, so they also get the bytes themselves.
		l := &loaded{chunks: map[hash.Hash]location{}}
		seg := &segment{base: 8, epoch: 1}
		for _, typ := range []uint8{frameBatch, frameCheckpoint, frameEnd, 77} {
			if err := l.frame(seg, frame{lsn: 8, typ: typ, payload: b}, segmentHeader, codecs); err == nil && typ == 77 {
				t.Fatal("an unknown type of frame is accepted")
			}
		}
		if _, err := scanSegment(seg, b, math.MaxUint64, func(frame, int64) error { return nil }); err != nil && len(b) < segmentHeader {
			t.Fatalf("a short segment: %v", err)
		}
		if head := new(segment); head.parseHeader(b) == nil && !bytes.Equal(head.encodeHeader()[:32], b[:32]) {
			t.Fatalf("header %x encodes to %x", b[:segmentHeader], head.encodeHeader())
		}
	})
}

// FuzzPack feeds any bytes to the decoders of packs.
func FuzzPack(f *testing.F) {
	for _, n := range []int{0, 1, 3} {
		f.Add(packBytesOf(f, n))
	}
	codecs := newCodecs()
	f.Fuzz(func(t *testing.T, b []byte) {
		mem := vfs.NewMem()
		if err := vfs.WriteFile(mem, "p", b); err != nil {
			t.Fatal(err)
		}
		if p, err := openPack(mem, "p", false); err == nil {
			for i := range p.idx.len() {
				prefix := p.idx.prefix(i)
				var h hash.Hash
				h[0] = byte(prefix >> 56)
				if _, _, ok, err := p.get(h, nil); ok && err == nil {
					t.Logf("found %s", h)
				}
			}
			if err := p.verify(t.Context(), codecs, func(Problem) {}); err != nil {
				t.Fatalf("verify: %v", err)
			}
		}
		// Beyond the digests, which the fuzzer cannot guess:
		if ft, err := parseFooter(b, int64(len(b)), stripes); err == nil {
			t.Logf("footer of %d chunks", ft.count)
		}
		if e, err := parseRecord(b); err == nil {
			if again := appendRecord(nil, e); !bytes.Equal(again[:40], b[:40]) {
				t.Fatalf("record %x encodes to %x", b, again)
			}
		}
		for _, codec := range []uint8{codecRaw, codecZstd, 9} {
			if out, err := codecs.decode(encoded{data: b, raw: 100, codec: codec}); err == nil && len(out) != 100 {
				t.Fatalf("codec %d decoded to %d bytes, want 100", codec, len(out))
			}
		}
	})
}

// packBytesOf is a pack file of n chunks.
func packBytesOf(t testing.TB, n int) []byte {
	mem := vfs.NewMem()
	w, err := newWriter(mem, "p")
	if err != nil {
		t.Fatal(err)
	}
	c := newCodecs()
	for i := range n {
		data := chunktest.Sample(chunk.KindPage, 40+i, uint64(i))
		e, err := c.encode(hash.Sum(data), data)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.add(e); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, err := vfs.ReadFile(mem, "p")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// FuzzDictionary feeds any bytes to the decoders of dictionaries and of what is compressed with them.
func FuzzDictionary(f *testing.F) {
	cold := phrases(chunk.KindPage, 60, 1)
	d, err := train(cold, dictionaryLeast)
	if err != nil || d == nil {
		f.Fatal(d, err)
	}
	e, err := d.encoder()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(d.chunk, e.EncodeAll(cold[0], nil), uint32(len(cold[0])))
	f.Add(d.chunk[:len(d.chunk)/2], []byte{}, uint32(0))
	f.Add([]byte{byte(chunk.KindDictionary), 1}, e.EncodeAll(cold[1], nil), uint32(1<<30))
	codecs := newCodecs()
	f.Fuzz(func(t *testing.T, dict, frame []byte, raw uint32) {
		if _, err := ReadDictionary(dict); err == nil {
			t.Log("a record")
		}
		d, err := newDictionary(hash.Sum(dict), dict)
		if err != nil {
			if !errs.Is(err, errs.Corrupt) && !errs.Is(err, errs.TooNew) {
				t.Fatalf("a dictionary: %v", err)
			}
			return
		}
		data, err := codecs.decode(encoded{data: frame, raw: raw, codec: codecDict, dict: d})
		if err == nil && len(data) != int(raw) {
			t.Fatalf("%d bytes, want %d", len(data), raw)
		}
		if err != nil && !errs.Is(err, errs.Corrupt) {
			t.Fatalf("a frame: %v", err)
		}
	})
}

// TestGoldenDictionary reads a pack of version 2 as it was written once.
func TestGoldenDictionary(t *testing.T) {
	data, err := os.ReadFile("testdata/dictionary.pack")
	if err != nil {
		t.Fatal(err)
	}
	mem := vfs.NewMem()
	if err := vfs.WriteFile(mem, "p", data); err != nil {
		t.Fatal(err)
	}
	p, err := openPack(mem, "p", false)
	if err != nil {
		t.Fatal(err)
	}
	if got := hash.Sum(data).Full(); got != goldenDictionary || p.ft.version != 2 || p.idx.len() != 5 {
		t.Errorf("the pack has the hash %s, version %d and %d chunks", got, p.ft.version, p.idx.len())
	}
	codecs := newCodecs()
	if err := p.verify(t.Context(), codecs, func(x Problem) { t.Error(x.Err) }); err != nil {
		t.Error(err)
	}
	for i, want := range phrases(chunk.KindPage, 4, 1) {
		e, _, ok, err := p.get(hash.Sum(want), nil)
		if err != nil || !ok {
			t.Fatalf("chunk %d: %v, %v", i, ok, err)
		}
		if e.codec != codecDict {
			t.Errorf("chunk %d has codec %d", i, e.codec)
		}
		if got, err := codecs.decode(e); err != nil || !bytes.Equal(got, want) {
			t.Errorf("chunk %d reads back as other bytes, %v", i, err)
		}
	}
	if err := p.close(); err != nil {
		t.Error(err)
	}
}

func FuzzFormat(f *testing.F) {
	f.Add(current().encode())
	f.Add([]byte("stemma database\nversion 2\n"))
	f.Add([]byte("stemma database\nversion 1\nrequired x\nread-only y\noptional z\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := parseFormat(b)
		if err != nil {
			return
		}
		again, err := parseFormat(x.encode())
		if err != nil || !bytes.Equal(again.encode(), x.encode()) {
			t.Fatalf("%q reads back as %q, %v", x.encode(), again.encode(), err)
		}
	})
}

// TestGoldenBytes pins the formats.
func TestGoldenBytes(t *testing.T) {
	seg := &segment{num: 3, base: 4096, epoch: 2}
	data := []byte("\x01\x01page")
	e := encoded{hash: hash.Sum(data), data: data, raw: uint32(len(data))}
	for name, c := range map[string]struct{ got, want []byte }{
		"segment": {seg.encodeHeader(), unhex(t, goldenSegment)},
		"frame":   {appendFrame(nil, frame{lsn: 4096, epoch: 2, durable: 4096, typ: frameBatch, payload: appendBatch(nil, []encoded{e}, []Record{rec("edit")})}), unhex(t, goldenFrame)},
		"record":  {appendRecord(nil, e), unhex(t, goldenRecord)},
		"FORMAT":  {current().encode(), []byte("stemma database\nversion 1\nrequired journal-1 pack-lists pack-1 page-2 sha256 weights-2\nread-only\noptional\n")},
	} {
		if !bytes.Equal(c.got, c.want) {
			t.Errorf("%s is\n%x, want\n%x", name, c.got, c.want)
		}
	}
	if got := hash.Sum(packBytesOf(t, 3)).Full(); got != goldenPack {
		t.Errorf("the hash of a pack file is %s, want %s", got, goldenPack)
	}
}

const (
	goldenSegment = "53544d4a524e4c31030000000000000000100000000000000200000000000000" + // magic, number, base, epoch
		"00000000000000000000000000000000000000000000000000000000b7702ec5"
	goldenFrame = "53000000394bbf8b00100000000000000200000000000000001000000000000001" + // header
		"0001dc60590b61c21053f5830301cd536451827589560661467a488f1736e520431200060601017061676501070465646974" + "0000000000"
	goldenRecord     = "dc60590b61c21053f5830301cd536451827589560661467a488f1736e5204312" + "060000000600000000000000020f0d96" + "010170616765"
	goldenPack       = "qlbe8g4grap5qmll6b2t52d1860qith6g9mr4f86eqrvsm55i9mg"
	goldenDictionary = "lau00dl93mhi6t6ftcqc5mdbt21tfgh11rb7f453j5290e52pf00"
)

func unhex(t *testing.T, s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
