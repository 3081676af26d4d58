package engine

import (
	"context"
	"errors"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
)

// RestoreUsers sets what makes users and grants in memory those that were saved last. It is called when a statement on them has failed,
// which the SQL engine may have carried out in part, or could not save.
func (e *Engine) RestoreUsers(restore func(*sql.Context) error) {
	e.sqle.Analyzer.ExecBuilder.PriorityBuilder.(*executor).restoreUsers = restore
}

// changingUsers marks the context of a statement on users whose failure is seen to.
type changingUsers struct{}

// changesUsers tells whether a statement changes users or grants.
func changesUsers(n sql.Node) bool {
	switch n.(type) {
	case *plan.CreateUser, *plan.AlterUser, *plan.DropUser, *plan.RenameUser, *plan.CreateRole, *plan.DropRole,
		*plan.Grant, *plan.GrantRole, *plan.GrantProxy, *plan.Revoke, *plan.RevokeRole, *plan.RevokeProxy:
		return true
	}
	return false
}

// users is a statement on users and grants, which changes nothing when it fails.
func (e *executor) users(ctx *sql.Context, n sql.Node, row sql.Row) (sql.RowIter, error) {
	if e.restoreUsers == nil || ctx.Value(changingUsers{}) != nil {
		return nil, nil
	}
	rows, err := e.base.Build(ctx.WithContext(context.WithValue(ctx.Context, changingUsers{}, true)), n, row)
	if err != nil {
		if e := e.restoreUsers(ctx); e != nil {
			err = errors.Join(err, e)
		}
		return nil, err
	}
	return rows, nil
}
