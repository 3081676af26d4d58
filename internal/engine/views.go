package engine

import (
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/vitess/go/mysql"

	"github.com/stemmadb/stemma/internal/engine/catalog"
)

// erWrongObject is MySQL's number of the error of a statement on tables that names a view.
const erWrongObject = 1347

// notATable is the error of a statement on tables that names a view, in MySQL's words.
func notATable(db, name string) error {
	return mysql.NewSQLError(erWrongObject, mysql.SSUnknownSQLState, "'%s.%s' is not BASE TABLE", db, name)
}

// checkTruncate refuses TRUNCATE of what is no table: the engine would empty the first table that it finds below a view, for which the
// client needs no privilege.
func checkTruncate(ctx *sql.Context, n *plan.Truncate) error {
	if _, ok := n.Child.(*plan.ResolvedTable); ok {
		return nil
	}
	db, name := n.DatabaseName(), ""
	if db == "" {
		db = ctx.GetCurrentDatabase()
	}
	if x, ok := n.Child.(sql.Nameable); ok {
		name = x.Name()
	}
	return notATable(db, name)
}

// checkCreateView refuses the statement of a view with the catalog's mark in front, which is read only, without asking for privileges.
func checkCreateView(n *plan.CreateView) error {
	if catalog.ReadingOf(n.CreateViewString) != nil {
		return sql.ErrUnsupportedSyntax.New("CREATE VIEW of a view that is being read")
	}
	return nil
}
