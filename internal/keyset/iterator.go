package keyset

// maxDepth is more than a set of any size has levels: below the root a node has at least minItems things.
const maxDepth = 12

// Iterator walks through a set in the order of keys. It is a value, and a copy walks on its own. The set must not be changed
// meanwhile; one that was copied before may.
type Iterator[T Keyed] struct {
	root *node[T]
	n    int // of path
	path [maxDepth]place[T]
}

// place is a node and where in it the iterator is: at thing i in the last node of a path, below child i in the others.
type place[T Keyed] struct {
	*node[T]
	i int
}

// Iter is an iterator, which stands nowhere yet.
func (s *Set[T]) Iter() Iterator[T] { return Iterator[T]{root: s.root} }

// Item is the thing on which the iterator stands after it was moved with success.
func (it *Iterator[T]) Item() T {
	p := &it.path[it.n-1]
	return p.items[p.i]
}

// First goes to the first thing.
func (it *Iterator[T]) First() bool {
	it.n = 0
	return it.root != nil && it.descend(it.root, false)
}

// Last goes to the last thing.
func (it *Iterator[T]) Last() bool {
	it.n = 0
	return it.root != nil && it.descend(it.root, true)
}

// Seek goes to the first thing whose key is not below key.
func (it *Iterator[T]) Seek(key []byte) bool {
	it.n = 0
	for n := it.root; n != nil; {
		i, found := n.search(key)
		it.push(n, i)
		if found {
			return true
		}
		if n.leaf() {
			break
		}
		n = n.kids[i]
	}
	return it.right()
}

// Next goes to the thing behind.
func (it *Iterator[T]) Next() bool {
	if it.n == 0 {
		return false
	}
	p := &it.path[it.n-1]
	p.i++
	if !p.leaf() {
		return it.descend(p.kids[p.i], false)
	}
	return it.right()
}

// Prev goes to the thing before.
func (it *Iterator[T]) Prev() bool {
	if it.n == 0 {
		return false
	}
	if p := &it.path[it.n-1]; !p.leaf() {
		return it.descend(p.kids[p.i], true)
	}
	for it.n > 0 {
		p := &it.path[it.n-1]
		if p.i > 0 {
			p.i--
			return true
		}
		it.n--
	}
	return false
}

func (it *Iterator[T]) push(n *node[T], i int) {
	it.path[it.n] = place[T]{n, i}
	it.n++
}

// descend goes to the first or last thing of a subtree.
func (it *Iterator[T]) descend(n *node[T], last bool) bool {
	for !n.leaf() {
		i := 0
		if last {
			i = len(n.items)
		}
		it.push(n, i)
		n = n.kids[i]
	}
	i := 0
	if last {
		i = len(n.items) - 1
	}
	it.push(n, i)
	return true
}

// right goes up until there is a thing to the right.
func (it *Iterator[T]) right() bool {
	for it.n > 0 {
		if p := &it.path[it.n-1]; p.i < len(p.items) {
			return true
		}
		it.n--
	}
	return false
}
