package repo

import (
	"context"
	"slices"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/sync"
)

// SyncMirror makes a mirror what its remote is by now: look reads that, given the directory for what it fetches, and one record of the journal
// has all of it. Those who do so at once go one after the other, so that what was read later stays. The lists that look gives hold what it
// names. Of a database that is no mirror it is an error of class Unsupported.
func (r *Repo) SyncMirror(ctx context.Context, look func(ctx context.Context) (now *Cloned, lists []hash.Hash, err error)) error {
	if r.mirror() == nil {
		return errs.New(errs.Unsupported, "the database in %s has branches of its own: fetch makes known what is at a remote", r.dir)
	}
	if r.opt.ReadOnly {
		return errs.New(errs.ReadOnly, "the database is open for reading only")
	}
	r.fetching.Lock()
	defer r.fetching.Unlock()
	now, lists, err := look(ctx)
	if err != nil {
		return err
	}
	defer now.Batch.Close()
	p := r.mirror()
	known := slices.Equal(p.Lists, lists)
	if !known { // first all, for what is not known yet
		var more []sync.Target
		for _, h := range lists {
			more = append(more, sync.Target{List: h})
		}
		if err := r.LackMore(nil, more); err != nil {
			return err
		}
	}
	if err := r.reflect(ctx, now); err != nil || known {
		return err
	}
	next := *p
	next.Lists = lists
	if err := next.Write(r.fs, r.dir); err != nil {
		return err
	}
	r.usePart(&next)
	return nil
}

// reflect changes what is not as in now.
func (r *Repo) reflect(ctx context.Context, now *Cloned) error {
	s, err := func() (*state, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		ch, apply, err := r.reflection(ctx, r.tip.Load(), now)
		if err != nil || len(apply) == 0 {
			return nil, err
		}
		return r.enter(ctx, now.Batch, ch, func(s *state) {
			for _, fn := range apply {
				fn(s)
			}
		})
	}()
	if err != nil || s == nil {
		return err
	}
	return r.publish(ctx, s)
}

// reflection is the change from a state to what is now, and what it does.
func (r *Repo) reflection(ctx context.Context, at *state, now *Cloned) (ch *change, apply []func(*state), err error) {
	ch = &change{}
	stays := map[string]bool{}
	for _, b := range now.Branches {
		stays[b.Name] = true
		have, there := at.branches.Get(b.Name)
		var fn func(*state)
		switch {
		case there && have.head == b.Head:
			continue
		case there:
			fn, err = r.moveBranch(ctx, now.Batch, ch, have, b.Head)
		default:
			fn, err = r.makeBranch(ctx, now.Batch, ch, b.Name, b.Head)
		}
		if err != nil {
			return nil, nil, err
		}
		apply = append(apply, fn)
	}
	at.branches.Scan(func(name string, _ *branch) bool {
		if !stays[name] {
			ch.refs = append(ch.refs, refChange{name: name})
			apply = append(apply, func(s *state) { s.branches.Delete(name) })
		}
		return true
	})
	if !stays[at.head] {
		ch.head = now.Head
		apply = append(apply, func(s *state) { s.head = now.Head })
	}
	tags := map[string]bool{}
	for _, t := range now.Tags {
		tags[t.Name] = true
		if have, _ := at.tags.Get(t.Name); have != t.Object {
			ch.tags = append(ch.tags, tagChange{name: t.Name, object: t.Object, commit: t.Commit})
			apply = append(apply, func(s *state) { s.setTag(t.Name, t.Object) })
		}
	}
	for _, name := range at.tags.Keys() {
		if !tags[name] {
			ch.tags = append(ch.tags, tagChange{name: name})
			apply = append(apply, func(s *state) { s.setTag(name, hash.Hash{}) })
		}
	}
	fn, err := r.reflectLineage(ctx, at, now.Batch, ch, now.Lineage)
	if fn != nil {
		apply = append(apply, fn)
	}
	return ch, apply, err
}

// reflectLineage adds to a change that what is known of runs is that of a commit; the zero commit changes nothing.
func (r *Repo) reflectLineage(ctx context.Context, at *state, batch *pack.Batch, ch *change, to history.CommitID) (func(*state), error) {
	if to.IsZero() || at.lineage != nil && at.lineage.head == to {
		return nil, nil
	}
	c, err := history.GetCommit(ctx, batch, to)
	if err != nil {
		return nil, err
	}
	b := &branch{name: lineageRef, head: to, working: c.Root, staged: c.Root}
	one := b.change()
	ch.refs, ch.work = slices.Concat(ch.refs, one.refs), slices.Concat(ch.work, one.work)
	return func(s *state) {
		b.lsn, b.born = s.lsn, s.lsn
		s.lineage = b
	}, nil
}
