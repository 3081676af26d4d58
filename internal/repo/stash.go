package repo

import (
	"context"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/merge"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/root"
)

// DefaultStashes is the name of the list of stashes that the command line uses.
const DefaultStashes = "dolt-cli"

// Stash is changes that were set aside.
type Stash struct {
	Name  string // of the list
	Index int    // in the list, 0 is the newest
	history.Stash
}

// StashOptions say what is set aside.
type StashOptions struct {
	Branch    string
	Name      string // of the list
	Message   string // "" is that of the branch's head
	Untracked bool   // new tables that are not staged as well
	All       bool   // those that dolt_ignore names as well
}

// Stashes are the stashes of all lists, ordered by name, newest first in each.
func (r *Repo) Stashes(ctx context.Context) ([]Stash, error) {
	s := r.published.Load()
	var out []Stash
	for _, name := range s.stashes.Keys() {
		list, _ := s.stashes.Get(name)
		for i, h := range list {
			x, err := history.GetStash(ctx, r.store, h)
			if err != nil {
				return nil, err
			}
			out = append(out, Stash{Name: name, Index: i, Stash: *x})
		}
	}
	return out, nil
}

// stashAt is a list of stashes and what it has at an index.
func (s *state) stashAt(name string, index int) ([]hash.Hash, hash.Hash, error) {
	list, _ := s.stashes.Get(name)
	switch {
	case len(list) == 0:
		return nil, hash.Hash{}, errs.New(errs.NotFound, "no stash entries found")
	case index < 0 || index >= len(list):
		return nil, hash.Hash{}, errs.New(errs.NotFound, "stash index stash@{%d} does not exist", index)
	}
	return list, list[index], nil
}

// stashAgain is stashAt, or where the list has h still once picked names it: who was overtaken by another machine is to take no other stash than at
// first.
func (s *state) stashAgain(name string, index int, picked *hash.Hash) (list []hash.Hash, at int, h hash.Hash, err error) {
	if picked.IsZero() {
		if list, h, err = s.stashAt(name, index); err == nil {
			*picked = h
		}
		return list, index, h, err
	}
	list, _ = s.stashes.Get(name)
	if at = slices.Index(list, *picked); at < 0 {
		return nil, 0, h, errs.New(errs.NotFound, "stash index stash@{%d} was removed meanwhile", index)
	}
	return list, at, *picked, nil
}

// StashAt is the stash of a list at an index.
func (r *Repo) StashAt(ctx context.Context, name string, index int) (*Stash, error) {
	_, h, err := r.published.Load().stashAt(name, index)
	if err != nil {
		return nil, err
	}
	x, err := history.GetStash(ctx, r.store, h)
	if err != nil {
		return nil, err
	}
	return &Stash{Name: name, Index: index, Stash: *x}, nil
}

// PushStash sets the uncommitted changes of a branch aside: of tables that its head or its staged set has, and of more as the options
// say. The branch has its head's state of them after it. Without changes the error is of class NothingToDo.
func (r *Repo) PushStash(ctx context.Context, opt StashOptions) (*Stash, error) {
	out := &Stash{Name: opt.Name}
	err := r.rework(ctx, opt.Branch, func(batch *pack.Batch, s *state, b *branch) (*reworked, error) {
		if err := r.notMerging(ctx, b, errs.New(errs.Conflict, "cannot stash in the middle of a merge: commit or abort it first")); err != nil {
			return nil, err
		}
		head, err := history.GetCommit(ctx, r.store, b.head)
		if err != nil {
			return nil, err
		}
		committed := root.Open(batch, head.Root)
		w := &Working{Branch: b.name, Head: b.head, Working: root.Open(batch, b.working), Staged: root.Open(batch, b.staged)}
		known, err := r.stageKnown(ctx, batch, committed, w)
		if err != nil {
			return nil, err
		}
		added, err := namesBeyond(ctx, known, committed)
		if err != nil {
			return nil, err
		}
		aside := known
		switch {
		case opt.All:
			aside = w.Working
		case opt.Untracked:
			if aside, err = r.stageAll(ctx, batch, w); err != nil {
				return nil, err
			}
		}
		if aside.Tree() == head.Root && b.staged == head.Root {
			return nil, errs.New(errs.NothingToDo, "No local changes to save")
		}
		out.Stash = history.Stash{Root: aside.Tree(), Head: b.head, Branch: b.name, Message: opt.Message, Added: added}
		if out.Message == "" {
			out.Message = head.Message
		}
		h, err := out.Put(ctx, batch)
		if err != nil {
			return nil, err
		}
		back, err := r.entryChanges(ctx, batch, aside.Tree(), head.Root)
		if err != nil {
			return nil, err
		}
		working, err := w.Working.With(ctx, batch, back...)
		if err != nil {
			return nil, err
		}
		next := b.copy(0)
		next.working, next.staged = working.Tree(), head.Root
		list, _ := s.stashes.Get(opt.Name)
		return &reworked{next: next, whole: changedNames(back), ch: &change{
			stashes: []stashChange{{name: opt.Name, stashes: append([]hash.Hash{h}, list...)}},
		}}, nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// namesBeyond are the tables of a root that another lacks.
func namesBeyond(ctx context.Context, has, lacks *root.Root) ([]string, error) {
	es, err := has.List(ctx, root.KindTable)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range es {
		_, ok, err := lacks.Get(ctx, root.KindTable, e.Name)
		if err != nil {
			return nil, err
		}
		if !ok {
			out = append(out, e.Name)
		}
	}
	return out, nil
}

// changedNames are the lower-case names of the tables among changes.
func changedNames(changes []root.Change) []string {
	var out []string
	for _, c := range changes {
		if c.Entry.Kind == root.KindTable {
			out = append(out, strings.ToLower(c.Entry.Name))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// ApplyStash merges a stash into the working set of a branch and stages the tables that were staged as new ones; drop removes the stash.
// When the branch's tables stand against it the error is of class Conflict, and nothing has changed.
func (r *Repo) ApplyStash(ctx context.Context, branchName, name string, index int, drop bool) (*Stash, error) {
	out := &Stash{Name: name, Index: index}
	var picked hash.Hash
	err := r.rework(ctx, branchName, func(batch *pack.Batch, s *state, b *branch) (*reworked, error) {
		if err := r.notMerging(ctx, b, errs.New(errs.Conflict, "cannot apply a stash in the middle of a merge: commit or abort it first")); err != nil {
			return nil, err
		}
		list, at, h, err := s.stashAgain(name, index, &picked)
		if err != nil {
			return nil, err
		}
		x, err := history.GetStash(ctx, r.store, h)
		if err != nil {
			return nil, err
		}
		out.Stash = *x
		base, err := history.GetCommit(ctx, r.store, x.Head)
		if err != nil {
			return nil, err
		}
		res, err := merge.Roots(ctx, batch, base.Root, b.working, x.Root, r.MergeOptions(batch))
		if err != nil {
			return nil, err
		}
		if len(res.Tables) > 0 {
			names := make([]string, len(res.Tables))
			for i := range res.Tables {
				names[i] = res.Tables[i].Name
			}
			return nil, errs.New(errs.Conflict, "error: Your local changes to the following tables would be overwritten by applying stash %d:\n"+
				"\t{'%s'}\n"+
				"Please commit your changes or stash them before you merge.\nAborting\nThe stash entry is kept in case you need it again.", index, strings.Join(names, "', '"))
		}
		changes, err := r.entryChanges(ctx, batch, b.working, res.Root.Tree())
		if err != nil {
			return nil, err
		}
		var stage []root.Change
		for _, n := range x.Added {
			e, ok, err := res.Root.Get(ctx, root.KindTable, n)
			if err != nil {
				return nil, err
			}
			if ok {
				stage = append(stage, root.Change{Entry: e})
			}
		}
		staged, err := root.Open(batch, b.staged).With(ctx, batch, stage...)
		if err != nil {
			return nil, err
		}
		next := b.copy(0)
		next.working, next.staged = res.Root.Tree(), staged.Tree()
		ch := &change{}
		if drop {
			ch.stashes = []stashChange{{name: name, stashes: slices.Delete(slices.Clone(list), at, at+1)}}
		}
		return &reworked{next: next, ch: ch, whole: changedNames(changes)}, nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DropStash removes a stash.
func (r *Repo) DropStash(ctx context.Context, name string, index int) (*Stash, error) {
	out := &Stash{Name: name, Index: index}
	var picked hash.Hash
	err := r.changeRefs(ctx, func(s *state) (*change, func(*state), error) {
		list, at, h, err := s.stashAgain(name, index, &picked)
		if err != nil {
			return nil, nil, err
		}
		x, err := history.GetStash(ctx, r.store, h)
		if err != nil {
			return nil, nil, err
		}
		out.Stash = *x
		c := stashChange{name: name, stashes: slices.Delete(slices.Clone(list), at, at+1)}
		return &change{stashes: []stashChange{c}}, func(s *state) { s.setStashes(c) }, nil
	})
	return out, err
}

// ClearStashes removes all stashes of a list; that it has none is no error.
func (r *Repo) ClearStashes(ctx context.Context, name string) error {
	if list, _ := r.published.Load().stashes.Get(name); len(list) == 0 {
		return nil
	}
	return r.changeRefs(ctx, func(*state) (*change, func(*state), error) {
		c := stashChange{name: name}
		return &change{stashes: []stashChange{c}}, func(s *state) { s.setStashes(c) }, nil
	})
}

// reworked is what a branch becomes.
type reworked struct {
	next  *branch
	whole []string // lower-case names of tables that change as a whole
	ch    *change  // what changes beside the branch's working set
}

// rework changes a branch as plan says, which sees it with its edits folded, and begins anew when another changes the same meanwhile.
func (r *Repo) rework(ctx context.Context, branchName string, plan func(batch *pack.Batch, s *state, b *branch) (*reworked, error)) error {
	for lost := 0; ; {
		s, err := r.tryRework(ctx, branchName, plan)
		if err != nil {
			return err
		}
		if s != nil {
			err := r.publish(ctx, s)
			if !overtakenBy(err) || lost == overtakenMost || ctx.Err() != nil {
				return err
			}
			lost++ // another machine was faster
			continue
		}
		r.settleKept()
		if err := ctx.Err(); err != nil {
			return errs.With(errs.Canceled, err)
		}
	}
}

// tryRework is one attempt of rework; the state is nil when it must begin anew.
func (r *Repo) tryRework(ctx context.Context, branchName string, plan func(batch *pack.Batch, s *state, b *branch) (*reworked, error)) (*state, error) {
	if _, err := r.Fold(ctx, branchName); err != nil {
		return nil, err
	}
	s := r.published.Load()
	b, ok := s.branches.Get(branchName)
	if !ok {
		return nil, r.errNoRef(branchName)
	}
	batch := r.store.NewBatch()
	defer batch.Close()
	to, err := plan(batch, s, b)
	if err != nil {
		return nil, err
	}
	for _, l := range to.whole {
		if b.tables.get(l).over.Len() > 0 { // edited after the fold
			return nil, nil
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	tip := r.tip.Load()
	cur, ok := tip.branches.Get(branchName)
	if !ok {
		return nil, r.errNoRef(branchName)
	}
	if cur.born != b.born || cur.head != b.head || cur.staged != b.staged || cur.working != b.working || cur.merge != b.merge || cur.rebase != b.rebase {
		return nil, nil
	}
	for _, l := range to.whole {
		if cur.tables.get(l) != b.tables.get(l) {
			return nil, nil
		}
	}
	for _, x := range to.ch.stashes {
		was, _ := s.stashes.Get(x.name)
		if now, _ := tip.stashes.Get(x.name); !slices.Equal(was, now) {
			return nil, nil
		}
	}
	next := cur.copy(0)
	next.head, next.working, next.staged, next.merge, next.rebase = to.next.head, to.next.working, to.next.staged, to.next.merge, to.next.rebase
	if next.head != cur.head {
		to.ch.refs = append(to.ch.refs, refChange{name: next.name, head: next.head})
	}
	return r.setBranch(ctx, batch, next, to.ch, to.whole)
}
