package engine

import "testing"

// TestMergeInTransaction merges, picks and reverts in transactions of several statements: what leaves conflicts is the transaction's until
// it commits.
func TestMergeInTransaction(t *testing.T) {
	c := forked(t, conflicting[0], conflicting[1], conflicting[2])
	other := c.w.client()
	other.exec("use db")
	const ours, merged = "1,ours,1 2,b,22", "1,ours,1 2,bb,22 4,d,4"
	quiet := func() {
		t.Helper()
		other.want("select * from t", ours)
		other.want("select is_merging from dolt_merge_status", "0")
		other.want("select count(*) from dolt_conflicts", "0")
		other.want("select count(*) from dolt_status", "0")
	}

	// Rolled back, nothing has been; nor have edits before it.
	c.exec("create table beside (id int primary key)", "call dolt_commit('-Am', 'beside')", "start transaction", "insert into beside values (1)")
	c.want("call dolt_merge('side')", ",0,1,conflicts found")
	c.want("select * from t", merged)
	c.want("select is_merging, source from dolt_merge_status", "1,side")
	c.want("select * from dolt_conflicts", "t,2")
	c.want("select table_name, staged, status from dolt_status order by table_name, status", "beside,0,modified t,0,conflict")
	quiet()
	c.fails("call dolt_merge('side')", "you have not committed an active merge")
	c.fails("call dolt_cherry_pick('side')", "you have not committed an active merge")
	c.exec("rollback")
	quiet()
	c.want("select * from beside", "")
	c.want("select is_merging from dolt_merge_status", "0")

	// Committed with conflicts it is an error, which is no deadlock, and the transaction is over.
	c.exec("start transaction", "insert into beside values (1)", "call dolt_merge('side')")
	c.fails("call dolt_commit('-am', 'too early')", "Merge conflict detected, the transaction stays as it is")
	c.want("select * from dolt_conflicts", "t,2")
	c.fails("commit", "Merge conflict detected, transaction rolled back")
	c.want("select * from t", ours)
	c.want("select * from beside", "")
	quiet()

	// With autocommit off; given up, with what was edited beside it.
	c.exec("set autocommit = 0")
	c.want("call dolt_merge('side')", ",0,1,conflicts found")
	c.exec("insert into beside values (2)", "savepoint s", "call dolt_conflicts_resolve('--theirs', 't')")
	c.want("select * from t", "1,theirs,1 2,bb,22 3,c,33 4,d,4")
	c.exec("rollback to s")
	c.want("select * from dolt_conflicts", "t,2")
	c.want("call dolt_merge('--abort')", ",0,0,merge aborted")
	c.want("select * from t", ours)
	c.want("select is_merging from dolt_merge_status", "0")
	c.exec("commit")
	other.want("select * from beside", "2")
	other.want("select * from t", ours)
	c.exec("call dolt_commit('-am', 'two')")

	// Resolved, it is committed: the rows by SQL, the merge by dolt_commit.
	c.want("call dolt_merge('side')", ",0,1,conflicts found")
	c.exec("update dolt_conflicts_t set our_v = 'both' where base_id = 1", "delete from dolt_conflicts_t where base_id = 1")
	c.fails("commit", "Merge conflict detected, transaction rolled back")
	c.want("call dolt_merge('side')", ",0,1,conflicts found")
	c.exec("update t set v = 'both' where id = 1", "delete from dolt_conflicts_t")
	other.want("select * from t", ours)
	c.exec("commit")
	other.want("select * from t", "1,both,1 2,bb,22 4,d,4")
	other.want("select is_merging, unmerged_tables from dolt_merge_status", "1,")
	c.exec("call dolt_commit('-am', 'merged')")
	other.want("select count(*) from dolt_commit_ancestors where commit_hash = hashof('main')", "2")

	// Or in one go.
	c.exec("call dolt_reset('--hard', 'HEAD~1')")
	c.want("call dolt_merge('side')", ",0,1,conflicts found")
	c.exec("call dolt_conflicts_resolve('--ours', 't')", "call dolt_commit('-am', 'merged')")
	other.want("select * from t", merged)
	other.want("select is_merging from dolt_merge_status", "0")
	other.want("select count(*) from dolt_commit_ancestors where commit_hash = hashof('main')", "2")

	// Let through.
	c.exec("call dolt_reset('--hard', 'HEAD~1')", "set @@dolt_allow_commit_conflicts = 1")
	c.want("call dolt_merge('side')", ",0,1,conflicts found")
	c.exec("commit")
	other.want("select * from dolt_conflicts", "t,2")
	c.exec("call dolt_merge('--abort')")
	other.want("select * from t", ours)
	c.exec("set @@dolt_allow_commit_conflicts = 0")

	// Another commits meanwhile.
	c.want("call dolt_merge('side')", ",0,1,conflicts found")
	c.exec("delete from dolt_conflicts_t")
	other.exec("insert into beside values (9)", "call dolt_commit('-am', 'meanwhile')")
	c.fails("commit", "was committed to, or tables were staged, after the merge in this transaction")
	other.want("select * from t", ours)
	other.want("select * from beside", "2 9")

	// A row that another changes in a table of the merge.
	c.want("call dolt_merge('side')", ",0,1,conflicts found")
	c.exec("delete from dolt_conflicts_t")
	other.exec("update t set w = 5 where id = 2")
	c.fails("commit", "another transaction changed table t")
	other.exec("call dolt_reset('--hard')")

	// Clean merges are commits, which end the transaction as dolt_commit does; local changes are in their way in the transaction too.
	c.exec("call dolt_checkout('-b', 'clean', 'side')", "insert into t values (50, 'x', 50)", "call dolt_commit('-am', 'fifty')",
		"call dolt_checkout('side')", "insert into t values (60, 'y', 60)")
	c.fails("call dolt_merge('clean')", "local changes would be stomped by merge")
	c.exec("rollback", "call dolt_reset('--hard')", "call dolt_merge('clean')", "rollback")
	c.want("select count(*) from t where id = 50", "1")

	// Picks and reverts.
	c.exec("call dolt_checkout('main')")
	c.exec("call dolt_cherry_pick('side~1')")
	c.want("select count(*) from dolt_conflicts", "1")
	c.exec("call dolt_cherry_pick('--abort')")
	c.want("select * from t", ours)
	c.exec("call dolt_cherry_pick('side~1')", "rollback")
	c.want("select * from t", ours)
	c.exec("update t set v = 'later' where id = 1", "call dolt_commit('-am', 'later')")
	c.exec("call dolt_revert('main~4')")
	c.want("select count(*) from dolt_conflicts", "1")
	c.fails("commit", "Merge conflict detected, transaction rolled back")
	c.want("select v from t where id = 1", "later")
}

// TestMergeViolationsInTransaction commits transactions with rows that violate constraints through a merge.
func TestMergeViolationsInTransaction(t *testing.T) {
	c := forked(t, []string{"create table t (id int primary key, v varchar(20), unique key u (v))", "insert into t values (1,'a')"},
		[]string{"insert into t values (2,'x')"}, []string{"insert into t values (3,'x'), (4, 'y')"})
	c.exec("set autocommit = 0", "set @@dolt_allow_commit_conflicts = 1", "call dolt_merge('side')")
	c.fails("commit", "working set with constraint violations, transaction rolled back")
	c.want("select * from t", "1,a 2,x")
	c.exec("call dolt_merge('side')", "delete from t where id = 2", "delete from dolt_constraint_violations_t", "call dolt_commit('-am', 'merged')")
	c.want("select * from t", "1,a 3,x 4,y")
	c.exec("call dolt_reset('--hard', 'HEAD~1')", "set @@dolt_force_transaction_commit = 1", "call dolt_merge('side')", "commit")
	c.want("select * from dolt_constraint_violations", "t,2")
}
