package pack

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	gohash "hash"
	"slices"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/stripe"
	"github.com/stemmadb/stemma/internal/vfs"
)

func leUint32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }

// writer writes one pack. It is used by one goroutine at a time; chunks can be read back after flush. After an error it can only
// be aborted.
type writer struct {
	fsys    vfs.FS
	path    string
	f       vfs.File
	off     int64 // bytes in the file, buf not counted
	buf     []byte
	entries []entry
	at      map[hash.Hash]int // positions in entries
	sum     gohash.Hash
	dict    *Dictionary // the pack's; nil for none
	blocks  []stripe.Block
}

// writeBlock is how many bytes a writer collects before it writes.
const writeBlock = 1 << 20

// newWriter begins a pack in a new file.
func newWriter(fsys vfs.FS, path string) (*writer, error) {
	f, err := fsys.Create(path)
	if err != nil {
		return nil, fmt.Errorf("write pack %s: %w", path, err)
	}
	w := &writer{fsys: fsys, path: path, f: f, at: map[hash.Hash]int{}, sum: sha256.New()}
	w.begin(packVersion)
	return w, nil
}

// begin writes the header.
func (w *writer) begin(version uint32) {
	w.buf = append(w.buf[:0], packMagic...)
	w.buf = binary.LittleEndian.AppendUint32(w.buf, version)
	w.buf = append(w.buf, 0, 0, 0, 0)
}

// use makes the pack, which has no chunks yet, one whose chunks may need that dictionary.
func (w *writer) use(d *Dictionary) error {
	w.begin(dictVersion)
	w.dict = d
	return w.add(d.encoded())
}

// version is that of the pack's format.
func (w *writer) version() uint32 {
	switch {
	case w.dict != nil:
		return dictVersion
	case len(w.blocks) > 0:
		return stripes
	}
	return packVersion
}

// addBlock appends a block of pages, none of which is there, and empties b. The pack is a striped one then.
func (w *writer) addBlock(b *stripe.Builder) error {
	if w.dict != nil || uint64(len(w.entries)+b.Pages()) >= 1<<32-1 || b.Pages() >= inBlock {
		return errs.New(errs.Internal, "write pack %s: no block can be in it", w.path)
	}
	off := w.size()
	for i, h := range b.Hashes() {
		w.at[h] = len(w.entries)
		w.entries = append(w.entries, entry{prefix: prefixOf(h), off: uint64(off), length: inBlock | uint32(i)})
		w.sum.Write(h[:])
	}
	var block stripe.Block
	block, w.buf = b.Finish(off, w.buf)
	w.blocks = append(w.blocks, block)
	if len(w.buf) >= writeBlock {
		return w.flush()
	}
	return nil
}

// add appends a chunk unless it is there.
func (w *writer) add(e encoded) error {
	if _, ok := w.at[e.hash]; ok {
		return nil
	}
	if e.codec == codecDict && (w.dict == nil || e.dict == nil || e.dict.hash != w.dict.hash) {
		return errs.New(errs.Internal, "write pack %s: chunk %s needs a dictionary that is not in it", w.path, e.hash)
	}
	if uint64(len(w.entries)) >= 1<<32-1 {
		return errs.New(errs.Unsupported, "write pack %s: too many chunks", w.path)
	}
	w.at[e.hash] = len(w.entries)
	w.entries = append(w.entries, entry{prefix: prefixOf(e.hash), off: uint64(w.size()), length: uint32(len(e.data))})
	w.sum.Write(e.hash[:])
	if len(w.buf) >= writeBlock/16 && cap(w.buf) < writeBlock { // no small pack: it is going to be full
		w.buf = slices.Grow(w.buf, writeBlock+writeBlock/16-len(w.buf))
	}
	w.buf = appendRecord(w.buf, e)
	if len(w.buf) >= writeBlock {
		return w.flush()
	}
	return nil
}

// size is the number of bytes so far.
func (w *writer) size() int64 { return w.off + int64(len(w.buf)) }

// flush writes what was collected.
func (w *writer) flush() error {
	if _, err := w.f.WriteAt(w.buf, w.off); err != nil {
		return fmt.Errorf("write pack %s: %w", w.path, err)
	}
	w.off += int64(len(w.buf))
	w.buf = w.buf[:0]
	return nil
}

// get reads a chunk back; all chunks must have been flushed.
func (w *writer) get(h hash.Hash) (e encoded, ok bool, err error) {
	i, ok := w.at[h]
	if !ok {
		return e, false, nil
	}
	x := w.entries[i]
	buf := make([]byte, recordHeader+int(x.length))
	if err := readFull(w.f, buf, int64(x.off)); err != nil {
		return e, true, fmt.Errorf("read pack %s at byte %d: %w", w.path, x.off, err)
	}
	e, err = parseRecord(buf)
	return e, true, err
}

// finish ends the pack, durably, and opens it for reading.
func (w *writer) finish(ctx context.Context) (*file, error) {
	if _, err := w.end(ctx); err != nil {
		return nil, err
	}
	if err := w.f.Sync(); err != nil {
		return nil, fmt.Errorf("sync pack %s: %w", w.path, err)
	}
	return w.reopen()
}

// end writes index and footer, which it returns.
func (w *writer) end(ctx context.Context) (footer, error) {
	if err := ctx.Err(); err != nil {
		return footer{}, errs.With(errs.Canceled, err)
	}
	ft := footer{indexOff: uint64(w.size()), count: uint32(len(w.entries)), version: w.version()}
	w.sum.Sum(ft.hashes[:0])
	x := newIndex(w.entries)
	if x.blocks = w.blocks; len(x.blocks) > 0 {
		if err := w.striped(); err != nil {
			return footer{}, err
		}
	}
	w.buf = append(w.buf, encodeTail(x, &ft)...)
	return ft, w.flush()
}

// striped gives the pack's header, which was that of another, the version of packs with blocks.
func (w *writer) striped() error {
	version := binary.LittleEndian.AppendUint32(nil, stripes)
	if w.off == 0 {
		copy(w.buf[len(packMagic):], version)
		return nil
	}
	if _, err := w.f.WriteAt(version, int64(len(packMagic))); err != nil {
		return fmt.Errorf("write pack %s: %w", w.path, err)
	}
	return nil
}

// reopen opens the pack that has ended for reading.
func (w *writer) reopen() (*file, error) {
	if err := w.f.Close(); err != nil {
		return nil, fmt.Errorf("close pack %s: %w", w.path, err)
	}
	w.f = nil
	return openPack(w.fsys, w.path, false)
}

// abort drops the pack and its file.
func (w *writer) abort() error {
	var err error
	if w.f != nil {
		err = w.f.Close()
		w.f = nil
	}
	return errors.Join(err, w.fsys.Remove(w.path))
}
