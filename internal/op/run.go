package op

import (
	"context"
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
		err = nearTable(ctx, s, err)
	}
	return r, err
}

// noTable finds the name of a table that does not exist at the end of a message that offers no other.
var noTable = regexp.MustCompile(`(?:table not found: |is neither .*table.*: branch or ref not found: )([^;:]+)$`)

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
