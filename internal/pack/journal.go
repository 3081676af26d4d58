package pack

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/invariants"
	"github.com/stemmadb/stemma/internal/vfs"
)

// maxPending is how many bytes of frames may wait in memory before Append itself writes and syncs them.
const maxPending = 4 << 20

// journal appends frames to segments and makes them durable in groups.
//
// Frames are numbered and collected in memory under mu (append). The first goroutine that waits for one of them becomes the
// leader of a round: it takes all frames collected so far, writes and syncs them without holding mu, and wakes the others; what
// was collected meanwhile is the next round's. So one sync serves all frames that arrived during the last one, and a lone writer
// pays no hand-over between goroutines.
type journal struct {
	fsys vfs.FS
	dir  string
	// began is called with each new segment, under mu and before any frame can be appended to it.
	began func(*segment)

	mu        sync.Mutex
	seg       *segment // the one that is appended to
	touched   bool     // seg was written since the journal was opened
	allocated int64    // length of seg's file
	epoch     uint64
	next      uint64        // LSN of the next frame
	pending   []byte        // the frames that end at next
	writing   []byte        // the frames before pending that the round is writing
	spare     []byte        // a buffer for the next round
	round     *round        // the round that runs, or nil
	queued    int           // frames in pending
	before    int           // frames in the last round
	crowd     int           // frames that a round should have: half of the last two rounds'
	pace      time.Duration // about the time that a round takes
	broken    error         // set when what is on the disk is unknown; ends all writing
	point     uint64        // LSN of the last checkpoint's frame, or of the journal's beginning

	written atomic.Uint64 // all frames below it can be read from their files
	durable atomic.Uint64 // all frames below it are synced
}

// round is one write and sync.
type round struct{ done chan struct{} }

// append numbers a frame and queues it. placed, which may be nil, is called under the journal's lock with the frame's segment and the place of its
// payload in the segment's file. When there is no room the error is of class NoSpace and the journal is as before.
func (j *journal) append(ctx context.Context, typ uint8, payload []byte, placed func(seg *segment, off int64)) (uint64, error) {
	j.mu.Lock()
	if err := j.room(frameSize(len(payload))); err != nil {
		j.mu.Unlock()
		return 0, fmt.Errorf("append to the journal: %w", err)
	}
	lsn := j.next
	j.push(typ, payload)
	if placed != nil {
		placed(j.seg, j.seg.offset(lsn)+frameHeader)
	}
	full := len(j.pending) >= maxPending
	j.mu.Unlock()
	if full {
		// The frame is queued: giving up now would report as failed what will be there.
		return lsn, j.wait(context.WithoutCancel(ctx), lsn)
	}
	return lsn, nil
}

// push queues a frame for which there is room.
func (j *journal) push(typ uint8, payload []byte) {
	invariants.Check(j.seg.offset(j.next)+int64(frameSize(len(payload))) <= j.allocated, "frame at LSN %d reaches beyond its file", j.next)
	f := frame{lsn: j.next, epoch: j.epoch, durable: j.durable.Load(), typ: typ, payload: payload}
	j.pending = appendFrame(j.pending, f)
	j.touched = true
	j.queued++
	j.next += uint64(frameSize(len(payload)))
}

// room makes sure that size more bytes fit into the segment's file, beginning a new segment if need be. It may release mu
// for a while, so the segment and next are to be read after it.
func (j *journal) room(size int) error {
	for {
		if j.broken != nil {
			return j.broken
		}
		if j.seg.offset(j.next)+int64(size) > maxSegment {
			if !j.settle() {
				continue // others may have appended or begun a segment meanwhile
			}
			if j.broken != nil {
				return j.broken
			}
			if err := j.begin(nil); err != nil {
				return err
			}
			continue
		}
		return j.grow(size)
	}
}

// reserve makes sure that the next frame, of size bytes, fits.
func (j *journal) reserve(size int) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.room(size); err != nil {
		return fmt.Errorf("append to the journal: %w", err)
	}
	return nil
}

// grow lengthens the file for size more bytes.
func (j *journal) grow(size int) error {
	need := j.seg.offset(j.next) + int64(size) - j.allocated
	if need <= 0 {
		return nil
	}
	n := max(need, min(max(j.allocated, minGrow), maxGrow))
	if err := j.seg.f.Preallocate(j.allocated, n); err != nil {
		// Nothing that was promised is lost. What was written behind allocated is given back.
		return errors.Join(fmt.Errorf("grow %s: %w", j.seg.path, err), j.seg.f.Truncate(j.allocated))
	}
	j.allocated += n
	return nil
}

// settle makes all queued frames durable while mu is held. It reports false when it had to release mu to wait for a
// round, after which the caller looks again; a failure breaks the journal.
func (j *journal) settle() bool {
	if r := j.round; r != nil {
		j.mu.Unlock()
		<-r.done
		j.mu.Lock()
		return false
	}
	if len(j.pending) == 0 && j.durable.Load() == j.next {
		return true
	}
	if err := j.writeOut(j.seg, j.pending, j.next); err != nil {
		j.broken = err
	}
	j.pending, j.queued = j.pending[:0], 0
	return true
}

// writeOut writes and syncs frames that end at LSN end.
func (j *journal) writeOut(seg *segment, frames []byte, end uint64) error {
	if len(frames) > 0 {
		if _, err := seg.f.WriteAt(frames, seg.offset(end)-int64(len(frames))); err != nil {
			return errBroken(seg, err)
		}
		j.written.Store(end)
	}
	if err := seg.f.Sync(); err != nil {
		return errBroken(seg, err)
	}
	j.durable.Store(end)
	return nil
}

// errBroken is the error of a journal that can no more be written.
func errBroken(seg *segment, err error) error {
	return fmt.Errorf("write journal segment %s: %w; the store must be closed and opened again", seg.path, err)
}

// begin starts a new segment at next with the given frames. All frames before must be durable.
func (j *journal) begin(frames []byte) error {
	num := j.seg.num + 1
	seg := &segment{num: num, base: j.next, epoch: j.epoch, path: filepath.Join(j.dir, segmentName(num))}
	allocated, renamed, err := seg.create(j.fsys, frames)
	if err != nil {
		if renamed {
			j.broken = errBroken(seg, err)
		}
		return err
	}
	j.began(seg)
	j.seg, j.allocated, j.touched = seg, allocated, true
	j.next += uint64(len(frames))
	j.written.Store(j.next)
	j.durable.Store(j.next)
	return nil
}

// wait returns when the frame at lsn is durable.
func (j *journal) wait(ctx context.Context, lsn uint64) error {
	for {
		if lsn < j.durable.Load() {
			return nil
		}
		j.mu.Lock()
		switch {
		case lsn < j.durable.Load():
			j.mu.Unlock()
			return nil
		case j.broken != nil:
			err := j.broken
			j.mu.Unlock()
			return err
		case lsn >= j.next:
			j.mu.Unlock()
			return errs.New(errs.Invalid, "wait for LSN %d: the journal ends at %d", lsn, j.next)
		case j.round != nil:
			r := j.round
			j.mu.Unlock()
			select {
			case <-r.done:
			case <-ctx.Done():
				return errs.With(errs.Canceled, ctx.Err())
			}
		default:
			if err := j.lead(); err != nil {
				return err
			}
		}
	}
}

// lead runs one round. It is called with mu held and returns without it.
func (j *journal) lead() error {
	r := &round{done: make(chan struct{})}
	j.round = r
	j.gather()
	j.crowd = (j.queued + j.before + 1) / 2
	j.before, j.queued = j.queued, 0
	j.writing, j.pending, j.spare = j.pending, j.spare[:0], nil
	seg, frames, end := j.seg, j.writing, j.next
	j.mu.Unlock()
	begin := clock.System{}.Now()
	err := j.writeOut(seg, frames, end)
	took := clock.Since(begin)
	j.mu.Lock()
	j.pace += (min(took, maxPace) - j.pace) / 8
	j.spare, j.writing = j.writing, nil
	j.round = nil
	if err != nil {
		j.broken = err
	}
	j.mu.Unlock()
	close(r.done)
	return err
}

const (
	maxPace   = 2 * time.Millisecond // bounds what a slow round adds to the pace
	maxGather = 100 * time.Microsecond
)

// gather lets other writers that are about to append do so first. Those whom one round has woken come back at about the same time:
// if the first of them began the next round at once, it would be alone in it and all others would wait for the one after. It waits for
// half of the writers, those of the last two rounds: while these are synced, the other half prepares its frames, so neither the disk
// nor the processors wait for long. It takes at most maxGather and half of the time that a round takes, and a writer that is alone waits
// for nobody. It is called with mu held, which it releases for a while.
func (j *journal) gather() {
	if j.queued >= j.crowd {
		return
	}
	for begin := (clock.System{}).Now(); j.queued < j.crowd && clock.Since(begin) < min(j.pace/2, maxGather); {
		j.mu.Unlock()
		runtime.Gosched()
		j.mu.Lock()
	}
}

// sync makes all frames so far durable and returns the LSN behind them.
func (j *journal) sync(ctx context.Context) (uint64, error) {
	j.mu.Lock()
	end := j.next
	j.mu.Unlock()
	if end == j.durable.Load() {
		return end, nil
	}
	return end, j.wait(ctx, end-1)
}

// read copies bytes of a segment's file that may still be in memory only. lsn is the position of the first.
func (j *journal) read(seg *segment, buf []byte, off int64) error {
	lsn := seg.base + uint64(off-segmentHeader)
	if lsn+uint64(len(buf)) > j.written.Load() {
		j.mu.Lock()
		inPending := j.next - uint64(len(j.pending))
		inWriting := inPending - uint64(len(j.writing))
		var from []byte
		switch {
		case lsn >= inPending:
			from = j.pending[lsn-inPending:]
		case lsn >= inWriting:
			from = j.writing[lsn-inWriting:]
		}
		n := copy(buf, from)
		j.mu.Unlock()
		if n == len(buf) {
			return nil
		}
	}
	return readFull(seg.f, buf, off)
}

// checkpoint begins a segment whose first frame is a checkpoint. No frame may be appended meanwhile.
func (j *journal) checkpoint(payload []byte) (*segment, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.broken == nil && !j.settle() {
	}
	if j.broken != nil {
		return nil, j.broken
	}
	f := frame{lsn: j.next, epoch: j.epoch, durable: j.next, typ: frameCheckpoint, payload: payload}
	at := j.next
	if err := j.begin(appendFrame(nil, f)); err != nil {
		return nil, err
	}
	j.point = at
	return j.seg, nil
}

// isBroken tells whether what is on the disk is unknown.
func (j *journal) isBroken() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.broken != nil
}

// tail is the number of bytes since the last checkpoint's beginning.
func (j *journal) tail() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return int64(j.next - j.point)
}

// close makes all durable, marks the journal as closed cleanly and gives the unused part of the file back. Files stay open.
func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer func() {
		if j.broken == nil {
			j.broken = errs.New(errs.Invalid, "write to the journal: the store is closed")
		}
	}()
	if !j.touched {
		return nil
	}
	for j.broken == nil && !j.settle() {
	}
	if j.broken != nil {
		return j.broken
	}
	// The mark must not end where the file ends before it is synced and the file is cut, hence one byte more.
	if err := j.grow(frameSize(0) + 1); errs.Is(err, errs.NoSpace) {
		return nil // all is durable; the next opening finds no mark and copies the tail
	} else if err != nil {
		return err
	}
	j.push(frameEnd, nil)
	j.settle()
	if j.broken != nil {
		return j.broken
	}
	if err := j.seg.f.Truncate(j.seg.offset(j.next)); err != nil {
		return fmt.Errorf("trim %s: %w", j.seg.path, err)
	}
	// The cut is not synced: where a power cut undoes it the mark is not the file's end, and the next opening copies the tail.
	j.allocated = j.seg.offset(j.next)
	return nil
}
