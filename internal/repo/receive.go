package repo

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/sync"
)

// servedName is the directory, in that of the database, of what pushers have put and of packs that are made for readers.
const servedName = "served"

// Serve shows the database as a remote, to which others push and from which they fetch while it is used; url is what messages call it.
// inUse tells whether somebody works on a branch, nil that nobody does: such a branch is not removed by a push.
func (r *Repo) Serve(url string, inUse func(branch string) bool) (*sync.Live, error) {
	if r.Partial() != nil {
		return nil, errs.New(errs.Unsupported, "%s is a part of a database, which others cannot fetch from: name the remote that has all of it, or complete it with 'fetch --complete'", url)
	}
	if inUse == nil {
		inUse = func(string) bool { return false }
	}
	return sync.NewLive(&served{r, inUse}, r.store, r.fs, filepath.Join(r.dir, servedName), url)
}

// served is a database as sync wants it.
type served struct {
	r     *Repo
	inUse func(branch string) bool
}

// Refs implements sync.Served.
func (d *served) Refs(ctx context.Context) (map[string]sync.Target, error) {
	out := map[string]sync.Target{}
	for _, b := range d.r.Branches() {
		out[sync.Heads+b.Name] = sync.Target{Commit: b.Head}
	}
	tags, err := d.r.TagObjects(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range tags {
		out[sync.Tags+t.Name] = sync.Target{Commit: t.Commit, Tag: t.Object}
	}
	if b := d.r.published.Load().lineage; b != nil {
		out[sync.Lineage] = sync.Target{Commit: b.head}
	}
	return out, nil
}

// Hold implements sync.Served.
func (d *served) Hold() (release func()) { return d.r.Hold().Release }

// Fetching implements sync.Served.
func (d *served) Fetching() (release func()) {
	d.r.fetching.Lock()
	return d.r.fetching.Unlock
}

// Gather implements sync.Served.
func (d *served) Gather(ctx context.Context) error {
	_, err := d.r.JoinLineage(ctx, nil, history.CommitID{})
	if errs.Is(err, errs.ReadOnly) {
		return nil // what was gathered before is shown
	}
	return err
}

// Receive implements sync.Served.
func (d *served) Receive(ctx context.Context, batch *pack.Batch, moves []sync.Move) error {
	if len(moves) == 1 && moves[0].Name == sync.Lineage {
		_, err := d.r.JoinLineage(ctx, batch, moves[0].To.Commit)
		return err
	}
	for _, m := range moves {
		if name, ok := strings.CutPrefix(m.Name, sync.Heads); ok && m.To.IsZero() && d.inUse(name) {
			return errs.New(errs.ReadOnly, "branch '%s' is in use there, and is not removed", name)
		}
	}
	return d.r.Receive(ctx, batch, moves)
}

// Receive makes pushed chunks and the branches and tags that name them durable in one step, all or none. One that is not what it was
// when the pusher looked is an error of class Conflict; a branch with uncommitted changes, or in the middle of something, and the
// checked-out or last one when it is to be removed, are errors of class ReadOnly.
func (r *Repo) Receive(ctx context.Context, batch *pack.Batch, moves []sync.Move) error {
	for _, m := range moves {
		name, ok := strings.CutPrefix(m.Name, sync.Heads)
		if !ok || m.From.IsZero() {
			continue
		}
		if _, err := r.Fold(ctx, name); err != nil && !errs.Is(err, errs.NotFound) {
			return err
		}
	}
	s, err := func() (*state, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		now := r.tip.Load()
		ch := &change{}
		var apply []func(*state)
		for _, m := range moves {
			fn, err := r.receive(ctx, batch, now, ch, m)
			if err != nil {
				return nil, err
			}
			apply = append(apply, fn)
		}
		return r.append(ctx, batch, ch, func(s *state) {
			for _, fn := range apply {
				fn(s)
			}
		})
	}()
	if err != nil {
		return err
	}
	return r.publish(ctx, s)
}

// receive adds one ref to a change, and gives what that does to the state.
func (r *Repo) receive(ctx context.Context, batch *pack.Batch, now *state, ch *change, m sync.Move) (func(*state), error) {
	moved := errs.New(errs.Conflict, "refs/%s was changed by somebody else meanwhile", m.Name)
	if name, ok := strings.CutPrefix(m.Name, sync.Tags); ok {
		if have, _ := now.tags.Get(name); have != m.From.Tag {
			return nil, moved
		}
		if err := history.CheckRefName(name); err != nil {
			return nil, err
		}
		ch.tags = append(ch.tags, tagChange{name: name, object: m.To.Tag, commit: m.To.Commit})
		return func(s *state) { s.setTag(name, m.To.Tag) }, nil
	}
	name, ok := strings.CutPrefix(m.Name, sync.Heads)
	if !ok {
		return nil, errs.New(errs.Invalid, "refs/%s does not move together with branches and tags", m.Name)
	}
	b, ok := now.branches.Get(name)
	if ok != !m.From.IsZero() || ok && b.head != m.From.Commit {
		return nil, moved
	}
	if !ok {
		return r.receiveNew(ctx, batch, now, ch, name, m.To.Commit)
	}
	if err := r.receivable(ctx, batch, b); err != nil {
		return nil, err
	}
	if m.To.IsZero() {
		switch {
		case now.head == name:
			return nil, errs.New(errs.ReadOnly, "branch '%s' is the one that is checked out there, which is not removed", name)
		case now.branches.Len() == 1:
			return nil, errs.New(errs.ReadOnly, "branch '%s' is the last one there, which is not removed", name)
		}
		ch.refs = append(ch.refs, refChange{name: name})
		return func(s *state) { s.branches.Delete(name) }, nil
	}
	return r.moveBranch(ctx, batch, ch, b, m.To.Commit)
}

// moveBranch adds to a change that a branch, which nobody has work on, moves to a commit, and gives what that does to the state.
func (r *Repo) moveBranch(ctx context.Context, batch *pack.Batch, ch *change, b *branch, to history.CommitID) (func(*state), error) {
	c, err := history.GetCommit(ctx, batch, to)
	if err != nil {
		return nil, err
	}
	next := b.copy(0)
	whole, err := r.resetWorking(ctx, batch, next, c)
	if err != nil {
		return nil, err
	}
	next.head = to
	w := workChange{branch: next.name, working: next.working, staged: next.staged}
	for _, l := range whole {
		w.folded = append(w.folded, folded{table: l})
	}
	ch.refs = append(ch.refs, refChange{name: next.name, head: to})
	ch.work = append(ch.work, w)
	return func(s *state) {
		next.lsn = s.lsn
		for _, l := range whole {
			next.tables.set(l, workTable{version: s.lsn, since: s.lsn})
		}
		s.branches.Set(next.name, next)
		r.wrote(next.name)
	}, nil
}

// receivable reports why a branch cannot be moved by a push: somebody's work would be lost.
func (r *Repo) receivable(ctx context.Context, batch *pack.Batch, b *branch) error {
	if !b.merge.IsZero() || !b.rebase.IsZero() {
		return errs.New(errs.ReadOnly, "branch '%s' is in the middle of a merge or a rebase there: push to another branch", b.name)
	}
	clean := !b.overlays()
	if clean {
		var err error
		if clean, err = r.clean(ctx, batch, b); err != nil {
			return err
		}
	}
	if !clean {
		return errs.New(errs.ReadOnly, "branch '%s' has uncommitted changes there: push to another branch, or have them committed", b.name)
	}
	return nil
}

// receiveNew adds a branch that is new to a change.
func (r *Repo) receiveNew(ctx context.Context, batch *pack.Batch, now *state, ch *change, name string, to history.CommitID) (func(*state), error) {
	if err := history.CheckRefName(name); err != nil {
		return nil, err
	}
	if err := now.checkRefPath(name, ""); err != nil {
		return nil, errs.New(errs.ReadOnly, "%w", err)
	}
	return r.makeBranch(ctx, batch, ch, name, to)
}

// makeBranch adds to a change that there is a branch at a commit, and gives what that does to the state.
func (r *Repo) makeBranch(ctx context.Context, batch *pack.Batch, ch *change, name string, to history.CommitID) (func(*state), error) {
	c, err := history.GetCommit(ctx, batch, to)
	if err != nil {
		return nil, err
	}
	b := &branch{name: name, head: to, working: c.Root, staged: c.Root}
	one := b.change()
	ch.refs, ch.work = slices.Concat(ch.refs, one.refs), slices.Concat(ch.work, one.work)
	return func(s *state) {
		b.lsn, b.born = s.lsn, s.lsn
		s.branches.Set(b.name, b)
	}, nil
}
