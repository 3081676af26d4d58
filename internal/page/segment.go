package page

import (
	"encoding/binary"
	"math/bits"
	"unsafe"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// encoding is the first byte of a segment. The numbers are part of the format, and break ties between encodings of equal cost.
type encoding uint8

const (
	encInts    encoding = 1 // frame of reference: base + packed offsets; width 0 is a constant
	encIntDict encoding = 2 // sorted dictionary of whole numbers, then codes
	encPlain   encoding = 3 // offsets, then the strings
	encDict    encoding = 4 // sorted dictionary of strings, then codes
)

// codeMode is how a dictionary segment keeps its codes.
type codeMode uint8

const (
	codeBits codeMode = 0 // a packed code for each row
	codeRuns codeMode = 1 // packed ends of runs, then a packed code for each run
	codeIDs  codeMode = 2 // packed ends of runs; run r has code r
	codeRows codeMode = 3 // nothing: row i has code i
)

// storeMode is how strings lie in a segment.
type storeMode uint8

const (
	storeFixed   storeMode = 0 // all of one length
	storeOff16   storeMode = 1 // u16 offsets, one more than strings
	storeOff32   storeMode = 2 // u32 offsets
	storeFront16 storeMode = 3 // front-coded in blocks, u16 offsets of blocks; dictionaries only
	storeFront32 storeMode = 4 // the same with u32 offsets
)

// frontBlock is the number of entries from one restart point of a front-coded dictionary to the next.
const frontBlock = 16

// frontMore is the half of an entry's head byte that says that a number of 15 or more follows.
const frontMore = 15

// Segment flags: byte 3 of the header.
const (
	nullsNone   = 0
	nullsSome   = 1 // a validity bitmap follows the header
	nullsAll    = 2 // every row is NULL; nothing follows the header
	nullsMask   = 3
	flagAddr    = 4 // a bitmap of out-of-line rows follows
	flagsKnown  = nullsMask | flagAddr
	segHeader   = 8
	maxScale    = 15
	maxPageRows = 1 << 20
)

// segment is a parsed column segment: slices into a chunk, with bounds checked so far that only codes, run ends and string offsets
// remain to be checked when they are read.
type segment struct {
	n     int
	phys  value.Phys
	enc   encoding
	form  uint8 // 0: values as they are; s+1: decimals of scale s
	width uint
	nulls uint8
	valid []byte // nullsSome: bit i set when row i is not NULL
	addrs []byte // flagAddr: bit i set when row i is out of line

	base int64  // encInts, encIntDict
	vals []byte // encInts: the vector; encIntDict: entries

	d      int // dictionary entries
	ewidth uint
	mode   codeMode
	runs   int
	pwidth uint
	ends   []byte
	codes  []byte // codeBits: a code for each row; codeRuns: one for each run
	store  storeMode
	strLen int // storeFixed
	offs   []byte
	blob   []byte // the strings, with tailLen readable bytes behind them in memory
}

func corrupt(what string) error { return errs.New(errs.Corrupt, "read page: %s", what) }

// cursor cuts fields off a segment in turn; ok turns false when one does not fit.
type cursor struct {
	b   []byte // from the segment on to the end of its chunk
	pos int
	end int // of the segment
	ok  bool
}

// take is the next n bytes, with slack bytes readable behind them.
func (c *cursor) take(n int) []byte {
	if !c.ok || n < 0 || n > c.end-c.pos {
		c.ok = false
		return nil
	}
	p := c.pos
	c.pos += n
	return c.b[p : p+n : p+n+slack]
}

func (c *cursor) word() uint64 {
	if b := c.take(8); c.ok {
		return le.Uint64(b)
	}
	return 0
}

// vector is the next packed vector, sliced with its slack.
func (c *cursor) vector(n int, w uint) []byte {
	b := c.take(packedLen(n, w))
	return b[:cap(b)]
}

// parse reads the header of a segment of n rows. b runs from the segment to the end of its chunk, tail bytes included.
func (s *segment) parse(b []byte, size, n int, phys value.Phys) error {
	if size < segHeader || size > len(b)-tailLen {
		return corrupt("a segment leaves its chunk")
	}
	c := cursor{b: b, end: size, ok: true}
	h := c.word()
	flags, aux := uint8(h>>24), uint32(h>>32)
	*s = segment{n: n, phys: phys, enc: encoding(h), width: uint(uint8(h >> 8)), form: uint8(h >> 16), nulls: flags & nullsMask}
	if flags&^flagsKnown != 0 || s.nulls > nullsAll {
		return corrupt("unknown segment flags")
	}
	if (phys == value.Bytes) != (s.enc == encPlain || s.enc == encDict) {
		return corrupt("a segment's encoding does not fit its column")
	}
	if s.form > maxScale+1 || s.form != 0 && phys != value.Float64 && phys != value.Float32 {
		return corrupt("a segment's form does not fit its column")
	}
	if s.width > maxWidth && s.width != 64 {
		return corrupt("bad bit width")
	}
	if s.nulls == nullsAll {
		return nil
	}
	if n == 0 {
		return corrupt("a segment without rows")
	}
	if s.nulls == nullsSome {
		s.valid = c.take(bitmapLen(n))
	}
	if flags&flagAddr != 0 {
		s.addrs = c.take(bitmapLen(n))
	}
	switch s.enc {
	case encInts:
		s.base = int64(c.word())
		s.vals = c.vector(n, s.width)
	case encIntDict:
		s.parseDictHead(&c, aux)
		s.base = int64(c.word())
		if c.ok {
			s.vals = c.vector(s.d, s.ewidth)
			s.parseCodes(&c)
		}
	case encPlain:
		t := c.word()
		s.store, s.strLen = storeMode(s.width), int(uint32(t>>32))
		s.parseStrings(&c, n, int(uint32(t)))
		if s.store > storeOff32 {
			return corrupt("bad string store")
		}
	case encDict:
		s.parseDictHead(&c, aux)
		t := c.word()
		s.store, s.strLen = storeMode(s.ewidth), int(uint32(t>>32))
		if c.ok {
			s.parseStrings(&c, s.d, int(uint32(t)))
			s.parseCodes(&c)
		}
	default:
		return corrupt("unknown encoding")
	}
	if !c.ok {
		return corrupt("a segment is too short")
	}
	return nil
}

// wholes is a segment of packed whole numbers without NULLs.
type wholes struct {
	base  int64
	vals  []byte
	width uint
	form  uint8
}

// at is the number of row i.
func (x *wholes) at(i int) int64 {
	if x.width == 0 {
		return x.base
	}
	return x.base + int64(bitsAt(x.vals, i, x.width))
}

// wholes is the segment of a column of a fixed-size class, if it lies in the page itself and is such a one: a quicker way to them than
// parse. Any other segment, a corrupt one too, is for parse.
func (p *Page) wholes(c *column) (x wholes, ok bool) {
	k := p.find(c)
	if k < 0 {
		return x, false
	}
	off, size, _ := p.loc(k)
	b := p.inline(off)
	if size < segHeader+8 || size > len(b)-tailLen || p.n == 0 {
		return x, false
	}
	h := le.Uint64(b)
	x = wholes{base: int64(le.Uint64(b[segHeader:])), width: uint(uint8(h >> 8)), form: uint8(h >> 16)}
	vals := b[segHeader+8:]
	if encoding(h) != encInts || uint8(h>>24) != nullsNone || x.width > maxWidth || packedLen(p.n, x.width) > size-segHeader-8 ||
		x.form > maxScale+1 || x.form != 0 && c.phys == value.Int64 {
		return x, false
	}
	x.vals = vals
	return x, true
}

// parseDictHead reads the word that both dictionaries have behind their bitmaps.
func (s *segment) parseDictHead(c *cursor, aux uint32) {
	t := c.word()
	s.d, s.ewidth, s.mode, s.runs = int(aux), uint(uint8(t)), codeMode(t>>8), int(uint32(t>>32))
	if s.d < 1 || s.d > s.n || s.ewidth > maxWidth && s.ewidth != 64 || s.width > 32 || uint32(t)>>16 != 0 {
		c.ok = false
	}
}

func (s *segment) parseCodes(c *cursor) {
	switch s.mode {
	case codeBits:
		s.codes = c.vector(s.n, s.width)
		return
	case codeRows:
		if s.d != s.n {
			c.ok = false
		}
		return
	case codeRuns, codeIDs:
	default:
		c.ok = false
	}
	if s.runs < 1 || s.runs > s.n {
		c.ok = false
		return
	}
	s.pwidth = uint(bits.Len(uint(s.n)))
	s.ends = c.vector(s.runs, s.pwidth)
	if s.mode == codeRuns {
		s.codes = c.vector(s.runs, s.width)
	}
}

// parseStrings reads n strings of total bytes.
func (s *segment) parseStrings(c *cursor, n, total int) {
	switch s.store {
	case storeFixed:
		if s.strLen > 0 && total/s.strLen < n || total != n*s.strLen {
			c.ok = false
		}
	case storeOff16:
		s.offs = c.take(2 * (n + 1))
	case storeOff32:
		s.offs = c.take(4 * (n + 1))
	case storeFront16:
		s.offs = c.take(2 * blocks(n))
	case storeFront32:
		s.offs = c.take(4 * blocks(n))
	default:
		c.ok = false
	}
	s.blob = c.take(total)
}

func blocks(n int) int { return (n + frontBlock - 1) / frontBlock }

func (s *segment) isNull(i int) bool {
	return s.nulls != nullsNone && (s.nulls == nullsAll || !bitSet(s.valid, i))
}

func (s *segment) isAddr(i int) bool { return s.addrs != nil && bitSet(s.addrs, i) }

// end is the first row behind run r.
func (s *segment) end(r int) int { return int(bitsAt(s.ends, r, s.pwidth)) }

// run is the run of row i; the last one when the ends are corrupt.
func (s *segment) run(i int) int {
	lo, hi := 0, s.runs-1
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if s.end(m) <= i {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

// code is the dictionary code of row i. Corrupt segments may yield codes beyond the dictionary.
func (s *segment) code(i int) int {
	switch s.mode {
	case codeBits:
		return int(bitsAt(s.codes, i, s.width))
	case codeRows:
		return i
	case codeRuns:
		return int(bitsAt(s.codes, s.run(i), s.width))
	}
	return s.run(i)
}

// readCodes fills dst with the codes of rows [lo, lo+len(dst)), all below d.
func (s *segment) readCodes(dst []uint32, lo int) error {
	if len(dst) == 0 {
		return nil
	}
	if s.mode == codeRows {
		for i := range dst {
			dst[i] = uint32(lo + i)
		}
		return nil
	}
	if s.mode == codeBits {
		unpackCodes(dst, s.codes, lo, s.width)
		if s.width > 0 && s.d != 1<<s.width {
			most := uint32(0)
			for _, c := range dst {
				most = max(most, c)
			}
			if int(most) >= s.d {
				return corrupt("a code is beyond its dictionary")
			}
		}
		return nil
	}
	r, i := s.run(lo), 0
	checkPacked(s.ends, r, s.runs, s.pwidth)
	ends, mask := unsafe.Pointer(unsafe.SliceData(s.ends)), maskOf(s.pwidth)
	for ; i < len(dst); r++ {
		if r >= s.runs {
			return corrupt("runs end early")
		}
		at := uint(r) * s.pwidth
		e := min(int(load64(ends, at>>3)>>(at&7)&mask)-lo, len(dst))
		if e <= i {
			return corrupt("runs are not ascending")
		}
		c := uint32(r)
		if s.mode == codeRuns {
			c = uint32(bitsAt(s.codes, r, s.width))
		}
		if int(c) >= s.d {
			return corrupt("a code is beyond its dictionary")
		}
		dst[i] = c
		for i++; i < e; i++ {
			dst[i] = c
		}
	}
	return nil
}

// offset is string offset or block offset k.
func (s *segment) offset(k int) int {
	if s.store == storeOff16 || s.store == storeFront16 {
		return int(le.Uint16(s.offs[2*k:]))
	}
	return int(le.Uint32(s.offs[4*k:]))
}

// entry is string c: an alias of the chunk where it can be, else built in buf.
func (s *segment) entry(c int, buf []byte) ([]byte, error) {
	switch s.store {
	case storeFixed:
		if c*s.strLen+s.strLen > len(s.blob) {
			return nil, corrupt("a code is beyond its dictionary")
		}
		return s.blob[c*s.strLen : c*s.strLen+s.strLen : c*s.strLen+s.strLen], nil
	case storeOff16, storeOff32:
		n := s.n
		if s.enc == encDict {
			n = s.d
		}
		if c >= n {
			return nil, corrupt("a code is beyond its dictionary")
		}
		a, b := s.offset(c), s.offset(c+1)
		if a > b || b > len(s.blob) {
			return nil, corrupt("string offsets are not ascending")
		}
		return s.blob[a:b:b], nil
	}
	return s.frontEntry(c, buf)
}

// str is the string of row i, which is not NULL.
func (s *segment) str(i int, buf []byte) ([]byte, error) {
	if s.enc == encPlain {
		return s.entry(i, buf)
	}
	return s.entry(s.code(i), buf)
}

// frontEntry builds entry c of a front-coded dictionary in buf.
func (s *segment) frontEntry(c int, buf []byte) ([]byte, error) {
	if c >= s.d {
		return nil, corrupt("a code is beyond its dictionary")
	}
	buf = buf[:0]
	pos := s.offset(c / frontBlock)
	for k := range c%frontBlock + 1 {
		shared, suffix, next, ok := s.frontNext(pos, k == 0)
		if !ok || shared > len(buf) {
			return nil, corrupt("bad front-coded dictionary")
		}
		buf = append(buf[:shared], suffix...)
		pos = next
	}
	return buf, nil
}

// frontNext reads the encoded entry at pos of the blob: how many bytes it shares with the entry before it, and the others.
func (s *segment) frontNext(pos int, restart bool) (shared int, suffix []byte, next int, ok bool) {
	b := s.blob
	if pos >= len(b) {
		return 0, nil, 0, false
	}
	if h := b[pos]; !restart {
		pos++
		shared, l := uint64(h>>4), uint64(h&frontMore)
		if shared == frontMore {
			v, k := binary.Uvarint(b[pos:])
			if k <= 0 || v > maxShared-frontMore {
				return 0, nil, 0, false
			}
			shared += v
			pos += k
		}
		if l == frontMore {
			v, k := binary.Uvarint(b[pos:])
			if k <= 0 || v > uint64(len(b)) {
				return 0, nil, 0, false
			}
			l += v
			pos += k
		}
		if l > uint64(len(b)-pos) {
			return 0, nil, 0, false
		}
		next = pos + int(l)
		return int(shared), b[pos:next:next], next, true
	}
	l, k := binary.Uvarint(b[pos:])
	if k <= 0 || l > uint64(len(b)-pos-k) {
		return 0, nil, 0, false
	}
	pos += k
	next = pos + int(l)
	return 0, b[pos:next:next], next, true
}

// num is the stored whole number of row i, which is not NULL, of a fixed-size class.
func (s *segment) num(i int) (int64, error) {
	if s.enc == encInts {
		return s.base + int64(bitsAt(s.vals, i, s.width)), nil
	}
	c := s.code(i)
	if c >= s.d {
		return 0, corrupt("a code is beyond its dictionary")
	}
	return s.base + int64(bitsAt(s.vals, c, s.ewidth)), nil
}

// readNums fills dst with the stored whole numbers of rows [lo, lo+len(dst)). Rows that are NULL have some number.
func (s *segment) readNums(dst []int64, lo int, codes *[]uint32) error {
	switch {
	case s.nulls == nullsAll:
		clear(dst)
		return nil
	case s.enc == encInts:
		unpack(dst, s.vals, lo, s.width, s.base)
		return nil
	case s.mode == codeRows:
		unpack(dst, s.vals, lo, s.ewidth, s.base)
		return nil
	case s.mode != codeBits:
		return s.readNumRuns(dst, lo)
	}
	cs := grow(codes, len(dst))
	if err := s.readCodes(cs, lo); err != nil {
		return err
	}
	for i, c := range cs {
		dst[i] = s.base + int64(bitsAt(s.vals, int(c), s.ewidth))
	}
	return nil
}

func (s *segment) readNumRuns(dst []int64, lo int) error {
	for r, i := s.run(lo), 0; i < len(dst); r++ {
		if r >= s.runs {
			return corrupt("runs end early")
		}
		e := min(s.end(r)-lo, len(dst))
		if e <= i {
			return corrupt("runs are not ascending")
		}
		c := r
		if s.mode == codeRuns {
			c = int(bitsAt(s.codes, r, s.width))
		}
		if c >= s.d {
			return corrupt("a code is beyond its dictionary")
		}
		v := s.base + int64(bitsAt(s.vals, c, s.ewidth))
		for d := dst[i:e]; len(d) > 0; d = d[1:] {
			d[0] = v
		}
		i = e
	}
	return nil
}

// grow makes *b have length n, whatever its content, and returns it.
func grow[T any](b *[]T, n int) []T {
	if cap(*b) < n {
		*b = make([]T, n, n+n/2)
	}
	*b = (*b)[:n]
	return *b
}
