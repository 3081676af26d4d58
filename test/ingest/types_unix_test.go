//go:build unix

package ingest

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// typed is a type of another database: the type that a column of it gets here, and values as its SQL writes them with the texts that they are
// here. A type "" cannot be kept, and want[0] is what is said.
type typed struct {
	decl   string
	typ    string
	values []string
	want   []string
}

// tables makes a table t1, t2, … with the columns id and c of each type.
func tables(all []typed) string {
	var b strings.Builder
	for i, x := range all {
		fmt.Fprintf(&b, "create table t%d (id int primary key, c %s);\n", i+1, x.decl)
		for k, v := range x.values {
			fmt.Fprintf(&b, "insert into t%d values (%d, %s);\n", i+1, k+1, v)
		}
		fmt.Fprintf(&b, "insert into t%d (id) values (%d);\n", i+1, len(x.values)+1)
	}
	return b.String()
}

// check pulls all tables at once and compares types and values.
func check(t *testing.T, at string, all []typed) {
	t.Helper()
	s := newSite(t)
	s.ok("ingest", at)
	got := map[string]string{}
	for _, r := range read(t, s.ok("sql", "-r", "csv", "-q", "select table_name, column_type from information_schema.columns where column_name = 'c'")) {
		got[r[0]] = r[1]
	}
	s.ok("dump", "-r", "csv", "-d", "out")
	for i, x := range all {
		name := "t" + strconv.Itoa(i+1)
		if got[name] != x.typ {
			t.Errorf("%s is %s, want %s", x.decl, got[name], x.typ)
		}
		data, err := os.ReadFile(filepath.Join(s.dir, "out", name+".csv"))
		if err != nil {
			t.Error(err)
			continue
		}
		rows := read(t, string(data))
		if len(rows) != len(x.values)+1 {
			t.Errorf("%s: %d rows, want %d", x.decl, len(rows), len(x.values)+1)
			continue
		}
		for k, want := range append(x.want, "") {
			if text := rows[k][1]; text != want && !sameNumber(text, want) {
				t.Errorf("%s: %s is %q, want %q", x.decl, append(x.values, "NULL")[k], text, want)
			}
		}
	}
	s.says(0, "Already up to date.", "ingest", at)
	s.clean()
}

// sameNumber tells whether two texts are the same floating-point number.
func sameNumber(a, b string) bool {
	x, err := strconv.ParseFloat(a, 64)
	y, err2 := strconv.ParseFloat(b, 64)
	return err == nil && err2 == nil && strings.ContainsAny(a+b, "eE") && x == y
}

// read reads CSV behind its header.
func read(t *testing.T, text string) [][]string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows[min(1, len(rows)):]
}

func TestPostgresTypes(t *testing.T) {
	at := postgres(t)
	all := []typed{
		{"boolean", "tinyint(1)", []string{"true", "false"}, []string{"1", "0"}},
		{"smallint", "smallint", []string{"-32768", "32767"}, []string{"-32768", "32767"}},
		{"int", "int", []string{"-2147483648", "2147483647"}, []string{"-2147483648", "2147483647"}},
		{"bigint", "bigint", []string{"-9223372036854775808", "9223372036854775807"}, []string{"-9223372036854775808", "9223372036854775807"}},
		{"oid", "int unsigned", []string{"4294967295"}, []string{"4294967295"}},
		{"real", "float", []string{"0.1", "-1.5", "3.4028235e38", "1e-45"}, []string{"0.1", "-1.5", "3.4028235e38", "1e-45"}},
		{"double precision", "double", []string{"0.1", "1.7976931348623157e308", "5e-324"}, []string{"0.1", "1.7976931348623157e308", "5e-324"}},
		{"numeric(12,3)", "decimal(12,3)", []string{"-999999999.999", "0.0005"}, []string{"-999999999.999", "0.001"}},
		{"numeric(65,30)", "decimal(65,30)", []string{"12345678901234567890123456789012345.000000000000000000000000000001"}, []string{"12345678901234567890123456789012345.000000000000000000000000000001"}},
		{"numeric(5,-2)", "decimal(7,0)", []string{"1234567"}, []string{"1234600"}},
		{"numeric", "decimal(65,30)", []string{"1.5", "-0.000000000000000000000000000001"}, []string{"1.500000000000000000000000000000", "-0.000000000000000000000000000001"}},
		{"money", "decimal(19,2)", []string{"'12.5'", "'-92233720368547758.08'"}, []string{"12.50", "-92233720368547758.08"}},
		{"varchar(20)", "varchar(20)", []string{"'é🎉,\"'", "'a '"}, []string{"é🎉,\"", "a "}},
		{"varchar", "longtext", []string{"'x'"}, []string{"x"}},
		{"char(4)", "char(4)", []string{"'ab'"}, []string{"ab"}},
		{"text", "longtext", []string{`E'two\nlines\ttab'`}, []string{"two\nlines\ttab"}},
		{"name", "varchar(63)", []string{"'n'"}, []string{"n"}},
		{"uuid", "char(36)", []string{"'A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11'"}, []string{"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}},
		{"bytea", "longblob", []string{`'\x6120'`}, []string{"a "}},
		{"date", "date", []string{"'0001-01-01'", "'9999-12-31'", "'2024-02-29'"}, []string{"0001-01-01", "9999-12-31", "2024-02-29"}},
		{"timestamp", "datetime(6)", []string{"'2024-02-29 12:34:56.123456'"}, []string{"2024-02-29 12:34:56.123456"}},
		{"timestamp(3)", "datetime(3)", []string{"'2024-02-29 12:34:56.1235'"}, []string{"2024-02-29 12:34:56.124"}},
		{"timestamptz", "datetime(6)", []string{"'2050-02-28 12:34:56.5+02'"}, []string{"2050-02-28 10:34:56.500000"}},
		{"time", "time(6)", []string{"'23:59:59.999999'", "'24:00:00'"}, []string{"23:59:59.999999", "24:00:00.000000"}},
		{"time(0)", "time", []string{"'01:02:03'"}, []string{"01:02:03"}},
		{"timetz", "varchar(255)", []string{"'01:02:03+02'"}, []string{"01:02:03+02"}},
		{"interval", "varchar(255)", []string{"'1 year 2 days 03:04:05'"}, []string{"1 year 2 days 03:04:05"}},
		{"json", "json", []string{`'{"a": [1, 2]}'`}, []string{`{"a": [1, 2]}`}},
		{"jsonb", "json", []string{`'{"b": null, "a": 1.50}'`}, []string{`{"a": 1.5, "b": null}`}},
		{"mood", "enum('sad','it''s fine')", []string{"'it''s fine'"}, []string{"it's fine"}},
		{"size", "int", []string{"7"}, []string{"7"}},
		{"int[]", "json", []string{"array[1, null, 3]"}, []string{"[1, null, 3]"}},
		{"text[][]", "json", []string{"array[['a', 'b'], ['c', '\"']]"}, []string{`[["a", "b"], ["c", "\""]]`}},
		{"pair", "json", []string{"row(1, 'x')"}, []string{`{"a": 1, "b": "x"}`}},
		{"bit(65)", "varchar(65)", []string{"repeat('10', 32)::bit(64) || B'1'"}, []string{strings.Repeat("10", 32) + "1"}},
		{"varbit", "varchar(255)", []string{"B'101'"}, []string{"101"}},
		{"inet", "varchar(255)", []string{"'10.0.0.1/8'", "'::1'"}, []string{"10.0.0.1/8", "::1"}},
		{"macaddr", "varchar(255)", []string{"'08:00:2b:01:02:03'"}, []string{"08:00:2b:01:02:03"}},
		{"point", "longtext", []string{"'(1,2)'"}, []string{"(1,2)"}},
		{"int4range", "longtext", []string{"'[1,5)'"}, []string{"[1,5)"}},
		{"tsvector", "longtext", []string{"'a b'"}, []string{"'a' 'b'"}},
	}
	pg(t, at, "create type mood as enum ('sad', 'it''s fine'); create domain size as int check (value > 0); create type pair as (a int, b text);\n"+tables(all))
	check(t, at, all)

	// What cannot be kept exactly is told, by table, row and column, and nothing is kept.
	for i, c := range []struct{ decl, value, want string }{
		{"double precision", "'NaN'", "bad0 row 1, column c: "},
		{"numeric", "'NaN'", "bad1 row 1, column c: "},
		{"date", "'infinity'", "infinity is no moment that can be kept"},
		{"timestamp", "'0044-03-15 00:00 BC'", "is before the year 0"},
		{"numeric", "1e-31", "more than 30 digits behind the point"},
		{"numeric(70,2)", "1", "numeric(70,2) has more digits than DECIMAL(65,30)"},
		{"date", "'10000-01-01'", "bad6 row 1, column c: "},
	} {
		name := fmt.Sprintf("bad%d", i)
		pg(t, at, fmt.Sprintf("create table %s (id int primary key, c %s); insert into %[1]s values (1, %[3]s)", name, c.decl, c.value))
		s := newSite(t)
		if out, code := s.run("ingest", at, "-t", name); code == 0 || !strings.Contains(out, c.want) {
			t.Errorf("%s %s: exit %d, %s", c.decl, c.value, code, out)
		}
		s.says(0, "nothing to commit", "status")
	}
}

func TestMariaDBTypes(t *testing.T) {
	addr := mariadb(t)
	all := []typed{
		{"tinyint(1)", "tinyint(1)", []string{"1", "0"}, []string{"1", "0"}},
		{"tinyint", "tinyint", []string{"-128", "127"}, []string{"-128", "127"}},
		{"tinyint unsigned", "tinyint unsigned", []string{"255"}, []string{"255"}},
		{"smallint unsigned", "smallint unsigned", []string{"65535"}, []string{"65535"}},
		{"mediumint", "mediumint", []string{"-8388608"}, []string{"-8388608"}},
		{"int(5) unsigned zerofill", "int unsigned", []string{"42"}, []string{"42"}},
		{"bigint", "bigint", []string{"-9223372036854775808"}, []string{"-9223372036854775808"}},
		{"bigint unsigned", "bigint unsigned", []string{"18446744073709551615"}, []string{"18446744073709551615"}},
		{"float", "float", []string{"0.1", "-1.5", "3.40282e38"}, []string{"0.1", "-1.5", "3.40282e38"}},
		{"double", "double", []string{"0.1", "1.7976931348623157e308"}, []string{"0.1", "1.7976931348623157e308"}},
		{"decimal(10,2)", "decimal(10,2)", []string{"-12345678.99"}, []string{"-12345678.99"}},
		{"decimal(65,30)", "decimal(65,30)", []string{"12345678901234567890123456789012345.000000000000000000000000000001"}, []string{"12345678901234567890123456789012345.000000000000000000000000000001"}},
		{"year", "year", []string{"1901", "2155"}, []string{"1901", "2155"}},
		{"date", "date", []string{"'2024-02-29'", "'0000-00-00'"}, []string{"2024-02-29", "0000-00-00"}},
		{"time(6)", "time(6)", []string{"'-838:59:59'", "'00:00:00.5'"}, []string{"-838:59:59.000000", "00:00:00.500000"}},
		{"time", "time", []string{"'838:59:59'"}, []string{"838:59:59"}},
		{"datetime(3)", "datetime(3)", []string{"'9999-12-31 23:59:59.999'"}, []string{"9999-12-31 23:59:59.999"}},
		{"timestamp(6) null", "timestamp(6)", []string{"'2024-02-29 14:34:56.123456'"}, []string{"2024-02-29 12:34:56.123456"}},
		{"char(4)", "char(4)", []string{"'ab'"}, []string{"ab"}},
		{"varchar(20) character set latin1", "varchar(20)", []string{"'é'"}, []string{"é"}},
		{"varchar(20) collate utf8mb4_general_ci", "varchar(20)", []string{"'é🎉,\"'"}, []string{"é🎉,\""}},
		{"tinytext", "tinytext", []string{"'t'"}, []string{"t"}},
		{"text", "text", []string{"'two\\nlines'"}, []string{"two\nlines"}},
		{"mediumtext", "mediumtext", []string{"'m'"}, []string{"m"}},
		{"longtext", "longtext", []string{"'l'"}, []string{"l"}},
		{"varbinary(7)", "varbinary(7)", []string{"'a '"}, []string{"a "}},
		{"blob", "blob", []string{"'b'"}, []string{"b"}},
		{"enum('a','it''s','b,c')", "enum('a','it''s','b,c')", []string{"'it''s'", "'b,c'"}, []string{"it's", "b,c"}},
		{"set('x','y','z')", "set('x','y','z')", []string{"'z,x'", "''"}, []string{"x,z", ""}},
		{"json", "json", []string{`'{"b": [1, 2], "a": null}'`}, []string{`{"a": null, "b": [1, 2]}`}},
		{"uuid", "char(36)", []string{"'A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11'"}, []string{"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}},
		{"inet6", "char(39)", []string{"'::1'"}, []string{"::1"}},
	}
	dsn := "root@tcp(" + addr + ")/shop?charset=utf8mb4"
	if err := my(dsn, "alter database shop character set utf8mb4; set time_zone = '+02:00', sql_mode = '';\n"+tables(all)); err != nil {
		t.Fatal(err)
	}
	check(t, "mysql://root@"+addr+"/shop", all)
}
