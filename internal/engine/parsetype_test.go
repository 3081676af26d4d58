package engine_test

import (
	"context"
	"testing"

	"github.com/dolthub/go-mysql-server/sql/planbuilder"

	"github.com/stemmadb/stemma/internal/engine/types"
	"github.com/stemmadb/stemma/internal/value"
)

// value.ParseType reads types as the engine does. (The engine does not know the digits of TIME.)
func TestParseTypeAgrees(t *testing.T) {
	for _, text := range []string{
		"tinyint", "tinyint(1)", "tinyint(4)", "tinyint unsigned", "bool", "boolean", "smallint", "smallint unsigned", "mediumint", "mediumint unsigned", "int", "int(11)",
		"integer", "int unsigned", "bigint", "bigint(20) unsigned", "float", "float(10)", "float(53)", "double", "double precision", "real", "decimal", "decimal(5)", "decimal(10,2)",
		"numeric(65,30)", "bit", "bit(12)", "year", "date", "datetime", "datetime(6)", "timestamp", "timestamp(3)", "char", "char(20)", "varchar(20)", "tinytext", "text", "mediumtext",
		"longtext", "binary(3)", "varbinary(7)", "tinyblob", "blob", "mediumblob", "longblob", "json", "enum('a','it''s','b,c')", "set('x','y')", "geometry", "point", "polygon",
		"varchar(20) collate utf8mb4_0900_ai_ci", "varchar(9) character set utf8mb4 collate utf8mb4_bin", "vector(3)",
	} {
		parsed, err := planbuilder.ParseColumnTypeString(context.Background(), text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		want, err := types.FromSQL(parsed)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := value.ParseType(text, value.CollationUtf8mb40900Bin)
		if err != nil || !got.Equal(want) {
			t.Errorf("%s: %+v, %v; the engine reads %+v", text, got, err, want)
		}
	}
}
