package tree

import (
	"bytes"
	"context"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// Change is a key that two trees hold differently. An absent row has a nil leaf and index -1.
type Change struct {
	A  Leaf
	AI int
	B  Leaf
	BI int
}

// AppendKey appends the changed key to dst.
func (c Change) AppendKey(dst []byte) []byte {
	if c.A != nil {
		return c.A.AppendKey(dst, c.AI)
	}
	return c.B.AppendKey(dst, c.BI)
}

// Diff calls emit in key order for every key in [lo,hi) that trees a and b hold differently; a nil lo or hi is no bound. Subtrees
// with equal hashes are not read, so the cost is that of the changes, not of the trees. An error of emit ends it and is returned.
func Diff(ctx context.Context, r chunk.Reader, f Format, a, b Root, lo, hi []byte, emit func(Change) error) error {
	d := newDiffer(r, f, a, b, lo, hi)
	for {
		c, ok, err := d.next(ctx)
		if err != nil || !ok {
			return err
		}
		if err := emit(c); err != nil {
			return err
		}
	}
}

// differ walks two trees side by side. Each side has read everything ahead of its position, which is either a chunk not opened
// yet or a row in an open leaf. Two chunks of one hash at both positions are passed over unopened; otherwise the higher is
// opened, and rows of two open leaves are compared up to the lower of their last keys.
type differ struct {
	f    Format
	a, b side

	aKey, bKey []byte // scratch

	pairs []pair // changes found and not yet returned, from at on
	at    int
	la    Leaf // what pairs index
	lb    Leaf
}

// pair is a change by row indexes; -1 is an absent row.
type pair struct{ i, j int }

func newDiffer(r chunk.Reader, f Format, a, b Root, lo, hi []byte) *differ {
	return &differ{f: f, a: newSide(r, f, a, lo, hi), b: newSide(r, f, b, lo, hi)}
}

// next is the next change.
func (d *differ) next(ctx context.Context) (Change, bool, error) {
	for d.at == len(d.pairs) {
		d.pairs, d.at = d.pairs[:0], 0
		if d.a.done && d.b.done {
			return Change{}, false, nil
		}
		if err := d.advance(ctx); err != nil {
			return Change{}, false, err
		}
	}
	p := d.pairs[d.at]
	d.at++
	c := Change{AI: p.i, BI: p.j}
	if p.i >= 0 {
		c.A = d.la
	}
	if p.j >= 0 {
		c.B = d.lb
	}
	return c, true, nil
}

// advance makes one step: passes equal chunks, opens a chunk, or compares rows.
func (d *differ) advance(ctx context.Context) error {
	a, b := &d.a, &d.b
	switch {
	case a.done || b.done:
		return d.rest(ctx)
	case a.fresh() && b.fresh() && a.hash == b.hash:
		a.skip()
		b.skip()
		return nil
	case a.leaf != nil && b.leaf != nil:
		return d.compare(ctx)
	case b.leaf != nil || a.leaf == nil && a.level > b.level:
		return a.open(ctx)
	case a.leaf != nil || b.level > a.level:
		return b.open(ctx)
	}
	if err := a.open(ctx); err != nil {
		return err
	}
	return b.open(ctx)
}

// rest lists the rows of the one side that is left.
func (d *differ) rest(ctx context.Context) error {
	s := &d.a
	if s.done {
		s = &d.b
	}
	if s.leaf == nil {
		return s.open(ctx)
	}
	d.la, d.lb = d.a.leaf, d.b.leaf
	for ; s.i < s.end; s.i++ {
		p := pair{s.i, -1}
		if s == &d.b {
			p = pair{-1, s.i}
		}
		d.pairs = append(d.pairs, p)
	}
	s.skip()
	return nil
}

// compare lists the differences of two open leaves up to where one of them ends.
func (d *differ) compare(ctx context.Context) error {
	a, b := &d.a, &d.b
	aend, bend := a.end, b.end
	d.aKey, d.bKey = a.lastKey(d.aKey[:0]), b.lastKey(d.bKey[:0])
	switch c := bytes.Compare(d.aKey, d.bKey); {
	case c < 0:
		bend = b.behind(d.aKey)
	case c > 0:
		aend = a.behind(d.bKey)
	}
	d.la, d.lb = a.leaf, b.leaf
	err := d.f.Diff(ctx, a.leaf, a.i, aend, b.leaf, b.i, bend, func(i, j int) error {
		d.pairs = append(d.pairs, pair{i, j})
		return nil
	})
	if err != nil {
		return err
	}
	a.to(aend)
	b.to(bend)
	return nil
}

// side is a differ's position in one tree.
type side struct {
	r      chunk.Reader
	f      Format
	lo, hi []byte

	steps []window
	done  bool

	hash  hash.Hash // of the chunk at the position
	level uint8
	leaf  Leaf // when the chunk is an open leaf
	start int  // rows [start,end) of leaf are within the bounds
	i     int  // rows below are behind
	end   int
}

// window is the children of a node that may hold keys within the bounds, from i on.
type window struct {
	node
	i, end int
}

func newSide(r chunk.Reader, f Format, root Root, lo, hi []byte) side {
	return side{r: r, f: f, lo: lo, hi: hi, done: root.IsEmpty(), hash: root.Hash, level: root.Level}
}

// fresh tells whether the position is the start of a chunk.
func (s *side) fresh() bool { return s.leaf == nil || s.i == s.start }

// open goes one level down into the chunk at the position, to its first key within the bounds. A chunk without such keys is
// passed over.
func (s *side) open(ctx context.Context) error {
	if s.level > 0 {
		nd, err := loadNode(ctx, s.r, s.hash, s.level)
		if err != nil {
			return err
		}
		w := window{node: nd, i: -1, end: nd.n}
		if s.lo != nil {
			i, _ := nd.search(s.lo)
			w.i = i - 1
		}
		if s.hi != nil {
			// Child search(hi) is the last that may hold keys below hi.
			i, _ := nd.search(s.hi)
			w.end = min(i+1, nd.n)
		}
		s.steps = append(s.steps, w)
		s.skip()
		return nil
	}
	leaf, data, err := loadLeafData(ctx, s.r, s.f, s.hash)
	if err != nil {
		return err
	}
	if touch(data) == 0 {
		return errs.New(errs.Corrupt, "read leaf %s: it is empty", s.hash)
	}
	s.start, s.end = 0, leaf.Len()
	if s.end == 0 {
		return errs.New(errs.Corrupt, "read leaf %s: no rows", s.hash)
	}
	if s.lo != nil {
		s.start, _ = leaf.Search(s.lo)
	}
	if s.hi != nil {
		s.end, _ = leaf.Search(s.hi)
	}
	s.leaf, s.i = leaf, s.start
	if s.i >= s.end {
		s.skip()
	}
	return nil
}

// lastKey appends the key of the last row of the open leaf within the bounds. The node above has it ready when that is the leaf's last.
func (s *side) lastKey(dst []byte) []byte {
	if k := len(s.steps); k > 0 && s.end == s.leaf.Len() {
		w := &s.steps[k-1]
		return w.appendKey(dst, w.i)
	}
	return s.leaf.AppendKey(dst, s.end-1)
}

// behind is the row behind all rows of the open leaf, from the position on, whose keys are not above key.
func (s *side) behind(key []byte) int {
	i, found := s.leaf.Search(key)
	if found {
		i++
	}
	return min(max(i, s.i), s.end)
}

// to goes to row i of the open leaf, or past the leaf when its rows end there.
func (s *side) to(i int) {
	s.i = i
	if i == s.end {
		s.skip()
	}
}

// skip passes over the chunk at the position.
func (s *side) skip() {
	s.leaf = nil
	for len(s.steps) > 0 {
		w := &s.steps[len(s.steps)-1]
		w.i++
		if w.i < w.end {
			s.hash, s.level = w.node.hash(w.i), w.node.level-1
			return
		}
		s.steps = s.steps[:len(s.steps)-1]
	}
	s.done = true
}
