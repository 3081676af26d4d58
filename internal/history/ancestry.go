package history

import (
	"context"
	"slices"
	"sync"

	"github.com/stemmadb/stemma/internal/chunk"
)

// maxLines bounds the commits whose ancestors an Ancestry keeps.
const maxLines = 8

// Ancestry tells which commits reach a commit, and keeps what it has found out, so that asking for many commits of one history goes
// through it once. It is used by many goroutines; the zero value knows nothing.
type Ancestry struct {
	mu    sync.Mutex
	lines map[CommitID]*line
	heads []CommitID // of lines, the one that was asked for last at the end
}

// line is the ancestors of a commit as far as they have been gone through, from the highest down.
type line struct {
	w     *Walker
	given map[CommitID]bool
	low   uint64 // height of the last one given
	done  bool
	rest  *line // all that is left are this one's; set when done
}

// Reaches tells whether c is head or one of its ancestors. It reads the commits of head's history that are as high as c and have not been
// read for earlier questions.
func (a *Ancestry) Reaches(ctx context.Context, r chunk.Reader, head CommitID, c *Commit) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l, err := a.line(ctx, r, head)
	if err != nil {
		return false, err
	}
	for l != nil {
		if l.given[c.ID] {
			return true, nil
		}
		for !l.done && (len(l.given) == 0 || l.low >= c.Height) {
			if known := a.lines[l.only()]; known != nil && known != l {
				l.done, l.rest = true, known
				break
			}
			n, err := l.w.Next(ctx)
			if err != nil {
				a.forget(head) // its walk has lost a commit
				return false, err
			}
			if n == nil {
				l.done = true
				break
			}
			l.given[n.ID], l.low = true, n.Height
			if n.ID == c.ID {
				return true, nil
			}
		}
		l = l.rest
	}
	return false, nil
}

// only is the commit that alone is left to be given, from which all others are reached; zero when there are several.
func (l *line) only() (id CommitID) {
	if len(l.w.heap) == 1 {
		id = l.w.heap[0].ID
	}
	return id
}

// line is what is known of head.
func (a *Ancestry) line(ctx context.Context, r chunk.Reader, head CommitID) (*line, error) {
	l := a.lines[head]
	if l == nil {
		w, err := Walk(ctx, r, []CommitID{head}, nil)
		if err != nil {
			return nil, err
		}
		if a.lines == nil {
			a.lines = map[CommitID]*line{}
		}
		if len(a.heads) >= maxLines {
			a.forget(a.heads[0]) // lines that end in it keep it
		}
		l = &line{w: w, given: map[CommitID]bool{}}
		a.lines[head] = l
	} else {
		a.heads = slices.DeleteFunc(a.heads, func(id CommitID) bool { return id == head })
	}
	a.heads = append(a.heads, head)
	return l, nil
}

func (a *Ancestry) forget(head CommitID) {
	delete(a.lines, head)
	a.heads = slices.DeleteFunc(a.heads, func(id CommitID) bool { return id == head })
}

// Reached tells whether c is one of the commits from or of their ancestors. It reads those that are as high as c.
func Reached(ctx context.Context, r chunk.Reader, from []CommitID, c *Commit) (bool, error) {
	w, err := Walk(ctx, r, from, nil)
	if err != nil {
		return false, err
	}
	for {
		n, err := w.Next(ctx)
		if err != nil || n == nil || n.Height < c.Height {
			return false, err
		}
		if n.ID == c.ID {
			return true, nil
		}
	}
}
