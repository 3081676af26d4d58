package tree

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// An out-of-line cell ("blob") is a tree of chunks of kind 5. Up to 64 KiB it is one piece; longer values are cut by content into
// pieces, listed by chunks of level 1, which chunks of level 2 list, and so on up to one root:
//
//	0  u8  kind = 5
//	1  u8  version = 1
//	2  u8  level: 0 a piece, else a list
//	3      a piece: the bytes. A list: n of { 32 bytes hash of a chunk one level lower, u64 length of the value below it }
//
// Lists are cut by the boundary rule of interior nodes with the target of 64 entries, all of weight 1, and the first 8 bytes of a
// child's hash as the item's hash. So equal values are equal blobs, and an edit in the middle of a long value leaves most chunks.

const (
	blobVersion = 1
	blobHeader  = 3
	blobEntry   = hash.Size + 8
	blobFanout  = 64
	maxBlobList = 2 * blobFanout
)

// BlobAddrSize is the length of a blob's address: the hash of its root chunk, then the value's length as u64.
const BlobAddrSize = hash.Size + 8

// WriteBlob stores data out of line and returns its address, a pure function of data.
func WriteBlob(ctx context.Context, w chunk.Writer, data []byte) (addr []byte, err error) {
	b := &blobWriter{w: w}
	root, err := b.write(ctx, data)
	if err != nil {
		return nil, fmt.Errorf("store blob: %w", err)
	}
	return binary.LittleEndian.AppendUint64(root[:], uint64(len(data))), nil
}

// blobWriter holds the open list of each level: levels[i] is level i+1.
type blobWriter struct {
	w      chunk.Writer
	levels []*blobList
}

// blobList is a list that is not finished.
type blobList struct {
	split splitter
	data  []byte
	total int    // children of the level so far
	size  uint64 // length of the value below data
}

func (b *blobWriter) write(ctx context.Context, data []byte) (hash.Hash, error) {
	if len(data) <= maxPiece {
		return b.piece(ctx, data)
	}
	gear := newGear()
	for len(data) > 0 {
		n := gear.cut(data)
		h, err := b.piece(ctx, data[:n])
		if err != nil {
			return hash.Hash{}, err
		}
		if err := b.add(ctx, 0, h, uint64(n)); err != nil {
			return hash.Hash{}, err
		}
		data = data[n:]
	}
	for i := 0; ; i++ {
		l := b.levels[i]
		if l.total == 1 {
			return hash.Hash(l.data[blobHeader:]), nil
		}
		if err := b.end(ctx, i); err != nil {
			return hash.Hash{}, err
		}
	}
}

func (b *blobWriter) piece(ctx context.Context, data []byte) (hash.Hash, error) {
	c := make([]byte, 0, blobHeader+len(data))
	c = append(c, byte(chunk.KindBlob), blobVersion, 0)
	return b.w.Put(ctx, append(c, data...))
}

// add appends a child to levels[i].
func (b *blobWriter) add(ctx context.Context, i int, h hash.Hash, size uint64) error {
	if i == len(b.levels) {
		b.levels = append(b.levels, &blobList{split: newSplitter(blobFanout, uint8(i)+1)})
	}
	l := b.levels[i]
	if len(l.data) == 0 {
		l.data = append(l.data, byte(chunk.KindBlob), blobVersion, byte(i)+1)
	}
	l.data = append(l.data, h[:]...)
	l.data = binary.LittleEndian.AppendUint64(l.data, size)
	l.size += size
	l.total++
	if l.split.addHash(binary.LittleEndian.Uint64(h[:]), 1) {
		return b.end(ctx, i)
	}
	return nil
}

// end finishes the open list of levels[i], if there is one.
func (b *blobWriter) end(ctx context.Context, i int) error {
	l := b.levels[i]
	if len(l.data) == 0 {
		return nil
	}
	data, size := l.data, l.size
	l.data, l.size = nil, 0
	l.split.reset()
	h, err := b.w.Put(ctx, data)
	if err != nil {
		return err
	}
	return b.add(ctx, i+1, h, size)
}

// openBlob verifies a chunk of a blob and splits it into its level and what follows the header.
func openBlob(data []byte) (level uint8, body []byte, err error) {
	if _, _, err := chunk.CheckKind(data, chunk.KindBlob, blobVersion); err != nil {
		return 0, nil, err
	}
	if len(data) < blobHeader {
		return 0, nil, errs.New(errs.Corrupt, "header of %d bytes", len(data))
	}
	level, body = data[2], data[blobHeader:]
	n := len(body) / blobEntry
	switch {
	case level == 0 && len(body) > maxPiece:
		return 0, nil, errs.New(errs.Corrupt, "piece of %d bytes", len(body))
	case level > 0 && (len(body)%blobEntry != 0 || n == 0 || n > maxBlobList):
		return 0, nil, errs.New(errs.Corrupt, "list of %d bytes", len(body))
	case level > maxLevel:
		return 0, nil, errs.New(errs.Corrupt, "level %d", level)
	}
	return level, body, nil
}

// loadBlob fetches and opens a chunk of a blob. want is its level, or -1 for a root, which may have any.
func loadBlob(ctx context.Context, r chunk.Reader, h hash.Hash, want int) (level uint8, body []byte, err error) {
	data, err := r.Get(ctx, h)
	if err != nil {
		return 0, nil, unread("blob chunk", h, err)
	}
	if level, body, err = openBlob(data); err != nil {
		return 0, nil, unread("blob chunk", h, err)
	}
	if want >= 0 && int(level) != want {
		return 0, nil, errs.New(errs.Corrupt, "read blob chunk %s: level %d where %d is due", h, level, want)
	}
	return level, body, nil
}

// ReadBlob is the value at addr, which the caller must not change.
func ReadBlob(ctx context.Context, r chunk.Reader, addr []byte) ([]byte, error) {
	b, err := OpenBlob(ctx, r, addr)
	if err != nil {
		return nil, err
	}
	if len(b.lists) == 0 {
		return b.piece[:len(b.piece):len(b.piece)], nil
	}
	// The stated length is not to be trusted before the bytes have come.
	return b.appendTo(make([]byte, 0, min(b.Size(), 1<<20)))
}

// AppendBlob appends the value at addr to dst and returns the longer slice. It is for those who read many values once: see
// chunk.Appender.
func AppendBlob(ctx context.Context, r chunk.Reader, dst, addr []byte) ([]byte, error) {
	if len(addr) != BlobAddrSize {
		return nil, errBlobAddr(addr)
	}
	h, size, at := hash.Hash(addr), binary.LittleEndian.Uint64(addr[hash.Size:]), len(dst)
	out, err := chunk.Append(ctx, r, dst, h)
	if err != nil {
		return nil, unread("blob chunk", h, err)
	}
	level, body, err := openBlob(out[at:])
	if err != nil {
		return nil, unread("blob chunk", h, err)
	}
	if level > 0 {
		b, err := OpenBlob(ctx, r, addr)
		if err != nil {
			return nil, err
		}
		return b.appendTo(out[:at])
	}
	if uint64(len(body)) != size {
		return nil, errBlobSize(h, uint64(len(body)), size)
	}
	return out[:at+copy(out[at:], body)], nil
}

// appendTo appends what is left of the value to dst.
func (b *BlobReader) appendTo(dst []byte) ([]byte, error) {
	for {
		piece, err := b.next()
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return nil, err
		}
		dst = append(dst, piece...)
	}
}

func errBlobAddr(addr []byte) error {
	return errs.New(errs.Corrupt, "read blob: an address has %d bytes", len(addr))
}

func errBlobSize(h hash.Hash, have, want uint64) error {
	return errs.New(errs.Corrupt, "read blob chunk %s: the value has %d bytes where %d are due", h, have, want)
}

// BlobReader reads a blob from start to end, one piece in memory at a time. It implements io.Reader.
type BlobReader struct {
	ctx   context.Context
	r     chunk.Reader
	size  uint64
	left  uint64
	lists []blobFrame
	piece []byte
}

// blobFrame is what is left of a list.
type blobFrame struct {
	level uint8
	body  []byte
}

// OpenBlob begins to read the blob at addr. The reader uses ctx for all it reads.
func OpenBlob(ctx context.Context, r chunk.Reader, addr []byte) (*BlobReader, error) {
	if len(addr) != BlobAddrSize {
		return nil, errBlobAddr(addr)
	}
	size := binary.LittleEndian.Uint64(addr[hash.Size:])
	b := &BlobReader{ctx: ctx, r: r, size: size, left: size}
	return b, b.load(hash.Hash(addr), -1, size)
}

// Size is the value's length in bytes.
func (b *BlobReader) Size() uint64 { return b.size }

// load takes a chunk that stands for size bytes of the value.
func (b *BlobReader) load(h hash.Hash, want int, size uint64) error {
	level, body, err := loadBlob(b.ctx, b.r, h, want)
	if err != nil {
		return err
	}
	have := uint64(len(body))
	if level > 0 {
		if have, err = listSize(body); err != nil {
			return unread("blob chunk", h, err)
		}
	}
	if have != size {
		return errBlobSize(h, have, size)
	}
	if level == 0 {
		b.piece = body
		return nil
	}
	b.lists = append(b.lists, blobFrame{level: level, body: body})
	return nil
}

// listSize is the length of the value below a list.
func listSize(body []byte) (sum uint64, err error) {
	for ; len(body) > 0; body = body[blobEntry:] {
		n := binary.LittleEndian.Uint64(body[hash.Size:])
		if n == 0 || sum+n < sum {
			return 0, errs.New(errs.Corrupt, "entry of %d bytes", n)
		}
		sum += n
	}
	return sum, nil
}

// next is the rest of the present piece, or the next one; io.EOF after the last.
func (b *BlobReader) next() ([]byte, error) {
	for len(b.piece) == 0 {
		d := len(b.lists) - 1
		if d < 0 {
			if b.left != 0 {
				return nil, errs.New(errs.Corrupt, "read blob: %d of %d bytes are missing", b.left, b.size)
			}
			return nil, io.EOF
		}
		f := &b.lists[d]
		if len(f.body) == 0 {
			b.lists = b.lists[:d]
			continue
		}
		e := f.body[:blobEntry]
		f.body = f.body[blobEntry:]
		if err := b.load(hash.Hash(e), int(f.level)-1, binary.LittleEndian.Uint64(e[hash.Size:])); err != nil {
			return nil, err
		}
	}
	p := b.piece
	b.piece = nil
	b.left -= uint64(len(p))
	return p, nil
}

// Read implements io.Reader.
func (b *BlobReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	piece, err := b.next()
	if err != nil {
		return 0, err
	}
	n := copy(p, piece)
	b.piece = piece[n:]
	b.left += uint64(len(b.piece))
	return n, nil
}

// WalkBlob visits every chunk of the blob with this root, parents first, in the order of the value. Pieces are opened only where
// the root's own kind is not known: a blob of one chunk.
func WalkBlob(ctx context.Context, r chunk.Reader, root hash.Hash, visit Visit) error {
	return walkBlob(ctx, r, root, -1, visit)
}

func walkBlob(ctx context.Context, r chunk.Reader, h hash.Hash, want int, visit Visit) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	descend, err := visit(h, LevelBlob, 0)
	if err != nil || !descend || want == 0 {
		return err
	}
	level, body, err := loadBlob(ctx, r, h, want)
	if err != nil || level == 0 {
		return err
	}
	for ; len(body) > 0; body = body[blobEntry:] {
		if err := walkBlob(ctx, r, hash.Hash(body), int(level)-1, visit); err != nil {
			return err
		}
	}
	return nil
}
