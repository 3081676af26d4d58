package repo_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/root"
)

// play is a database that is used at random beside its world.
type play struct {
	did  map[string]int // actions that took place; nil counts none
	rng  *rand.Rand
	r    *repo.Repo
	w    *world
	txs  []*wtx
	made int
}

// action is something to be done: the world after it, the classes of error that may come instead, and how to do it.
type action struct {
	name string
	next *world
	errs []errs.Code
	do   func(ctx context.Context, r *repo.Repo) error
}

func (p *play) pick(names []string) string { return names[p.rng.IntN(len(names))] }

func (p *play) someBranch() string { return p.pick(p.w.names()) }

func (p *play) someCommit() string { return p.pick(slices.Sorted(maps.Keys(p.w.commits))) }

// commitOf finds the commit with that message among the ancestors of refs.
func commitOf(ctx context.Context, r *repo.Repo, message string) (history.CommitID, error) {
	var from []history.CommitID
	for _, b := range r.Branches() {
		from = append(from, b.Head)
	}
	tags, err := r.Tags(ctx)
	if err != nil {
		return history.CommitID{}, err
	}
	for _, t := range tags {
		from = append(from, t.Commit)
	}
	walk, err := history.Walk(ctx, r.Store(), from, nil)
	if err != nil {
		return history.CommitID{}, err
	}
	for {
		c, err := walk.Next(ctx)
		if err != nil {
			return history.CommitID{}, err
		}
		if c == nil {
			return history.CommitID{}, errUnreachable
		}
		if c.Message == message {
			return c.ID, nil
		}
	}
}

// drawn draws an action that can seldom be done a few times: the first that takes place, otherwise the last that is refused.
func (p *play) drawn(draw func(w *world, branch string) (action, bool)) (out action, ok bool) {
	for range 10 {
		a, can := draw(p.w.clone(), p.someBranch())
		if can && len(a.errs) == 0 {
			return a, true
		}
		if can {
			out, ok = a, true
		}
	}
	return out, ok
}

// next is a random action that changes more than a transaction's own state.
func (p *play) next() action {
	w := p.w.clone()
	name := p.someBranch()
	b := w.branches[name]
	switch p.rng.IntN(23) {
	case 20, 21:
		opt := repo.CollectOptions{Full: p.rng.IntN(2) == 0, Drop: p.rng.IntN(4) == 0}
		if p.rng.IntN(4) > 0 {
			opt.Expire = testClock.Now().Add(time.Hour)
		}
		return action{fmt.Sprintf("collect %+v", opt), w, nil, func(ctx context.Context, r *repo.Repo) error {
			done, err := r.Collect(ctx, opt)
			if err == nil && p.did != nil && done.ChunksRemoved > 0 {
				p.did["removed"]++
			}
			return err
		}}
	case 0, 1:
		return action{"fold " + name, w, nil, func(ctx context.Context, r *repo.Repo) error {
			_, err := r.Fold(ctx, name)
			return err
		}}
	case 2:
		return action{"checkpoint", w, nil, func(ctx context.Context, r *repo.Repo) error { return r.Checkpoint(ctx) }}
	case 3, 4, 5:
		p.made++
		opt := repo.CommitOptions{Branch: name, Message: fmt.Sprintf("commit %d", p.made), Author: signature()}
		switch p.rng.IntN(3) {
		case 0:
			opt.AddNew = true
			b.staged = b.working
		case 1:
			opt.All = true
			known := maps.Clone(b.staged)
			for _, c := range []content{w.commits[b.head], b.staged} {
				for t := range c {
					delete(known, t)
					if x := b.working[t]; x != nil {
						known[t] = x
					}
				}
			}
			if from, to := renamed(b.staged, b.working); from != "" {
				known[to] = b.working[to]
			}
			b.staged = known
		}
		a := action{fmt.Sprintf("commit %+v", opt), w, nil, nil}
		if b.staged.String() == w.commits[b.head].String() {
			a.next, a.errs = p.w, []errs.Code{errs.NothingToDo}
		} else {
			w.commits[opt.Message] = b.staged
			w.parents[opt.Message] = []string{b.head}
			b.head = opt.Message
			w.branches[name] = b
		}
		a.do = func(ctx context.Context, r *repo.Repo) error {
			_, err := r.Commit(ctx, opt)
			return err
		}
		return a
	case 6:
		if len(w.branches) > 3 {
			break
		}
		p.made++
		to, at := fmt.Sprintf("b%d", p.made%5), p.someCommit()
		force := p.rng.IntN(2) == 0
		a := action{fmt.Sprintf("branch %s at %s force=%v", to, at, force), w, nil, func(ctx context.Context, r *repo.Repo) error {
			id, err := commitOf(ctx, r, at)
			if err != nil {
				return err
			}
			return r.CreateBranch(ctx, to, id, force)
		}}
		if _, there := w.branches[to]; there && !force {
			a.next, a.errs = p.w, []errs.Code{errs.Exists}
		}
		w.born++
		w.branches[to] = wbranch{head: at, working: w.commits[at], staged: w.commits[at], born: w.born}
		return a
	case 7:
		a := action{"delete " + name, w, nil, func(ctx context.Context, r *repo.Repo) error { return r.DeleteBranch(ctx, name, "", true) }}
		if name == w.head {
			a.next, a.errs = p.w, []errs.Code{errs.Invalid}
		}
		delete(w.branches, name)
		return a
	case 8:
		at := p.someCommit()
		target := maps.Clone(w.commits[at])
		for t, x := range b.working {
			if w.commits[b.head][t] == nil && b.staged[t] == nil && target[t] == nil {
				target[t] = x
			}
		}
		for _, t := range tableNames {
			if text(target, t) != text(b.working, t) {
				b = b.changed(w, t)
			}
		}
		b.working, b.staged, b.head = target, w.commits[at], at
		w.branches[name] = b
		return action{fmt.Sprintf("reset %s hard to %s", name, at), w, nil, func(ctx context.Context, r *repo.Repo) error {
			id, err := commitOf(ctx, r, at)
			if err != nil {
				return err
			}
			return r.ResetHard(ctx, name, id)
		}}
	case 9:
		t := p.pick(tableNames)
		from := w.commits[b.head]
		a := action{fmt.Sprintf("restore %s on %s", t, name), w, nil, func(ctx context.Context, r *repo.Repo) error {
			id, _ := r.BranchHead(name)
			c, err := history.GetCommit(ctx, r.Store(), id)
			if err != nil {
				return err
			}
			return r.Restore(ctx, name, root.Open(chunk.Reader(r.Store()), c.Root), []string{strings.ToUpper(t)})
		}}
		if from[t] == nil && b.working[t] == nil {
			a.next, a.errs = p.w, []errs.Code{errs.NotFound}
			return a
		}
		b.working = maps.Clone(b.working)
		delete(b.working, t)
		b = b.changed(w, t)
		if from[t] != nil {
			b.working[t] = from[t]
		}
		w.branches[name] = b
		return a
	case 10:
		b.staged = b.working
		w.branches[name] = b
		return action{"stage " + name, w, nil, func(ctx context.Context, r *repo.Repo) error { return r.Stage(ctx, name, nil) }}
	case 11:
		p.made++
		to := fmt.Sprintf("b%d", p.made%5)
		move := p.rng.IntN(2) == 0
		a := action{fmt.Sprintf("copy %s to %s, move=%v", name, to, move), w, nil, func(ctx context.Context, r *repo.Repo) error {
			if move {
				return r.RenameBranch(ctx, name, to, false)
			}
			return r.CopyBranch(ctx, name, to, false)
		}}
		if _, there := w.branches[to]; there {
			if name == to && move {
				a.next = p.w
				return a
			}
			a.next, a.errs = p.w, []errs.Code{errs.Exists}
			return a
		}
		w.born++
		b.born = w.born
		w.branches[to] = b
		if move {
			delete(w.branches, name)
			if w.head == name {
				w.head = to
			}
		}
		return a
	case 12:
		p.made++
		tag := fmt.Sprintf("t%d", p.made)
		w.tags[tag] = b.head
		return action{"tag " + tag, w, nil, func(ctx context.Context, r *repo.Repo) error {
			id, _ := r.BranchHead(name)
			return r.CreateTag(ctx, tag, history.Tag{Commit: id, Tagger: signature(), Message: "m"}, false)
		}}
	case 13, 14:
		return p.push(w, name)
	case 15:
		if a, ok := p.drawn(p.pop); ok {
			return a
		}
	case 16, 17, 18, 19:
		kind := []history.MergeKind{history.MergeBranch, history.MergeBranch, history.CherryPick, history.Revert}[p.rng.IntN(4)]
		if a, ok := p.drawn(func(w *world, name string) (action, bool) { return p.merge(w, name, kind) }); ok {
			return a
		}
	}
	w.head = name
	return action{"check out " + name, w, nil, func(ctx context.Context, r *repo.Repo) error { return r.CheckOut(ctx, name) }}
}

// push sets changes aside.
func (p *play) push(w *world, name string) action {
	b := w.branches[name]
	head := w.commits[b.head]
	opt := repo.StashOptions{Branch: name, Name: "s", Untracked: p.rng.IntN(2) == 0}
	aside := maps.Clone(b.staged)
	for _, c := range []content{head, b.staged} {
		for t := range c {
			delete(aside, t)
			if x := b.working[t]; x != nil {
				aside[t] = x
			}
		}
	}
	var added []string
	for _, t := range slices.Sorted(maps.Keys(aside)) {
		if head[t] == nil {
			added = append(added, t)
		}
	}
	if opt.Untracked {
		aside = b.working
	}
	a := action{fmt.Sprintf("stash %+v", opt), w, nil, func(ctx context.Context, r *repo.Repo) error {
		_, err := r.PushStash(ctx, opt)
		return err
	}}
	if aside.String() == head.String() && b.staged.String() == head.String() {
		a.next, a.errs = p.w, []errs.Code{errs.NothingToDo}
		return a
	}
	w.stashes = append([]wstash{{base: b.head, branch: name, tables: aside, added: added}}, w.stashes...)
	working := maps.Clone(b.working)
	for _, t := range tableNames {
		if text(aside, t) == text(head, t) {
			continue
		}
		delete(working, t)
		if head[t] != nil {
			working[t] = head[t]
		}
		b = b.changed(w, t)
	}
	b.working, b.staged = working, head
	w.branches[name] = b
	return a
}

// pop brings a stash back; ok is false when there is none that needs no merging of rows.
func (p *play) pop(w *world, name string) (a action, ok bool) {
	if len(w.stashes) == 0 {
		return a, false
	}
	i := p.rng.IntN(len(w.stashes))
	s, drop := w.stashes[i], p.rng.IntN(3) > 0
	b := w.branches[name]
	base, working, staged := w.commits[s.base], maps.Clone(b.working), maps.Clone(b.staged)
	if moved(base, working) || moved(base, s.tables) {
		return a, false
	}
	for _, t := range tableNames {
		ours, was, theirs := text(b.working, t), text(base, t), text(s.tables, t)
		switch {
		case theirs == was || theirs == ours:
			continue
		case ours != was:
			return a, false
		}
		delete(working, t)
		if s.tables[t] != nil {
			working[t] = s.tables[t]
		}
		b = b.changed(w, t)
	}
	for _, t := range s.added {
		if working[t] != nil {
			staged[t] = working[t]
		}
	}
	b.working, b.staged = working, staged
	w.branches[name] = b
	if drop {
		w.stashes = slices.Delete(slices.Clone(w.stashes), i, i+1)
	}
	return action{fmt.Sprintf("pop stash %d on %s, drop %v", i, name, drop), w, nil, func(ctx context.Context, r *repo.Repo) error {
		_, err := r.ApplyStash(ctx, name, "s", i, drop)
		return err
	}}, true
}

// outcome judges the error of an action: whether it took place, or what is wrong.
func (a *action) outcome(err error) (happened bool, wrong error) {
	switch {
	case err == nil && len(a.errs) == 0:
		return true, nil
	case err != nil && slices.Contains(a.errs, errs.CodeOf(err)):
		return false, nil
	}
	return false, fmt.Errorf("%s: error %w, want one of %v", a.name, err, a.errs)
}
