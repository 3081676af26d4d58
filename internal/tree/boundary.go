package tree

import (
	"math/bits"

	"github.com/zeebo/xxh3"
)

// Boundary rule. A chunk of target T holds items of weights w1, w2, …; after an item with key hash h the size is s, before it s'.
// The chunk ends after the item
//
//	never    when s < T/4,
//	always   when s >= 2T,
//	else     when h/2^64 < 1 - exp(-(H(s) - H(s'))),  H(s) = (s/L)^4,  L = T/Gamma(1.25).
//
// So sizes follow a Weibull distribution of shape 4, whose mean is T and whose coefficient of variation is 0.28: the tightest
// shape at which a changed item seldom moves more than the chunk it is in. All is integer arithmetic, so that every CPU agrees;
// hazard and cutChance are the exact functions.

// nodeTarget is the target of an interior node in weight.
const nodeTarget = 2048

// An entry of an interior node weighs childWeight plus its key's length, at most childCap. As the cap is an eighth of the
// target, a node that is not the last of its level has two children at least.
const (
	childWeight = 40
	childCap    = nodeTarget / 8
)

// maxTarget is the largest Target of a Format; with it s<<20 stays far below 2^64.
const maxTarget = 1 << 26

// gamma4 is Gamma(1.25)^4 = 0.674970…, times 2^64, rounded down.
const gamma4 = 0xaccad1f2e126cf8a

// levelSalt is the seed of the key hash at a level: levels must cut independently, for a key that ends a chunk has a low hash.
func levelSalt(level uint8) uint64 { return (uint64(level) + 1) * 0x9e3779b97f4a7c15 }

// splitter applies the boundary rule of one level to a sequence of items.
type splitter struct {
	target uint64
	seed   uint64
	size   uint64 // weight since the last end
	hazard uint64 // hazard(size), kept only when size >= target/4
}

func newSplitter(target int, level uint8) splitter {
	return splitter{target: uint64(target), seed: levelSalt(level)}
}

// reset forgets the items since the last end.
func (s *splitter) reset() { s.size, s.hazard = 0, 0 }

// quiet tells whether an item of this weight cannot end a chunk, whatever its key.
func (s *splitter) quiet(weight int) bool { return s.size+uint64(weight) < s.target/4 }

// pass appends items of this weight together, none of which ends a chunk.
func (s *splitter) pass(weight uint64) {
	s.size += weight
	if s.size >= s.target/4 {
		s.hazard = hazard(s.size, s.target)
	}
}

// add appends an item and tells whether a chunk ends after it, in which case the next item begins a chunk.
func (s *splitter) add(key []byte, weight int) bool {
	if s.quiet(weight) {
		s.size += uint64(weight)
		return false
	}
	return s.addHash(xxh3.HashSeed(key, s.seed), weight)
}

// addHash is add for an item whose hash is known.
func (s *splitter) addHash(h uint64, weight int) bool {
	size := s.size + uint64(weight)
	switch {
	case size < s.target/4:
		s.size = size
		return false
	case size >= 2*s.target:
		s.reset()
		return true
	}
	before := s.hazard
	if s.size < s.target/4 {
		before = hazard(s.size, s.target)
	}
	s.size, s.hazard = size, hazard(size, s.target)
	d := s.hazard - before
	// 1-exp(-d) < d: most items are decided here.
	if h>>8 >= d || h >= cutChance(d) {
		return false
	}
	s.reset()
	return true
}

// hazard is H(size) times 2^56, for size < 2*target:
//
//	x  = floor(size * 2^20 / target)
//	y  = floor(x^2 / 2^12)
//	H  = floor(y^2 * gamma4 / 2^64)
//
// It never falls as size rises.
func hazard(size, target uint64) uint64 {
	x := size << 20 / target
	y := x * x >> 12
	h, _ := bits.Mul64(y*y, gamma4)
	return h
}

// cutChance is 1-exp(-d/2^56) times 2^64, for d < 2^60. With z = d/2^61 it sums the series
//
//	1-exp(-z) = z*(1 - z/2*(1 - z/3*(… (1 - z/16))))
//
// from the inside, each product rounded down to a multiple of 2^-64 and 1 standing for 1-2^-64, then doubles the exponent five
// times by 1-(1-q)^2 = q + q*(1-q).
func cutChance(d uint64) uint64 {
	z := d << 3
	acc := ^uint64(0)
	for i := uint64(16); i >= 2; i-- {
		t, _ := bits.Mul64(z, acc)
		acc = ^(t / i)
	}
	q, _ := bits.Mul64(z, acc)
	for range 5 {
		t, _ := bits.Mul64(q, -q)
		q += t
	}
	return q
}

// entryWeight is the weight of a child entry with this key.
func entryWeight(key []byte) int { return min(childWeight+len(key), childCap) }
