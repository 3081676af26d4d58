package fn

import (
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/engine/systab"
)

// hashOfTable is dolt_hashof_table(name[, rev]): the hash of a table's schema and rows, by default as the session sees them. Equal
// tables have equal hashes.
func hashOfTable() *spec {
	const name = "dolt_hashof_table"
	return &spec{
		name: name, about: "gives the hash of a table's schema and rows", least: 1, most: 2, typ: types.LongText,
		eval: func(ctx *sql.Context, args []any) (any, error) {
			_, db, err := current(ctx)
			if err != nil {
				return nil, err
			}
			table, err := text(name, args[0])
			if err != nil {
				return nil, err
			}
			rev := "WORKING"
			if len(args) > 1 {
				if rev, err = text(name, args[1]); err != nil {
					return nil, err
				}
			}
			h, ok, err := systab.TableHash(ctx, db, rev, table)
			if err != nil {
				return nil, err
			}
			if !ok {
				return nil, sql.ErrTableNotFound.New(table)
			}
			return h.String(), nil
		},
	}
}

// hashOfDB is dolt_hashof_db([rev]): the hash of all tables, by default as the session sees them. rev may be WORKING, STAGED, HEAD or
// any revision.
func hashOfDB() *spec {
	const name = "dolt_hashof_db"
	return &spec{
		name: name, about: "gives the hash of a database's content", most: 1, typ: types.LongText,
		eval: func(ctx *sql.Context, args []any) (any, error) {
			_, db, err := current(ctx)
			if err != nil {
				return nil, err
			}
			rev := "WORKING"
			if len(args) > 0 {
				if rev, err = text(name, args[0]); err != nil {
					return nil, err
				}
			}
			h, err := systab.DatabaseHash(ctx, db, rev)
			if err != nil {
				return nil, err
			}
			return h.String(), nil
		},
	}
}
