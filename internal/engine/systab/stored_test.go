package systab_test

import (
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
)

func TestBlame(t *testing.T) {
	w := newWorld(t)
	w.run("create table t (a int, b varchar(9), c int, primary key (b, a))", "insert into t values (1, 'x', 1), (2, 'y', 2), (3, 'z', 3)")
	w.commit("main", "one")
	w.run("update t set c = 20 where a = 2")
	w.commit("main", "two")
	w.run("alter table t add column d int default 5", "delete from t where a = 3", "insert into t values (4, 'w', 4, 4)")
	w.commit("main", "three")
	w.run("update t set c = 0")
	w.want("select b, a, message, committer, email, commit_date from dolt_blame_t",
		"w|4|three|Cid|cid@example.com|2021-02-04", "x|1|one|Cid|cid@example.com|2021-02-02", "y|2|two|Cid|cid@example.com|2021-02-03")
	w.want("select commit = hashof('HEAD~1') from dolt_blame_t where b = 'y' and a = 2", "true")
	w.want("select message from `db/main~1`.dolt_blame_t", "one", "two", "one")
	w.run("create table k (a int)")
	w.commit("main", "four")
	w.fails("select * from dolt_blame_k", "primary key")
	w.fails("select * from dolt_blame_none", "not found")
}

func TestColumnDiff(t *testing.T) {
	w := newWorld(t)
	w.run("create table t (id int primary key, a int, b int)", "insert into t values (1, 1, null)")
	w.commit("main", "one")
	w.run("update t set a = 2")
	w.commit("main", "two")
	w.run("alter table t add column c int, drop column b", "insert into t values (2, null, null)")
	w.commit("main", "three")
	w.run("drop table t", "create table u (x int)")
	w.want("select commit_hash, table_name, column_name, diff_type from dolt_column_diff where commit_hash = 'WORKING'",
		"WORKING|t|id|removed", "WORKING|t|a|removed", "WORKING|t|c|removed", "WORKING|u|x|added")
	w.want("select message, column_name, diff_type, author from dolt_column_diff where message is not null",
		"three|c|added|Ann", "three|b|removed|Ann", "three|id|modified|Ann", "two|a|modified|Ann",
		"one|id|added|Ann", "one|a|added|Ann", "one|b|added|Ann")
	w.want("select column_name from dolt_column_diff where commit_hash = hashof('HEAD~1')", "a")
}

func TestIgnore(t *testing.T) {
	w := newWorld(t)
	w.want("select * from dolt_ignore")
	w.want("show tables")
	w.run("insert into dolt_ignore values ('ignoreme', true), ('dontignore', false), ('*_ignore', true), ('do_not_ignore', false), " +
		"('%_ignore_too', true), ('commit_*', false), ('commit_me_not', true), ('test*', true), ('test?*', false), ('test?', true)")
	w.want("select * from dolt_status", "dolt_ignore|0|new table")
	w.want("select count(*) from dolt_ignore", "10")
	w.want("select ignored from dolt_ignore where pattern = 'test?'", "1")
	w.want("show tables")
	for _, name := range []string{"ignoreme", "dontignore", "nomatch", "please_ignore", "please_ignore_too", "do_not_ignore", "commit_me", "commit_me_not", "test", "test1", "test11"} {
		w.run("create table " + name + " (pk int)")
	}
	w.want("select table_name from dolt_status", "commit_me", "do_not_ignore", "dolt_ignore", "dontignore", "nomatch", "test11")
	w.want("select table_name, status from dolt_status_ignored where ignored", "commit_me_not|new table", "ignoreme|new table",
		"please_ignore|new table", "please_ignore_too|new table", "test|new table", "test1|new table")
	w.commit("main", "one")
	w.want("select table_name from dolt_status")
	w.want("select count(*) from dolt_status_ignored", "6")
	w.want("show tables as of 'HEAD'", "commit_me", "do_not_ignore", "dontignore", "nomatch", "test11")
	// What is tracked is not ignored, whatever the patterns say.
	w.run("insert into dolt_ignore values ('nomatch', true)", "insert into nomatch values (1)")
	w.want("select table_name, status from dolt_status", "dolt_ignore|modified", "nomatch|modified")
	w.commit("main", "two")
	w.want("select count(*) from nomatch as of 'HEAD'", "1")
	// Patterns that disagree stop staging everything.
	w.run("create table commit_ignore (pk int)")
	w.want("select table_name from dolt_status", "commit_ignore")
	_, err := w.repo.Commit(t.Context(), repo.CommitOptions{Branch: "main", Message: "x", AddNew: true})
	if err == nil || err.Error() != "the table commit_ignore matches conflicting patterns in dolt_ignore:\nignored:     *_ignore\nnot ignored: commit_*" {
		t.Errorf("got %v", err)
	}
	w.run("delete from dolt_ignore where pattern = 'commit_*'", "update dolt_ignore set ignored = false where pattern = '*_ignore'")
	w.want("select table_name from dolt_status", "commit_ignore", "dolt_ignore", "please_ignore")
	w.run("replace into dolt_ignore values ('*_ignore', true)", "insert into dolt_ignore values ('*_ignore', true) on duplicate key update ignored = false")
	w.want("select ignored from dolt_ignore where pattern = '*_ignore'", "0")
	w.want("select pattern from `db/main~2`.dolt_ignore")
	w.fails("insert into `db/main~2`.dolt_ignore values ('x', true)", "read-only")
}

func TestStoredTablesComeWithTheFirstRow(t *testing.T) {
	w := newWorld(t)
	w.want("select * from dolt_docs")
	w.run("delete from dolt_docs", "update dolt_docs set doc_text = 'x'")
	w.want("select * from dolt_status")
	w.fails("insert into dolt_docs values (null, 'x')", "null")
	w.want("select * from dolt_status")
	w.run("replace into dolt_docs values ('README.md', 'hello'), ('LICENSE.md', 'free')")
	w.want("select * from dolt_docs", "LICENSE.md|free", "README.md|hello")
	w.want("select * from dolt_status", "dolt_docs|0|new table")
	w.commit("main", "docs")
	w.run("update dolt_docs set doc_text = 'hello world' where doc_name = 'README.md'")
	w.want("select to_doc_text, from_doc_text from dolt_diff_dolt_docs where to_commit = 'WORKING'", "hello world|hello")
	w.run("insert into dolt_query_catalog values ('q1', 1, 'ones', 'select 1', '')")
	w.want("select query from dolt_query_catalog where id = 'q1'", "select 1")
	w.run("start transaction")
	if _, err := w.queryIn("insert into dolt_ignore values ('a', true)"); err != nil {
		t.Fatal(err)
	}
	if got, err := w.queryIn("select pattern from dolt_ignore"); err != nil || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
	w.want("select * from dolt_ignore") // rolled back
	w.run("drop table dolt_docs")
	w.want("select * from dolt_docs")
}

func TestTests(t *testing.T) {
	w := newWorld(t)
	w.want("select * from dolt_tests")
	w.fails("select * from dolt_test_run('none')", "no test or group 'none'")
	w.want("select * from dolt_test_run()")
	w.run("create table t (id int primary key, v varchar(20), d datetime, n decimal(10,2))",
		"insert into t values (1, 'x', '2024-01-02 03:04:05', 1.50), (2, null, null, null)",
		"insert into dolt_tests values "+
			"('rows', 'shape', 'select * from t', 'expected_rows', '==', '2'), "+
			"('columns', 'shape', 'select * from t where false', 'expected_columns', '>=', '5'), "+
			"('value', null, 'select v from t where id = 1', 'expected_single_value', '==', 'x'), "+
			"('null', null, 'select v from t where id = 2', 'expected_single_value', '==', null), "+
			"('not_null', null, 'select v from t where id = 1', 'expected_single_value', '==', null), "+
			"('decimal', null, 'select n from t where id = 1', 'expected_single_value', '<', '1.51'), "+
			"('date', null, 'select d from t where id = 1', 'expected_single_value', '>', '2024-01-02'), "+
			"('bool', null, 'select count(*) = 2 from t', 'expected_single_value', '==', 'true'), "+
			"('many', null, 'select id from t', 'expected_single_value', '==', '1'), "+
			"('no_number', null, 'select id from t where id = 1', 'expected_single_value', '==', 'one'), "+
			"('writes', 'bad', 'delete from t', 'expected_rows', '==', '0'), "+
			"('two', 'bad', 'select 1; delete from t', 'expected_rows', '==', '0'), "+
			"('effect', 'bad', 'select dolt_commit(1)', 'expected_rows', '==', '1'), "+
			"('itself', 'bad', 'select * from dolt_test_run()', 'expected_rows', '==', '1'), "+
			"('gone', 'bad', 'select * from nowhere', 'expected_rows', '==', '1')")
	w.want("select test_name, test_group_name, status, message from dolt_test_run('shape', 'value', 'null')",
		"columns|shape|FAIL|Assertion failed: expected_columns greater than or equal to 5, got 4", "rows|shape|PASS|", "value||PASS|", "null||PASS|")
	w.want("select test_name, message from dolt_test_run('*') where status = 'FAIL' and test_group_name != 'bad'",
		"columns|Assertion failed: expected_columns greater than or equal to 5, got 4", "many|expected_single_value wants one row of one column; the query gives 2 of 1",
		"no_number|the value 'one' cannot be compared with 1, which is of type int", "not_null|Assertion failed: expected_single_value equal to NULL, got x")
	w.want("select test_name, status, message from dolt_test_run('bad')",
		"effect|FAIL|query error: only a query that changes nothing can be run here, not: select dolt_commit(1)",
		"gone|FAIL|query error: table not found: nowhere", "itself|FAIL|a test cannot run tests",
		"two|FAIL|query error: there must be exactly one statement in: select 1; delete from t",
		"writes|FAIL|query error: only a query that changes nothing can be run here, not: delete from t")
	w.want("select count(*) from t", "2")
	w.fails("select * from dolt_test_run('shap')", "did you mean 'shape'?")
	w.fails("insert into dolt_tests values ('x', null, 'select 1', 'expected_nothing', '==', '1')", "assertion_type_check")
	w.fails("insert into dolt_tests values ('x', null, 'select 1', 'expected_rows', '=', '1')", "assertion_comparator_check")
	w.commit("main", "with tests")
	w.want("select count(*) from dolt_tests as of 'HEAD'", "15")
}

func TestNonlocal(t *testing.T) {
	w := newWorld(t)
	w.run("create table common (pk varchar(8) primary key, v int)", "create table wild_1 (pk int primary key)", "insert into common values ('a', 1)")
	w.commit("main", "one")
	w.branch("other", "main")
	w.run("insert into common values ('b', 2)")
	w.ctx.SetCurrentDatabase("db/other")
	w.run("insert into dolt_nonlocal_tables (table_name, target_ref, ref_table, options) values " +
		"('alias', 'main', 'common', 'immediate'), ('common', 'main', '', 'immediate'), ('wild_*', 'main', null, 'immediate'), " +
		"('old', 'main~1', 'common', 'immediate'), ('commit_only', 'HEAD', 'common', 'immediate'), ('missing', 'main', '', 'immediate')")
	w.want("show tables", "alias", "commit_only", "common", "wild_1")
	w.want("select alias.pk, alias.v from alias order by pk", "a|1", "b|2")
	w.want("select count(*) from common", "2")
	w.want("select count(*) from `db/other`.common as a join `db/main`.common as b using (pk)", "2")
	w.run("insert into alias values ('c', 3)", "update common set v = 20 where pk = 'b'", "delete from common where pk = 'a'")
	w.want("select * from `db/main`.common", "b|20", "c|3")
	w.want("select * from alias where pk = 'c'", "c|3")
	w.want("select * from alias where pk = 'b'", "b|20")
	w.want("select count(*) from commit_only", "1") // of the commit
	w.fails("insert into commit_only values ('z', 1)", "read-only")
	w.fails("select * from old", "not found") // the ref has no such table
	w.fails("select * from missing", "not found")
	w.fails("create table wild_9 (pk int)", "dolt_nonlocal_tables says that it is a table of 'main'")
	w.run("create table plain (pk int primary key)", "insert into plain values (1)")
	w.want("select * from plain where pk = 1", "1")
	w.run("update dolt_nonlocal_tables set options = 'later' where table_name = 'alias'")
	w.fails("select * from alias", "option 'later'")
	w.commit("other", "rules")
	w.ctx.SetCurrentDatabase("db")
	w.want("select count(*) from common as of 'other'", "2")
	w.want("select * from `db/other`.dolt_nonlocal_tables where table_name = 'old'", "old|main~1|common|immediate")
	w.run("create table wild_9 (pk int)") // main has no rules
}

func TestWorkspace(t *testing.T) {
	w := newWorld(t)
	w.run("create table t (id int primary key, v varchar(20), j json, unique key u (v))",
		"insert into t values (1, 'a', null), (2, 'b', null), (3, 'c', null), (4, 'd', null)")
	w.want("select * from dolt_workspace_t", "0|0|added|1|a|NULL|NULL|NULL|NULL", "1|0|added|2|b|NULL|NULL|NULL|NULL",
		"2|0|added|3|c|NULL|NULL|NULL|NULL", "3|0|added|4|d|NULL|NULL|NULL|NULL")
	// Of a new table, rows can be staged before it is.
	w.run("update dolt_workspace_t set staged = true where to_id = 2")
	w.want("select id, staged, to_id from dolt_workspace_t", "0|1|2", "1|0|1", "2|0|3", "3|0|4")
	w.want("select table_name, staged, status from dolt_status", "t|1|new table", "t|0|modified")
	w.commit("main", "all")
	w.want("select * from dolt_workspace_t")
	long := strings.Repeat("long ", 2000)
	w.run("update t set v = 'x' where id = 1", "delete from t where id = 2", "insert into t values (5, 'e', '\""+long+"\"')")
	w.want("select id, staged, diff_type, to_id, to_v, from_id, from_v from dolt_workspace_t",
		"0|0|modified|1|x|1|a", "1|0|removed|NULL|NULL|2|b", "2|0|added|5|e|NULL|NULL")
	w.run("update dolt_workspace_t set staged = 1 where id in (1, 2)")
	w.want("select id, staged, diff_type, to_id, from_id from dolt_workspace_t where staged", "0|1|removed|NULL|2", "1|1|added|5|NULL")
	w.want("select length(j) = length('\""+long+"\"') from `db`.t as of 'STAGED' where id = 5", "true")
	w.want("select id, v from t as of 'STAGED'", "1|a", "3|c", "4|d", "5|e")
	w.run("update dolt_workspace_t set staged = false where to_id = 5")
	w.want("select id, staged, diff_type, to_id, from_id from dolt_workspace_t", "0|1|removed|NULL|2", "1|0|modified|1|1", "2|0|added|5|NULL")
	w.fails("update dolt_workspace_t set to_v = 'y' where id = 1", "only the column staged")
	w.fails("delete from dolt_workspace_t where staged", "set staged = false first")
	w.run("delete from dolt_workspace_t where to_id = 5 or from_id = 1")
	w.want("select id, v from t", "1|a", "3|c", "4|d")
	w.want("select diff_type, staged from dolt_workspace_t", "removed|1")
	// Values that trade places, under a unique index.
	w.run("update t set v = 'tmp' where id = 3", "update t set v = 'c' where id = 4", "update t set v = 'd' where id = 3",
		"update dolt_workspace_t set staged = true where not staged")
	w.want("select id, v from t as of 'STAGED'", "1|a", "3|d", "4|c")
	w.want("select count(*) from dolt_workspace_t where not staged", "0")
	w.run("alter table t add column w int", "update t set w = 1 where id = 1")
	w.want("select to_w, from_v from dolt_workspace_t where not staged", "1|a")
	w.fails("update dolt_workspace_t set staged = true where not staged", "the schema of t has changes")
	w.run("create table k (a int)", "insert into k values (1)")
	w.want("select diff_type, to_a from dolt_workspace_k", "added|1")
	w.run("insert into k values (1), (2), (1)", "update dolt_workspace_k set staged = true where to_a = 2")
	w.want("select staged, diff_type, to_a from dolt_workspace_k", "1|added|2", "0|added|1", "0|added|1", "0|added|1")
	w.run("update dolt_workspace_k set staged = true")
	w.want("select dolt_hashof_table('k', 'STAGED') = dolt_hashof_table('k', 'WORKING')", "true")
	w.want("select a from k as of 'STAGED'", "1", "1", "2", "1")
	w.run("update dolt_workspace_k set staged = false where id = 0")
	w.want("select staged, diff_type, to_a from dolt_workspace_k", "1|added|1", "1|added|2", "1|added|1", "0|added|1")
	w.commit("main", "keyless")
	w.run("delete from k where a = 1 limit 1", "update k set a = 3 where a = 2", "delete from dolt_workspace_k where to_a = 3",
		"update dolt_workspace_k set staged = true where from_a = 1", "delete from dolt_workspace_k where not staged")
	w.want("select staged, diff_type, to_a, from_a from dolt_workspace_k", "1|removed|NULL|1")
	w.want("select a from k order by a", "1", "1", "2")
	w.want("select a from k as of 'STAGED' order by a", "1", "1", "2")
	w.fails("select * from dolt_workspace_none", "not found")
}

func TestJSONDiff(t *testing.T) {
	w := newWorld(t)
	w.want(`select * from dolt_json_diff('{"a": 1, "b": [1, 2, {"x": null}], "c": "s", "same": 1.0}', '{"a": 2, "b": [1, {"y": 1}], "d e": true, "same": 1}')`,
		`modified|$.a|1|2`, `modified|$.b[1]|2|{"y": 1}`, `removed|$.b[2]|{"x": null}|NULL`, `removed|$.c|"s"|NULL`, `added|$."d e"|NULL|true`)
	w.want(`select * from dolt_json_diff('[1]', '{"a": 1}')`, `modified|$|[1]|{"a": 1}`)
	w.want(`select * from dolt_json_diff(null, '1')`, `added|$|NULL|1`)
	w.want(`select * from dolt_json_diff('1', '1')`)
	w.want(`select * from dolt_json_diff(json_object('k', 1), json_object())`, `removed|$.k|1|NULL`)
	w.fails(`select * from dolt_json_diff('{', '1')`, "JSON")
	w.fails(`select * from dolt_json_diff('1')`, "dolt_json_diff")
	w.run("create table t (id int primary key, j json)", `insert into t values (1, '{"a": 1}'), (2, '{"a": [1]}')`)
	w.commit("main", "one")
	w.run(`update t set j = json_set(j, '$.b', 3)`)
	w.want("select to_id, path, to_value from dolt_diff_t join lateral (select * from dolt_json_diff(from_j, to_j)) as d where to_commit = 'WORKING' order by to_id",
		"1|$.b|3", "2|$.b|3")
}

func TestTagsByName(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"v1", "v2"} {
		ok(t, w.repo.CreateTag(t.Context(), name, history.Tag{Commit: w.id("main"), Message: "of " + name}, false))
	}
	w.want("select message from dolt_tags where tag_name = 'v2'", "of v2")
	w.want("select count(*) from dolt_tags where tag_name = 'v3'", "0")
	w.want("select tag_name from dolt_tags where tag_name in ('v1', 'v2', 'v3')", "v1", "v2")
}

func TestHelp(t *testing.T) {
	w := newWorld(t)
	w.want("select name, type, synopsis, short_description from dolt_help where name = 'dolt_count_commits'",
		"dolt_count_commits|2|dolt count-commits [<options>]|Count the commits that two revisions do not share")
	w.want("select count(*) > 20, min(length(long_description)) > 5 from dolt_help", "true|true")
	w.want("select json_extract(arguments, '$.\"-m, --message <text>\"') from dolt_help where name = 'dolt_commit'", `"the commit's message"`)
}

func TestBranchActivity(t *testing.T) {
	w := newWorld(t)
	w.run("create table t (id int primary key)")
	w.branch("idle", "main")
	w.want("select branch, last_read is null, last_write is null, active_sessions, system_start_time is null from dolt_branch_activity",
		"idle|true|true|0|false", "main|false|false|1|false")
	w.want("select count(*) from `db/idle`.dolt_log", "1")
	w.want("select branch, last_read is null, last_write is null from dolt_branch_activity where branch = 'idle'", "idle|false|true")
	w.ctx.SetCurrentDatabase("db/idle")
	w.run("create table u (id int primary key)")
	w.want("select branch, last_write is null, active_sessions from dolt_branch_activity", "idle|false|1", "main|false|0")
}
