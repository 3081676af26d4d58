package mysql

import (
	"context"
	"errors"

	vitess "github.com/dolthub/vitess/go/mysql"

	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/errs"
)

// noTable is the engine's message about a table that does not exist.
var noTable = matching(`^table not found: (\S+)$`)

// near adds the names that are near to an error about a table that does not exist.
func (h *handler) near(c *vitess.Conn, err error) error {
	var e *vitess.SQLError
	if !errors.As(err, &e) || e.Num != erNoSuchTable {
		return err
	}
	v, _ := h.sessions.Load(c.ConnectionID)
	s, ok := v.(*session.Session)
	m := noTable().FindStringSubmatch(e.Message)
	if !ok || m == nil {
		return err
	}
	return vitess.NewSQLError(e.Num, e.State, "%s%s", e.Message, errs.DidYouMean(s.NearTables(context.Background(), m[1])))
}
