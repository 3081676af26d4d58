package session

import (
	"slices"
	"strings"
	"sync"

	"github.com/stemmadb/stemma/internal/repo"
)

// Active is the sessions of the clients that are connected, so that no branch is taken from under one unawares. It is used by many
// goroutines; the zero value has none.
type Active struct {
	mu  sync.Mutex
	all map[*Session]bool
}

func (a *Active) add(s *Session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == nil {
		a.all = map[*Session]bool{}
	}
	a.all[s] = true
}

func (a *Active) remove(s *Session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.all, s)
}

// InUse tells whether a session other than except, which may be nil, is on the branch.
func (a *Active) InUse(r *repo.Repo, branch string, except *Session) bool {
	a.mu.Lock()
	others := make([]*Session, 0, len(a.all))
	for x := range a.all {
		if x != except {
			others = append(others, x)
		}
	}
	a.mu.Unlock()
	return slices.ContainsFunc(others, func(x *Session) bool { return x.isOn(r, branch) })
}

// InUse implements registry.Session.
func (s *Session) InUse(r *repo.Repo, branch string) bool {
	return s.opt.Active != nil && s.opt.Active.InUse(r, branch, s)
}

// isOn tells whether the session's statements go to the branch: it is what the name of its database means, or part of the name that
// it has told to USE. Other goroutines ask, too.
func (s *Session) isOn(r *repo.Repo, branch string) bool {
	s.headMu.Lock()
	defer s.headMu.Unlock()
	base, rev := SplitName(s.used)
	if u, canonical, ok := s.opt.Databases.Lookup(base); ok && u == r {
		if rev != "" {
			return rev == branch
		}
		h, known := s.heads[strings.ToLower(canonical)]
		return known && h.repo == r && h.commit.IsZero() && h.branch == branch
	}
	return false
}
