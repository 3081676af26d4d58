package systab_test

import "testing"

func TestViewsAreRowsOfSchemas(t *testing.T) {
	w := newWorld(t)
	w.want("select * from dolt_schemas")
	w.run("create table t (id int primary key, a int)", "insert into t values (1, 1)")
	w.commit("main", "one")
	w.run("create view v as select a from t")
	w.want("select * from dolt_status", "dolt_schemas|0|new table")
	w.commit("main", "two")
	w.run("create or replace view v as select a + 1 as b from t", "create view w as select * from v")
	w.want("select * from dolt_status", "dolt_schemas|0|modified")
	w.want("select to_name, to_fragment, from_fragment, diff_type from dolt_diff_dolt_schemas where to_commit = 'WORKING'",
		"v|CREATE VIEW `v` AS select a + 1 as b from t|create view v as select a from t|modified", "w|create view w as select * from v|NULL|added")
	w.commit("main", "three")
	w.want("select message, fragment from dolt_blame_dolt_schemas b join dolt_schemas s using (type, name) order by name",
		"three|CREATE VIEW `v` AS select a + 1 as b from t", "three|create view w as select * from v")
	w.want("select name, commit_date from dolt_history_dolt_schemas", "v|2021-02-04", "w|2021-02-04", "v|2021-02-03")
	w.want("select table_name, data_change, schema_change from dolt_diff where message = 'three'", "dolt_schemas|1|0")
	w.want("select statement from dolt_patch('HEAD~1', 'HEAD')",
		"UPDATE `dolt_schemas` SET `fragment`='CREATE VIEW `v` AS select a + 1 as b from t' WHERE `type`='view' AND `name`='v';",
		"INSERT INTO `dolt_schemas` (`type`,`name`,`fragment`,`extra`,`sql_mode`) VALUES ('view','w','create view w as select * from v',NULL,'NO_ENGINE_SUBSTITUTION,ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES');")
	// Views over system tables and functions.
	w.run("create view mine as select message from dolt_log", "create view changes as select to_a, diff_type from dolt_diff('HEAD~2', 'WORKING', 't')")
	w.want("select * from mine limit 1", "three")
	w.want("select * from mine as of 'HEAD~1' limit 1", "two")
	w.run("insert into t values (2, 5)")
	w.want("select * from changes", "5|added")
}
