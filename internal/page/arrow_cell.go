package page

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// appendChecked is appendNums for columns some of whose values Arrow does not have, or has otherwise.
func (c *batchColumn) appendChecked(b *Batcher, s *segment, ok bool, lo, hi int) error {
	vals := grow(&b.sc.numsB, hi-lo)
	if err := c.nums(b, vals, s, ok, lo); err != nil {
		return err
	}
	for i := range vals {
		if v, fine := c.arrowValue(vals[i]); fine {
			vals[i] = v
		} else if ok && s.isNull(lo+i) || !ok && c.c.absentNull {
			vals[i] = 0
		} else if c.names != nil && vals[i] == 0 {
			c.blank, vals[i] = true, int64(len(c.typ.Values))
		} else {
			return c.noValue(vals[i], b.n+i)
		}
	}
	c.narrow(c.fixed(b, hi-lo), vals)
	return nil
}

// arrowValue is a cell's number as Arrow has it; false when it has none.
func (c *batchColumn) arrowValue(v int64) (int64, bool) {
	switch {
	case c.truth:
		return v, v>>1 == 0
	case c.names != nil:
		return v - 1, v > 0 && v <= int64(len(c.typ.Values))
	case c.typ.Kind == value.KindDate:
		return v, v != value.ZeroDate
	}
	return v, v != value.ZeroDatetime
}

// noValue is the error for a cell that Arrow has no value for.
func (c *batchColumn) noValue(v int64, row int) error {
	err := errs.New(errs.Invalid, "%s has no value in Arrow; select it as text instead", value.AppendText(nil, c.typ, value.IntCell(v)))
	switch {
	case c.truth:
		err = errs.New(errs.Invalid, "%d is no truth value; ask for truth values as int8", v)
	case c.names != nil:
		err = errs.New(errs.Corrupt, "read pages: no value %d in an enum of %d", v, len(c.typ.Values))
	}
	return &CellError{Row: row, Err: err}
}

// packed makes bits of the bytes of a column of truth values.
func (c *batchColumn) packed(b *Batcher) *memory.Buffer {
	size := (b.n + 7) / 8
	out := b.mem.Allocate(size)
	clear(out)
	for i, v := range c.vals.buf[:min(b.n, len(c.vals.buf))] {
		out[i>>3] |= v << (i & 7)
	}
	c.vals.free(b.mem)
	return memory.NewBufferWithAllocator(out, b.mem)
}

// dictionary is the values of an ENUM, with ” behind them when a cell has it.
func (c *batchColumn) dictionary() *array.Data {
	if !c.blank {
		return c.names
	}
	c.blank = false
	return textArray(append(slices.Clone(c.typ.Values), ""))
}

// textArray is an array of texts in memory that the collector looks after.
func textArray(values []string) *array.Data {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.AppendValues(values, nil)
	return b.NewStringArray().Data().(*array.Data)
}

// appendCell adds one cell.
func (c *batchColumn) appendCell(ctx context.Context, b *Batcher, cell value.Cell) error {
	null := cell.IsNull()
	if null || c.valid.buf != nil {
		c.appendBit(b, !null)
	}
	switch phys := c.typ.Phys(); {
	case c.offSize > 0:
		return c.each(b, 1, func(int) ([]byte, error) {
			switch {
			case null:
				return nil, nil
			case phys != value.Bytes:
				b.sc.str = value.AppendText(b.sc.str[:0], c.typ, cell)
				return b.sc.str, nil
			}
			return b.cellBytes(ctx, cell)
		})
	case phys == value.Bytes:
		out := c.fixed(b, 1)
		clear(out)
		if null {
			return nil
		}
		v, err := b.cellBytes(ctx, cell)
		if err != nil {
			return err
		}
		return c.wide(out, v)
	}
	v := cell.Int()
	if null {
		v = 0
	} else if c.truth || c.dates || c.names != nil {
		x, fine := c.arrowValue(v)
		switch {
		case fine:
			v = x
		case c.names != nil && v == 0:
			c.blank, v = true, int64(len(c.typ.Values))
		default:
			return c.noValue(v, b.n)
		}
	} else if k := c.typ.Kind; k == value.KindUint64 || k == value.KindBit {
		v ^= -1 << 63
	}
	c.narrow(c.fixed(b, 1), []int64{v})
	return nil
}

// appendBit adds the validity of one row.
func (c *batchColumn) appendBit(b *Batcher, valid bool) {
	if c.valid.buf == nil { // the rows so far had values
		first := c.valid.extend(b.mem, 0, (max(b.rows, b.n)+7)/8, (b.n+7)/8)
		clear(c.valid.buf)
		appendBits(first, 0, nil, 0, b.n)
		c.valid.n = (b.n + 7) / 8
	}
	if size := b.n/8 + 1; size > c.valid.n {
		c.valid.extend(b.mem, 1, 0, 0)[0] = 0
		c.valid.n = size
	}
	if valid {
		c.valid.buf[b.n>>3] |= 1 << (b.n & 7)
	} else {
		c.nulls++
	}
}

// cellBytes is the value of a cell of class Bytes, fetched when it is out of line.
func (b *Batcher) cellBytes(ctx context.Context, cell value.Cell) ([]byte, error) {
	if !cell.IsAddr() {
		return cell.Bytes(), nil
	}
	if b.resolve == nil {
		return nil, errs.New(errs.Unsupported, "read pages: out-of-line cells without a way to fetch them")
	}
	return b.resolve(ctx, nil, cell.Bytes())
}
