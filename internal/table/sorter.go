package table

import (
	"bytes"
	"container/heap"
	"context"
	"encoding/binary"
	"io"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Sorter puts rows into key order within bounded memory: full buffers are sorted beside the caller and written to files, which
// Sort merges. Rows of one key keep the order in which they came. It belongs to one goroutine.
type Sorter struct {
	fs    vfs.FS
	dir   string
	limit int // bytes of a buffer
	buf   *run
	files []*runFile
	work  *errgroup.Group
	seq   uint64
	names int
}

// run is a buffer of rows.
type run struct {
	data []byte // key length, row length (uvarints), key, row of each
	refs []rowRef
}

// rowRef names a row of a run by its place; prefix is the beginning of its key as a number.
type rowRef struct {
	prefix uint64
	at     uint32 // of the key in data
	klen   uint32
	rlen   uint32
	seq    uint32
}

// NewSorter makes a sorter that holds about three buffers of limit bytes in memory and writes its files into dir.
func NewSorter(fs vfs.FS, dir string, limit int) *Sorter {
	s := &Sorter{fs: fs, dir: dir, limit: limit, work: &errgroup.Group{}}
	s.work.SetLimit(2)
	return s
}

// Len is the number of rows so far.
func (s *Sorter) Len() uint64 { return s.seq }

// Add takes a row.
func (s *Sorter) Add(key, row []byte) error {
	if s.buf == nil {
		s.buf = &run{}
	}
	if len(key)+len(row) > 1<<30 {
		return errs.New(errs.Invalid, "sort rows: a row of %d bytes is too long", len(row))
	}
	if n := len(s.buf.data); n > 0 && n+len(key)+len(row)+24*len(s.buf.refs) > s.limit {
		if err := s.spill(); err != nil {
			return err
		}
		s.buf = &run{data: make([]byte, 0, n), refs: make([]rowRef, 0, len(s.buf.refs))}
	}
	b := s.buf
	b.refs = append(b.refs, rowRef{prefix: keyPrefix(key), at: uint32(len(b.data)), klen: uint32(len(key)), rlen: uint32(len(row)), seq: uint32(len(b.refs))})
	b.data = append(append(b.data, key...), row...)
	s.seq++
	return nil
}

// keyPrefix skips the key's first marker byte, which rows of one table share.
func keyPrefix(key []byte) uint64 {
	var p [8]byte
	if len(key) > 1 {
		copy(p[:], key[1:])
	}
	return binary.BigEndian.Uint64(p[:])
}

func (b *run) key(r rowRef) []byte { return b.data[r.at : r.at+r.klen] }
func (b *run) row(r rowRef) []byte { return b.data[r.at+r.klen : r.at+r.klen+r.rlen] }

func (b *run) sort() {
	slices.SortFunc(b.refs, func(x, y rowRef) int {
		if x.prefix != y.prefix {
			if x.prefix < y.prefix {
				return -1
			}
			return 1
		}
		if c := bytes.Compare(b.key(x), b.key(y)); c != 0 {
			return c
		}
		return int(x.seq) - int(y.seq)
	})
}

// spill hands the buffer to a worker that sorts it and writes it to a file.
func (s *Sorter) spill() error {
	b := s.buf
	s.names++
	name := filepath.Join(s.dir, "sort-"+strconv.Itoa(s.names)+".tmp")
	f, err := s.fs.Create(name)
	if err != nil {
		return err
	}
	rf := &runFile{f: f, name: name}
	s.files = append(s.files, rf)
	s.work.Go(func() error {
		b.sort()
		return rf.write(b)
	})
	return nil
}

// Sort ends the input and gives the rows in key order.
func (s *Sorter) Sort() (*Sorted, error) {
	if err := s.work.Wait(); err != nil {
		return nil, err
	}
	out := &Sorted{sorter: s}
	for i, f := range s.files {
		c := &fileCursor{f: f, order: i}
		if ok, err := c.next(); err != nil {
			return nil, err
		} else if ok {
			out.heap = append(out.heap, c)
		}
	}
	if s.buf != nil {
		s.buf.sort()
		c := &memCursor{b: s.buf, order: len(s.files)}
		if ok, _ := c.next(); ok {
			out.heap = append(out.heap, c)
		}
	}
	heap.Init(&out.heap)
	return out, nil
}

// Close removes the files. The sorter and what Sort gave cannot be used after it.
func (s *Sorter) Close() error {
	err := s.work.Wait()
	for _, f := range s.files {
		if e := f.f.Close(); err == nil {
			err = e
		}
		if e := s.fs.Remove(f.name); err == nil {
			err = e
		}
	}
	s.files = nil
	return err
}

// runFile is a sorted run in a file: for each row the lengths of key and row as uvarints, then both.
type runFile struct {
	f    vfs.File
	name string
	size int64
}

func (f *runFile) write(b *run) error {
	out := make([]byte, 0, 1<<20)
	flush := func() error {
		if _, err := f.f.WriteAt(out, f.size); err != nil {
			return err
		}
		f.size += int64(len(out))
		out = out[:0]
		return nil
	}
	for _, r := range b.refs {
		out = binary.AppendUvarint(out, uint64(r.klen))
		out = binary.AppendUvarint(out, uint64(r.rlen))
		out = append(out, b.data[r.at:r.at+r.klen+r.rlen]...)
		if len(out) >= 1<<20 {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// cursor walks through a sorted run.
type cursor interface {
	next() (bool, error)
	cur() (key, row []byte)
	rank() int
	first() uint64 // keyPrefix of the key
}

type memCursor struct {
	b     *run
	i     int
	order int
}

func (c *memCursor) next() (bool, error)    { c.i++; return c.i <= len(c.b.refs), nil }
func (c *memCursor) cur() (key, row []byte) { r := c.b.refs[c.i-1]; return c.b.key(r), c.b.row(r) }
func (c *memCursor) rank() int              { return c.order }
func (c *memCursor) first() uint64          { return c.b.refs[c.i-1].prefix }

type fileCursor struct {
	f        *runFile
	order    int
	off      int64 // of the byte after buf in the file
	buf      []byte
	key, row []byte
	prefix   uint64
}

func (c *fileCursor) cur() (key, row []byte) { return c.key, c.row }
func (c *fileCursor) rank() int              { return c.order }
func (c *fileCursor) first() uint64          { return c.prefix }

func (c *fileCursor) next() (bool, error) {
	if len(c.buf) == 0 && c.off >= c.f.size {
		return false, nil
	}
	for {
		k, n := binary.Uvarint(c.buf)
		if n > 0 {
			r, m := binary.Uvarint(c.buf[n:])
			if m > 0 && uint64(len(c.buf)-n-m) >= k+r {
				body := c.buf[n+m:]
				c.key, c.row = body[:k:k], body[k:k+r:k+r]
				c.prefix = keyPrefix(c.key)
				c.buf = body[k+r:]
				return true, nil
			}
		}
		if err := c.fill(); err != nil {
			return false, err
		}
	}
}

// fill reads on. What was given before stays valid, since a new buffer is made.
func (c *fileCursor) fill() error {
	const step = 256 << 10
	left := c.f.size - c.off
	if left <= 0 {
		return errs.New(errs.Corrupt, "sort rows: the file %s ends within a row", c.f.name)
	}
	n := min(left, max(step, int64(len(c.buf))))
	b := make([]byte, len(c.buf)+int(n))
	copy(b, c.buf)
	if _, err := c.f.f.ReadAt(b[len(c.buf):], c.off); err != nil && err != io.EOF {
		return err
	}
	c.off += n
	c.buf = b
	return nil
}

type cursorHeap []cursor

func (h cursorHeap) Len() int { return len(h) }
func (h cursorHeap) Less(i, j int) bool {
	a, b := h[i], h[j]
	if x, y := a.first(), b.first(); x != y {
		return x < y
	}
	ka, _ := a.cur()
	kb, _ := b.cur()
	if c := bytes.Compare(ka, kb); c != 0 {
		return c < 0
	}
	return a.rank() < b.rank()
}
func (h cursorHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *cursorHeap) Push(x any) { *h = append(*h, x.(cursor)) }

// Pop implements heap.Interface.
func (h *cursorHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// Sorted is the sorter's rows in key order, rows of one key in the order in which they came.
type Sorted struct {
	sorter *Sorter
	heap   cursorHeap
	moved  bool
}

// Next is the next row, valid until the next call; false at the end.
func (s *Sorted) Next(context.Context) (key, row []byte, ok bool, err error) {
	if s.moved && len(s.heap) > 0 {
		more, err := s.heap[0].next()
		if err != nil {
			return nil, nil, false, err
		}
		if more {
			if len(s.heap) > 1 {
				heap.Fix(&s.heap, 0)
			}
		} else {
			heap.Pop(&s.heap)
		}
	}
	s.moved = true
	if len(s.heap) == 0 {
		return nil, nil, false, nil
	}
	key, row = s.heap[0].cur()
	return key, row, true, nil
}
