package pack

import (
	"fmt"
	"runtime"
	"sync"
	"weak"

	"github.com/klauspost/compress/zstd"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// dictionaryVersion is that of chunks that are dictionaries.
const dictionaryVersion = 1

// maxDictionary bounds a dictionary in bytes, so that a forged one costs no memory.
const maxDictionary = 1 << 20

// Dictionary is what chunks of a pack are compressed with: the first chunk of that pack. It may be used by many goroutines.
type Dictionary struct {
	hash  hash.Hash
	chunk []byte // canonical bytes: kind, version, a zstd dictionary (RFC 8878, section 5)
	dec   func() (*zstd.Decoder, error)
}

// newDictionary is the dictionary in those bytes of a chunk, whose hash is h.
func newDictionary(h hash.Hash, data []byte) (*Dictionary, error) {
	_, body, err := chunk.CheckKind(data, chunk.KindDictionary, dictionaryVersion)
	if err != nil {
		return nil, err
	}
	if len(data) > maxDictionary {
		return nil, errs.New(errs.Corrupt, "a dictionary of %d bytes is too long", len(data))
	}
	if _, err := zstd.InspectDictionary(body); err != nil {
		return nil, errs.New(errs.Corrupt, "a dictionary cannot be read: %w", err)
	}
	return &Dictionary{hash: h, chunk: data, dec: sync.OnceValues(func() (*zstd.Decoder, error) {
		return zstd.NewReader(nil, zstd.WithDecoderMaxMemory(chunk.MaxSize), zstd.WithDecoderConcurrency(min(4, runtime.GOMAXPROCS(0))), zstd.WithDecoderDicts(body))
	})}, nil
}

// encoded is the chunk that the dictionary is.
func (d *Dictionary) encoded() encoded {
	return encoded{hash: d.hash, data: d.chunk, raw: uint32(len(d.chunk)), codec: codecRaw}
}

// encoder compresses with the dictionary. It belongs to one goroutine.
func (d *Dictionary) encoder() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderCRC(false), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderDict(d.chunk[2:]))
}

// ReadDictionary is the dictionary of a record, as Directory.Dictionary says where it is, after a check of its CRC and its hash.
func ReadDictionary(rec []byte) (*Dictionary, error) {
	d, err := readDictionary(rec)
	if err != nil {
		return nil, fmt.Errorf("read the dictionary of a pack: %w", err)
	}
	return d, nil
}

func readDictionary(rec []byte) (*Dictionary, error) {
	e, err := parseRecord(rec)
	if err != nil {
		return nil, err
	}
	if e.raw > maxDictionary || e.codec != codecRaw {
		return nil, errs.New(errs.Corrupt, "the first chunk, of %d bytes and stored with codec %d, is none", e.raw, e.codec)
	}
	if _, _, err := chunk.CheckKind(e.data, chunk.KindDictionary, dictionaryVersion); err != nil {
		return nil, err
	}
	if err := newCodecs().check(e); err != nil {
		return nil, err
	}
	d, err := newDictionary(e.hash, append([]byte(nil), e.data...))
	if err != nil {
		return nil, err
	}
	return shared(d), nil
}

// inUse is the dictionaries that packs have, as long as somebody uses them: many packs have the same one, and each has a decoder.
var inUse struct {
	sync.Mutex
	of map[hash.Hash]weak.Pointer[Dictionary]
}

// shared is the dictionary that others of the same hash, which is verified, are as well.
func shared(d *Dictionary) *Dictionary {
	inUse.Lock()
	defer inUse.Unlock()
	if x := inUse.of[d.hash].Value(); x != nil {
		return x
	}
	if inUse.of == nil {
		inUse.of = map[hash.Hash]weak.Pointer[Dictionary]{}
	}
	inUse.of[d.hash] = weak.Make(d)
	runtime.AddCleanup(d, func(h hash.Hash) {
		inUse.Lock()
		defer inUse.Unlock()
		if inUse.of[h].Value() == nil {
			delete(inUse.of, h)
		}
	}, d.hash)
	return d
}

// hasDictionary tells whether the pack has a dictionary.
func (p *file) hasDictionary() bool { return p.ft.version == dictVersion }

// isDictionary tells whether the record at a position of the index is the pack's dictionary.
func (p *file) isDictionary(i int) bool { return p.hasDictionary() && p.idx.off(i) == packHeader }

// dictionary is that of the pack. It is read once, also where it is damaged.
func (p *file) dictionary() (*Dictionary, error) {
	if r := p.dict.Load(); r != nil {
		return r.dict, r.err
	}
	d, err := p.firstDictionary()
	if err != nil && !errs.Is(err, errs.Corrupt) && !errs.Is(err, errs.TooNew) {
		return nil, err
	}
	r := &readOnce{d, err}
	if !p.dict.CompareAndSwap(nil, r) {
		r = p.dict.Load()
	}
	return r.dict, r.err
}

// readOnce is a dictionary, or why the pack has none that can be used.
type readOnce struct {
	dict *Dictionary
	err  error
}

// firstDictionary reads the first record.
func (p *file) firstDictionary() (*Dictionary, error) {
	if !p.hasDictionary() {
		return nil, p.at(packHeader, errs.New(errs.Corrupt, "the pack has no dictionary, and a chunk needs one"))
	}
	at := p.idx.first()
	n := recordHeader + int64(p.idx.length(at))
	if n > recordHeader+maxDictionary {
		return nil, p.at(packHeader, errs.New(errs.Corrupt, "a dictionary of %d bytes is too long", n))
	}
	rec := make([]byte, n)
	if err := readFull(p.f, rec, packHeader); err != nil {
		return nil, p.at(packHeader, err)
	}
	d, err := ReadDictionary(rec)
	if err != nil {
		return nil, p.at(packHeader, err)
	}
	return d, nil
}

// supply gives a chunk of the pack the dictionary that it needs.
func (p *file) supply(e *encoded) (err error) {
	if e.codec == codecDict {
		e.dict, err = p.dictionary()
	}
	return err
}
