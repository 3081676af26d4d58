package session

import (
	"context"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
)

// perTable are the beginnings of the names of system tables that end with the name of a table.
var perTable = []string{
	"dolt_commit_diff_", "dolt_diff_", "dolt_history_", "dolt_blame_", "dolt_conflicts_", "dolt_constraint_violations_", "dolt_workspace_",
}

// NearTables are the tables of the current database that someone may have meant who named one that it does not have. Uncommitted changes
// of the session's transaction do not count.
func (s *Session) NearTables(ctx context.Context, name string) []string {
	base, rev := SplitName(s.GetCurrentDatabase())
	r, canonical, ok := s.opt.Databases.Lookup(base)
	if !ok {
		return nil
	}
	branch := rev
	if branch == "" {
		branch = s.head(r, canonical).branch
	}
	w, err := r.SnapshotWorking(branch)
	if err != nil {
		return nil
	}
	names, err := w.TableNames(ctx)
	if err != nil {
		return nil
	}
	l := strings.ToLower(name)
	if i := slices.IndexFunc(perTable, func(p string) bool { return strings.HasPrefix(l, p) }); i >= 0 {
		for k := range names {
			names[k] = perTable[i] + names[k]
		}
	}
	return errs.Nearest(name, names)
}
