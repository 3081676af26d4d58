package systab_test

import (
	"testing"

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
