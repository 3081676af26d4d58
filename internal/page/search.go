package page

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/stemmadb/stemma/internal/value"
)

// Search narrows the rows column by column: the part of the key for a column is looked up in the column's dictionary or vector, in
// place, and leaves the rows with an equal part.

// probe is one part of the key that is looked for, in the terms of a segment.
type probe struct {
	null bool
	num  uint64 // fixed-size classes: the value's order (orderOf)
	str  []byte // class Bytes: the bytes, or the ascending key part when the order is not that of the bytes
	clo  int    // encDict: codes in [clo,chi) are equal
	chi  int
}

// orderOf maps the bits of a fixed-size cell to numbers in key order; -0 is 0.
func orderOf(p value.Phys, bits uint64) uint64 {
	switch p {
	case value.Float64:
		if bits == 1<<63 {
			bits = 0
		}
		return bits ^ (uint64(int64(bits)>>63) | 1<<63)
	case value.Float32:
		b := uint32(bits)
		if b == 1<<31 {
			b = 0
		}
		return uint64(b ^ (uint32(int32(b)>>31) | 1<<31))
	}
	return bits ^ 1<<63
}

// Search implements tree.Leaf.
func (p *Page) Search(key []byte) (int, bool) {
	lo, hi := 0, p.n
	var s segment
	var space [64]byte
	for k := range p.f.key {
		kp := &p.f.key[k]
		if len(key) == 0 {
			return lo, false // a prefix of the keys of rows [lo,hi)
		}
		if lo == hi {
			return lo, false
		}
		n := partLen(key, kp)
		var pr probe
		if n < 0 || !pr.parse(key[:n], kp, space[:0]) {
			return p.searchBytes(key, k, lo, hi)
		}
		c := &p.f.cols[kp.col]
		if c.phys == value.Int64 && !pr.null && !kp.part.Desc {
			if x, ok := p.wholes(c); ok && x.width == 0 { // all rows alike, as in the first columns of a key
				if o := uint64(x.base) ^ 1<<63; o < pr.num {
					return hi, false
				} else if o > pr.num {
					return lo, false
				}
				key = key[n:]
				continue
			}
		}
		if p.keySegment(c, &s) {
			lo, hi = s.narrow(&pr, kp, lo, hi, k == len(p.f.key)-1)
		} else {
			cmp := bytes.Compare(value.AppendKeyPart(space[:0], &kp.part, c.absent), key[:n])
			if cmp < 0 {
				return hi, false
			} else if cmp > 0 {
				return lo, false
			}
		}
		key = key[n:]
	}
	if len(key) > 0 { // longer than a key: above an equal one
		return hi, false
	}
	return lo, lo < hi
}

// partLen is value.KeyPartLen, quicker for the usual strings.
func partLen(key []byte, kp *keyPart) int {
	if kp.raw && !kp.part.Desc && key[0] == 1 {
		if k := bytes.IndexByte(key[1:], 0); k >= 0 && k+2 < len(key) && key[k+2] == 0 {
			return k + 3
		}
	}
	return value.KeyPartLen(key, &kp.part)
}

// parse reads a key part that value.AppendKeyPart may have made; buf is room for its bytes. It is false for other bytes.
func (pr *probe) parse(part []byte, kp *keyPart, buf []byte) bool {
	if kp.part.Desc {
		for _, b := range part {
			buf = append(buf, ^b)
		}
		part = buf
		buf = buf[len(buf):]
	}
	if part[0] == 0 {
		pr.null = true
		return true
	}
	switch kp.part.Type.Phys() {
	case value.Bytes:
		pr.str = part
		if !kp.raw {
			return true
		}
		body := part[1 : len(part)-2]
		if bytes.IndexByte(body, 0) >= 0 {
			plain := buf
			for i := 0; i < len(body); i++ {
				plain = append(plain, body[i])
				if body[i] == 0 {
					if i++; i >= len(body) || body[i] != 0xff {
						return false
					}
				}
			}
			body = plain
		}
		pr.str = body
	case value.Float32:
		pr.num = uint64(binary.BigEndian.Uint32(part[1:]))
	default:
		pr.num = binary.BigEndian.Uint64(part[1:])
	}
	return true
}

// narrow is the range of the rows in [lo,hi), lo < hi, whose cell equals the probe; an empty range lies where such rows would be.
// When unique is set the range is known to have at most one row.
func (s *segment) narrow(pr *probe, kp *keyPart, lo, hi int, unique bool) (int, int) {
	sign := 1
	if kp.part.Desc {
		sign = -1
	}
	alone := lo+1 == hi || s.constant()
	if !pr.null && s.enc == encDict && s.nulls != nullsAll && !alone {
		s.probeDict(pr, kp)
		if s.nulls == nullsNone && !kp.part.Desc {
			switch s.mode {
			case codeRows:
				first := min(max(pr.clo, lo), hi)
				return first, min(max(pr.chi, first), hi)
			case codeIDs:
				return s.narrowIDs(pr, lo, hi)
			case codeBits:
				return s.narrowBits(pr, lo, hi)
			}
		}
	}
	if alone {
		c := 0
		if s.enc == encDict && !pr.null && !s.isNull(lo) {
			c = s.compareString(s.code(lo), pr.str, kp) // one string to look at: the dictionary need not be searched
		} else {
			c = s.compare(lo, pr, kp)
		}
		switch c *= sign; {
		case c < 0:
			return hi, hi
		case c > 0:
			return lo, lo
		}
		return lo, hi
	}
	a, b := lo, hi
	for a < b {
		m := int(uint(a+b) >> 1)
		if sign*s.compare(m, pr, kp) < 0 {
			a = m + 1
		} else {
			b = m
		}
	}
	if a == hi || s.compare(a, pr, kp) != 0 {
		return a, a
	}
	if unique {
		return a, a + 1
	}
	lo, b = a, hi
	for a++; a < b; {
		m := int(uint(a+b) >> 1)
		if s.compare(m, pr, kp) == 0 {
			a = m + 1
		} else {
			b = m
		}
	}
	return lo, a
}

// constant tells whether all rows are alike without being looked at.
func (s *segment) constant() bool {
	return s.nulls == nullsAll || s.nulls == nullsNone && (s.enc == encInts && s.width == 0 || s.enc == encDict && s.d == 1)
}

// narrowIDs is narrow where run r has code r.
func (s *segment) narrowIDs(pr *probe, lo, hi int) (int, int) {
	first := 0
	if pr.clo > 0 {
		first = s.end(min(pr.clo, s.runs) - 1)
	}
	last := first
	if pr.chi > pr.clo {
		last = s.end(min(pr.chi, s.runs) - 1)
	}
	first = min(max(first, lo), hi)
	return first, min(max(last, first), hi)
}

// narrowBits is narrow for ascending packed codes. Few rows are equal as a rule, so their end is looked for from their beginning on.
func (s *segment) narrowBits(pr *probe, lo, hi int) (int, int) {
	first := s.lowerCode(uint64(pr.clo), lo, hi)
	if pr.chi <= pr.clo {
		return first, first
	}
	last, step := first, 1
	for last+step < hi && bitsAt(s.codes, last+step, s.width) < uint64(pr.chi) {
		last += step
		step *= 2
	}
	return first, s.lowerCode(uint64(pr.chi), last, min(last+step, hi))
}

// lowerCode is the first of rows [lo,hi) whose packed code is at least c.
func (s *segment) lowerCode(c uint64, lo, hi int) int {
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if bitsAt(s.codes, m, s.width) < c {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

// compare orders row i and the probe, ascending, NULL first.
func (s *segment) compare(i int, pr *probe, kp *keyPart) int {
	if null := s.isNull(i); null || pr.null {
		switch {
		case null && pr.null:
			return 0
		case null:
			return -1
		}
		return 1
	}
	switch s.enc {
	case encDict:
		switch c := s.code(i); {
		case c < pr.clo:
			return -1
		case c >= pr.chi:
			return 1
		}
		return 0
	case encPlain:
		return s.compareString(i, pr.str, kp)
	}
	v, err := s.num(i)
	if err != nil {
		return 1
	}
	switch o := orderOf(s.phys, s.rawBits(v)); {
	case o < pr.num:
		return -1
	case o > pr.num:
		return 1
	}
	return 0
}

// compareString orders string c of the segment and the probe's bytes.
func (s *segment) compareString(c int, want []byte, kp *keyPart) int {
	var space [128]byte
	b, err := s.entry(c, space[:0:64])
	if err != nil {
		return 1
	}
	if kp.raw {
		return bytes.Compare(b, want)
	}
	part := kp.part
	part.Desc = false
	return bytes.Compare(value.AppendKeyPart(space[64:64], &part, value.BytesCell(b)), want)
}

// probeDict finds the codes that are equal to the probe.
func (s *segment) probeDict(pr *probe, kp *keyPart) {
	if s.store >= storeFront16 && kp.raw {
		s.probeFront(pr)
		return
	}
	lo, hi := 0, s.d
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if s.compareString(m, pr.str, kp) < 0 {
			lo = m + 1
		} else {
			hi = m
		}
	}
	pr.clo, pr.chi = lo, lo
	for pr.chi < s.d && s.compareString(pr.chi, pr.str, kp) == 0 {
		pr.chi++
		if kp.raw {
			break
		}
	}
}

// probeFront is probeDict for front-coded dictionaries in the order of bytes: binary search over the restart points, then a walk
// through one block that keeps only the length of the prefix in common with the probe.
func (s *segment) probeFront(pr *probe) {
	lo, hi := 0, blocks(s.d)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		_, head, _, ok := s.frontNext(s.offset(m), true)
		if ok && bytes.Compare(head, pr.str) <= 0 {
			lo = m + 1
		} else {
			hi = m
		}
	}
	if lo == 0 {
		return // below the first entry
	}
	c := (lo - 1) * frontBlock
	end := min(c+frontBlock, s.d)
	pos, common := s.offset(lo-1), 0
	for ; c < end; c++ {
		shared, suffix, next, ok := s.frontNext(pos, c%frontBlock == 0)
		if !ok {
			break
		}
		pos = next
		if shared > common {
			continue // still below the probe, where the entry before it is
		}
		want := pr.str[shared:]
		k := sharedLen(suffix, want)
		common = shared + k
		if k == len(suffix) && k == len(want) {
			pr.clo, pr.chi = c, c+1
			return
		}
		if k < len(suffix) && (k == len(want) || suffix[k] > want[k]) {
			break
		}
	}
	pr.clo, pr.chi = c, c
}

func sharedLen(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if x := le.Uint64(a[i:]) ^ le.Uint64(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// searchBytes is Search within [lo,hi) for bytes that are no key: rows are compared by their encoded keys from part k on.
func (p *Page) searchBytes(key []byte, k, lo, hi int) (int, bool) {
	var buf []byte
	end := hi
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		buf = p.appendKeyFrom(buf[:0], m, k)
		if bytes.Compare(buf, key) < 0 {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo, lo < end && bytes.Equal(p.appendKeyFrom(buf[:0], lo, k), key)
}
