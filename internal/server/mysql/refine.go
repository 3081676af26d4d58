package mysql

import (
	"errors"
	"strings"

	vitess "github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// MySQL's numbers of errors about something absent, which depend on what a statement wanted of it.
const (
	erBadDatabase   = 1049
	erDropDatabase  = 1008
	erNoSuchTable   = 1146
	erUnknownTable  = 1051
	erBadField      = 1054
	erNoSuchKey     = 1176
	erCannotDropKey = 1091
	erWrongObject   = 1347
	erNotInsertable = 1471
)

// What the engine says of a view where a statement needs a table.
const (
	saysNoTarget = "expected insert destination to be"
	saysNoTable  = "expected resolved table: "
)

// missing finds the name in the engine's message about something absent.
var missing = matching(`(?:does not have column "|column "|Key column '|key '|index: |index "|table not found: |database not found: )([^"' ]+)`)

// refined gives an error about something absent the number that MySQL has for the statement.
func refined(err error, query string) error {
	var e *vitess.SQLError
	if !errors.As(err, &e) {
		return err
	}
	switch e.Num {
	case erBadDatabase, erNoSuchTable, erBadField, erNoSuchKey, erUnknown:
	default:
		return err
	}
	stmt, _ := sqlparser.Parse(query)
	if stmt == nil {
		return err
	}
	name := ""
	if m := missing().FindStringSubmatch(e.Message); m != nil {
		name = m[1]
	}
	switch s := stmt.(type) {
	case *sqlparser.DBDDL:
		if e.Num == erBadDatabase && strings.EqualFold(s.Action, sqlparser.DropStr) {
			return vitess.NewSQLError(erDropDatabase, "HY000", "Can't drop database '%s'; database doesn't exist", s.DBName)
		}
	case *sqlparser.DDL:
		if e.Num == erNoSuchTable && s.Action == sqlparser.DropStr && len(s.FromTables) > 0 && name != "" {
			return vitess.NewSQLError(erUnknownTable, states[erUnknownTable], "Unknown table '%s'", name)
		}
	case *sqlparser.Insert:
		if strings.Contains(e.Message, saysNoTarget) {
			return vitess.NewSQLError(erNotInsertable, "HY000", "The target table %s of the INSERT is not insertable-into", s.Table.Name)
		}
	case *sqlparser.AlterTable:
		if _, name, ok := strings.Cut(e.Message, saysNoTable); ok {
			return vitess.NewSQLError(erWrongObject, "HY000", "'%s' is not BASE TABLE", name)
		}
		for _, d := range s.Statements {
			if dropped := dropOf(d); dropped != "" && strings.EqualFold(dropped, name) {
				return vitess.NewSQLError(erCannotDropKey, states[erCannotDropKey], "Can't DROP '%s'; check that column/key exists", dropped)
			}
		}
	}
	return err
}

// dropOf is the column or index that a clause of ALTER TABLE drops.
func dropOf(d *sqlparser.DDL) string {
	switch {
	case d.ColumnAction == sqlparser.DropStr:
		return d.Column.String()
	case d.IndexSpec != nil && d.IndexSpec.Action == sqlparser.DropStr:
		return d.IndexSpec.ToName.String()
	}
	return ""
}
