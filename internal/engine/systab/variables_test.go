package systab_test

import (
	"slices"
	"strings"
	"testing"
)

func TestOverrideSchema(t *testing.T) {
	w := newWorld(t)
	w.run("create table t (id int primary key, a varchar(9), b int)", "insert into t values (1, 'x', 10), (2, 'y', 20)")
	w.commit("main", "one")
	w.run("alter table t drop column a, add column c int default 7", "alter table t rename column b to bb")
	w.commit("main", "two")
	w.want("select * from t as of 'HEAD~1'", "1|x|10", "2|y|20")
	w.run("set @@dolt_override_schema = 'main'")
	w.want("select * from t as of 'HEAD~1'", "1|10|NULL", "2|20|NULL")
	w.want("select bb from `db/main~1`.t where id = 2", "20")
	w.want("select count(*) from t as of 'HEAD~1'", "2")
	w.want("select * from t", "1|10|7", "2|20|7") // the working set keeps its own
	w.run("set @@dolt_override_schema = 'main~1'")
	w.want("select * from t as of 'HEAD'", "1|NULL|10", "2|NULL|20")
	w.fails("select * from t as of 'HEAD~2'", "not found")
	w.fails("insert into `db/main~1`.t values (3, 'z', 1)", "")
	w.run("set @@dolt_override_schema = 'main~2'")
	w.fails("select * from t as of 'HEAD'", "with the schema of main~2")
	w.run("set @@dolt_override_schema = ''")
	w.want("select * from t as of 'HEAD~1'", "1|x|10", "2|y|20")
}

func TestShowSystemTables(t *testing.T) {
	w := newWorld(t)
	w.run("create table t (id int primary key)")
	w.want("show tables", "t")
	w.run("set @@dolt_show_system_tables = 1")
	got, err := w.query("show tables")
	ok(t, err)
	for _, name := range []string{"t", "dolt_log", "dolt_branches", "dolt_docs", "dolt_ignore", "dolt_query_catalog", "dolt_diff_t", "dolt_history_t"} {
		if !slices.Contains(got, name) {
			t.Errorf("%s is not shown", name)
		}
	}
	if slices.Contains(got, "dolt_rebase") || !slices.IsSorted(got) {
		t.Errorf("got %v", got)
	}
	for _, name := range got {
		where := ""
		if strings.HasPrefix(name, "dolt_commit_diff_") {
			where = " where from_commit = 'HEAD' and to_commit = 'WORKING'"
		}
		if _, err := w.query("select * from `" + name + "`" + where + " limit 1"); err != nil {
			t.Errorf("%s is shown, but: %v", name, err)
		}
	}
	w.run("set @@dolt_show_system_tables = 0")
	w.want("show tables", "t")
}
