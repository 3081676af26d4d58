package fsck

import (
	"bytes"
	"context"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/tree"
)

// aside verifies a stash or a rebase in progress: its commits and its root.
func (c *Checker) aside(ctx context.Context, start Start) error {
	at, decode := start.Stash, func(data []byte) ([]history.CommitID, tree.Root, []byte, error) {
		s, err := history.DecodeStash(data)
		if err != nil {
			return nil, tree.Root{}, nil, err
		}
		return []history.CommitID{s.Head}, s.Root, s.Encode(), nil
	}
	if !start.Rebase.IsZero() {
		at, decode = start.Rebase, func(data []byte) ([]history.CommitID, tree.Root, []byte, error) {
			x, err := history.DecodeRebase(data)
			if err != nil {
				return nil, tree.Root{}, nil, err
			}
			// Steps name what a user wrote; the commits of the branch are reached through its head.
			return []history.CommitID{x.Head, x.Onto}, x.Working, x.Encode(), nil
		}
	}
	return c.object(ctx, start.Name, at, decode)
}

// object verifies a chunk that names commits and a root.
func (c *Checker) object(ctx context.Context, where string, at hash.Hash, decode func([]byte) ([]history.CommitID, tree.Root, []byte, error)) error {
	data, err := c.whole(ctx, at)
	if err != nil {
		c.report(Problem{where, err})
		return nil
	}
	commits, rt, canonical, err := decode(data)
	if err != nil {
		c.report(Problem{where, err})
		return nil
	}
	if !bytes.Equal(canonical, data) {
		c.report(Problem{where, errs.New(errs.Corrupt, "not the canonical encoding")})
	}
	for _, id := range commits {
		if err := c.Check(ctx, Start{Name: where, Commit: id}); err != nil {
			return err
		}
	}
	return c.root(ctx, where, rt)
}
