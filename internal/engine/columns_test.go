package engine

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/dolthub/go-mysql-server/sql"
)

// TestColumnsBesideDolt compares the columns of system tables and functions with those of Dolt 2.3.1, which testdata/dolt-columns.txt
// keeps: all are there, in the same order, with types of the same family. What stands in beyond is more.
func TestColumnsBesideDolt(t *testing.T) {
	beyond := map[string][]string{"dolt_log": {"metadata"}, "dolt_log()": {"metadata"}, "dolt_commits": {"metadata"}}
	data, err := os.ReadFile("testdata/dolt-columns.txt")
	if err != nil {
		t.Fatal(err)
	}
	c := versioned(t)
	c.exec("create table t (id int primary key, v varchar(20), n decimal(8,2))", "insert into t values (1, 'a', 1.5)", "create table k (a int)", "insert into k values (1)",
		"insert into dolt_tests values ('ones', null, 'select 1', 'expected_rows', '==', '1')", "call dolt_commit('-Am', 'one')", "call dolt_branch('b')", "update t set v = 'b'", "call dolt_commit('-am', 'two')")
	seen := 0
	for part := range strings.SplitSeq(string(data), "\n\n") {
		lines := strings.Split(strings.TrimSpace(part), "\n")
		if strings.HasPrefix(lines[0], "#") {
			continue
		}
		name := lines[0]
		var want []string
		for _, l := range lines[1:] {
			f := strings.Fields(l)
			want = append(want, f[0]+" "+family(strings.Join(f[1:len(f)-1], " ")))
		}
		var got []string
		for _, col := range c.columnsOf(name) {
			if len(beyond[name]) > 0 && beyond[name][0] == col.Name {
				continue
			}
			got = append(got, col.Name+" "+family(strings.ToLower(col.Type.String())))
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s has\n\t%s\nDolt\n\t%s", name, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		}
		seen++
	}
	if seen < 45 {
		t.Errorf("there are no more than %d tables and functions in the file", seen)
	}
}

// columnsOf are the columns of all that a table, or a table function with its arguments, has.
func (c *client) columnsOf(from string) sql.Schema {
	c.w.t.Helper()
	where := ""
	if strings.HasPrefix(from, "dolt_commit_diff_") {
		where = " where from_commit = 'HEAD^' and to_commit = 'HEAD'"
	}
	ctx := c.w.eng.NewContext(c.w.t.Context(), c.s)
	sch, iter, err := c.w.eng.Query(ctx, "select * from "+from+where)
	if err == nil {
		_, err = sql.RowIterToRows(ctx, iter)
	}
	if err != nil {
		c.w.t.Errorf("%s: %v", from, err)
	}
	return sch
}

var (
	texts   = regexp.MustCompile(`^((tiny|medium|long)?text|(var)?char\(\d+\))( character set \w+)?( collate \w+)?$`)
	moments = regexp.MustCompile(`^(datetime|timestamp)(\(\d\))?$`)
	enums   = regexp.MustCompile(`^enum\(.*\)`)
)

// family is a type without its length, collation and precision: clients see one type of all texts, and of all moments.
func family(typ string) string {
	typ = strings.ToLower(typ)
	switch {
	case texts.MatchString(typ):
		return "text"
	case moments.MatchString(typ):
		return "datetime"
	case enums.MatchString(typ):
		return "enum"
	case typ == "boolean":
		return "tinyint(1)"
	}
	return typ
}
