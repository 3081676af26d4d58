package pack

import (
	"encoding/binary"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// appendRecord appends a pack record: header and stored bytes.
func appendRecord(dst []byte, e encoded) []byte {
	le := binary.LittleEndian
	at := len(dst)
	dst = append(dst, e.hash[:]...)
	dst = le.AppendUint32(dst, e.raw)
	dst = le.AppendUint32(dst, uint32(len(e.data)))
	dst = append(dst, e.codec, 0, 0, 0)
	dst = le.AppendUint32(dst, sum32(dst[at:], e.data))
	return append(dst, e.data...)
}

// parseRecordHeader reads the hash and the number of stored bytes, for those who walk a pack.
func parseRecordHeader(b []byte) (h hash.Hash, length uint32, err error) {
	if len(b) < recordHeader {
		return h, 0, errs.New(errs.Corrupt, "a record ends within its header")
	}
	copy(h[:], b)
	le := binary.LittleEndian
	raw, length := le.Uint32(b[32:]), le.Uint32(b[36:])
	if raw > chunk.MaxSize || length > chunk.MaxSize {
		return h, 0, errs.New(errs.Corrupt, "a record's length %d is above the limit", max(raw, length))
	}
	return h, length, nil
}

// parseRecord reads a whole record; e.data is part of b. It verifies the CRC, not the hash.
func parseRecord(b []byte) (encoded, error) {
	h, length, err := parseRecordHeader(b)
	if err != nil {
		return encoded{}, err
	}
	if uint64(len(b)) != recordHeader+uint64(length) {
		return encoded{}, errs.New(errs.Corrupt, "a record has %d bytes, want %d", len(b), recordHeader+uint64(length))
	}
	le := binary.LittleEndian
	e := encoded{hash: h, data: b[recordHeader:], raw: le.Uint32(b[32:]), codec: b[40]}
	if le.Uint32(b[44:]) != sum32(b[:44], e.data) {
		return encoded{}, errs.New(errs.Corrupt, "the record of chunk %s has a wrong CRC", h)
	}
	return e, nil
}
