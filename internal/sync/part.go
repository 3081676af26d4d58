package sync

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
)

// Part says which part of what refs reach is to be fetched. The zero Part is all of it.
type Part struct {
	Depth  int      // commits on each way from a ref, the ref's own included; 0 for all
	Floor  uint64   // commits that are less high are left out
	Tables *Partial // of tables that it has not only the outlines come: their schemas and how many rows they have; nil for all of all
	Bare   bool     // only the commits of the refs, nothing of what they hold
}

// Some fetches a part of what the targets reach: commits down to those that the store has, and what they hold. It returns the chunks, and the
// commits that have parents which are neither here nor fetched. Chunks are read by their hashes, those that were written together at once:
// see Source.
func (f *Fetch) Some(ctx context.Context, targets []Target, part Part) (batch *pack.Batch, shallow []history.CommitID, err error) {
	src := &Source{Remote: f.Remote}
	if err := src.Add(ctx, targets...); err != nil {
		return nil, nil, err
	}
	add, done := f.Progress.start("fetch", 0, "chunks")
	defer func() { done(err) }()
	batch = f.Store.NewBatch()
	g := &growing{Batch: batch, local: f.Store.Local(), src: src, add: add}
	shallow, err = f.partOf(ctx, g, targets, part)
	if err != nil {
		return nil, nil, errors.Join(err, batch.Close())
	}
	return batch, shallow, nil
}

func (f *Fetch) partOf(ctx context.Context, g *growing, targets []Target, part Part) (shallow []history.CommitID, err error) {
	taken := map[history.CommitID]*history.Commit{}
	var level []history.CommitID
	for _, t := range targets {
		if !t.Commit.IsZero() { // one that is only a list says where chunks may be
			level = append(level, t.Commit)
		}
		if t.Tag.IsZero() {
			continue
		}
		if err := g.ensure(ctx, t.Tag); err != nil {
			return nil, err
		}
		tag, err := history.GetTag(ctx, g, t.Tag)
		if err != nil {
			return nil, err
		}
		if tag.Commit != t.Commit {
			return nil, errs.New(errs.Corrupt, "a tag of the remote %s names commit %s, its ref says %s", f.Remote.URL(), tag.Commit, t.Commit)
		}
	}
	depth := part.Depth
	if part.Bare {
		depth = 1
	}
	for n := 1; len(level) > 0 && (depth == 0 || n <= depth); n++ {
		var next []history.CommitID
		for _, id := range level {
			if taken[id] != nil {
				continue
			}
			there, err := g.local.Has(ctx, id)
			if err != nil {
				return nil, err
			}
			if there {
				continue
			}
			c, err := g.commit(ctx, id)
			if err != nil {
				return nil, err
			}
			if n > 1 && c.Height < part.Floor {
				continue
			}
			if err := g.ensure(ctx, id); err != nil {
				return nil, err
			}
			taken[id] = c
			next = append(next, c.Parents...)
		}
		level = next
	}
	if part.Bare {
		return nil, nil
	}
	here := func(id history.CommitID) (bool, error) {
		if taken[id] != nil {
			return true, nil
		}
		return g.local.Has(ctx, id)
	}
	var b Between
	for _, c := range taken {
		b.Commits = append(b.Commits, c)
		for _, p := range c.Parents {
			ok, err := here(p)
			if err != nil {
				return nil, err
			}
			if !ok {
				shallow = append(shallow, c.ID)
				break
			}
		}
	}
	slices.SortFunc(b.Commits, func(x, y *history.Commit) int {
		return cmp.Or(cmp.Compare(x.Height, y.Height), slices.Compare(x.ID[:], y.ID[:]))
	})
	slices.SortFunc(shallow, func(x, y history.CommitID) int { return slices.Compare(x[:], y[:]) })
	w := &walker{r: g, seen: map[hash.Hash]struct{}{}, visit: func(h hash.Hash) error { return g.ensure(ctx, h) }, has: here, part: part.Tables}
	return shallow, w.commits(ctx, b, func() {})
}

// Fill fetches what the store lacks of tables in the commits that these reach and that it has. lists are targets in whose packs that is looked for.
func (f *Fetch) Fill(ctx context.Context, lists []Target, commits []history.CommitID, tables *Partial) (batch *pack.Batch, err error) {
	src := &Source{Remote: f.Remote}
	if err := src.Add(ctx, lists...); err != nil {
		return nil, err
	}
	add, done := f.Progress.start("fetch", 0, "chunks")
	defer func() { done(err) }()
	batch = f.Store.NewBatch()
	local := f.Store.Local()
	g := &growing{Batch: batch, local: local, src: src, add: add}
	b, err := Commits(ctx, local, commits, nil)
	if err == nil {
		w := &walker{r: g, seen: map[hash.Hash]struct{}{}, visit: func(h hash.Hash) error { return g.ensure(ctx, h) }, part: tables}
		w.has = func(id history.CommitID) (bool, error) { return local.Has(ctx, id) }
		err = w.commits(ctx, b, func() {})
	}
	if err != nil {
		return nil, errors.Join(err, batch.Close())
	}
	return batch, nil
}

// growing is a batch into which what is asked for is fetched. It belongs to one goroutine.
type growing struct {
	*pack.Batch
	local *pack.LocalReader
	src   *Source
	add   func(int64)
	has   map[hash.Hash]struct{}
}

// ensure fetches a chunk unless it is here.
func (g *growing) ensure(ctx context.Context, h hash.Hash) error {
	if _, ok := g.has[h]; ok {
		return nil
	}
	if g.has == nil {
		g.has = map[hash.Hash]struct{}{}
	}
	ok, err := g.Has(ctx, h)
	if err != nil {
		return err
	}
	if !ok {
		if err := ctx.Err(); err != nil {
			return errs.With(errs.Canceled, err)
		}
		rec, err := g.src.Record(ctx, h)
		if err == nil {
			err = g.PutRecord(ctx, rec, nil)
		}
		if err != nil {
			return err
		}
		g.add(1)
	}
	g.has[h] = struct{}{}
	return nil
}

// commit reads a commit that need not be here afterwards: where a commit is, its history goes on.
func (g *growing) commit(ctx context.Context, id history.CommitID) (*history.Commit, error) {
	rec, err := g.src.Record(ctx, id)
	if err != nil {
		return nil, chunk.NameAbsent(err, "commit "+id.String())
	}
	_, data, err := pack.DecodeRecord(rec)
	if err != nil {
		return nil, err
	}
	c, err := history.DecodeCommit(data)
	if err != nil {
		return nil, err
	}
	c.ID = id
	return c, nil
}

// Get implements chunk.Reader.
func (g *growing) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	if err := g.ensure(ctx, h); err != nil {
		return nil, err
	}
	return g.Batch.Get(ctx, h)
}

// View implements chunk.Viewer.
func (g *growing) View(ctx context.Context, h hash.Hash, open func(data []byte) (v any, size int, err error)) (any, error) {
	if err := g.ensure(ctx, h); err != nil {
		return nil, err
	}
	return g.Batch.View(ctx, h, open)
}

// AppendChunk implements chunk.Appender.
func (g *growing) AppendChunk(ctx context.Context, dst []byte, h hash.Hash) ([]byte, error) {
	if err := g.ensure(ctx, h); err != nil {
		return nil, err
	}
	return g.Batch.AppendChunk(ctx, dst, h)
}
