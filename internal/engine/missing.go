package engine

import (
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/errs"
)

// MissingRevision turns the error for the name of a database with a branch or ref behind it, db/ref, that does not exist into one about
// the ref; base is the database. Other errors stay as they are, and ref is empty then.
func MissingRevision(err error) (base, ref string, about error) {
	if !sql.ErrDatabaseNotFound.Is(err) {
		return "", "", err
	}
	_, text, _ := strings.Cut(err.Error(), "database not found: ")
	name, meant, _ := strings.Cut(text, "; did you mean '")
	base, ref = session.SplitName(name)
	if ref == "" {
		return "", "", err
	}
	var names []string
	for _, n := range strings.Split(strings.TrimSuffix(meant, "'?"), "' or '") {
		if _, n = session.SplitName(n); n != "" {
			names = append(names, n)
		}
	}
	return base, ref, errs.WithMeant(errs.New(errs.NotFound, "branch or ref not found: %s", ref), names)
}
