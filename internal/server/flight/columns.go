package flight

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"google.golang.org/grpc"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/frame"
	"github.com/stemmadb/stemma/internal/page"
)

// mostColumns is how many columns may have a file of memory each: client and server have a limited number of descriptors.
const mostColumns = 200

// Forms in which a client may want text, whatever its column has: the header stemma-memory-text.
const (
	textLarge = "large_utf8" // 64-bit offsets
	textView  = "utf8_view"
)

// laysOut tells whether each column of a schema can be laid out in a file of its own.
func laysOut(s *arrow.Schema) bool { return s.NumFields() > 0 && s.NumFields() <= mostColumns }

// columnFiles are the columns of a read, each laid out in a file of memory as one Arrow array: first its validity, then its values, offsets
// or views, then its text, each from a multiple of fileAlign on. Rows come in parts, of which several are written at once.
type columnFiles struct {
	schema *arrow.Schema // as the files have it
	rows   int64
	cols   []*columnFile
}

// fileAlign is what areas of a file begin at multiples of: the length of a page of memory.
const fileAlign = 4096

func aligned(n int64) int64 { return (n + fileAlign - 1) &^ (fileAlign - 1) }

// columnFile is a column in its file.
type columnFile struct {
	file   *os.File
	layout columnLayout
	width  int64 // bytes of a value or of an offset or view; 0 for truth values, which are bits
	text   bool
	wide   bool  // the batches' offsets have 64 bits
	view   bool  // text is views
	piece  int64 // bytes of text that 32 bits count, at most

	mu    sync.Mutex
	end   int64             // of the text so far
	full  []rowRange        // parts without NULLs
	edges [2]map[int64]byte // of bitmaps, the bytes that two parts share: of validity, of truth values
	buf   *sync.Pool        // of all columns: *[]byte, for what is made of offsets and bitmaps
}

// columnLayout is what the client is told of a column.
type columnLayout struct {
	Nulls  int64 `json:"nulls"`
	Values int64 `json:"values"` // where values, offsets or views begin; validity begins at 0
	Text   int64 `json:"text"`   // where text begins
	Size   int64 `json:"size"`   // of the file
	// Pieces are those that text with 32-bit offsets, or what views are of, is cut into at 2 GiB: the first row of each, and where its text
	// begins, counted from Text. Each has one more offset than rows.
	Pieces [][2]int64 `json:"pieces"`
	// Dictionary is the values that those of an ENUM count, from 0 on.
	Dictionary []string `json:"dictionary"`
}

// rowRange is rows of a column.
type rowRange struct{ first, n int64 }

// newColumnFiles makes the files for columns of so many rows, their text in a form, "" being their own.
func newColumnFiles(s *arrow.Schema, rows int64, form string, m Memory) (*columnFiles, error) {
	c := &columnFiles{rows: rows}
	buf := &sync.Pool{}
	fields := s.Fields()
	for i := range fields {
		f := &columnFile{piece: math.MaxInt32, buf: buf}
		c.cols = append(c.cols, f)
		switch t := fields[i].Type.(type) {
		case *arrow.StringType, *arrow.LargeStringType:
			f.text, f.wide, f.width = true, t.ID() == arrow.LARGE_STRING, 4
			_, extended := fields[i].Metadata.GetValue(page.MetaExtension)
			switch {
			case form == textView && !extended:
				fields[i].Type, f.view, f.width = arrow.BinaryTypes.StringView, true, viewSize
			case f.wide || form == textLarge:
				fields[i].Type, f.width = arrow.BinaryTypes.LargeString, 8
			}
		case *arrow.BinaryType:
			f.text, f.width = true, 4
		case *arrow.LargeBinaryType:
			f.text, f.wide, f.width = true, true, 8
		case *arrow.BooleanType:
			f.width = 0
		case *arrow.DictionaryType:
			f.width = int64(t.IndexType.(arrow.FixedWidthDataType).BitWidth() / 8)
		case *arrow.FixedSizeListType:
			f.width = int64(t.Len()) * int64(t.Elem().(arrow.FixedWidthDataType).BitWidth()/8)
		case arrow.FixedWidthDataType:
			f.width = int64(t.BitWidth() / 8)
		}
		f.layout.Values = aligned((rows + 7) / 8)
		size := f.width * rows
		if f.width == 0 {
			size = (rows + 7) / 8
		}
		if f.text {
			if !f.view {
				size = f.width * (rows + 1)
			}
			// More pieces have more offsets, for which the area has room before the text begins.
			f.layout.Text = f.layout.Values + aligned(size) + fileAlign
			f.layout.Pieces = [][2]int64{{0, 0}}
			continue
		}
		f.layout.Size = f.layout.Values + size
	}
	md := s.Metadata()
	c.schema = arrow.NewSchema(fields, &md)
	return c, c.make(m)
}

// make makes the files: of several that are at hand, those whose length is known take what fits them.
func (c *columnFiles) make(m Memory) (err error) {
	for _, text := range []bool{false, true} {
		for _, f := range c.cols {
			if f.text == text {
				if f.file, err = m.Make(f.layout.Size); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// close closes the files: the memory is then the client's, or nobody's.
func (c *columnFiles) close() {
	for _, f := range c.cols {
		if f.file != nil {
			f.file.Close()
		}
	}
}

// write puts a part into its place.
func (c *columnFiles) write(ctx context.Context, p *frame.Part) error {
	texts := make([]textPart, len(c.cols))
	for i, f := range c.cols {
		if f.text {
			texts[i] = f.measure(p.Batch.Column(i))
		}
	}
	err := p.InTurn(ctx, func() error {
		for i, f := range c.cols {
			if f.text {
				if err := f.place(&texts[i], int64(p.First)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, f := range c.cols {
		if err := f.write(p.Batch.Column(i), int64(p.First), &texts[i]); err != nil {
			return sharedFailed(err)
		}
	}
	return nil
}

// textPart is text of a part, and where it goes.
type textPart struct {
	narrow []int32 // the offsets, if they have 32 bits
	wide   []int64
	bytes  []byte
	stored int64 // how much of it is written beside views: all or nothing
	piece  int   // which the part is in
	at     int64 // where its text begins in the piece
	start  int64 // where its text begins in the area of text
}

// span is where string i begins and ends.
func (t *textPart) span(i int) (from, to int64) {
	if t.wide != nil {
		return t.wide[i], t.wide[i+1]
	}
	return int64(t.narrow[i]), int64(t.narrow[i+1])
}

// measure finds the text of a part.
func (f *columnFile) measure(a arrow.Array) textPart {
	d, n := a.Data(), a.Len()
	var t textPart
	if f.wide {
		t.wide = arrow.Int64Traits.CastFromBytes(d.Buffers()[1].Bytes())[:n+1]
	} else {
		t.narrow = arrow.Int32Traits.CastFromBytes(d.Buffers()[1].Bytes())[:n+1]
	}
	_, end := t.span(n - 1)
	if b := d.Buffers()[2]; b != nil {
		t.bytes = b.Bytes()[:end]
	}
	if !f.view || f.anyLong(&t, n) {
		t.stored = int64(len(t.bytes))
	}
	return t
}

// anyLong tells whether there is a string that does not lie in its view.
func (f *columnFile) anyLong(t *textPart, n int) bool {
	if !f.wide {
		longest, last := int32(0), t.narrow[0]
		for _, o := range t.narrow[1:] {
			longest = max(longest, o-last)
			last = o
		}
		return longest > inView
	}
	for i := range n {
		if from, to := t.span(i); to-from > inView {
			return true
		}
	}
	return false
}

const (
	inView   = 12 // length of the longest string that lies in its view
	viewSize = 16
)

// place says where the text of a part from row first on goes. It is called for parts in their order.
func (f *columnFile) place(t *textPart, first int64) error {
	last := len(f.layout.Pieces) - 1
	if f.width != 8 && f.end+t.stored-f.layout.Pieces[last][1] > f.piece {
		if last++; !f.view && int64(last)*f.width >= fileAlign {
			return errs.New(errs.Unsupported, "read: a column has more than 2 TiB of text")
		}
		f.layout.Pieces = append(f.layout.Pieces, [2]int64{first, f.end})
	}
	t.piece, t.start, t.at = last, f.end, f.end-f.layout.Pieces[last][1]
	f.end += t.stored
	return nil
}

// write puts the part of a column from row first on into its place.
func (f *columnFile) write(a arrow.Array, first int64, t *textPart) error {
	n := int64(a.Len())
	if nulls := a.NullN(); nulls > 0 {
		if err := f.writeBits(0, first, n, a.NullBitmapBytes()); err != nil {
			return err
		}
		f.mu.Lock()
		f.layout.Nulls += int64(nulls)
		f.mu.Unlock()
	} else {
		f.mu.Lock()
		if k := len(f.full) - 1; k >= 0 && f.full[k].first+f.full[k].n == first {
			f.full[k].n += n
		} else {
			f.full = append(f.full, rowRange{first, n})
		}
		f.mu.Unlock()
	}
	switch {
	case f.text:
		return f.writeText(n, first, t)
	case f.width == 0:
		return f.writeBits(1, first, n, a.Data().Buffers()[1].Bytes())
	}
	d := a.Data()
	switch a := a.(type) {
	case *array.FixedSizeList:
		d = a.ListValues().Data()
	case *array.Dictionary:
		f.name(a.Dictionary().(*array.String))
	}
	_, err := f.file.WriteAt(d.Buffers()[1].Bytes()[:n*f.width], f.layout.Values+first*f.width)
	return err
}

// name keeps the values of an ENUM: of two parts' the one's may have more behind those of the other.
func (f *columnFile) name(values *array.String) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := len(f.layout.Dictionary); i < values.Len(); i++ {
		f.layout.Dictionary = append(f.layout.Dictionary, strings.Clone(values.Value(i)))
	}
}

// writeText writes text and its offsets or views.
func (f *columnFile) writeText(n, first int64, t *textPart) error {
	if t.stored > 0 {
		if _, err := f.file.WriteAt(t.bytes, f.layout.Text+t.start); err != nil {
			return err
		}
	}
	b := f.buffer(n * f.width)
	defer f.buf.Put(b)
	out, at := (*b)[:n*f.width], f.layout.Values+first*f.width
	switch {
	case f.view:
		f.views(out, t)
	case f.width == 8 && f.wide:
		o := arrow.Int64Traits.CastFromBytes(out)
		for i, v := range t.wide[1:] {
			o[i] = v + t.at
		}
	case f.width == 8:
		o := arrow.Int64Traits.CastFromBytes(out)
		for i, v := range t.narrow[1:] {
			o[i] = int64(v) + t.at
		}
	default:
		o := arrow.Int32Traits.CastFromBytes(out)
		for i, v := range t.narrow[1:] {
			o[i] = v + int32(t.at)
		}
	}
	if !f.view {
		at += int64(t.piece+1) * f.width
	}
	_, err := f.file.WriteAt(out, at)
	return err
}

// buffer is memory of at least n bytes, which goes back to f.buf.
func (f *columnFile) buffer(n int64) *[]byte {
	if b, ok := f.buf.Get().(*[]byte); ok && int64(cap(*b)) >= n {
		return b
	}
	b := make([]byte, n)
	return &b
}

// views makes the views of a part's strings: the length, and then the string itself if it is short, or its beginning and where it is.
func (f *columnFile) views(out []byte, t *textPart) {
	le := binary.LittleEndian
	text := t.bytes
	for i := range len(out) / viewSize {
		from, to := t.span(i)
		v := (*[viewSize]byte)(out[i*viewSize:])
		n := to - from
		switch {
		case n > inView:
			le.PutUint64(v[:], uint64(n)|uint64(le.Uint32(text[from:]))<<32)
			le.PutUint64(v[8:], uint64(t.piece)|uint64(t.at+from)<<32)
		case int(from)+inView <= len(text): // twelve bytes are there to be read, of which those of the string count
			s := text[from:][:inView]
			low, high := uint64(le.Uint32(s)), le.Uint64(s[4:])
			k := uint64(n) * 8
			low &= 1<<min(k, 32) - 1
			high &= 1<<(max(k, 32)-32) - 1
			le.PutUint64(v[:], uint64(n)|low<<32)
			le.PutUint64(v[8:], high)
		default:
			*v = [viewSize]byte{}
			le.PutUint32(v[:], uint32(n))
			copy(v[4:], text[from:to])
		}
	}
}

// writeBits writes n bits of one of the two bitmaps from bit first on, all of them set when src is nil.
func (f *columnFile) writeBits(which int, first, n int64, src []byte) error {
	begin := int64(0)
	if which == 1 {
		begin = f.layout.Values
	}
	shift := uint(first & 7)
	size := (int64(shift) + n + 7) / 8
	b := f.buffer(size)
	defer f.buf.Put(b)
	out := (*b)[:size]
	clear(out)
	for i := range (n + 7) / 8 {
		v := byte(0xff)
		if src != nil {
			v = src[i]
		}
		if rest := n - 8*i; rest < 8 {
			v &= 1<<rest - 1
		}
		out[i] |= v << shift
		if shift > 0 && i+1 < size {
			out[i+1] |= v >> (8 - shift)
		}
	}
	at, from, to := first/8, int64(0), size
	if shift > 0 {
		f.edge(which, at, out[0])
		from = 1
	}
	if (int64(shift)+n)&7 != 0 && to > from {
		to--
		f.edge(which, at+to, out[to])
	}
	if from >= to {
		return nil
	}
	_, err := f.file.WriteAt(out[from:to], begin+at+from)
	return err
}

// edge keeps bits of a byte that parts share.
func (f *columnFile) edge(which int, at int64, v byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.edges[which] == nil {
		f.edges[which] = map[int64]byte{}
	}
	f.edges[which][at] |= v
}

// finish writes what is known in the end only. Nothing is taken for zero that was not written: a file may have been another's before.
func (f *columnFile) finish(rows int64) error {
	if !f.view {
		for k, p := range f.layout.Pieces {
			if _, err := f.file.WriteAt(make([]byte, f.width), f.layout.Values+(p[0]+int64(k))*f.width); err != nil {
				return err
			}
		}
	}
	if f.layout.Nulls > 0 {
		for _, r := range f.full {
			if err := f.writeBits(0, r.first, r.n, nil); err != nil {
				return err
			}
		}
	}
	for which, edges := range f.edges {
		for at, v := range edges {
			if which == 1 {
				at += f.layout.Values
			}
			if _, err := f.file.WriteAt([]byte{v}, at); err != nil {
				return err
			}
		}
	}
	switch {
	case f.text:
		f.layout.Size = f.layout.Text + f.end
	case f.width == 0:
		f.layout.Size = f.layout.Values + (rows+7)/8
	default:
		f.layout.Size = f.layout.Values + rows*f.width
	}
	f.layout.Size = max(aligned(f.layout.Size), fileAlign)
	return f.file.Truncate(f.layout.Size)
}

// finish ends the files and gives them to the client; the note is what it is told of them.
func (c *columnFiles) finish(m Memory) (note []byte, err error) {
	var layout struct {
		Rows    int64          `json:"rows"`
		Columns []columnLayout `json:"columns"`
	}
	layout.Rows = c.rows
	var files []*os.File
	for _, f := range c.cols {
		if err := f.finish(c.rows); err != nil {
			return nil, sharedFailed(err)
		}
		files = append(files, f.file)
		layout.Columns = append(layout.Columns, f.layout)
	}
	if err := m.Give(files); err != nil {
		return nil, sharedFailed(err)
	}
	note, err = json.Marshal(layout)
	if err != nil {
		return nil, errs.With(errs.Internal, err)
	}
	return note, nil
}

// progressShare is the part of a read after which the client is told how far it has come.
const progressShare = 20

// sendColumns sends the rows of a table as columns in files of the client's memory. The stream has the schema, then how many rows there
// are so far, as {"rows": n}, and in the end where everything is.
func (s *service) sendColumns(stream grpc.ServerStream, src *scanSource, m Memory, text string) (err error) {
	defer func() {
		if e := src.Close(); err == nil {
			err = e
		}
	}()
	rows := int64(src.Rows())
	files, err := newColumnFiles(src.Schema(), rows, text, m)
	defer files.close()
	if err != nil {
		return sharedFailed(err)
	}
	out := &batchSender{stream: stream}
	if err := ipc.NewWriterWithPayloadWriter(out, ipc.WithSchema(files.schema)).Close(); err != nil {
		return err
	}
	ctx := stream.Context()
	var count atomic.Int64
	far := make(chan int64, 1)
	done := make(chan error, 1)
	go func() {
		defer close(far)
		done <- src.Parts(ctx, runtime.GOMAXPROCS(0), func(ctx context.Context, p *frame.Part) error {
			if err := files.write(ctx, p); err != nil {
				return err
			}
			select {
			case far <- count.Add(p.Batch.NumRows()):
			default: // it is not what the client waits for
			}
			return nil
		})
	}()
	told := int64(0)
	for n := range far {
		if err != nil || n-told < rows/progressShare || n == rows {
			continue
		}
		told = n
		err = stream.SendMsg(&wireData{note: []byte(`{"rows": ` + strconv.FormatInt(n, 10) + `}`)})
	}
	if e := <-done; e != nil {
		return src.f.problem(e)
	}
	if err != nil {
		return err
	}
	note, err := files.finish(m)
	if err != nil {
		return err
	}
	return stream.SendMsg(&wireData{note: note})
}
