package engine

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dolthub/go-mysql-server/sql"
)

// otherTypes are the types that differ from Dolt's on purpose, by Dolt's: times of commits are kept, and compared by AS OF, to the
// microsecond; a hash has 52 characters; columns of tables that are stored have the types of Dolt at the time when their format was fixed.
var otherTypes = map[string][]string{
	"datetime(3)": {"datetime(6)"}, "datetime": {"datetime(6)"}, "timestamp": {"datetime(6)"},
	"char(32) character set ascii collate ascii_bin": {"text"}, "varchar(1024) character set ascii collate ascii_bin": {"text"},
	"text": {"varchar(1023)", "longtext"}, "longtext": {"varchar(1023)"}, "varchar(65535)": {"varchar(1023)"},
}

// otherNulls are the columns of which only one of both says that they may be NULL, each for one reason: Dolt calls NOT NULL what its rows
// of the working set, first commits and views of conflicts have NULL in, or keeps older definitions of stored tables here.
var otherNulls = []string{
	"dolt_history_t id", // of a table whose key changed, no value
	"dolt_blame_t id", "dolt_blame_t committer", "dolt_blame_t email", "dolt_blame_t message",
	"dolt_conflicts_t our_id", "dolt_conflicts_t dolt_conflict_id", "dolt_conflicts_k dolt_conflict_id", "dolt_commit_ancestors parent_hash",
	"dolt_diff committer", "dolt_diff email", "dolt_diff date", "dolt_diff message", "dolt_diff author", "dolt_diff author_email", "dolt_diff author_date",
	"dolt_column_diff committer", "dolt_column_diff email", "dolt_column_diff date", "dolt_column_diff message", "dolt_column_diff author",
	"dolt_column_diff author_email", "dolt_column_diff author_date", "dolt_docs doc_text", "dolt_query_catalog description",
}

// TestColumnsBesideDolt compares the columns of system tables and functions with those of Dolt 2.3.1, which testdata/dolt-columns.txt
// keeps: all are there, in the same order, of the same types or of otherTypes, and NULL is where it is there. What stands in beyond is more.
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
	nulls := map[string]bool{}
	for part := range strings.SplitSeq(string(data), "\n\n") {
		lines := strings.Split(strings.TrimSpace(part), "\n")
		if strings.HasPrefix(lines[0], "#") {
			continue
		}
		name := lines[0]
		var want []string
		for _, l := range lines[1:] {
			f := strings.Fields(l)
			want = append(want, f[0]+" "+strings.ToLower(strings.Join(f[1:len(f)-1], " "))+" "+f[len(f)-1])
		}
		var got []string
		for _, col := range c.columnsOf(name) {
			if len(beyond[name]) > 0 && beyond[name][0] == col.Name {
				continue
			}
			typ, null := strings.ToLower(col.Type.String()), "NO"
			if typ == "boolean" {
				typ = "tinyint(1)"
			}
			if col.Nullable {
				null = "YES"
			}
			if i := len(got); i < len(want) {
				theirs := strings.TrimPrefix(want[i], col.Name+" ")
				theirType, theirNull := theirs[:strings.LastIndex(theirs, " ")], theirs[strings.LastIndex(theirs, " ")+1:]
				if slices.Contains(otherTypes[theirType], typ) || enums.MatchString(typ) && enums.MatchString(theirType) {
					typ = theirType
				}
				if key := name + " " + col.Name; slices.Contains(otherNulls, key) && null != theirNull {
					nulls[key] = true
					null = theirNull
				}
				if strings.HasSuffix(name, ")") { // of a function a table was made there, which forgets this
					null = theirNull
				}
			}
			got = append(got, col.Name+" "+typ+" "+null)
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s has\n\t%s\nDolt\n\t%s", name, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		}
		seen++
	}
	for _, key := range otherNulls {
		if !nulls[key] {
			t.Errorf("%s is as in Dolt, and needs no exception", key)
		}
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

var enums = regexp.MustCompile(`^enum\(.*\)`)
