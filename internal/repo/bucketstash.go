package repo

import (
	"context"
	"encoding/json"
	"time"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
)

// stashMeta is what the commit of a stash says beside its root, parents and message.
type stashMeta struct {
	Branch string   `json:"branch"`
	Added  []string `json:"added,omitempty"`
}

// putStashes makes a list of stashes commits that a bucket can hold: that of the newest, which is returned, with its root, after the commit on which it
// was made and that of the next one. It is zero for an empty list. The same list gives the same commits.
func putStashes(ctx context.Context, st chunk.Store, list []hash.Hash) (history.CommitID, error) {
	var next *history.Commit
	for i := len(list) - 1; i >= 0; i-- {
		x, err := history.GetStash(ctx, st, list[i])
		if err != nil {
			return history.CommitID{}, err
		}
		head, err := history.GetCommit(ctx, st, x.Head)
		if err != nil {
			return history.CommitID{}, err
		}
		meta, err := json.Marshal(stashMeta{x.Branch, x.Added})
		if err != nil {
			return history.CommitID{}, err
		}
		at := history.Signature{Time: head.Committer.Time.Add(time.Microsecond)}
		c := &history.Commit{Root: x.Root, Parents: []history.CommitID{head.ID}, Height: head.Height + 1, Author: at, Committer: at, Message: x.Message, Meta: string(meta)}
		if next != nil {
			c.Parents, c.Height = append(c.Parents, next.ID), max(c.Height, next.Height+1)
		}
		if _, err := c.Put(ctx, st); err != nil {
			return history.CommitID{}, err
		}
		next = c
	}
	if next == nil {
		return history.CommitID{}, nil
	}
	return next.ID, nil
}

// stashesOf is the list that putStashes has made a commit of, whose stashes it puts into the store.
func stashesOf(ctx context.Context, st chunk.Store, id history.CommitID) ([]hash.Hash, error) {
	var list []hash.Hash
	for !id.IsZero() {
		c, err := history.GetCommit(ctx, st, id)
		if err != nil {
			return nil, err
		}
		var meta stashMeta
		if err := json.Unmarshal([]byte(c.Meta), &meta); err != nil || len(c.Parents) < 1 || len(c.Parents) > 2 {
			return nil, errs.New(errs.Corrupt, "commit %s is to be a stash in a bucket, and is none", id)
		}
		x := &history.Stash{Root: c.Root, Head: c.Parents[0], Branch: meta.Branch, Message: c.Message, Added: meta.Added}
		h, err := x.Put(ctx, st)
		if err != nil {
			return nil, err
		}
		list, id = append(list, h), history.CommitID{}
		if len(c.Parents) == 2 {
			id = c.Parents[1]
		}
	}
	return list, nil
}
