package pack

import (
	"hash/crc32"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// How a chunk's bytes are stored. The codec is never part of a chunk's identity.
const (
	codecRaw  uint8 = 0 // the canonical bytes
	codecZstd uint8 = 1 // one zstd frame (RFC 8878)
	codecDict uint8 = 2 // one zstd frame that needs the dictionary of its pack
)

// hotPage is the length in bytes up to which a page is stored raw: pages are encoded already, and a point read must not
// decompress one. Longer pages hold incompressible or wide columns and are read by scans.
const hotPage = 24 << 10

// minCompress is the shortest chunk in bytes that is worth a zstd frame.
const minCompress = 64

// mayCompress decides from kind and length alone whether compression is tried.
func mayCompress(data []byte) bool {
	if len(data) < minCompress {
		return false
	}
	switch chunk.Kind(data[0]) {
	case chunk.KindNode:
		return false
	case chunk.KindPage:
		return len(data) > hotPage
	}
	return true
}

// encoded is a chunk as it is stored.
type encoded struct {
	hash  hash.Hash
	data  []byte // stored bytes
	raw   uint32 // length of the canonical bytes
	codec uint8
	dict  *Dictionary // of codecDict; nil when it cannot be read
}

// codecs compresses and decompresses. Both coders are made at first use and may be used by many goroutines.
type codecs struct {
	enc func() (*zstd.Encoder, error)
	dec func() (*zstd.Decoder, error)
}

func newCodecs() *codecs {
	return &codecs{
		enc: sync.OnceValues(func() (*zstd.Encoder, error) {
			return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false))
		}),
		dec: sync.OnceValues(func() (*zstd.Decoder, error) {
			return zstd.NewReader(nil, zstd.WithDecoderMaxMemory(chunk.MaxSize), zstd.WithDecoderConcurrency(0))
		}),
	}
}

// encode stores data, whose hash is h: compressed when that saves an eighth or more, else raw and not copied.
func (c *codecs) encode(h hash.Hash, data []byte) (encoded, error) {
	e := encoded{hash: h, data: data, raw: uint32(len(data)), codec: codecRaw}
	if !mayCompress(data) {
		return e, nil
	}
	enc, err := c.enc()
	if err != nil {
		return e, errs.New(errs.Internal, "compress chunk %s: %w", h, err)
	}
	if z := enc.EncodeAll(data, make([]byte, 0, len(data)/2)); len(z) <= len(data)-len(data)/8 {
		e.data, e.codec = z, codecZstd
	}
	return e, nil
}

// decode is the canonical bytes of e. For raw chunks it is e.data itself.
func (c *codecs) decode(e encoded) ([]byte, error) {
	if e.codec == codecRaw && uint32(len(e.data)) == e.raw {
		return e.data, nil
	}
	return c.appendTo(nil, e)
}

// appendTo appends the canonical bytes of e to dst.
func (c *codecs) appendTo(dst []byte, e encoded) ([]byte, error) {
	switch e.codec {
	case codecRaw:
		if uint32(len(e.data)) != e.raw {
			return nil, errs.New(errs.Corrupt, "read chunk %s: %d bytes stored raw, want %d", e.hash, len(e.data), e.raw)
		}
		return append(dst, e.data...), nil
	case codecZstd, codecDict:
		if e.raw > chunk.MaxSize {
			return nil, errs.New(errs.Corrupt, "read chunk %s: length %d is above the limit", e.hash, e.raw)
		}
		make := c.dec
		if e.codec == codecDict {
			if e.dict == nil {
				return nil, errs.New(errs.Corrupt, "decompress chunk %s: the dictionary that it needs is not there", e.hash)
			}
			make = e.dict.dec
		}
		dec, err := make()
		if err != nil {
			return nil, errs.New(errs.Internal, "decompress chunk %s: %w", e.hash, err)
		}
		out, err := dec.DecodeAll(e.data, slices.Grow(dst, int(e.raw)))
		if err != nil {
			return nil, errs.New(errs.Corrupt, "decompress chunk %s: %w", e.hash, err)
		}
		if n := len(out) - len(dst); n != int(e.raw) {
			return nil, errs.New(errs.Corrupt, "decompress chunk %s: %d bytes, want %d", e.hash, n, e.raw)
		}
		return out, nil
	}
	return nil, errs.New(errs.TooNew, "read chunk %s: stored with codec %d, which this program does not know; use a newer stemma", e.hash, e.codec)
}

// check is decode followed by a comparison with the hash.
func (c *codecs) check(e encoded) error {
	_, err := c.checked(e)
	return err
}

// checked is check, and the canonical bytes.
func (c *codecs) checked(e encoded) ([]byte, error) {
	data, err := c.decode(e)
	if err != nil {
		return nil, err
	}
	if have := hash.Sum(data); have != e.hash {
		return nil, errs.New(errs.Corrupt, "verify chunk %s: its bytes have the hash %s", e.hash, have)
	}
	return data, nil
}

// plain is e in a form that can be read without a dictionary: for all places but the packs that have it.
func (c *codecs) plain(e encoded) (encoded, error) {
	if e.codec != codecDict {
		return e, nil
	}
	data, err := c.checked(e)
	if err != nil {
		return e, err
	}
	return c.encode(e.hash, data)
}

// castagnoli is CRC32C. MakeTable returns the package's own hardware-backed table at no cost.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// sum32 is the CRC32C of the concatenation of parts.
func sum32(parts ...[]byte) uint32 {
	var c uint32
	for _, p := range parts {
		c = crc32.Update(c, castagnoli(), p)
	}
	return c
}
