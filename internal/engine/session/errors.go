package session

import (
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/vfs"
)

// MySQL's numbers of errors that vitess does not name.
const (
	erDiskFull         = 1021
	erOptionPrevents   = 1290
	erNotSupportedYet  = 1235
	erQueryInterrupted = 1317
	erCheckViolated    = 3819
)

// Error gives an error of the layers below the kind that the SQL engine and its clients know it by. Errors that are the engine's
// already, and those without a better kind, are returned as they are.
func Error(err error) error {
	if err == nil {
		return nil
	}
	number, state := 0, "HY000"
	switch errs.CodeOf(err) {
	case errs.Conflict:
		return sql.ErrLockDeadlock.New(err.Error())
	case errs.DuplicateKey:
		number, state = mysql.ERDupEntry, mysql.SSDupKey
	case errs.Constraint:
		number = erCheckViolated
	case errs.ReadOnly:
		number = erOptionPrevents
	case errs.Denied:
		if !vfs.IsOutside(err) {
			return err
		}
		number = erOptionPrevents // as MySQL has it for secure_file_priv
	case errs.NoSpace:
		number = erDiskFull
	case errs.Unsupported:
		number, state = erNotSupportedYet, "42000"
	case errs.Canceled:
		number, state = erQueryInterrupted, "70100"
	default:
		return err
	}
	return mysql.NewSQLError(number, state, "%s", err.Error())
}
