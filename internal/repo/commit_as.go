package repo

import (
	"context"
	"maps"
	"slices"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/root"
)

// overtaken is how often a commit or a merge begins anew because others have changed the branch, before it makes them wait.
const overtaken = 3

// CommitAs commits the transaction together with a version commit of the tables that it has changed: both are one record, so that after it,
// and after a crash whenever it comes, both are there or neither. Staged tables are committed with them, and a merge in progress is ended, as by
// Repo.Commit. The commit is nil when the transaction has changed nothing, or nothing in which its tables differ from HEAD.
//
// opt's Branch is the transaction's; its Tables are committed also when the transaction has not changed them. It cannot amend. keep, which may be
// nil, is called with the commit before it lasts, as often as that is made anew; what it notes lasts with it. The transaction is over then. Errors
// are those of Tx.Commit and Repo.Commit; nothing is changed then.
func (t *Tx) CommitAs(ctx context.Context, opt CommitOptions, keep func(*history.Commit) error) (*history.Commit, error) {
	defer t.Rollback()
	if opt.Amend {
		return nil, errs.New(errs.Internal, "commit transaction: an amended commit is of what is staged")
	}
	if err := t.versionable(); err != nil {
		return nil, err
	}
	opt.Tables = append(t.Changed(), opt.Tables...)
	if len(opt.Tables) == 0 && t.merge == nil { // there is nothing to commit but notes
		if keep != nil {
			if err := keep(nil); err != nil {
				return nil, err
			}
		}
		return nil, t.Commit(ctx)
	}
	return t.commitVersion(ctx, &opt, keep)
}

// CommitStaged commits the transaction together with the commit that Repo.Commit would make after it, of what is staged then or is to be staged:
// both are one record, as with CommitAs. The commit is nil when there is nothing to commit; the transaction is committed all the same.
//
// opt's Branch is the transaction's. When a commit cannot be made nothing is changed, and the transaction is still open (see Over): its caller may
// commit it alone. Where it is not known whether it was made, or it cannot be made to last, the transaction is over.
func (t *Tx) CommitStaged(ctx context.Context, opt CommitOptions) (*history.Commit, error) {
	if err := t.versionable(); err != nil {
		return nil, err
	}
	return t.commitVersion(ctx, &opt, nil)
}

// Over tells whether the transaction has been committed or rolled back.
func (t *Tx) Over() bool { return t.done }

// versionable tells why the transaction cannot be committed with a version commit.
func (t *Tx) versionable() error {
	switch {
	case t.done:
		return errs.New(errs.Invalid, "commit transaction: it is over already")
	case t.aside || t.branch == lineageRef:
		return errs.New(errs.Internal, "commit transaction: it makes no commit of a branch")
	case t.r.load != nil:
		return ErrOwnerOnly
	}
	return nil
}

// commitVersion commits the transaction and a version commit by one record. On error nothing is changed and the transaction open, unless what is
// in the journal could not be made to last, or in the bucket: then the transaction is over.
func (t *Tx) commitVersion(ctx context.Context, opt *CommitOptions, keep func(*history.Commit) error) (*history.Commit, error) {
	r := t.r
	opt.Branch = t.branch
	t.by = lineage.Of(ctx)
	if err := t.foldLarge(ctx, privateFold); err != nil {
		return nil, err
	}
	p, notes := t.plan(), t.notes
	lost := 0
	for try := 0; ; try++ {
		t.notes = notes
		c, done, err := r.tryCommitAs(ctx, p, opt, keep, try >= overtaken)
		if overtakenBy(err) && lost < overtakenMost && ctx.Err() == nil {
			lost++
			p = t.plan()
			continue
		}
		if overtakenBy(err) {
			t.Rollback()
		}
		if (errs.Is(err, errs.Conflict) || errs.Is(err, errs.DuplicateKey)) && !r.opt.ReadOnly {
			r.catchUp(ctx) // as CommitTogether does
		}
		if err != nil {
			return nil, err
		}
		if done {
			return c, nil
		}
	}
}

// tryCommitAs is one attempt of CommitAs; it is not done when the branch has changed meanwhile. With alone others wait for it.
func (r *Repo) tryCommitAs(ctx context.Context, p *plan, opt *CommitOptions, keep func(*history.Commit) error, alone bool) (_ *history.Commit, done bool, err error) {
	if r.bucket != nil { // where it takes long until it is published, which is folded then
		s, c, err := r.appendCommitAsAlone(ctx, p, opt, keep, alone)
		if err != nil || s == nil {
			return nil, false, err
		}
		if err := r.publish(ctx, s); err != nil {
			if !overtakenBy(err) { // it may be there, so it must not be made again
				p.t.Rollback()
			}
			return nil, false, err
		}
		p.t.Rollback()
		return c, true, nil
	}
	if alone {
		r.gate.Lock()
		defer r.gate.Unlock()
	} else {
		r.gate.RLock()
		defer r.gate.RUnlock()
	}
	// A fold would replace what is folded here, and the next one must begin with no less: what it builds trees of is what is published.
	r.foldMu.Lock()
	defer r.foldMu.Unlock()
	s, c, err := r.appendCommitAs(ctx, p, opt, keep)
	if err != nil || s == nil {
		return nil, false, err
	}
	p.t.Rollback() // what was appended is not the transaction's any more
	return c, true, r.publish(ctx, s)
}

// appendCommitAsAlone is appendCommitAs for who does not hold foldMu.
func (r *Repo) appendCommitAsAlone(ctx context.Context, p *plan, opt *CommitOptions, keep func(*history.Commit) error, alone bool) (*state, *history.Commit, error) {
	if alone {
		r.gate.Lock()
		defer r.gate.Unlock()
	} else {
		r.gate.RLock()
		defer r.gate.RUnlock()
	}
	r.foldMu.Lock()
	defer r.foldMu.Unlock()
	return r.appendCommitAs(ctx, p, opt, keep)
}

// appendCommitAs puts a transaction and its commit into the journal; the state is nil when the branch has changed meanwhile. The caller holds foldMu.
func (r *Repo) appendCommitAs(ctx context.Context, p *plan, opt *CommitOptions, keep func(*history.Commit) error) (*state, *history.Commit, error) {
	t, batch := p.t, p.t.Store()
	if err := p.advance(ctx, batch, r.tip.Load(), true); err != nil {
		return nil, nil, err
	}
	cur := p.on
	next := cur.copy(0)
	if len(t.whole) > 0 || t.merge != nil || t.rebase != nil {
		if _, err := t.replaceTables(ctx, batch, cur, next); err != nil {
			return nil, nil, err
		}
	}
	for _, x := range p.rows {
		next.tables.set(x.table, workTable{over: x.changed()})
	}
	if err := p.checkMeanwhile(ctx, batch, cur, next); err != nil {
		return nil, nil, err
	}
	working, sealed, err := r.seal(ctx, batch, next, t.whole)
	if err != nil {
		return nil, nil, err
	}
	next.working = working.Tree()
	var m *history.Merge
	if !next.merge.IsZero() {
		if m, err = history.GetMerge(ctx, batch, next.merge); err != nil {
			return nil, nil, err
		}
	}
	w := &Working{Branch: t.branch, Head: cur.head, Working: working, Staged: root.Open(batch, next.staged), at: cur}
	c, staged, err := r.build(ctx, batch, w, m, opt)
	if err != nil && !errs.Is(err, errs.NothingToDo) {
		return nil, nil, err
	}
	next.staged = staged.Tree()
	ch := &change{}
	var noted commitNotes
	if c != nil {
		var amended history.CommitID
		if opt.Amend {
			amended = cur.head
		}
		if noted, err = r.noteOutputs(ctx, batch, cur, next.working, c, amended, t); err != nil {
			return nil, nil, err
		}
		next.head, next.merge = c.ID, hash.Hash{}
		ch.refs = []refChange{{name: t.branch, head: c.ID}}
	}
	if keep != nil {
		if err := keep(c); err != nil {
			return nil, nil, err
		}
	}
	wc := workChange{branch: t.branch, working: next.working, staged: next.staged, merge: next.merge, rebase: next.rebase}
	replaced := maps.Clone(t.whole)
	for l := range sealed {
		if replaced == nil {
			replaced = map[string]bool{}
		}
		replaced[l] = true
	}
	for _, l := range slices.Sorted(maps.Keys(replaced)) {
		wc.folded = append(wc.folded, folded{table: l})
	}
	ch.work = []workChange{wc}

	r.mu.Lock()
	defer r.mu.Unlock()
	tip := r.tip.Load()
	if now, err := p.present(tip); err != nil || now != cur {
		return nil, nil, err
	}
	if ch.writes, err = notes([]*plan{p}, tip.writes); err != nil {
		return nil, nil, err
	}
	join, err := r.joinLineage(ctx, batch, ch, noted)
	if err != nil {
		return nil, nil, err
	}
	s, err := r.append(ctx, batch, ch, func(s *state) {
		s.writes = s.writes.with(ch.writes)
		next.lsn = s.lsn
		for l := range sealed {
			x := cur.tables.get(l)
			next.tables.set(l, workTable{version: x.version, since: x.since})
		}
		for _, x := range p.rows {
			next.tables.set(x.table, workTable{version: s.lsn, since: cur.tables.get(x.table).since})
		}
		for l := range t.whole {
			next.tables.set(l, workTable{version: s.lsn, since: s.lsn})
		}
		s.put(next)
		r.whenThere(ch, func() { r.lineage.written.take(t, next, next.lsn) })
		join(s)
		if c != nil {
			r.whenThere(ch, func() { r.lineage.written.forget(t.told(next.lsn)) })
		}
		r.wrote(t.branch)
	})
	if err != nil {
		return nil, nil, err
	}
	return s, c, nil
}
