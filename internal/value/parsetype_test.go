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
		"DOUBLE PRECISION": "double", "float(53)": "double", "float(7,3)": "float", " TIME ( 3 ) ": "time(3)", "text(100)": "text", "text(10)": "tinytext",
		"enum( 'a' , 'b' )": "enum('a','b')", "varchar(20) character set utf8mb4 collate utf8mb4_0900_ai_ci": "varchar(20)", "int zerofill": "int unsigned", "vector(3)": "vector(3)",
	} {
		got, err := ParseType(text, CollationUtf8mb40900Bin)
		if err != nil || got.String() != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
	if b, _ := ParseType("tinyint(1)", CollationUtf8mb40900Bin); b.Precision != 1 {
		t.Error("tinyint(1) is a truth value")
	}
	if c, _ := ParseType("char(1) collate utf8mb4_0900_ai_ci", CollationUtf8mb40900Bin); c.Collation != CollationUtf8mb40900AiCi {
		t.Errorf("%+v", c)
	}
	if g, _ := ParseType("point srid 4326", CollationUtf8mb40900Bin); g.SRID != 4326 || !g.HasSRID {
		t.Errorf("%+v", g)
	}
	for _, text := range []string{"", "vektor", "int5", "char(1) collate klingon_ci"} {
		if _, err := ParseType(text, CollationUtf8mb40900Bin); !errs.Is(err, errs.Unsupported) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"enum(", "enum('a", "enum('a)", "enum('a',)", "enum()", "decimal(66)", "decimal(5,31)", "decimal(3,4)", "decimal(a)", "decimal(1,2,3)", "varchar", "varchar(-1)",
		"varchar(65536)", "char(256)", "bit(65)", "bit(0)", "time(7)", "date(3)", "json(1)", "int unsigned nonsense", "date unsigned", "int collate utf8mb4_bin", "vector(0)",
		"char(3) collate", "point srid x", "year(2)", "float(54)"} {
		if _, err := ParseType(text, CollationUtf8mb40900Bin); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
