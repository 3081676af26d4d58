// Package sidefile keeps records in a file beside a database that is derived from it: one that may be missing, cut off or removed at any
// time, at the cost of making it anew.
package sidefile

import (
	"encoding/binary"
	"hash/crc32"
	"path/filepath"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/vfs"
)

// A file, integers little-endian:
//
//	8   the magic of its kind
//	4   version
//	then records:
//	4   bytes of the body
//	4   CRC-32C of the body
//	    body
//
// 1. Reading ends at the first record that is cut off, fails its CRC or is refused by the reader; the owner writes on from there.
// 2. A file with another beginning or version counts as empty, and so does one of more than its limit.
const (
	headerLen = 12
	frameLen  = 8
)

// Kind is what files of a kind have in common.
type Kind struct {
	Magic   string // 8 bytes
	Version uint32
	Limit   int64 // of a file, in bytes: one that has more is begun anew, since much of it is out of use
}

// File is a side file; without a path there is none. Its caller sees to it that calls do not overlap. An error of the file ends its use
// and nothing else.
type File struct {
	Kind     Kind
	FS       vfs.FS
	Path     string
	ReadOnly bool

	f    vfs.File // open for writing; nil before the first append
	size int64    // of the header and the good records; 0 when the file must be begun anew
	off  bool     // no more writing
}

// Load gives the bodies that the file holds to take, which refuses one by returning false. It may keep them.
func (x *File) Load(take func(body []byte) bool) {
	if x.Path == "" {
		x.off = true
		return
	}
	x.off = x.ReadOnly
	info, err := x.FS.Stat(x.Path)
	if errs.Is(err, errs.NotFound) || err == nil && info.Size > x.Kind.Limit {
		return
	}
	var data []byte
	if err == nil {
		data, err = vfs.ReadFile(x.FS, x.Path)
	}
	if err != nil {
		x.off = true
		return
	}
	x.size = int64(x.Kind.Decode(data, take))
}

// Append writes a record at the end. The file is never synced: the CRC tells what a crash has left.
func (x *File) Append(body []byte) {
	if x.off || x.Path == "" || x.ReadOnly || x.size > x.Kind.Limit {
		return
	}
	if err := x.write(AppendRecord(nil, body)); err != nil {
		x.Close()
	}
}

func (x *File) write(record []byte) error {
	if x.f == nil {
		if err := x.open(); err != nil {
			return err
		}
	}
	if _, err := x.f.WriteAt(record, x.size); err != nil {
		return err
	}
	x.size += int64(len(record))
	return nil
}

// open opens or makes the file and cuts off what is not good.
func (x *File) open() (err error) {
	if x.size > 0 {
		x.f, err = x.FS.OpenRW(x.Path)
	}
	if x.size == 0 || errs.Is(err, errs.NotFound) { // it may have been removed meanwhile
		x.size = 0
		x.f, err = x.FS.Create(x.Path)
	}
	if err != nil {
		x.f = nil
		return err
	}
	if x.size > 0 {
		return x.f.Truncate(x.size)
	}
	return x.write(x.Kind.Header())
}

// Clear takes all records away. A file that cannot be removed keeps them, for who loads it next.
func (x *File) Clear() {
	if x.off || x.Path == "" || x.ReadOnly {
		return
	}
	if x.f != nil {
		x.f.Close()
		x.f = nil
	}
	x.size = 0
	_ = x.FS.Remove(x.Path)
}

// Close ends the use of the file. What closing says of one that may be lost is of no interest.
func (x *File) Close() {
	x.off = true
	if x.f != nil {
		x.f.Close()
		x.f = nil
	}
}

// Remove removes the file, durably; it is begun anew with the next record.
func (x *File) Remove() error {
	if x.Path == "" || x.ReadOnly {
		return nil
	}
	x.Close()
	x.off, x.size = false, 0
	err := x.FS.Remove(x.Path)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return x.FS.SyncDir(filepath.Dir(x.Path))
}

// Header is what files of the kind begin with.
func (k Kind) Header() []byte { return binary.LittleEndian.AppendUint32([]byte(k.Magic), k.Version) }

// AppendRecord appends a record with this body.
func AppendRecord(dst, body []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(body)))
	dst = binary.LittleEndian.AppendUint32(dst, sum(body))
	return append(dst, body...)
}

// Decode gives the bodies of the good records at the beginning of a file to take, which refuses one by returning false, and returns the
// bytes that they and the header take; 0 when the header is not of the kind.
func (k Kind) Decode(data []byte, take func(body []byte) bool) int {
	if len(data) < headerLen || string(data[:headerLen]) != string(k.Header()) {
		return 0
	}
	at := headerLen
	for {
		b := data[at:]
		if len(b) < frameLen {
			return at
		}
		n := binary.LittleEndian.Uint32(b)
		if uint64(n) > uint64(len(b)-frameLen) {
			return at
		}
		body := b[frameLen : frameLen+int(n) : frameLen+int(n)]
		if sum(body) != binary.LittleEndian.Uint32(b[4:]) || !take(body) {
			return at
		}
		at += frameLen + int(n)
	}
}

func sum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }
