package ingest

import (
	"context"
	"errors"
	"io"
	"runtime"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/page"
	"github.com/stemmadb/stemma/internal/table"
)

// groupRows is how many rows of a table go into a row group of Parquet.
const groupRows = 128 << 10

// BatchWriter writes record batches, in their order, to a file.
type BatchWriter interface {
	// Write writes a batch, which it releases.
	Write(ctx context.Context, b arrow.RecordBatch) error
	// Close writes what ends the file, which stays open.
	Close(ctx context.Context) error
	// Abort ends the writing in place of Close. What has been written lacks the end, so that nobody takes it for a whole file.
	Abort()
}

// NewParquet writes batches with the columns of sc to a file of Parquet. A schema that has no form in it is of class Unsupported.
func NewParquet(w io.Writer, sc *arrow.Schema) (BatchWriter, error) { return newParquetWriter(w, sc) }

// exportBatches writes a table's rows as record batches that workers make.
func exportBatches(ctx context.Context, w io.Writer, v *table.View, f Format, rows func(int64)) (n uint64, err error) {
	if v.Overlay().Len() > 0 {
		return 0, errs.New(errs.Internal, "export batches: the table has not been folded")
	}
	pool := page.NewPool(64 << 20)
	columns, fields := batchColumns(v, f)
	meta, err := KeyMetadata(v.Schema().Schema)
	if err != nil {
		return 0, err
	}
	sc := arrow.NewSchema(fields, meta)
	var out BatchWriter
	switch f.Type {
	case Parquet:
		out, err = newParquetWriter(w, sc)
	case Arrow:
		var fw *ipc.FileWriter
		if fw, err = ipc.NewFileWriter(w, ipc.WithSchema(sc)); err == nil {
			out = ipcWriter{fw}
		}
	default:
		out = ipcWriter{ipc.NewWriter(w, ipc.WithSchema(sc))}
	}
	if err != nil {
		return 0, err
	}
	resolve := func(ctx context.Context, dst, addr []byte) ([]byte, error) {
		return table.AppendLong(ctx, v.Reader(), dst, addr)
	}
	g := &gatherer{scan: v.Scan(table.ScanOptions{Rows: table.RowsTree}), most: batchRows}
	worker := func() func(*gathered, *[]arrow.RecordBatch) error {
		b, bad := v.Layout(table.RowsTree).Format.NewBatcher(pool, columns, batchRows, resolve)
		return func(in *gathered, out *[]arrow.RecordBatch) error {
			if bad != nil {
				return bad
			}
			*out = (*out)[:0]
			for _, k := range in.blocks {
				if b.Len() > 0 && b.Size() > 64<<20 {
					*out = append(*out, b.Record())
				}
				if err := b.Append(ctx, k.Page, k.Lo, k.Hi); err != nil {
					return err
				}
			}
			*out = append(*out, b.Record())
			return nil
		}
	}
	err = each(ctx, func(b *gathered) (bool, error) { return g.next(ctx, b) }, runtime.GOMAXPROCS(0), worker, func(in *gathered, recs *[]arrow.RecordBatch) error {
		n += uint64(in.rows)
		for _, r := range *recs {
			columns := slices.Clone(r.Columns())
			for i, c := range columns {
				if t := sc.Field(i).Type; !arrow.TypeEqual(t, c.DataType()) {
					columns[i] = withType(c, t)
				}
			}
			noted := array.NewRecordBatch(sc, columns, r.NumRows())
			r.Release()
			if err := out.Write(ctx, noted); err != nil {
				return err
			}
		}
		rows(int64(in.rows))
		return nil
	})
	if err != nil {
		out.Abort()
		return n, err
	}
	return n, out.Close(ctx)
}

// batchColumns are the columns of a table as a Batcher takes them, and their fields with notes of their types.
func batchColumns(v *table.View, f Format) (columns []page.BatchColumn, fields []arrow.Field) {
	shift := 0
	if v.Schema().Keyless() {
		shift = 1
	}
	for i := range v.Schema().Columns {
		c := &v.Schema().Columns[i]
		col := page.BatchColumn{Column: i + shift, Name: f.shown(c.Name), Nullable: c.Nullable}
		typ := page.ArrowType(c.Type)
		if f.Type == Parquet && typ.ID() == arrow.DURATION {
			typ = arrow.PrimitiveTypes.Int64 // microseconds: Parquet has no durations
		}
		columns = append(columns, col)
		fields = append(fields, arrow.Field{Name: col.Name, Type: typ, Nullable: c.Nullable, Metadata: page.TypeMetadata(c.Type)})
	}
	return columns, fields
}

// ipcWriter writes Arrow's own formats.
type ipcWriter struct {
	w interface {
		Write(arrow.RecordBatch) error
		Close() error
	}
}

// Write implements BatchWriter.
func (w ipcWriter) Write(_ context.Context, b arrow.RecordBatch) error {
	defer b.Release()
	return w.w.Write(b)
}

// Close implements BatchWriter.
func (w ipcWriter) Close(context.Context) error { return w.w.Close() }

// Abort implements BatchWriter.
func (ipcWriter) Abort() {}

// parquetWriter writes row groups, each column of one beside the others, while the next are read.
type parquetWriter struct {
	fw      *pqarrow.FileWriter
	schema  *arrow.Schema
	pending []arrow.RecordBatch
	rows    int64
	groups  chan []arrow.RecordBatch
	done    chan struct{}
	err     error // of the writer, when done is closed
}

func newParquetWriter(w io.Writer, sc *arrow.Schema) (*parquetWriter, error) {
	options := []parquet.WriterProperty{
		parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCompressionLevel(1), parquet.WithDictionaryDefault(true),
		parquet.WithVersion(parquet.V2_LATEST), parquet.WithCreatedBy("stemma"), parquet.WithMaxRowGroupLength(groupRows),
		parquet.WithAllocator(memory.DefaultAllocator),
	}
	for _, f := range sc.Fields() {
		if id := f.Type.ID(); id == arrow.FLOAT64 || id == arrow.FLOAT32 {
			options = append(options, parquet.WithDictionaryFor(f.Name, false))
		}
	}
	props := pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema())
	fw, err := pqarrow.NewFileWriter(sc, nopCloser{w}, parquet.NewWriterProperties(options...), props)
	if err != nil {
		return nil, errs.New(errs.Unsupported, "write Parquet: %w", err)
	}
	p := &parquetWriter{fw: fw, schema: sc, groups: make(chan []arrow.RecordBatch), done: make(chan struct{})}
	go p.run()
	return p, nil
}

// run writes row groups until there are no more.
func (p *parquetWriter) run() {
	defer close(p.done)
	for g := range p.groups {
		if p.err == nil {
			p.err = p.group(g)
		}
		for _, b := range g {
			b.Release()
		}
	}
}

// group writes a row group.
func (p *parquetWriter) group(g []arrow.RecordBatch) (err error) {
	defer recovered(&err)
	for _, b := range g {
		if err := p.fw.WriteBuffered(b); err != nil {
			return err
		}
	}
	return nil
}

// Write implements BatchWriter.
func (p *parquetWriter) Write(ctx context.Context, b arrow.RecordBatch) error {
	p.pending = append(p.pending, b)
	if p.rows += b.NumRows(); p.rows < groupRows {
		return nil
	}
	return p.flush(ctx)
}

func (p *parquetWriter) flush(ctx context.Context) error {
	g := slices.Clone(p.pending)
	p.pending, p.rows = p.pending[:0], 0
	select {
	case p.groups <- g:
		return nil
	case <-ctx.Done():
		return errs.With(errs.Canceled, ctx.Err())
	}
}

// Close implements BatchWriter.
func (p *parquetWriter) Close(ctx context.Context) error {
	var err error
	if len(p.pending) > 0 {
		err = p.flush(ctx)
	}
	close(p.groups)
	<-p.done
	if err = errors.Join(err, p.err); err != nil {
		return err
	}
	return p.fw.Close()
}

// Abort implements BatchWriter.
func (p *parquetWriter) Abort() {
	for _, b := range p.pending {
		b.Release()
	}
	close(p.groups)
	<-p.done
}
