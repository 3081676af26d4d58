package sync

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/object"
)

// move is a ref to be changed, from what was read to what it is to be.
type move struct {
	from  Ref
	to    Target
	work  history.CommitID // uncommitted changes
	open  Unfinished       // what is in progress
	runs  Target           // what it tells of runs, of a kept one; others tell what they have told
	wrote []Wrote          // likewise
	kept  bool             // the ref is one of a database that is worked on at the remote
}

// value is what the ref's object becomes.
func (m move) value() value {
	if m.kept && m.from.raw.nonce != "" {
		m.from.raw.kept = true
	}
	v := m.from.after(m.to)
	v.kept, v.work, v.open = v.kept || m.kept, m.work, m.open
	if m.kept {
		v.runs, v.wrote = m.runs, m.wrote
	}
	return v
}

// errMoved is the error for a ref that is not what was read.
func errMoved(name string) error {
	return errs.New(errs.Conflict, "the ref %s of the remote was changed by somebody else meanwhile", name)
}

// update changes one ref (R3).
func (r *Remote) update(ctx context.Context, m move) error {
	if err := r.giveUp(ctx, m.from); err != nil {
		return err
	}
	return r.put(ctx, m.from, m.value())
}

// put replaces the object of a ref by another value, if it is as it was read.
func (r *Remote) put(ctx context.Context, from Ref, v value) error {
	err := r.s.Put(ctx, refObject(from.Name), object.Bytes(v.encode(from.Name)), object.If(from.gen))
	if errs.Is(err, errs.Conflict) && from.IsZero() && from.gen != "" { // a collection has removed what was left of it, and it is still not there
		err = r.s.Put(ctx, refObject(from.Name), object.Bytes(v.encode(from.Name)), object.IfAbsent)
	}
	if errs.Is(err, errs.Conflict) {
		return errMoved(from.Name)
	}
	return err
}

func nonce() string { return strings.ToLower(rand.Text()) }

// giveUp ends an undecided change that stands in a ref. When it turns out to have been committed meanwhile, the ref is not what was read.
func (r *Remote) giveUp(ctx context.Context, x Ref) error {
	before := Ref{Target: x.raw.Target, Work: x.raw.work, Open: x.raw.open, Runs: x.raw.runs, Wrote: x.raw.wrote}
	after := Ref{Target: x.raw.next, Work: x.raw.nextWork, Open: x.raw.nextOpen, Runs: x.raw.nextRuns, Wrote: x.raw.nextWrote}
	if x.raw.change == "" || before.says(after) || !x.says(before) {
		return nil
	}
	err := r.s.Put(ctx, changesDir+x.raw.change, object.Bytes([]byte(outcomeGiven)), object.IfAbsent)
	if !errs.Is(err, errs.Conflict) {
		return err
	}
	done, err := r.outcome(ctx, x.raw.change)
	if err == nil && done {
		err = errMoved(x.Name)
	}
	return err
}

// updateAll changes several refs at once (R4): it announces the change in each, decides, and tidies up. What it leaves when it dies is decided
// by whoever meets it.
func (r *Remote) updateAll(ctx context.Context, moves []move) error {
	if len(moves) == 1 {
		return r.update(ctx, moves[0])
	}
	id := nonce()
	for _, m := range moves {
		if err := r.giveUp(ctx, m.from); err != nil {
			return err
		}
		if err := r.put(ctx, m.from, m.announced(id)); err != nil {
			// Those that were announced read as they were; the outcome spares others the question.
			if e := r.s.Put(ctx, changesDir+id, object.Bytes([]byte(outcomeGiven)), object.IfAbsent); e != nil && !errs.Is(e, errs.Conflict) {
				return fmt.Errorf("%w (and give up the change: %w)", err, e)
			}
			return err
		}
	}
	err := r.s.Put(ctx, changesDir+id, object.Bytes([]byte(outcomeDone)), object.IfAbsent)
	if errs.Is(err, errs.Conflict) {
		return errs.New(errs.Conflict, "another push to %s gave this one up to go ahead; push again", r.URL())
	}
	if err != nil {
		return err
	}
	for _, m := range moves {
		r.tidy(ctx, m, id)
	}
	return nil
}

// announced is the value of the move's ref while the change of that id, which the move is part of, is not decided.
func (m move) announced(id string) value {
	v := m.value()
	v.nextRuns, v.nextWrote = v.runs, v.wrote
	v.wrote = m.from.Wrote
	v.Target, v.work, v.open, v.runs, v.change = m.from.Target, m.from.Work, m.from.Open, m.from.Runs, id
	v.next, v.nextWork, v.nextOpen = m.to, m.work, m.open
	return v
}

// tidy puts a ref plainly whose change is decided. One that is not tidied up says the same.
func (r *Remote) tidy(ctx context.Context, m move, id string) {
	x, err := r.ref(ctx, m.from.Name)
	if err != nil || x.raw.change != id {
		return
	}
	v := x.after(m.to)
	v.work, v.open = m.work, m.open
	_ = r.put(ctx, x, v)
}

// moved tells whether refs are, durably, what they were to become: a remote that was cut off when it had moved them answers who asks again that
// they are not what was read.
func (r *Remote) moved(ctx context.Context, moves []move) bool {
	for _, m := range moves {
		x, err := r.ref(ctx, m.from.Name)
		if err != nil || x.Commit != m.to.Commit || x.Tag != m.to.Tag {
			return false
		}
		err = r.s.Settle(ctx, refObject(m.from.Name))
		if err != nil && !(m.to.IsZero() && errs.Is(err, errs.NotFound)) {
			return false
		}
	}
	return true
}

// names are the sorted names of refs.
func names(refs map[string]Ref) []string { return slices.Sorted(maps.Keys(refs)) }
