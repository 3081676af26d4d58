package repo

import (
	"context"
	"slices"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/sync"
)

// Partial says what the database lacks that is a part of another; nil when it is whole.
func (r *Repo) Partial() *sync.Partial { return r.partial.Load() }

// Shallow tells whether the database has not got its older history, so that commits may have ancestors in common that are not known here.
func (r *Repo) Shallow() bool {
	p := r.partial.Load()
	return p != nil && len(p.Shallow) > 0
}

// mirror is what the database lacks that only shows what is at a remote; nil for others.
func (r *Repo) mirror() *sync.Partial {
	if p := r.partial.Load(); p != nil && p.Mirror && r.bucket == nil {
		return p
	}
	return nil
}

// openPart reads what the database lacks.
func (r *Repo) openPart() error {
	p, err := sync.ReadPartial(r.fs, r.dir)
	if err == nil && p != nil {
		r.usePart(p)
	}
	return err
}

func (r *Repo) usePart(p *sync.Partial) {
	if was := r.partial.Swap(p); was != nil && !slices.Equal(was.Shallow, p.Shallow) {
		r.lineage.marking.marks.Forget()
	}
	if r.elsewhere == nil || !p.Renew(r.elsewhere) {
		r.elsewhere = p.Elsewhere(r.fs, r.dir, r.opt.ReadOnly)
	}
	r.store.SetElsewhere(r.elsewhere)
}

// LackMore notes, durably, what else the database is going to lack: it comes before the state in which that is reached. It is an error when the
// database is whole.
func (r *Repo) LackMore(shallow []history.CommitID, targets []sync.Target) error {
	p := r.partial.Load()
	if p == nil {
		return errs.New(errs.Internal, "a whole database is not made a part")
	}
	next := p.With(shallow, targets...)
	if len(next.Shallow) == len(p.Shallow) && len(next.Lists) == len(p.Lists) {
		return nil
	}
	if err := next.Write(r.fs, r.dir); err != nil {
		return err
	}
	r.usePart(next)
	return nil
}

// Complete makes the chunks of the batch, which are all that a part lacked, durable, and the database whole; with historyOnly they are the
// commits that it lacked, and it stays a part that lacks other tables, or reads from the remote what it lacks.
func (r *Repo) Complete(ctx context.Context, batch *pack.Batch, historyOnly bool) error {
	p := r.partial.Load()
	if p == nil {
		return nil
	}
	err := r.changeRefsWith(ctx, batch, func(*state) (*change, func(*state), error) { return &change{}, func(*state) {}, nil })
	if err != nil {
		return err
	}
	if historyOnly && (p.Tables != nil || p.Lazy) {
		next := *p
		next.Shallow = nil
		if err := next.Write(r.fs, r.dir); err != nil {
			return err
		}
		r.usePart(&next)
		return nil
	}
	if err := sync.EndPartial(r.fs, r.dir); err != nil {
		return err
	}
	r.partial.Store(nil)
	r.lineage.marking.marks.Forget()
	r.elsewhere = nil
	r.store.SetElsewhere(nil)
	return nil
}

// mayBeThere is what messages add about a branch, tag or commit that a part of a database does not know; "" of a whole one.
func (r *Repo) mayBeThere() string {
	p := r.partial.Load()
	if p == nil || p.Mirror {
		return ""
	}
	return "; the database is a part of " + p.URL + ": 'stemma fetch' brings the branches that are there, 'stemma fetch --complete' all history and tags"
}

// Fill makes the chunks of the batch durable, which are what a part of some tables lacked of more tables, and notes that these are there.
func (r *Repo) Fill(ctx context.Context, batch *pack.Batch, tables []string) error {
	p := r.partial.Load()
	if p == nil || p.Tables == nil {
		return nil
	}
	err := r.changeRefsWith(ctx, batch, func(*state) (*change, func(*state), error) { return &change{}, func(*state) {}, nil })
	if err != nil {
		return err
	}
	next := *p
	next.Tables = slices.Concat(p.Tables, tables)
	slices.Sort(next.Tables)
	next.Tables = slices.Compact(next.Tables)
	if err := next.Write(r.fs, r.dir); err != nil {
		return err
	}
	r.usePart(&next)
	return nil
}

// TableReader is rd for one who reads the table of that name: of a table that a part of a database has not, errors say its name.
func (r *Repo) TableReader(rd chunk.Reader, name string) chunk.Reader {
	if r.partial.Load().HasTable(name) {
		return rd
	}
	return chunk.Naming(rd, "the table "+name)
}

// Wanted is everything that names commits: what must be there for the database to be whole.
func (r *Repo) Wanted(ctx context.Context) ([]sync.Target, error) {
	var out []sync.Target
	for _, b := range slices.Concat(r.Branches(), r.Tracks()) {
		out = append(out, sync.Target{Commit: b.Head})
	}
	if b := r.published.Load().lineage; b != nil {
		out = append(out, sync.Target{Commit: b.head})
	}
	tags, err := r.TagObjects(ctx)
	for _, t := range tags {
		out = append(out, sync.Target{Commit: t.Commit, Tag: t.Object})
	}
	return out, err
}
