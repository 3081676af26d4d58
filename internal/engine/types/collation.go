package types

import (
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// CollationFromSQL is the stored number of a collation. Where the engine has not chosen one yet, it is the default. A collation
// whose weights are not frozen in the format is an error of class Unsupported.
func CollationFromSQL(id sql.CollationID) (value.Collation, error) {
	if id == sql.Collation_Unspecified {
		id = sql.Collation_Default
	}
	c, ok := value.ParseCollation(id.Name())
	if !ok {
		return value.CollationNone, errs.New(errs.Unsupported, "collation %s cannot be stored; the collations are %s", id.Name(), collationList())
	}
	return c, nil
}

// CollationToSQL is the engine's id of a stored collation; for CollationNone it is that of bytes.
func CollationToSQL(c value.Collation) (sql.CollationID, error) {
	if c == value.CollationNone {
		return sql.Collation_binary, nil
	}
	id, err := sql.ParseCollation("", c.String(), false)
	if err != nil {
		return 0, errs.New(errs.Unsupported, "collation %d: %w", c, err)
	}
	return id, nil
}

func collationList() string {
	all := value.Collations()
	names := make([]string, len(all))
	for i, c := range all {
		names[i] = c.String()
	}
	return strings.Join(names, ", ")
}
