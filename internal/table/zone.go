package table

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/page"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// ZoneFilter is a condition that rows must meet to be of use to a scan: the key part of a cell (value.AppendKeyPart, ascending and
// whole) lies in [Lo, Hi).
type ZoneFilter struct {
	Column int    // position in the rows' layout
	Lo, Hi []byte // nil is open
}

const (
	zoneNull   = 1 // a cell is NULL
	zoneValues = 2 // a cell is not NULL, and least and most hold
)

// zone is what is known of one column in one leaf. A leaf has rows, so flags are 0 only when nothing is known.
//
// least and most bound the first 8 bytes of the cells' key parts without their marker, zero bytes behind those that are shorter, as
// a big-endian number. That number rises with the key: of two keys, neither of which begins the other, it is equal or it says which
// is greater. So the bounds are inclusive, and exact for the classes of 8 bytes.
type zone struct {
	flags       uint8
	least, most uint64
}

// add takes a value with the head of its key part.
func (z *zone) add(head uint64) {
	if z.flags&zoneValues == 0 {
		z.flags |= zoneValues
		z.least, z.most = head, head
		return
	}
	z.least, z.most = min(z.least, head), max(z.most, head)
}

// widen says that there may be any value.
func (z *zone) widen() { z.flags, z.least, z.most = z.flags|zoneValues, 0, math.MaxUint64 }

// keyHead is the first 8 bytes of b as a number, zero bytes behind a shorter b.
func keyHead(b []byte) uint64 {
	if len(b) >= 8 {
		return binary.BigEndian.Uint64(b)
	}
	var full [8]byte
	copy(full[:], b)
	return binary.BigEndian.Uint64(full[:])
}

// zoneTest is a ZoneFilter in the terms of zones.
type zoneTest struct {
	column columnPrint
	at     int
	part   value.KeyPart
	null   bool // NULL passes
	values bool // values with heads in [least, most] may pass
	least  uint64
	most   uint64
}

func newZoneTest(l *schema.Layout, f ZoneFilter) zoneTest {
	c := l.Format.Layout().Columns[f.Column]
	t := zoneTest{column: printOf(c), at: f.Column, part: value.KeyPart{Type: c.Type}, values: true, most: math.MaxUint64}
	// Keys begin with a marker: 0 of NULL, which has no more, or 1.
	t.null = len(f.Lo) == 0 || len(f.Lo) == 1 && f.Lo[0] == 0
	if len(f.Lo) > 0 {
		switch f.Lo[0] {
		case 0:
		case 1:
			t.least = keyHead(f.Lo[1:])
		default:
			t.values = false
		}
	}
	if f.Hi == nil {
		return t
	}
	if len(f.Hi) == 0 || len(f.Hi) == 1 && f.Hi[0] == 0 {
		t.null = false
	}
	switch {
	case len(f.Hi) == 0 || f.Hi[0] == 0:
		t.values = false
	case f.Hi[0] == 1:
		t.most = keyHead(f.Hi[1:])
		// A key with that head begins with Hi when Hi is all in the head and no zero bytes of its own look like the filling.
		if n := len(f.Hi); n <= 9 && f.Hi[n-1] != 0 {
			t.values = t.values && t.most > 0
			t.most--
		}
	}
	return t
}

// excludes tells whether no row of a leaf passes.
func (t *zoneTest) excludes(z zone) bool {
	return z.flags != 0 && !(z.flags&zoneNull != 0 && t.null) &&
		!(z.flags&zoneValues != 0 && t.values && z.most >= t.least && z.least <= t.most)
}

// zoneScan keeps a scan from leaves that its filters exclude, and learns the zones of those that it reads.
type zoneScan struct {
	zones *Zones
	tests []zoneTest
	cells zoneCells
}

// skip tells whether the zones known exclude a leaf.
func (s *zoneScan) skip(parent hash.Hash, child int) bool {
	for i := range s.tests {
		t := &s.tests[i]
		if t.excludes(s.zones.get(zoneKey{parent, t.column}, child)) {
			return true
		}
	}
	return false
}

// read tells whether no row of p passes, which is the leaf on which cur stands.
func (s *zoneScan) read(ctx context.Context, cur *tree.Cursor, p *page.Page) (excluded bool, err error) {
	parent, child, children, ok := cur.Parent()
	if !ok {
		return false, nil
	}
	for i := range s.tests {
		t := &s.tests[i]
		k := zoneKey{parent, t.column}
		z := s.zones.get(k, child)
		if z.flags == 0 {
			if z, err = s.cells.zone(ctx, p, t.at, &t.part); err != nil {
				return false, err
			}
			s.zones.learn(k, child, children, z)
		}
		excluded = excluded || t.excludes(z)
	}
	return excluded, nil
}

// zoneCells is memory for the cells of a column.
type zoneCells struct {
	floats   []float64
	floats32 []float32
	nulls    []bool
	strings  page.Strings
	dict     page.Dict
	key      []byte
}

// zone reads column col of a page.
func (b *zoneCells) zone(ctx context.Context, p *page.Page, col int, part *value.KeyPart) (zone, error) {
	var z zone
	n := p.Len()
	b.nulls = sized(b.nulls, n)
	nulls, err := p.Nulls(ctx, col, 0, n, b.nulls)
	if err != nil {
		return z, err
	}
	if nulls > 0 {
		z.flags = zoneNull
	}
	if nulls == n {
		return z, nil
	}
	switch phys := part.Type.Phys(); phys {
	case value.Int64:
		least, most, _, err := p.MinMaxInts(ctx, col, 0, n)
		if err != nil {
			return z, err
		}
		b.add(&z, part, value.IntCell(least))
		b.add(&z, part, value.IntCell(most))
	case value.Float64:
		b.floats = sized(b.floats, n)
		if err := p.Floats(ctx, col, 0, n, b.floats); err != nil {
			return z, err
		}
		for i, v := range b.floats {
			b.addNumber(&z, part, value.FloatCell(v), b.nulls[i])
		}
	case value.Float32:
		b.floats32 = sized(b.floats32, n)
		if err := p.Float32s(ctx, col, 0, n, b.floats32); err != nil {
			return z, err
		}
		for i, v := range b.floats32 {
			b.addNumber(&z, part, value.Float32Cell(v), b.nulls[i])
		}
	default:
		return z, b.addStrings(ctx, &z, p, col, part)
	}
	return z, nil
}

// addNumber takes a floating-point cell. Keys order NaN by its bits, which is not how everyone compares it.
func (b *zoneCells) addNumber(z *zone, part *value.KeyPart, c value.Cell, null bool) {
	switch {
	case null:
	case value.IsNaN(part.Type.Phys(), c):
		z.widen()
	default:
		b.add(z, part, c)
	}
}

func (b *zoneCells) addStrings(ctx context.Context, z *zone, p *page.Page, col int, part *value.KeyPart) error {
	ok, err := p.Dict(ctx, col, 0, p.Len(), &b.dict)
	if err != nil {
		return err
	}
	if ok {
		for c := range b.dict.Len() {
			b.add(z, part, value.BytesCell(b.dict.At(c)))
		}
		return nil
	}
	b.strings.Reset()
	if err := p.Bytes(ctx, col, 0, p.Len(), &b.strings); err != nil {
		return err
	}
	if len(b.strings.Addrs) > 0 { // reading them costs more than a zone saves
		z.widen()
		return nil
	}
	for i := range b.strings.Len() {
		if !b.nulls[i] {
			b.add(z, part, value.BytesCell(b.strings.At(i)))
		}
	}
	return nil
}

// add takes a cell that is not NULL.
func (b *zoneCells) add(z *zone, part *value.KeyPart, c value.Cell) {
	b.key = value.AppendKeyPart(b.key[:0], part, c)
	z.add(keyHead(b.key[1:]))
}

// sized is b with length n.
func sized[T any](b []T, n int) []T {
	if cap(b) < n {
		return make([]T, n)
	}
	return b[:n]
}
