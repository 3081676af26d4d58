package lineage

import (
	"cmp"
	"context"
	"time"

	"github.com/stemmadb/stemma/internal/value"
)

// JoinRuns is what two databases that recorded one run know of it together. It does not depend on the order in which runs are joined, nor
// on how often: of every field it has the greater value, where none is less than any; of ends the last, with what goes with it.
func JoinRuns(a, b Run) Run {
	r := a
	if a.System == Anonymous && b.System != Anonymous || (a.System == Anonymous) == (b.System == Anonymous) && b.System > a.System {
		r.System = b.System
	}
	for _, x := range []struct {
		to   *string
		from string
	}{
		{&r.ExternalID, b.ExternalID}, {&r.Parent, b.Parent}, {&r.Job, b.Job}, {&r.User, b.User}, {&r.Host, b.Host}, {&r.Params, b.Params},
		{&r.BaseCommit, b.BaseCommit}, {&r.Branch, b.Branch}, {&r.Message, b.Message},
	} {
		*x.to = max(*x.to, x.from)
	}
	if b.GitSHA > r.GitSHA {
		r.GitSHA, r.GitDirty = b.GitSHA, b.GitDirty
	} else if b.GitSHA == r.GitSHA {
		r.GitDirty = r.GitDirty || b.GitDirty
	}
	if r.Started.IsZero() || !b.Started.IsZero() && b.Started.Before(r.Started) {
		r.Started = b.Started
	}
	if laterEnd(&b, &r) > 0 {
		r.Ended, r.State, r.Error, r.ResultCommit = b.Ended, b.State, b.Error, b.ResultCommit
	}
	r.Dropped = max(r.Dropped, b.Dropped)
	return r
}

// laterEnd compares how far runs have come.
func laterEnd(a, b *Run) int {
	moment := func(t time.Time) int64 {
		if t.IsZero() {
			return -1 << 63
		}
		return t.UnixMicro()
	}
	return cmp.Or(cmp.Compare(moment(a.Ended), moment(b.Ended)), cmp.Compare(progress(a.State), progress(b.State)),
		cmp.Compare(a.State, b.State), cmp.Compare(a.Error, b.Error), cmp.Compare(a.ResultCommit, b.ResultCommit))
}

// progress is how far a state is from the beginning of a run.
func progress(s State) int {
	switch s {
	case Start:
		return 0
	case Running:
		return 1
	}
	return 2
}

// joinRuns is the run as it is to be when it was base, nil for not there, and two databases have ours and theirs of it, nil likewise: the one
// that only one of them has changed, else what both know together.
func joinRuns(base, ours, theirs *Run) *Run {
	switch {
	case theirs == nil:
		return ours
	case ours == nil:
		return theirs
	case base != nil && sameRun(base, theirs):
		return ours
	case base != nil && sameRun(base, ours):
		return theirs
	}
	r := JoinRuns(*ours, *theirs)
	return &r
}

func sameRun(a, b *Run) bool { return runs.content(a) == runs.content(b) }

// content is what a record says, as a text that equal records have in common.
func (k *kind[T]) content(r *T) string {
	phys := make([]value.Phys, len(k.fields))
	for i, f := range k.fields {
		phys[i] = f.typ.Phys()
	}
	return string(value.AppendTuple(nil, phys, k.cells(r)))
}

// more is those of theirs that ours has not. Their numbers do not count; of equal ones there are as many as theirs has more.
func more[T any](k *kind[T], ours, theirs []T, unnumbered func(T) T) []T {
	have := map[string]int{}
	key := func(x T) string { x = unnumbered(x); return k.content(&x) }
	for _, x := range ours {
		have[key(x)]++
	}
	var out []T
	for _, x := range theirs {
		if c := key(x); have[c] > 0 {
			have[c]--
		} else {
			out = append(out, x)
		}
	}
	return out
}

// Joined is what a database takes over of a run that another one has recorded, too.
type Joined struct {
	Run     *Run     // nil when it stays as it is
	Inputs  []Input  // that are new here, with their numbers there
	Outputs []Output // likewise
	News    bool     // the other one lacks something that is known here
}

// Join compares what two databases have recorded of a run. base is what they began with, an empty book where that is not known.
func Join(ctx context.Context, base, ours, theirs *Book, uid string) (j Joined, err error) {
	var sides [3]*Run
	for i, b := range []*Book{base, ours, theirs} {
		r, ok, err := b.Run(ctx, uid)
		if err != nil {
			return j, err
		}
		if ok {
			sides[i] = &r
		}
	}
	r := joinRuns(sides[0], sides[1], sides[2])
	if r != nil && (sides[1] == nil || !sameRun(r, sides[1])) {
		j.Run = r
	}
	j.News = r != nil && (sides[2] == nil || !sameRun(r, sides[2]))
	var ins, outs [2]int
	j.Inputs, ins, err = apart(ctx, ours, theirs, inputs, uid, func(x Input) Input { x.Seq = 0; return x })
	if err != nil {
		return j, err
	}
	j.Outputs, outs, err = apart(ctx, ours, theirs, outputs, uid, func(x Output) Output { x.Seq = 0; return x })
	j.News = j.News || ins[1] > 0 || outs[1] > 0
	return j, err
}

// apart is the rows of a run that theirs has and ours has not, and how many there are of those and of the others.
func apart[T any](ctx context.Context, ours, theirs *Book, k *kind[T], uid string, unnumbered func(T) T) (lacking []T, n [2]int, err error) {
	a, err := all(ctx, ours, k, "", uid)
	if err != nil {
		return nil, n, err
	}
	b, err := all(ctx, theirs, k, "", uid)
	if err != nil {
		return nil, n, err
	}
	lacking = more(k, a, b, unnumbered)
	return lacking, [2]int{len(lacking), len(more(k, b, a, unnumbered))}, nil
}
