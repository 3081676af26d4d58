package value

import (
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
)

func TestParseType(t *testing.T) {
	for text, want := range map[string]string{
		"int(11)": "int", "int(10) unsigned": "int unsigned", "tinyint(1)": "tinyint", "bigint unsigned": "bigint unsigned", "decimal(10,2)": "decimal(10,2)",
		"decimal(5)": "decimal(5,0)", "varchar(20)": "varchar(20)", "enum('a','it''s','b,c')": "enum('a','it''s','b,c')", "set('x','y')": "set('x','y')",
		"datetime(6)": "datetime(6)", "timestamp": "timestamp", "bit(8)": "bit(8)", "longtext": "longtext", "double": "double", "float": "float", "json": "json",
		"year(4)": "year", "binary(3)": "binary(3)", "time(3)": "time(3)", "point": "point", "mediumint(8) unsigned zerofill": "mediumint unsigned",
	} {
		got, err := ParseType(text, CollationUtf8mb40900Bin)
		if err != nil || got.String() != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
	if b, _ := ParseType("tinyint(1)", CollationUtf8mb40900Bin); b.Precision != 1 {
		t.Error("tinyint(1) is a truth value")
	}
	for _, text := range []string{"", "vektor", "enum(", "enum('a"} {
		if _, err := ParseType(text, CollationUtf8mb40900Bin); !errs.Is(err, errs.Unsupported) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
