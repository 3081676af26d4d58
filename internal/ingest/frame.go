package ingest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/stemmadb/stemma/internal/errs"
)

const (
	// blockSize is how many bytes of a file a worker takes at once.
	blockSize = 512 << 10
	// maxRecord is the longest record in bytes. A quote that is never closed makes a record of all that follows, so there must be one.
	maxRecord = 256 << 20
)

// block is some whole records of a file.
type block struct {
	data    []byte
	line    int64 // of its first record
	at      int64 // place of data in the file
	suspect bool  // it has bytes that are not UTF-8, or NUL
	read    int64 // bytes of the file that were read to make it
}

// framer cuts a file into blocks. It belongs to one goroutine.
type framer struct {
	src   Source
	comma byte
	size  int // aim for a block's bytes
	max   int // of a record
	off   int64
	line  int64
	rest  []byte // read, and not part of a block yet
	split Splitter
}

func newFramer(src Source, comma byte) *framer {
	return &framer{src: src, comma: comma, size: blockSize, max: maxRecord, line: 1}
}

// next fills b with the next records; false at the end of the file.
func (f *framer) next(b *block) (bool, error) {
	b.data, b.line = append(b.data[:0], f.rest...), f.line
	began := f.off
	b.at = began - int64(len(f.rest))
	for want := f.size; ; want *= 2 {
		if err := f.fill(b, want); err != nil {
			return false, err
		}
		if began == 0 {
			if err := f.mark(b); err != nil {
				return false, err
			}
		}
		end := len(b.data)
		if f.off < f.src.Size {
			end = f.split.whole(b.data, f.comma)
			if end == 0 && len(b.data) >= f.max {
				return false, f.fail(invalid("the record that begins here is longer than %d MiB: is a closing quote missing?", f.max>>20))
			}
		}
		if end > 0 || f.off == f.src.Size {
			f.rest = append(f.rest[:0], b.data[end:]...)
			b.data = b.data[:end]
			break
		}
	}
	b.read = f.off - began
	b.suspect = bytes.IndexByte(b.data, 0) >= 0 || !utf8.Valid(b.data)
	f.line += int64(bytes.Count(b.data, newline))
	return len(b.data) > 0, nil
}

func (f *framer) fail(err error) error { return &LineError{File: f.src.Name, Line: f.line, Err: err} }

// fill reads on until b has want bytes or the file ends.
func (f *framer) fill(b *block, want int) error {
	n := min(int64(want-len(b.data)), f.src.Size-f.off)
	if n <= 0 {
		return nil
	}
	at := len(b.data)
	b.data = slices.Grow(b.data, int(n))[:at+int(n)]
	got, err := f.src.R.ReadAt(b.data[at:], f.off)
	if int64(got) < n {
		if err == nil || errors.Is(err, io.EOF) {
			err = errs.New(errs.Conflict, "it became shorter while it was read")
		}
		return errs.New(errs.CodeOf(err), "read %s: %w", f.src.Name, err)
	}
	f.off += n
	return nil
}

// mark takes the byte order mark off the file's first bytes.
func (f *framer) mark(b *block) error {
	switch {
	case bytes.HasPrefix(b.data, []byte{0xff, 0xfe}), bytes.HasPrefix(b.data, []byte{0xfe, 0xff}):
		return f.fail(invalid("the file is UTF-16, not UTF-8; convert it first: iconv -f UTF-16 -t UTF-8 %s", f.src.Name))
	case bytes.HasPrefix(b.data, []byte("\xef\xbb\xbf")):
		b.data = b.data[:copy(b.data, b.data[3:])]
		b.at = 3
	}
	return nil
}

// job is a block on its way through the workers.
type job[T any] struct {
	block block
	out   T
	err   error
	done  chan struct{} // receives when out and err are set
}

// each cuts the file into blocks, has workers make something of each, and gives the results to take in the file's order. newWorker
// makes the function of one worker, which gets the T of an earlier block to use again. The first error, in the file's order, ends
// it; nothing runs on after it returns.
func each[T any](ctx context.Context, f *framer, workers int, newWorker func() func(*block, *T) error, take func(*block, *T) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	depth := 2*workers + 1
	free, work, order := make(chan *job[T], depth), make(chan *job[T], depth), make(chan *job[T], depth)
	for range depth {
		free <- &job[T]{done: make(chan struct{}, 1)}
	}
	var all sync.WaitGroup
	var framing error // read after order is closed
	all.Go(func() {
		defer close(order)
		defer close(work)
		for {
			select {
			case <-ctx.Done():
				return
			case j := <-free:
				ok, err := f.next(&j.block)
				if err != nil || !ok {
					framing = err
					return
				}
				order <- j
				work <- j
			}
		}
	})
	for range workers {
		fn := newWorker()
		all.Go(func() {
			for j := range work {
				if j.err = errs.With(errs.Canceled, ctx.Err()); j.err == nil {
					j.err = fn(&j.block, &j.out)
				}
				j.done <- struct{}{}
			}
		})
	}
	var err error
	for j := range order {
		<-j.done
		if err != nil {
			continue
		}
		if err = j.err; err == nil {
			err = take(&j.block, &j.out)
		}
		if err != nil {
			cancel()
			continue
		}
		free <- j
	}
	all.Wait()
	if err == nil {
		err = framing
	}
	if err == nil {
		err = errs.With(errs.Canceled, ctx.Err())
	}
	return err
}
