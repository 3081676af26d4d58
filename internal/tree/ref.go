package tree

import (
	"encoding/binary"

	"github.com/stemmadb/stemma/internal/binfmt"
	"github.com/stemmadb/stemma/internal/hash"
)

// Ref names a chunk that a leaf refers to.
type Ref struct {
	Hash hash.Hash
	Blob bool // the root of an out-of-line cell's tree, else a plain chunk without references
}

// Root names a whole tree. The zero Root is the empty tree.
type Root struct {
	Hash  hash.Hash // of the root chunk
	Level uint8     // 0 when the root chunk is a leaf
	Flags Flags     // those of all leaves together
	Count uint64    // rows
}

// Edit is a change to one key.
type Edit struct {
	Key []byte
	Row []byte // the new payload; nil deletes the key
}

// AppendRoot appends a root to an object's bytes: a zero byte for the empty tree, else level+1, flags, count and hash.
func AppendRoot(b []byte, r Root) []byte {
	if r.Hash.IsZero() {
		return append(b, 0)
	}
	b = append(b, r.Level+1, byte(r.Flags))
	b = binary.AppendUvarint(b, r.Count)
	return append(b, r.Hash[:]...)
}

// ReadRoot reads what AppendRoot gives.
func ReadRoot(d *binfmt.Decoder) (r Root) {
	l := d.Byte()
	if d.Err != nil || l == 0 {
		return r
	}
	r.Level, r.Flags = l-1, Flags(d.Byte())
	r.Count = d.Uvarint()
	r.Hash = d.Hash()
	if d.Err == nil && (r.Hash.IsZero() || r.Count == 0) {
		d.Fail("bad root of a tree")
		return Root{}
	}
	return r
}
