package fn

import (
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
)

// commitOf is the commit that a revision names in the current database.
func commitOf(ctx *sql.Context, db registry.Handle, fn string, v any) (history.CommitID, error) {
	rev, err := text(fn, v)
	if err != nil {
		return history.CommitID{}, err
	}
	_, id, err := db.At(ctx, rev)
	if err == nil && id.IsZero() {
		err = errs.New(errs.Invalid, "%s: %s is not a commit", fn, rev)
	}
	return id, err
}

// hashOf is hashof(rev): the hash of the commit that a revision names.
func hashOf(name string) *spec {
	return &spec{
		name: name, about: "gives the hash of the commit that a branch, tag, or other revision names",
		least: 1, most: 1, typ: types.LongText,
		eval: func(ctx *sql.Context, args []any) (any, error) {
			_, db, err := current(ctx)
			if err != nil {
				return nil, err
			}
			id, err := commitOf(ctx, db, name, args[0])
			if err != nil {
				return nil, err
			}
			return id.String(), nil
		},
	}
}

// activeBranch is active_branch(): the branch that the current database is on; NULL when it is a commit.
func activeBranch() *spec {
	return &spec{
		name: "active_branch", about: "gives the branch that the session works on", typ: types.LongText,
		eval: func(ctx *sql.Context, _ []any) (any, error) {
			_, db, err := current(ctx)
			if err != nil {
				return nil, err
			}
			if db.Branch() == "" {
				return nil, nil
			}
			return db.Branch(), nil
		},
	}
}

// mergeBase is dolt_merge_base(a, b): the hash of the newest common ancestor; NULL when there is none.
func mergeBase() *spec {
	const name = "dolt_merge_base"
	return &spec{
		name: name, about: "gives the hash of the newest common ancestor of two commits",
		least: 2, most: 2, typ: types.LongText,
		eval: func(ctx *sql.Context, args []any) (any, error) {
			_, db, err := current(ctx)
			if err != nil {
				return nil, err
			}
			a, err := commitOf(ctx, db, name, args[0])
			if err != nil {
				return nil, err
			}
			b, err := commitOf(ctx, db, name, args[1])
			if err != nil {
				return nil, err
			}
			base, err := history.MergeBase(ctx, db.Repo().Store(), a, b)
			if err != nil || base.IsZero() {
				return nil, err
			}
			return base.String(), nil
		},
	}
}

// hasAncestor is has_ancestor(target, ancestor): whether ancestor is the target commit or one that it reaches.
func hasAncestor() *spec {
	const name = "has_ancestor"
	return &spec{
		name: name, about: "tells whether the second commit is an ancestor of the first", least: 2, most: 2, typ: types.Boolean,
		eval: func(ctx *sql.Context, args []any) (any, error) {
			_, db, err := current(ctx)
			if err != nil {
				return nil, err
			}
			target, err := commitOf(ctx, db, name, args[0])
			if err != nil {
				return nil, err
			}
			ancestor, err := commitOf(ctx, db, name, args[1])
			if errs.Is(err, errs.NotFound) {
				return false, nil
			}
			if err != nil {
				return nil, err
			}
			return history.IsAncestor(ctx, db.Repo().Store(), ancestor, target)
		},
	}
}
