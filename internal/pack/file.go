package pack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/vfs"
)

// file is an open pack. Its index is in memory; records are read from the file. It may be used by many goroutines, also while it
// is closed: reads then fail with an error that is fs.ErrClosed.
type file struct {
	path string
	name string // base32 of the digest, which a published pack is named after
	size int64
	ft   footer
	idx  *index
	f    vfs.File
	dict atomic.Pointer[readOnce] // of the dictionary
}

const packExt = ".pack"

// openPack opens a pack and reads its footer and index. A published pack must be named after its digest.
func openPack(fsys vfs.FS, path string, published bool) (p *file, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("open pack %s: %w", path, err)
		}
	}()
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size < packHeader+footerSize {
		return nil, errs.New(errs.Corrupt, "it has only %d bytes", size)
	}
	end := make([]byte, footerSize)
	if err := readFull(f, end, size-footerSize); err != nil {
		return nil, err
	}
	ft, err := parseFooter(end, size, dictVersion)
	if err != nil {
		return nil, err
	}
	tail := make([]byte, size-int64(ft.indexOff))
	if err := readFull(f, tail, int64(ft.indexOff)); err != nil {
		return nil, err
	}
	idx, err := parseTail(tail, ft)
	if err != nil {
		return nil, err
	}
	p = &file{path: path, name: ft.digest.Full(), size: size, ft: ft, idx: idx, f: f}
	if published && strings.TrimSuffix(filepath.Base(path), packExt) != p.name {
		return nil, errs.New(errs.Corrupt, "its name is not the hash of its index, %s", p.name)
	}
	return p, nil
}

// readFull reads len(b) bytes at off; a file that ends before is of class Corrupt.
func readFull(f io.ReaderAt, b []byte, off int64) error {
	n, err := f.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return errs.New(errs.Corrupt, "it ends at byte %d, before byte %d", off+int64(n), off+int64(len(b)))
	}
	return err
}

// get finds the stored form of a chunk; ok is false when it is not in this pack. The bytes are in m unless it is nil.
func (p *file) get(h hash.Hash, m *readMemory) (e encoded, off uint64, ok bool, err error) {
	prefix := prefixOf(h)
	i, ok := p.idx.find(prefix)
	// Two hashes may share a prefix; the record tells them apart.
	for ; ok && i < p.idx.len() && p.idx.prefix(i) == prefix; i++ {
		off = p.idx.off(i)
		buf, err := m.record(p, off, recordHeader+int(p.idx.length(i)))
		if err != nil {
			return e, off, true, p.at(off, err)
		}
		if e, err = parseRecord(buf); err != nil {
			return e, off, true, p.at(off, err)
		}
		if e.hash == h {
			err = p.supply(&e)
			return e, off, true, err
		}
	}
	return encoded{}, 0, false, nil
}

// has tells whether the chunk is in this pack. The record's header is read, because a prefix alone can be forged.
func (p *file) has(h hash.Hash) (bool, error) {
	prefix := prefixOf(h)
	i, ok := p.idx.find(prefix)
	if !ok { // as a rule, and without memory for a header
		return false, nil
	}
	return p.hasAt(h, prefix, i)
}

// hasAt is has from position i of the index on.
func (p *file) hasAt(h hash.Hash, prefix uint64, i int) (bool, error) {
	var buf [hash.Size]byte
	for ; i < p.idx.len() && p.idx.prefix(i) == prefix; i++ {
		if err := readFull(p.f, buf[:], int64(p.idx.off(i))); err != nil {
			return false, p.at(p.idx.off(i), err)
		}
		if hash.Hash(buf) == h {
			return true, nil
		}
	}
	return false, nil
}

func (p *file) at(off uint64, err error) error {
	return fmt.Errorf("read pack %s at byte %d: %w", p.path, off, err)
}

// each walks the records in the order of the file. header calls get e.data nil and are cheap; with whole set the CRC is
// verified and e.data is valid until fn returns. A record that cannot be parsed ends the walk with an error.
func (p *file) each(ctx context.Context, whole bool, fn func(e encoded, off uint64) error) error {
	return p.between(ctx, packHeader, int64(p.ft.indexOff), whole, fn)
}

// between is each from the record at byte from up to byte to, where one ends.
func (p *file) between(ctx context.Context, from, to int64, whole bool, fn func(e encoded, off uint64) error) error {
	r := &window{f: p.f, end: to}
	for off := from; off < to; {
		if err := ctx.Err(); err != nil {
			return errs.With(errs.Canceled, err)
		}
		head, err := r.bytes(off, recordHeader)
		if err != nil {
			return p.at(uint64(off), err)
		}
		h, length, err := parseRecordHeader(head)
		if err != nil {
			return p.at(uint64(off), err)
		}
		e := encoded{hash: h, raw: leUint32(head[32:]), codec: head[40]}
		size := recordHeader + int64(length)
		if whole {
			rec, err := r.bytes(off, size)
			if err != nil {
				return p.at(uint64(off), err)
			}
			if e, err = parseRecord(rec); err != nil {
				return p.at(uint64(off), err)
			}
			// Without its dictionary a chunk is as damaged as that: whoever decodes it is told.
			if err := p.supply(&e); err != nil && !errs.Is(err, errs.Corrupt) {
				return err
			}
		}
		if err := fn(e, uint64(off)); err != nil {
			return err
		}
		off += size
	}
	return nil
}

// lists tells whether the index has this very entry.
func (x *index) lists(h hash.Hash, off uint64, length uint32) bool {
	_, ok := x.listed(h, off, length)
	return ok
}

// listed is where the index has this very entry.
func (x *index) listed(h hash.Hash, off uint64, length uint32) (i int, ok bool) {
	p := prefixOf(h)
	i, ok = x.find(p)
	for ; ok && i < x.len() && x.prefix(i) == p; i++ {
		if x.off(i) == off && x.length(i) == length {
			return i, true
		}
	}
	return 0, false
}

// rename moves the file of a pack that nobody reads. It is closed meanwhile, and after an error.
func (p *file) rename(fsys vfs.FS, path string) error {
	if err := p.f.Close(); err != nil {
		return err
	}
	if err := fsys.Rename(p.path, path); err != nil {
		return err
	}
	p.path = path
	f, err := fsys.Open(path)
	if err != nil {
		return err
	}
	p.f = f
	return nil
}

func (p *file) close() error { return p.f.Close() }

// window reads a file forward through a buffer.
type window struct {
	f     io.ReaderAt
	end   int64 // nothing is read from here on
	ahead int64 // how much is read at a time; 0 for windowSize
	start int64 // of buf in the file
	buf   []byte
}

const windowSize = 1 << 20

// bytes is n bytes at off, valid until the next call.
func (w *window) bytes(off, n int64) ([]byte, error) {
	if off+n > w.end {
		return nil, errs.New(errs.Corrupt, "a record reaches beyond byte %d", w.end)
	}
	if off < w.start || off+n > w.start+int64(len(w.buf)) {
		size := min(max(n, cmp.Or(w.ahead, windowSize)), w.end-off)
		if int64(cap(w.buf)) < size {
			w.buf = make([]byte, size)
		}
		w.buf = w.buf[:size]
		w.start = off
		if err := readFull(w.f, w.buf, off); err != nil {
			w.buf = w.buf[:0]
			return nil, err
		}
	}
	at := off - w.start
	return w.buf[at : at+n : at+n], nil
}
