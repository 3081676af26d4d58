package sqltable

import (
	"github.com/dolthub/go-mysql-server/sql"
)

// SkipIndexCosting implements sql.IndexSearchable.
func (t *Table) SkipIndexCosting() bool { return false }

// LookupForExpressions implements sql.IndexSearchable.
func (t *Table) LookupForExpressions(_ *sql.Context, exprs ...sql.Expression) (sql.IndexLookup, *sql.FuncDepSet, sql.Expression, bool, error) {
	return sql.IndexLookup{}, nil, nil, false, nil
}
