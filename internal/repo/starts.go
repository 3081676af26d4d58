package repo

import (
	"context"
	"fmt"

	"github.com/stemmadb/stemma/internal/fsck"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
)

// Starts is everything from which chunks are reached: branches, their working and staged sets, merges and rebases, tags, branches of remotes, stashes.
func (r *Repo) Starts(context.Context) ([]fsck.Start, error) {
	var out []fsck.Start
	s := r.published.Load()
	s.each(func(b *branch) bool {
		name := b.name
		out = append(out,
			fsck.Start{Name: "branch " + name, Commit: b.head},
			fsck.Start{Name: "staged set of " + name, Root: b.staged},
			fsck.Start{Name: "working set of " + name, Root: b.working, Merging: !b.merge.IsZero()})
		if !b.merge.IsZero() {
			out = append(out, fsck.Start{Name: "merge in progress on " + name, Merge: b.merge})
		}
		if !b.rebase.IsZero() {
			out = append(out, fsck.Start{Name: "rebase in progress on " + name, Rebase: b.rebase})
		}
		return true
	})
	for _, name := range s.tags.Keys() {
		h, _ := s.tags.Get(name)
		out = append(out, fsck.Start{Name: "tag " + name, Tag: h})
	}
	s.tracks.Scan(func(name string, head history.CommitID) bool {
		out = append(out, fsck.Start{Name: "remote branch " + name, Commit: head})
		return true
	})
	s.stashes.Scan(func(name string, list []hash.Hash) bool {
		for i, h := range list {
			out = append(out, fsck.Start{Name: fmt.Sprintf("stash@{%d} of %s", i, name), Stash: h})
		}
		return true
	})
	return out, nil
}
