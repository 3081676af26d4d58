package repo

import (
	"context"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/merge"
	"github.com/stemmadb/stemma/internal/root"
)

// Restore sets the working state of the named tables to that of the root from; edits of other tables stay. A name that neither
// knows is an error of class NotFound, one of class Constraint tells that rows would be left without the parents that foreign keys
// give them.
func (r *Repo) Restore(ctx context.Context, branchName string, from *root.Root, names []string) error {
	for n := 0; ; n++ {
		err := r.tryRestore(ctx, branchName, from, names)
		if n < abortTries && errs.Is(err, errs.Conflict) {
			continue
		}
		return err
	}
}

func (r *Repo) tryRestore(ctx context.Context, branchName string, from *root.Root, names []string) error {
	t, err := r.Begin(ctx, branchName)
	if err != nil {
		return err
	}
	defer t.Rollback()
	linked := false
	touched := map[string]bool{}
	for _, n := range names {
		one, err := t.foldLinked(ctx, n)
		if err != nil {
			return err
		}
		linked = linked || one
		touched[strings.ToLower(n)] = true
	}
	before := t.root.Tree()
	changes, err := restored(ctx, from, t.root, names)
	if err != nil {
		return err
	}
	if err := t.replace(ctx, changes, touched); err != nil {
		return err
	}
	for _, n := range names {
		t.NoteAnew(n)
		one, err := t.foldLinked(ctx, n)
		if err != nil {
			return err
		}
		linked = linked || one
	}
	if linked {
		orphaned, err := merge.Orphaned(ctx, t.Store(), before, t.root.Tree(), r.MergeOptions(t.Store()))
		if err != nil {
			return err
		}
		if len(orphaned) > 0 {
			return errs.New(errs.Constraint, "cannot restore %s: rows of %s would violate foreign keys; restore the tables on both sides of the keys together", strings.Join(names, ", "), strings.Join(orphaned, ", "))
		}
	}
	return t.Commit(ctx)
}
