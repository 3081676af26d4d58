package engine

import "testing"

// TestMergeChecks merges tables with CHECK constraints: what only the merge breaks is listed, each way.
func TestMergeChecks(t *testing.T) {
	base := []string{"create table t (id int primary key, a int, b int, v int generated always as (a * 2) virtual, constraint small check (a + b < 10))", "insert into t (id, a, b) values (1,1,1),(2,2,2),(3,null,3)"}
	const list = "select violation_type, id, a, b, violation_info from dolt_constraint_violations_t"

	// Columns merge beside a check, and a row whose parts break it is listed.
	c := forked(t, []string{"create table t (id int primary key, a int, b int, constraint small check (a + b < 10))", "insert into t values (1,1,1),(2,2,2),(3,null,3)"},
		[]string{"update t set a = 8 where id = 1", "update t set a = 1 where id = 2", "insert into t values (4,4,4)"},
		[]string{"update t set b = 7 where id <= 2", "update t set b = 100 where id = 3"})
	c.fails("call dolt_merge('side')", "constraint violations, transaction rolled back")
	c.exec("set @@dolt_allow_commit_conflicts = 1") // which is for conflicts only
	c.fails("call dolt_merge('side')", "set @@dolt_force_transaction_commit=1")
	c.want("select * from dolt_constraint_violations", "")
	c.exec("set @@dolt_allow_commit_conflicts = 0", "set @@dolt_force_transaction_commit = 1")
	c.want("call dolt_merge('side')", ",0,1,conflicts found")
	c.want("select * from t", "1,8,7 2,1,7 3,NULL,100 4,4,4")
	c.want("select * from dolt_constraint_violations", "t,1")
	c.want("select violation_type, id, a, b, violation_info from dolt_constraint_violations_t", "3,1,8,7,{\"Name\": \"small\", \"Expression\": \"((`a` + `b`) < 10)\"}")
	c.fails("call dolt_commit('-am', 'too early')", "constraint violations")
	c.want("call dolt_verify_constraints()", "1")
	c.exec("update t set a = 2 where id = 1")
	c.want("call dolt_verify_constraints('--all')", "0")
	c.exec("call dolt_commit('-am', 'merged')")

	// A check that theirs added holds for rows of ours.
	c = forked(t, []string{"create table t (id int primary key, a int, b varchar(9))", "insert into t values (1,1,'x')"},
		[]string{"insert into t values (2,20,'y')", "update t set b = 'z' where id = 1"}, []string{"alter table t add constraint small check (a < 10)"})
	c.exec("set @@dolt_force_transaction_commit = 1", "call dolt_merge('side')")
	c.want(list, "3,2,20,y,{\"Name\": \"small\", \"Expression\": \"(`a` < 10)\"}")
	c.exec("call dolt_merge('--abort')", "call dolt_checkout('side')", "call dolt_merge('main')")
	c.want(list, "3,2,20,y,{\"Name\": \"small\", \"Expression\": \"(`a` < 10)\"}")

	// One that is not enforced, or that ours dropped, holds for nothing.
	c = forked(t, []string{"create table t (id int primary key, a int, b int, constraint c1 check (a < 10) not enforced, constraint c2 check (a < 5))"},
		[]string{"alter table t drop constraint c2", "insert into t values (1,50,0)"}, []string{"insert into t values (2,2,2)"})
	c.exec("call dolt_merge('side')")
	c.want("select id from t", "1 2")

	// Checks of virtual columns, and of functions.
	base[0] = "create table t (id int primary key, a int, b varchar(20), v int generated always as (a * 2) virtual, constraint w check (v < 10 and char_length(b) < 5))"
	base[1] = "insert into t (id, a, b) values (1,1,'a')"
	c = forked(t, base, []string{"insert into t (id, a, b) values (2,1,'b')"}, []string{"delete from t", "alter table t add constraint x check (v <> 2)", "insert into t (id, a, b) values (1,2,'a')"})
	c.exec("set @@dolt_force_transaction_commit = 1", "call dolt_merge('side')")
	c.want("select violation_type, id, a, b from dolt_constraint_violations_t", "3,2,1,b")

	// A column that a check of the other side names is gone.
	c = forked(t, []string{"create table t (id int primary key, a int, b int)", "insert into t values (1,1,1)"},
		[]string{"alter table t drop column b"}, []string{"alter table t add constraint small check (b < 10)"})
	c.exec("set @@dolt_force_transaction_commit = 1", "call dolt_merge('side')")
	c.want("select table_name, left(description, 60) from dolt_schema_conflicts", "t,check 'small' does not go with the columns of the other side")
	c.exec("call dolt_conflicts_resolve('--ours', 't')", "call dolt_commit('-am', 'merged')")
	c.want("show create table t", "t,CREATE TABLE `t` (\n  `id` int NOT NULL,\n  `a` int,\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin")

	// Cherry-picks, reverts and previews look as well.
	c = forked(t, []string{"create table t (id int primary key, a int, b int)", "insert into t values (1,1,1)"},
		[]string{"alter table t add constraint small check (a < 10)"}, []string{"update t set a = 11"})
	c.want("select * from dolt_preview_merge_conflicts_summary('main', 'side')", "")
	c.fails("call dolt_cherry_pick('side')", "constraint violations, transaction rolled back")
	c.exec("set @@dolt_force_transaction_commit = 1")
	c.exec("call dolt_cherry_pick('side')")
	c.want("select violation_type, id from dolt_constraint_violations_t", "3,1")
}
