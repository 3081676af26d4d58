package systab

import (
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/engine/registry"
)

// activityTable is dolt_branch_activity: when each branch was read and written last since the database was opened, NULL for not since
// then, and how many sessions have used it in their last transaction.
func activityTable(_ *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	cols := []*sql.Column{
		textKey("branch"), atNull("last_read"), atNull("last_write"), {Name: "active_sessions", Type: types.Int32}, at("system_start_time"),
	}
	return newTable(db, name, cols, []string{"branch"}, func(_ *sql.Context, at Point) (sql.RowIter, error) {
		r := db.Repo()
		want, one := at.text("branch")
		var rows []sql.Row
		for _, b := range r.Branches() {
			if one && b.Name != want {
				continue
			}
			a := r.Activity(b.Name)
			rows = append(rows, sql.Row{b.Name, whenNull(a.LastRead()), whenNull(a.LastWrite()), int32(a.Sessions()), when(r.ActiveSince())})
		}
		return sql.RowsToRowIter(rows...), nil
	}), true, nil
}

// whenNull is a time as a value, NULL for the zero time.
func whenNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return when(t)
}
