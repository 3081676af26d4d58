package mysql

import (
	"context"
	"errors"
	"regexp"
	"strings"

	vitess "github.com/dolthub/vitess/go/mysql"

	"github.com/stemmadb/stemma/internal/engine/session"
)

// noTable is the engine's message about a table that does not exist.
var noTable = regexp.MustCompile(`^table not found: (\S+)$`)

// near adds the names that are near to an error about a table that does not exist.
func (h *handler) near(c *vitess.Conn, err error) error {
	var e *vitess.SQLError
	if !errors.As(err, &e) || e.Num != erNoSuchTable {
		return err
	}
	v, _ := h.sessions.Load(c.ConnectionID)
	s, ok := v.(*session.Session)
	m := noTable.FindStringSubmatch(e.Message)
	if !ok || m == nil {
		return err
	}
	names := s.NearTables(context.Background(), m[1])
	if len(names) == 0 {
		return err
	}
	return vitess.NewSQLError(e.Num, e.State, "%s; did you mean '%s'?", e.Message, strings.Join(names, "' or '"))
}
