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
	have := readsOf(known)
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
			if id := readID(&x); !have[id] {
				have[id] = true
				out = append(out, x)
			}
		}
	}
	return out, nil
}

// readIDs are what makes recorded reads of a run differ.
type readIDs struct{ db, table, hash, commit, ref, columns, node, attempt, alias, query string }

func readID(x *lineage.Input) readIDs {
	id := readIDs{x.DB, x.Table, x.Hash, x.Commit, x.Ref, x.Columns, x.Node, x.Attempt, x.Alias, ""}
	if x.Table == "" {
		id.query = x.Query
	}
	return id
}

// readsOf is which reads there are.
func readsOf(ins []lineage.Input) map[readIDs]bool {
	have := make(map[readIDs]bool, len(ins))
	for i := range ins {
		have[readID(&ins[i])] = true
	}
	return have
}
