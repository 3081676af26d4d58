package repo

import (
	"context"
	"slices"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
)

// SquashOptions say which part of a history becomes one commit, and what that says.
type SquashOptions struct {
	Branch    string
	First     history.CommitID // the oldest commit of the part; zero is the only child of the first commit
	Message   string
	Meta      string
	Author    history.Signature
	Committer history.Signature // as CommitOptions.Committer
}

// SquashHistory replaces the branch's commits from First to its head by one that has the head's tables and the parents of First. A
// branch with uncommitted changes, or with a merge or rebase in progress, is an error of class Conflict.
func (r *Repo) SquashHistory(ctx context.Context, opt SquashOptions) (*history.Commit, error) {
	var made *history.Commit
	err := r.rework(ctx, opt.Branch, func(batch *pack.Batch, _ *state, b *branch) (*reworked, error) {
		if err := r.quiet(ctx, b, "squash history"); err != nil {
			return nil, err
		}
		head, err := history.GetCommit(ctx, r.store, b.head)
		if err != nil {
			return nil, err
		}
		if b.working != head.Root || b.staged != head.Root {
			return nil, errs.New(errs.Conflict, "cannot squash history with uncommitted changes")
		}
		first, err := r.squashFrom(ctx, head, opt.First)
		if err != nil {
			return nil, err
		}
		made = &history.Commit{
			Root: head.Root, Parents: first.Parents, Height: first.Height, Author: opt.Author, Committer: opt.Committer,
			Message: opt.Message, Meta: opt.Meta,
		}
		if made.Committer.Name == "" && made.Committer.Email == "" {
			made.Committer.Name, made.Committer.Email = made.Author.Name, made.Author.Email
		}
		if made.Committer.Time, err = r.commitTime(ctx, made.Committer.Time, made.Parents); err != nil {
			return nil, err
		}
		if made.Author.Time.IsZero() {
			made.Author.Time = made.Committer.Time
		}
		next := b.copy(0)
		if next.head, err = made.Put(ctx, batch); err != nil {
			return nil, err
		}
		return &reworked{next: next, ch: &change{}}, nil
	})
	return made, err
}

// quiet refuses to rewrite a branch in the middle of something.
func (r *Repo) quiet(ctx context.Context, b *branch, what string) error {
	say := func(word string) error {
		return errs.New(errs.Conflict, "cannot %s while a %s is in progress; abort the %s first", what, word, word)
	}
	if !b.rebase.IsZero() && b.merge.IsZero() {
		return say("rebase")
	}
	return r.notMerging(ctx, b, say("merge"))
}

// squashFrom is the oldest commit of a squash.
func (r *Repo) squashFrom(ctx context.Context, head *history.Commit, first history.CommitID) (*history.Commit, error) {
	if !first.IsZero() {
		c, err := history.GetCommit(ctx, r.store, first)
		if err != nil {
			return nil, err
		}
		is, err := history.IsAncestor(ctx, r.store, first, head.ID)
		if err != nil {
			return nil, err
		}
		switch {
		case !is:
			return nil, errs.New(errs.Invalid, "--first must be an ancestor of HEAD")
		case len(c.Parents) == 0:
			return nil, errs.New(errs.Invalid, "--first cannot be the initial commit")
		}
		return c, nil
	}
	w, err := history.Walk(ctx, r.store, []history.CommitID{head.ID}, nil)
	if err != nil {
		return nil, err
	}
	// A commit comes before its parents, so the children of a first commit are known when it comes.
	var starts int
	var children []*history.Commit
	low := map[history.CommitID][]*history.Commit{}
	for {
		c, err := w.Next(ctx)
		if err != nil {
			return nil, err
		}
		if c == nil {
			break
		}
		if len(c.Parents) == 0 {
			starts++
			children = low[c.ID]
		}
		for i, p := range c.Parents {
			// Only a merge can be a child of a first commit and high above it.
			if (c.Height == 2 || len(c.Parents) > 1) && !slices.Contains(c.Parents[:i], p) {
				low[p] = append(low[p], c)
			}
		}
	}
	switch {
	case starts != 1:
		return nil, errs.New(errs.Invalid, "cannot determine a unique initial commit; specify --first")
	case len(children) == 0:
		return nil, errs.New(errs.NothingToDo, "nothing to squash: the branch contains only the initial commit")
	case len(children) > 1:
		return nil, errs.New(errs.Invalid, "the initial commit has multiple children; specify --first with the commit to squash from")
	}
	return children[0], nil
}
