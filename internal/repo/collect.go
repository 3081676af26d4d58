package repo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/gc"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/tree"
)

// CollectOptions steer a garbage collection.
type CollectOptions struct {
	// Full rewrites every pack that has any garbage; otherwise those of which at least worthRewriting hundredths are.
	Full bool
	// Drop rewrites nothing but the journal: packs go that are garbage as a whole.
	Drop bool
	// Expire, if not zero, lets the reflog forget what refs named before, so that only this reaches is garbage.
	Expire time.Time
	// Forget lets what only lineage names go, whose rows stay, and forgets all moves of refs but the last of each, as if Expire were after them.
	Forget bool
	// Compress says what becomes of chunks that neither heads nor tagged commits nor working and staged sets reach. With Full, CompressAuto is CompressAll.
	Compress pack.Compression
	// CompressLeast is pack.RewriteOptions.CompressLeast.
	CompressLeast int64
	// Wait waits for a collection that is going on, and ends one that began by itself; otherwise that is an error of class Conflict.
	Wait bool
	// Marked and Copied, if not nil, are told of chunks that were found to be in use, and of bytes that were copied.
	Marked func(chunks int)
	Copied func(bytes int64)
}

// worthRewriting is the part of a pack, in hundredths, that is garbage when it is rewritten.
const worthRewriting = 10

// Collected is what a garbage collection did.
type Collected struct {
	pack.CollectStats
	Marked  int // chunks in use
	Expired int // moves of refs that the reflog has forgotten
}

// Collect removes chunks that nothing reaches: no branch, tag, branch of a remote, working or staged set, merge or rebase in progress, stash,
// move of a ref in the reflog or row of lineage, and nothing that a transaction or another verb reads or is writing. Others read and write
// meanwhile. When it fails or is canceled nothing is lost, and no more is left than before.
func (r *Repo) Collect(ctx context.Context, opt CollectOptions) (*Collected, error) {
	if err := r.notKept("the garbage of its copy here goes with the directory " + r.dir + ", which may be removed when nobody uses it"); err != nil {
		return nil, err
	}
	out, err := r.collect(ctx, opt)
	if err != nil && ctx.Err() != nil {
		err = errs.With(errs.Canceled, err)
	}
	return out, err
}

func (r *Repo) collect(ctx context.Context, opt CollectOptions) (*Collected, error) {
	if r.load != nil {
		return nil, ErrOwnerOnly
	}
	if err := r.writable(); err != nil {
		return nil, err
	}
	if opt.Wait {
		if err := r.awaitCollection(ctx); err != nil {
			return nil, err
		}
	} else if !r.collecting.TryLock() {
		return nil, errs.New(errs.Conflict, "collect garbage: that is being done already; wait until it has ended")
	}
	defer r.collecting.Unlock()
	// Rows of lineage keep what was read, also that which is not written yet. Of what cannot be written the run's record tells.
	_ = r.FlushReads(ctx)
	r.holds.collect(true)
	defer r.holds.collect(false)
	k := newCollector(r, opt)
	if err := k.begin(ctx); err != nil {
		return nil, err
	}
	defer k.c.Close()
	if err := k.first(ctx); err != nil {
		return nil, err
	}
	rw := pack.RewriteOptions{Garbage: worthRewriting, Drop: opt.Drop, Settle: k.settle, Lock: k.lock, Progress: opt.Copied, Compress: opt.Compress, CompressLeast: opt.CompressLeast, Renew: opt.Forget, RenewRemoving: opt.Full}
	if opt.Full {
		rw.Garbage = 0
		if opt.Compress == pack.CompressAuto {
			rw.Compress = pack.CompressAll
		}
	}
	if err := k.c.Rewrite(ctx, rw); err != nil {
		return nil, err
	}
	k.out.CollectStats = k.c.Stats()
	r.noteCollected(k.out.After)
	return &k.out, nil
}

// awaitCollection takes the lock of collections.
func (r *Repo) awaitCollection(ctx context.Context) error {
	const pause = 20 * time.Millisecond
	for !r.collecting.TryLock() {
		r.pubMu.Lock()
		if r.selfCollect.Load() && r.stopCollect != nil {
			r.stopCollect()
		}
		r.pubMu.Unlock()
		select {
		case <-ctx.Done():
			return errs.With(errs.Canceled, ctx.Err())
		case <-time.After(pause):
		}
	}
	return nil
}

// collector is one run of Collect.
type collector struct {
	r   *Repo
	opt CollectOptions
	c   *pack.Collection
	m   *gc.Marker
	tip *state // when it began
	out Collected

	after    uint64 // departures up to this one are marked
	states   map[*state]bool
	branches map[*branch]bool
	tags     map[hash.Hash]bool
	stashes  map[hash.Hash]bool
	log      *reflog // marked up to it
}

func newCollector(r *Repo, opt CollectOptions) *collector {
	return &collector{
		r: r, opt: opt, states: map[*state]bool{}, branches: map[*branch]bool{}, tags: map[hash.Hash]bool{}, stashes: map[hash.Hash]bool{},
	}
}

// begin folds what has been edited and begins a journal segment: what is before it is looked at.
func (k *collector) begin(ctx context.Context) error {
	r := k.r
	r.foldMu.Lock()
	defer r.foldMu.Unlock()
	if err := r.foldAll(ctx); err != nil {
		return err
	}
	if err := r.store.Folded(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	ch, err := r.checkpointState(ctx)
	if err != nil {
		return err
	}
	kept := slices.Clone(ch.log)
	slices.Reverse(kept)
	if !k.opt.Expire.IsZero() || k.opt.Forget {
		n := len(kept)
		kept = expired(kept, k.opt.Expire, k.opt.Forget)
		k.out.Expired = n - len(kept)
		ch.log = slices.Clone(kept)
		slices.Reverse(ch.log)
	}
	if k.c, err = r.store.Collect(ctx, ch.encode()); err != nil {
		return err
	}
	tip := r.tip.Load()
	r.show(tip)
	k.tip = tip.copy(tip.lsn)
	k.tip.log = newReflog(kept)
	r.tip.Store(k.tip)
	r.published.CompareAndSwap(tip, k.tip)
	k.m = gc.New(r.store.Local(), k.c, func(n int) {
		k.out.Marked += n
		if k.opt.Marked != nil {
			k.opt.Marked(n)
		}
	})
	k.m.Partial = r.Partial() != nil
	return nil
}

// expired is the moves, newest first, that are left when those before a time, or all, go, but for the last of each ref that is there.
func expired(moves []RefMove, before time.Time, all bool) []RefMove {
	var out []RefMove
	seen := map[string]bool{}
	for _, m := range moves {
		if (all || m.Time.Before(before)) && (seen[m.Ref] || m.Commit.IsZero()) {
			seen[m.Ref] = true
			continue
		}
		seen[m.Ref] = true
		out = append(out, m)
	}
	return out
}

// first marks what is reached at the beginning.
func (k *collector) first(ctx context.Context) error {
	if k.opt.Compress != pack.CompressNone {
		if err := k.hot(ctx); err != nil {
			return err
		}
	}
	states, left, last, whole := k.r.holds.kept(0, true)
	if !whole {
		return errs.New(errs.Conflict, "collect garbage: a transaction has been open for so long that what it may read is not known any more; end it first")
	}
	if err := k.held(ctx, states, true); err != nil {
		return err
	}
	if err := k.state(ctx, k.tip, true); err != nil {
		return err
	}
	if err := k.moves(ctx, k.tip.log); err != nil {
		return err
	}
	if err := k.departures(ctx, left, true); err != nil {
		return err
	}
	k.after = last
	if k.opt.Forget {
		return nil
	}
	return k.lineage(ctx)
}

// hotMarks are the chunks that are read often.
type hotMarks struct{ c *pack.Collection }

// Mark implements gc.Marks.
func (m hotMarks) Mark(h hash.Hash) (bool, error) { return m.c.MarkHot(h) }

// hot marks what heads, working sets, staged sets and tagged commits, not those before them, reach at the beginning. What comes to be reached
// later is hot the next time.
func (k *collector) hot(ctx context.Context) (err error) {
	m := gc.New(k.r.store.Local(), hotMarks{k.c}, nil)
	m.Partial = k.m.Partial
	k.tip.each(func(b *branch) bool {
		if err = k.hotCommit(ctx, m, b.head); err == nil {
			err = m.Root(ctx, b.working)
		}
		if err == nil {
			err = m.Root(ctx, b.staged)
		}
		return err == nil
	})
	if err == nil {
		k.tip.tags.Scan(func(_ string, h hash.Hash) bool {
			var t *history.Tag
			if t, err = history.GetTag(ctx, k.r.store.Local(), h); err == nil {
				err = k.hotCommit(ctx, m, t.Commit)
			}
			if m.Partial {
				err = missingIsNone(err)
			}
			return err == nil
		})
	}
	if err != nil {
		return fmt.Errorf("find what is read often: %w", err)
	}
	return nil
}

// hotCommit marks a commit, if it is one, and what it reaches, without its parents.
func (k *collector) hotCommit(ctx context.Context, m *gc.Marker, id history.CommitID) error {
	if id.IsZero() {
		return nil
	}
	c, err := history.GetCommit(ctx, k.r.store.Local(), id)
	if err == nil {
		if _, err = k.c.MarkHot(id); err == nil {
			err = m.Root(ctx, c.Root)
		}
	}
	if m.Partial {
		err = missingIsNone(err)
	}
	return err
}

// settle marks what has come to be reached since the last time.
func (k *collector) settle(ctx context.Context) error {
	states, left, last, whole := k.r.holds.kept(k.after, false)
	if !whole {
		return errs.New(errs.Conflict, "collect garbage: more has changed meanwhile than can be kept track of; try again")
	}
	if err := k.held(ctx, states, false); err != nil {
		return err
	}
	if err := k.departures(ctx, left, false); err != nil {
		return err
	}
	k.after = last
	tip := k.r.tip.Load()
	if err := k.state(ctx, tip, false); err != nil {
		return err
	}
	return k.moves(ctx, tip.log)
}

// held marks states that are held. The moves of refs in them are not: whoever goes back to one names its commit.
func (k *collector) held(ctx context.Context, states []*state, edits bool) error {
	for _, s := range states {
		if k.states[s] {
			continue
		}
		k.states[s] = true
		if err := k.state(ctx, s, edits); err != nil {
			return err
		}
	}
	return nil
}

// moves marks what refs named, in what is new of the reflog.
func (k *collector) moves(ctx context.Context, log *reflog) error {
	for l := log; l != nil && l != k.log; l = l.past {
		if err := k.m.Commit(ctx, l.move.Commit); err != nil {
			return fmt.Errorf("what %s named: %w", l.move.Ref, err)
		}
	}
	k.log = log
	return nil
}

// lock runs fn while nobody changes the database and nothing is being fetched, for a fetch counts on chunks that it has seen.
func (k *collector) lock(ctx context.Context, fn func() error) error {
	got := make(chan struct{})
	go func() {
		k.r.fetching.Lock()
		close(got)
	}()
	select {
	case <-got:
		defer k.r.fetching.Unlock()
	case <-ctx.Done():
		go func() {
			<-got
			k.r.fetching.Unlock()
		}()
		return errs.With(errs.Canceled, ctx.Err())
	}
	if err := sync.HeldIn(k.r.fs, k.r.dir).Forget(); err != nil {
		return err
	}
	if err := k.settle(ctx); err != nil {
		return err
	}
	k.r.mu.Lock()
	defer k.r.mu.Unlock()
	if err := k.settle(ctx); err != nil {
		return err
	}
	return fn()
}

// state marks what a state names. With edits those above the tables are marked as well; those that come later are in the journal's new part.
func (k *collector) state(ctx context.Context, s *state, edits bool) (err error) {
	s.each(func(b *branch) bool {
		err = k.branch(ctx, b, edits)
		return err == nil
	})
	if err != nil {
		return err
	}
	s.tags.Scan(func(name string, h hash.Hash) bool {
		err = k.tag(ctx, h)
		return err == nil
	})
	if err != nil {
		return err
	}
	s.tracks.Scan(func(name string, head history.CommitID) bool {
		err = k.m.Commit(ctx, head)
		return err == nil
	})
	if err != nil {
		return err
	}
	s.stashes.Scan(func(name string, list []hash.Hash) bool {
		err = k.stash(ctx, list)
		return err == nil
	})
	return err
}

func (k *collector) tag(ctx context.Context, h hash.Hash) error {
	if h.IsZero() || k.tags[h] {
		return nil
	}
	k.tags[h] = true
	return k.m.Tag(ctx, h)
}

func (k *collector) stash(ctx context.Context, list []hash.Hash) error {
	for _, h := range list {
		if k.stashes[h] {
			continue
		}
		k.stashes[h] = true
		if err := k.m.Stash(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

func (k *collector) branch(ctx context.Context, b *branch, edits bool) error {
	if k.branches[b] {
		return nil
	}
	k.branches[b] = true
	if err := k.m.Commit(ctx, b.head); err != nil {
		return fmt.Errorf("branch %s: %w", b.name, err)
	}
	for _, t := range []tree.Root{b.working, b.staged} {
		if err := k.m.Root(ctx, t); err != nil {
			return fmt.Errorf("working set of %s: %w", b.name, err)
		}
	}
	if !b.merge.IsZero() {
		if err := k.m.Merge(ctx, b.merge); err != nil {
			return fmt.Errorf("merge in progress on %s: %w", b.name, err)
		}
	}
	if !b.rebase.IsZero() {
		if err := k.m.Rebase(ctx, b.rebase); err != nil {
			return fmt.Errorf("rebase in progress on %s: %w", b.name, err)
		}
	}
	if !edits {
		return nil
	}
	for _, x := range b.tables {
		if x.over.Len() == 0 {
			continue
		}
		e, ok, err := root.Open(k.r.store, b.working).Get(ctx, root.KindTable, x.name)
		if err != nil {
			return err
		}
		if !ok {
			return errs.New(errs.Corrupt, "collect garbage: edits of table %s, which is not in the working set of %s", x.name, b.name)
		}
		t, err := k.r.openTable(ctx, e)
		if err != nil {
			return err
		}
		if err := x.over.EachLong(t.Schema, func(h hash.Hash) error { return k.m.Blob(ctx, h) }); err != nil {
			return err
		}
	}
	return nil
}

func (k *collector) departures(ctx context.Context, left []departure, edits bool) error {
	for _, d := range left {
		if d.branch != nil {
			if err := k.branch(ctx, d.branch, edits); err != nil {
				return err
			}
		}
		if err := k.tag(ctx, d.tag); err != nil {
			return err
		}
		if err := k.stash(ctx, d.stashes); err != nil {
			return err
		}
		// What was named by its hash need not have been whole.
		if err := missingIsNone(k.m.Commit(ctx, d.commit)); err != nil {
			return err
		}
		if err := k.m.Root(ctx, d.root); err != nil {
			return err
		}
	}
	return nil
}

// missingIsNone passes over that something is not there.
func missingIsNone(err error) error {
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	return err
}

// lineage marks the commits and tables that rows of lineage name, as far as they are there: they may be of other databases, or have been
// given up. Of a commit that was made anew when a history was thinned the new one is meant; what rows say of those that are gone keeps
// nothing.
func (k *collector) lineage(ctx context.Context) error {
	thinned, err := k.r.Thinned()
	if err != nil {
		return err
	}
	commit := func(text string) error {
		if now, ok := thinned.Became(text); ok {
			text = now
		}
		h, err := hash.Parse(text)
		if err != nil || len(text) != hash.FullLen {
			return nil
		}
		return missingIsNone(k.m.Commit(ctx, history.CommitID(h)))
	}
	table := func(of, text string) error {
		if _, ok := thinned.Became(of); ok { // the new commit has it, if it has not gone
			return nil
		}
		h, err := hash.Parse(text)
		if err != nil || len(text) != hash.FullLen {
			return nil
		}
		return missingIsNone(k.m.Table(ctx, h))
	}
	return k.r.Lineage().Each(ctx, func(_ lineage.Run, ins []lineage.Input, outs []lineage.Output) error {
		for i := range ins {
			if err := commit(ins[i].Commit); err != nil {
				return err
			}
			if err := table(ins[i].Commit, ins[i].Hash); err != nil {
				return err
			}
		}
		for i := range outs {
			if err := commit(outs[i].Commit); err != nil {
				return err
			}
			if err := table(outs[i].Commit, outs[i].After); err != nil {
				return err
			}
		}
		return nil
	})
}
