package sync

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	gosync "sync"
	"time"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/vfs"
)

// How a ref is swapped where the store takes few writes of one object.
const (
	writePause   = time.Second            // between two writes of a ref, once the store has refused one as too early
	pauseKept    = time.Minute            // how long after the last refusal that is heeded
	putPatience  = 30 * time.Second       // of one try
	swapPatience = 2 * time.Minute        // of all tries
	putPauseLow  = 100 * time.Millisecond // before the second try, where the store is not one of few writes
)

// When small packs of a list are joined, and how far a walk goes before all refs are asked.
const (
	smallPacks = 64
	nearWalk   = 8
)

// Keeper changes the refs of a database that is worked on where it is, in a bucket: chunks first, then the refs that name them, each on the
// condition that it is what was read. It is used by many goroutines; what it knows of refs is what it has read or written last.
type Keeper struct {
	Remote *Remote
	Store  *pack.Store
	FS     vfs.FS // of the store
	Temp   string // a directory for packs while they are sent

	mu    gosync.Mutex
	refs  map[string]Ref
	seen  time.Time                 // when all refs were read last, which named the lists then
	lists map[hash.Hash][]Pack      // of refs
	sent  map[hash.Hash][]hash.Hash // chunks of small packs
	paces map[string]*pace
}

// pace is how fast a ref may be written.
type pace struct {
	wrote   time.Time     // when it was written last, as far as is known
	refused time.Time     // when a write was refused as too early; zero for never
	prepare time.Duration // how long it took to send what the last one names
}

// Swap is a ref of a kept database to be changed.
type Swap struct {
	From Ref    // as Look or Read gave it
	To   Target // without a list; zero for no ref
	Work history.CommitID
	Open Unfinished // what is in progress, in the store
	// Runs is what the branch tells of runs from then on, as Ref.Runs has it: what it tells already, a commit in the store without a list, which is
	// sent, or nothing.
	Runs Target
	// Wrote is what the branch notes of writes from then on: see Noting.
	Wrote []Wrote
}

// Look reads all refs, those of stashes, too: see Remote.RefsAndRuns.
func (k *Keeper) Look(ctx context.Context) (map[string]Ref, []Ref, error) {
	began := clock.System{}.Now()
	refs, all, err := k.Remote.allRefs(ctx)
	if err != nil {
		return nil, nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refs, k.seen = maps.Clone(refs), began
	k.forget()
	return refs, telling(all), nil
}

// BackedUp is the branches of which the place holds uncommitted changes as a backup has them, as of the last Look: they are no changes of the branches
// that are worked on, and are forgotten when these move.
func (k *Keeper) BackedUp() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []string
	for _, n := range names(k.refs) {
		if b, ok := strings.CutPrefix(n, Work); ok {
			out = append(out, b)
		}
	}
	return out
}

// Read reads one ref; one that is not there is one without a target.
func (k *Keeper) Read(ctx context.Context, name string) (Ref, error) {
	x, err := k.Remote.ref(ctx, name)
	if err != nil {
		return x, fmt.Errorf("read the ref %s of %s: %w", name, k.Remote.URL(), err)
	}
	k.note(x)
	return x, nil
}

// note remembers a ref.
func (k *Keeper) note(x Ref) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.refs == nil {
		k.refs = map[string]Ref{}
	}
	if x.IsZero() {
		delete(k.refs, x.Name)
	} else {
		k.refs[x.Name] = x
	}
	k.forget()
}

// forget forgets lists that no ref names. The caller holds the lock.
func (k *Keeper) forget() {
	if len(k.lists) <= 2*len(k.refs)+smallPacks {
		return
	}
	named := map[hash.Hash]bool{}
	for _, x := range k.refs {
		named[x.List] = true
	}
	maps.DeleteFunc(k.lists, func(h hash.Hash, _ []Pack) bool { return !named[h] })
}

// Ready waits until the refs may be written again, less the time that it takes to send what they name: who has several changes of one ref
// gathers them meanwhile.
func (k *Keeper) Ready(ctx context.Context, names ...string) error {
	return k.wait(ctx, true, names...)
}

func (k *Keeper) wait(ctx context.Context, early bool, names ...string) error {
	k.mu.Lock()
	var until time.Time
	for _, n := range names {
		p := k.paces[n]
		if p == nil || p.refused.IsZero() || clock.Since(p.refused) > pauseKept {
			continue
		}
		at := p.wrote.Add(writePause)
		if early {
			at = at.Add(-p.prepare)
		}
		if at.After(until) {
			until = at
		}
	}
	k.mu.Unlock()
	return rest(ctx, -clock.Since(until))
}

// rest waits.
func rest(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return errs.With(errs.Canceled, ctx.Err())
	case <-t.C:
		return nil
	}
}

// pace changes what is known of the pace of a ref.
func (k *Keeper) pace(name string, fn func(p *pace)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.paces == nil {
		k.paces = map[string]*pace{}
	}
	if k.paces[name] == nil {
		k.paces[name] = &pace{}
	}
	fn(k.paces[name])
}

// Swap makes the refs what they are to be, all or none, and gives them as they are then. A ref that is not what was read is an error of class
// Conflict, and nothing was changed. An error of class Unavailable leaves open whether the refs were changed.
func (k *Keeper) Swap(ctx context.Context, swaps []Swap) ([]Ref, error) {
	began := clock.System{}.Now()
	list, runs, packs, err := k.sendAll(ctx, swaps)
	if err != nil {
		return nil, fmt.Errorf("write to %s: %w", k.Remote.URL(), err)
	}
	moves := make([]move, len(swaps))
	out := make([]Ref, len(swaps))
	for i, s := range swaps {
		m := move{from: s.From, to: s.To, work: s.Work, open: s.Open, runs: s.Runs, wrote: s.Wrote, kept: true}
		if s.tells() {
			m.runs.List = runs
		}
		if !m.to.IsZero() {
			m.to.List = list
		}
		moves[i] = m
		took := clock.Since(began)
		k.pace(s.From.Name, func(p *pace) { p.prepare = took })
	}
	if len(moves) == 1 {
		out[0], err = k.swap(ctx, moves[0])
	} else {
		err = k.Remote.updateAll(ctx, moves)
		for i := range moves {
			if err != nil {
				break
			}
			k.pace(moves[i].from.Name, func(p *pace) { p.wrote = clock.System{}.Now() })
			x, e := k.Remote.ref(ctx, moves[i].from.Name)
			if to := moves[i].ref(); e != nil || !x.says(to) {
				x = to // it is done, and perhaps it was changed again since: what follows reads it
			}
			out[i] = x
		}
	}
	if err != nil {
		return nil, fmt.Errorf("write to %s: %w", k.Remote.URL(), err)
	}
	for _, x := range out {
		k.note(x)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lists == nil {
		k.lists = map[hash.Hash][]Pack{}
	}
	if !list.IsZero() {
		k.lists[list] = packs
	}
	return out, nil
}

// ref is the ref as the move makes it, of no generation.
func (m move) ref() Ref {
	return Ref{Name: m.from.Name, Target: m.to, Work: m.work, Open: m.open, Runs: m.runs, Wrote: m.wrote}
}

// tells tells whether the branch is to tell of runs what it has not told before.
func (s *Swap) tells() bool { return !s.Runs.Commit.IsZero() && s.Runs.List.IsZero() }

// swap puts one ref, slower where the store says that it is written too often.
func (k *Keeper) swap(ctx context.Context, m move) (Ref, error) {
	if err := k.Remote.giveUp(ctx, m.from); err != nil {
		return Ref{}, err
	}
	name, v := m.from.Name, m.value()
	s := object.Once(k.Remote.s)
	body := v.encode(name)
	began, pause := clock.System{}.Now(), putPauseLow
	for try := 0; ; try++ {
		if err := k.wait(ctx, false, name); err != nil {
			return Ref{}, err
		}
		one, cancel := context.WithTimeout(ctx, putPatience)
		err := s.Put(one, refObject(name), object.Bytes(body), object.If(m.from.gen))
		late := one.Err() != nil && ctx.Err() == nil
		cancel()
		if late {
			err = errs.With(errs.Unavailable, err)
		}
		now := clock.System{}.Now()
		switch {
		case err == nil:
			k.pace(name, func(p *pace) { p.wrote = now })
			return k.put(ctx, m, v, body)
		case errs.Is(err, errs.Conflict):
			k.pace(name, func(p *pace) { p.wrote = now })
			return k.settled(ctx, m, v, try == 0)
		case !errs.Is(err, errs.Unavailable) || ctx.Err() != nil:
			return Ref{}, err
		case clock.Since(began) > swapPatience:
			return Ref{}, errs.New(errs.Unavailable, "it is not known whether the change was made, look at what is there: %w", err)
		}
		if !late && !object.Unanswered(err) { // perhaps it is written too often
			k.pace(name, func(p *pace) {
				p.refused = now
				if now.Sub(p.wrote) > writePause { // by somebody else
					p.wrote = now
				}
			})
		}
		if err := rest(ctx, pause/2+rand.N(pause/2+1)); err != nil {
			return Ref{}, err
		}
		pause = min(2*pause, writePause)
	}
}

// put is the ref that a put has made.
func (k *Keeper) put(ctx context.Context, m move, v value, body []byte) (Ref, error) {
	x := m.ref()
	x.raw = v
	data, gen, err := k.Remote.s.Get(ctx, refObject(x.Name))
	if err == nil && string(data) == string(body) { // else it was changed again since, which the next swap finds out
		x.gen = gen
	}
	return x, nil
}

// settled tells what became of a put whose condition did not hold: an earlier try of it may have been done, and others may have changed the ref
// since, who keep what it was. With first there was none.
func (k *Keeper) settled(ctx context.Context, m move, v value, first bool) (Ref, error) {
	x, err := k.Remote.ref(ctx, m.from.Name)
	switch {
	case err != nil && first && !errs.Is(err, errs.Unavailable): // as when a newer program has written it
		return x, fmt.Errorf("the change was not made: %w", err)
	case err != nil:
		return x, errs.New(errs.Unavailable, "it is not known whether the change was made, look at what is there: %w", err)
	}
	past := x.raw.past()
	switch {
	case slices.Contains(past, v.nonce):
		if err := k.Remote.s.Settle(ctx, refObject(x.Name)); err != nil {
			return x, errs.New(errs.Unavailable, "the change was made, but it is not known whether it lasts, look at what is there: %w", err)
		}
		if x.raw.nonce != v.nonce {
			x = m.ref()
			x.raw = v
		}
		return x, nil
	case first, !x.raw.kept, len(x.raw.was) < wasMost, slices.Contains(past, m.from.raw.nonce):
		return x, errMoved(x.Name)
	}
	return x, errs.New(errs.Unavailable, "it is not known whether the change was made: others have changed %s very often since; look at what is there", x.Name)
}
