package pack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/vfs"
)

const (
	segmentHeader = 64
	segmentMagic  = "STMJRNL1"
	segmentExt    = ".jnl"
	tmpExt        = ".tmp"

	// A segment's file grows by its own size, between these two, and a new segment is begun when the next frame would reach
	// beyond maxSegment. Growth writes zeros, so that a commit changes bytes only and not the file's map of blocks.
	minGrow    = 256 << 10
	maxGrow    = 4 << 20
	maxSegment = 64 << 20

	// firstLSN is the position of the first frame of a new store, so that 0 can mean "none".
	firstLSN = 8
)

// segment is one file of the journal.
type segment struct {
	num   uint64 // in its name; later segments have higher numbers
	base  uint64 // LSN of its first frame
	epoch uint64 // of all its frames
	path  string
	f     vfs.File
}

// offset is the place of an LSN in the file.
func (s *segment) offset(lsn uint64) int64 { return segmentHeader + int64(lsn-s.base) }

func segmentName(num uint64) string { return fmt.Sprintf("%010d%s", num, segmentExt) }

// parseSegmentName is the number in a segment's name; ok is false for other files.
func parseSegmentName(name string) (uint64, bool) {
	digits, found := strings.CutSuffix(name, segmentExt)
	if !found || len(digits) != 10 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil
}

// encodeHeader is the first bytes of the segment's file.
func (s *segment) encodeHeader() []byte {
	le := binary.LittleEndian
	b := make([]byte, 0, segmentHeader)
	b = append(b, segmentMagic...)
	b = le.AppendUint64(b, s.num)
	b = le.AppendUint64(b, s.base)
	b = le.AppendUint64(b, s.epoch)
	b = b[:segmentHeader]
	le.PutUint32(b[60:], sum32(b[:60]))
	return b
}

// parseHeader reads what encodeHeader makes.
func (s *segment) parseHeader(b []byte) error {
	le := binary.LittleEndian
	if len(b) < segmentHeader || le.Uint32(b[60:]) != sum32(b[:60]) {
		return errs.New(errs.Corrupt, "its header is damaged")
	}
	if string(b[:8]) != segmentMagic {
		return errs.New(errs.TooNew, "its header is of an unknown format; use a newer stemma")
	}
	if n := le.Uint64(b[8:]); n != s.num {
		return errs.New(errs.Corrupt, "its header says number %d", n)
	}
	s.base, s.epoch = le.Uint64(b[16:]), le.Uint64(b[24:])
	if s.base < firstLSN || s.base%8 != 0 || s.base > math.MaxInt64 || s.epoch == 0 {
		return errs.New(errs.Corrupt, "its header says base %d, epoch %d", s.base, s.epoch)
	}
	return nil
}

// create writes the segment with the given frames, durably and under its name only when whole, and opens it. allocated is the
// length of the file. renamed tells whether its name may have become visible: if so and err is set, what the disk holds is unknown.
func (s *segment) create(fsys vfs.FS, frames []byte) (allocated int64, renamed bool, err error) {
	tmp := s.path + tmpExt
	defer func() {
		if err != nil {
			err = fmt.Errorf("create journal segment %s: %w", s.path, err)
			if !renamed {
				if rerr := fsys.Remove(tmp); !errs.Is(rerr, errs.NotFound) {
					err = errors.Join(err, rerr)
				}
			}
		}
	}()
	allocated = (segmentHeader + int64(len(frames)) + minGrow) / minGrow * minGrow
	if err := writeSegment(fsys, tmp, append(s.encodeHeader(), frames...), allocated); err != nil {
		return 0, false, err
	}
	if err := fsys.Rename(tmp, s.path); err != nil {
		return 0, true, err
	}
	if err := fsys.SyncDir(filepath.Dir(s.path)); err != nil {
		return 0, true, err
	}
	s.f, err = fsys.OpenRW(s.path)
	return allocated, true, err
}

// firstSegment makes the segment with which a store begins, durably. It has no frames and no room for any.
func firstSegment(fsys vfs.FS, dir string) error {
	s := &segment{num: 1, base: firstLSN, epoch: 1}
	return vfs.WriteFile(fsys, filepath.Join(dir, segmentName(s.num)), s.encodeHeader())
}

// writeSegment makes a synced file of data and zeros up to size.
func writeSegment(fsys vfs.FS, path string, data []byte, size int64) error {
	f, err := fsys.Create(path)
	if err != nil {
		return err
	}
	err = func() error {
		if _, err := f.WriteAt(data, 0); err != nil {
			return err
		}
		if n := size - int64(len(data)); n > 0 {
			if err := f.Preallocate(int64(len(data)), n); err != nil {
				return err
			}
		}
		return f.Sync()
	}()
	return errors.Join(err, f.Close())
}

// scan is what a walk over a segment's frames found.
type scan struct {
	end     uint64 // LSN behind the last frame
	durable uint64 // the highest durable_lsn of the frames, at least the segment's base
	closed  bool   // the last frame is frameEnd and ends with the file, or the file has no room for frames
}

// scanSegment walks the frames in data, the whole file, up to the LSN limit, which is where the next segment begins (or
// math.MaxUint64), and calls visit with each and its place in the file. It tells a torn tail from corruption:
//
//	a bad record at X is corruption when X is below limit, because a segment begins only when all before it is synced,
//	or when a later record of the segment says that it was written when X was already synced;
//	otherwise nothing behind X was ever acknowledged.
func scanSegment(s *segment, data []byte, limit uint64, visit func(f frame, off int64) error) (scan, error) {
	sc := scan{end: s.base, durable: s.base, closed: len(data) == segmentHeader}
	for sc.end < limit {
		off := s.offset(sc.end)
		if off > int64(len(data)) {
			break
		}
		f, size, ok := parseFrame(data[off:], sc.end, s.epoch)
		if !ok {
			break
		}
		if err := visit(f, off); err != nil {
			return sc, err
		}
		sc.end += uint64(size)
		sc.durable = max(sc.durable, min(f.durable, sc.end))
		sc.closed = f.typ == frameEnd && off+int64(size) == int64(len(data))
	}
	if limit != math.MaxUint64 {
		if sc.end != limit {
			return sc, s.corrupt(sc.end, errs.New(errs.Corrupt, "bad record, and the journal goes on at %d in the next segment", limit))
		}
		return sc, nil
	}
	for lsn := sc.end + 8; s.offset(lsn) < int64(len(data)); lsn += 8 {
		if f, _, ok := parseFrame(data[s.offset(lsn):], lsn, s.epoch); ok && f.durable > sc.end {
			return sc, s.corrupt(sc.end, errs.New(errs.Corrupt, "bad record, and the record at LSN %d says that it had been synced", lsn))
		}
	}
	return sc, nil
}

// corrupt names the place of a fault.
func (s *segment) corrupt(lsn uint64, err error) error {
	return fmt.Errorf("read journal segment %s at byte %d (LSN %d): %w", s.path, s.offset(lsn), lsn, err)
}

// listSegments is the numbers of the segments in a journal directory, ascending.
func listSegments(fsys vfs.FS, dir string) ([]uint64, error) {
	names, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []uint64
	for _, name := range names {
		if n, ok := parseSegmentName(name); ok {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}
