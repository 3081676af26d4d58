package repo

import (
	"context"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
	remotesync "github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/table"
)

// flight is refs on their way into the bucket.
type flight struct {
	b      *bucket
	tip    *state
	names  []string
	folded map[string]*folding // branches, by the names of their refs
	told   []history.CommitID  // what it tells of runs
}

// folding is a branch whose edits have been brought into its trees.
type folding struct {
	was    *branch
	is     *branch
	sealed map[string]*table.Table
}

// swap makes the refs in the bucket what they are at the tip, and gives those that were changed.
func (f *flight) swap(ctx context.Context) ([]remotesync.Ref, error) {
	var swaps []remotesync.Swap
	flown := f.flown()
	for _, n := range f.names {
		f.b.mu.Lock()
		s := remotesync.Swap{From: f.b.ref(n).ref}
		f.b.mu.Unlock()
		var err error
		if strings.HasPrefix(n, remotesync.Heads) {
			var rows runRows
			var wrote []remotesync.Wrote
			for _, p := range flown {
				if p.home != n {
					continue
				}
				for _, w := range p.writes {
					wrote = append(wrote, remotesync.Wrote(w))
				}
				rows.ins, rows.outs = append(rows.ins, p.runs.ins...), append(rows.outs, p.runs.outs...)
			}
			if err = f.tell(ctx, rows, &s); err != nil {
				return nil, err
			}
			if s.Wrote, err = remotesync.Noting(s.From.Wrote, wrote); err != nil {
				return nil, err
			}
		}
		if tag, ok := strings.CutPrefix(n, remotesync.Tags); ok {
			err = f.tag(ctx, tag, &s)
		} else if list, ok := strings.CutPrefix(n, remotesync.Stashes); ok {
			err = f.stashes(ctx, list, &s)
		} else {
			err = f.branch(ctx, n, &s)
		}
		if err != nil {
			return nil, err
		}
		from := s.From.Target
		from.List = hash.Hash{}
		if from != s.To || s.From.Work != s.Work || s.From.Open != s.Open || s.Runs != s.From.Runs && !s.Runs.IsZero() || !slices.Equal(s.Wrote, s.From.Wrote) {
			swaps = append(swaps, s)
		}
	}
	if len(swaps) == 0 {
		return nil, nil
	}
	return f.b.keep.Swap(ctx, swaps)
}

// flown are the changes that go with it, oldest first.
func (f *flight) flown() []*pending {
	f.b.mu.Lock()
	defer f.b.mu.Unlock()
	return f.carried()
}

// carried is flown for who holds the bucket's lock.
func (f *flight) carried() []*pending {
	var out []*pending
	for _, p := range f.b.pending {
		if p.within(f.names, f.tip.lsn) {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(x, y *pending) int { return int(x.lsn) - int(y.lsn) })
	return out
}

func (f *flight) tag(ctx context.Context, name string, s *remotesync.Swap) error {
	h, ok := f.tip.tags.Get(name)
	if !ok {
		return nil
	}
	t, err := history.GetTag(ctx, f.b.r.store, h)
	if err == nil {
		s.To = remotesync.Target{Commit: t.Commit, Tag: h}
	}
	return err
}

// stashes makes commits of a list of stashes.
func (f *flight) stashes(ctx context.Context, name string, s *remotesync.Swap) error {
	list, _ := f.tip.stashes.Get(name)
	batch := f.b.r.store.NewBatch()
	defer batch.Close()
	id, err := putStashes(ctx, batch, list)
	if err != nil || id.IsZero() {
		return err
	}
	s.To = remotesync.Target{Commit: id}
	return f.b.r.appendUnnamed(ctx, batch)
}

// branch folds a branch, and makes a commit of its uncommitted changes.
func (f *flight) branch(ctx context.Context, ref string, s *remotesync.Swap) error {
	r := f.b.r
	x, ok := f.tip.branches.Get(strings.TrimPrefix(ref, remotesync.Heads))
	if !ok {
		return nil
	}
	batch := r.store.NewBatch()
	defer batch.Close()
	working, sealed, err := r.seal(ctx, batch, x, nil)
	if err != nil {
		return err
	}
	is := x.copy(x.lsn)
	is.working = working.Tree()
	for i := range is.tables {
		is.tables[i].over = nil
	}
	f.folded[ref] = &folding{was: x, is: is, sealed: sealed}
	s.To, s.Open = remotesync.Target{Commit: x.head}, remotesync.Unfinished{Merge: x.merge, Rebase: x.rebase}
	c, err := history.GetCommit(ctx, batch, x.head)
	if err != nil {
		return err
	}
	work, err := putWork(ctx, batch, x.name, c, is.staged, is.working)
	if err != nil {
		return err
	}
	if work != nil {
		s.Work = work.ID
	}
	return r.appendUnnamed(ctx, batch)
}

// relearn reads from the bucket what was put there and could not be made the published state because of err. Nobody has the refs any more then,
// unless it fails: what was put is there all the same, which the error says.
func (f *flight) relearn(ctx context.Context, err error) error {
	again := f.b.adopt(ctx, f.names, func(p *pending) error {
		if p.within(f.names, f.tip.lsn) {
			return nil
		}
		return errOvertaken
	})
	if again == nil {
		return nil
	}
	return errs.New(errs.Unavailable, "the change was made at %s, but this machine could not take note of it: %w", f.b.keep.Remote.URL(), err)
}

// land makes what is in the bucket the published state, and tells those who wait for it. Nobody has the refs any more then.
func (f *flight) land(ctx context.Context, refs []remotesync.Ref) error {
	b, r := f.b, f.b.r
	ctx = context.WithoutCancel(ctx)
	if len(f.told) > 0 { // others may have taken it over and given it back already
		if err := r.TakeRuns(ctx, nil, f.told); err != nil {
			return err
		}
	}
	batch := r.store.NewBatch()
	defer batch.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	tip := r.tip.Load()
	ch := &change{}
	next := map[string]*branch{} // at the tip
	for _, n := range f.names {
		if tag, ok := strings.CutPrefix(n, remotesync.Tags); ok {
			h, _ := f.tip.tags.Get(tag)
			x := tagChange{name: tag, object: h}
			if !h.IsZero() {
				t, err := history.GetTag(ctx, r.store, h)
				if err != nil {
					return err
				}
				x.commit = t.Commit
			}
			ch.tags = append(ch.tags, x)
			continue
		}
		if list, ok := strings.CutPrefix(n, remotesync.Stashes); ok {
			now, _ := f.tip.stashes.Get(list)
			ch.stashes = append(ch.stashes, stashChange{name: list, stashes: now})
			continue
		}
		name := strings.TrimPrefix(n, remotesync.Heads)
		x := f.folded[n]
		if x == nil {
			ch.refs = append(ch.refs, refChange{name: name})
			continue
		}
		one := x.is.change()
		ch.work = append(ch.work, one.work...)
		ch.refs = append(ch.refs, one.refs...)
		cur, ok := tip.branches.Get(name)
		switch {
		case ok && cur == x.was:
			next[name] = x.is
		case ok && cur.born == x.was.born && cur.era == x.was.era:
			under, _, err := r.under(ctx, batch, x.was, cur, x.sealed)
			if err != nil {
				return err
			}
			next[name] = under
		}
	}
	landed := f.carried()
	for _, p := range landed {
		ch.writes = append(ch.writes, p.writes...)
		if p.head != "" {
			ch.head = p.head
		}
	}
	pub := r.published.Load()
	ch.refs = slices.DeleteFunc(ch.refs, func(x refChange) bool { // only those that move are moves
		old, ok := pub.branches.Get(x.name)
		return ok && old.head == x.head || !ok && x.head.IsZero()
	})
	ch.log = ch.moves(r.opt.Clock.Now())
	lsn, err := r.store.Append(ctx, batch, pack.Record{Type: recordChange, Payload: ch.encode()})
	if err != nil {
		return err
	}
	pub, tip = pub.copy(lsn), tip.copy(lsn)
	pub.log, pub.writes = pub.log.with(ch.log...), pub.writes.with(ch.writes)
	if ch.head != "" {
		pub.head = ch.head
	}
	for _, x := range ch.tags {
		pub.setTag(x.name, x.object)
	}
	for _, x := range ch.stashes {
		pub.setStashes(x)
	}
	for _, n := range f.names {
		name, isBranch := strings.CutPrefix(n, remotesync.Heads)
		if !isBranch {
			continue
		}
		if x := f.folded[n]; x != nil {
			pub.branches.Set(name, x.is)
		} else {
			pub.branches.Delete(name)
		}
	}
	for name, x := range next {
		tip.branches.Set(name, x)
	}
	r.published.Store(pub)
	r.tip.Store(tip)
	for _, x := range refs {
		k := b.ref(x.Name)
		k.ref, k.seq = x, k.seq+1
	}
	for _, p := range landed {
		for _, fn := range p.landed {
			fn()
		}
		delete(b.pending, p.lsn)
		close(p.done)
	}
	b.end(f.names...)
	r.maintain(pub)
	return nil
}
