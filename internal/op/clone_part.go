package op

import (
	"context"
	"errors"
	"maps"
	"math"
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
)

// part tells whether the clone is to be a part of the remote's database.
func (c *Clone) part() bool { return c.Depth > 0 || c.Tables != "" || c.Lazy }

// tables are the names of Tables in lower case, ascending; nil for all.
func (c *Clone) tables() []string {
	var out []string
	for t := range strings.SplitSeq(c.Tables, ",") {
		if t = strings.ToLower(strings.TrimSpace(t)); t != "" {
			out = append(out, t)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// check refuses parameters that make no sense together.
func (c *Clone) check() error {
	switch {
	case c.Depth < 0:
		return errs.New(errs.Invalid, "clone: --depth is a number of commits, not %d", c.Depth)
	case c.Lazy && c.Depth > 0:
		return errFlags("lazy", "depth")
	case c.Lazy && c.Tables != "":
		return errFlags("lazy", "tables")
	case c.Tables != "" && c.tables() == nil:
		return errs.New(errs.Invalid, "clone: --tables names no table: write --tables a,b")
	case c.Lazy && (c.Most < 1 || c.Most > math.MaxInt64>>20):
		return errs.New(errs.Invalid, "clone: --cache is a number of MiB, not %d", c.Most)
	}
	return nil
}

// fillPart fetches a part of what the refs reach, and notes in the directory of the store what it lacks.
func (c *Clone) fillPart(ctx context.Context, s *Scope, f *sync.Fetch, refs map[string]sync.Ref, got []sync.Ref, out *repo.Cloned, url, dir string) (err error) {
	var targets, runs []sync.Target
	for _, x := range got {
		if x.Name == sync.Lineage {
			runs = append(runs, x.Target)
		} else {
			targets = append(targets, x.Target)
		}
	}
	if c.Rev != "" {
		t, err := c.revision(ctx, f.Remote, url, refs)
		if err != nil {
			return err
		}
		out.Branches[0].Head = t.Commit
		if !t.Tag.IsZero() {
			out.Tags = append(out.Tags, repo.LandedTag{Name: strings.TrimPrefix(c.Rev, "refs/tags/"), Object: t.Tag, Commit: t.Commit})
		}
		targets = slices.Concat([]sync.Target{t}, lists(refs), c.elsewhere)
	}
	p := &sync.Partial{URL: url, Lazy: c.Lazy, Most: c.Most << 20, Mirror: c.mirror, Kept: c.kept}
	if own := c.tables(); own != nil { // views, documents and the like come along with every part: SQL and other verbs read them at any time
		p.Tables = slices.Concat(own, repo.SystemTables())
		slices.Sort(p.Tables)
		p.Tables = slices.Compact(p.Tables)
	}
	batch, shallow, err := f.Some(ctx, targets, sync.Part{Depth: int(c.Depth), Tables: p, Bare: c.Lazy})
	if err != nil {
		return err
	}
	out.Batch = batch
	defer func() {
		if err != nil {
			err = errors.Join(err, batch.Close())
		}
	}()
	if len(runs) > 0 {
		more, _, err := f.Some(ctx, runs, sync.Part{Bare: c.Lazy})
		if err != nil {
			return err
		}
		err = batch.Absorb(ctx, more)
		if err = errors.Join(err, more.Close()); err != nil {
			return err
		}
	}
	if err := c.checkTables(ctx, batch, out.Branches[0].Head); err != nil {
		return err
	}
	if p = p.With(shallow, slices.Concat(targets, runs)...); p.Lazy || p.Tables != nil || len(p.Shallow) > 0 {
		return p.Write(f.FS, dir)
	}
	return nil
}

// lists are targets that only say where chunks may be: in all packs of the remote.
func lists(refs map[string]sync.Ref) []sync.Target {
	var out []sync.Target
	for _, x := range refs {
		out = append(out, sync.Target{List: x.List})
	}
	return out
}

// revision is the commit of the remote that Rev names: that of a tag, a branch, or of a hash or the beginning of one. With older it is looked for in what earlier
// syncs had where it is not there now.
func (c *Clone) revision(ctx context.Context, r *sync.Remote, url string, refs map[string]sync.Ref) (sync.Target, error) {
	t, err := c.named(ctx, r, url, refs)
	if !c.older || !errs.Is(err, errs.NotFound) {
		return t, err
	}
	list, e := snapshotsOf(ctx, r)
	if e != nil {
		return t, e
	}
	all, e := r.ReadSnapshots(ctx, list)
	if e != nil || len(all) == 0 {
		return t, errors.Join(err, e)
	}
	was := map[string]sync.Ref{} // what each was last
	seen := map[hash.Hash]bool{}
	for _, x := range all {
		maps.Copy(was, x.Refs)
		for _, t := range x.Targets() {
			if !seen[t.List] {
				seen[t.List] = true
				c.elsewhere = append(c.elsewhere, sync.Target{List: t.List})
			}
		}
	}
	return c.named(ctx, r, url, was)
}

// named is the commit that Rev names among what these refs reach, and what earlier syncs had as far as that was looked for.
func (c *Clone) named(ctx context.Context, r *sync.Remote, url string, refs map[string]sync.Ref) (sync.Target, error) {
	name := strings.TrimPrefix(c.Rev, "refs/")
	for _, n := range []string{name, sync.Tags + name, sync.Heads + name} {
		if x, ok := refs[n]; ok && n != sync.Lineage {
			return x.Target, nil
		}
	}
	none := errs.New(errs.NotFound, "clone failed: the remote at %s has no tag, branch or commit '%s'", url, c.Rev)
	if !hash.IsPrefix(c.Rev) && !(len(c.Rev) == hash.FullLen && hash.IsBeginning(c.Rev)) {
		return sync.Target{}, none
	}
	src := &sync.Source{Remote: r}
	if err := src.Add(ctx, append(lists(refs), c.elsewhere...)...); err != nil {
		return sync.Target{}, err
	}
	found, err := src.Beginning(ctx, c.Rev, chunk.KindCommit)
	switch {
	case err != nil:
		return sync.Target{}, err
	case len(found) == 0:
		return sync.Target{}, none
	case len(found) > 1:
		return sync.Target{}, errs.New(errs.Invalid, "clone failed: several commits at %s begin with '%s'; write more of the hash", url, c.Rev)
	}
	return sync.Target{Commit: found[0]}, nil
}

// checkTables refuses names of tables that the commit lacks.
func (c *Clone) checkTables(ctx context.Context, batch *pack.Batch, at history.CommitID) error {
	own := c.tables()
	if own == nil {
		return nil
	}
	cm, err := history.GetCommit(ctx, batch, at)
	if err != nil {
		return err
	}
	es, err := root.Open(batch, cm.Root).List(ctx, root.KindTable)
	if err != nil {
		return err
	}
	var names []string
	for _, e := range es {
		names = append(names, strings.ToLower(e.Name))
	}
	for _, t := range own {
		if !slices.Contains(names, t) {
			return offering(errs.NotFound, errs.Nearest(t, names), "clone failed: table not found: '%s'", t)
		}
	}
	return nil
}
