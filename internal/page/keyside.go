package page

import (
	"unsafe"

	"github.com/stemmadb/stemma/internal/value"
)

// keySide is n rows from lo on of a key column of one page that is being compared.
type keySide struct {
	lo, n int
	c     *column
	seg   segment
	there bool // else the page leaves the column out: every cell is the absent value
	buf   []uint32
}

func (k *keySide) read(p *Page, c *column) {
	k.c = c
	k.there = p.keySegment(c, &k.seg)
}

func (k *keySide) someNull() bool {
	if !k.there {
		return k.c.absentNull
	}
	return k.seg.nulls != nullsNone
}

func (k *keySide) isNull(i int) bool {
	if !k.there {
		return k.c.absentNull
	}
	return k.seg.isNull(k.lo + i)
}

// allNull tells whether no row has a value.
func (k *keySide) allNull() bool {
	return !k.there && k.c.absentNull || k.there && k.seg.nulls == nullsAll
}

// nullFlags fills dst with 0 for NULL rows and 1 for the others.
func (k *keySide) nullFlags(dst []uint64) {
	for i := range dst {
		dst[i] = 1
		if k.isNull(i) {
			dst[i] = 0
		}
	}
}

// numbers fills dst with the order of the cells of a fixed-size class.
func (k *keySide) numbers(dst []uint64, sc *scratch) error {
	if !k.there {
		v := orderOf(k.c.phys, uint64(k.c.absentBits))
		for i := range dst {
			dst[i] = v
		}
		return nil
	}
	vals := grow(&sc.numsA, len(dst))
	if err := k.seg.readNums(vals, k.lo, &sc.codes); err != nil {
		return err
	}
	k.seg.toRaw(vals)
	if k.c.phys == value.Int64 {
		for i, v := range vals {
			dst[i] = orderOf(value.Int64, uint64(v))
		}
		return nil
	}
	for i, v := range vals {
		dst[i] = orderOf(k.c.phys, uint64(v))
	}
	return nil
}

// extent is the least and the greatest of least, most and the numbers of rows that are not NULL.
func (k *keySide) extent(v []uint64, least, most uint64) (uint64, uint64) {
	if k.someNull() {
		for i, x := range v {
			if !k.isNull(i) {
				least, most = min(least, x), max(most, x)
			}
		}
		return least, most
	}
	for _, x := range v {
		least, most = min(least, x), max(most, x)
	}
	return least, most
}

// shift subtracts least, and gives NULL rows 0.
func (k *keySide) shift(v []uint64, least uint64) {
	for i := range v {
		v[i] -= least
	}
	if k.someNull() {
		for i := range v {
			if k.isNull(i) {
				v[i] = 0
			}
		}
	}
}

// noDict tells whether the rows have strings but no dictionary.
func (k *keySide) noDict() bool {
	return k.there && k.seg.nulls != nullsAll && k.seg.enc != encDict
}

// fixed tells whether the rows have strings of one length and no dictionary.
func (k *keySide) fixed() bool {
	return k.noDict() && k.seg.store == storeFixed && k.seg.nulls == nullsNone
}

// coded tells whether the rows have a dictionary in the page.
func (k *keySide) coded() bool { return k.there && k.seg.nulls != nullsAll && k.seg.enc == encDict }

// codes reads the codes of the rows.
func (k *keySide) codes(dst []uint32) error {
	if k.coded() {
		return k.seg.readCodes(dst, k.lo)
	}
	clear(dst)
	return nil
}

// dict reads the dictionary of the rows. A column that is left out has one of one entry, one without values has none.
func (k *keySide) dict(d *flatDict) error {
	if k.coded() {
		return d.read(&k.seg)
	}
	if d.d = 1; k.allNull() {
		d.d = 0
	}
	offs := grow(&d.offs, 2)
	offs[0], offs[1] = 0, uint32(len(k.c.absentStr))
	d.data, d.front = k.c.absentStr, false
	return nil
}

// orRanks puts the ranks of the rows, complemented by flip, into dst at a shift. NULL rows have rank 0.
func (k *keySide) orRanks(dst []uint64, ranks *[]uint32, shift uint, flip uint64) error {
	shift &= 63
	zero := flip << shift
	if !k.coded() {
		field := zero
		if !k.allNull() {
			field = (uint64((*ranks)[0]) ^ flip) << shift
		}
		for i := range dst {
			dst[i] |= field
		}
		return nil
	}
	s := &k.seg
	if s.mode == codeRows && s.nulls == nullsNone {
		for i, r := range (*ranks)[k.lo : k.lo+len(dst)] {
			dst[i] |= (uint64(r) ^ flip) << shift
		}
		return nil
	}
	if s.mode != codeBits || s.nulls != nullsNone || s.width == 0 {
		codes := grow(&k.buf, k.n)
		if err := s.readCodes(codes, k.lo); err != nil {
			return err
		}
		rank := *ranks
		for i, c := range codes {
			if f := uint64(rank[c]); k.isNull(i) {
				dst[i] |= zero
			} else {
				dst[i] |= (f ^ flip) << shift
			}
		}
		return nil
	}
	// Codes go from the vector to their place without a stop. There is a rank for any code of the width, so that those beyond the
	// dictionary need not be told before all are read.
	rank := *ranks
	if full := 1 << s.width; len(rank) < full {
		rank = append(rank, make([]uint32, full-len(rank))...)
		*ranks = rank
	}
	checkPacked(s.codes, k.lo, k.lo+len(dst), s.width)
	p, mask, at, most := unsafe.Pointer(unsafe.SliceData(s.codes)), maskOf(s.width), uint(k.lo)*s.width, uint64(0)
	for i := range dst {
		c := load64(p, at>>3) >> (at & 7) & mask
		most = max(most, c)
		dst[i] |= (uint64(rank[c]) ^ flip) << shift
		at += s.width
	}
	if most >= uint64(s.d) {
		return corrupt("a code is beyond its dictionary")
	}
	return nil
}

// strings is the bytes by which each row is ordered: the string, or its sort key where the order is not that of the bytes. NULL rows
// have none.
func (k *keySide) strings(dst *stringSide, kp *keyPart, part *value.KeyPart) error {
	spans := grow(&dst.spans, k.n)
	clear(spans)
	if k.allNull() {
		return nil
	}
	d := &dst.flat
	coded := k.coded() || !k.there
	if coded {
		if err := k.codes(grow(&dst.codes, k.n)); err != nil {
			return err
		}
		if err := k.dict(d); err != nil {
			return err
		}
	} else if err := d.readRange(&k.seg, k.lo, k.lo+k.n); err != nil {
		return err
	}
	dst.data = d.data
	if !kp.raw {
		dst.data = d.toSortKeys(part)
	}
	for i := range spans {
		c := i
		if coded {
			c = int(dst.codes[i])
		}
		if !k.isNull(i) {
			spans[i] = span{d.offs[c], d.offs[c+1] - d.offs[c]}
		}
	}
	return nil
}

// toSortKeys gives d offsets into sort keys in place of its strings, and returns them.
func (f *flatDict) toSortKeys(part *value.KeyPart) []byte {
	var keys []byte
	for c := range f.d {
		b := f.get(c)
		f.offs[c] = uint32(len(keys))
		keys = value.AppendKeyPart(keys, part, value.BytesCell(b))
	}
	f.offs[f.d] = uint32(len(keys))
	return keys
}
