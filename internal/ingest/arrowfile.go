package ingest

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// Batches is a stream of Arrow record batches: what Load takes of Parquet, of Arrow, and of whatever else has columns with types. It
// belongs to one goroutine.
type Batches interface {
	// Schema is the schema of all batches.
	Schema() *arrow.Schema
	// Next is the next batch, which the caller releases; io.EOF at the end.
	Next(ctx context.Context) (arrow.RecordBatch, error)
	// Close frees what the stream holds.
	Close() error
}

// batchRows is how many rows of a Parquet file are read at once.
const batchRows = 64 << 10

// OpenBatches reads a Parquet or an Arrow file. columns are the positions of those that are wanted; nil for all.
func OpenBatches(src Source, f Format, columns []int) (Batches, error) {
	b, err := openBatches(src, f, columns)
	if err != nil {
		return nil, errColumnar(src, f, err)
	}
	return &guarded{Batches: b, src: src, f: f}, nil
}

func openBatches(src Source, f Format, columns []int) (b Batches, err error) {
	defer recovered(&err)
	r := io.NewSectionReader(src.R, 0, src.Size)
	if f.Type == Parquet {
		return openParquet(r, columns, allocatorFor(src.Size))
	}
	// A message is never longer than its file; the library's own limits are for what comes over a network.
	limits := []ipc.Option{ipc.WithMetadataSizeLimit(src.Size), ipc.WithBodySizeLimit(src.Size), ipc.WithAllocator(allocatorFor(src.Size))}
	var magic [6]byte
	if _, err := r.ReadAt(magic[:], 0); err == nil && string(magic[:]) == "ARROW1" {
		if err := checkFile(src.R, src.Size); err != nil {
			return nil, err
		}
		fr, err := ipc.NewFileReader(r, limits...)
		if err != nil {
			return nil, err
		}
		return &arrowFile{r: fr}, nil
	}
	if err := checkStream(src.R, src.Size); err != nil {
		return nil, err
	}
	sr, err := ipc.NewReaderFromMessageReader(ipc.NewMessageReader(r, limits...), limits...) // NewReader has no limits
	if err != nil {
		return nil, err
	}
	return &arrowStream{r: sr}, nil
}

// limited is an allocator that gives no more than so many bytes at once: a damaged file says of some lengths whatever it likes, and
// without memory the program would end instead of the reading.
type limited struct {
	memory.Allocator
	most int
}

// allocatorFor is an allocator for reading a file of so many bytes, which may be compressed: cells of 100 MB that say the same over and
// over take next to nothing in it.
func allocatorFor(size int64) *limited {
	const least, most, ratio = 512 << 20, 4 << 30, 1 << 10
	return &limited{memory.DefaultAllocator, int(min(max(least, min(size, most)*ratio), most))}
}

// Allocate implements memory.Allocator. Too much is a panic, which recovered makes an error of.
func (l *limited) Allocate(size int) []byte {
	if size > l.most {
		panic(invalid("it asks for %d bytes of memory at once", size))
	}
	return l.Allocator.Allocate(size)
}

// Reallocate implements memory.Allocator, as Allocate does.
func (l *limited) Reallocate(size int, b []byte) []byte {
	if size > l.most {
		panic(invalid("it asks for %d bytes of memory at once", size))
	}
	return l.Allocator.Reallocate(size, b)
}

// errColumnar is the error of a file that cannot be read.
func errColumnar(src Source, f Format, err error) error {
	name := "a Parquet"
	if f.Type != Parquet {
		name = "an Arrow"
	}
	return invalid("read %s: %w: it is not %s file, or it is damaged or cut off", src.Name, err, name)
}

// recovered turns the panics of the Arrow library, which it has for damaged files, into errors.
func recovered(err *error) {
	if r := recover(); r != nil {
		if e, ok := r.(error); ok {
			*err = e
		} else {
			*err = invalid("%v", r)
		}
	}
}

// guarded says of errors which file they are of.
type guarded struct {
	Batches
	src Source
	f   Format
}

// Next implements Batches.
func (g *guarded) Next(ctx context.Context) (b arrow.RecordBatch, err error) {
	func() {
		defer recovered(&err)
		b, err = g.Batches.Next(ctx)
	}()
	if err != nil && !errors.Is(err, io.EOF) && ctx.Err() == nil {
		return nil, errColumnar(g.src, g.f, err)
	}
	return b, err
}

type parquetBatches struct {
	f      *file.Reader
	r      pqarrow.RecordReader
	schema *arrow.Schema
}

// openParquet reads one column after the other: the library's own goroutines end the program where a file is damaged. Its limits of pages are
// those of the file and of mem: a page with a cell of 100 MB is longer than the library's own.
func openParquet(r *io.SectionReader, columns []int, mem *limited) (Batches, error) {
	props := parquet.NewReaderProperties(mem)
	props.MaxCompressedPageSize, props.MaxUncompressedPageSize = r.Size(), int64(mem.most)
	f, err := file.NewParquetReader(r, file.WithReadProps(props))
	if err != nil {
		return nil, err
	}
	if err := checkParquetSchema(f.MetaData().KeyValueMetadata()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	fr, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{BatchSize: batchRows}, mem)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	var leaves []int
	for _, c := range columns {
		leaves = append(leaves, leavesOf(&fr.Manifest.Fields[c])...)
	}
	rr, err := fr.GetRecordReader(context.Background(), leaves, nil)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	kv := f.MetaData().KeyValueMetadata()
	meta := arrow.NewMetadata(kv.Keys(), kv.Values())
	fields := slices.Clone(rr.Schema().Fields())
	for i, field := range fields {
		if isNotedTime(field) {
			fields[i].Type = arrow.FixedWidthTypes.Duration_us
		}
	}
	return &parquetBatches{f, rr, arrow.NewSchema(fields, &meta)}, nil
}

// leavesOf are the columns of a Parquet file that make a field.
func leavesOf(f *pqarrow.SchemaField) []int {
	if f.IsLeaf() {
		return []int{f.ColIndex}
	}
	var out []int
	for i := range f.Children {
		out = append(out, leavesOf(&f.Children[i])...)
	}
	return out
}

// Schema implements Batches.
func (p *parquetBatches) Schema() *arrow.Schema { return p.schema }

// Next implements Batches.
func (p *parquetBatches) Next(context.Context) (arrow.RecordBatch, error) {
	if !p.r.Next() {
		if err := p.r.Err(); err != nil {
			return nil, err
		}
		return nil, io.EOF
	}
	b := p.r.RecordBatch()
	columns := slices.Clone(b.Columns())
	for i, field := range p.schema.Fields() {
		if field.Type.ID() == arrow.DURATION {
			columns[i] = withType(columns[i], field.Type)
		}
	}
	return array.NewRecordBatch(p.schema, columns, b.NumRows()), nil
}

// Close implements Batches.
func (p *parquetBatches) Close() error {
	p.r.Release()
	return p.f.Close()
}

type arrowFile struct {
	r *ipc.FileReader
	n int
}

// Schema implements Batches.
func (a *arrowFile) Schema() *arrow.Schema { return a.r.Schema() }

// Next implements Batches.
func (a *arrowFile) Next(context.Context) (arrow.RecordBatch, error) {
	if a.n == a.r.NumRecords() {
		return nil, io.EOF
	}
	a.n++
	return a.r.RecordBatchAt(a.n - 1)
}

// Close implements Batches.
func (a *arrowFile) Close() error { return a.r.Close() }

type arrowStream struct{ r *ipc.Reader }

// Schema implements Batches.
func (a *arrowStream) Schema() *arrow.Schema { return a.r.Schema() }

// Next implements Batches.
func (a *arrowStream) Next(context.Context) (arrow.RecordBatch, error) {
	if !a.r.Next() {
		if err := a.r.Err(); err != nil {
			return nil, err
		}
		return nil, io.EOF
	}
	b := a.r.RecordBatch()
	b.Retain()
	return b, nil
}

// Close implements Batches.
func (a *arrowStream) Close() error {
	a.r.Release()
	return nil
}

// ReaderBatches are the batches of a reader such as that of a Flight stream, which stays its owner's.
func ReaderBatches(r array.RecordReader) Batches { return &readerBatches{r} }

type readerBatches struct{ array.RecordReader }

// Next implements Batches.
func (r *readerBatches) Next(context.Context) (arrow.RecordBatch, error) {
	if !r.RecordReader.Next() {
		if err := r.Err(); err != nil {
			return nil, err
		}
		return nil, io.EOF
	}
	b := r.RecordBatch()
	b.Retain()
	return b, nil
}

// Close implements Batches.
func (r *readerBatches) Close() error { return nil }

// arrowHead is the names of a file's columns.
func arrowHead(src Source, f Format) (Head, error) {
	b, err := OpenBatches(src, f, nil)
	if err != nil {
		return Head{}, err
	}
	h := Head{}
	for _, field := range b.Schema().Fields() {
		h.Names = append(h.Names, field.Name)
	}
	h.Fields = len(h.Names)
	if err := b.Close(); err != nil {
		return h, err
	}
	if h.Fields == 0 {
		return h, invalid("read %s: it has no columns", src.Name)
	}
	return h, checkNames(src.Name, h.Names)
}
