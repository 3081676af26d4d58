package page

import (
	"context"
	"errors"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// largeText is the declared length in bytes from which strings have 64-bit offsets in Arrow (MEDIUMTEXT and above).
const largeText = 1<<24 - 1

// ArrowType is the Arrow type in which cells of type t are read:
//
//	integers            the integer of the same or the next greater width and signedness
//	BOOLEAN             bool
//	BIT                 uint64
//	YEAR                uint16
//	FLOAT, DOUBLE       float32, float64
//	DECIMAL             decimal128 up to 38 digits, else decimal256
//	DATE                date32
//	TIME                duration[us]
//	DATETIME            timestamp[us]
//	TIMESTAMP           timestamp[us, UTC]
//	ENUM                dictionary<int16, utf8> of its values; int32 from 32,768 values on
//	SET                 utf8
//	CHAR, VARCHAR, TEXT utf8; large_utf8 from MEDIUMTEXT on
//	JSON                large_utf8
//	BINARY, VARBINARY   binary
//	BLOB, GEOMETRY      binary; large_binary from MEDIUMBLOB on and for geometry
//	VECTOR              fixed_size_list of float32
func ArrowType(t value.Type) arrow.DataType {
	switch t.Kind {
	case value.KindInt8:
		if isBoolean(t) {
			return arrow.FixedWidthTypes.Boolean
		}
		return arrow.PrimitiveTypes.Int8
	case value.KindInt16:
		return arrow.PrimitiveTypes.Int16
	case value.KindInt24, value.KindInt32:
		return arrow.PrimitiveTypes.Int32
	case value.KindUint8:
		return arrow.PrimitiveTypes.Uint8
	case value.KindUint16, value.KindYear:
		return arrow.PrimitiveTypes.Uint16
	case value.KindUint24, value.KindUint32:
		return arrow.PrimitiveTypes.Uint32
	case value.KindUint64, value.KindBit:
		return arrow.PrimitiveTypes.Uint64
	case value.KindFloat32:
		return arrow.PrimitiveTypes.Float32
	case value.KindFloat64:
		return arrow.PrimitiveTypes.Float64
	case value.KindDecimal:
		if t.Precision <= 38 {
			return &arrow.Decimal128Type{Precision: int32(t.Precision), Scale: int32(t.Scale)}
		}
		return &arrow.Decimal256Type{Precision: int32(t.Precision), Scale: int32(t.Scale)}
	case value.KindDate:
		return arrow.FixedWidthTypes.Date32
	case value.KindTime:
		return arrow.FixedWidthTypes.Duration_us
	case value.KindDatetime:
		return &arrow.TimestampType{Unit: arrow.Microsecond}
	case value.KindTimestamp:
		return arrow.FixedWidthTypes.Timestamp_us
	case value.KindEnum:
		index := arrow.PrimitiveTypes.Int16
		if len(t.Values) > math.MaxInt16 {
			index = arrow.PrimitiveTypes.Int32
		}
		return &arrow.DictionaryType{IndexType: index, ValueType: arrow.BinaryTypes.String}
	case value.KindSet, value.KindChar, value.KindVarchar:
		return arrow.BinaryTypes.String
	case value.KindText:
		if t.Length >= largeText {
			return arrow.BinaryTypes.LargeString
		}
		return arrow.BinaryTypes.String
	case value.KindJSON:
		return arrow.BinaryTypes.LargeString
	case value.KindBinary, value.KindVarbinary:
		return arrow.BinaryTypes.Binary
	case value.KindBlob:
		if t.Length >= largeText {
			return arrow.BinaryTypes.LargeBinary
		}
		return arrow.BinaryTypes.Binary
	case value.KindGeometry:
		return arrow.BinaryTypes.LargeBinary
	case value.KindVector:
		return arrow.FixedSizeListOfNonNullable(int32(t.Length), arrow.PrimitiveTypes.Float32)
	}
	return arrow.PrimitiveTypes.Int64
}

// isBoolean tells whether a type is BOOLEAN, shown as tinyint(1).
func isBoolean(t value.Type) bool { return t.Kind == value.KindInt8 && t.Precision == 1 }

// BatchColumn names a column of the layout and what it is called in the batch.
type BatchColumn struct {
	Column   int // index into Layout.Columns
	Name     string
	Nullable bool
	Metadata arrow.Metadata
	Integer  bool // a BOOLEAN is int8, whatever number it holds
	Raw      bool // Integer, and the date 0000-00-00 is value.ZeroDate or ZeroDatetime: for comparing, not for people
}

// RowColumn describes a column of rows that come from no page.
type RowColumn struct {
	Name     string
	Type     value.Type
	Nullable bool
	Metadata arrow.Metadata
	Integer  bool // as of BatchColumn
	Raw      bool // as of BatchColumn
}

// CellError says that a cell has no value in Arrow: of a BOOLEAN neither 0 nor 1, of a date 0000-00-00.
type CellError struct {
	Column int // of the batch
	Row    int // of the batch
	Err    error
}

// Error implements error.
func (e *CellError) Error() string { return e.Err.Error() }

// Unwrap gives the error itself, of class Invalid.
func (e *CellError) Unwrap() error { return e.Err }

// Batcher gathers row ranges of pages into Arrow record batches. It belongs to one goroutine at a time.
type Batcher struct {
	f       *Format
	mem     memory.Allocator
	schema  *arrow.Schema
	rows    int
	n       int
	cols    []batchColumn
	resolve func(ctx context.Context, dst, addr []byte) ([]byte, error)
	runs    []longRun // memory for appendLong
	sc      scratch
}

// NewBatcher makes a Batcher for some columns. mem lends the buffers, a Pool for preference; rows is how many a batch will have, as a
// rule. resolve appends an out-of-line cell, given by its address, to dst, for several goroutines at once; without it such cells are an
// error of class Unsupported.
func (f *Format) NewBatcher(mem memory.Allocator, cols []BatchColumn, rows int, resolve func(ctx context.Context, dst, addr []byte) ([]byte, error)) (*Batcher, error) {
	b := &Batcher{f: f, mem: mem, rows: max(rows, 64), resolve: resolve}
	fields := make([]arrow.Field, len(cols))
	for i, c := range cols {
		if c.Column < 0 || c.Column >= len(f.cols) {
			return nil, errs.New(errs.Internal, "make batcher: no column %d", c.Column)
		}
		rc := RowColumn{Name: c.Name, Type: f.layout.Columns[c.Column].Type, Nullable: c.Nullable, Metadata: c.Metadata, Integer: c.Integer, Raw: c.Raw}
		fields[i] = rc.Field()
		b.cols = append(b.cols, newBatchColumn(&f.cols[c.Column], rc, fields[i].Type))
	}
	b.schema = arrow.NewSchema(fields, nil)
	return b, nil
}

// Field is the column's field.
func (c *RowColumn) Field() arrow.Field {
	dt := ArrowType(c.Type)
	if (c.Integer || c.Raw) && isBoolean(c.Type) {
		dt = arrow.PrimitiveTypes.Int8
	}
	return arrow.Field{Name: c.Name, Type: dt, Nullable: c.Nullable, Metadata: c.Metadata}
}

// NewRowBatcher makes a Batcher for rows that come one by one, to AppendRow; it takes no pages. The rest is as of NewBatcher.
func NewRowBatcher(mem memory.Allocator, cols []RowColumn, rows int, resolve func(ctx context.Context, dst, addr []byte) ([]byte, error)) *Batcher {
	b := &Batcher{mem: mem, rows: max(rows, 64), resolve: resolve}
	fields := make([]arrow.Field, len(cols))
	for i := range cols {
		fields[i] = cols[i].Field()
		b.cols = append(b.cols, newBatchColumn(nil, cols[i], fields[i].Type))
	}
	b.schema = arrow.NewSchema(fields, nil)
	return b
}

// Schema is the schema of the batches.
func (b *Batcher) Schema() *arrow.Schema { return b.schema }

// SetMetadata gives the schema of batches to come its metadata.
func (b *Batcher) SetMetadata(m arrow.Metadata) { b.schema = arrow.NewSchema(b.schema.Fields(), &m) }

// Len is the number of rows gathered.
func (b *Batcher) Len() int { return b.n }

// BatchBytes is the Size at which a batch is taken, as a rule, although it has fewer rows than it was to have.
const BatchBytes = 16 << 20

// Size is the number of bytes of strings gathered in the column that has most. Strings with 32-bit offsets must stay below 2 GiB
// together; a page adds as many as it has.
func (b *Batcher) Size() int {
	size := 0
	for i := range b.cols {
		if b.cols[i].offs.buf != nil {
			size = max(size, b.cols[i].vals.n)
		}
	}
	return size
}

// Append adds rows [lo,hi) of p. After an error the Batcher holds no rows.
func (b *Batcher) Append(ctx context.Context, p *Page, lo, hi int) error {
	if err := p.checkRange(lo, hi); err != nil {
		return err
	}
	if hi == lo {
		return nil
	}
	for i := range b.cols {
		if err := b.cols[i].append(ctx, b, p, lo, hi); err != nil {
			b.drop()
			return located(err, i)
		}
	}
	b.n += hi - lo
	return nil
}

// AppendRow adds a row, given by a cell for each column of the batch. After an error the Batcher holds no rows.
func (b *Batcher) AppendRow(ctx context.Context, cells []value.Cell) error {
	if len(cells) != len(b.cols) {
		return errs.New(errs.Internal, "gather a row: %d cells for %d columns", len(cells), len(b.cols))
	}
	for i := range b.cols {
		if err := b.cols[i].appendCell(ctx, b, cells[i]); err != nil {
			b.drop()
			return located(err, i)
		}
	}
	b.n++
	return nil
}

// located puts the column's place into an error about a cell.
func located(err error, column int) error {
	var c *CellError
	if errors.As(err, &c) {
		c.Column = column
	}
	return err
}

// Record is the rows gathered as a record batch, which the caller releases; the Batcher is then empty.
func (b *Batcher) Record() arrow.RecordBatch {
	arrays := make([]arrow.Array, len(b.cols))
	for i := range b.cols {
		arrays[i] = b.cols[i].array(b)
	}
	rec := array.NewRecordBatch(b.schema, arrays, int64(b.n))
	for _, a := range arrays {
		a.Release()
	}
	b.n = 0
	return rec
}

// Release gives the buffers of rows that were gathered and not taken back to the allocator.
func (b *Batcher) Release() { b.drop() }

func (b *Batcher) drop() {
	for i := range b.cols {
		c := &b.cols[i]
		for _, g := range []*growing{&c.vals, &c.offs, &c.valid} {
			g.free(b.mem)
		}
		c.nulls, c.blank = 0, false
	}
	b.n = 0
}

// growing is a buffer of the allocator of which n bytes are used.
type growing struct {
	buf []byte
	n   int
}

// extend makes room for k more bytes, want in all at the first time, and returns them with spare bytes behind; the caller adds to n.
func (g *growing) extend(mem memory.Allocator, k, want, spare int) []byte {
	switch need := g.n + k + spare; {
	case need <= len(g.buf):
	case need <= cap(g.buf):
		g.buf = mem.Reallocate(cap(g.buf), g.buf)
	default:
		size := max(need, 2*len(g.buf), want)
		next := mem.Allocate(size)
		copy(next, g.buf[:g.n])
		if g.buf != nil {
			mem.Free(g.buf)
		}
		g.buf = next
	}
	return g.buf[g.n : g.n+k+spare]
}

func (g *growing) free(mem memory.Allocator) {
	if g.buf != nil {
		mem.Free(g.buf)
	}
	*g = growing{}
}

// take hands the used bytes over as an Arrow buffer; nil when nothing was ever written.
func (g *growing) take(mem memory.Allocator) *memory.Buffer {
	if g.buf == nil {
		return nil
	}
	b := memory.NewBufferWithAllocator(mem.Reallocate(g.n, g.buf), mem)
	*g = growing{}
	return b
}

// appendBits appends n bits of src from bit lo on, all of them set when src is nil, to the bitmap dst that has at bits. Bits of dst
// from at on are zero.
func appendBits(dst []byte, at int, src []byte, lo, n int) {
	for i := 0; i < n; {
		if (at+i)&7 == 0 && n-i >= 8 {
			v := byte(0xff)
			if src != nil {
				k := lo + i
				v = byte(le.Uint16(src[k>>3:]) >> (k & 7))
			}
			dst[(at+i)>>3] = v
			i += 8
			continue
		}
		if src == nil || bitSet(src, lo+i) {
			dst[(at+i)>>3] |= 1 << ((at + i) & 7)
		}
		i++
	}
}

// array makes the Arrow array of a column and empties it.
func (c *batchColumn) array(b *Batcher) arrow.Array {
	bufs := []*memory.Buffer{c.valid.take(b.mem)}
	var children []arrow.ArrayData
	switch {
	case c.offSize > 0:
		c.most = max(c.most, c.vals.n)
		if c.offs.buf == nil { // no rows
			c.offs.extend(b.mem, c.offSize, 0, 0)
			clear(c.offs.buf)
			c.offs.n = c.offSize
		}
		bufs = append(bufs, c.offs.take(b.mem), c.vals.take(b.mem))
	case c.dims > 0:
		vals := c.vals.take(b.mem)
		child := array.NewData(arrow.PrimitiveTypes.Float32, b.n*c.dims, []*memory.Buffer{nil, vals}, nil, 0, 0)
		children = append(children, child)
		if vals != nil {
			vals.Release()
		}
	case c.truth:
		bufs = append(bufs, c.packed(b))
	default:
		bufs = append(bufs, c.vals.take(b.mem))
	}
	data := array.NewData(c.arrow, b.n, bufs, children, c.nulls, 0)
	if c.names != nil {
		data.Release()
		data = array.NewDataWithDictionary(c.arrow, b.n, bufs, c.nulls, 0, c.dictionary())
	}
	for _, buf := range bufs {
		if buf != nil {
			buf.Release()
		}
	}
	for _, ch := range children {
		ch.Release()
	}
	c.nulls = 0
	a := array.MakeFromData(data)
	data.Release()
	return a
}

// checkOffsets keeps strings with 32-bit offsets below 2 GiB.
func (c *batchColumn) checkOffsets(more int) error {
	if c.offSize == 4 && c.vals.n+more > math.MaxInt32 {
		return errs.New(errs.Invalid, "read pages: a batch has more than 2 GiB of strings in one column; take fewer rows")
	}
	return nil
}
