package page

import (
	"bytes"
	"math/bits"

	"github.com/stemmadb/stemma/internal/value"
)

// Keys are compared as whole numbers. For each key column the cells of both pages get ranks in one common order: entries of sorted
// dictionaries by a merge of the two, numbers by their distance from the least of both pages. The ranks of a row, first column first,
// are packed into 64-bit words. A column of strings without a dictionary cannot be ranked cheaply: it ends a run of words, and its
// strings are compared in place.

// stage is a step of the comparison of two keys: a word for each row, or strings.
type stage struct {
	a, b []uint64 // words
	strs *stringKey
}

// stringKey is a key column that is compared as strings.
type stringKey struct {
	a, b stringSide
	desc bool
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
	matches      []match
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
	p.r.stages, p.r.nwords, p.r.ntexts = p.r.stages[:0], 0, 0
	for k := range d.f.key {
		if err := p.column(&d.f.key[k]); err != nil {
			return err
		}
	}
	if st := p.r.stages; len(st) == 1 && st[0].strs == nil {
		d.mergeWords(st[0].a, st[0].b)
	} else {
		d.mergeStages(st, p.na, p.nb)
	}
	return nil
}

// extend appends one pair or single row to the matches.
func (d *differ) extend(i, j int) { d.extendBy(i, j, 1) }

// extendBy is extend for n rows in turn.
func (d *differ) extendBy(i, j, n int) {
	if k := len(d.matches); k > 0 {
		m := &d.matches[k-1]
		if (i < 0) == (m.i < 0) && (j < 0) == (m.j < 0) && (i < 0 || i == m.i+m.n) && (j < 0 || j == m.j+m.n) {
			m.n += n
			return
		}
	}
	d.matches = append(d.matches, match{i, j, n})
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
			d.extend(d.alo+i, -1)
			i++
		} else {
			d.extend(-1, d.blo+j)
			j++
		}
	}
	d.rest(i, len(a), j, len(b))
}

// rest appends the rows behind the end of the shorter side.
func (d *differ) rest(i, na, j, nb int) {
	for ; i < na; i++ {
		d.extend(d.alo+i, -1)
	}
	for ; j < nb; j++ {
		d.extend(-1, d.blo+j)
	}
}

// mergeStages merges keys of several words or with strings.
func (d *differ) mergeStages(st []stage, na, nb int) {
	i, j := 0, 0
	step := 8 // of rows that are taken for equal, until one is not
	for i < na && j < nb {
		n := min(step, na-i, nb-j)
		for k := range st {
			n = st[k].equal(i, j, n)
		}
		if n > 0 {
			d.extendBy(d.alo+i, d.blo+j, n)
			i, j = i+n, j+n
			if n == step {
				step *= 2
				continue
			}
			step = 8
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
			d.extend(d.alo+i, d.blo+j)
			i++
			j++
		case c < 0:
			d.extend(d.alo+i, -1)
			i++
		default:
			d.extend(-1, d.blo+j)
			j++
		}
	}
	d.rest(i, na, j, nb)
}

// equal is how many of n rows from i and j on are equal in turn.
func (s *stage) equal(i, j, n int) int {
	if s.strs == nil {
		a, b := s.a[i:i+n], s.b[j:j+n]
		for k, v := range a {
			if v != b[k] {
				return k
			}
		}
		return n
	}
	for k := range n {
		if !bytes.Equal(s.strs.a.at(i+k), s.strs.b.at(j+k)) {
			return k
		}
	}
	return n
}

func (s *stage) compare(i, j int) int {
	if s.strs == nil {
		switch a, b := s.a[i], s.b[j]; {
		case a < b:
			return -1
		case a > b:
			return 1
		}
		return 0
	}
	k := s.strs
	c := bytes.Compare(k.a.at(i), k.b.at(j))
	if k.desc {
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

// column adds a key column.
func (p *packer) column(kp *keyPart) error {
	c := &p.d.f.cols[kp.col]
	sa, sb := &p.r.sides[0], &p.r.sides[1]
	sa.lo, sa.n, sb.lo, sb.n = p.d.alo, p.na, p.d.blo, p.nb
	sa.read(p.d.a, c)
	sb.read(p.d.b, c)
	va, vb := grow(&p.r.va, p.na), grow(&p.r.vb, p.nb)
	if sa.someNull() || sb.someNull() {
		sa.nullFlags(va)
		sb.nullFlags(vb)
		p.field(va, vb, 1, kp.part.Desc)
	}
	if c.phys != value.Bytes {
		if err := sa.numbers(va, p.d.sc); err != nil {
			return err
		}
		if err := sb.numbers(vb, p.d.sc); err != nil {
			return err
		}
		least, most := ^uint64(0), uint64(0)
		for _, side := range [2]struct {
			s *keySide
			v []uint64
		}{{sa, va}, {sb, vb}} {
			for i, v := range side.v {
				if !side.s.isNull(i) {
					least, most = min(least, v), max(most, v)
				}
			}
		}
		if least > most {
			return nil // all NULL
		}
		sa.shift(va, least)
		sb.shift(vb, least)
		p.field(va, vb, uint(bits.Len64(most-least)), kp.part.Desc)
		return nil
	}
	if sa.noDict() || sb.noDict() {
		return p.strings(kp, sa, sb)
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

// rankEntries gives the dictionary entries of both sides their ranks in common, in p.r.ra and p.r.rb, and returns how many ranks there
// are.
func (p *packer) rankEntries(kp *keyPart, sa, sb *keySide) (int, error) {
	if da, db := sa.coded(), sb.coded(); da && db {
		a, b := &sa.seg, &sb.seg
		ra, rb := grow(&p.r.ra, a.d), grow(&p.r.rb, b.d)
		if kp.raw && a.sameDict(b) {
			for c := range ra {
				ra[c], rb[c] = uint32(c), uint32(c)
			}
			return a.d, nil
		}
		if kp.raw && a.store >= storeFront16 && a.store == b.store {
			return p.r.unifyFront(a, b, ra, rb)
		}
	}
	sc := p.d.sc
	if err := sa.dict(&sc.dictA); err != nil {
		return 0, err
	}
	if err := sb.dict(&sc.dictB); err != nil {
		return 0, err
	}
	return p.unify(kp, &sc.dictA, &sc.dictB, grow(&p.r.ra, sc.dictA.d), grow(&p.r.rb, sc.dictB.d)), nil
}

// strings adds a key column as strings that are compared in place.
func (p *packer) strings(kp *keyPart, sa, sb *keySide) error {
	if p.r.ntexts == len(p.r.texts) {
		p.r.texts = append(p.r.texts, new(stringKey))
	}
	k := p.r.texts[p.r.ntexts]
	p.r.ntexts++
	k.desc = kp.part.Desc
	part := kp.part
	part.Desc = false
	if err := sa.strings(&k.a, kp, &part); err != nil {
		return err
	}
	if err := sb.strings(&k.b, kp, &part); err != nil {
		return err
	}
	p.r.stages = append(p.r.stages, stage{strs: k})
	p.free = 0
	return nil
}
