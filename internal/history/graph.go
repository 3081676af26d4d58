package history

import (
	"bytes"
	"container/heap"
	"context"

	"github.com/stemmadb/stemma/internal/chunk"
)

// Walker gives commits and their ancestors, each once, children before parents: by height, then committer time, then hash, the
// largest first. It belongs to one goroutine.
type Walker struct {
	r    chunk.Reader
	heap commitHeap
	seen map[CommitID]bool
	hide map[CommitID]bool // ancestors of these are not given
}

// Walk begins at the commits from and leaves out those of not and their ancestors. In a part of a database the ways end where commits are
// absent.
func Walk(ctx context.Context, r chunk.Reader, from, not []CommitID) (*Walker, error) {
	w := &Walker{r: r, seen: map[CommitID]bool{}, hide: map[CommitID]bool{}}
	for _, id := range not {
		if err := w.push(ctx, id, true); err != nil {
			return nil, err
		}
	}
	for _, id := range from {
		if err := w.push(ctx, id, false); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *Walker) push(ctx context.Context, id CommitID, hidden bool) error {
	if hidden {
		w.hide[id] = true
	}
	if w.seen[id] {
		return nil
	}
	w.seen[id] = true
	c, err := GetCommit(ctx, w.r, id)
	if err != nil {
		return err
	}
	heap.Push(&w.heap, c)
	return nil
}

// Next is the next commit; nil at the end.
func (w *Walker) Next(ctx context.Context) (*Commit, error) {
	for w.heap.Len() > 0 {
		if len(w.hide) > 0 && w.allHidden() {
			return nil, nil
		}
		c := heap.Pop(&w.heap).(*Commit)
		hidden := w.hide[c.ID]
		for _, p := range c.Parents {
			if err := w.push(ctx, p, hidden); err != nil && !chunk.IsAbsent(err) {
				return nil, err
			}
		}
		if !hidden {
			return c, nil
		}
	}
	return nil, nil
}

func (w *Walker) allHidden() bool {
	for _, c := range w.heap {
		if !w.hide[c.ID] {
			return false
		}
	}
	return true
}

type commitHeap []*Commit

func (h commitHeap) Len() int { return len(h) }
func (h commitHeap) Less(i, j int) bool {
	a, b := h[i], h[j]
	if a.Height != b.Height {
		return a.Height > b.Height
	}
	if !a.Committer.Time.Equal(b.Committer.Time) {
		return a.Committer.Time.After(b.Committer.Time)
	}
	return bytes.Compare(a.ID[:], b.ID[:]) > 0
}
func (h commitHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *commitHeap) Push(x any) { *h = append(*h, x.(*Commit)) }

// Pop implements heap.Interface.
func (h *commitHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// MergeBase is a best common ancestor of two commits: the first of them in the order of Walker; the zero id when they have none,
// or none that is here where the database is a part.
func MergeBase(ctx context.Context, r chunk.Reader, a, b CommitID) (CommitID, error) {
	const left, right = 1, 2
	marks := map[CommitID]byte{a: left}
	marks[b] |= right
	var h commitHeap
	in := map[CommitID]bool{}
	push := func(id CommitID) error {
		if in[id] {
			return nil
		}
		in[id] = true
		c, err := GetCommit(ctx, r, id)
		if err != nil {
			return err
		}
		heap.Push(&h, c)
		return nil
	}
	if err := push(a); err != nil {
		return CommitID{}, err
	}
	if err := push(b); err != nil {
		return CommitID{}, err
	}
	for h.Len() > 0 {
		c := heap.Pop(&h).(*Commit)
		m := marks[c.ID]
		if m == left|right {
			return c.ID, nil
		}
		for _, p := range c.Parents {
			marks[p] |= m
			if err := push(p); err != nil && !chunk.IsAbsent(err) {
				return CommitID{}, err
			}
		}
	}
	return CommitID{}, nil
}

// IsAncestor tells whether a is b or one of b's ancestors.
func IsAncestor(ctx context.Context, r chunk.Reader, a, b CommitID) (bool, error) {
	base, err := MergeBase(ctx, r, a, b)
	return err == nil && base == a, err
}
