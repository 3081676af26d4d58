package page

import (
	"bytes"
	"context"
	"slices"
	"unsafe"

	"github.com/stemmadb/stemma/internal/value"
)

// columnBuf collects the cells of one column of the leaf that is being built.
type columnBuf struct {
	n     int
	nums  []int64 // fixed-size classes: cells' bits, 0 in NULL rows; when form is not 0, whole numbers as in a segment of that form
	form  uint8   // as long as rows that come from pages of one form are the most
	phys  value.Phys
	ids   []uint32 // class Bytes: the row's string in strs
	strs  strTable
	nulls []uint32 // NULL rows, ascending
	addrs []uint32 // out-of-line rows, ascending
	base  []byte   // the blob of the dictionary that is the sorted part of strs
}

func (b *columnBuf) reset() {
	b.form = 0
	b.n, b.nums, b.ids, b.nulls, b.addrs = 0, b.nums[:0], b.ids[:0], b.nulls[:0], b.addrs[:0]
	b.strs.reset()
	b.base = nil
}

func (b *columnBuf) addNull(p value.Phys) {
	b.nulls = append(b.nulls, uint32(b.n))
	if p == value.Bytes {
		b.ids = append(b.ids, 0)
	} else {
		b.nums = append(b.nums, 0)
	}
	b.n++
}

func (b *columnBuf) addNum(bits int64) {
	if b.form != 0 {
		bits = b.formed(bits)
	}
	b.nums = append(b.nums, bits)
	b.n++
}

// formed is a cell's bits as they are kept now.
func (b *columnBuf) formed(bits int64) int64 {
	if b.form == 0 {
		return bits
	}
	v, ok := wholeOf(b.phys, bits, b.form)
	if !ok {
		b.unform()
		return bits
	}
	return v
}

// unform goes back to bits.
func (b *columnBuf) unform() {
	formToRaw(b.nums, b.phys, b.form)
	b.form = 0
}

// reform makes the cells so far whole numbers of a form if all of them are.
func (b *columnBuf) reform(form uint8) {
	for i, r := range b.nums {
		v, ok := wholeOf(b.phys, r, form)
		if !ok {
			formToRaw(b.nums[:i], b.phys, form)
			return
		}
		b.nums[i] = v
	}
	b.form = form
}

func (b *columnBuf) addStr(s []byte, addr bool) {
	if addr {
		b.addrs = append(b.addrs, uint32(b.n))
	}
	b.ids = append(b.ids, b.strs.id(s))
	b.n++
}

// addCell appends one cell.
func (b *columnBuf) addCell(p value.Phys, c value.Cell) {
	switch {
	case c.IsNull():
		b.addNull(p)
	case p == value.Bytes:
		b.addStr(c.Bytes(), c.IsAddr())
	default:
		b.addNum(int64(c.Bits()))
	}
}

// addSame appends a cell k times.
func (b *columnBuf) addSame(p value.Phys, c value.Cell, k int) {
	for range k {
		b.addCell(p, c)
	}
}

// allAbsent tells whether every cell is the column's absent value.
func (b *columnBuf) allAbsent(c *column) bool {
	if c.absentNull {
		return len(b.nulls) == b.n
	}
	if len(b.nulls) > 0 {
		return false
	}
	if c.phys != value.Bytes {
		for _, v := range b.nums {
			if int64(formBits(v, c.phys, b.form)) != c.absentBits {
				return false
			}
		}
		return true
	}
	if c.absentAddr && len(b.addrs) != b.n || !c.absentAddr && len(b.addrs) != 0 {
		return false
	}
	for i, id := range b.ids {
		if i > 0 && id != b.ids[0] {
			return false
		}
	}
	return b.n == 0 || bytes.Equal(b.strs.get(b.ids[0]), c.absentStr)
}

// addSegment appends rows [lo,hi) of a page's segment, by vectors and dictionaries where it has them. plain tells that a dictionary
// of the page is sorted by bytes.
func (b *columnBuf) addSegment(s *segment, lo, hi int, plain bool, sc *scratch) error {
	at := b.n
	if s.nulls == nullsAll {
		for range hi - lo {
			b.addNull(s.phys)
		}
		return nil
	}
	if s.nulls == nullsSome {
		for i := lo; i < hi; i++ {
			if !bitSet(s.valid, i) {
				b.nulls = append(b.nulls, uint32(at+i-lo))
			}
		}
	}
	if s.addrs != nil {
		for i := lo; i < hi; i++ {
			if bitSet(s.addrs, i) && !s.isNull(i) {
				b.addrs = append(b.addrs, uint32(at+i-lo))
			}
		}
	}
	b.n += hi - lo
	switch {
	case s.phys != value.Bytes:
		b.phys = s.phys
		if s.form != b.form && at <= (hi-lo)/8 && b.form == 0 {
			b.reform(s.form)
		}
		b.nums = slices.Grow(b.nums, hi-lo)
		if s.form != b.form && b.form != 0 {
			b.unform()
		}
		b.nums = b.nums[:at+hi-lo]
		dst := b.nums[at:]
		if err := s.readNums(dst, lo, &sc.codes); err != nil {
			return err
		}
		if s.form != b.form {
			s.toRaw(dst)
		}
		if s.nulls != nullsNone {
			for i := range dst {
				if s.isNull(lo + i) {
					dst[i] = 0
				}
			}
		}
		return nil
	case s.enc == encDict:
		b.ids = slices.Grow(b.ids, hi-lo)[:at+hi-lo]
		return b.addCodes(s, b.ids[at:], lo, plain, sc)
	}
	for i := lo; i < hi; i++ {
		if s.isNull(i) {
			b.ids = append(b.ids, 0)
			continue
		}
		v, err := s.str(i, nil)
		if err != nil {
			return err
		}
		b.ids = append(b.ids, b.strs.id(v))
	}
	return nil
}

// addCodes fills ids with the strings of rows [lo, lo+len(ids)) of a dictionary segment. The first dictionary of a leaf becomes the
// table's sorted part as it is; a later one is merged with it, so that its strings need no hashing unless they are new.
func (b *columnBuf) addCodes(s *segment, ids []uint32, lo int, plain bool, sc *scratch) error {
	if err := s.readCodes(ids, lo); err != nil {
		return err
	}
	if b.strs.sorted == s.d && len(b.base) == len(s.blob) && unsafe.SliceData(b.base) == unsafe.SliceData(s.blob) {
		return nil // the same dictionary again: its codes are the ids
	}
	if len(ids)*4 < s.d { // few rows of many strings: only theirs are read
		return b.addFew(s, ids, sc)
	}
	dict := &sc.dictA
	if err := dict.read(s); err != nil {
		return err
	}
	t := &b.strs
	if plain && t.sorted == 0 && len(t.ents) < s.d && dict.ascending() {
		moved := t.rebase(dict, &sc.remap)
		old := b.ids[:len(b.ids)-len(ids)]
		for i, id := range old {
			old[i] = moved[id]
		}
		b.base = s.blob
		return nil
	}
	used := grow(&sc.used, s.d)
	clear(used)
	for _, c := range ids {
		used[c] = true
	}
	remap := grow(&sc.remap, s.d)
	k := 0
	for c := range s.d {
		if !used[c] {
			continue
		}
		v := dict.get(c)
		if !plain || t.sorted == 0 {
			remap[c] = t.hashID(v)
			continue
		}
		cmp := -1
		for k < t.sorted {
			if cmp = bytes.Compare(t.get(uint32(k)), v); cmp >= 0 {
				break
			}
			k++
		}
		if k < t.sorted && cmp == 0 {
			remap[c] = uint32(k)
		} else {
			remap[c] = t.hashID(v)
		}
	}
	for i, c := range ids {
		ids[i] = remap[c]
	}
	return nil
}

func (b *columnBuf) addFew(s *segment, ids []uint32, sc *scratch) error {
	last, id := uint32(0), uint32(0)
	for i, c := range ids {
		if i == 0 || c != last {
			v, err := s.entry(int(c), sc.str[:0])
			if err != nil {
				return err
			}
			if s.store >= storeFront16 {
				sc.str = v
			}
			last, id = c, b.strs.id(v)
		}
		ids[i] = id
	}
	return nil
}

// addColumn appends rows [lo,hi) of column c of a page, which may leave it out.
func (b *columnBuf) addColumn(ctx context.Context, p *Page, c *column, lo, hi int, sc *scratch) error {
	var s segment
	ok, err := p.segmentOf(ctx, c, &s)
	if err != nil {
		return err
	}
	if !ok {
		b.addSame(c.phys, c.absent, hi-lo)
		return nil
	}
	return b.addSegment(&s, lo, hi, c.sortPart == nil, sc)
}

// encode appends the column's segment.
func (b *columnBuf) encode(e *encoder, dst []byte, c *column) []byte {
	if c.phys == value.Bytes {
		return e.encodeStrings(dst, &b.strs, b.ids, b.nulls, b.addrs, c.sortPart)
	}
	return e.encodeNums(dst, c.phys, b.nums, b.nulls, b.form)
}
