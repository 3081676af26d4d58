package table

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/vfs"
)

// buffersOfSorter is how many buffers a sorter has: one that is filled and two that are sorted and written.
const buffersOfSorter = 3

// Sorter puts rows into key order within bounded memory: full buffers are sorted beside the caller and written to files, which
// Sort merges. Rows of one key keep the order in which they came. It belongs to one goroutine.
type Sorter struct {
	fs    vfs.FS
	dir   string
	limit int // bytes of a buffer
	buf   *rowBuffer
	spare chan *rowBuffer
	files []*runFile
	work  *errgroup.Group
	rows  uint64
}

// NewSorter makes a sorter that holds about that many bytes in memory and writes its files into dir.
func NewSorter(fs vfs.FS, dir string, memory int) *Sorter {
	s := &Sorter{fs: fs, dir: dir, limit: memory / buffersOfSorter, work: &errgroup.Group{}, spare: make(chan *rowBuffer, buffersOfSorter)}
	s.work.SetLimit(buffersOfSorter - 1)
	return s
}

// Len is the number of rows so far.
func (s *Sorter) Len() uint64 { return s.rows }

// Add takes a row, of which it copies what it needs.
func (s *Sorter) Add(key, row []byte) error {
	n := len(key) + len(row)
	if n > 1<<30 {
		return errs.New(errs.Invalid, "sort rows: a row of %d bytes is too long", len(row))
	}
	if s.buf == nil {
		s.buf = &rowBuffer{}
	}
	if s.buf.full(n, s.limit) {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.buf.add(key, row)
	s.rows++
	return nil
}

// take makes the sorter go on from rows that were added to b, in their order. It must be empty.
func (s *Sorter) take(b *rowBuffer) { s.buf, s.rows = b, uint64(len(b.refs)) }

// spill hands the buffer to a worker that sorts it and writes it to a file.
func (s *Sorter) spill() error {
	b := s.buf
	name := filepath.Join(s.dir, "sort-"+rand.Text()+".tmp") // several sorters may work in one directory
	f, err := s.fs.Create(name)
	if err != nil {
		return err
	}
	rf := &runFile{f: f, name: name}
	s.files = append(s.files, rf)
	s.work.Go(func() error { // waits until a worker is free
		b.sort(1)
		err := rf.write(b)
		b.reset()
		s.spare <- b
		return err
	})
	select {
	case s.buf = <-s.spare:
	default:
		s.buf = &rowBuffer{}
	}
	return nil
}

// Sort ends the input and gives the rows in key order.
func (s *Sorter) Sort() (*Sorted, error) {
	if s.buf != nil {
		s.buf.sort(runtime.GOMAXPROCS(0))
	}
	if err := s.work.Wait(); err != nil {
		return nil, err
	}
	for len(s.spare) > 0 {
		<-s.spare // their memory is free for others
	}
	var cs []*cursor
	for _, f := range s.files {
		cs = append(cs, &cursor{f: f})
	}
	if s.buf != nil {
		cs = append(cs, &cursor{b: s.buf})
	}
	return newSorted(cs)
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

// runFile is a sorted run in a file: the records of a rowBuffer one after the other.
type runFile struct {
	f    vfs.File
	name string
	size int64
}

func (f *runFile) write(b *rowBuffer) error {
	const step = 1 << 20
	out := make([]byte, 0, step+step/8)
	for i, r := range b.refs {
		rec, _, _ := b.record(r)
		out = append(out, rec...)
		if len(out) < step && i+1 < len(b.refs) {
			continue
		}
		if _, err := f.f.WriteAt(out, f.size); err != nil {
			return err
		}
		f.size += int64(len(out))
		out = out[:0]
	}
	return nil
}

// cursor walks through a sorted run: a buffer in memory or a file.
type cursor struct {
	key, row []byte
	prefix   uint64 // first window of key
	done     bool

	b *rowBuffer
	i int

	f    *runFile
	off  int64  // of the byte behind buf in the file
	buf  []byte // read
	rest []byte // of it
}

// next goes to the next row, or sets done. Key and row are valid until it is called again.
func (c *cursor) next() error {
	if c.b != nil {
		if c.done = c.i == len(c.b.refs); !c.done {
			_, c.key, c.row = c.b.record(c.b.refs[c.i])
			c.prefix = window(c.key, 0)
			c.i++
		}
		return nil
	}
	for {
		k, n := binary.Uvarint(c.rest)
		if n > 0 {
			r, m := binary.Uvarint(c.rest[n:])
			if body := c.rest[n+max(m, 0):]; m > 0 && uint64(len(body)) >= k+r {
				c.key, c.row, c.rest = body[:k:k], body[k:k+r:k+r], body[k+r:]
				c.prefix = window(c.key, 0)
				return nil
			}
		}
		if c.off == c.f.size {
			if len(c.rest) > 0 {
				return errs.New(errs.Corrupt, "sort rows: the file %s ends within a row", c.f.name)
			}
			c.done = true
			return nil
		}
		if err := c.fill(); err != nil {
			return err
		}
	}
}

// fill reads on.
func (c *cursor) fill() error {
	const step = 256 << 10
	have := len(c.rest)
	n := int(min(c.f.size-c.off, max(step, int64(have))))
	if cap(c.buf) < have+n {
		c.buf = append(make([]byte, 0, have+n), c.rest...)
	} else {
		c.buf = append(c.buf[:0], c.rest...)
	}
	c.buf = c.buf[:have+n]
	got, err := c.f.f.ReadAt(c.buf[have:], c.off)
	if err != nil && err != io.EOF {
		return err
	}
	if got < n {
		return errs.New(errs.Corrupt, "sort rows: the file %s became shorter", c.f.name)
	}
	c.off += int64(n)
	c.rest = c.buf
	return nil
}

// Sorted is the sorter's rows in key order, rows of one key in the order in which they came: a merge of runs by a tree of losers
// (Knuth, The Art of Computer Programming, volume 3, section 5.4.1).
type Sorted struct {
	cs    []*cursor // in the order of their rows' coming
	loser []int     // loser[i] lost the match at node i; loser[0] is the winner of all
	moved bool      // the winner's row was given out
}

func newSorted(cs []*cursor) (*Sorted, error) {
	for _, c := range cs {
		if err := c.next(); err != nil {
			return nil, err
		}
	}
	s := &Sorted{cs: cs, loser: make([]int, len(cs))}
	if n := len(cs); n > 0 {
		winner := make([]int, 2*n)
		for i := range cs {
			winner[n+i] = i
		}
		for i := n - 1; i > 0; i-- {
			a, b := winner[2*i], winner[2*i+1]
			if s.less(b, a) {
				a, b = b, a
			}
			winner[i], s.loser[i] = a, b
		}
		s.loser[0] = winner[1]
	}
	return s, nil
}

// less tells whether run a's row comes before run b's.
func (s *Sorted) less(a, b int) bool {
	x, y := s.cs[a], s.cs[b]
	switch {
	case x.done || y.done:
		return !x.done && y.done
	case x.prefix != y.prefix:
		return x.prefix < y.prefix
	}
	if c := bytes.Compare(x.key, y.key); c != 0 {
		return c < 0
	}
	return a < b
}

// Next is the next row, valid until the next call; false at the end.
func (s *Sorted) Next(context.Context) (key, row []byte, ok bool, err error) {
	if len(s.cs) == 0 {
		return nil, nil, false, nil
	}
	w := s.loser[0]
	if s.moved && !s.cs[w].done {
		if err := s.cs[w].next(); err != nil {
			return nil, nil, false, err
		}
		for i := (w + len(s.cs)) / 2; i > 0; i /= 2 {
			if s.less(s.loser[i], w) {
				w, s.loser[i] = s.loser[i], w
			}
		}
		s.loser[0] = w
	}
	s.moved = true
	c := s.cs[w]
	if c.done {
		return nil, nil, false, nil
	}
	return c.key, c.row, true, nil
}
