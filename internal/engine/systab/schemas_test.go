package systab_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
)

// merged makes the head of a branch a merge of the commit before it and another: its content stays what it is.
func (w *world) merged(branch, other string) {
	w.t.Helper()
	head, err := w.repo.Resolve(w.t.Context(), branch, branch)
	ok(w.t, err)
	second, err := w.repo.Resolve(w.t.Context(), other, branch)
	ok(w.t, err)
	c, err := history.GetCommit(w.t.Context(), w.repo.Store(), head)
	ok(w.t, err)
	c.Parents = append(c.Parents, second)
	b := w.repo.Store().NewBatch()
	defer func() { ok(w.t, b.Close()) }()
	id, err := c.Put(w.t.Context(), b)
	ok(w.t, err)
	_, err = w.repo.Store().Append(w.t.Context(), b)
	ok(w.t, err)
	ok(w.t, w.repo.CreateBranch(w.t.Context(), branch, id, true))
}

// Histories through changes of schemas: values must stay under the column that they were written to, and what cannot be paired must
// show, not vanish. The names of issues are those of Dolt's tracker, whose users met what is tested.

func TestHistoryThroughAddAndDrop(t *testing.T) { // #10684
	w := newWorld(t)
	w.run("create table t (id int primary key, a int, b varchar(20), c int)", "insert into t values (1, 10, 'x', 100), (2, 20, 'y', 200)")
	w.commit("main", "one")
	w.run("alter table t drop column a")
	w.commit("main", "two")
	w.run("alter table t add column d int default 7 first", "update t set c = 101 where id = 1")
	w.commit("main", "three")
	w.want("select d, id, b, c, commit_date from dolt_history_t where id = 1",
		"7|1|x|101|2021-02-04", "NULL|1|x|100|2021-02-03", "NULL|1|x|100|2021-02-02")
	w.want("select to_d, to_id, to_b, to_c, from_d, from_id, from_b, from_c, diff_type from dolt_diff_t",
		"7|1|x|101|NULL|1|x|100|modified", "NULL|1|x|100|NULL|NULL|NULL|NULL|added", "NULL|2|y|200|NULL|NULL|NULL|NULL|added")
	w.want("select * from dolt_diff('HEAD~2', 'HEAD~1', 't')")
	w.want("select * from t as of 'HEAD~2' where id = 1", "1|10|x|100")
	w.want("select * from t as of 'HEAD~1' where id = 1", "1|x|100")
	w.want("select * from t as of 'HEAD' where id = 1", "7|1|x|101")
	w.want("select to_b, from_b, to_c, from_c, diff_type from dolt_commit_diff_t where from_commit = hashof('HEAD~2') and to_commit = hashof('HEAD')",
		"x|x|101|100|modified")
}

func TestHistoryThroughRename(t *testing.T) {
	w := newWorld(t)
	w.run("create table t (id int primary key, a varchar(20), b varchar(20))", "insert into t values (1, 'a', 'b')")
	w.commit("main", "one")
	w.run("alter table t rename column a to c, rename column b to a")
	w.commit("main", "two")
	w.run("update t set a = 'b2'")
	w.commit("main", "three")
	// The a of today is the b of once, whatever is called a in old commits.
	w.want("select id, c, a from dolt_history_t", "1|a|b2", "1|a|b", "1|a|b")
	w.want("select to_c, to_a, from_c, from_a, diff_type from dolt_diff_t", "a|b2|a|b|modified", "a|b|NULL|NULL|added")
	w.want("select to_c, to_a, from_a, from_b, diff_type from dolt_diff('HEAD~2', 'HEAD', 't')", "a|b2|a|b|modified")
	w.want("select a, b from t as of 'HEAD~2'", "a|b")
	w.run("alter table t rename to tt")
	w.commit("main", "four")
	w.want("select table_name, data_change, schema_change from dolt_diff where commit_hash = hashof('HEAD')", "tt|0|1")
}

func TestHistoryThroughTypeChange(t *testing.T) { // #4818
	w := newWorld(t)
	w.run("create table t (id int primary key, v varchar(20), n int)", "insert into t values (1, '11', 1), (2, 'word', 2)")
	w.commit("main", "one")
	w.run("delete from t where id = 2", "alter table t modify v int")
	w.commit("main", "two")
	w.want("select id, v from dolt_history_t", "1|11", "1|11", "2|NULL")
	w.want("select to_id, to_v, from_id, from_v, diff_type from dolt_diff_t",
		"NULL|NULL|2|NULL|removed", "1|11|NULL|NULL|added", "2|NULL|NULL|NULL|added")
	// Both sides of the function show what was written.
	w.want("select to_v, from_v, diff_type from dolt_diff('HEAD~1', 'HEAD', 't')", "NULL|word|removed")
	w.want("select v from t as of 'HEAD~1'", "11", "word")
	w.run("alter table t modify n bigint", "alter table t modify n decimal(10,2)")
	w.commit("main", "three")
	w.want("select to_n, from_n from dolt_diff('HEAD~1', 'HEAD', 't')")
	w.run("update t set n = 1.5")
	w.commit("main", "four")
	w.want("select to_n, from_n from dolt_diff('HEAD~2', 'HEAD', 't')", "1.50|1")
	w.want("select n from dolt_history_t where id = 1", "1.50", "1.00", "1.00", "1.00")
}

func TestHistoryThroughKeyChange(t *testing.T) { // #4818, #6124, #8625
	w := newWorld(t)
	w.run("create table t (a int primary key, b int not null, c varchar(9))", "insert into t values (1, 10, 'x'), (2, 20, 'y')")
	w.commit("main", "one")
	w.run("alter table t drop primary key", "alter table t add primary key (b)")
	w.commit("main", "two")
	w.run("update t set c = 'z' where b = 20", "insert into t values (3, 30, 'w')")
	w.commit("main", "three")
	w.want("select to_a, to_b, to_c, from_a, from_b, from_c, diff_type from dolt_diff_t",
		"2|20|z|2|20|y|modified", "3|30|w|NULL|NULL|NULL|added", "1|10|x|NULL|NULL|NULL|added", "2|20|y|NULL|NULL|NULL|added")
	// Across the change, rows are paired by all their values: the same rows are no difference, the others are gone and come.
	w.want("select to_b, to_c, from_b, from_c, diff_type from dolt_diff('HEAD~2', 'HEAD', 't')",
		"NULL|NULL|20|y|removed", "20|z|NULL|NULL|added", "30|w|NULL|NULL|added")
	w.want("select to_b, from_b, diff_type from dolt_diff_t where to_commit = hashof('HEAD') and from_commit = hashof('HEAD~2')",
		"NULL|20|removed", "20|NULL|added", "30|NULL|added")
	w.want("select c from dolt_history_t where b = 20", "z", "y", "y")
	w.want("select c from dolt_history_t where a = 2", "z", "y", "y")
	w.want("select rows_added, rows_deleted, rows_modified from dolt_diff_stat('HEAD~2', 'HEAD', 't')", "2|1|NULL")
	w.run("alter table t drop primary key")
	w.commit("main", "four")
	w.want("select count(*) from dolt_diff('HEAD~1', 'HEAD', 't')", "0")
	w.want("select count(*), count(distinct commit_hash) from dolt_history_t", "10|4")
	w.run("alter table t add primary key (a, b)")
	w.commit("main", "five")
	w.want("select count(*) from dolt_diff('HEAD~1', 'HEAD', 't')", "0")
	w.want("select c from dolt_history_t where a = 2 and b = 20", "z", "z", "z", "y", "y")
	w.want("select diff_type, to_c from dolt_diff_t where to_a = 2", "modified|z", "added|y")
}

func TestHistoryThroughDropAndCreate(t *testing.T) {
	w := newWorld(t)
	w.run("create table t (id int primary key, v varchar(20))", "insert into t values (1, 'a'), (2, 'b')")
	w.commit("main", "one")
	w.run("drop table t", "create table t (id int primary key, v varchar(20))", "insert into t values (1, 'a'), (3, 'c')")
	w.commit("main", "two")
	w.want("select to_id, from_id, diff_type from dolt_diff_t where to_commit = hashof('HEAD')", "NULL|2|removed", "3|NULL|added")
	w.want("select data_change, schema_change from dolt_diff_summary('HEAD~1', 'HEAD')", "1|0")
	w.run("drop table t")
	w.commit("main", "three")
	// The history of a table that is no more goes on.
	w.want("select to_id, from_id, diff_type from dolt_diff_t where to_commit = hashof('HEAD')", "NULL|1|removed", "NULL|3|removed")
	w.want("select id, v from dolt_history_t", "1|a", "3|c", "1|a", "2|b")
	w.fails("select * from dolt_history_none", "not found")
	w.run("create table t (v varchar(20), id bigint primary key, w int)", "insert into t values ('a', 1, 5)")
	w.commit("main", "four")
	w.want("select to_id, to_v, to_w, diff_type from dolt_diff_t where to_commit = hashof('HEAD')", "1|a|5|added")
	w.want("select to_id, to_v, to_w, from_id, from_v, diff_type from dolt_diff('HEAD~2', 'HEAD', 't')", "1|a|5|1|a|modified", "NULL|NULL|NULL|3|c|removed")
	w.want("select v, id, w from dolt_history_t", "a|1|5", "a|1|NULL", "c|3|NULL", "a|1|NULL", "b|2|NULL")
}

func TestHistoryThroughMerge(t *testing.T) { // #6861
	w := story(t)
	w.put("main", "t", row(i(1)))
	w.commit("main", "merge")
	w.merged("main", "side")
	// The merge is a step from its first parent; what the branch did is in it, and once.
	w.want("select to_id, from_id, diff_type, from_commit = hashof('HEAD^1') from dolt_diff_t where to_commit = hashof('HEAD')", "NULL|1|removed|true")
	w.want("select count(*) from dolt_diff_t where from_id = 1 and diff_type = 'removed'", "1")
	w.want("select count(*) from dolt_diff_t", "5")
	w.want("select to_id, from_id, diff_type from dolt_diff_t where to_commit = hashof('side')", "NULL|1|removed")
	w.want("select commit_hash = hashof('HEAD'), table_name from dolt_diff limit 1", "true|t")
}

func TestOrderByDate(t *testing.T) {
	w := story(t)
	w.put("main", "t", row(i(1), s("A")))
	// The last commit is dated before the others: the order of dates is not that of history.
	early := history.Signature{Name: "Ann", Time: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)}
	_, err := w.repo.Commit(t.Context(), repo.CommitOptions{Branch: "main", Message: "early", AddNew: true, Author: early, Committer: early})
	ok(t, err)
	w.put("main", "t", row(i(5), s("e")))
	w.want("select to_commit_date, to_v from dolt_diff_t order by to_commit_date desc", "2021-02-03|B", "2021-02-03|c", "2021-02-02|a", "2021-02-02|b", "2020-01-01|A", "NULL|e")
	w.want("select to_commit_date from dolt_diff_t order by to_commit_date", "NULL", "2020-01-01", "2021-02-02", "2021-02-02", "2021-02-03", "2021-02-03")
	w.want("select to_v from dolt_diff_t where diff_type = 'modified' order by to_commit_date desc limit 1", "B")
	w.want("select to_v from dolt_diff_t where to_commit_date < '2021-01-01' order by to_commit_date desc", "A")
	w.want("select distinct commit_date from dolt_history_t order by commit_date desc limit 2", "2021-02-03", "2021-02-02")
	w.want("select v from dolt_history_t where id = 1 order by commit_date limit 1", "A")
	w.want("select count(*) from dolt_diff_t a join dolt_history_t b on a.to_commit_date = b.commit_date", "13")
	plan, err := w.query("explain format=tree select to_commit from dolt_diff_t order by to_commit_date desc limit 1")
	ok(t, err)
	for _, l := range plan {
		if strings.Contains(l, "Sort") || strings.Contains(l, "TopN") {
			t.Errorf("the rows are sorted: %q", plan)
			break
		}
	}
	if !strings.Contains(strings.Join(plan, "\n"), "[dolt_diff_t.to_commit_date]") {
		t.Errorf("no order by an index: %q", plan)
	}
}

func TestDiffByType(t *testing.T) {
	w := story(t)
	w.put("main", "t", row(i(1)))
	w.want("select to_id, from_id from dolt_diff_t where diff_type = 'modified'", "2|2")
	w.want("select to_id, from_id, diff_type from dolt_diff_t where diff_type in ('removed', 'modified', 'removed')", "NULL|1|removed", "2|2|modified")
	w.want("select to_id from dolt_diff_t where diff_type = 'added' and to_commit = hashof('HEAD')", "3")
	w.want("select to_id from dolt_diff_t where diff_type = 'added'", "3", "1", "2")
	w.want("select to_id from dolt_diff_t where diff_type = 'none'")
	w.want("select to_id from dolt_diff_t where diff_type <> 'added' and to_id = 2", "2")
	w.want("select to_id from dolt_diff_t where diff_type = 'added' and to_id in (1, 2)", "1", "2")
	w.want("select count(*) from dolt_diff_t where diff_type = 'modified' or to_id = 1", "2")
	w.run("drop table t")
	w.want("select count(*) from dolt_diff_t where diff_type = 'removed'", "3")
	w.want("select count(*) from dolt_diff_t where diff_type = 'modified'", "1")
}
