package repo

import (
	"context"
	"slices"
	"sync"

	"github.com/stemmadb/stemma/internal/lineage"
)

// ReadsIn are the databases in which reads of a run are recorded. It may be used by several goroutines.
type ReadsIn struct {
	mu sync.Mutex
	in []*Repo
}

// Add adds a database.
func (x *ReadsIn) Add(r *Repo) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !slices.Contains(x.in, r) {
		x.in = append(slices.DeleteFunc(x.in, func(r *Repo) bool { return r.closed.Load() }), r)
	}
}

// but are the databases that are open, without one.
func (x *ReadsIn) but(r *Repo) []*Repo {
	if x == nil {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(x.in), func(from *Repo) bool { return from == r || from.closed.Load() })
}

type readsInKey struct{}

// WithReadsIn is a context in which a commit of a run takes over what is recorded of the run's reads in other databases, so that the
// database which has what the run wrote has what it was written from.
func WithReadsIn(ctx context.Context, in *ReadsIn) context.Context {
	return context.WithValue(ctx, readsInKey{}, in)
}

// readsElsewhere are the reads of a run that the context's other databases have, and this one has not. No lock of the lineage may be held.
func (r *Repo) readsElsewhere(ctx context.Context, run string) ([]lineage.Input, error) {
	all, _ := ctx.Value(readsInKey{}).(*ReadsIn)
	in := all.but(r)
	if run == "" || len(in) == 0 {
		return nil, nil
	}
	known, err := r.Lineage().InputsOf(ctx, run)
	if err != nil {
		return nil, err
	}
	var out []lineage.Input
	for _, from := range in {
		if err := from.FlushReads(ctx); err != nil {
			return nil, err
		}
		theirs, err := from.Lineage().InputsOf(ctx, run)
		if err != nil {
			return nil, err
		}
		for _, x := range theirs {
			if !slices.ContainsFunc(known, func(k lineage.Input) bool { return sameRead(k, x) }) {
				known, out = append(known, x), append(out, x)
			}
		}
	}
	return out, nil
}

// sameRead tells whether two records are of one read, by what makes reads differ.
func sameRead(a, b lineage.Input) bool {
	return a.DB == b.DB && a.Table == b.Table && a.Hash == b.Hash && a.Commit == b.Commit && a.Ref == b.Ref && a.Columns == b.Columns &&
		a.Node == b.Node && a.Attempt == b.Attempt && a.Alias == b.Alias && (a.Table != "" || a.Query == b.Query)
}
