package fsck

import (
	"bytes"
	"context"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/tree"
)

// merge verifies a merge in progress: its commits, the sets that abort goes back to, the sides of its tables, and what is listed of
// them.
func (c *Checker) merge(ctx context.Context, start Start) error {
	data, err := c.whole(ctx, start.Merge)
	if err != nil {
		c.report(Problem{start.Name, err})
		return nil
	}
	m, err := history.DecodeMerge(data)
	if err != nil {
		c.report(Problem{start.Name, err})
		return nil
	}
	if !bytes.Equal(m.Encode(), data) {
		c.report(Problem{start.Name, errs.New(errs.Corrupt, "not the canonical encoding of a merge")})
	}
	for _, id := range []history.CommitID{m.Theirs, m.Head} {
		if err := c.Check(ctx, Start{Name: start.Name, Commit: id}); err != nil {
			return err
		}
	}
	for _, t := range []tree.Root{m.Working, m.Staged} {
		if err := c.root(ctx, start.Name+": state before it", t); err != nil {
			return err
		}
	}
	for i := range m.Tables {
		t := &m.Tables[i]
		where := start.Name + ": table " + t.Name
		for _, e := range []root.Entry{t.Base, t.Ours, t.Theirs} {
			if e.Kind != root.KindTable {
				continue
			}
			if err := c.table(ctx, where, e); err != nil {
				return err
			}
		}
		for _, x := range []struct {
			name string
			tree tree.Root
			key  func(k []byte) error
		}{
			{"conflicts", t.Conflicts, func([]byte) error { return nil }},
			{"violations", t.Violations, func(k []byte) error { _, _, _, err := history.SplitViolationKey(k); return err }},
		} {
			if err := c.artifacts(ctx, where+": "+x.name, x.tree, x.key); err != nil {
				return err
			}
		}
	}
	return nil
}

// artifacts verifies a tree of conflicts or violations.
func (c *Checker) artifacts(ctx context.Context, where string, t tree.Root, key func([]byte) error) error {
	sound := true
	err := tree.CheckNew(ctx, c.r, history.ArtifactFormat(), t, &c.entries, func(p tree.Problem) error {
		sound = false
		c.report(Problem{where, p})
		return nil
	})
	if err != nil || !sound {
		return err
	}
	cur := tree.New(c.r, history.ArtifactFormat(), t).Cursor()
	for err = cur.First(ctx); err == nil && cur.Valid(); err = cur.Next(ctx) {
		if err := key(cur.Key(nil)); err != nil {
			c.report(Problem{where, err})
		}
	}
	if err != nil {
		c.report(Problem{where, err})
	}
	return nil
}
