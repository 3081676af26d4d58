package keyset

import (
	"bytes"
	"slices"

	"github.com/stemmadb/stemma/internal/binfmt"
)

const (
	// With maxItems and maxPrefix a leaf takes 384 bytes and another node 512, sizes that the allocator has. Larger nodes make fewer
	// levels, but each change of a copy copies one of each level: with 31 things a small transaction takes 5 % longer.
	maxItems = 15
	minItems = maxItems / 2
	// fewItems is how many things a small set's only node has room for.
	fewItems  = 4
	maxPrefix = 63
)

// node is a node of a set. Its slices lie behind it in the same object and never move.
type node[T Keyed] struct {
	id     uint64 // the set that may change it
	length uint8  // of prefix
	prefix [maxPrefix]byte
	heads  []uint64 // binfmt.Head of each key behind the prefix
	items  []T
	kids   []*node[T] // one more than items; nil in a leaf
}

// newNode is an empty node for a number of things: maxItems, or fewItems in a leaf.
func newNode[T Keyed](id uint64, room int, kids bool) *node[T] {
	var n *node[T]
	switch {
	case kids:
		x := new(struct {
			node[T]
			items [maxItems]T
			kids  [maxItems + 1]*node[T]
			heads [maxItems]uint64
		})
		n = &x.node
		n.heads, n.items, n.kids = x.heads[:0], x.items[:0], x.kids[:0]
	case room > fewItems:
		x := new(struct {
			node[T]
			items [maxItems]T
			heads [maxItems]uint64
		})
		n = &x.node
		n.heads, n.items = x.heads[:0], x.items[:0]
	default:
		x := new(struct {
			node[T]
			items [fewItems]T
			heads [fewItems]uint64
		})
		n = &x.node
		n.heads, n.items = x.heads[:0], x.items[:0]
	}
	n.id = id
	return n
}

// clone is the node for another set.
func (n *node[T]) clone(id uint64, room int) *node[T] {
	c := newNode[T](id, room, !n.leaf())
	c.length, c.prefix = n.length, n.prefix
	c.heads, c.items, c.kids = append(c.heads, n.heads...), append(c.items, n.items...), append(c.kids, n.kids...)
	return c
}

func (n *node[T]) leaf() bool { return n.kids == nil }

func (n *node[T]) full() bool { return len(n.items) == cap(n.items) }

// search is the index of the first thing whose key is not below key, and whether its key is equal.
func (n *node[T]) search(key []byte) (int, bool) {
	if p := int(n.length); p > 0 {
		if c := bytes.Compare(key[:min(p, len(key))], n.prefix[:p]); c < 0 {
			return 0, false
		} else if c > 0 {
			return len(n.items), false
		}
		key = key[p:]
	}
	want := binfmt.Head(key)
	lo, hi := 0, len(n.heads)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		below := n.heads[m] < want
		if n.heads[m] == want {
			c := bytes.Compare(n.items[m].SortKey()[n.length:], key)
			if c == 0 {
				return m, true
			}
			below = c < 0
		}
		if below {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo, false
}

// get is the thing of a key below n, which may be nil.
func (n *node[T]) get(key []byte) (x T, ok bool) {
	for n != nil {
		i, found := n.search(key)
		if found {
			return n.items[i], true
		}
		if n.leaf() {
			break
		}
		n = n.kids[i]
	}
	return x, false
}

// scan is Set.Scan.
func (n *node[T]) scan(fn func(x T) bool) bool {
	if n == nil {
		return true
	}
	for i, x := range n.items {
		if !n.leaf() && !n.kids[i].scan(fn) || !fn(x) {
			return false
		}
	}
	return n.leaf() || n.kids[len(n.items)].scan(fn)
}

// insert puts a thing at i. There is room for it.
func (n *node[T]) insert(i int, x T, key []byte) {
	n.admit(key)
	n.heads, n.items = slices.Insert(n.heads, i, binfmt.Head(key[n.length:])), slices.Insert(n.items, i, x)
}

// put puts a thing in the place of another.
func (n *node[T]) put(i int, x T, key []byte) {
	n.admit(key)
	n.heads[i], n.items[i] = binfmt.Head(key[n.length:]), x
}

// admit shortens the prefix to what a key has of it.
func (n *node[T]) admit(key []byte) {
	if len(n.items) == 0 {
		n.length = uint8(copy(n.prefix[:], key))
		return
	}
	if p := common(n.prefix[:n.length], key); p < int(n.length) {
		n.length = uint8(p)
		n.makeHeads()
	}
}

// makeHeads makes the heads anew after a change of the prefix.
func (n *node[T]) makeHeads() {
	for i, x := range n.items {
		n.heads[i] = binfmt.Head(x.SortKey()[n.length:])
	}
}

// fit makes the prefix as long as the keys allow.
func (n *node[T]) fit() {
	first, last := n.items[0].SortKey(), n.items[len(n.items)-1].SortKey()
	n.length = uint8(min(common(first, last), maxPrefix))
	copy(n.prefix[:], first[:n.length])
	n.makeHeads()
}

// common is the number of bytes with which both begin.
func common(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// join puts what o has from its item i on behind what n has.
func (n *node[T]) join(o *node[T], i int) {
	n.items = append(n.items, o.items[i:]...)
	n.heads = n.heads[:len(n.items)]
	if !n.leaf() {
		n.kids = append(n.kids, o.kids[i:]...)
	}
	n.fit()
}

// truncate leaves the first i things, with the children around them.
func (n *node[T]) truncate(i int) {
	clear(n.items[i:])
	n.heads, n.items = n.heads[:i], n.items[:i]
	if !n.leaf() {
		clear(n.kids[i+1:])
		n.kids = n.kids[:i+1]
	}
	n.fit()
}

// remove takes out thing i.
func (n *node[T]) remove(i int) {
	n.heads, n.items = slices.Delete(n.heads, i, i+1), slices.Delete(n.items, i, i+1)
}

// putKid puts a child at i. There is room for it.
func (n *node[T]) putKid(i int, kid *node[T]) { n.kids = slices.Insert(n.kids, i, kid) }

// removeKid takes out child i.
func (n *node[T]) removeKid(i int) { n.kids = slices.Delete(n.kids, i, i+1) }
