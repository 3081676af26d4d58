package history

import (
	"context"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/stemmadb/stemma/internal/chunk"
)

// ThinHead is a branch or a tag whose history is looked at.
type ThinHead struct {
	Name   string
	Commit CommitID
	Rules  *Retention // of a branch; nil for none, which keeps what no branch with rules has
}

// ThinCommit is what becomes of a commit.
type ThinCommit struct {
	ID     CommitID
	Branch string // the first by name of those with rules that have it; "" for none
	Why    string // it stays; "" when it goes
	// Aside says that it leaves the history of branches, though a tag goes on naming it.
	Aside bool
	// Parents are those that it gets, as they are now called: not those that go, but the nearest ancestors of these that stay. Nil when it
	// goes.
	Parents []CommitID
	Height  uint64 // that it gets
	// Moves says that it has other parents or another height than before, or that an ancestor of it has.
	Moves bool
	// Joined says that a parent of it goes: what it changes holds what that parent changed.
	Joined bool
}

// Thin says what becomes of the commits of branches and tags, children before parents. Commits that no branch with rules has stay; of
// the others those do that the rules of any branch keep, first commits, heads, and commits where the histories of branches part, so that
// branches have the merge bases that they had. now is the time from which ages count.
func Thin(ctx context.Context, r chunk.Reader, branches, tags []ThinHead, now time.Time) ([]ThinCommit, error) {
	t := &thinning{now: now, branches: branches, tags: tags, at: map[CommitID]int{}}
	if err := t.read(ctx, r); err != nil {
		return nil, err
	}
	t.reach()
	t.keepNamed()
	t.keepForks()
	for i := range branches {
		if branches[i].Rules != nil {
			t.keepByRules(&branches[i])
		}
	}
	t.connect()
	return t.out, nil
}

// thinning is one run of Thin. Commits go by their place in the order of Walker, children before parents.
type thinning struct {
	now            time.Time
	branches, tags []ThinHead
	at             map[CommitID]int
	commits        []thinNode
	out            []ThinCommit
	ruled          refSet // branches with rules, by their place
}

// thinNode is a commit as it was.
type thinNode struct {
	parents []int
	height  uint64
	time    time.Time
	reach   refSet // branches, and behind them tags that no branch reaches, that have it
	near    []int  // of one that is not in the history of branches any more: the nearest ancestors that are
}

// refSet is a set of refs by their place. It is not changed once it is made, for commits share them.
type refSet []uint64

func (s refSet) has(i int) bool { return i/64 < len(s) && s[i/64]&(1<<(i%64)) != 0 }

func (s refSet) with(i int) refSet {
	out := slices.Clone(s)
	for len(out) <= i/64 {
		out = append(out, 0)
	}
	out[i/64] |= 1 << (i % 64)
	return out
}

func (s refSet) union(o refSet) refSet {
	if len(o) > len(s) {
		s, o = o, s
	}
	var out refSet
	for i, w := range o {
		if s[i]|w != s[i] {
			if out == nil {
				out = slices.Clone(s)
			}
			out[i] |= w
		}
	}
	if out == nil {
		return s
	}
	return out
}

// first is the lowest place in both sets; -1 for none.
func (s refSet) first(o refSet) int {
	for i := range min(len(s), len(o)) {
		if w := s[i] & o[i]; w != 0 {
			return i*64 + bits.TrailingZeros64(w)
		}
	}
	return -1
}

// same tells whether both hold the same. Sets of one length end with a word that is not zero.
func (s refSet) same(o refSet) bool { return slices.Equal(s, o) }

// read reads all commits.
func (t *thinning) read(ctx context.Context, r chunk.Reader) error {
	var from []CommitID
	for _, h := range slices.Concat(t.branches, t.tags) {
		from = append(from, h.Commit)
	}
	w, err := Walk(ctx, r, from, nil)
	if err != nil {
		return err
	}
	var parents [][]CommitID
	for {
		c, err := w.Next(ctx)
		if err != nil {
			return err
		}
		if c == nil {
			break
		}
		t.at[c.ID] = len(t.commits)
		t.commits = append(t.commits, thinNode{height: c.Height, time: c.Committer.Time})
		t.out = append(t.out, ThinCommit{ID: c.ID})
		parents = append(parents, c.Parents)
	}
	for i, list := range parents {
		for _, p := range list {
			t.commits[i].parents = append(t.commits[i].parents, t.at[p])
		}
	}
	return nil
}

// reach finds which branches have a commit; tags count where no branch does.
func (t *thinning) reach() {
	for i, b := range t.branches {
		c := &t.commits[t.at[b.Commit]]
		c.reach = c.reach.with(i)
		if b.Rules != nil {
			t.ruled = t.ruled.with(i)
		}
	}
	spread := func() {
		for i := range t.commits {
			c := &t.commits[i]
			for _, p := range c.parents {
				t.commits[p].reach = t.commits[p].reach.union(c.reach)
			}
		}
	}
	spread()
	alone := map[int]bool{}
	for i, x := range t.tags {
		at := t.at[x.Commit]
		if c := &t.commits[at]; c.reach == nil || alone[at] {
			alone[at] = true
			c.reach = c.reach.with(len(t.branches) + i)
		}
	}
	if len(alone) > 0 {
		spread()
	}
	for i := range t.commits {
		if b := t.commits[i].reach.first(t.ruled); b >= 0 {
			t.out[i].Branch = t.branches[b].Name
		}
	}
}

// keep says why a commit stays, unless that is known.
func (t *thinning) keep(i int, format string, args ...any) {
	if t.out[i].Why == "" {
		t.out[i].Why = fmt.Sprintf(format, args...)
	}
}

// keepNamed keeps what no rules are about, first commits and what refs name.
func (t *thinning) keepNamed() {
	for _, b := range t.branches {
		t.keep(t.at[b.Commit], "head of branch %s", b.Name)
	}
	for _, x := range t.tags {
		i := t.at[x.Commit]
		c := &t.commits[i]
		stays := c.reach.first(t.ruled) < 0
		for b := range t.branches {
			stays = stays || t.branches[b].Rules != nil && c.reach.has(b) && t.branches[b].Rules.keepsTag(c.time, t.now)
		}
		if stays {
			t.keep(i, "tag %s", x.Name)
		}
	}
	for i := range t.commits {
		switch {
		case len(t.commits[i].parents) == 0:
			t.keep(i, "first commit")
		case t.out[i].Branch == "":
			t.keep(i, "no rules")
		}
	}
}

// keepForks keeps the commits of which no child is reached from the same branches: merge bases are among them.
func (t *thinning) keepForks() {
	covered := make([]bool, len(t.commits))
	for i := range t.commits {
		for _, p := range t.commits[i].parents {
			covered[p] = covered[p] || t.commits[i].reach.same(t.commits[p].reach)
		}
	}
	for i, c := range covered {
		if !c {
			t.keep(i, "branches part here")
		}
	}
}

// keepByRules keeps what the rules of a branch say.
func (t *thinning) keepByRules(b *ThinHead) {
	place := slices.IndexFunc(t.branches, func(x ThinHead) bool { return x.Name == b.Name })
	if all := b.Rules.clause(retainAll); all != nil {
		for i := range t.commits {
			if c := &t.commits[i]; c.reach.has(place) && all.covers(c.time, t.now) {
				t.keep(i, "%s: all %s", b.Name, all.text)
			}
		}
	}
	for _, rule := range b.Rules.clauses {
		period, ok := retainPeriods[rule.kind]
		if !ok {
			continue
		}
		seen := map[string]bool{}
		for i := t.at[b.Commit]; ; i = t.commits[i].parents[0] {
			c := &t.commits[i]
			if name := period(c.time.UTC()); !seen[name] && rule.covers(c.time, t.now) {
				seen[name] = true
				t.keep(i, "%s: %s %s, last of %s", b.Name, rule.kind, rule.text, name)
			}
			if len(c.parents) == 0 {
				break
			}
		}
	}
}

// connect gives the commits that stay their parents.
func (t *thinning) connect() {
	aside := map[int]string{}
	for _, x := range t.tags {
		aside[t.at[x.Commit]] = x.Name
	}
	parents := make([][]int, len(t.commits)) // new ones
	for i := len(t.commits) - 1; i >= 0; i-- {
		c, o := &t.commits[i], &t.out[i]
		stays := o.Why != ""
		var list []int
		if !slices.ContainsFunc(c.parents, func(p int) bool { return t.commits[p].near != nil }) {
			list = c.parents
		} else {
			for _, p := range c.parents {
				from := t.commits[p].near
				if from == nil {
					from = []int{p}
				}
				for _, x := range from {
					if !slices.Contains(list, x) {
						list = append(list, x)
					}
				}
			}
			list = t.reduce(list, parents)
			o.Joined = true
		}
		if !stays {
			c.near = list
			if tag, named := aside[i]; named {
				o.Aside, o.Why = true, "tag "+tag+", beside the history"
			}
		}
		if o.Why == "" {
			o.Joined = false
			continue
		}
		parents[i] = list
		o.Height, o.Moves = 1, o.Joined
		o.Parents = make([]CommitID, len(list))
		for k, p := range list {
			o.Parents[k] = t.out[p].ID
			o.Height = max(o.Height, t.out[p].Height+1)
			o.Moves = o.Moves || t.out[p].Moves
		}
		o.Moves = o.Moves || o.Height != c.height
	}
}

// reduce leaves out of a list of new parents, but for the first, those that others in it descend from.
func (t *thinning) reduce(list []int, parents [][]int) []int {
	if len(list) < 2 {
		return list
	}
	low := t.out[list[0]].Height
	for _, x := range list {
		low = min(low, t.out[x].Height)
	}
	seen := map[int]bool{}
	next := slices.Clone(list)
	for len(next) > 0 {
		x := next[len(next)-1]
		next = next[:len(next)-1]
		for _, p := range parents[x] {
			if !seen[p] && t.out[p].Height >= low {
				seen[p] = true
				next = append(next, p)
			}
		}
	}
	out := list[:1:1]
	for _, x := range list[1:] {
		if !seen[x] {
			out = append(out, x)
		}
	}
	return out
}
