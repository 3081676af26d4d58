package page

import (
	"bytes"
	"cmp"
	"math/bits"
	"unsafe"

	"github.com/stemmadb/stemma/internal/value"
)

// Keys are compared as whole numbers. For each key column the cells of both pages get ranks in one common order: entries of sorted
// dictionaries by a merge of the two, numbers by their distance from the least of both pages. The ranks of a row, first column first,
// are packed into 64-bit words. Columns whose vectors can be compared where they lie are not: they end a run of words, and so does a
// column of strings without a dictionary, which cannot be ranked cheaply.

// stage is a step of the comparison of two keys: a vector for each side.
type stage struct {
	kind stageKind
	desc bool

	a, b   []uint64 // stageWords: descending columns are complemented already
	va, vb []byte   // vectors, from values ia and ib on; stageFixed: strings one behind the other
	ia, ib int
	width  uint // bits of a value or a code of a, and also of b but for stageCodes; bytes of a string
	widthB uint // stageCodes

	// stageRising: how the dictionaries' entries pair; those of the rows asked for last are in stretches atA and atB
	entries  pairing
	atA, atB int
	ca, cb   []uint32 // the codes, when there are no vectors of one width and rows are not
	rows     bool     // that rows are their own codes

	codes *codeMap
	strs  *stringKey
}

type stageKind uint8

const (
	stageWords   stageKind = iota
	stagePacked            // packed numbers that mean the same on both sides
	stageRising            // codes, which rise from row to row, of dictionaries that differ
	stageCodes             // packed codes of dictionaries that differ
	stageFixed             // strings of one length
	stageStrings           // strings
)

// stringKey is a key column that is compared as strings.
type stringKey struct {
	a, b stringSide
}

// stringSide is the strings of one page's rows.
type stringSide struct {
	spans []span // in data
	data  []byte
	flat  flatDict
	codes []uint32
}

func (s *stringSide) at(i int) []byte { return s.spans[i].of(s.data) }

type rankScratch struct {
	matches      pairing
	entries      pairing // of the dictionaries of a column
	rising       pairing // of the stage of rising codes
	ca, cb       []uint32
	maps         []*codeMap
	nmaps        int
	words        [][]uint64 // two for each word stage
	nwords       int
	texts        []*stringKey
	ntexts       int
	stages       []stage
	va, vb       []uint64
	ra, rb       []uint32
	keyA, keyB   []byte
	spanA, spanB []span
	walkA, walkB frontWalk
	sides        [2]keySide
	values       [2]valueSide
}

func (r *rankScratch) word(n int) []uint64 {
	if r.nwords == len(r.words) {
		r.words = append(r.words, nil)
	}
	w := grow(&r.words[r.nwords], n)
	clear(w)
	r.nwords++
	return w
}

// pair fills d.matches by merging the keys of rows [alo,ahi) of a and [blo,bhi) of b.
func (d *differ) pair(ahi, bhi int) error {
	if d.alo == ahi || d.blo == bhi {
		if d.alo < ahi {
			d.matches = append(d.matches, match{d.alo, -1, ahi - d.alo})
		}
		if d.blo < bhi {
			d.matches = append(d.matches, match{-1, d.blo, bhi - d.blo})
		}
		return nil
	}
	p := packer{d: d, r: &d.sc.rank, na: ahi - d.alo, nb: bhi - d.blo}
	p.r.stages, p.r.nwords, p.r.ntexts, p.r.nmaps = p.r.stages[:0], 0, 0, 0
	for k := range d.f.key {
		if err := p.column(&d.f.key[k]); err != nil {
			return err
		}
	}
	if st := p.r.stages; len(st) == 1 && st[0].kind == stageWords {
		d.mergeWords(st[0].a, st[0].b)
	} else {
		d.mergeStages(st, p.na, p.nb)
	}
	return nil
}

// mergeWords merges keys of one word.
func (d *differ) mergeWords(a, b []uint64) {
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		if a[i] == b[j] {
			k := 1
			for i+k < len(a) && j+k < len(b) && a[i+k] == b[j+k] {
				k++
			}
			d.matches = append(d.matches, match{d.alo + i, d.blo + j, k})
			i, j = i+k, j+k
		} else if a[i] < b[j] {
			d.matches.add(d.alo+i, -1, 1)
			i++
		} else {
			d.matches.add(-1, d.blo+j, 1)
			j++
		}
	}
	d.matches.rest(d.alo+i, d.alo+len(a), d.blo+j, d.blo+len(b))
}

// mergeStages merges keys of any stages. Without a stage all keys are equal.
func (d *differ) mergeStages(st []stage, na, nb int) {
	const least = 32
	i, j := 0, 0
	step := least // of rows that are taken for equal, until one is not
	for i < na && j < nb {
		n := min(step, na-i, nb-j)
		for k := range st {
			n = st[k].equal(i, j, n)
		}
		if n > 0 {
			d.matches.add(d.alo+i, d.blo+j, n)
			i, j = i+n, j+n
			if n == step {
				step *= 2
				continue
			}
			step = least
			if i == na || j == nb {
				break
			}
		}
		c := 0
		for k := range st {
			if c = st[k].compare(i, j); c != 0 {
				break
			}
		}
		switch {
		case c == 0:
			d.matches.add(d.alo+i, d.blo+j, 1)
			i++
			j++
		case c < 0:
			d.matches.add(d.alo+i, -1, 1)
			i++
		default:
			d.matches.add(-1, d.blo+j, 1)
			j++
		}
	}
	d.matches.rest(d.alo+i, d.alo+na, d.blo+j, d.blo+nb)
}

// equal is how many of n rows from i and j on are equal in turn.
func (s *stage) equal(i, j, n int) int {
	switch s.kind {
	case stageWords:
		return sameNumbers(s.a[i:i+n], s.b[j:j+n])
	case stagePacked:
		return samePacked(s.va, s.ia+i, s.vb, s.ib+j, n, s.width)
	case stageRising:
		return s.sameRising(i, j, n)
	case stageCodes:
		return s.codes.same(s.va, s.ia+i, s.width, s.vb, s.ib+j, s.widthB, n)
	case stageFixed:
		w := int(s.width)
		return sharedLen(s.va[i*w:(i+n)*w], s.vb[j*w:(j+n)*w]) / w
	}
	for k := range n {
		if !bytes.Equal(s.strs.a.at(i+k), s.strs.b.at(j+k)) {
			return k
		}
	}
	return n
}

// find makes atA and atB the stretches of the codes of row i of a and row j of b, and returns these codes. Rows never go back, and
// their codes rise, unless a page is corrupt.
func (s *stage) find(i, j int) (ca, cb int) {
	switch {
	case s.rows:
		ca, cb = s.ia+i, s.ib+j
	case s.ca != nil:
		ca, cb = int(s.ca[i]), int(s.cb[j])
	default:
		ca, cb = int(bitsAt(s.va, s.ia+i, s.width)), int(bitsAt(s.vb, s.ib+j, s.width))
	}
	last := len(s.entries) - 1
	for m := &s.entries[s.atA]; s.atA < last && (m.i < 0 || m.i+m.n <= ca); m = &s.entries[s.atA] {
		s.atA++
	}
	for m := &s.entries[s.atB]; s.atB < last && (m.j < 0 || m.j+m.n <= cb); m = &s.entries[s.atB] {
		s.atB++
	}
	return ca, cb
}

func (s *stage) sameRising(i, j, n int) int {
	ca, cb := s.find(i, j)
	m := &s.entries[s.atA]
	if s.atA != s.atB || m.i < 0 || m.j < 0 || ca-m.i != cb-m.j {
		return 0
	}
	shift, end := m.j-m.i, m.i+m.n
	if s.rows {
		return min(n, end-ca)
	}
	if s.ca == nil {
		return sameShifted(s.va, s.ia+i, s.vb, s.ib+j, n, s.width, shift, end)
	}
	b := s.cb[j : j+n]
	for k, c := range s.ca[i : i+n] {
		if c+uint32(shift) != b[k] || int(c) >= end {
			return k
		}
	}
	return n
}

func (s *stage) compareRising(i, j int) int {
	ca, cb := s.find(i, j)
	if s.atA != s.atB {
		return cmp.Compare(s.atA, s.atB)
	}
	m := &s.entries[s.atA]
	return cmp.Compare(ca-m.i, cb-m.j)
}

// codeMap is what the codes of two dictionaries mean to each other.
type codeMap struct {
	ranks, ranksB []uint32 // of the entries in the order of both dictionaries
	other         []uint32 // for each code of a's width: b's code of the same entry, or none
}

const (
	noCode       = ^uint32(0)
	maxCodeWidth = 12 // of codes that are mapped
)

// fill takes over the pairs of entries.
func (m *codeMap) fill(entries pairing, w uint) {
	entries.ranks(&m.ranks, &m.ranksB)
	other := grow(&m.other, 1<<w)
	for i := range other {
		other[i] = noCode
	}
	for _, e := range entries {
		if e.i >= 0 && e.j >= 0 && e.i+e.n <= len(other) {
			number(other[e.i:e.i+e.n], e.j)
		}
	}
}

// same is how many of n codes of the vectors a, of width v and from index i on, and b, of width w and from j on, are equal in turn.
func (m *codeMap) same(a []byte, i int, v uint, b []byte, j int, w uint, n int) int {
	checkPacked(a, i, i+n, v)
	checkPacked(b, j, j+n, w)
	p, q := unsafe.Pointer(unsafe.SliceData(a)), unsafe.Pointer(unsafe.SliceData(b))
	x, y := uint(i)*v, uint(j)*w
	other := m.other[:1<<v]
	maskA, maskB := maskOf(v), maskOf(w)
	step := int(maxWidth / max(v, w)) // codes that lie in 8 bytes of both
	for k := 0; k < n; k += step {
		s, t := load64(p, x>>3)>>(x&7), load64(q, y>>3)>>(y&7)
		for l := range min(step, n-k) {
			if uint64(other[s&maskA]) != t&maskB {
				return k + l
			}
			s, t = s>>v, t>>w
		}
		x, y = x+uint(step)*v, y+uint(step)*w
	}
	return n
}

// compare orders the entries of code x of a and code y of b.
func (m *codeMap) compare(x, y uint64) int {
	if x >= uint64(len(m.ranks)) || y >= uint64(len(m.ranksB)) {
		return cmp.Compare(x, y) // corrupt
	}
	return cmp.Compare(m.ranks[x], m.ranksB[y])
}

// sameNumbers is how many leading numbers are equal. Both slices are of one length.
func sameNumbers[T uint32 | uint64](a, b []T) int {
	b = b[:len(a)]
	for k, v := range a {
		if v != b[k] {
			return k
		}
	}
	return len(a)
}

// compare orders row i of a and row j of b.
func (s *stage) compare(i, j int) int {
	c := 0
	switch s.kind {
	case stageWords:
		return cmp.Compare(s.a[i], s.b[j])
	case stagePacked:
		c = cmp.Compare(bitsAt(s.va, s.ia+i, s.width), bitsAt(s.vb, s.ib+j, s.width))
	case stageRising:
		c = s.compareRising(i, j)
	case stageCodes:
		c = s.codes.compare(bitsAt(s.va, s.ia+i, s.width), bitsAt(s.vb, s.ib+j, s.widthB))
	case stageFixed:
		w := int(s.width)
		c = bytes.Compare(s.va[i*w:(i+1)*w], s.vb[j*w:(j+1)*w])
	default:
		c = bytes.Compare(s.strs.a.at(i), s.strs.b.at(j))
	}
	if s.desc {
		return -c
	}
	return c
}

// packer packs ranks into words.
type packer struct {
	d      *differ
	r      *rankScratch
	na, nb int
	free   uint // bits left in the last word
}

// field adds a rank of w bits for each row. A descending column's ranks are complemented.
func (p *packer) field(a, b []uint64, w uint, desc bool) {
	if w == 0 {
		return
	}
	s, flip := p.reserve(w, desc)
	orShifted(s.a, a, flip, p.free)
	orShifted(s.b, b, flip, p.free)
}

func orShifted(dst, vals []uint64, flip uint64, shift uint) {
	dst = dst[:len(vals)]
	for i, v := range vals {
		dst[i] |= (v ^ flip) << (shift & 63)
	}
}

// reserve makes p.free the place of the next w bits, more than 0, and gives what those of a descending column are complemented with.
func (p *packer) reserve(w uint, desc bool) (s *stage, flip uint64) {
	if w > p.free {
		p.r.stages = append(p.r.stages, stage{a: p.r.word(p.na), b: p.r.word(p.nb)})
		p.free = 64
	}
	p.free -= w
	if desc {
		flip = maskOf(w)
	}
	return &p.r.stages[len(p.r.stages)-1], flip
}

// stage adds a stage that is no word.
func (p *packer) stage(s stage) {
	p.r.stages = append(p.r.stages, s)
	p.free = 0
}

// column adds a key column.
func (p *packer) column(kp *keyPart) error {
	c := &p.d.f.cols[kp.col]
	sa, sb := &p.r.sides[0], &p.r.sides[1]
	sa.lo, sa.n, sb.lo, sb.n = p.d.alo, p.na, p.d.blo, p.nb
	sa.read(p.d.a, c)
	sb.read(p.d.b, c)
	if !sa.there && !sb.there {
		return nil // one value in both pages orders nothing
	}
	nulls := sa.someNull() || sb.someNull()
	if nulls {
		va, vb := grow(&p.r.va, p.na), grow(&p.r.vb, p.nb)
		sa.nullFlags(va)
		sb.nullFlags(vb)
		p.field(va, vb, 1, kp.part.Desc)
	}
	switch {
	case c.phys == value.Int64 && !nulls && sa.there && sb.there && sa.seg.width <= maxWidth && sa.seg.samePacking(&sb.seg):
		p.packed(sa, sb, sa.seg.vals, sb.seg.vals, kp.part.Desc)
		return nil
	case c.phys != value.Bytes:
		return p.numbers(kp, sa, sb)
	case kp.raw && sa.fixed() && sb.fixed() && sa.seg.strLen == sb.seg.strLen:
		if w := sa.seg.strLen; w > 0 {
			va, vb := sa.seg.blob[sa.lo*w:(sa.lo+sa.n)*w], sb.seg.blob[sb.lo*w:(sb.lo+sb.n)*w]
			p.stage(stage{kind: stageFixed, desc: kp.part.Desc, va: va, vb: vb, width: uint(w)})
		}
		return nil
	case sa.noDict() || sb.noDict():
		return p.strings(kp, sa, sb)
	}
	packed := !nulls && sa.coded() && sb.coded() && sa.seg.mode == codeBits && sb.seg.mode == codeBits
	if packed && kp.raw && sa.seg.width == sb.seg.width && sa.seg.sameDict(&sb.seg) {
		p.packed(sa, sb, sa.seg.codes, sb.seg.codes, kp.part.Desc)
		return nil
	}
	if kp.raw && !nulls && sa.coded() && sb.coded() {
		if len(p.r.stages) == 0 && !kp.part.Desc {
			return p.rising(sa, sb)
		}
		if w := max(sa.seg.width, sb.seg.width); packed && w > 0 && w <= maxCodeWidth {
			return p.codes(sa, sb, kp.part.Desc)
		}
	}
	n, err := p.rankEntries(kp, sa, sb)
	if err != nil || n <= 1 { // one string in both pages orders nothing
		return err
	}
	s, flip := p.reserve(uint(bits.Len(uint(n-1))), kp.part.Desc)
	if err := sa.orRanks(s.a, &p.r.ra, p.free, flip); err != nil {
		return err
	}
	return sb.orRanks(s.b, &p.r.rb, p.free, flip)
}

// rising adds the first column by which keys differ, which therefore rises from row to row, when both sides have all its cells in
// dictionaries in the order of bytes.
func (p *packer) rising(sa, sb *keySide) error {
	if err := p.pairEntries(sa, sb); err != nil {
		return err
	}
	r := p.r
	r.entries, r.rising = r.rising, r.entries
	s := stage{kind: stageRising, entries: r.rising, ia: sa.lo, ib: sb.lo, width: sa.seg.width}
	switch a, b := &sa.seg, &sb.seg; {
	case a.mode == codeRows && b.mode == codeRows:
		s.rows = true
	case a.mode == codeBits && b.mode == codeBits && a.width == b.width && a.width > 0 && a.width <= maxWidth/2:
		s.va, s.vb = a.codes, b.codes
	default:
		s.ca, s.cb = grow(&r.ca, sa.n), grow(&r.cb, sb.n)
		if err := sa.codes(s.ca); err != nil {
			return err
		}
		if err := sb.codes(s.cb); err != nil {
			return err
		}
	}
	p.stage(s)
	return nil
}

// codes adds a column that both sides have in packed codes of dictionaries in the order of bytes.
func (p *packer) codes(sa, sb *keySide, desc bool) error {
	if err := p.pairEntries(sa, sb); err != nil {
		return err
	}
	if p.r.nmaps == len(p.r.maps) {
		p.r.maps = append(p.r.maps, new(codeMap))
	}
	m := p.r.maps[p.r.nmaps]
	p.r.nmaps++
	m.fill(p.r.entries, sa.seg.width)
	p.stage(stage{
		kind: stageCodes, desc: desc, codes: m,
		va: sa.seg.codes, ia: sa.lo, width: sa.seg.width, vb: sb.seg.codes, ib: sb.lo, widthB: sb.seg.width,
	})
	return nil
}

// packed adds a column without NULLs whose packed numbers, of one width, mean the same on both sides.
func (p *packer) packed(sa, sb *keySide, a, b []byte, desc bool) {
	if w := sa.seg.width; w > 0 {
		p.stage(stage{kind: stagePacked, desc: desc, va: a, vb: b, ia: sa.lo, ib: sb.lo, width: w})
	}
}

// numbers adds a column of a fixed-size class by the distances of its cells from the least.
func (p *packer) numbers(kp *keyPart, sa, sb *keySide) error {
	va, vb := grow(&p.r.va, p.na), grow(&p.r.vb, p.nb)
	if err := sa.numbers(va, p.d.sc); err != nil {
		return err
	}
	if err := sb.numbers(vb, p.d.sc); err != nil {
		return err
	}
	least, most := ^uint64(0), uint64(0)
	least, most = sa.extent(va, least, most)
	least, most = sb.extent(vb, least, most)
	if least >= most {
		return nil // one number, or none
	}
	sa.shift(va, least)
	sb.shift(vb, least)
	p.field(va, vb, uint(bits.Len64(most-least)), kp.part.Desc)
	return nil
}

// pairEntries pairs the entries of both sides' dictionaries in the order of bytes, in p.r.entries.
func (p *packer) pairEntries(sa, sb *keySide) error {
	if sa.coded() && sb.coded() {
		a, b := &sa.seg, &sb.seg
		if a.sameDict(b) {
			p.r.entries = append(p.r.entries[:0], match{0, 0, a.d})
			return nil
		}
		if a.store >= storeFront16 && a.store == b.store {
			return p.r.unifyFront(a, b)
		}
	}
	sc := p.d.sc
	if err := sa.dict(&sc.dictA); err != nil {
		return err
	}
	if err := sb.dict(&sc.dictB); err != nil {
		return err
	}
	p.r.entries.unifySorted(&sc.dictA, &sc.dictB)
	return nil
}

// rankEntries gives the dictionary entries of both sides their ranks in common, in p.r.ra and p.r.rb, and returns how many ranks there
// are.
func (p *packer) rankEntries(kp *keyPart, sa, sb *keySide) (int, error) {
	if kp.raw {
		err := p.pairEntries(sa, sb)
		return p.r.entries.ranks(&p.r.ra, &p.r.rb), err
	}
	sc := p.d.sc
	if err := sa.dict(&sc.dictA); err != nil {
		return 0, err
	}
	if err := sb.dict(&sc.dictB); err != nil {
		return 0, err
	}
	return p.unifyKeys(kp, &sc.dictA, &sc.dictB, grow(&p.r.ra, sc.dictA.d), grow(&p.r.rb, sc.dictB.d)), nil
}

// strings adds a key column as strings that are compared in place.
func (p *packer) strings(kp *keyPart, sa, sb *keySide) error {
	if p.r.ntexts == len(p.r.texts) {
		p.r.texts = append(p.r.texts, new(stringKey))
	}
	k := p.r.texts[p.r.ntexts]
	p.r.ntexts++
	part := kp.part
	part.Desc = false
	if err := sa.strings(&k.a, kp, &part); err != nil {
		return err
	}
	if err := sb.strings(&k.b, kp, &part); err != nil {
		return err
	}
	p.stage(stage{kind: stageStrings, desc: kp.part.Desc, strs: k})
	return nil
}
