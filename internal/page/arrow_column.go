package page

import (
	"context"
	"runtime"
	"sync/atomic"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/decimal256"
	"golang.org/x/sync/errgroup"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// batchColumn is a column of the batch that is being gathered.
type batchColumn struct {
	c       *column
	typ     value.Type
	arrow   arrow.DataType
	width   int // bytes of a value of fixed width; 0 for the others
	offSize int // 4 or 8 for strings
	dims    int // of vectors
	vals    growing
	offs    growing
	valid   growing // kept from the first NULL on
	nulls   int
	truth   bool        // vals holds a byte for each truth value, which are bits in Arrow
	names   *array.Data // of an ENUM: its values, kept for all batches
	blank   bool        // an ENUM's cell has the value '' that is none of them
	dates   bool        // there are values that Arrow does not have
	most    int         // bytes of strings of the longest batch so far
}

func newBatchColumn(c *column, rc RowColumn, dt arrow.DataType) batchColumn {
	t := rc.Type
	bc := batchColumn{c: c, typ: t, arrow: dt}
	switch t.Kind {
	case value.KindDate, value.KindDatetime, value.KindTimestamp:
		bc.dates = !rc.Raw
	}
	switch dt := dt.(type) {
	case *arrow.BooleanType:
		bc.width, bc.truth = 1, true
	case *arrow.DictionaryType:
		bc.width = dt.IndexType.(arrow.FixedWidthDataType).BitWidth() / 8
		bc.names = textArray(t.Values)
	case *arrow.StringType, *arrow.BinaryType:
		bc.offSize = 4
	case *arrow.LargeStringType, *arrow.LargeBinaryType:
		bc.offSize = 8
	case *arrow.FixedSizeListType:
		bc.dims = int(dt.Len())
		bc.width = 4 * bc.dims
	case arrow.FixedWidthDataType:
		bc.width = dt.BitWidth() / 8
	}
	return bc
}

// append adds rows [lo,hi) of p.
func (c *batchColumn) append(ctx context.Context, b *Batcher, p *Page, lo, hi int) error {
	var s segment
	ok, err := p.segmentOf(ctx, c.c, &s)
	if err != nil {
		return err
	}
	c.appendValid(b, &s, ok, lo, hi)
	switch {
	case c.offSize > 0 && c.c.phys == value.Bytes:
		return c.appendStrings(ctx, b, &s, ok, lo, hi)
	case c.offSize > 0:
		return c.appendNames(b, &s, ok, lo, hi)
	case c.c.phys == value.Bytes:
		return c.appendWide(ctx, b, &s, ok, lo, hi)
	}
	return c.appendNums(b, &s, ok, lo, hi)
}

// appendValid adds the validity of rows [lo,hi).
func (c *batchColumn) appendValid(b *Batcher, s *segment, ok bool, lo, hi int) {
	n := hi - lo
	src, nulls := []byte(nil), 0
	switch {
	case !ok && c.c.absentNull || ok && s.nulls == nullsAll:
		nulls = n
	case ok && s.nulls == nullsSome:
		src = s.valid[:cap(s.valid)]
		nulls = n - countBits(s.valid, lo, hi)
	}
	if nulls == 0 && c.valid.buf == nil {
		return
	}
	if c.valid.buf == nil { // the rows so far had values
		first := c.valid.extend(b.mem, 0, (max(b.rows, b.n)+7)/8, (b.n+7)/8)
		clear(c.valid.buf)
		appendBits(first, 0, nil, 0, b.n)
		c.valid.n = (b.n + 7) / 8
	}
	size := (b.n + n + 7) / 8
	fresh := c.valid.extend(b.mem, size-c.valid.n, 0, 0)
	clear(fresh)
	if nulls < n {
		appendBits(c.valid.buf, b.n, src, lo, n)
	}
	c.valid.n = size
	c.nulls += nulls
}

// fixed makes room for n values of fixed width.
func (c *batchColumn) fixed(b *Batcher, n int) []byte {
	out := c.vals.extend(b.mem, n*c.width, b.rows*c.width, 0)
	c.vals.n += n * c.width
	return out
}

// appendNums adds rows of a fixed-size class.
func (c *batchColumn) appendNums(b *Batcher, s *segment, ok bool, lo, hi int) error {
	if c.truth || c.dates || c.names != nil {
		return c.appendChecked(b, s, ok, lo, hi)
	}
	out := c.fixed(b, hi-lo)
	if c.width == 8 {
		if ok && c.c.phys == value.Float64 && s.form != 0 && s.enc == encInts && s.nulls != nullsAll {
			unpackDec(arrow.Float64Traits.CastFromBytes(out), s.vals, lo, s.width, s.base, pow10[s.form-1])
			return nil
		}
		vals := arrow.Int64Traits.CastFromBytes(out)
		if err := c.nums(b, vals, s, ok, lo); err != nil {
			return err
		}
		if k := c.typ.Kind; k == value.KindUint64 || k == value.KindBit {
			for i := range vals {
				vals[i] ^= -1 << 63
			}
		}
		return nil
	}
	vals := grow(&b.sc.numsB, hi-lo)
	if err := c.nums(b, vals, s, ok, lo); err != nil {
		return err
	}
	c.narrow(out, vals)
	return nil
}

// narrow puts numbers into the width of the column.
func (c *batchColumn) narrow(out []byte, vals []int64) {
	switch c.width {
	case 1:
		for i, v := range vals {
			out[i] = byte(v)
		}
	case 2:
		dst := arrow.Int16Traits.CastFromBytes(out)
		for i, v := range vals {
			dst[i] = int16(v)
		}
	case 4:
		dst := arrow.Int32Traits.CastFromBytes(out)
		for i, v := range vals {
			dst[i] = int32(v)
		}
	case 8:
		copy(arrow.Int64Traits.CastFromBytes(out), vals)
	case 16:
		dst := arrow.Decimal128Traits.CastFromBytes(out)
		for i, v := range vals {
			dst[i] = decimal128.FromI64(v)
		}
	}
}

// nums fills vals with the bits of the cells from row lo on.
func (c *batchColumn) nums(b *Batcher, vals []int64, s *segment, ok bool, lo int) error {
	if !ok {
		for i := range vals {
			vals[i] = c.c.absentBits
		}
		return nil
	}
	if err := s.readNums(vals, lo, &b.sc.codes); err != nil {
		return err
	}
	s.toRaw(vals)
	return nil
}

// appendNames adds rows of SET columns as text.
func (c *batchColumn) appendNames(b *Batcher, s *segment, ok bool, lo, hi int) error {
	vals := grow(&b.sc.numsB, hi-lo)
	if err := c.nums(b, vals, s, ok, lo); err != nil {
		return err
	}
	return c.each(b, hi-lo, func(i int) ([]byte, error) {
		if ok && s.isNull(lo+i) || !ok && c.c.absentNull {
			return nil, nil
		}
		b.sc.str = value.AppendText(b.sc.str[:0], c.typ, value.IntCell(vals[i]))
		return b.sc.str, nil
	})
}

// offsets makes room for the offsets of n more strings, and returns them with the one before.
func (c *batchColumn) offsets(b *Batcher, n int) []byte {
	if c.offs.n == 0 {
		c.offs.extend(b.mem, c.offSize, (b.rows+1)*c.offSize, 0)
		clear(c.offs.buf[:c.offSize])
		c.offs.n = c.offSize
	}
	c.offs.extend(b.mem, n*c.offSize, 0, 0)
	at := c.offs.n - c.offSize
	c.offs.n += n * c.offSize
	return c.offs.buf[at:c.offs.n]
}

// each adds n strings, one call of fn for each.
func (c *batchColumn) each(b *Batcher, n int, fn func(i int) ([]byte, error)) error {
	offs := c.offsets(b, n)
	for i := range n {
		v, err := fn(i)
		if err != nil {
			return err
		}
		if err := c.checkOffsets(len(v)); err != nil {
			return err
		}
		copy(c.vals.extend(b.mem, len(v), 16*b.rows, 0), v)
		c.vals.n += len(v)
		if c.offSize == 4 {
			le.PutUint32(offs[4*i+4:], uint32(c.vals.n))
		} else {
			le.PutUint64(offs[8*i+8:], uint64(c.vals.n))
		}
	}
	return nil
}

// appendStrings adds rows of class Bytes.
func (c *batchColumn) appendStrings(ctx context.Context, b *Batcher, s *segment, ok bool, lo, hi int) error {
	if ok && s.addrs != nil && b.resolve != nil {
		return c.appendLong(ctx, b, s, lo, hi)
	}
	if !ok || s.nulls == nullsAll || s.addrs != nil {
		return c.each(b, hi-lo, func(i int) ([]byte, error) { return c.long(ctx, b, s, ok, lo+i) })
	}
	if s.enc == encDict && s.mode == codeRows && s.nulls == nullsNone && s.store >= storeFront16 && c.offSize == 4 && lo%frontBlock == 0 {
		return c.appendFront(b, s, lo, hi)
	}
	rows, err := s.readStrings(lo, hi, &b.sc)
	if err != nil {
		return err
	}
	n := hi - lo
	room, err := rows.room()
	if err != nil {
		return err
	}
	if err := c.checkOffsets(room); err != nil {
		return err
	}
	offs := c.offsets(b, n)
	c.vals.extend(b.mem, room, 16*b.rows, gatherSlack)
	if c.offSize == 4 {
		end, err := rows.copyTo(c.vals.buf, arrow.Uint32Traits.CastFromBytes(offs))
		c.vals.n = end
		return err
	}
	short := grow(&b.sc.remap, n+1)
	short[0] = 0
	end, err := rows.copyTo(c.vals.buf[c.vals.n:], short)
	if err != nil {
		return err
	}
	wide := arrow.Int64Traits.CastFromBytes(offs)
	for i, o := range short {
		wide[i] = int64(c.vals.n) + int64(o)
	}
	c.vals.n += end
	return nil
}

// appendFront adds rows [lo,hi) whose strings are the entries of a front-coded dictionary in turn, lo being a restart point: entries are
// decoded where they are to be. The present entry is kept in two words as well, so that the next one need not read what was just
// written.
func (c *batchColumn) appendFront(b *Batcher, s *segment, lo, hi int) error {
	const most = 2 * copySlack // bytes of an entry of the usual kind, those beyond its end included
	if err := c.checkOffsets((hi-lo)*maxShared + len(s.blob)); err != nil {
		return err
	}
	offs := arrow.Uint32Traits.CastFromBytes(c.offsets(b, hi-lo))[1:]
	c.vals.extend(b.mem, len(s.blob), 16*b.rows, most)
	buf, at, last := c.vals.buf, c.vals.n, c.vals.n
	blob := s.blob
	src := unsafe.Pointer(unsafe.SliceData(blob))
	pos := s.offset(lo / frontBlock)
	var low, high uint64
	for i := range offs {
		restart := i%frontBlock == 0
		if restart && s.offset((lo+i)/frontBlock) != pos {
			return corrupt("bad front-coded dictionary")
		}
		var shared, l int
		if !restart && pos < len(blob) && usualFront(blob[pos]) { // frontNext of the usual entry, without its calls
			shared, l, pos = int(blob[pos]>>4), int(blob[pos]&frontMore), pos+1
		} else {
			head, suffix, next, ok := s.frontNext(pos, restart)
			if !ok {
				return corrupt("bad front-coded dictionary")
			}
			shared, l, pos = head, len(suffix), next-len(suffix)
		}
		if l > len(blob)-pos || shared > at-last {
			return corrupt("bad front-coded dictionary")
		}
		if at+shared+l+most > len(buf) {
			c.vals.n = at
			c.vals.extend(b.mem, shared+l, 0, most)
			buf = c.vals.buf
		}
		dst := unsafe.Add(unsafe.Pointer(unsafe.SliceData(buf)), at)
		if shared+l <= copySlack {
			// Memory behind a blob is readable for tailLen bytes.
			p, k := unsafe.Add(src, pos), uint(shared)*8
			x, y := *(*uint64)(p), *(*uint64)(unsafe.Add(p, 8))
			// 16 bytes shifted by k bits, without branches: far is all ones when k >= 64.
			far, keep := -uint64(k>>6&1), uint64(1)<<(k&63)-1
			y = y<<(k&63) | x>>1>>(^k&63)
			x <<= k & 63
			low = low&(keep|far) | x&^far
			high = high&keep&far | y&^far | x&far
			*(*uint64)(dst), *(*uint64)(unsafe.Add(dst, 8)) = low, high
		} else {
			copy(buf[at:], buf[last:last+shared])
			copy(buf[at+shared:], blob[pos:pos+l])
			low, high = *(*uint64)(dst), *(*uint64)(unsafe.Add(dst, 8))
		}
		last, at, pos = at, at+shared+l, pos+l
		offs[i] = uint32(at)
	}
	c.vals.n = at
	return nil
}

// appendLong adds rows [lo,hi) some of which are out of line. As many goroutines as there are processors fetch them, a run of rows at a
// time: each value is read, checked and decompressed on its own.
func (c *batchColumn) appendLong(ctx context.Context, b *Batcher, s *segment, lo, hi int) error {
	n := (hi - lo + runRows - 1) / runRows
	if n > len(b.runs) {
		b.runs = append(b.runs, make([]longRun, n-len(b.runs))...)
	}
	runs := b.runs[:n]
	if err := fetchRuns(ctx, b, s, runs, lo, hi); err != nil {
		return err
	}
	total := 0
	for i := range runs {
		total += len(runs[i].buf)
	}
	if err := c.checkOffsets(total); err != nil {
		return err
	}
	offs := c.offsets(b, hi-lo)[c.offSize:]
	c.vals.extend(b.mem, total, max(16*b.rows, c.most, min(total/(hi-lo)*b.rows, BatchBytes+total)), 0)
	for k := range runs {
		at := c.vals.n
		c.vals.n += copy(c.vals.buf[at:], runs[k].buf)
		for i, end := range runs[k].ends {
			if i += k * runRows; c.offSize == 4 {
				le.PutUint32(offs[4*i:], uint32(at+end))
			} else {
				le.PutUint64(offs[8*i:], uint64(at+end))
			}
		}
		if cap(runs[k].buf) > runKept {
			runs[k].buf = nil
		}
	}
	return nil
}

// longRun is the strings of a run of rows one behind the other.
type longRun struct {
	buf  []byte
	ends []int
}

const (
	runRows = 4       // rows that a goroutine fetches at a time: few, since all wait for the last one
	runKept = 1 << 20 // bytes of memory that a run keeps for the next page
)

// fetchRuns fills runs with rows [lo,hi).
func fetchRuns(ctx context.Context, b *Batcher, s *segment, runs []longRun, lo, hi int) error {
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range min(runtime.GOMAXPROCS(0), len(runs)) {
		g.Go(func() error {
			var str []byte
			for k := int(next.Add(1)) - 1; k < len(runs); k = int(next.Add(1)) - 1 {
				r := &runs[k]
				r.buf, r.ends = r.buf[:0], r.ends[:0]
				for i := lo + k*runRows; i < min(lo+(k+1)*runRows, hi); i++ {
					cell, err := s.cell(i, str[:0])
					if err != nil {
						return err
					}
					if !cell.IsAddr() {
						r.buf = append(r.buf, cell.Bytes()...)
					} else if r.buf, err = b.resolve(ctx, r.buf, cell.Bytes()); err != nil {
						return err
					}
					r.ends = append(r.ends, len(r.buf))
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// long is the string of row i, fetched when it is out of line; nil when it is NULL.
func (c *batchColumn) long(ctx context.Context, b *Batcher, s *segment, ok bool, i int) ([]byte, error) {
	cell := c.c.absent
	if ok {
		var err error
		if cell, err = s.cell(i, b.sc.str[:0]); err != nil {
			return nil, err
		}
	}
	return b.cellBytes(ctx, cell)
}

// appendWide adds rows of class Bytes that are of fixed width in Arrow: long decimals and vectors.
func (c *batchColumn) appendWide(ctx context.Context, b *Batcher, s *segment, ok bool, lo, hi int) error {
	out := c.fixed(b, hi-lo)
	clear(out)
	for i := range hi - lo {
		v, err := c.long(ctx, b, s, ok, lo+i)
		if err != nil {
			return err
		}
		if ok && s.isNull(lo+i) || !ok && c.c.absentNull {
			continue
		}
		if err := c.wide(out[i*c.width:(i+1)*c.width], v); err != nil {
			return err
		}
	}
	return nil
}

// wide puts a value of class Bytes into its fixed width.
func (c *batchColumn) wide(at, v []byte) error {
	switch {
	case c.dims > 0:
		if len(v) != len(at) {
			return errs.New(errs.Corrupt, "read pages: a vector of %d bytes in a column of %d", len(v), len(at))
		}
		copy(at, v)
	case len(v) != value.DecimalLen(c.typ.Precision):
		return errs.New(errs.Corrupt, "read pages: a decimal of %d bytes", len(v))
	case c.width == 16:
		arrow.Decimal128Traits.CastFromBytes(at)[0] = decimal128.FromBigInt(value.DecimalBig(c.typ, value.BytesCell(v)))
	default:
		arrow.Decimal256Traits.CastFromBytes(at)[0] = decimal256.FromBigInt(value.DecimalBig(c.typ, value.BytesCell(v)))
	}
	return nil
}
