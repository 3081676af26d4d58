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
	w.want("select to_id, to_v, diff_type, to_commit = 'WORKING' from dolt_diff_c limit 2", "1|11|added|true", "2|20|added|true")
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
