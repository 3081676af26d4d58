package systab_test

import (
	"testing"

	"github.com/stemmadb/stemma/internal/repo"
)

// run runs statements that give no rows worth looking at.
func (w *world) run(stmts ...string) {
	w.t.Helper()
	for _, q := range stmts {
		if _, err := w.query(q); err != nil {
			w.t.Fatalf("%s\n\t%v", q, err)
		}
	}
}

// TestSeeds runs the queries that the users' articles print, on tables as pandas writes them: dropped and made anew by each run,
// without a key.
func TestSeeds(t *testing.T) {
	w := newWorld(t)
	save := func(db string, x, y string) {
		t.Helper()
		w.run("use "+db,
			"drop table if exists example_test_x", "drop table if exists example_test_y",
			"create table example_test_x (sepal_length double, sepal_width double)",
			"create table example_test_y (setosa bigint, versicolor bigint, virginica bigint)",
			"insert into example_test_x values "+x, "insert into example_test_y values "+y,
			"use db")
	}
	save("db", "(5.1, 3.5), (4.9, 3), (4.7, 3.2)", "(1, 0, 0), (0, 1, 0)")
	w.commit("main", "Update from kedro run: 2021-05-03T20.50.11.001Z")
	save("db", "(4.7, 3.2), (5.1, 3.3)", "(1, 0, 0), (0, 0, 1)")
	w.commit("main", "Update from kedro run: 2021-05-03T20.51.27.129Z")
	w.branch("new", "main")
	save("`db/new`", "(4.7, 3.2), (5.1, 3.3), (6, 0.2)", "(0, 1, 0), (0, 0, 1), (1, 0, 0)")
	w.commit("new", `Update from kedro run: {"branch": "new"}`)

	// B17
	w.want(`select to_sepal_width, from_sepal_width, diff_type, to_commit, from_commit
	from dolt_diff_example_test_x where from_commit = hashof('HEAD^') and to_commit = hashof('HEAD') limit 5`,
		"NULL|3.5|removed|"+w.head("main")+"|"+w.head("main^"),
		"NULL|3|removed|"+w.head("main")+"|"+w.head("main^"),
		"3.3|NULL|added|"+w.head("main")+"|"+w.head("main^"))
	// B20
	w.want("select to_sepal_length, to_sepal_width, diff_type from dolt_diff('master', 'new', 'example_test_x')", "6|0.2|added")
	// B21, B22
	w.want("SELECT  * FROM example_test_y AS OF HASHOF('new')", "0|1|0", "0|0|1", "1|0|0")
	w.want("select hashof('new')", w.head("new"))
	// B23
	w.want("select * from example_test_y as of hashof('new') limit 5", "0|1|0", "0|0|1", "1|0|0")
	// B24
	w.want("select commit_hash, message from dolt_commits where message like '%2021-05-03T20.51.27.129Z'",
		w.head("main")+"|Update from kedro run: 2021-05-03T20.51.27.129Z")
	// B25
	w.run("use `db/new`")
	w.want("select message from dolt_log limit 1", `Update from kedro run: {"branch": "new"}`)
	w.run("use db")
	// C18
	w.want("select commit_hash, message from dolt_commits where `date` < '2021-02-03' order by `date` desc limit 10;",
		w.head("main^")+"|Update from kedro run: 2021-05-03T20.50.11.001Z", w.head("main~2")+"|"+repo.InitMessage)
	// What the plugins ask.
	w.want("select count(*) from dolt_status", "0")
	w.want("select active_branch()", "main")
	w.want("select name from dolt_branches where name = 'new'", "new")
	w.want("select count(*) from dolt_history_example_test_x where commit_hash = hashof('main')", "2")
}

// TestOrdinaryTables runs system tables over tables that SQL made and changed.
func TestOrdinaryTables(t *testing.T) {
	w := newWorld(t)
	w.run("create table p (id int primary key, name varchar(20), price decimal(10,2), at datetime, j json, long_text text)",
		"insert into p values (1, 'a', 1.50, '2021-01-02 03:04:05', '{\"a\": 1}', repeat('x', 3000)), (2, 'b', null, null, null, null)")
	w.commit("main", "one")
	w.run("update p set price = 2.25 where id = 1", "delete from p where id = 2", "insert into p (id, name) values (3, 'c')")
	w.want("select * from dolt_status", "p|0|modified")
	w.want("select to_id, to_price, from_id, from_price, length(to_long_text), diff_type, to_commit from dolt_diff_p where to_commit = 'WORKING'",
		"1|2.25|1|1.50|3000|modified|WORKING", "NULL|NULL|2|NULL|NULL|removed|WORKING", "3|NULL|NULL|NULL|NULL|added|WORKING")
	w.commit("main", "two")
	w.run("alter table p add column extra int default 7", "alter table p drop column name", "alter table p rename column price to cost")
	w.commit("main", "three")
	w.want("select id, cost, extra, commit_hash = hashof('HEAD') from dolt_history_p where id = 1",
		"1|2.25|7|true", "1|2.25|NULL|false", "1|1.50|NULL|false")
	w.want("select message, data_change, schema_change from dolt_diff d where table_name = 'p' and commit_hash = hashof('HEAD^')", "two|1|0")
	w.want("select count(*) from dolt_diff_p where to_commit = hashof('HEAD')", "0")
	w.run("update p set extra = 8 where id = 3")
	w.want("select to_id, to_extra, from_extra from dolt_diff_p where to_commit = 'WORKING'", "3|8|7")
	w.want("select rows_modified, cells_modified from dolt_diff_stat('HEAD', 'WORKING', 'p')", "1|1")
	// An open transaction sees its own changes, others do not.
	w.run("create table q (id int primary key)")
	w.commit("main", "four")
	if _, err := w.query("start transaction"); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"insert into q values (1)"} {
		if _, err := w.queryIn(q); err != nil {
			t.Fatal(err)
		}
	}
	got, err := w.queryIn("select to_id, diff_type from dolt_diff_q where to_commit = 'WORKING'")
	ok(t, err)
	if len(got) != 1 || got[0] != "1|added" {
		t.Errorf("got %v", got)
	}
	w.want("select to_id from dolt_diff_q")
}
