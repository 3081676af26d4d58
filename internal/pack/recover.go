package pack

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/vfs"
)

// openJournal makes the journal of a directory writable. After a clean close it goes on where the last segment ends. Otherwise
// the frames that may never have reached the disk, though they can be read, are copied into a new synced segment of a new epoch, which
// replaces the last one from there on. So a reader's view before and after is the same, and what follows a torn frame is gone.
func (l *loaded) openJournal(fsys vfs.FS, dir string, began func(*segment)) (*journal, error) {
	j := &journal{fsys: fsys, dir: filepath.Join(dir, journalDir), began: began, epoch: 1, next: l.end, point: l.point}
	last := l.segs[len(l.segs)-1]
	j.seg, j.epoch, j.allocated = last, last.epoch, int64(len(l.last))
	if l.closed {
		j.written.Store(j.next)
		j.durable.Store(j.next)
		return j, nil
	}
	tail, err := l.readdress(last.epoch + 1)
	if err != nil {
		return nil, err
	}
	j.epoch++
	j.next = l.durable
	if err := j.begin(tail); err != nil {
		return nil, err
	}
	return j, nil
}

// readdress is the frames from l.durable on, as frames of another epoch. Their LSNs stay.
func (l *loaded) readdress(epoch uint64) ([]byte, error) {
	last := l.segs[len(l.segs)-1]
	out := make([]byte, 0, l.end-l.durable)
	for lsn := l.durable; lsn < l.end; {
		f, size, ok := parseFrame(l.last[last.offset(lsn):], lsn, last.epoch)
		if !ok {
			return nil, last.corrupt(lsn, errs.New(errs.Corrupt, "a durable_lsn that is not the beginning of a record"))
		}
		f.epoch, f.durable = epoch, l.durable
		out = appendFrame(out, f)
		lsn += uint64(size)
	}
	return out, nil
}

// move lets the locations of chunks point into the segment that replaces the end of the last one.
func (l *loaded) move(to *segment) {
	from := l.segs[len(l.segs)-1]
	for h, loc := range l.chunks {
		if lsn := from.base + uint64(loc.off-segmentHeader); loc.seg == from && lsn >= to.base {
			loc.seg, loc.off = to, to.offset(lsn)
			l.chunks[h] = loc
		}
	}
}

// retire drops the last segment when to replaces all of it.
func (l *loaded) retire(to *segment) error {
	n := len(l.segs) - 1
	last := l.segs[n]
	if last.base < to.base {
		return nil
	}
	l.segs = l.segs[:n]
	l.dead = append(l.dead, last.path)
	return last.f.Close()
}

// sweep removes what an unclean stop left: half-written files and replaced segments.
func (l *loaded) sweep(ctx context.Context, fsys vfs.FS, dir string) error {
	for _, sub := range []string{journalDir, packsDir} {
		names, err := fsys.ReadDir(filepath.Join(dir, sub))
		if err != nil {
			return fmt.Errorf("list %s: %w", sub, err)
		}
		for _, name := range names {
			if err := ctx.Err(); err != nil {
				return errs.With(errs.Canceled, err)
			}
			if strings.HasSuffix(name, tmpExt) {
				if err := fsys.Remove(filepath.Join(dir, sub, name)); err != nil {
					return fmt.Errorf("remove what an interrupted run left: %w", err)
				}
			}
		}
	}
	err := fsys.Remove(filepath.Join(dir, formatFile+tmpExt))
	if errs.Is(err, errs.NotFound) {
		err = nil
	}
	for _, path := range l.dead {
		err = errors.Join(err, fsys.Remove(path))
	}
	if err != nil {
		return fmt.Errorf("remove replaced journal segments: %w", err)
	}
	return nil
}
