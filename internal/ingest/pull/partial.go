package pull

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Partial keeps the rows that a pull of a table has read, in blocks in the order of the key, in a file that outlives the pull when it does
// not come to its end. It is a cache: damage to it, or its loss, only means that rows are read again. It belongs to one goroutine.
//
// The file is a head, magic and the identity of the table, and blocks. Both are frames: length and CRC32C as uint32, little endian, then the
// payload. The payload of a block is its rows, each field as a uvarint, 0 for NULL, else its length plus one, and its bytes.
type Partial struct {
	fs   vfs.FS
	path string
	lock io.Closer
	head []byte
	cols int

	old   vfs.File // the file of a pull before, nil for none
	oldAt int64
	new   vfs.File // the file that is written; nil before the first block
	newAt int64
}

// partialMagic begins the files of Partials; its last byte is the version.
const partialMagic = "stemma pull\x01"

// OpenPartial opens the rows of the table that a pull has left in the directory, or begins to keep them there. It is nil when another process
// is pulling the same table. It must be closed.
func OpenPartial(fs vfs.FS, dir, source string, t *Table) (_ *Partial, err error) {
	id := fmt.Appendf([]byte(partialMagic), "%q %q %q", databaseOf(source), t.query, t.Key)
	for _, c := range t.Columns {
		id = fmt.Appendf(id, " %q %q", c.Name, c.Type.String())
	}
	if err := fs.MkdirAll(dir); err != nil {
		return nil, err
	}
	p := &Partial{fs: fs, path: filepath.Join(dir, hash.Sum(id).String()), head: id, cols: len(t.Columns)}
	if p.lock, err = fs.Lock(p.path + ".lock"); errs.Is(err, errs.Locked) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if p.old, err = fs.OpenRW(p.path); errs.Is(err, errs.NotFound) {
		return p, nil
	} else if err != nil {
		return nil, errors.Join(err, p.lock.Close())
	}
	head, err := p.frame(p.old, &p.oldAt)
	if err == nil && !bytes.Equal(head, id) {
		err = errors.Join(p.old.Close(), fs.Remove(p.path))
		p.old = nil
	}
	if err != nil {
		err = errors.Join(err, p.Close())
	}
	return p, err
}

// databaseOf is the name of the database of an address. The server's is not of importance: it may be reached in other ways the next time,
// and rows that are not its own have other digests.
func databaseOf(source string) string {
	u, err := url.Parse(source)
	if err != nil {
		return ""
	}
	return u.Path
}

// frame reads the frame at an offset and moves it on; what is torn or damaged is the end, a nil payload.
func (p *Partial) frame(f vfs.File, at *int64) ([]byte, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	var b [8]byte
	if *at+int64(len(b)) > size {
		return nil, nil
	}
	if _, err := f.ReadAt(b[:], *at); err != nil {
		return nil, err
	}
	n := int64(binary.LittleEndian.Uint32(b[:]))
	if n > size-*at-int64(len(b)) {
		return nil, nil
	}
	payload := make([]byte, n)
	if _, err := f.ReadAt(payload, *at+int64(len(b))); err != nil {
		return nil, err
	}
	if crc32.Checksum(payload, crc32.MakeTable(crc32.Castagnoli)) != binary.LittleEndian.Uint32(b[4:]) {
		return nil, nil
	}
	*at += int64(len(b)) + n
	return payload, nil
}

// next is the next block of a pull before: the fields of its rows; nil is the end.
func (p *Partial) next() (rows [][][]byte, err error) {
	if p.old == nil {
		return nil, nil
	}
	b, err := p.frame(p.old, &p.oldAt)
	if err != nil || len(b) == 0 {
		return nil, err
	}
	for len(b) > 0 {
		row := make([][]byte, p.cols)
		for i := range row {
			n, k := binary.Uvarint(b)
			if k <= 0 || n > 0 && n-1 > uint64(len(b)-k) {
				return nil, nil // damaged in a way that the checksum does not show
			}
			b = b[k:]
			if n > 0 {
				row[i] = b[: n-1 : n-1]
				b = b[n-1:]
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// keep appends a block.
func (p *Partial) keep(block []byte) error {
	if len(block) == 0 {
		return nil
	}
	if p.new == nil {
		name := p.path
		if p.old != nil {
			name += ".new"
		}
		var err error
		if p.new, err = p.fs.Create(name); err != nil {
			return err
		}
		if err := p.write(p.head); err != nil {
			return err
		}
	}
	return p.write(block)
}

func (p *Partial) write(payload []byte) error {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(payload, crc32.MakeTable(crc32.Castagnoli)))
	b = append(b, payload...)
	if _, err := p.new.WriteAt(b, p.newAt); err != nil {
		return err
	}
	p.newAt += int64(len(b))
	return nil
}

// replayed puts what has been kept anew, now that it has all of use of the old file, in that one's place.
func (p *Partial) replayed() error {
	if p.old == nil {
		return nil
	}
	err := p.old.Close()
	p.old = nil
	if err == nil && p.new != nil {
		err = p.fs.Rename(p.path+".new", p.path)
	} else if err == nil {
		err = p.fs.Remove(p.path)
	}
	return err
}

// Remove forgets the rows: the pull has come to its end. The Partial must be closed still.
func (p *Partial) Remove() error {
	err := p.files()
	for _, name := range []string{p.path, p.path + ".new"} {
		if e := p.fs.Remove(name); e != nil && !errs.Is(e, errs.NotFound) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// files closes the files.
func (p *Partial) files() error {
	var err error
	for _, f := range []*vfs.File{&p.old, &p.new} {
		if *f != nil {
			err = errors.Join(err, (*f).Close())
			*f = nil
		}
	}
	return err
}

// Close leaves the rows for the next pull.
func (p *Partial) Close() error { return errors.Join(p.files(), p.lock.Close()) }

// Sweep removes what pulls have left in the directory and no pull has gone on with since a time: nobody is going to. What a pull has open
// stays.
func Sweep(fs vfs.FS, dir string, since time.Time) error {
	names, err := fs.ReadDir(dir)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		info, err := fs.Stat(path)
		if err != nil || info.Modified.IsZero() || !info.Modified.Before(since) || strings.HasSuffix(name, ".lock") {
			continue // or another process has removed it
		}
		lock, err := fs.Lock(strings.TrimSuffix(path, ".new") + ".lock")
		if errs.Is(err, errs.Locked) {
			continue
		}
		if err != nil {
			return err
		}
		if err = fs.Remove(path); errs.Is(err, errs.NotFound) {
			err = nil
		}
		if err := errors.Join(err, lock.Close()); err != nil {
			return err
		}
	}
	return nil
}

// appendRow appends a row to a block.
func appendRow(dst []byte, fields [][]byte) []byte {
	for _, f := range fields {
		if f == nil {
			dst = append(dst, 0)
			continue
		}
		dst = binary.AppendUvarint(dst, uint64(len(f))+1)
		dst = append(dst, f...)
	}
	return dst
}
