package sync

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
)

// Collect removes the objects of a remote that no ref and no snapshot needs. It takes two runs: the first notes what is unnamed, a later one removes what was
// noted a grace period ago and is unnamed still, so that pushes that are under way lose nothing. docs/design/accepted/0017-garbage-of-remotes.md
// says why this is safe.
type Collect struct {
	Remote *Remote
	Now    time.Time
	// Grace is how long an object must have been noted before it goes. It must be longer than the time between the moment in which a push looks at the
	// notes and that in which its ref moves or its snapshot is there, which is that of a request or, of a snapshot, two.
	Grace time.Duration
	// DryRun only finds out what would be done.
	DryRun   bool
	Progress Progress
}

// Amount is a number of objects and their bytes.
type Amount struct {
	Objects int
	Bytes   int64
}

func (a *Amount) add(in object.Info) { a.Objects++; a.Bytes += in.Size }

// Collected is what a collection of a remote has done.
type Collected struct {
	Used    Amount // packs, lists and outcomes that refs and snapshots need
	Waiting Amount // unnamed, and noted for less than the grace period
	Removed Amount // of a dry run: what would have been removed
	Left    Amount // what is left of removed refs, where the server minds no condition of a delete, so that it stays
	Packs   int    // of what was removed
	// Undecided is how many changes of several refs have not ended, and keep what their refs were and what they are to be; GivenUp is how many were noted
	// a grace period ago, whose machines have died, so that they were given up: of a dry run, would have been.
	Undecided, GivenUp int
	// Next is when the first of what waits may go, or be given up, zero when nothing waits.
	Next time.Time
}

// collectTries is how often a collection begins anew because a push has claimed something meanwhile.
const collectTries = 20

// Run collects. Where nothing was pushed yet it does nothing. When it is interrupted, everything that refs need is there, and a later run does the rest.
func (c *Collect) Run(ctx context.Context) (*Collected, error) {
	if !c.Remote.known {
		return &Collected{}, nil
	}
	for range collectTries {
		out, err := c.once(ctx)
		if errs.Is(err, errs.Conflict) {
			continue
		}
		if err != nil {
			err = fmt.Errorf("collect the garbage of %s: %w", c.Remote.URL(), err)
		}
		return out, err
	}
	return nil, errs.New(errs.Unavailable, "collect the garbage of %s: others push all the time; try again", c.Remote.URL())
}

// once is an error of class Conflict when the notes were changed by others while it decided.
func (c *Collect) once(ctx context.Context) (*Collected, error) {
	r := c.Remote
	// The notes are read before the refs: whoever names something of them later changes them first.
	notes, gen, err := r.garbage(ctx)
	if err != nil {
		return nil, err
	}
	var all []object.Info
	for _, dir := range []string{packsDir, listsDir, changesDir} {
		list, err := r.s.List(ctx, dir)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	found, err := r.named(ctx)
	if err != nil {
		return nil, err
	}
	named, gone := found.names, found.gone
	out := &Collected{}
	next := garbage{unnamed: map[string]time.Time{}, removed: map[string]time.Time{}, snapshots: notes.snapshots || found.snapshots}
	var doomed []object.Info
	for _, in := range all {
		if named[in.Name] || !collectable(in.Name) {
			out.Used.add(in)
			delete(notes.removed, in.Name) // which only somebody who does not know of collections can have named
			continue
		}
		if _, gone := notes.removed[in.Name]; gone { // by a collection that has died, or is at it
			doomed = append(doomed, in)
			out.Removed.add(in)
			continue
		}
		since, _ := c.since(notes, in.Name)
		if c.Now.Sub(since) >= c.Grace {
			doomed = append(doomed, in)
			out.Removed.add(in)
			next.removed[in.Name] = c.Now
			continue
		}
		next.unnamed[in.Name] = since
		out.Waiting.add(in)
		out.next(since.Add(c.Grace))
	}
	// An outcome that is not there yet is noted, too: it is put by a request that follows those that announce it.
	var dead []string
	for _, name := range found.undecided {
		since, _ := c.since(notes, name)
		next.unnamed[name] = since
		if c.Now.Sub(since) >= c.Grace {
			dead = append(dead, name)
			continue
		}
		out.Undecided++
		out.next(since.Add(c.Grace))
	}
	out.GivenUp = len(dead)
	// A removed ref goes on the condition that it is as it was read, so nothing that somebody makes of it meanwhile is lost. It waits all the same: who does
	// not know whether a put of theirs was done looks into it.
	// Where none can be deleted none is noted, since older programs cannot read such notes, and so cannot push.
	var refs []removedRef
	if able, err := c.deletes(ctx, notes, gone); err != nil {
		return nil, err
	} else if !able {
		for _, x := range gone {
			out.Left.add(x.Info)
		}
		gone = nil
	}
	for _, x := range gone {
		since, _ := c.since(notes, x.note())
		next.unnamed[x.note()] = since // until a collection does not find it any more
		if c.Now.Sub(since) >= c.Grace {
			refs = append(refs, x)
			continue
		}
		out.Waiting.add(x.Info)
		out.next(since.Add(c.Grace))
	}
	for _, x := range refs {
		out.Removed.add(x.Info)
	}
	there := map[string]bool{}
	for _, in := range doomed {
		there[in.Name] = true
	}
	for name, at := range notes.removed {
		// A name that is still there was not removed yet; it is remembered from now on.
		if there[name] {
			next.removed[name] = c.Now
		} else if c.Now.Sub(at) < max(c.Grace, removedKept) {
			next.removed[name] = at
		}
	}
	for _, in := range doomed {
		if strings.HasPrefix(in.Name, packsDir) {
			out.Packs++
		}
	}
	if c.DryRun {
		return out, nil
	}
	if next.snapshots != notes.snapshots || len(notes.unnamed)+len(notes.removed)+len(next.unnamed)+len(next.removed) > 0 {
		if err := r.s.Put(ctx, garbageName, object.Bytes(next.encode()), object.If(gen)); err != nil {
			return nil, err
		}
	}
	for _, name := range dead {
		err := r.s.Put(ctx, name, object.Bytes([]byte(outcomeGiven)), object.IfAbsent)
		if errs.Is(err, errs.Conflict) { // decided meanwhile
			out.GivenUp--
		} else if err != nil {
			return out, err
		}
	}
	if err := c.remove(ctx, doomed); err != nil {
		return out, err
	}
	for _, x := range refs {
		err := r.s.DeleteIf(ctx, x.Name, x.gen)
		if errs.Is(err, errs.Conflict) { // somebody has made the branch again
			out.Removed.Objects--
			out.Removed.Bytes -= x.Size
		} else if err != nil {
			return out, err
		}
	}
	return out, nil
}

// next notes that something may go then.
func (c *Collected) next(at time.Time) {
	if c.Next.IsZero() || at.Before(c.Next) {
		c.Next = at
	}
}

// since is from when on something is noted, which is now where it is not.
func (c *Collect) since(notes garbage, name string) (at time.Time, noted bool) {
	at, noted = notes.unnamed[name]
	if !noted || at.After(c.Now) { // noted by a clock that is ahead
		at = c.Now
	}
	return at, noted
}

// removedRef is an object of a ref that was removed.
type removedRef struct {
	object.Info
	gen   object.Generation
	nonce string // of its value
}

// note is how notes of collections call it: with the nonce, since a ref may be made and removed again.
func (x removedRef) note() string { return x.Name + "@" + x.nonce }

// deletes tells whether removed refs can be deleted. It is asked of the store before the first note of any of them, and before one goes.
func (c *Collect) deletes(ctx context.Context, notes garbage, gone []removedRef) (bool, error) {
	if !slices.ContainsFunc(gone, func(x removedRef) bool {
		since, noted := c.since(notes, x.note())
		return !noted || c.Now.Sub(since) >= c.Grace
	}) {
		return true, nil
	}
	if !c.DryRun {
		return c.Remote.deletesIf(ctx)
	}
	// Nothing is put: what is not there is neither removed by a store that minds conditions nor by another. Who may only read learns what others can.
	able, err := c.Remote.mindsDelete(ctx, changesDir+nonce())
	if errs.Is(err, errs.Denied) || errs.Is(err, errs.ReadOnly) {
		return true, nil
	}
	return able, err
}

// deletesIf tells whether the store minds the condition of a delete.
func (r *Remote) deletesIf(ctx context.Context) (bool, error) {
	name := changesDir + nonce() // where a collection removes what this leaves if it dies
	if err := r.s.Put(ctx, name, object.Bytes([]byte(outcomeGiven)), object.IfAbsent); err != nil {
		return false, err
	}
	able, err := r.mindsDelete(ctx, name)
	if err != nil {
		return false, err
	}
	return able, r.s.Delete(ctx, name)
}

// mindsDelete tells whether a delete of that object, on a condition that does not hold, fails for that.
func (r *Remote) mindsDelete(ctx context.Context, name string) (bool, error) {
	err := r.s.DeleteIf(ctx, name, "1234567890123456")
	if err == nil || errs.Is(err, errs.Unsupported) || errs.Is(err, errs.Invalid) {
		return false, nil
	}
	if errs.Is(err, errs.Conflict) {
		return true, nil
	}
	return false, err
}

// needed is what the refs and snapshots of a remote need.
type needed struct {
	names     map[string]bool // of all objects that they need, as they are and as changes of several refs that are undecided would have them
	gone      []removedRef    // the removed refs that tell nothing that is needed
	undecided []string        // the names of the outcomes that there are not, of changes that stand in refs
	snapshots bool            // there is any
}

// named is what the refs and snapshots need. What it cannot understand is an error: nothing may go for not being understood.
func (r *Remote) named(ctx context.Context) (*needed, error) {
	list, err := r.s.List(ctx, refsDir)
	if err != nil {
		return nil, err
	}
	values, gens, needs, open := make([]value, len(list)), make([]object.Generation, len(list)), make([][]Target, len(list)), make([]bool, len(list))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, in := range list {
		g.Go(func() error {
			name, err := refNamed(in.Name)
			if err != nil {
				return err
			}
			data, gen, err := r.s.Get(gctx, in.Name)
			if errs.Is(err, errs.NotFound) { // removed by another collection
				return nil
			}
			if err != nil {
				return err
			}
			v, err := decodeValue(data, name)
			if err == nil {
				values[i], gens[i] = v, gen
				needs[i], open[i], err = r.needs(gctx, v)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	out := &needed{names: map[string]bool{}}
	var targets []Target
	for i, v := range values {
		if name := changesDir + v.change; v.change != "" {
			out.names[name] = true
			if open[i] && !slices.Contains(out.undecided, name) {
				out.undecided = append(out.undecided, name)
			}
		}
		if len(needs[i]) == 0 && gens[i] != "" {
			out.gone = append(out.gone, removedRef{list[i], gens[i], v.nonce})
		}
		targets = append(targets, needs[i]...)
	}
	packs, err := r.Packs(ctx, targets...)
	if err != nil {
		return nil, err
	}
	// After the refs: what a sync has put stands in its snapshot when a later one replaces it.
	kept, more, any, err := r.snapshotNeeds(ctx)
	if err != nil {
		return nil, err
	}
	out.snapshots = any
	for _, t := range slices.Concat(targets, kept) {
		out.names[listsDir+t.List.Full()] = true
	}
	for _, p := range slices.Concat(packs, more) {
		out.names[p.object()] = true
	}
	return out, nil
}

// needs is what a ref of that value means and tells, both what it was and what it is to be where its change is undecided, which open tells: a change
// that is decided stays so, and the ref says what it says then also where nobody has tidied it up.
func (r *Remote) needs(ctx context.Context, v value) (all []Target, open bool, err error) {
	all = []Target{v.Target, v.runs}
	if v.change != "" {
		said, err := r.verdict(ctx, v.change)
		if err != nil {
			return nil, false, err
		}
		switch said {
		case "":
			open = true
			all = append(all, v.next, v.nextRuns)
		case outcomeDone:
			all = []Target{v.next, v.nextRuns}
		}
	}
	return slices.DeleteFunc(all, Target.IsZero), open, nil
}

// remove removes objects: lists before packs, so that whoever reads a list later finds what it names, or no list.
func (c *Collect) remove(ctx context.Context, doomed []object.Info) (err error) {
	if len(doomed) == 0 {
		return nil
	}
	add, done := c.Progress.start("remove what no ref needs", int64(len(doomed)), "objects")
	defer func() { done(err) }()
	isPack := func(in object.Info) bool { return strings.HasPrefix(in.Name, packsDir) }
	first, packs := []object.Info{}, []object.Info{}
	for _, in := range doomed {
		if isPack(in) {
			packs = append(packs, in)
		} else {
			first = append(first, in)
		}
	}
	slices.SortFunc(packs, func(a, b object.Info) int { return strings.Compare(a.Name, b.Name) })
	var removed atomic.Int64
	for _, part := range [][]object.Info{first, packs} {
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(parallel)
		for _, in := range part {
			g.Go(func() error {
				if err := c.Remote.s.Delete(gctx, in.Name); err != nil {
					return err
				}
				removed.Add(1)
				add(1)
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return fmt.Errorf("%d of %d objects are removed; run gc again: %w", removed.Load(), len(doomed), err)
		}
	}
	return nil
}
