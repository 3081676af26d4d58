package page

import (
	"bytes"
	"slices"
	"sync"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// DefaultTarget is the target weight of a page, in bytes, when a Layout names none.
const DefaultTarget = 16 << 10

// Column is what a page knows of a column.
type Column struct {
	ID     uint64     // stable; ids of a Layout differ
	Type   value.Type // decides the physical class, the weight and the order in keys
	Absent value.Cell // the value of rows that were written before the column was, Null as a rule; it never changes
}

// KeyColumn is a column that takes part in the key.
type KeyColumn struct {
	Column int    // index into Layout.Columns
	Desc   bool   // descending
	Prefix uint32 // characters (bytes for binary types) that take part; 0 is all
}

// Layout describes the rows of a tree: the columns in tuple order, the key in key order.
type Layout struct {
	Columns []Column
	Key     []KeyColumn
	Target  int // aim for the sum of weights in a page; 0 is DefaultTarget
}

// column is a Column with what the inner loops need of it.
type column struct {
	id         uint64
	phys       value.Phys
	width      int
	absent     value.Cell
	absentNull bool
	absentAddr bool
	absentBits int64
	absentStr  []byte
	key        int            // place in the key, -1 for the others
	place      int            // place in the order of ids
	sortPart   *value.KeyPart // set for key columns whose order is not that of their bytes; ascending
}

// keyPart is a KeyColumn with what the inner loops need of it.
type keyPart struct {
	col  int
	part value.KeyPart
	raw  bool // of class Bytes, in the order of the bytes
}

// Format is the columnar leaf format for one Layout. It implements tree.Format.
type Format struct {
	layout   Layout
	target   int
	cols     []column
	key      []keyPart
	phys     []value.Phys
	byID     []int // columns in the order of their ids
	scr      sync.Pool
	builders sync.Pool // *Builder, empty
}

var _ tree.Format = (*Format)(nil)

// NewFormat prepares a Layout. Errors are of class Invalid.
func NewFormat(l Layout) (*Format, error) {
	f := &Format{layout: l, target: l.Target}
	if f.target == 0 {
		f.target = DefaultTarget
	}
	if f.target < minTarget || f.target > maxTarget {
		return nil, errs.New(errs.Invalid, "make page format: target %d is not between %d and %d", l.Target, minTarget, maxTarget)
	}
	if len(l.Columns) > 0xffff {
		return nil, errs.New(errs.Invalid, "make page format: %d columns are more than 65535", len(l.Columns))
	}
	for i, c := range l.Columns {
		a := c.Absent
		f.cols = append(f.cols, column{
			id: c.ID, phys: c.Type.Phys(), width: c.Type.Width(), key: -1,
			absent: a, absentNull: a.IsNull(), absentAddr: a.IsAddr(), absentBits: int64(a.Bits()), absentStr: a.Bytes(),
		})
		f.phys = append(f.phys, c.Type.Phys())
		f.byID = append(f.byID, i)
	}
	slices.SortFunc(f.byID, func(a, b int) int {
		if f.cols[a].id < f.cols[b].id {
			return -1
		}
		return 1
	})
	for p, i := range f.byID {
		f.cols[i].place = p
		if p > 0 && f.cols[f.byID[p-1]].id == f.cols[i].id {
			return nil, errs.New(errs.Invalid, "make page format: two columns have the id %d", f.cols[i].id)
		}
	}
	for k, kc := range l.Key {
		if kc.Column < 0 || kc.Column >= len(l.Columns) || f.cols[kc.Column].key >= 0 {
			return nil, errs.New(errs.Invalid, "make page format: key column %d is not a column or is named twice", k)
		}
		c := &f.cols[kc.Column]
		c.key = k
		t := l.Columns[kc.Column].Type
		text := t.Kind == value.KindChar || t.Kind == value.KindVarchar || t.Kind == value.KindText
		kp := keyPart{col: kc.Column, part: value.KeyPart{Type: t, Desc: kc.Desc, Prefix: kc.Prefix}}
		if c.phys == value.Bytes {
			kp.raw = kc.Prefix == 0 && (!text || t.Collation.Bytewise())
			if !kp.raw {
				c.sortPart = &value.KeyPart{Type: t, Prefix: kc.Prefix}
			}
		}
		f.key = append(f.key, kp)
	}
	f.scr.New = func() any { return new(scratch) }
	return f, nil
}

// Layout is the layout that f was made from. The caller must not change it.
func (f *Format) Layout() Layout { return f.layout }

// Target implements tree.Format.
func (f *Format) Target() int { return f.target }

// Weights. A row weighs rowWeight and, for each cell,
//
//	0                       when it equals the column's absent value
//	nullWeight              when it is NULL (and the absent value is not)
//	Type.Width()            of a fixed-size class
//	length + lenWeight      of class Bytes
//	addrWeight              out of line
//
// but at most Target/64, so that a page has rows enough for an edit to move few boundaries. Weights do not depend on other rows or
// on encodings.
//
// An address weighs more than its 40 bytes: they are those of a hash, so nothing makes them fewer, and to change a cell that is kept
// out of line changes its address. Of a table of documents pages of some 4 KB are written again with it, not of 16 KB.
const (
	rowWeight  = 4
	nullWeight = 1
	lenWeight  = 2
	addrWeight = 192

	minTarget = 64 * rowWeight
	maxTarget = 1 << 20
)

func (f *Format) maxWeight() int { return f.target / 64 }

// cellWeight is the weight of a cell of c.
func (c *column) cellWeight(v value.Cell) int {
	switch {
	case v.IsNull():
		return c.nullCellWeight()
	case c.phys != value.Bytes:
		return c.numWeight(int64(v.Bits()))
	}
	return c.strWeight(v.Bytes(), v.IsAddr())
}

func (c *column) nullCellWeight() int {
	if c.absentNull {
		return 0
	}
	return nullWeight
}

func (c *column) numWeight(bits int64) int {
	if !c.absentNull && bits == c.absentBits {
		return 0
	}
	return c.width
}

func (c *column) strWeight(b []byte, addr bool) int {
	if !c.absentNull && addr == c.absentAddr && bytes.Equal(b, c.absentStr) {
		return 0
	}
	if addr {
		return addrWeight
	}
	return len(b) + lenWeight
}
