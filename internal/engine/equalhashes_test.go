package engine

import "testing"

// TestEqualHashes makes the same content in different ways: hashes are of content only.
func TestEqualHashes(t *testing.T) {
	c := versioned(t)
	const rows = "insert into t values (1, 'a', 1.5), (2, null, 2.5)"
	c.exec("create table t (id int primary key, v varchar(20), d double)", rows, "call dolt_commit('-Am', 'one')", "call dolt_tag('one')")
	// Dropped and made again, in one commit and in two, in another order, by way of other rows and columns.
	for _, way := range [][]string{
		{"drop table t", "create table t (id int primary key, v varchar(20), d double)", rows},
		{"drop table t", "call dolt_commit('-Am', 'gone')", "create table t (id int primary key, v varchar(20), d double)", rows},
		{"delete from t", "insert into t values (2, null, 2.5)", "insert into t values (7, 'x', 7)", "insert into t values (1, 'b', 1.5)", "update t set v = 'a' where id = 1", "delete from t where id = 7"},
		{"alter table t add column x int default 3", "update t set x = 4", "alter table t drop column x"},
		{"rename table t to u", "rename table u to t"},
		{"alter table t rename column v to w", "alter table t rename column w to v"},
		{"create index i on t (v)", "drop index i on t"},
	} {
		c.exec(way...)
		c.want("select dolt_hashof_table('t') = dolt_hashof_table('t', 'one'), dolt_hashof_db('WORKING') = dolt_hashof_db('one')", "true,true")
		c.exec("call dolt_commit('-A', '--allow-empty', '-m', 'again')")
	}
	// The same ADD COLUMN on two branches.
	c.exec("call dolt_branch('a')", "call dolt_branch('b')")
	for _, b := range []string{"a", "b"} {
		c.exec("call dolt_checkout('"+b+"')", "alter table t add column x int not null default 7", "update t set x = 8 where id = 2", "call dolt_commit('-am', '"+b+"')")
	}
	c.want("select dolt_hashof_table('t', 'a') = dolt_hashof_table('t', 'b')", "true")
	c.exec("call dolt_merge('a', '-m', 'both')")
	c.want("select dolt_hashof_db('HEAD') = dolt_hashof_db('a')", "true")
	// Rebased and squashed, the content stays.
	c.exec("call dolt_checkout('a')", "insert into t values (3, 'c', 3, 3)", "call dolt_commit('-am', 'three')", "insert into t values (4, 'd', 4, 4)", "call dolt_commit('-am', 'four')",
		"call dolt_branch('merged', 'b')", "call dolt_branch('rebased', 'a')", "call dolt_branch('squashed', 'a')",
		"call dolt_checkout('merged')", "insert into t values (9, 'i', 9, 9)", "call dolt_commit('-am', 'nine')", "call dolt_branch('onto')", "call dolt_merge('a', '-m', 'x')",
		"call dolt_checkout('rebased')", "call dolt_rebase('onto')", "call dolt_checkout('squashed')", "call dolt_squash_history('-m', 'all')")
	c.want("select dolt_hashof_db('rebased') = dolt_hashof_db('merged'), dolt_hashof_db('squashed') = dolt_hashof_db('a')", "true,true")
}
