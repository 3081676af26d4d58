package pack

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Revival is what Revive has done.
type Revival struct {
	Fault error  // what had made the journal unreadable, with its place
	Lost  int64  // bytes that the journal has no more, with the room for records at its end
	Aside string // directory that has the files as they were
}

// AsidePrefix begins the names of directories that have what Revive took out of a store.
const AsidePrefix = "damaged-"

// Revive makes a store readable whose journal is damaged in the middle: the journal then ends before the first record that cannot be
// read. A damaged header of a segment is made anew by the record behind it. What was written later is lost; the files as they were
// stay in a directory beside. The caller holds the directory's lock. A nil Revival without an error: the journal is whole, and nothing
// was changed. Class Corrupt: what could be read is no store, and nothing was changed.
func Revive(ctx context.Context, fsys vfs.FS, dir string) (*Revival, error) {
	r := &reviver{fsys: fsys, dir: dir, codecs: newCodecs()}
	r.l.chunks = map[hash.Hash]location{}
	out, err := r.revive(ctx)
	if err = errors.Join(err, r.l.close(nil)); err != nil {
		return nil, fmt.Errorf("revive the journal in %s: %w", dir, err)
	}
	return out, nil
}

// reviver is one run of Revive.
type reviver struct {
	fsys   vfs.FS
	dir    string
	codecs *codecs

	l     loaded   // what can be read of the journal
	datas [][]byte // of the segments in l
	anew  []bool   // whether the segment's header was made anew
	rest  []string // paths of segments behind those in l
	first uint64   // LSN with which the journal begins
	fault error
}

func (r *reviver) revive(ctx context.Context) (*Revival, error) {
	if _, err := checkFormat(r.fsys, r.dir, false); err != nil {
		return nil, err
	}
	if err := r.readSegments(); err != nil {
		return nil, err
	}
	if err := r.l.openPacks(ctx, r.fsys, filepath.Join(r.dir, packsDir), nil, nil); err != nil {
		return nil, err
	}
	n, keep, err := r.readable(ctx)
	switch {
	case err != nil:
		return nil, err
	case r.fault == nil:
		return nil, nil
	case n < 0:
		return nil, errs.New(errs.Corrupt, "none of it can be read: %w", r.fault)
	case r.first != firstLSN && r.l.state == nil:
		return nil, errs.New(errs.Corrupt, "what could be read of it is not a state of the database: %w", r.fault)
	}
	out := &Revival{Fault: r.fault}
	if out.Aside, err = r.setAside(); err != nil {
		return nil, err
	}
	out.Lost, err = r.cut(n, keep)
	return out, err
}

// readSegments reads the segments, up to one whose header can neither be read nor be made anew.
func (r *reviver) readSegments() error {
	dir := filepath.Join(r.dir, journalDir)
	nums, err := listSegments(r.fsys, dir)
	if err != nil {
		return err
	}
	for i, num := range nums {
		s := &segment{num: num, path: filepath.Join(dir, segmentName(num))}
		data, err := vfs.ReadFile(r.fsys, s.path)
		if err != nil {
			return err
		}
		anew := false
		if err := s.parseHeader(data); errs.Is(err, errs.Corrupt) {
			if r.fault == nil {
				r.fault = fmt.Errorf("open journal segment %s: %w", s.path, err)
			}
			if anew = s.headerBy(data); !anew {
				for _, n := range nums[i:] {
					r.rest = append(r.rest, filepath.Join(dir, segmentName(n)))
				}
				return nil
			}
		} else if err != nil {
			return err
		}
		if s.f, err = r.fsys.Open(s.path); err != nil {
			return err
		}
		r.l.segs, r.datas, r.anew = append(r.l.segs, s), append(r.datas, data), append(r.anew, anew)
	}
	return nil
}

// headerBy makes the header anew by the first frame of the segment; it tells whether there is one.
func (s *segment) headerBy(data []byte) bool {
	if len(data) < segmentHeader+frameHeader {
		return false
	}
	le := binary.LittleEndian
	lsn, epoch := le.Uint64(data[segmentHeader+8:]), le.Uint64(data[segmentHeader+16:])
	if _, _, ok := parseFrame(data[segmentHeader:], lsn, epoch); !ok {
		return false
	}
	s.base, s.epoch = lsn, epoch
	copy(data, s.encodeHeader())
	return true
}

// readable reads what can be read: the segments before the n-th wholly, and keep bytes of that. n is below 0 when that is nothing.
func (r *reviver) readable(ctx context.Context) (n int, keep int64, err error) {
	var live []int
	for i, s := range r.l.segs {
		if !slices.ContainsFunc(r.l.segs[i+1:], func(later *segment) bool { return later.base <= s.base }) {
			live = append(live, i) // else a later one replaces it
		}
	}
	n = -1
	for k, i := range live {
		if err := ctx.Err(); err != nil {
			return 0, 0, errs.With(errs.Canceled, err)
		}
		s := r.l.segs[i]
		if k == 0 {
			r.first = s.base
			r.l.known = s.base == firstLSN
		}
		limit := uint64(math.MaxUint64)
		if k+1 < len(live) {
			limit = r.l.segs[live[k+1]].base
		}
		sc, err := scanSegment(s, r.datas[i], limit, func(f frame, off int64) error {
			if err := r.l.frame(s, f, off, r.codecs); err != nil {
				return s.corrupt(f.lsn, err)
			}
			return nil
		})
		n, keep = i, int64(len(r.datas[i]))
		if errs.Is(err, errs.Corrupt) {
			if r.fault == nil || !r.anew[i] {
				r.fault = err
			}
			return i, s.offset(sc.end), nil
		}
		if err != nil {
			return 0, 0, err
		}
	}
	return n, keep, nil
}

// setAside keeps the segments, and the packs that the readable part of the journal does not list, as they are.
func (r *reviver) setAside() (string, error) {
	paths := slices.Clone(r.rest)
	for _, s := range r.l.segs {
		paths = append(paths, s.path)
	}
	if r.l.known {
		for _, p := range r.l.packs {
			if !r.l.has(p.ft.digest) {
				paths = append(paths, p.path)
			}
		}
	}
	return SetAside(r.fsys, r.dir, paths)
}

// cut ends the journal behind keep bytes of the n-th segment. Files are written under another name first, so that those set aside stay
// as they are. The last segments go first: until it is done the journal is as damaged as it was.
func (r *reviver) cut(n int, keep int64) (lost int64, err error) {
	remove := func(path string) error {
		info, err := r.fsys.Stat(path)
		if err != nil {
			return err
		}
		lost += info.Size
		return r.fsys.Remove(path)
	}
	for _, path := range slices.Backward(r.rest) {
		if err := remove(path); err != nil {
			return lost, err
		}
	}
	for i := len(r.l.segs) - 1; i > n; i-- {
		if err := remove(r.l.segs[i].path); err != nil {
			return lost, err
		}
	}
	for i := n; i >= 0; i-- {
		data := r.datas[i]
		if i == n {
			lost += int64(len(data)) - keep
			data = data[:keep]
		}
		if len(data) == len(r.datas[i]) && !r.anew[i] {
			continue
		}
		if err := vfs.WriteFile(r.fsys, r.l.segs[i].path, data); err != nil {
			return lost, err
		}
	}
	return lost, r.fsys.SyncDir(filepath.Join(r.dir, journalDir))
}
