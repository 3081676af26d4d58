package engine

import (
	"strings"
	"testing"
)

// TestSystemVariables shows the effect of each system variable of version control, those of 2021 included.
func TestSystemVariables(t *testing.T) {
	c := versioned(t)
	c.exec("create table t (id int primary key, a int)", "insert into t values (1, 10)", "call dolt_commit('-Am', 'one')", "call dolt_tag('v1')",
		"alter table t rename column a to b", "insert into t values (2, 20)", "call dolt_commit('-am', 'two')", "call dolt_branch('side', 'v1')")

	// What a database is at.
	c.want("select @@db_head = hashof('HEAD'), @@db_head_ref, @@db_working = dolt_hashof_db('WORKING'), @@db_staged = dolt_hashof_db('STAGED')", "true,refs/heads/main,true,true")
	c.want("select @@db_working = @@db_staged", "true")
	c.exec("insert into t values (3, 30)")
	c.want("select @@db_working = @@db_staged, @@db_staged = dolt_hashof_db('HEAD')", "false,true")
	c.exec("call dolt_add('t')")
	c.want("select @@db_working = @@db_staged", "true")
	for _, name := range []string{"working", "staged"} {
		c.fails("set @@db_"+name+" = 'x'", "read only")
	}
	c.exec("call dolt_reset('--hard')")

	// Setting them moves the session.
	c.exec("set @@db_head_ref = 'refs/heads/side'")
	c.want("select active_branch(), count(*) from t", "side,1")
	c.exec("set @@db_head_ref = 'main'")
	c.want("select active_branch(), count(*) from t", "main,2")
	c.exec("set @@db_head = hashof('v1')")
	c.want("select @@db_head_ref = '', count(*) from t", "true,1")
	c.fails("insert into t values (9, 9)", "read-only")
	c.exec("set @@session.db_head_ref = 'main'")
	c.fails("set @@db_head_ref = 'mian'", "main")
	c.fails("set @@db_head = 'nothing'", "nothing")

	// Where new sessions begin: by the variable of the database and by that of 2021.
	for _, name := range []string{"db_default_branch", "dolt_sql_server_branch_ref"} {
		for _, branch := range []string{"side", "refs/heads/side"} {
			c.exec("set global " + name + " = '" + branch + "'")
			c.w.client().want("select active_branch()", "side")
			c.want("select active_branch(), @@global."+name, "main,"+branch)
		}
		c.exec("set global " + name + " = ''")
		c.w.client().want("select active_branch()", "main")
	}
	// What the plugins of 2021 say: functions where there are procedures now.
	c.want("select dolt_checkout('side')", "0")
	c.want("select active_branch()", "side")
	c.exec("insert into t values (5, 5)")
	c.want("select length(dolt_commit('-am', 'by a function'))", "32")
	c.want("select message from dolt_log limit 1", "by a function")
	c.want("select dolt_checkout('-b', 'made', 'v1')", "0")
	c.exec("call dolt_checkout('main')")

	// Branches as databases, tables of the system as tables, tables of the past under another schema.
	has := func(q, word string, want bool) {
		t.Helper()
		got, err := c.query(q)
		if err != nil || strings.Contains(" "+got+" ", " "+word+" ") != want {
			t.Errorf("%s: %q, %v: %s: want %v", q, got, err, word, want)
		}
	}
	has("show databases", "db/side", false)
	c.exec("set @@dolt_show_branch_databases = 1")
	has("show databases", "db/side", true)
	c.exec("set @@dolt_show_branch_databases = 0")
	has("show tables", "dolt_log", false)
	c.exec("set @@dolt_show_system_tables = 1")
	has("show tables", "dolt_log", true)
	c.exec("set @@dolt_show_system_tables = 0")
	c.fails("select b from t as of 'v1'", "b")
	c.exec("set @@dolt_override_schema = 'main'")
	c.want("select id, b from t as of 'v1'", "1,10")
	c.exec("set @@dolt_override_schema = ''")
	c.want("select id, a from t as of 'v1'", "1,10")

	// Who commits, and when.
	c.exec("set @@dolt_author_name = 'Eve', @@dolt_author_email = 'e@x', @@dolt_author_date = '2021-04-05 06:07:08'",
		"set @@dolt_committer_name = 'Cid', @@dolt_committer_email = 'c@x', @@dolt_committer_date = '2099-01-02T03:04:05Z'", "insert into t values (6, 6)", "call dolt_commit('-am', 'signed')")
	c.want("select author, author_email, date_format(author_date, '%Y-%m-%dT%T'), committer, email, date_format(`date`, '%Y-%m-%dT%T') from dolt_log limit 1",
		"Eve,e@x,2021-04-05T06:07:08,Cid,c@x,2099-01-02T03:04:05")
	c.exec("call dolt_reset('--hard', 'HEAD^')")
	for _, v := range []string{"author_name", "author_email", "author_date", "committer_name", "committer_email", "committer_date"} {
		c.exec("set @@dolt_" + v + " = ''")
	}
	c.fails("set @@dolt_author_date = 'soon'", "soon")

	// Each transaction a commit.
	c.exec("set @@dolt_transaction_commit = 1", "insert into t values (7, 7)")
	c.want("select message from dolt_log limit 1", "Transaction commit")
	c.exec("set @@dolt_transaction_commit_message = 'mine'", "start transaction", "insert into t values (8, 8)", "insert into t values (9, 9)", "commit")
	c.want("select message, (select count(*) from dolt_diff_t where to_commit = hashof('HEAD')) from dolt_log limit 1", "mine,2")
	c.want("select count(*) from dolt_log", "5") // the first, one, two and these
	c.exec("set @@dolt_transaction_commit = 0", "insert into t values (10, 10)")
	c.want("select count(*) from dolt_log", "5")
	c.exec("call dolt_reset('--hard', 'HEAD~2')")

	// Merges with conflicts under autocommit, and of documents.
	c.exec("call dolt_checkout('side')", "call dolt_reset('--hard', 'main')", "update t set b = 21 where id = 2", "create table j (id int primary key, d json)", `insert into j values (1, '{"a": 1, "b": 1}')`,
		"call dolt_commit('-Am', 'theirs')", "call dolt_branch('other')", "call dolt_checkout('main')", "update t set b = 22 where id = 2", "call dolt_commit('-am', 'ours')")
	c.fails("call dolt_merge('side')", "onflict")
	for _, v := range []string{"dolt_allow_commit_conflicts", "dolt_force_transaction_commit"} {
		c.exec("set @@" + v + " = 1")
		c.want("call dolt_merge('side')", ",0,1,conflicts found")
		c.exec("call dolt_merge('--abort')", "set @@"+v+" = 0")
	}
	c.exec("call dolt_checkout('side')", `update j set d = '{"a": 2, "b": 1}'`, "call dolt_commit('-am', 'a')",
		"call dolt_checkout('other')", `update j set d = '{"a": 1, "b": 2}'`, "call dolt_commit('-am', 'b')", "set @@dolt_dont_merge_json = 1")
	c.fails("call dolt_merge('side')", "onflict")
	c.exec("set @@dolt_dont_merge_json = 0", "call dolt_merge('side')")
	c.want("select d->'$.a', d->'$.b' from j", "2,2")
}
