package table

import (
	"bytes"
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
)

// sort puts the rows into key order, those of one key in the order in which they were added. It sorts by eight bytes of the keys at a
// time, most significant first, which it keeps beside the reference, so that the keys themselves are read once for each eight bytes
// and only where those before are equal (Bentley and Sedgewick, "Fast algorithms for sorting and searching strings", 1997, with a
// super-alphabet). Up to workers goroutines take part.
func (b *rowBuffer) sort(workers int) {
	s := &rowSorter{b: b}
	if workers <= 1 || len(b.refs) < parallelSort {
		s.sort(b.refs, 0)
		return
	}
	groups, depth := s.split(b.refs)
	var next atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			s := &rowSorter{b: b}
			for {
				i := int(next.Add(1)) - 1
				if i >= len(groups) {
					return
				}
				s.sort(groups[i], depth)
			}
		})
	}
	all.Wait()
}

const (
	fewRows      = 12      // at most so many rows are sorted by whole keys
	radixRows    = 1 << 10 // from so many rows on, numbers are sorted by their bytes
	parallelSort = 1 << 14 // from so many rows on, several goroutines sort
)

// rowSorter is one goroutine's part of a sort.
type rowSorter struct {
	b     *rowBuffer
	spare []rowRef
}

// sort sorts refs, whose keys are equal in their first depth bytes and whose prefixes are of that depth.
func (s *rowSorter) sort(refs []rowRef, depth int) {
	for len(refs) > fewRows {
		s.byPrefix(refs)
		if refs[0].prefix != refs[len(refs)-1].prefix {
			for len(refs) > 0 {
				n := sameRun(refs)
				if n > 1 {
					s.sort(s.deeper(refs[:n], depth), depth+8)
				}
				refs = refs[n:]
			}
			return
		}
		refs = s.deeper(refs, depth)
		depth += 8
	}
	s.byKey(refs, depth)
}

// split sorts refs so far that they fall into several groups, which are left to be sorted at the depth.
func (s *rowSorter) split(refs []rowRef) (groups [][]rowRef, depth int) {
	for len(refs) > 0 {
		s.byPrefix(refs)
		one := refs[0].prefix == refs[len(refs)-1].prefix
		for rest := refs; len(rest) > 0; {
			n := sameRun(rest)
			if g := s.deeper(rest[:n], depth); len(g) > 1 {
				groups = append(groups, g)
			}
			rest = rest[n:]
		}
		depth += 8
		if !one || len(groups) == 0 {
			break
		}
		refs, groups = groups[0], nil
	}
	return groups, depth
}

// sameRun is the number of refs at the beginning with one prefix.
func sameRun(refs []rowRef) int {
	p := refs[0].prefix
	n := 1
	for n < len(refs) && refs[n].prefix == p {
		n++
	}
	return n
}

// deeper takes refs with one prefix at depth, puts those in front whose keys end within it, in order, and gives the others the
// prefixes of the next eight bytes. It returns the others.
func (s *rowSorter) deeper(refs []rowRef, depth int) []rowRef {
	ended := 0
	for i := range refs {
		key := s.b.key(refs[i])
		if len(key) <= depth+8 {
			refs[ended], refs[i] = refs[i], refs[ended]
			ended++
			continue
		}
		refs[i].prefix = window(key, depth+8)
	}
	if e := refs[:ended]; ended > 1 {
		slices.SortFunc(e, func(x, y rowRef) int { // equal but for zeros at their ends
			if c := cmp.Compare(len(s.b.key(x)), len(s.b.key(y))); c != 0 {
				return c
			}
			return cmp.Compare(x.at, y.at)
		})
	}
	return refs[ended:]
}

// byKey sorts a few refs.
func (s *rowSorter) byKey(refs []rowRef, depth int) {
	for i := 1; i < len(refs); i++ {
		for j := i; j > 0 && s.less(refs[j], refs[j-1], depth); j-- {
			refs[j], refs[j-1] = refs[j-1], refs[j]
		}
	}
}

func (s *rowSorter) less(x, y rowRef, depth int) bool {
	if x.prefix != y.prefix {
		return x.prefix < y.prefix
	}
	c := bytes.Compare(s.b.key(x)[depth:], s.b.key(y)[depth:])
	return c < 0 || c == 0 && x.at < y.at
}

// byPrefix sorts refs by their prefixes.
func (s *rowSorter) byPrefix(refs []rowRef) {
	if len(refs) < radixRows {
		slices.SortFunc(refs, func(x, y rowRef) int { return cmp.Compare(x.prefix, y.prefix) })
		return
	}
	varying := uint64(0) // bits in which prefixes differ
	for i := range refs {
		varying |= refs[i].prefix ^ refs[0].prefix
	}
	if cap(s.spare) < len(refs) {
		s.spare = make([]rowRef, len(refs))
	}
	from, to := refs, s.spare[:len(refs)]
	for shift := 0; shift < 64; shift += 8 {
		if varying>>shift&0xff == 0 {
			continue
		}
		var at [256]uint32
		for i := range from {
			at[byte(from[i].prefix>>shift)]++
		}
		sum := uint32(0)
		for i, n := range at {
			at[i], sum = sum, sum+n
		}
		for i := range from {
			d := byte(from[i].prefix >> shift)
			to[at[d]] = from[i]
			at[d]++
		}
		from, to = to, from
	}
	if &from[0] != &refs[0] {
		copy(refs, from)
	}
}
