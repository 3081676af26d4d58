package repo

import (
	"slices"
	"sync"

	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/tree"
)

// Hold keeps what can be reached in a database from being collected as garbage: what was published when the hold began, and whatever was
// published, or named by its hash, until it is released. Transactions and verbs hold.
type Hold struct {
	in         *holds
	state      *state
	since      uint64 // the last departure before it
	prev, next *Hold
}

// Hold begins a hold, which must be released.
func (r *Repo) Hold() *Hold {
	h := &Hold{}
	r.hold(h)
	return h
}

// hold begins a hold of what is published, which it gives.
func (r *Repo) hold(h *Hold) *state {
	for {
		s := r.published.Load()
		r.holds.add(h, s)
		// Otherwise what has left s since may be forgotten, or collected.
		if r.published.Load() == s {
			return s
		}
		h.Release()
	}
}

// Release ends the hold. It may be called more than once.
func (h *Hold) Release() {
	if h.in != nil {
		h.in.release(h)
	}
}

// keptDepartures bounds what is remembered of what holds keep.
var keptDepartures = 1 << 20

// holds is the holds of a database, and what has left its state while they last.
type holds struct {
	mu          sync.Mutex
	first, last *Hold  // by their beginnings
	seq         uint64 // of the last departure
	left        []departure
	collecting  bool   // what leaves is remembered, whoever holds
	lost        uint64 // the last departure that was forgotten for want of room
}

// departure is something from which chunks were reached and that the state does not name any more, or never did.
type departure struct {
	seq     uint64
	branch  *branch // nil for none
	tag     hash.Hash
	stashes []hash.Hash
	commit  history.CommitID
	root    tree.Root
}

func (x *holds) add(h *Hold, s *state) {
	x.mu.Lock()
	defer x.mu.Unlock()
	h.in, h.state, h.since, h.prev = x, s, x.seq, x.last
	if x.last != nil {
		x.last.next = h
	} else {
		x.first = h
	}
	x.last = h
}

func (x *holds) release(h *Hold) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if h.in == nil {
		return
	}
	if h.prev != nil {
		h.prev.next = h.next
	} else {
		x.first = h.next
	}
	if h.next != nil {
		h.next.prev = h.prev
	} else {
		x.last = h.prev
	}
	*h = Hold{}
	x.prune()
}

// prune forgets what nobody holds.
func (x *holds) prune() {
	if x.collecting || len(x.left) == 0 {
		return
	}
	if x.first == nil {
		x.left = nil
		return
	}
	n := 0
	for n < len(x.left) && x.left[n].seq <= x.first.since {
		n++
	}
	if x.left = x.left[n:]; len(x.left) == 0 {
		x.left = nil
	}
}

// leave takes note of departures, which whoever holds now may still read.
func (x *holds) leave(list ...departure) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(list) == 0 || x.first == nil && !x.collecting {
		return
	}
	for _, d := range list {
		x.seq++
		d.seq = x.seq
		x.left = append(x.left, d)
	}
	if len(x.left) > keptDepartures { // many at once, so that not each that comes moves all others
		gone := max(len(x.left)-keptDepartures, keptDepartures/2)
		x.lost = x.left[gone-1].seq
		x.left = slices.Clone(x.left[gone:])
	}
}

// collect says whether a collection runs.
func (x *holds) collect(on bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.collecting = on
	x.prune()
}

// kept is the states that are held, the departures after one that are remembered, and the number of the last one. whole is false when more
// has left than was remembered: since that departure or, for who begins, since the first hold.
func (x *holds) kept(after uint64, begins bool) (states []*state, left []departure, last uint64, whole bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	seen := map[*state]bool{}
	for h := x.first; h != nil; h = h.next {
		if !seen[h.state] {
			seen[h.state] = true
			states = append(states, h.state)
		}
	}
	for _, d := range x.left {
		if d.seq > after {
			left = append(left, d)
		}
	}
	if whole = x.lost <= after; begins {
		whole = x.first == nil || x.lost <= x.first.since
	}
	return states, left, x.seq, whole
}

// departures are what the change takes away from the state.
func (s *state) departures(c *change) []departure {
	var out []departure
	branches := map[string]bool{}
	add := func(name string) {
		if b, ok := s.find(name); ok && !branches[name] {
			branches[name] = true
			out = append(out, departure{branch: b})
		}
	}
	for _, x := range c.refs {
		add(x.name)
	}
	for _, x := range c.work {
		add(x.branch)
	}
	for _, x := range c.tags {
		if h, ok := s.tags.Get(x.name); ok {
			out = append(out, departure{tag: h})
		}
	}
	for _, x := range c.stashes {
		if list, ok := s.stashes.Get(x.name); ok {
			out = append(out, departure{stashes: list})
		}
	}
	for _, x := range c.tracks {
		if id, ok := s.tracks.Get(x.name); ok {
			out = append(out, departure{commit: id})
		}
	}
	return out
}
