package repo

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
	remotesync "github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/table"
)

// errOvertaken says that another machine changed a branch or tag before what was to change it here was there.
var errOvertaken = errs.New(errs.Conflict, "another machine has changed the same branch at the same time; try again")

// overtakenMost is how often a change that others have overtaken is made anew.
const overtakenMost = 30

// bucket keeps branches and tags of a database in a bucket, where other machines change them, too: see Repo.KeepIn. What transactions and verbs
// append becomes the tip, as in every database, but nothing of it is in the journal or published before it is in the bucket: for each ref
// somebody swaps what it is there for what it is at the tip, as long as they differ, so that all that has gathered meanwhile goes at once. When
// another machine was faster, the tip goes back to what is there, and whoever waits appends anew.
type bucket struct {
	r    *Repo
	keep *remotesync.Keeper
	ctx  context.Context
	stop func()
	jobs sync.WaitGroup

	mu      sync.Mutex // taken after the commit lock
	refs    map[string]*keptRef
	pending map[uint64]*pending // by LSN
	look    sync.Mutex          // held while all refs are read
	lacking sync.Mutex          // held while it is noted where chunks are
}

// keptRef is a branch or tag of the bucket, by its name there.
type keptRef struct {
	ref    remotesync.Ref // as published
	seq    uint64         // how often it was changed
	busy   bool           // somebody swaps or adopts it
	flying *branch        // what is being swapped; nil for nothing
	flown  uint64         // LSN of the tip that it is of
}

// pending is a change that is not in the bucket yet.
type pending struct {
	lsn    uint64
	refs   []string
	writes []Write
	head   string
	done   chan struct{} // closed when err is what became of it
	err    error
}

// KeepIn makes a database, which was made to be kept in a bucket, what it is there, and from here on what is changed here is changed there, or not
// at all. every is how often it is looked for what others have changed; 0 is never.
func (r *Repo) KeepIn(ctx context.Context, k *remotesync.Keeper, every time.Duration) error {
	p := r.Partial()
	if p == nil || !p.Kept || r.opt.ReadOnly {
		return errs.New(errs.Internal, "the database in %s was not made to be kept in a bucket", r.dir)
	}
	b := &bucket{r: r, keep: k, refs: map[string]*keptRef{}, pending: map[uint64]*pending{}}
	b.ctx, b.stop = context.WithCancel(context.WithoutCancel(ctx))
	r.bucket = b
	if err := b.refresh(ctx); err != nil {
		b.stop()
		r.bucket = nil
		return err
	}
	if every > 0 {
		b.jobs.Go(func() {
			t := time.NewTicker(every)
			defer t.Stop()
			for {
				select {
				case <-b.ctx.Done():
					return
				case <-t.C:
					_ = b.refresh(b.ctx) // what cannot be read is read the next time; who writes is told
				}
			}
		})
	}
	return nil
}

// KeptIn tells whether the database is one whose branches are in a bucket.
func (r *Repo) KeptIn() bool { return r.bucket != nil }

// RefreshKept makes what others have changed in the bucket known.
func (r *Repo) RefreshKept(ctx context.Context) error {
	if r.bucket == nil {
		return errs.New(errs.Internal, "the database in %s is not kept in a bucket", r.dir)
	}
	return r.bucket.refresh(ctx)
}

// close waits for what is under way.
func (b *bucket) close() {
	b.settle()
	b.stop()
	b.jobs.Wait()
}

// notKept refuses what cannot be done to a database that is kept in a bucket, and says what to do instead.
func (r *Repo) notKept(instead string) error {
	if r.bucket == nil {
		return nil
	}
	return errs.New(errs.Unsupported, "the database is kept at %s: %s", r.bucket.keep.Remote.URL(), instead)
}

// settle waits until all is in the bucket, or not, that is pending now.
func (b *bucket) settle() {
	b.mu.Lock()
	all := slices.Collect(maps.Values(b.pending))
	b.mu.Unlock()
	for _, p := range all {
		<-p.done
	}
}

// refsOf are the names in a bucket of what a change changes.
func (c *change) refsOf() []string {
	var out []string
	add := func(name string) {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	for _, x := range c.refs {
		add(remotesync.Heads + x.name)
	}
	for _, x := range c.work {
		add(remotesync.Heads + x.branch)
	}
	for _, x := range c.rows {
		add(remotesync.Heads + x.branch)
	}
	for _, x := range c.tags {
		add(remotesync.Tags + x.name)
	}
	return out
}

// append makes a change part of the tip. The caller holds the commit lock.
func (b *bucket) append(ctx context.Context, batch *pack.Batch, ch *change, apply func(*state)) (*state, error) {
	r := b.r
	if len(ch.stashes) > 0 {
		return nil, errs.New(errs.Unsupported, "there are no stashes in a database that is kept in a bucket: commit on a branch of its own")
	}
	local := &change{head: ch.head, tracks: ch.tracks, writes: ch.writes}
	refs := ch.refsOf()
	if slices.Contains(refs, remotesync.Heads+lineageRef) {
		return nil, errs.New(errs.Unsupported, "runs are not recorded in a database that is kept in a bucket")
	}
	if len(refs) > 0 {
		local = &change{} // what comes with refs comes when they are in the bucket
	}
	lsn, err := r.store.Append(ctx, batch, pack.Record{Type: recordChange, Payload: local.encode()})
	if err != nil {
		return nil, err
	}
	s := r.tip.Load().copy(lsn)
	apply(s)
	for _, n := range refs {
		name, isBranch := strings.CutPrefix(n, remotesync.Heads)
		if x, ok := s.branches.Get(name); isBranch && ok && (!x.merge.IsZero() || !x.rebase.IsZero()) {
			return nil, errs.New(errs.Unsupported, "a merge with conflicts or a rebase cannot be left unfinished in a database that is kept in a bucket: make it in a clone, and push")
		}
	}
	r.tip.Store(s)
	if len(refs) == 0 {
		p := r.published.Load().copy(lsn)
		apply(p)
		r.published.Store(p)
		return s, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending[lsn] = &pending{lsn: lsn, refs: refs, writes: ch.writes, head: ch.head, done: make(chan struct{})}
	for _, n := range refs {
		b.start(n)
	}
	return s, nil
}

// wait waits until a change is in the bucket.
func (b *bucket) wait(lsn uint64) error {
	b.mu.Lock()
	p := b.pending[lsn]
	b.mu.Unlock()
	if p == nil {
		return nil
	}
	<-p.done
	return p.err
}

// ref is what is known of a ref. The caller holds b.mu.
func (b *bucket) ref(name string) *keptRef {
	x := b.refs[name]
	if x == nil {
		x = &keptRef{ref: remotesync.Ref{Name: name}}
		b.refs[name] = x
	}
	return x
}

// start sees to it that somebody swaps a ref. The caller holds b.mu.
func (b *bucket) start(name string) {
	if x := b.ref(name); !x.busy {
		x.busy = true
		b.jobs.Go(func() { b.run(name) })
	}
}

// end lets others have refs, and has those swapped of which more has come. The caller holds b.mu.
func (b *bucket) end(names ...string) {
	for _, n := range names {
		x := b.ref(n)
		x.busy, x.flying = false, nil
	}
	for _, p := range b.pending {
		for _, n := range p.refs {
			if slices.Contains(names, n) {
				b.start(n)
			}
		}
	}
}

// run swaps a ref, and those that change together with it, once. The ref is busy.
func (b *bucket) run(name string) {
	if b.keep.Ready(b.ctx, name) != nil {
		b.fail([]string{name}, errs.New(errs.Unavailable, "the database is being closed"), 1<<63)
		return
	}
	r := b.r
	r.mu.Lock()
	b.mu.Lock()
	set := b.together(name)
	for _, n := range set {
		if x := b.ref(n); n != name && x.busy { // whoever has it takes both
			b.ref(name).busy = false
			b.mu.Unlock()
			r.mu.Unlock()
			return
		}
	}
	tip := r.tip.Load()
	for _, n := range set {
		x := b.ref(n)
		x.busy, x.flown = true, tip.lsn
		if branchName, ok := strings.CutPrefix(n, remotesync.Heads); ok {
			x.flying, _ = tip.branches.Get(branchName)
		}
	}
	b.mu.Unlock()
	r.mu.Unlock()
	f := &flight{b: b, tip: tip, names: set, folded: map[string]*folding{}}
	refs, err := f.swap(b.ctx)
	if err == nil {
		err = f.land(b.ctx, refs)
	}
	if errs.Is(err, errs.Conflict) {
		err = b.adopt(b.ctx, set, errOvertaken)
	}
	if err != nil {
		b.fail(set, err, tip.lsn)
	}
}

// together are the refs that change with one, itself included. The caller holds b.mu.
func (b *bucket) together(name string) []string {
	set := []string{name}
	for more := true; more; {
		more = false
		for _, p := range b.pending {
			if !slices.ContainsFunc(p.refs, func(n string) bool { return slices.Contains(set, n) }) {
				continue
			}
			for _, n := range p.refs {
				if !slices.Contains(set, n) {
					set, more = append(set, n), true
				}
			}
		}
	}
	slices.Sort(set)
	return set
}

// flight is refs on their way into the bucket.
type flight struct {
	b      *bucket
	tip    *state
	names  []string
	folded map[string]*folding // branches, by the names of their refs
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
	for _, n := range f.names {
		f.b.mu.Lock()
		s := remotesync.Swap{From: f.b.ref(n).ref}
		f.b.mu.Unlock()
		var err error
		if tag, ok := strings.CutPrefix(n, remotesync.Tags); ok {
			err = f.tag(ctx, tag, &s)
		} else {
			err = f.branch(ctx, n, &s)
		}
		if err != nil {
			return nil, err
		}
		from := s.From.Target
		from.List = hash.Hash{}
		if from != s.To || s.From.Work != s.Work {
			swaps = append(swaps, s)
		}
	}
	if len(swaps) == 0 {
		return nil, nil
	}
	return f.b.keep.Swap(ctx, swaps)
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
	s.To = remotesync.Target{Commit: x.head}
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

// land makes what is in the bucket the published state, and tells those who wait for it. Nobody has the refs any more then.
func (f *flight) land(ctx context.Context, refs []remotesync.Ref) error {
	b, r := f.b, f.b.r
	ctx = context.WithoutCancel(ctx)
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
	var landed []*pending
	for _, p := range b.pending {
		if p.lsn <= f.tip.lsn && slices.ContainsFunc(p.refs, func(n string) bool { return slices.Contains(f.names, n) }) {
			landed = append(landed, p)
		}
	}
	slices.SortFunc(landed, func(x, y *pending) int { return int(x.lsn) - int(y.lsn) })
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
		delete(b.pending, p.lsn)
		close(p.done)
	}
	b.end(f.names...)
	r.maintain(pub)
	return nil
}

// fail tells those who wait for refs up to an LSN, and those who build on them, that it failed, and makes the tip what is published. Nobody has
// the refs any more then.
func (b *bucket) fail(names []string, err error, upTo uint64) {
	b.r.mu.Lock()
	defer b.r.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	pub, tip := b.r.published.Load(), b.r.tip.Load()
	b.undo(names, pub, tip.copy(tip.lsn), func(p *pending) error {
		if p.lsn <= upTo {
			return err
		}
		return errOvertaken
	})
	b.end(names...)
}

// undo makes branches and tags of the state tip, which becomes the tip, what they are in pub, which becomes the published state: those named and
// all that have changed together with them. Those who wait for such a change are told why. The caller holds both locks.
func (b *bucket) undo(names []string, pub, tip *state, why func(*pending) error) {
	all := slices.Clone(names)
	var gone []*pending
	for more := true; more; {
		more = false
		for _, p := range b.pending {
			flies := func(n string) bool { // it is on its way with another ref
				x := b.ref(n)
				return !slices.Contains(names, n) && x.flying != nil && p.lsn <= x.flown
			}
			if slices.Contains(gone, p) || slices.ContainsFunc(p.refs, flies) || !slices.ContainsFunc(p.refs, func(n string) bool { return slices.Contains(all, n) }) {
				continue
			}
			gone, more = append(gone, p), true
			for _, n := range p.refs {
				if !slices.Contains(all, n) {
					all = append(all, n)
				}
			}
		}
	}
	for _, n := range all {
		if tag, ok := strings.CutPrefix(n, remotesync.Tags); ok {
			h, _ := pub.tags.Get(tag)
			tip.setTag(tag, h)
			continue
		}
		name := strings.TrimPrefix(n, remotesync.Heads)
		now, ok := pub.branches.Get(name)
		if x := b.ref(n); !slices.Contains(names, n) && x.flying != nil {
			now, ok = x.flying, true
		} else if ok {
			now = now.copy(now.lsn)
			now.era++
			pub = b.with(pub, name, now)
		}
		if !ok {
			tip.branches.Delete(name)
			continue
		}
		if at, there := tip.branches.Get(name); there && at.era >= now.era {
			now = now.copy(now.lsn)
			now.era = at.era + 1
		}
		tip.branches.Set(name, now)
	}
	tip.head, tip.log, tip.writes = pub.head, pub.log, pub.writes
	b.r.published.Store(pub)
	b.r.tip.Store(tip)
	for _, p := range gone {
		p.err = why(p)
		delete(b.pending, p.lsn)
		close(p.done)
	}
}

// with is a state with another branch.
func (b *bucket) with(s *state, name string, x *branch) *state {
	s = s.copy(s.lsn)
	s.branches.Set(name, x)
	return s
}

// refresh adopts what others have changed in the bucket.
func (b *bucket) refresh(ctx context.Context) error {
	b.look.Lock()
	defer b.look.Unlock()
	b.mu.Lock()
	seen := map[string]uint64{}
	for n, x := range b.refs {
		seen[n] = x.seq
	}
	b.mu.Unlock()
	refs, err := b.keep.Look(ctx)
	if err != nil {
		return err
	}
	if len(refs) == 0 {
		return errs.New(errs.NotFound, "there is no database at %s; make one with 'stemma push' from a database", b.keep.Remote.URL())
	}
	names := map[string]bool{}
	for _, s := range []*state{b.r.published.Load()} {
		for _, n := range s.branches.Keys() {
			names[remotesync.Heads+n] = true
		}
		for _, n := range s.tags.Keys() {
			names[remotesync.Tags+n] = true
		}
	}
	for n := range refs {
		if strings.HasPrefix(n, remotesync.Heads) || strings.HasPrefix(n, remotesync.Tags) {
			names[n] = true
		}
	}
	var changed []string
	b.mu.Lock()
	for _, n := range slices.Sorted(maps.Keys(names)) {
		x := b.ref(n)
		if x.busy || x.seq != seen[n] {
			continue // whoever changes it finds out
		}
		now := refs[n]
		if now.Name == "" {
			now.Name = n
		}
		if x.seq > 0 && now.Target == x.ref.Target && now.Work == x.ref.Work {
			continue
		}
		x.busy = true
		changed = append(changed, n)
	}
	b.mu.Unlock()
	if len(changed) == 0 {
		return nil
	}
	if err := b.adoptThese(ctx, changed, refs, errOvertaken); err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.end(changed...)
		return err
	}
	return nil
}

// adopt makes refs what they are in the bucket, which they are no more here. Nobody has them any more then, unless it fails.
func (b *bucket) adopt(ctx context.Context, names []string, why error) error {
	refs := map[string]remotesync.Ref{}
	for _, n := range names {
		x, err := b.keep.Read(ctx, n)
		if err != nil {
			return err
		}
		refs[n] = x
	}
	return b.adoptThese(ctx, names, refs, why)
}

// adopted is a branch as it is in the bucket; is is nil when it is not there.
type adopted struct {
	ref     remotesync.Ref
	is      *branch
	changed map[string]bool // tables, compared with what is published
}

func (b *bucket) adoptThese(ctx context.Context, names []string, refs map[string]remotesync.Ref, why error) error {
	r := b.r
	var targets []remotesync.Target
	for _, n := range names {
		if x := refs[n]; !x.IsZero() {
			targets = append(targets, x.Target)
		}
	}
	b.lacking.Lock()
	err := r.LackMore(nil, targets)
	b.lacking.Unlock()
	if err != nil {
		return err
	}
	pub := r.published.Load()
	all := map[string]*adopted{}
	ch := &change{}
	for _, n := range names {
		ref := refs[n]
		ref.Name = n
		all[n] = &adopted{ref: ref}
		name, isBranch := strings.CutPrefix(n, remotesync.Heads)
		if !isBranch {
			ch.tags = append(ch.tags, tagChange{name: strings.TrimPrefix(n, remotesync.Tags), object: ref.Tag, commit: ref.Commit})
			continue
		}
		old, there := pub.branches.Get(name)
		if ref.IsZero() {
			if there {
				ch.refs = append(ch.refs, refChange{name: name})
			}
			continue
		}
		if !there {
			old = &branch{name: name}
		}
		if all[n].is, all[n].changed, err = b.branch(ctx, old, ref); err != nil {
			return err
		}
		one := all[n].is.change()
		ch.work = append(ch.work, one.work...)
		ch.refs = append(ch.refs, one.refs...)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	pub = r.published.Load()
	moved := &change{tags: ch.tags}
	for _, x := range ch.refs {
		if old, ok := pub.branches.Get(x.name); !ok || old.head != x.head {
			moved.refs = append(moved.refs, x)
		}
	}
	ch.log = moved.moves(r.opt.Clock.Now())
	head := pub.head
	if gone := all[remotesync.Heads+head]; head == "" || gone != nil && gone.is == nil {
		left := pub.branches.Copy()
		for n, x := range all {
			if name, ok := strings.CutPrefix(n, remotesync.Heads); ok && x.is == nil {
				left.Delete(name)
			} else if ok {
				left.Set(name, x.is)
			}
		}
		if keys := left.Keys(); len(keys) > 0 {
			head = keys[0]
			if _, ok := left.Get(DefaultBranch); ok {
				head = DefaultBranch
			}
			ch.head = head
		}
	}
	lsn, err := r.store.Append(ctx, nil, pack.Record{Type: recordChange, Payload: ch.encode()})
	if err != nil {
		return err
	}
	next := pub.copy(lsn)
	next.head = head
	next.log = next.log.with(ch.log...)
	for n, x := range all {
		k := b.ref(n)
		k.ref, k.seq = x.ref, k.seq+1
		if tag, ok := strings.CutPrefix(n, remotesync.Tags); ok {
			next.setTag(tag, x.ref.Tag)
			continue
		}
		name := strings.TrimPrefix(n, remotesync.Heads)
		if x.is == nil {
			next.branches.Delete(name)
			continue
		}
		if x.is.lsn = lsn; x.is.born == 0 {
			x.is.born = lsn
		}
		for l := range x.changed {
			x.is.tables.set(l, workTable{version: lsn, since: lsn})
			r.auto.mu.Lock()
			delete(r.auto.next, l)
			r.auto.mu.Unlock()
		}
		next.branches.Set(name, x.is)
	}
	b.undo(names, next, r.tip.Load().copy(lsn), func(*pending) error { return why })
	b.end(names...)
	return nil
}

// branch is a branch as its ref in the bucket says, after old, and the tables that differ.
func (b *bucket) branch(ctx context.Context, old *branch, ref remotesync.Ref) (*branch, map[string]bool, error) {
	r := b.r
	c, err := history.GetCommit(ctx, r.store, ref.Commit)
	if err != nil {
		return nil, nil, err
	}
	is := old.copy(0)
	is.head, is.working, is.staged, is.merge, is.rebase = ref.Commit, c.Root, c.Root, hash.Hash{}, hash.Hash{}
	if !ref.Work.IsZero() {
		working, staged, err := workOf(ctx, r.store, ref.Work, ref.Commit)
		if err == nil && working == nil {
			err = errs.New(errs.Corrupt, "the uncommitted changes of branch '%s' at %s are not after its commit", old.name, b.keep.Remote.URL())
		}
		if err != nil {
			return nil, nil, err
		}
		is.working, is.staged = working.Root, staged.Root
	}
	batch := r.store.NewBatch()
	defer batch.Close()
	changed, err := r.changedTables(ctx, batch, old.working, is.working)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range old.tables {
		if t.over.Len() > 0 { // of a database that was closed in the middle
			changed[t.name] = true
		}
	}
	for i := range is.tables {
		is.tables[i].over = nil
	}
	return is, changed, nil
}

// overtakenBy tells whether another machine has overtaken a change, which is to be made anew.
func overtakenBy(err error) bool { return errors.Is(err, errOvertaken) }
