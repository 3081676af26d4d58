// Package keyset keeps things in the order of their keys, byte strings, in sets that are copied in constant time: a copy shares what
// neither of the two has changed since.
//
// A set is a B-tree. Its nodes begin with what their keys have in common and the next 8 bytes of each, so that a search stays within
// the nodes and hardly ever looks at the things themselves, each of which would be a wait for memory; and a node is one object, since
// a change of a copy makes new ones from the root down.
package keyset

import "sync/atomic"

// Keyed is a thing with a key, which does not change while the thing is in a set. Things are compared to tell whether they are the
// same one: pointers, as a rule.
type Keyed interface {
	comparable
	// SortKey is the key. It is not to be changed.
	SortKey() []byte
}

// Set is an ordered set of things, one a key. Many goroutines may read it; one that changes or copies it must be alone with that, but
// for readers while it copies. The zero value is an empty set.
type Set[T Keyed] struct {
	id   uint64 // of the nodes that belong to this set alone and may be changed in place
	root *node[T]
	n    int
}

// ids gives sets their ids. A set that was never copied has 0: nobody but it has its nodes.
var ids atomic.Uint64

// Copy is a set of the same things that can be changed on its own, as can the one that was copied.
func (s *Set[T]) Copy() *Set[T] {
	c := ids.Add(2)
	s.id = c - 1
	return &Set[T]{id: c, root: s.root, n: s.n}
}

// Len is the number of things.
func (s *Set[T]) Len() int { return s.n }

// Get is the thing of a key.
func (s *Set[T]) Get(key []byte) (x T, ok bool) { return s.root.get(key) }

// Max is the last thing; false when there is none.
func (s *Set[T]) Max() (x T, ok bool) {
	n := s.root
	if n == nil {
		return x, false
	}
	for !n.leaf() {
		n = n.kids[len(n.kids)-1]
	}
	return n.items[len(n.items)-1], true
}

// Scan calls fn for the things in the order of their keys, until it returns false. fn must not change the set.
func (s *Set[T]) Scan(fn func(x T) bool) { s.root.scan(fn) }

// SameAt tells whether a and b have the same thing under a key, or both none. Of two sets that come from each other by copies and
// changes it looks only at what they do not share.
func SameAt[T Keyed](a, b *Set[T], key []byte) bool {
	m, n := a.root, b.root
	for m != n && m != nil && n != nil {
		i, inM := m.search(key)
		j, inN := n.search(key)
		if inM || inN || m.leaf() || n.leaf() {
			break
		}
		m, n = m.kids[i], n.kids[j]
	}
	if m == n {
		return true
	}
	x, inA := m.get(key)
	y, inB := n.get(key)
	return inA == inB && x == y
}

// Set puts a thing into the set and gives the one that had its key.
func (s *Set[T]) Set(x T) (old T, replaced bool) {
	key := x.SortKey()
	if s.root == nil {
		s.root = newNode[T](s.id, fewItems, false)
	}
	s.own(&s.root)
	if r := s.root; r.full() {
		if cap(r.items) < maxItems {
			s.root = r.clone(s.id, maxItems)
		} else {
			s.root = newNode[T](s.id, maxItems, true)
			s.root.kids = append(s.root.kids, r)
			s.split(s.root, 0)
		}
	}
	n := s.root
	for {
		i, found := n.search(key)
		if found {
			old, n.items[i] = n.items[i], x
			return old, true
		}
		if n.leaf() {
			n.insert(i, x, key)
			s.n++
			return old, false
		}
		if c := s.own(&n.kids[i]); c.full() {
			s.split(n, i)
			continue // in n again, which has one more
		}
		n = n.kids[i]
	}
}

// Delete takes the thing of a key out of the set.
func (s *Set[T]) Delete(key []byte) (old T, deleted bool) {
	if old, deleted = s.root.get(key); !deleted {
		return old, false
	}
	s.delete(s.own(&s.root), key)
	if s.n--; len(s.root.items) == 0 {
		if s.root.leaf() {
			s.root = nil
		} else {
			s.root = s.root.kids[0]
		}
	}
	return old, true
}

// own makes sure that a node is the set's own.
func (s *Set[T]) own(at **node[T]) *node[T] {
	if n := *at; n.id != s.id {
		*at = n.clone(s.id, cap(n.items))
	}
	return *at
}

// split makes two of child i of n, which is full.
func (s *Set[T]) split(n *node[T], i int) {
	l := s.own(&n.kids[i])
	r := newNode[T](s.id, maxItems, !l.leaf())
	const mid = maxItems / 2
	up := l.items[mid]
	r.join(l, mid+1)
	l.truncate(mid)
	n.insert(i, up, up.SortKey())
	n.putKid(i+1, r)
}

// delete takes out the thing of a key, which is in the subtree of n, one of the set's own nodes.
func (s *Set[T]) delete(n *node[T], key []byte) {
	i, found := n.search(key)
	switch {
	case n.leaf():
		n.remove(i)
		return
	case found: // the last thing before it takes its place
		x := s.popMax(s.own(&n.kids[i]))
		n.put(i, x, x.SortKey())
	default:
		s.delete(s.own(&n.kids[i]), key)
	}
	s.refill(n, i)
}

// popMax takes the last thing out of the subtree of n.
func (s *Set[T]) popMax(n *node[T]) T {
	if n.leaf() {
		x := n.items[len(n.items)-1]
		n.remove(len(n.items) - 1)
		return x
	}
	last := len(n.kids) - 1
	x := s.popMax(s.own(&n.kids[last]))
	s.refill(n, last)
	return x
}

// refill gives child i of n something of its neighbour, or joins the two, when it has too little.
func (s *Set[T]) refill(n *node[T], i int) {
	if len(n.kids[i].items) >= minItems {
		return
	}
	at := max(i-1, 0) // of the thing between the two
	l, r := s.own(&n.kids[at]), s.own(&n.kids[at+1])
	between := n.items[at]
	switch {
	case len(l.items)+1+len(r.items) <= maxItems:
		l.insert(len(l.items), between, between.SortKey())
		l.join(r, 0)
		n.remove(at)
		n.removeKid(at + 1)
	case i == at: // the left one wants
		x := r.items[0]
		l.insert(len(l.items), between, between.SortKey())
		r.remove(0)
		if !l.leaf() {
			l.putKid(len(l.kids), r.kids[0])
			r.removeKid(0)
		}
		n.put(at, x, x.SortKey())
	default:
		last := len(l.items) - 1
		x := l.items[last]
		r.insert(0, between, between.SortKey())
		l.remove(last)
		if !l.leaf() {
			r.putKid(0, l.kids[last+1])
			l.removeKid(last + 1)
		}
		n.put(at, x, x.SortKey())
	}
}
