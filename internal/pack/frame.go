package pack

import (
	"encoding/binary"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

const (
	frameHeader = 33
	maxPayload  = 1 << 20 // bytes of a frame's payload
)

// The types of frames.
const (
	frameBatch      uint8 = 1 // chunks and records, all or nothing
	frameCheckpoint uint8 = 2 // the state that stands for all records before
	frameEnd        uint8 = 3 // the last frame of a clean close; its payload is empty
	framePrepare    uint8 = 4 // reserved: first half of a commit across databases
	frameDecide     uint8 = 5 // reserved: second half
)

// frame is one entry of the journal.
type frame struct {
	lsn     uint64 // position of its first byte
	epoch   uint64 // of its segment
	durable uint64 // all frames below this LSN were known to be synced when this one was written
	typ     uint8
	payload []byte
}

// frameSize is the number of bytes that a frame with n bytes of payload takes, a multiple of 8.
func frameSize(n int) int { return (frameHeader + n + 7) &^ 7 }

// appendFrame appends the bytes of f.
func appendFrame(dst []byte, f frame) []byte {
	le := binary.LittleEndian
	at, n := len(dst), frameHeader+len(f.payload)
	dst = le.AppendUint32(dst, uint32(n))
	dst = append(dst, 0, 0, 0, 0)
	dst = le.AppendUint64(dst, f.lsn)
	dst = le.AppendUint64(dst, f.epoch)
	dst = le.AppendUint64(dst, f.durable)
	dst = append(dst, f.typ)
	dst = append(dst, f.payload...)
	le.PutUint32(dst[at+4:], sum32(dst[at+8:]))
	for len(dst)-at < frameSize(len(f.payload)) {
		dst = append(dst, 0)
	}
	return dst
}

// parseFrame reads the frame that must begin at LSN lsn in a segment of the given epoch. ok is false when b does not begin with
// a whole valid one. The payload is part of b.
func parseFrame(b []byte, lsn, epoch uint64) (f frame, size int, ok bool) {
	if len(b) < frameHeader {
		return f, 0, false
	}
	le := binary.LittleEndian
	n := le.Uint32(b)
	if n < frameHeader || n > frameHeader+maxPayload {
		return f, 0, false
	}
	// Cheap tests first: a scan for later frames calls this at every eighth byte.
	if le.Uint64(b[8:]) != lsn || le.Uint64(b[16:]) != epoch {
		return f, 0, false
	}
	size = frameSize(int(n) - frameHeader)
	if size > len(b) || le.Uint32(b[4:]) != sum32(b[8:n]) {
		return f, 0, false
	}
	f = frame{lsn: lsn, epoch: epoch, durable: le.Uint64(b[24:]), typ: b[32], payload: b[frameHeader:n:n]}
	return f, size, true
}

// The first byte of a payload: where its body is.
const (
	bodyInline uint8 = 0 // behind this byte
	bodyChunks uint8 = 1 // in chunks of kind blob, whose hashes follow; they are in packs
)

// bodyPiece is the number of body bytes in each chunk of a bodyChunks payload but the last.
const bodyPiece = 8 << 20

// cursor reads the fields of a payload; bad is set by the first that does not fit.
type cursor struct {
	b   []byte
	at  int
	bad bool
}

func (c *cursor) bytes(n uint64) []byte {
	if c.bad || n > uint64(len(c.b)-c.at) {
		c.bad = true
		return nil
	}
	out := c.b[c.at : c.at+int(n) : c.at+int(n)]
	c.at += int(n)
	return out
}

func (c *cursor) byte() uint8 {
	if b := c.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) uvarint() uint64 {
	if c.bad {
		return 0
	}
	v, n := binary.Uvarint(c.b[c.at:])
	if n <= 0 {
		c.bad = true
		return 0
	}
	c.at += n
	return v
}

func (c *cursor) hash() (h hash.Hash) {
	copy(h[:], c.bytes(hash.Size))
	return h
}

// placed is a chunk within a payload.
type placed struct {
	encoded
	off int // of its stored bytes in the payload
}

// appendBatch appends the inline payload of a batch frame.
func appendBatch(dst []byte, chunks []encoded, recs []Record) []byte {
	dst = append(dst, bodyInline)
	dst = binary.AppendUvarint(dst, uint64(len(chunks)))
	for _, e := range chunks {
		dst = append(dst, e.hash[:]...)
		dst = append(dst, e.codec)
		dst = binary.AppendUvarint(dst, uint64(e.raw))
		dst = binary.AppendUvarint(dst, uint64(len(e.data)))
		dst = append(dst, e.data...)
	}
	return appendRecords(dst, recs)
}

// appendRecords appends the records of a batch's body.
func appendRecords(dst []byte, recs []Record) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(recs)))
	for _, r := range recs {
		dst = append(dst, r.Type)
		dst = binary.AppendUvarint(dst, uint64(len(r.Payload)))
		dst = append(dst, r.Payload...)
	}
	return dst
}

// batchSize is an upper bound of the length in bytes of appendBatch's result.
func batchSize(chunks []encoded, recs []Record) int {
	n := 1 + 2*binary.MaxVarintLen32
	for _, e := range chunks {
		n += hash.Size + 1 + 2*binary.MaxVarintLen32 + len(e.data)
	}
	for _, r := range recs {
		n += 1 + binary.MaxVarintLen32 + len(r.Payload)
	}
	return n
}

// parseChunks reads the chunks of an inline batch payload and leaves c before the records.
func parseChunks(c *cursor) ([]placed, error) {
	n := c.uvarint()
	var out []placed
	for ; n > 0 && !c.bad; n-- {
		var p placed
		p.hash, p.codec = c.hash(), c.byte()
		raw := c.uvarint()
		length := c.uvarint()
		p.off = c.at
		p.data = c.bytes(length)
		if raw > chunk.MaxSize {
			c.bad = true
		}
		p.raw = uint32(raw)
		if !c.bad {
			out = append(out, p)
		}
	}
	if c.bad {
		return nil, errs.New(errs.Corrupt, "its chunks are malformed")
	}
	return out, nil
}

// parseRecords reads the records up to the end. Payloads are parts of c.b.
func parseRecords(c *cursor, lsn uint64) ([]Record, error) {
	n := c.uvarint()
	var out []Record
	for ; n > 0 && !c.bad; n-- {
		r := Record{Type: c.byte(), LSN: lsn}
		r.Payload = c.bytes(c.uvarint())
		if !c.bad {
			out = append(out, r)
		}
	}
	if c.bad || c.at != len(c.b) {
		return nil, errs.New(errs.Corrupt, "its records are malformed")
	}
	return out, nil
}

// bodyRef is a body that is kept in chunks.
type bodyRef struct {
	total  uint64 // bytes
	pieces []hash.Hash
}

func appendRef(dst []byte, r bodyRef) []byte {
	dst = append(dst, bodyChunks)
	dst = binary.AppendUvarint(dst, r.total)
	dst = binary.AppendUvarint(dst, uint64(len(r.pieces)))
	for _, h := range r.pieces {
		dst = append(dst, h[:]...)
	}
	return dst
}

func parseRef(c *cursor) (bodyRef, error) {
	r := bodyRef{total: c.uvarint()}
	n := c.uvarint()
	for ; n > 0 && !c.bad; n-- {
		r.pieces = append(r.pieces, c.hash())
	}
	if c.bad || c.at != len(c.b) {
		return bodyRef{}, errs.New(errs.Corrupt, "its references are malformed")
	}
	return r, nil
}
