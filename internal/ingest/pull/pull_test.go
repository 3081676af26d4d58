package pull

import (
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

func TestParseType(t *testing.T) {
	for text, want := range map[string]string{
		"int(11)": "int", "int(10) unsigned": "int unsigned", "tinyint(1)": "tinyint", "bigint unsigned": "bigint unsigned", "decimal(10,2)": "decimal(10,2)",
		"decimal(5)": "decimal(5,0)", "varchar(20)": "varchar(20)", "enum('a','it''s','b,c')": "enum('a','it''s','b,c')", "set('x','y')": "set('x','y')",
		"datetime(6)": "datetime(6)", "timestamp": "timestamp", "bit(8)": "bit(8)", "longtext": "longtext", "double": "double", "float": "float", "json": "json",
		"year(4)": "year", "binary(3)": "binary(3)", "time(3)": "time(3)", "point": "point", "mediumint(8) unsigned zerofill": "mediumint unsigned",
	} {
		got, err := ParseType(text, "")
		if err != nil || got.String() != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
	if b, _ := ParseType("tinyint(1)", ""); b.Precision != 1 {
		t.Error("tinyint(1) is a truth value")
	}
	if c, _ := ParseType("varchar(3)", "utf8mb4_general_ci"); c.Collation == value.CollationUtf8mb40900Bin {
		t.Error("the collation is lost")
	}
	for _, text := range []string{"", "vector9", "enum(", "enum('a"} {
		if _, err := ParseType(text, ""); !errs.Is(err, errs.Unsupported) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"postgres://etl:secret@db:5432/crm?sslmode=require": "postgres://etl@db:5432/crm",
		"mysql://db/shop":              "mysql://db/shop",
		"postgres://u:se cret%zz@h/db": "postgres://…",
	} {
		if got := Redact(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestPostgresTexts(t *testing.T) {
	if b, err := bits([]byte("101000000001")); err != nil || string(b) != "\x0a\x01" {
		t.Errorf("%x %v", b, err)
	}
	for _, bad := range []string{"infinity", "-infinity", "0044-03-15 BC"} {
		if _, err := finite([]byte(bad)); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if _, err := exactDecimal([]byte("0.1234567890123456789012345678901")); !errs.Is(err, errs.Invalid) {
		t.Error(err)
	}
	if _, err := exactDecimal([]byte("1.500000000000000000000000000000000")); err != nil {
		t.Error(err)
	}
}
