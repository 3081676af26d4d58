package op

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
)

// Run runs a verb in a scope. The message of an error about a table that does not exist offers the names that are near.
func Run(ctx context.Context, verb Op, s *Scope) (*Result, error) {
	if s.Repo != nil {
		hold, outer := s.Repo.Hold(), s.hold
		s.hold = hold
		defer func() { hold.Release(); s.hold = outer }()
	}
	r, err := verb.Run(ctx, s)
	if err != nil {
		err = mayBeThere(s, nearTable(ctx, s, err))
	}
	return r, err
}

// mayBeThere adds to an error about a ref that does not exist how to bring the others of a remote of which at most one branch is known, as
// clone --single-branch and --rev leave it.
func mayBeThere(s *Scope, err error) error {
	if s.Repo == nil || s.Repo.Partial() != nil || len(s.Repo.Tracks()) > 1 || !errs.Is(err, errs.NotFound) || !strings.Contains(err.Error(), "branch or ref not found: ") {
		return err
	}
	m, e := remoteURLs(s.Settings.Local)
	if e != nil || len(m) == 0 {
		return err
	}
	name := slices.Sorted(maps.Keys(m))[0]
	return errs.New(errs.NotFound, "%w; '%s fetch %s' brings the branches and tags of %s", err, s.Program(), name, m[name])
}

// noTable finds the name of a table that does not exist at the end of a message that offers no other.
var noTable = regexp.MustCompile(`(?:table not found: |is neither .*table.*: branch or ref not found: )([^;:]+)(?:; the database is a part of .*)?$`)

func nearTable(ctx context.Context, s *Scope, err error) error {
	if s.Repo == nil || !errs.Is(err, errs.NotFound) {
		return err
	}
	m := noTable.FindStringSubmatch(err.Error())
	if m == nil {
		return err
	}
	w, e := s.Repo.SnapshotWorking(s.branch())
	if e != nil {
		return err // the branch is gone, of which the error need not tell
	}
	names, e := w.TableNames(ctx)
	if e != nil {
		return err
	}
	near := errs.Nearest(m[1], slices.DeleteFunc(names, func(n string) bool { return strings.EqualFold(n, m[1]) }))
	if len(near) == 0 {
		return err
	}
	return offering(errs.NotFound, near, "%w", err)
}
