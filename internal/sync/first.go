package sync

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
)

// firstName is the object that names the change by which a remote got its first ref.
const firstName = "first"

// updateFirst gives a remote its first ref: of several that do so at once, with whatever names, one succeeds, and for the others it is an error of
// class Conflict. Where they have given each other up, so that there is no ref, it tries again.
func (r *Remote) updateFirst(ctx context.Context, m move) error {
	for range claimTries {
		err := r.tryFirst(ctx, m)
		if !errs.Is(err, errs.Conflict) {
			return err
		}
		refs, e := r.Refs(ctx)
		if e != nil {
			return e
		}
		if len(refs) > 0 {
			return err
		}
		if m.from, e = r.ref(ctx, m.from.Name); e != nil {
			return e
		}
		if !m.from.IsZero() {
			return err
		}
		if e := rest(ctx, rand.N(firstPause)); e != nil {
			return e
		}
	}
	return errs.New(errs.Unavailable, "others make the first branch of %s all the time; try again", r.URL())
}

// firstPause bounds the pause after which one that was given up for the first ref tries again.
const firstPause = 100 * time.Millisecond

// tryFirst is a try of updateFirst. The ref is announced with a change, as one of several refs is (R4); the object first says which change may be
// committed. Who finds another's there gives that up, and has failed where it was committed before; so who dies is in nobody's way.
func (r *Remote) tryFirst(ctx context.Context, m move) error {
	if err := r.giveUp(ctx, m.from); err != nil {
		return err
	}
	id := nonce()
	if err := r.put(ctx, m.from, m.announced(id)); err != nil {
		return err
	}
	err := r.beFirst(ctx, id)
	if err == nil {
		err = r.s.Put(ctx, changesDir+id, object.Bytes([]byte(outcomeDone)), object.IfAbsent)
	}
	if err == nil {
		r.tidy(ctx, m, id)
		return nil
	}
	if errs.Is(err, errs.Conflict) {
		// Nobody commits it any more; without it there is nothing for others to ask about.
		if e := r.s.Put(ctx, changesDir+id, object.Bytes([]byte(outcomeGiven)), object.IfAbsent); e == nil || errs.Is(e, errs.Conflict) {
			r.tidy(ctx, move{from: m.from}, id)
		}
		err = errs.New(errs.Conflict, "somebody else has made the first branch of %s", r.URL())
	}
	return err
}

// beFirst makes the object first name the change. It is an error of class Conflict when another change was faster.
func (r *Remote) beFirst(ctx context.Context, id string) error {
	on := object.IfAbsent
	for range claimTries {
		err := r.s.Put(ctx, firstName, object.Bytes([]byte(id)), on)
		if !errs.Is(err, errs.Conflict) {
			return err
		}
		other, gen, err := r.s.Get(ctx, firstName)
		if err != nil {
			return err
		}
		if err := object.CheckName(changesDir + string(other)); err != nil {
			return errs.New(errs.Corrupt, "the object %s of the remote %s cannot be understood: %w", firstName, r.URL(), err)
		}
		err = r.s.Put(ctx, changesDir+string(other), object.Bytes([]byte(outcomeGiven)), object.IfAbsent)
		if err != nil && !errs.Is(err, errs.Conflict) {
			return err
		}
		// It is decided. If it was committed its ref is there, unless that was removed since.
		refs, err := r.Refs(ctx)
		if err != nil {
			return err
		}
		if len(refs) > 0 {
			return errs.New(errs.Conflict, "there are branches already")
		}
		on = object.If(gen)
	}
	return errs.New(errs.Unavailable, "others make the first branch of %s all the time; try again", r.URL())
}
