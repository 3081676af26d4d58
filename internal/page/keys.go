package page

import (
	"bytes"
	"slices"

	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

var _ tree.KeyAppender = (*Page)(nil)

// keyParts are the parts of the keys of some rows that come from one column: row r has part codes[r], all have part 0 when there are
// no codes.
type keyParts struct {
	codes []uint32
	offs  []uint32 // one more than parts
	data  []byte
	coded bool
}

// AppendKeys implements tree.KeyAppender: each column is read once, and each entry of a dictionary made a part of a key once.
func (p *Page) AppendKeys(dst []byte, ends []int, i, j int) ([]byte, []int) {
	if i >= j {
		return dst, ends
	}
	sc := p.f.scratch()
	defer p.f.release(sc)
	parts := slices.Grow(sc.parts[:0], len(p.f.key))[:len(p.f.key)]
	sc.parts = parts
	for k := range parts {
		if parts[k].read(p, &p.f.key[k], i, j, sc) != nil { // corrupt: some key will do
			for ; i < j; i++ {
				dst = p.AppendKey(dst, i)
				ends = append(ends, len(dst))
			}
			return dst, ends
		}
	}
	for r := range j - i {
		for k := range parts {
			kp, c := &parts[k], uint32(0)
			if kp.coded {
				c = kp.codes[r]
			}
			dst = append(dst, kp.data[kp.offs[c]:kp.offs[c+1]]...)
		}
		ends = append(ends, len(dst))
	}
	return dst, ends
}

func (kp *keyParts) reset() { kp.coded, kp.offs, kp.data = false, append(kp.offs[:0], 0), kp.data[:0] }

// add appends a part.
func (kp *keyParts) add(k *keyPart, c value.Cell) {
	kp.data = value.AppendKeyPart(kp.data, &k.part, c)
	kp.offs = append(kp.offs, uint32(len(kp.data)))
}

// addString is add for a string.
func (kp *keyParts) addString(k *keyPart, b []byte) {
	if !k.raw || k.part.Desc || bytes.IndexByte(b, 0) >= 0 {
		kp.add(k, value.BytesCell(b))
		return
	}
	// What value.AppendKeyPart gives for bytes that need no escape.
	kp.data = append(append(append(kp.data, 1), b...), 0, 0)
	kp.offs = append(kp.offs, uint32(len(kp.data)))
}

// read reads the parts of rows [lo,hi) of p that come from k's column.
func (kp *keyParts) read(p *Page, k *keyPart, lo, hi int, sc *scratch) error {
	kp.reset()
	c := &p.f.cols[k.col]
	var s segment
	switch {
	case !p.keySegment(c, &s):
		kp.add(k, c.absent)
		return nil
	case s.constant():
		cell, err := s.cell(lo, sc.str[:0])
		kp.add(k, cell)
		return err
	case s.enc != encDict:
		return kp.readCells(&s, k, lo, hi, sc)
	}
	codes := grow(&kp.codes, hi-lo)
	if err := s.readCodes(codes, lo); err != nil {
		return err
	}
	if err := sc.dictA.read(&s); err != nil {
		return err
	}
	kp.coded = true
	first, last := slices.Min(codes), slices.Max(codes)
	for e := first; e <= last; e++ {
		kp.addString(k, sc.dictA.get(int(e)))
	}
	for i := range codes {
		codes[i] -= first
	}
	if s.nulls == nullsSome {
		null := last - first + 1
		kp.add(k, value.Null)
		for i := range codes {
			if s.isNull(lo + i) {
				codes[i] = null
			}
		}
	}
	return nil
}

// readCells is read for a column without a dictionary of strings: a part for each row.
func (kp *keyParts) readCells(s *segment, k *keyPart, lo, hi int, sc *scratch) error {
	codes := grow(&kp.codes, hi-lo)
	kp.coded = true
	for i := range codes {
		cell, err := s.cell(lo+i, sc.str[:0])
		if err != nil {
			return err
		}
		kp.add(k, cell)
		codes[i] = uint32(i)
	}
	return nil
}
