package systab_test

import "testing"

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
