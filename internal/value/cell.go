package value

import (
	"bytes"
	"math"

	"github.com/stemmadb/stemma/internal/hash"
)

// Cell is one value in its physical form. The zero Cell is NULL.
type Cell struct {
	bits  uint64
	bytes []byte
	state cellState
}

type cellState uint8

const (
	stateNull cellState = iota
	stateFixed
	stateBytes
	stateAddr
)

// Null is the NULL cell.
var Null = Cell{}

// IntCell is a cell of class Int64.
func IntCell(v int64) Cell { return Cell{bits: uint64(v), state: stateFixed} }

// UintCell is a cell of class Int64 for a kind that is kept as KindUint64: UINT64, BIT and SET.
func UintCell(v uint64) Cell { return Cell{bits: v ^ 1<<63, state: stateFixed} }

// FloatCell is a cell of class Float64.
func FloatCell(v float64) Cell { return Cell{bits: math.Float64bits(v), state: stateFixed} }

// Float32Cell is a cell of class Float32.
func Float32Cell(v float32) Cell { return Cell{bits: uint64(math.Float32bits(v)), state: stateFixed} }

// BytesCell is a cell of class Bytes. The cell keeps v, which must not change.
func BytesCell(v []byte) Cell { return Cell{bytes: v, state: stateBytes} }

// AddrSize is the length of the encoded address of an out-of-line cell.
const AddrSize = hash.Size + 8

// AddrCell is a cell of class Bytes whose value is kept out of line; addr is an encoded address of AddrSize bytes (hash of the
// blob's root chunk, then the value's length in bytes as 8 bytes little endian).
func AddrCell(addr []byte) Cell { return Cell{bytes: addr, state: stateAddr} }

// IsNull tells whether the cell is NULL.
func (c Cell) IsNull() bool { return c.state == stateNull }

// IsAddr tells whether the value is kept out of line.
func (c Cell) IsAddr() bool { return c.state == stateAddr }

// Int is the value of a cell of class Int64.
func (c Cell) Int() int64 { return int64(c.bits) }

// Uint is the value of a cell that UintCell makes.
func (c Cell) Uint() uint64 { return c.bits ^ 1<<63 }

// Float is the value of a cell of class Float64.
func (c Cell) Float() float64 { return math.Float64frombits(c.bits) }

// Float32 is the value of a cell of class Float32.
func (c Cell) Float32() float32 { return math.Float32frombits(uint32(c.bits)) }

// Bits are the raw bits of a cell of a fixed-size class.
func (c Cell) Bits() uint64 { return c.bits }

// Bytes is the value of a cell of class Bytes, or the encoded address when IsAddr. The caller must not change it.
func (c Cell) Bytes() []byte { return c.bytes }

// Equal tells whether two cells of one class are the same, bit for bit. Out-of-line cells are equal when their addresses are.
func (c Cell) Equal(d Cell) bool {
	return c.state == d.state && c.bits == d.bits && bytes.Equal(c.bytes, d.bytes)
}

// Clone is a cell that shares no memory with c.
func (c Cell) Clone() Cell {
	if c.bytes != nil {
		c.bytes = bytes.Clone(c.bytes)
	}
	return c
}
