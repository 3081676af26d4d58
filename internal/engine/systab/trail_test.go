package systab_test

import "testing"

// TestRenamedTable: the history of a table goes through its renames, by every way of asking for it.
func TestRenamedTable(t *testing.T) {
	w := newWorld(t)
	w.run("create table a (id int primary key, v int)", "insert into a values (1, 10)")
	w.commit("main", "one")
	w.branch("side", "main")
	w.run("update a set v = 11")
	w.commit("main", "two")
	w.run("rename table a to b")
	w.commit("main", "renamed")
	w.run("insert into b values (2, 20)")
	w.commit("main", "three")

	w.want("select id, v, commit_hash = hashof('HEAD') from dolt_history_b", "1|11|true", "2|20|true", "1|11|false", "1|11|false", "1|10|false")
	w.want("select v from dolt_history_b where id = 1 and commit_hash = hashof('HEAD~3')", "10")
	w.want("select v from dolt_history_b where id = 1 order by commit_date", "10", "11", "11", "11")
	w.want("select v from dolt_history_b where id = 1 order by commit_date desc", "11", "11", "11", "10")
	all := []string{"2|20|NULL|added", "1|11|10|modified", "1|10|NULL|added"}
	w.want("select to_id, to_v, from_v, diff_type from dolt_diff_b", all...)
	w.want("select to_id, to_v, from_v, diff_type from dolt_diff_b order by to_commit_date desc", all...)
	w.want("select to_id, to_v, from_v, diff_type from dolt_diff_b where to_commit = hashof('HEAD~2')", all[1])
	w.want("select to_id, to_v, from_v, diff_type from dolt_diff_b where to_commit = hashof('HEAD~1')") // renamed, no row changed
	w.want("select to_id, to_v, from_v, diff_type from dolt_diff_b where from_commit = hashof('HEAD~3')", all[1])
	w.want("select to_id, to_v, from_v from dolt_diff_b where from_commit = hashof('HEAD~3') and to_commit = hashof('HEAD')", "1|11|10", "2|20|NULL")
	w.want("select to_id, to_v, from_v from dolt_commit_diff_b where from_commit = 'HEAD~3' and to_commit = 'HEAD~2'", "1|11|10")

	// Renamed again in the working set only, and then as a whole other table of the old name.
	w.run("rename table b to c", "insert into c values (3, 30)")
	w.want("select to_id, to_v, diff_type, to_commit = 'WORKING' from dolt_diff_c limit 2", "3|30|added|true", "2|20|added|false")
	w.run("delete from c where id = 3")
	w.want("select to_id, to_v, from_v, diff_type from dolt_diff_c", all...)
	w.want("select count(*) from dolt_history_c", "5")
	w.run("create table b (id int primary key, v int)", "insert into b values (7, 70)")
	w.commit("main", "another b")
	w.want("select id, v from dolt_history_b where commit_hash = hashof('HEAD')", "7|70")
	w.want("select count(*) from dolt_history_c", "2") // from here on it is no rename: b goes on
	w.want("select id, v from dolt_history_b where commit_hash = hashof('HEAD~4')", "1|10")

	// On the other branch the table keeps its name; merged, both ways lead to it.
	w.ctx.SetCurrentDatabase("db/side")
	w.run("insert into a values (5, 50)")
	w.commit("side", "on the side")
	w.want("select id from dolt_history_a where v = 50", "5")
}

// TestRenamedAndEdited: a commit that renames a table and changes its rows does not end its history; a table made anew beside one that went
// is another.
func TestRenamedAndEdited(t *testing.T) {
	w := newWorld(t)
	w.run("create table a (id int primary key, v int)", "insert into a values (1, 10), (2, 20), (3, 30)")
	w.commit("main", "one")
	w.run("rename table a to b", "update b set v = 11 where id = 1", "insert into b values (4, 40)", "alter table b rename column v to w")
	w.commit("main", "renamed")
	w.want("select from_table_name, to_table_name, diff_type, data_change, schema_change from dolt_diff_summary('HEAD~1', 'HEAD')", "a|b|renamed|1|1")
	w.want("select from_id, from_v, to_id, to_w, diff_type from dolt_diff('HEAD~1', 'HEAD', 'b')", "1|10|1|11|modified", "NULL|NULL|4|40|added")
	w.want("select statement from dolt_patch('HEAD~1', 'HEAD')", "RENAME TABLE `a` TO `b`;", "ALTER TABLE `b` RENAME COLUMN `v` TO `w`;",
		"UPDATE `b` SET `w`=11 WHERE `id`=1;", "INSERT INTO `b` (`id`,`w`) VALUES (4,40);")
	w.want("select id, w from dolt_history_b where commit_hash = hashof('HEAD~1')", "1|10", "2|20", "3|30")
	w.want("select to_id, from_w, to_w, diff_type from dolt_diff_b where to_commit = hashof('HEAD')", "1|10|11|modified", "4|NULL|40|added")
	w.want("select id, message from dolt_blame_b", "1|renamed", "2|one", "3|one", "4|renamed")

	w.run("drop table b", "create table c (id int primary key, w int)", "insert into c values (1, 100), (3, 300)")
	w.commit("main", "another")
	w.want("select from_table_name, to_table_name, diff_type from dolt_diff_summary('HEAD~1', 'HEAD')", "b||dropped", "|c|added")
	w.want("select id, w from dolt_history_c", "1|100", "3|300")
}
