package repo

import (
	"context"
	"maps"
	"slices"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/table"
)

// Bounds above which edits are folded in the background, in bytes.
const (
	foldOverlay = 64 << 20  // memory of a branch's overlays
	foldTail    = 256 << 20 // journal since the last checkpoint
)

// Of more branches than manyBranches the overlays are measured only when the journal has grown by lookAgain bytes, not at each change.
const (
	manyBranches = 64
	lookAgain    = 1 << 20
)

// Working is a branch's working set at a moment, its tables' edits folded into their trees.
type Working struct {
	Branch          string
	Head            history.CommitID
	Working, Staged *root.Root
	at              *branch // with its edits not folded
}

// Fold brings all edits of the branch's working tables that are published now into their trees. Edits that others make meanwhile
// stay above the trees. A database that is open for reading only computes the trees in memory.
func (r *Repo) Fold(ctx context.Context, name string) (*Working, error) {
	r.foldMu.Lock()
	defer r.foldMu.Unlock()
	return r.fold(ctx, name)
}

// fold is Fold for those who hold foldMu.
func (r *Repo) fold(ctx context.Context, name string) (*Working, error) {
	b, ok := r.published.Load().find(name)
	if !ok {
		return nil, r.errNoRef(name)
	}
	w := &Working{at: b, Branch: name, Head: b.head, Working: root.Open(r.store, b.working), Staged: root.Open(r.store, b.staged)}
	if !b.overlays() {
		return w, nil
	}
	batch := r.store.NewBatch()
	folded, sealed, err := r.seal(ctx, batch, b, nil)
	if err != nil {
		batch.Close()
		return nil, err
	}
	if r.owned() != nil {
		w.Working = folded
		return w, nil
	}
	defer batch.Close()
	s, err := r.swap(ctx, batch, b, sealed)
	if err != nil {
		return nil, err
	}
	w.Working = root.Open(r.store, folded.Tree())
	return w, r.publish(ctx, s)
}

// seal builds the trees of the branch's working tables with their edits and gives the root with them. Of the tables in fresh the chunks may be
// in the batch only. It holds no lock.
func (r *Repo) seal(ctx context.Context, batch *pack.Batch, b *branch, fresh map[string]bool) (*root.Root, map[string]*table.Table, error) {
	work := root.Open(batch, b.working)
	sealed := map[string]*table.Table{}
	var changes []root.Change
	for _, x := range b.tables {
		l, over := x.name, x.over
		if over.Len() == 0 {
			continue
		}
		e, ok, err := work.Get(ctx, root.KindTable, l)
		if err != nil {
			return nil, nil, err
		}
		if !ok {
			return nil, nil, errs.New(errs.Corrupt, "fold table %s: it is not in the working set", l)
		}
		var t *table.Table
		if fresh[l] {
			t, err = table.Open(ctx, batch, &r.schemas, e.Table, e.Comments)
		} else {
			t, err = r.openTable(ctx, e)
		}
		if err != nil {
			return nil, nil, err
		}
		if t, err = table.NewView(batch, t, over).Fold(ctx, batch); err != nil {
			return nil, nil, err
		}
		if e.Table, err = t.Put(ctx, batch); err != nil {
			return nil, nil, err
		}
		sealed[l] = t
		changes = append(changes, root.Change{Entry: e})
	}
	nr, err := work.With(ctx, batch, changes...)
	if err != nil {
		return nil, nil, err
	}
	return root.Open(batch, nr.Tree()), sealed, nil
}

// swap puts the sealed tables of the branch as it was under the edits that came since.
func (r *Repo) swap(ctx context.Context, batch *pack.Batch, was *branch, sealed map[string]*table.Table) (*state, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	cur, ok := r.tip.Load().find(was.name)
	if !ok {
		return nil, r.errNoRef(was.name)
	}
	next, folded, err := r.under(ctx, batch, was, cur, sealed)
	if err != nil {
		return nil, err
	}
	w := workChange{branch: was.name, working: next.working, staged: cur.staged, merge: cur.merge, rebase: cur.rebase, folded: folded}
	return r.append(asReplica(ctx), batch, &change{work: []workChange{w}}, func(s *state) {
		next.lsn = s.lsn
		s.put(next)
	})
}

// under is the branch cur with the sealed tables of the branch as it was under the edits that came since, and what is folded then.
func (r *Repo) under(ctx context.Context, batch *pack.Batch, was, cur *branch, sealed map[string]*table.Table) (next *branch, done []folded, err error) {
	next = cur.copy(0)
	now := root.Open(batch, cur.working)
	var changes []root.Change
	for _, l := range slices.Sorted(maps.Keys(sealed)) {
		if cur.born != was.born || cur.tables.get(l).since != was.tables.get(l).since {
			continue // replaced as a whole meanwhile, be it by an equal table
		}
		e, ok, err := now.Get(ctx, root.KindTable, l)
		if err != nil {
			return nil, nil, err
		}
		if !ok {
			return nil, nil, errs.New(errs.Corrupt, "fold table %s: it is not in the working set", l)
		}
		rest, err := table.Residue(ctx, batch, sealed[l], was.tables.get(l).over, cur.tables.get(l).over)
		if err != nil {
			return nil, nil, err
		}
		next.tables.set(l, workTable{over: rest, version: cur.tables.get(l).version, since: cur.tables.get(l).since})
		e.Table = sealed[l].Hash()
		changes = append(changes, root.Change{Entry: e})
		done = append(done, folded{table: l, upTo: max(was.lsn, upToCheckpoint)})
	}
	nr, err := now.With(ctx, batch, changes...)
	if err != nil {
		return nil, nil, err
	}
	next.working = nr.Tree()
	return next, done, nil
}

// maintain starts a fold in the background when edits or the journal have grown.
func (r *Repo) maintain(s *state) {
	if r.folds.Load() {
		return
	}
	tail := r.store.TailBytes()
	due := tail > foldTail
	if last := r.lookedAt.Load(); !due && s.branches.Len() > manyBranches && tail >= last && tail-last < lookAgain {
		return
	}
	if !due {
		r.lookedAt.Store(tail)
		s.each(func(b *branch) bool {
			due = b.overlayBytes() > foldOverlay
			return !due
		})
	}
	if !due {
		return
	}
	r.pubMu.Lock() // against Close, which waits for what has begun
	defer r.pubMu.Unlock()
	if r.closed.Load() || r.folds.Swap(true) {
		return
	}
	r.work.Add(1)
	go func() {
		defer r.work.Done()
		defer r.folds.Store(false)
		// An error here loses nothing: the edits stay in the journal and above the trees, and a store that cannot write says so
		// to the next commit.
		err := r.Checkpoint(context.Background())
		r.lastFold.Store(&err)
	}()
}

// BackgroundError is the error of the last fold in the background, nil when it went well.
func (r *Repo) BackgroundError() error {
	if p := r.lastFold.Load(); p != nil {
		return *p
	}
	return nil
}

// Checkpoint folds all edits into trees and begins a new journal segment, so that opening has next to nothing to replay.
func (r *Repo) Checkpoint(ctx context.Context) error {
	r.foldMu.Lock()
	defer r.foldMu.Unlock()
	if err := r.foldAll(ctx); err != nil {
		return err
	}
	// So that nobody waits for it with the commit lock in hand.
	if err := r.store.Folded(ctx); err != nil {
		return err
	}
	return r.checkpoint(ctx)
}

// foldAll folds the edits of all branches. The caller holds foldMu.
func (r *Repo) foldAll(ctx context.Context) error {
	names := r.published.Load().branches.Keys()
	if r.published.Load().lineage != nil {
		names = append(names, lineageRef)
	}
	for _, name := range names {
		if _, err := r.fold(ctx, name); err != nil {
			if _, there := r.BranchHead(name); !there && errs.Is(err, errs.NotFound) {
				continue // removed meanwhile
			}
			return err
		}
	}
	return nil
}

// checkpoint writes the newest state into a new journal segment. The caller holds foldMu.
func (r *Repo) checkpoint(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	ch, err := r.checkpointState(ctx)
	if err != nil {
		return err
	}
	if err := r.store.Checkpoint(ctx, ch.encode()); err != nil {
		return err
	}
	// All of the tip is durable now. The next fold must begin with no less, since it counts all edits in the checkpoint as folded.
	if r.bucket == nil {
		r.show(r.tip.Load())
	}
	return nil
}

// checkpointState is the newest state as a change from nothing. The caller holds the commit lock.
func (r *Repo) checkpointState(ctx context.Context) (*change, error) {
	s := r.tip.Load()
	if r.bucket != nil {
		s = r.published.Load() // what is not in the bucket need not last
	}
	ch := &change{head: s.head, auto: r.auto.save()}
	var err error
	s.each(func(b *branch) bool {
		name := b.name
		ch.refs = append(ch.refs, refChange{name: name, head: b.head})
		ch.work = append(ch.work, workChange{branch: name, working: b.working, staged: b.staged, all: true, merge: b.merge, rebase: b.rebase})
		var rows []rowChange
		rows, err = r.overlayRows(ctx, name, b)
		ch.rows = append(ch.rows, rows...)
		return err == nil
	})
	if err != nil {
		return nil, err
	}
	s.tags.Scan(func(name string, h hash.Hash) bool {
		ch.tags = append(ch.tags, tagChange{name: name, object: h})
		return true
	})
	ch.log = s.log.keep(r.opt.Clock.Now())
	slices.Reverse(ch.log)
	s.stashes.Scan(func(name string, list []hash.Hash) bool {
		ch.stashes = append(ch.stashes, stashChange{name: name, stashes: list})
		return true
	})
	ch.writes = s.writes
	s.tracks.Scan(func(name string, head history.CommitID) bool {
		ch.tracks = append(ch.tracks, refChange{name: name, head: head})
		return true
	})
	return ch, nil
}

// overlayRows is the unfolded edits of a branch's working tables, as edits of the branch called name.
func (r *Repo) overlayRows(ctx context.Context, name string, b *branch) ([]rowChange, error) {
	var out []rowChange
	for _, x := range b.tables {
		l, over := x.name, x.over
		if over.Len() == 0 {
			continue
		}
		e, ok, err := root.Open(r.store, b.working).Get(ctx, root.KindTable, l)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, errs.New(errs.Corrupt, "read the edits of table %s: it is not in the working set", l)
		}
		t, err := r.openTable(ctx, e)
		if err != nil {
			return nil, err
		}
		out = append(out, rowChange{branch: name, table: l, schema: t.Schema.Hash, over: over})
	}
	return out, nil
}
