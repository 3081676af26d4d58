package sync

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/object"
)

// Ref is a ref of a remote as it was read.
type Ref struct {
	Name string // heads/…, tags/… or Lineage
	Target
	Work history.CommitID // the uncommitted changes of a branch of a database that is worked on at the remote; zero for none
	Open Unfinished       // what is in progress on it
	// Runs is what a branch tells of runs that Lineage may lack: a commit without parents of what is not known there. It outlasts the branch.
	Runs Target
	// Wrote is notes of the last writes to a branch that their clients may ask for again, oldest first. They outlast the branch, too.
	Wrote []Wrote
	raw   value
	gen   object.Generation
}

// Kept tells whether the ref is one of a database that is worked on at the remote, or was.
func (x Ref) Kept() bool { return x.raw.kept }

// says tells whether the ref says the same as another, whatever was read when.
func (x Ref) says(y Ref) bool {
	return x.Target == y.Target && x.Work == y.Work && x.Open == y.Open && x.Runs == y.Runs && slices.Equal(x.Wrote, y.Wrote)
}

// after is the value of the ref's object that follows the one that was read.
func (x Ref) after(to Target) value {
	v := value{Target: to, nonce: nonce(), runs: x.Runs, wrote: x.Wrote}
	if x.raw.kept || !x.Runs.IsZero() || len(x.Wrote) > 0 {
		v.kept, v.was = true, x.raw.past()
	}
	return v
}

// past is the nonces of a value and of those before it, as the next one keeps them.
func (v value) past() []string {
	all := append(slices.Clone(v.was), v.nonce)
	return all[max(len(all)-wasMost, 0):]
}

// refPasses is how often refs are read again because a push of several was decided meanwhile.
const refPasses = 10

// Refs reads all refs by name, as they were at one moment as far as pushes of several refs go (R4), but for lists of stashes, which are of those who
// work there. Objects that are no refs are passed over with a warning.
func (r *Remote) Refs(ctx context.Context) (map[string]Ref, error) {
	refs, _, err := r.RefsAndRuns(ctx)
	return refs, err
}

// RefsAndRuns is Refs, and the branches, removed ones too, that tell of runs what Lineage may lack.
func (r *Remote) RefsAndRuns(ctx context.Context) (map[string]Ref, []Ref, error) {
	refs, all, err := r.allRefs(ctx)
	maps.DeleteFunc(refs, func(name string, _ Ref) bool { return strings.HasPrefix(name, Stashes) })
	return refs, telling(all), err
}

// Seen is the refs of a remote as they were at one moment, for a push that is to change what was there then and nothing else.
type Seen struct {
	refs map[string]Ref // that are there, lists of stashes among them
	all  []Ref          // what there is of all, removed ones too
}

// See reads the refs for a push: see Refs.
func (r *Remote) See(ctx context.Context) (*Seen, error) {
	refs, all, err := r.allRefs(ctx)
	if err != nil {
		return nil, err
	}
	return &Seen{refs: refs, all: all}, nil
}

// Refs is the refs by name, without lists of stashes, as Remote.Refs gives them.
func (s *Seen) Refs() map[string]Ref {
	refs := maps.Clone(s.refs)
	maps.DeleteFunc(refs, func(name string, _ Ref) bool { return strings.HasPrefix(name, Stashes) })
	return refs
}

// Telling is the branches that tell of runs, as Remote.RefsAndRuns gives them.
func (s *Seen) Telling() []Ref { return telling(slices.Clone(s.all)) }

// left is what there was of a ref that was removed or never there.
func (s *Seen) left(name string) Ref {
	for _, x := range s.all {
		if x.Name == name {
			return x
		}
	}
	return Ref{Name: name}
}

// telling is those refs that tell of runs.
func telling(all []Ref) []Ref {
	return slices.DeleteFunc(all, func(x Ref) bool { return x.Runs.IsZero() })
}

// allRefs reads the refs that are there, lists of stashes among them, and what there is of all, removed ones too.
func (r *Remote) allRefs(ctx context.Context) (map[string]Ref, []Ref, error) {
	// A push of several refs is decided by an object that is put once: when none came, all refs are as of before or of after each such push.
	decided, err := r.decided(ctx)
	for pass := 0; err == nil; pass++ {
		var names []string
		var refs map[string]Ref
		var all []Ref
		if names, err = r.list(ctx); err != nil {
			break
		}
		if refs, all, err = r.read(ctx, names); err != nil {
			break
		}
		before := decided
		if decided, err = r.decided(ctx); err == nil && slices.Equal(before, decided) {
			return refs, all, nil
		}
		if err == nil && pass >= refPasses {
			err = errs.New(errs.Unavailable, "others push several refs at once all the time; try again")
		}
	}
	return nil, nil, fmt.Errorf("read the refs of %s: %w", r.URL(), err)
}

// decided lists the outcomes of pushes of several refs.
func (r *Remote) decided(ctx context.Context) ([]object.Info, error) {
	list, err := r.s.List(ctx, changesDir)
	object.SortInfos(list)
	return list, err
}

// list is the names of the refs that there are.
func (r *Remote) list(ctx context.Context) ([]string, error) {
	list, err := r.s.List(ctx, refsDir)
	var out []string
	for _, in := range list {
		name, err := refNamed(in.Name)
		switch {
		case err == nil:
			out = append(out, name)
		case r.Warn != nil:
			r.Warn(err.Error())
		}
	}
	return out, err
}

// read reads refs, and gives those that are there, and what there is of all.
func (r *Remote) read(ctx context.Context, names []string) (map[string]Ref, []Ref, error) {
	refs := make([]Ref, len(names))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, name := range names {
		g.Go(func() (err error) {
			refs[i], err = r.ref(ctx, name)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	out := map[string]Ref{}
	for _, x := range refs {
		if !x.IsZero() {
			out[x.Name] = x
		}
	}
	return out, refs, nil
}

// ref reads one ref. One that is not there is one without a target.
func (r *Remote) ref(ctx context.Context, name string) (Ref, error) {
	data, gen, err := r.s.Get(ctx, refObject(name))
	if errs.Is(err, errs.NotFound) {
		return Ref{Name: name}, nil
	}
	if err != nil {
		return Ref{}, err
	}
	v, err := decodeValue(data, name)
	if errs.Is(err, errs.Corrupt) {
		err = errs.New(errs.Corrupt, "%w\nhint: its object at %s is %s: who has the branch removes that, and pushes again", err, r.URL(), refObject(name))
	}
	if err != nil {
		return Ref{}, err
	}
	x := Ref{Name: name, Target: v.Target, Work: v.work, Open: v.open, Runs: v.runs, Wrote: v.wrote, raw: v, gen: gen}
	if v.change != "" {
		done, err := r.outcome(ctx, v.change)
		if err != nil {
			return Ref{}, err
		}
		if done {
			x.Target, x.Work, x.Open, x.Runs, x.Wrote = v.next, v.nextWork, v.nextOpen, v.nextRuns, v.nextWrote
		}
	}
	return x, nil
}

// outcome tells whether a change was committed; one that is undecided was not.
func (r *Remote) outcome(ctx context.Context, id string) (done bool, err error) {
	said, err := r.verdict(ctx, id)
	return said == outcomeDone, err
}

// verdict is how a change was decided, outcomeDone or outcomeGiven, which it stays; "" while it is undecided.
func (r *Remote) verdict(ctx context.Context, id string) (string, error) {
	data, _, err := r.s.Get(ctx, changesDir+id)
	switch said := string(data); {
	case errs.Is(err, errs.NotFound):
		return "", nil
	case err != nil:
		return "", err
	case said == outcomeDone || said == outcomeGiven:
		return said, nil
	}
	return "", errs.New(errs.Corrupt, "the outcome %s of a push to %s cannot be understood", id, r.URL())
}
