package systab

import (
	"fmt"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/registry"
)

// stashesTable is dolt_stashes: the changes that were set aside, newest first in each list.
func stashesTable(_ *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	cols := []*sql.Column{text("name"), text("stash_id"), text("branch"), text("hash"), textNull("commit_message")}
	return newTable(db, name, cols, nil, func(ctx *sql.Context, _ Point) (sql.RowIter, error) {
		all, err := db.Repo().Stashes(ctx)
		if err != nil {
			return nil, err
		}
		rows := make([]sql.Row, len(all))
		for i := range all {
			x := &all[i]
			rows[i] = sql.Row{x.Name, fmt.Sprintf("stash@{%d}", x.Index), x.Branch, x.Head.String(), x.Message}
		}
		return sql.RowsToRowIter(rows...), nil
	}), true, nil
}
