package op

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/table"
)

// bringPart fetches of what refs reach what belongs to the part that the database is, and notes what it will lack.
func bringPart(ctx context.Context, s *Scope, f *sync.Fetch, refs []sync.Ref) (*pack.Batch, error) {
	p := s.Repo.Partial()
	part := sync.Part{Tables: p, Bare: p.Lazy}
	cut, err := cutCommits(ctx, s, p)
	if err != nil {
		return nil, err
	}
	for i, c := range cut { // nothing older than what is there
		if i == 0 || c.Height < part.Floor {
			part.Floor = c.Height
		}
	}
	var targets []sync.Target
	for _, x := range refs {
		if targets = append(targets, x.Target); x.Name == sync.Lineage {
			part = sync.Part{Bare: p.Lazy}
		}
	}
	batch, shallow, err := f.Some(ctx, targets, part)
	if err != nil {
		return nil, err
	}
	if err := s.Repo.LackMore(shallow, targets); err != nil {
		return nil, errors.Join(err, batch.Close())
	}
	return batch, nil
}

// named are the commits that the database names, from before a fetch, for fillPart; nil where nothing is filled: the whole, and what reads from the
// remote what it lacks.
func named(ctx context.Context, s *Scope) (out []history.CommitID, err error) {
	if p := s.Repo.Partial(); p == nil || p.Tables == nil || p.Lazy {
		return nil, nil
	}
	want, err := s.Repo.Wanted(ctx)
	for _, t := range want {
		out = append(out, t.Commit)
	}
	return out, err
}

// fillPart brings into a part of some tables what older programs left at the remote, of all the commits that are here: system tables, where the part was
// made by such a program, and outlines of tables that are not here, where one that the database names lacks them, or did before the fetch. Where the remote
// has not got them any more it is as it was, and that is a hint.
func fillPart(ctx context.Context, s *Scope, r *sync.Remote, refs map[string]sync.Ref, before []history.CommitID) (hints []string, err error) {
	commits, err := named(ctx, s)
	if err != nil || commits == nil {
		return nil, err
	}
	p := s.Repo.Partial()
	lacking := slices.DeleteFunc(repo.SystemTables(), p.HasTable)
	if len(lacking) == 0 {
		whole, err := hasOutlines(ctx, s.Repo.Store().Local(), p, slices.Concat(before, commits))
		if err != nil || whole {
			return nil, err
		}
		lacking = []string{} // nil would be all tables
	}
	incoming, done, err := s.Repo.Incoming()
	if err != nil {
		return nil, err
	}
	defer done()
	f := &sync.Fetch{Remote: r, Store: s.Repo.Store(), FS: s.Repo.FS(), Incoming: incoming, Progress: s.syncProgress()}
	batch, err := f.Fill(ctx, lists(refs), commits, &sync.Partial{Tables: lacking})
	if errs.Is(err, errs.NotFound) {
		return []string{fmt.Sprintf("system tables or schemas of the database could not be brought, the remote has not got all of them any more: %v", err)}, nil
	}
	if err != nil {
		return nil, err
	}
	return nil, errors.Join(s.Repo.Fill(ctx, batch, lacking), batch.Close())
}

// hasOutlines tells whether the outlines of the tables that a part has not are there, of those of the commits that are.
func hasOutlines(ctx context.Context, rd *pack.LocalReader, p *sync.Partial, commits []history.CommitID) (bool, error) {
	seen := map[hash.Hash]bool{}
	for _, id := range commits {
		there, err := rd.Has(ctx, id)
		if err != nil {
			return false, err
		}
		if seen[id] || !there {
			continue
		}
		seen[id] = true
		c, err := history.GetCommit(ctx, rd, id)
		if err != nil {
			return false, err
		}
		es, err := root.Open(rd, c.Root).List(ctx, root.KindTable)
		if err != nil {
			return false, err
		}
		for _, e := range es {
			if seen[e.Table] || p.HasTable(e.Name) {
				continue
			}
			seen[e.Table] = true
			data, err := rd.Get(ctx, e.Table)
			if chunk.IsAbsent(err) {
				return false, nil
			}
			if err != nil {
				return false, err
			}
			t, err := table.Decode(data)
			if err != nil {
				return false, err
			}
			if there, err = rd.Has(ctx, t.Schema); err != nil || !there {
				return false, err
			}
		}
	}
	return true, nil
}

// cutCommits are the commits whose parents are missing. What is noted may have been collected as garbage since, or never have come.
func cutCommits(ctx context.Context, s *Scope, p *sync.Partial) (out []*history.Commit, err error) {
	for _, id := range p.Shallow {
		c, err := history.GetCommit(ctx, s.Repo.Store().Local(), id)
		if errs.Is(err, errs.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// complete brings what the database lacks.
func (c *Fetch) complete(ctx context.Context, s *Scope, r *sync.Remote, refs map[string]sync.Ref) (err error) {
	p := s.Repo.Partial()
	switch {
	case c.Whole && c.Old:
		return errFlags("complete", "unshallow")
	case p == nil:
		return errs.New(errs.NothingToDo, "the database lacks nothing: it is no part of another")
	case c.Old && len(p.Shallow) == 0:
		return errs.New(errs.NothingToDo, "the database lacks no older history")
	}
	incoming, done, err := s.Repo.Incoming()
	if err != nil {
		return err
	}
	defer done()
	f := &sync.Fetch{Remote: r, Store: s.Repo.Store(), FS: s.Repo.FS(), Incoming: incoming, Progress: s.syncProgress()}
	all := lists(refs)
	if c.Old {
		targets := slices.Clone(all)
		cut, err := cutCommits(ctx, s, p)
		if err != nil {
			return err
		}
		for _, cm := range cut {
			for _, parent := range cm.Parents {
				targets = append(targets, sync.Target{Commit: parent})
			}
		}
		batch, _, err := f.Some(ctx, targets, sync.Part{Tables: p})
		if err != nil {
			return err
		}
		return errors.Join(s.Repo.Complete(ctx, batch, true), batch.Close())
	}
	want, err := s.Repo.Wanted(ctx)
	if err != nil {
		return err
	}
	packs, err := r.Packs(ctx, all...)
	if err != nil {
		return err
	}
	batch, err := f.Run(ctx, packs, want, nil)
	if errs.Is(err, errs.Corrupt) {
		return c.incomplete(ctx, s, f, packs, refs, err)
	}
	if err != nil {
		return err
	}
	if err := errors.Join(s.Repo.Complete(ctx, batch, false), batch.Close()); err != nil {
		return err
	}
	f.Held = sync.HeldIn(s.Repo.FS(), s.Repo.Dir())
	return f.Landed()
}

// incomplete says which branches and tags of the database need what the remote has not got any more, though it has all that its own refs reach;
// it is err where that is something else.
func (c *Fetch) incomplete(ctx context.Context, s *Scope, f *sync.Fetch, packs []sync.Pack, refs map[string]sync.Ref, err error) error {
	var theirs []sync.Target
	var have []history.CommitID
	for _, x := range refs {
		theirs, have = append(theirs, x.Target), append(have, x.Commit)
	}
	batch, failed := f.Run(ctx, packs, theirs, nil)
	if failed != nil {
		return err
	}
	var here, gone, others []string
	lacks := func(to *[]string, name string, t sync.Target) error {
		lacks, err := f.Lacks(ctx, batch, t, have)
		if lacks {
			*to = append(*to, "'"+name+"'")
		}
		return err
	}
	for _, b := range s.Repo.Branches() {
		failed = errors.Join(failed, lacks(&here, b.Name, sync.Target{Commit: b.Head}))
	}
	for _, b := range s.Repo.Tracks() {
		to := &others
		if strings.HasPrefix(b.Name, c.Remote+"/") {
			to = &gone
		}
		failed = errors.Join(failed, lacks(to, b.Name, sync.Target{Commit: b.Head}))
	}
	tags, e := s.Repo.TagObjects(ctx)
	failed = errors.Join(failed, e)
	for _, t := range tags {
		failed = errors.Join(failed, lacks(&here, t.Name, sync.Target{Commit: t.Commit, Tag: t.Object}))
	}
	if failed = errors.Join(failed, batch.Close()); failed != nil {
		return failed
	}
	var say []string
	if len(gone) > 0 {
		say = append(say, fmt.Sprintf("%s, which it has no more: forget that with '%s fetch --prune %s', and repeat this", strings.Join(gone, ", "), s.Program(), c.Remote))
	}
	if len(others) > 0 {
		say = append(say, fmt.Sprintf("%s of another remote: name that one in '%s fetch --complete <remote>'", strings.Join(others, ", "), s.Program()))
	}
	if len(here) > 0 {
		say = append(say, fmt.Sprintf("%s, which is on commits that were removed there: bring them with '%[2]s fetch --complete <remote>' from a remote that has them still, or give it up (%[2]s reset --hard, branch -D, tag -d), and repeat this", strings.Join(here, ", "), s.Program()))
	}
	if len(say) == 0 {
		return err
	}
	return errs.New(errs.NotFound, "the database cannot be made whole: the remote '%s' has not got any more all that this needs: %s", c.Remote, strings.Join(say, "; and "))
}
