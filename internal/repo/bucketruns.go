package repo

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/pack"
	remotesync "github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/tree"
)

// How long what is known of runs waits until it is put into the bucket, so that more of it goes at once.
const (
	runsWait  = time.Second
	runsLater = 5 * time.Second // what another machine has told, which puts it there itself as a rule; and after an error
)

// runsPause is how long who was overtaken waits at most before the second try; before others, longer.
const runsPause = 20 * time.Millisecond

// runsLast is how long a database that is closed waits for what it knows of runs to be put into the bucket. What is not there then is in the copy.
const runsLast = 10 * time.Second

// keptRuns is how a database that is kept in a bucket shares what it knows of runs. Each machine has tables of its own, and the bucket the ref
// lineage, with which they are joined as with that of any remote, in the background and when a run begins or ends. What a commit tells of runs must
// not be lost when its machine dies before that, nor wait for a ref that all branches would share: it goes with the commit, in the value of the
// branch's ref, until the lineage there has it.
type keptRuns struct {
	dirty atomic.Bool   // there is something here that was not put into the bucket
	asked atomic.Uint64 // how often it was asked for being put there

	joining chan struct{}             // of one; has a value while somebody joins what is in the bucket with what is known here, never while a branch is swapped
	done    uint64                    // asked, when what is in the bucket now was begun; under joining
	joined  history.CommitID          // the bucket's lineage that is known here; under joining
	taken   map[history.CommitID]bool // what branches tell that is; under joining
	tidied  map[history.CommitID]bool // what a removed branch tells and need not; under joining

	mu      sync.Mutex
	covered map[history.CommitID]bool // what branches tell that the bucket's lineage has
	empty   tree.Root                 // tables of runs without rows

	waits bool                // somebody is going to put it there; under the bucket's lock
	told  []remotesync.Target // what branches tell, as all refs were read last; under the bucket's lock
}

// runRows are rows that a change brings to the tables of runs.
type runRows struct {
	ins  []lineage.Input
	outs []lineage.Output
}

// join begins what only one does at a time, until left; an error is the context's.
func (k *keptRuns) join(ctx context.Context) error {
	select {
	case k.joining <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *keptRuns) left() { <-k.joining }

// whenThere calls fn in the apply function of a change or, where the database is in a bucket, when the change is there, under the commit lock.
func (r *Repo) whenThere(ch *change, fn func()) {
	if r.bucket == nil {
		fn()
		return
	}
	ch.landed = append(ch.landed, fn)
}

// shareRuns waits, where the database is kept in a bucket, until what is known of runs is there.
func (r *Repo) shareRuns(ctx context.Context, err error) error {
	if err != nil || r.bucket == nil {
		return err
	}
	return r.bucket.pushRuns(ctx)
}

// runsWritten has what was written to the tables of runs be put into the bucket soon.
func (b *bucket) runsWritten() {
	b.runs.dirty.Store(true)
	b.runsSoon(runsWait)
}

// runsSoon has what is known of runs be put into the bucket in a while.
func (b *bucket) runsSoon(after time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.runs.waits || b.ctx.Err() != nil {
		return
	}
	b.runs.waits = true
	b.jobs.Go(func() {
		select {
		case <-b.ctx.Done():
			return
		case <-time.After(after/2 + rand.N(after)):
		}
		b.mu.Lock()
		b.runs.waits = false
		b.mu.Unlock()
		if b.pushRuns(b.ctx) != nil { // who begins or ends a run is told; commits take along what they tell
			b.runsSoon(runsLater)
		}
	})
}

// pushRuns joins what the bucket tells of runs with what is known here, and puts that there.
func (b *bucket) pushRuns(ctx context.Context) error {
	mine := b.runs.asked.Add(1)
	if err := b.runs.join(ctx); err != nil {
		return err
	}
	defer b.runs.left()
	if b.runs.done >= mine {
		return nil // somebody who began later has done it
	}
	upTo := b.runs.asked.Load()
	if err := b.takeTold(ctx, b.tellings()); err != nil {
		return err
	}
	for try := range overtakenMost {
		if try > 0 { // else machines that began together would be in each other's way again
			select {
			case <-time.After(rand.N(time.Duration(try) * runsPause)):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		b.runs.dirty.Store(false)
		err := b.putRuns(ctx)
		if err == nil {
			b.runs.done = upTo
			return nil
		}
		b.runs.dirty.Store(true)
		if !errs.Is(err, errs.Conflict) {
			return err
		}
	}
	return errs.New(errs.Unavailable, "what is known of runs could not be put at %s: others put more there all the time; try again", b.keep.Remote.URL())
}

// putRuns is one try of pushRuns; an error of class Conflict says that another machine was faster. The caller holds joining.
func (b *bucket) putRuns(ctx context.Context) error {
	now, err := b.keep.Read(ctx, remotesync.Lineage)
	if err != nil {
		return err
	}
	if err := b.knowLineage(now); err != nil {
		return err
	}
	id, err := b.r.JoinLineage(ctx, nil, now.Commit)
	if err != nil || id.IsZero() || id == now.Commit {
		return err
	}
	refs, err := b.keep.Swap(ctx, []remotesync.Swap{{From: now, To: remotesync.Target{Commit: id}}})
	if err != nil {
		return err
	}
	b.runs.joined = id
	return b.knowLineage(refs[0])
}

// knowLineage takes note of the bucket's lineage, and where its chunks are.
func (b *bucket) knowLineage(now remotesync.Ref) error {
	if err := b.lack([]string{remotesync.Lineage}, map[string]remotesync.Ref{remotesync.Lineage: now}); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ref(remotesync.Lineage).ref = now
	delete(b.coming, remotesync.Lineage)
	return nil
}

// tellings is what branches tell of runs, as far as it is known.
func (b *bucket) tellings() []remotesync.Target {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := slices.Clone(b.runs.told)
	for _, x := range b.refs {
		if t := x.ref.Runs; !t.IsZero() && !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}

// takeTold takes over what branches tell of runs. The caller holds joining.
func (b *bucket) takeTold(ctx context.Context, told []remotesync.Target) error {
	var more []history.CommitID
	for _, t := range told {
		if !b.runs.taken[t.Commit] {
			more = append(more, t.Commit)
		}
	}
	if len(more) == 0 {
		return nil
	}
	if err := b.lack(nil, nil); err != nil {
		return err
	}
	if err := b.r.TakeRuns(ctx, nil, more); err != nil {
		return err
	}
	if b.runs.taken == nil || len(b.runs.taken) > knownRuns {
		b.runs.taken = map[history.CommitID]bool{}
	}
	for _, id := range more {
		b.runs.taken[id] = true
	}
	return nil
}

// adoptRuns takes over what all refs, as they were read, tell of runs, and has it put into the bucket's lineage where that lacks it.
func (b *bucket) adoptRuns(ctx context.Context, now remotesync.Ref, telling []remotesync.Ref) error {
	var told []remotesync.Target
	for _, x := range telling {
		told = append(told, x.Runs)
	}
	b.mu.Lock()
	b.runs.told = told
	b.mu.Unlock()
	soon, cancel := context.WithTimeout(ctx, runsWait)
	defer cancel()
	if b.runs.join(soon) != nil { // a store that does not answer who joins keeps nobody from what branches are
		b.runsSoon(runsLater)
		return ctx.Err()
	}
	defer b.runs.left()
	news := now.Commit != b.runs.joined && !now.IsZero()
	if news { // first, since what is known here is there
		if err := b.knowLineage(now); err != nil {
			return err
		}
	}
	if err := b.takeTold(ctx, told); err != nil {
		return err
	}
	if news {
		has, err := b.r.LineageHas(ctx, now.Commit)
		if err != nil {
			return err
		}
		if !has {
			if _, err := b.r.JoinLineage(ctx, nil, now.Commit); err != nil {
				return err
			}
		}
		b.runs.joined = now.Commit
	}
	var failed error
	for _, x := range telling {
		there, err := b.covers(ctx, x.Runs.Commit)
		switch {
		case err != nil && failed == nil:
			failed = err
		case err != nil:
		case !there:
			b.runsSoon(runsLater)
		case x.IsZero() && !b.runs.tidied[x.Runs.Commit]: // no change of the branch will leave it out
			if b.runs.tidied == nil || len(b.runs.tidied) > knownRuns {
				b.runs.tidied = map[history.CommitID]bool{}
			}
			b.runs.tidied[x.Runs.Commit] = true
			_, _ = b.keep.Swap(ctx, []remotesync.Swap{{From: x, Wrote: x.Wrote}}) // whose error is no harm: it tells what is known
		}
	}
	return failed
}

// covers tells whether the bucket's lineage has what a branch tells of runs. It goes forward only, so that it has that for good.
func (b *bucket) covers(ctx context.Context, told history.CommitID) (bool, error) {
	b.runs.mu.Lock()
	has := b.runs.covered[told]
	b.runs.mu.Unlock()
	if has {
		return true, nil
	}
	j, known, err := b.lineageThere(ctx)
	if err != nil {
		return false, err
	}
	c, err := history.GetCommit(ctx, b.r.store, told)
	if err != nil {
		return false, err
	}
	uids, err := j.changed(ctx, tree.Root{}, c.Root)
	if err != nil {
		return false, err
	}
	for _, uid := range uids {
		x, err := lineage.Join(ctx, j.book(tree.Root{}), known, j.book(c.Root), uid)
		if err != nil || x.Run != nil || len(x.Inputs)+len(x.Outputs) > 0 {
			return false, err
		}
	}
	b.runs.mu.Lock()
	defer b.runs.mu.Unlock()
	if b.runs.covered == nil || len(b.runs.covered) > knownRuns {
		b.runs.covered = map[history.CommitID]bool{}
	}
	b.runs.covered[told] = true
	return true, nil
}

// lineageThere is the bucket's lineage as it was read last, and what compares it.
func (b *bucket) lineageThere(ctx context.Context) (*lineageJoin, *lineage.Book, error) {
	b.mu.Lock()
	at := b.ref(remotesync.Lineage).ref.Commit
	b.mu.Unlock()
	j := &lineageJoin{r: b.r, batch: b.r.store.NewBatch()}
	if at.IsZero() {
		return j, j.book(tree.Root{}), nil
	}
	c, err := history.GetCommit(ctx, b.r.store, at)
	if err != nil {
		return nil, nil, err
	}
	return j, j.book(c.Root), nil
}

// TakeRuns takes over what commits that branches of a bucket carry tell of runs: see sync.Ref.Runs. Their chunks are in the batch (nil: in the
// database).
func (r *Repo) TakeRuns(ctx context.Context, batch *pack.Batch, told []history.CommitID) error {
	r.lineage.mu.Lock()
	defer r.lineage.mu.Unlock()
	if batch == nil {
		batch = r.store.NewBatch()
		defer batch.Close()
	}
	for _, id := range told {
		c, err := history.GetCommit(ctx, batch, id)
		if err != nil {
			return err
		}
		j := &lineageJoin{r: r, batch: batch, theirs: c}
		uids, err := j.changed(ctx, tree.Root{}, c.Root)
		if err != nil {
			return err
		}
		if err := j.write(ctx, uids, tree.Root{}); err != nil {
			return err
		}
	}
	return nil
}

// tell finds out what the branch of a swap is to tell of runs: rows that changes of the flight bring, and what else is known of their runs, as far as
// the bucket's lineage lacks it.
func (f *flight) tell(ctx context.Context, rows runRows, s *remotesync.Swap) error {
	b, r := f.b, f.b.r
	s.Runs = s.From.Runs
	if !s.Runs.IsZero() {
		if there, err := b.covers(ctx, s.Runs.Commit); err == nil && there { // where it cannot be told, the branch goes on telling
			s.Runs = remotesync.Target{}
		}
	}
	if len(rows.ins)+len(rows.outs) == 0 {
		return nil
	}
	own, err := r.beginLineage(ctx)
	if err != nil {
		return err
	}
	defer own.Rollback() // who lands the flight takes them over
	uids := map[string]bool{}
	for i := range rows.ins {
		uids[rows.ins[i].Run] = true
		if err := lineage.PutInput(ctx, own, &rows.ins[i]); err != nil {
			return err
		}
	}
	for i := range rows.outs {
		uids[rows.outs[i].Run] = true
		if err := lineage.PutOutput(ctx, own, &rows.outs[i]); err != nil {
			return err
		}
	}
	at, err := b.emptyRuns(ctx)
	if err != nil {
		return err
	}
	if !s.Runs.IsZero() {
		c, err := history.GetCommit(ctx, r.store, s.Runs.Commit)
		if err != nil {
			return err
		}
		at = c.Root
	}
	told, err := r.beginOn(func(*state) (*branch, error) { return &branch{name: lineageRef, working: at, staged: at}, nil })
	if err != nil {
		return err
	}
	defer told.Rollback()
	for uid := range uids {
		if err := b.tellRun(ctx, told, lineage.Open(own, nil), uid); err != nil {
			return err
		}
	}
	for _, n := range lineage.Tables() {
		if _, err := told.FoldTable(ctx, n); err != nil {
			return err
		}
	}
	c := &history.Commit{Root: told.Root().Tree(), Height: 1, Message: lineageMessage}
	if _, err := c.Put(ctx, told.Store()); err != nil {
		return err
	}
	s.Runs, f.told = remotesync.Target{Commit: c.ID}, append(f.told, c.ID)
	return r.appendUnnamed(ctx, told.Store())
}

// tellRun puts what is known of a run, and the bucket's lineage lacks, into tables that are to be told.
func (b *bucket) tellRun(ctx context.Context, told *Tx, own *lineage.Book, uid string) error {
	j, known, err := b.lineageThere(ctx)
	if err != nil {
		return err
	}
	run, ok, err := own.Run(ctx, uid)
	if err == nil && ok {
		err = lineage.PutRun(ctx, told, &run)
	}
	if err != nil {
		return err
	}
	none, there := j.book(tree.Root{}), lineage.Open(told, nil)
	lacks, err := lineage.Join(ctx, none, known, own, uid)
	if err != nil {
		return err
	}
	untold, err := lineage.Join(ctx, none, there, own, uid)
	if err != nil {
		return err
	}
	seq, err := there.NextInput(ctx, uid)
	if err != nil {
		return err
	}
	for _, x := range untold.Inputs {
		if slices.ContainsFunc(lacks.Inputs, func(o lineage.Input) bool { return o.Seq == x.Seq }) {
			x.Seq = max(x.Seq, seq)
			seq = x.Seq + 1
			if err := lineage.PutInput(ctx, told, &x); err != nil {
				return err
			}
		}
	}
	if seq, err = there.NextOutput(ctx, uid); err != nil {
		return err
	}
	for _, x := range untold.Outputs {
		if slices.ContainsFunc(lacks.Outputs, func(o lineage.Output) bool { return o.Seq == x.Seq }) {
			x.Seq = max(x.Seq, seq)
			seq = x.Seq + 1
			if err := lineage.PutOutput(ctx, told, &x); err != nil {
				return err
			}
		}
	}
	return nil
}

// emptyRuns is tables of runs without rows, which are in the store.
func (b *bucket) emptyRuns(ctx context.Context) (tree.Root, error) {
	b.runs.mu.Lock()
	defer b.runs.mu.Unlock()
	if b.runs.empty.Hash != (hash.Hash{}) {
		return b.runs.empty, nil
	}
	batch := b.r.store.NewBatch()
	defer batch.Close()
	rt, err := emptyLineage(ctx, batch)
	if err != nil {
		return tree.Root{}, err
	}
	if err := b.r.appendUnnamed(ctx, batch); err != nil {
		return tree.Root{}, err
	}
	b.runs.empty = rt.Tree()
	return b.runs.empty, nil
}
