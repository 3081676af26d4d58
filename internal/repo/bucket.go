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
	"github.com/stemmadb/stemma/internal/pack"
	remotesync "github.com/stemmadb/stemma/internal/sync"
)

// errOvertaken says that another machine changed a branch or tag before what was to change it here was there.
var errOvertaken = errs.New(errs.Conflict, "another machine has changed the same branch at the same time; try again")

// overtakenMost is how often a change that others have overtaken is made anew.
const overtakenMost = 30

// manyRefs is how many branches and tags are looked at in the time in which one is; of more it is looked less often.
const manyRefs = 50

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
	coming  map[string]hash.Hash // lists of packs of the refs that are being adopted
	pending map[uint64]*pending  // by LSN
	look    sync.Mutex           // held while all refs are read
	lacking sync.Mutex           // held while it is noted where chunks are
	runs    keptRuns
}

// keptRef is a branch or tag of the bucket, by its name there.
type keptRef struct {
	ref    remotesync.Ref // as published
	seq    uint64         // how often it was changed
	busy   bool           // somebody swaps or adopts it
	flying *state         // the tip to which it is being swapped; nil for none
}

// flies tells whether a change that names the ref is on its way with it.
func (x *keptRef) flies(p *pending) bool { return x.flying != nil && p.lsn <= x.flying.lsn }

// pending is a change that is not in the bucket yet.
type pending struct {
	lsn    uint64
	refs   []string
	home   string // the ref that tells what the change notes of writes and of runs; empty where only tags change
	writes []Write
	head   string
	log    []RefMove
	runs   runRows
	landed []func()
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
	b := &bucket{r: r, keep: k, refs: map[string]*keptRef{}, coming: map[string]hash.Hash{}, pending: map[uint64]*pending{}, runs: keptRuns{joining: make(chan struct{}, 1)}}
	b.ctx, b.stop = context.WithCancel(context.WithoutCancel(ctx))
	r.bucket = b
	err := b.refresh(ctx)
	if saved := k.BackedUp(); err == nil && len(saved) > 0 {
		err = errs.New(errs.Unsupported, "%[1]s holds a backup with uncommitted changes of branch '%[2]s', which would be lost if it was worked on there: make a database of it with 'stemma backup restore %[1]s <directory>', and read it where it is with --data-dir", k.Remote.URL(), saved[0])
	}
	if err != nil {
		b.stop()
		r.bucket = nil
		return err
	}
	if every > 0 {
		b.jobs.Go(func() {
			for {
				b.mu.Lock()
				n := len(b.refs)
				b.mu.Unlock()
				select {
				case <-b.ctx.Done():
					return
				case <-time.After(every + every*time.Duration(n/manyRefs)): // a request for each
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

// KeptRules are the rules of retention of a database that is kept in a bucket, texts by pattern of branches, as they are there.
func (r *Repo) KeptRules(ctx context.Context) (map[string]string, error) {
	return r.bucket.keep.Remote.Retention(ctx)
}

// ChangeKeptRules changes them: see sync.Remote.ChangeRetention.
func (r *Repo) ChangeKeptRules(ctx context.Context, change func(rules map[string]string) error) error {
	return r.bucket.keep.Remote.ChangeRetention(ctx, change)
}

// close waits for what is under way.
func (b *bucket) close(ctx context.Context) {
	b.settle()
	if b.runs.dirty.Load() {
		ctx, cancel := context.WithTimeout(ctx, runsLast)
		_ = b.pushRuns(ctx) // else it goes there when the copy is opened again; what commits tell is there
		cancel()
	}
	b.mu.Lock()
	b.stop()
	b.mu.Unlock()
	b.jobs.Wait()
}

// notKept refuses what cannot be done to a database that is kept in a bucket, and says what to do instead.
func (r *Repo) notKept(instead string) error {
	if r.bucket == nil {
		return nil
	}
	return errs.New(errs.Unsupported, "the database is kept at %s: %s", r.bucket.keep.Remote.URL(), instead)
}

// settleKept waits, where the database is kept in a bucket, until what is published is the tip as it is now. A change is planned by the one and has to
// fit the other, so to plan it again before is in vain.
func (r *Repo) settleKept() {
	if r.bucket != nil {
		r.bucket.settle()
	}
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

// refsOf are the names in a bucket of what a change changes. The tables of runs are of each machine: see keptRuns.
func (c *change) refsOf() []string {
	var out []string
	add := func(name string) {
		if name != remotesync.Heads+lineageRef && !slices.Contains(out, name) {
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
	for _, x := range c.stashes {
		add(remotesync.Stashes + x.name)
	}
	if c.notes != "" {
		add(remotesync.Heads + c.notes)
	}
	return out
}

// homeOf is the ref of those that a change changes whose value takes its notes of writes and what it tells of runs. It is one of them, so that a note
// that is replaced is not left in another.
func (c *change) homeOf(refs []string) string {
	if c.notes != "" {
		return remotesync.Heads + c.notes
	}
	for _, n := range refs {
		if strings.HasPrefix(n, remotesync.Heads) {
			return n
		}
	}
	return ""
}

// append makes a change part of the tip. The caller holds the commit lock.
func (b *bucket) append(ctx context.Context, batch *pack.Batch, ch *change, apply func(*state)) (*state, error) {
	r := b.r
	for _, x := range ch.stashes {
		if err := remotesync.CheckRef(remotesync.Stashes + x.name); err != nil {
			return nil, err
		}
	}
	for _, w := range ch.writes {
		if _, err := remotesync.Noting(nil, []remotesync.Wrote{remotesync.Wrote(w)}); err != nil {
			return nil, err
		}
	}
	local, refs := ch, ch.refsOf()
	if len(refs) > 0 {
		local = &change{} // what comes with refs comes when they are in the bucket
	}
	lsn, err := r.store.Append(ctx, batch, pack.Record{Type: recordChange, Payload: local.encode()})
	if err != nil {
		return nil, err
	}
	s := r.tip.Load().copy(lsn)
	apply(s)
	if len(refs) == 0 {
		r.tip.Store(s)
		p := r.published.Load().copy(lsn)
		apply(p)
		r.published.Store(p)
		return s, nil
	}
	s.kept = &pending{lsn: lsn, refs: refs, home: ch.homeOf(refs), writes: ch.writes, head: ch.head, log: ch.log, runs: ch.runs, landed: ch.landed, done: make(chan struct{})}
	r.tip.Store(s)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending[lsn] = s.kept
	for _, n := range refs {
		b.start(n)
	}
	return s, nil
}

// wait waits until a change is in the bucket, or is not going to be. nil is one that does not have to be there.
func (p *pending) wait() error {
	if p == nil {
		return nil
	}
	<-p.done
	return p.err
}

// within tells whether a change was part of a swap of refs of the tip with that LSN.
func (p *pending) within(names []string, tip uint64) bool {
	return p.lsn <= tip && slices.ContainsFunc(p.refs, func(n string) bool { return slices.Contains(names, n) })
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
		delete(b.coming, n)
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
		x.busy, x.flying = true, tip
	}
	b.mu.Unlock()
	r.mu.Unlock()
	f := &flight{b: b, tip: tip, names: set, folded: map[string]*folding{}}
	refs, err := f.swap(b.ctx)
	overtaken := func(*pending) error { return errOvertaken }
	switch {
	case err == nil:
		if err = f.land(b.ctx, refs); err != nil {
			err = f.relearn(b.ctx, err)
		}
		if len(f.told) > 0 {
			b.runsWritten()
		}
	case errs.Is(err, errs.Conflict):
		err = b.adopt(b.ctx, set, overtaken)
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

// fail tells those who wait for refs up to an LSN that it failed, and those who build on them that they were overtaken, and makes the tip what is
// published. Nobody has the refs any more then.
func (b *bucket) fail(names []string, err error, upTo uint64) {
	b.r.mu.Lock()
	defer b.r.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	pub, tip := b.r.published.Load(), b.r.tip.Load()
	b.undo(names, pub, tip.copy(tip.lsn), func(p *pending) error {
		if p.within(names, upTo) {
			return err
		}
		return errOvertaken
	})
	b.end(names...)
}

// undo makes branches, tags and lists of stashes of the state tip, which becomes the tip, what they are in pub, which becomes the published state: those named and
// all that have changed together with them. Those who wait for such a change are told why. The caller holds both locks.
func (b *bucket) undo(names []string, pub, tip *state, why func(*pending) error) {
	all := slices.Clone(names)
	var gone []*pending
	for more := true; more; {
		more = false
		for _, p := range b.pending {
			flies := func(n string) bool { // it is on its way with another ref
				return !slices.Contains(names, n) && b.ref(n).flies(p)
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
		from, flies := pub, false
		if x := b.ref(n); !slices.Contains(names, n) && x.flying != nil {
			from, flies = x.flying, true
		}
		if tag, ok := strings.CutPrefix(n, remotesync.Tags); ok {
			h, _ := from.tags.Get(tag)
			tip.setTag(tag, h)
			continue
		}
		if list, ok := strings.CutPrefix(n, remotesync.Stashes); ok {
			was, _ := from.stashes.Get(list)
			tip.setStashes(stashChange{name: list, stashes: was})
			continue
		}
		name := strings.TrimPrefix(n, remotesync.Heads)
		now, ok := from.branches.Get(name)
		if ok && !flies {
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
	for _, p := range gone {
		delete(b.pending, p.lsn)
	}
	tip.head, tip.log, tip.writes = pub.head, pub.log, pub.writes
	for _, lsn := range slices.Sorted(maps.Keys(b.pending)) { // what is still on its way is part of the tip
		p := b.pending[lsn]
		tip.log, tip.writes = tip.log.with(p.log...), tip.writes.with(p.writes)
		if p.head != "" {
			tip.head = p.head
		}
	}
	b.r.published.Store(pub)
	b.r.tip.Store(tip)
	for _, p := range gone {
		p.err = why(p)
		close(p.done)
	}
}

// with is a state with another branch.
func (b *bucket) with(s *state, name string, x *branch) *state {
	s = s.copy(s.lsn)
	s.branches.Set(name, x)
	return s
}

// overtakenBy tells whether another machine has overtaken a change, which is to be made anew.
func overtakenBy(err error) bool { return errors.Is(err, errOvertaken) }
