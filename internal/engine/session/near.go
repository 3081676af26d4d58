package session

import (
	"context"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
)

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
	prefix := ""
	_, perTable := repo.ComputedTables()
	for _, p := range perTable {
		if strings.HasPrefix(l, p) && len(p) > len(prefix) {
			prefix = p
		}
	}
	// A table of that very name is at another ref than the one that was asked.
	of := name[len(prefix):]
	near := errs.Nearest(of, slices.DeleteFunc(names, func(n string) bool { return strings.EqualFold(n, of) }))
	for i := range near {
		near[i] = prefix + near[i]
	}
	return near
}
