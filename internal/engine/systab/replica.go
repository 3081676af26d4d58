package systab

import (
	"math"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/op"
)

// replicaTable is stemma_replica_status: of a database that follows a remote how far each branch is behind what was last seen there, and how
// long ago that was. Before the remote was ever seen the branch is NULL.
func replicaTable(_ *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	cols := []*sql.Column{
		text("remote"), text("url"), textNull("branch"), textNull("commit_hash"), textNull("remote_commit_hash"),
		{Name: "commits_behind", Type: types.Int64, Nullable: true}, {Name: "seconds_behind", Type: types.Int64, Nullable: true},
		atNull("last_fetch"), atNull("last_try"), textNull("last_error"),
	}
	return newTable(db, name, cols, nil, func(ctx *sql.Context, _ Point) (sql.RowIter, error) {
		r := db.Repo()
		f, ok := r.Following()
		if !ok {
			return sql.RowsToRowIter(), nil
		}
		var seconds, failed any
		if !f.Fetched.IsZero() {
			seconds = int64(math.Max(0, r.Clock().Now().Sub(f.Fetched).Seconds()))
		}
		if f.Err != "" {
			failed = f.Err
		}
		row := func(branch, here, there, behind any) sql.Row {
			return sql.Row{f.Remote, f.URL, branch, here, there, behind, seconds, whenNull(f.Fetched), whenNull(f.Tried), failed}
		}
		var rows []sql.Row
		for _, b := range op.Followed(r) {
			if b.Here.IsZero() {
				rows = append(rows, row(b.Name, nil, b.There.String(), nil))
				continue
			}
			n, err := op.Behind(ctx, r, b.Here, b.There)
			if err != nil {
				return nil, err
			}
			rows = append(rows, row(b.Name, b.Here.String(), b.There.String(), int64(n)))
		}
		if rows == nil {
			rows = append(rows, row(nil, nil, nil, nil))
		}
		return sql.RowsToRowIter(rows...), nil
	}), true, nil
}
