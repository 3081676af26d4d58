package systab_test

import (
	"strings"
	"testing"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// story is a database with a history: commits "one" and "two" on main, "side" on a branch of "one".
func story(t *testing.T) *world {
	w := newWorld(t)
	w.create("main", "t", keyed(column("id", value.KindInt64), column("v", value.KindVarchar)))
	w.put("main", "t", row(i(1), s("a")), row(i(2), s("b")))
	w.commit("main", "one")
	w.branch("side", "main")
	w.put("main", "t", row(i(2), s("B")), row(i(3), s("c")))
	w.create("main", "u", keyed(column("id", value.KindInt64)))
	w.commit("main", "two")
	w.put("side", "t", row(i(1)))
	w.commit("side", "side")
	return w
}

func TestLog(t *testing.T) {
	w := story(t)
	w.want("select message, committer, email, `date`, author, author_email, commit_order, refs from dolt_log",
		"two|Cid|cid@example.com|2021-02-03|Ann|ann@example.com|3|HEAD -> main",
		"one|Cid|cid@example.com|2021-02-02|Ann|ann@example.com|2|",
		repo.InitMessage+"|Ann|ann@example.com|2021-02-01|Ann|ann@example.com|1|")
	w.want("select commit_hash = hashof('HEAD'), parents = hashof('HEAD^') from dolt_log limit 1", "true|true")
	w.want("select message from dolt_log where commit_hash = hashof('main~1')", "one")
	w.want("select message from dolt_log where commit_hash in (hashof('main'), hashof('side'), 'x')", "two")
	w.want("select message from dolt_log where commit_hash = 'main'")
	w.want("select count(*) from dolt_log", "3")
	w.want("select message from `db/side`.dolt_log limit 1", "side")
	w.want("select l.message from dolt_log l join dolt_diff d on d.commit_hash = l.commit_hash where d.table_name = 'u'", "two")
}

func TestCommits(t *testing.T) {
	w := story(t)
	w.want("select message from dolt_commits order by `date` desc", "side", "two", "one", repo.InitMessage)
	// C18 of the seeds: dates compared with text.
	w.want("select message from dolt_commits where `date` < '2021-02-03' order by `date` desc limit 10", "one", repo.InitMessage)
	// B24: a run is found by the end of its message.
	w.want("select message from dolt_commits where message like '%wo'", "two")
	w.want("select message from dolt_commits where commit_hash = hashof('side')", "side")
	w.want("select count(*) from dolt_commit_ancestors", "4")
	w.want("select parent_hash = hashof('main^'), parent_index from dolt_commit_ancestors where commit_hash = hashof('main')", "true|0")
	w.want("select parent_hash, parent_index from dolt_commit_ancestors where commit_hash = hashof('main~2')", "NULL|0")
}

func TestMetadata(t *testing.T) {
	w := newWorld(t)
	_, err := w.repo.Commit(t.Context(), repo.CommitOptions{
		Branch: "main", Message: "run", Meta: `{"run": "r1", "n": 2}`, AllowEmpty: true, Author: history.Signature{Name: "Ann"},
	})
	ok(t, err)
	w.want("select message, metadata->>'$.run' from dolt_log", "run|r1", repo.InitMessage+"|NULL")
	w.want("select message from dolt_commits where metadata->'$.n' = 2", "run")
}

func TestRefs(t *testing.T) {
	w := story(t)
	id, err := w.repo.Resolve(t.Context(), "main^", "main")
	ok(t, err)
	ok(t, w.repo.CreateTag(t.Context(), "v1", history.Tag{Commit: id, Tagger: history.Signature{Name: "Tim", Email: "t@x"}, Message: "first"}, false))
	w.want("select name, latest_commit_message, latest_committer, dirty from dolt_branches", "main|two|Cid|0", "side|side|Cid|0")
	w.put("side", "t", row(i(9), s("z")))
	w.want("select name, dirty from dolt_branches", "main|0", "side|1")
	w.want("select name from dolt_branches where name = 'side' and hash = hashof('side')", "side")
	w.want("select name from dolt_branches where name = 'none'")
	w.want("select tag_name, tag_hash = hashof('main^'), tagger, email, message from dolt_tags", "v1|true|Tim|t@x|first")
	w.want("select refs from dolt_log where message = 'one'", "tag: v1")
}

func TestStatus(t *testing.T) {
	w := story(t)
	w.want("select * from dolt_status")
	w.put("main", "t", row(i(4), s("d")))
	w.want("select * from dolt_status", "t|0|modified")
	ok(t, w.repo.Stage(t.Context(), "main", []string{"t"}))
	w.want("select * from dolt_status", "t|1|modified")
	w.edit("main", func(tx *repo.Tx) {
		ok(t, tx.RenameTable(t.Context(), "u", "uu"))
		ok(t, tx.DropTable(t.Context(), "t"))
		ok(t, tx.CreateTable(t.Context(), "n", keyed(column("k", value.KindInt64))))
	})
	w.want("select * from dolt_status", "t|1|modified", "n|0|new table", "t|0|deleted", "u -> uu|0|renamed")
	w.want("select commit_hash, table_name, data_change, schema_change from dolt_diff where commit_hash in ('STAGED', 'WORKING')",
		"STAGED|t|1|0", "WORKING|n|0|1", "WORKING|t|1|1", "WORKING|uu|0|1")
}

func TestStatusIsTheTransactions(t *testing.T) {
	w := story(t)
	// What the session has not committed yet shows in its own status and diff, and in no other's.
	h := w.handle("db")
	tx, err := h.Tx(w.ctx)
	ok(t, err)
	put(t, tx, "t", row(i(7), s("mine")))
	q := "select to_id, to_v, from_id, diff_type from dolt_diff_t where to_commit = 'WORKING'"
	if got, err := w.queryIn(q); err != nil || strings.Join(got, ";") != "7|mine|NULL|added" {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := w.queryIn("select * from dolt_status"); err != nil || strings.Join(got, ";") != "t|0|modified" {
		t.Errorf("got %v, %v", got, err)
	}
	w.want(q) // a new transaction
}

func TestDiffOfCommits(t *testing.T) {
	w := story(t)
	w.want("select message, table_name, data_change, schema_change from dolt_diff", "two|t|1|0", "two|u|0|1", "one|t|1|1")
	w.want("select table_name from dolt_diff where commit_hash = hashof('HEAD')", "t", "u")
	w.want("select table_name, committer, email, author from dolt_diff where commit_hash = hashof('HEAD^')", "t|Cid|cid@example.com|Ann")
	w.want("select table_name from dolt_diff where commit_hash = hashof('side')")
}

func TestDiffTable(t *testing.T) {
	w := story(t)
	// B17 of the seeds.
	w.want("select to_v, from_v, diff_type, to_commit = hashof('HEAD'), from_commit = hashof('HEAD^') from dolt_diff_t "+
		"where from_commit = hashof('HEAD^') and to_commit = hashof('HEAD') limit 5",
		"B|b|modified|true|true", "c|NULL|added|true|true")
	w.want("select to_id, from_id, diff_type, to_commit_date, from_commit_date from dolt_diff_t",
		"2|2|modified|2021-02-03|2021-02-02", "3|NULL|added|2021-02-03|2021-02-02",
		"1|NULL|added|2021-02-02|2021-02-01", "2|NULL|added|2021-02-02|2021-02-01")
	w.want("select to_id from dolt_diff_t where to_commit = hashof('HEAD^')", "1", "2")
	w.want("select to_id from dolt_diff_t where from_commit = hashof('HEAD^')", "2", "3")
	w.want("select to_id from dolt_diff_t where from_commit = 'none'")
	w.want("select to_id from dolt_diff_t where to_commit = 'none'")
	w.want("select to_id from dolt_diff_t where to_commit = null")
	w.want("select to_id from dolt_diff_t where to_commit = concat(hashof('HEAD'), '') or to_id = 1", "2", "3", "1")
	w.want("select a.to_id from dolt_diff_t a join dolt_diff_t b on a.to_commit = b.to_commit and a.to_id = b.to_id where b.to_v = 'c'", "3")
	w.want("select to_id, from_id, to_commit, from_commit from dolt_diff_t where to_commit = 'side' and from_commit = 'main'",
		"NULL|1|side|main", "2|2|side|main", "NULL|3|side|main")
	w.want("select to_v, diff_type from dolt_diff_t where to_id = 2", "B|modified", "b|added")
	w.want("select to_v, diff_type from dolt_diff_t where to_id in (1, 3) order by 1", "a|added", "c|added")
	w.put("main", "t", row(i(1)), row(i(5), s("e")))
	w.want("select to_id, from_id, diff_type, to_commit, from_commit = hashof('HEAD') from dolt_diff_t where to_commit = 'WORKING'",
		"NULL|1|removed|WORKING|true", "5|NULL|added|WORKING|true")
	w.want("select count(*) from dolt_diff_t", "6")
	w.fails("select * from dolt_diff_none", "not found")
	w.want("select to_id from dolt_commit_diff_t where to_commit = 'HEAD' and from_commit = 'HEAD~1'", "2", "3")
	w.want("select to_id, from_id from dolt_commit_diff_t where to_commit = 'WORKING' and from_commit = 'HEAD~1' and from_id = 1", "NULL|1")
	w.fails("select * from dolt_commit_diff_t", "to_commit")
	w.fails("select * from dolt_commit_diff_t where to_commit = 'nope' and from_commit = 'HEAD'", "nope")
}

func TestDiffTableKeyless(t *testing.T) {
	w := newWorld(t)
	// B15 of the seeds: a frame is saved anew by each run, without a key.
	sch := func() *schema.Schema {
		return &schema.Schema{Columns: []schema.Column{column("x", value.KindFloat64), column("y", value.KindInt64)}}
	}
	w.create("main", "frame", sch())
	w.put("main", "frame", row(value.FloatCell(1.5), i(1)), row(value.FloatCell(2), i(2)))
	w.commit("main", "one")
	w.edit("main", func(tx *repo.Tx) { ok(t, tx.DropTable(t.Context(), "frame")) })
	w.create("main", "frame", sch())
	w.put("main", "frame", row(value.FloatCell(2), i(2)), row(value.FloatCell(3.5), i(3)))
	w.commit("main", "two")
	w.want("select to_x, to_y, from_x, from_y, diff_type from dolt_diff_frame where to_commit = hashof('HEAD') and from_commit = hashof('HEAD^')",
		"NULL|NULL|1.5|1|removed", "3.5|3|NULL|NULL|added")
	w.want("select table_name, rows_unmodified, rows_added, rows_deleted from dolt_diff_stat('HEAD^', 'HEAD')", "frame|NULL|1|1")
}

func TestSchemaHistory(t *testing.T) {
	w := newWorld(t)
	id, a, b := column("id", value.KindInt64), column("a", value.KindVarchar), column("b", value.KindVarchar)
	w.create("main", "t", keyed(id, a, b))
	w.put("main", "t", row(i(1), s("a1"), s("b1")))
	w.commit("main", "one")
	// Dropping a column must not shift the others, and a changed type is shown as the present one.
	n := b
	n.Name = "bb"
	wide := id
	wide.Type.Kind = value.KindInt32
	w.alter("main", "t", keyed(wide, n))
	w.commit("main", "two")
	w.want("select id, bb, commit_hash = hashof('HEAD'), committer from dolt_history_t", "1|b1|true|Cid", "1|b1|false|Cid")
	w.want("select to_id, to_bb, from_bb, diff_type from dolt_diff_t", "1|b1|NULL|added")
	w.want("select to_id, to_bb, from_id from dolt_diff('HEAD~2', 'HEAD', 't')", "1|b1|NULL")
	w.put("main", "t", row(i(1), s("b2")))
	w.want("select to_bb, from_a, from_b, diff_type from dolt_diff('HEAD~1', 'WORKING', 't')", "b2|a1|b1|modified")
	w.want("select data_change, schema_change from dolt_diff_summary('HEAD~1', 'HEAD')", "1|1")
}

func TestHistory(t *testing.T) {
	w := story(t)
	w.want("select id, v, commit_hash = hashof('HEAD'), commit_date from dolt_history_t",
		"1|a|true|2021-02-03", "2|B|true|2021-02-03", "3|c|true|2021-02-03", "1|a|false|2021-02-02", "2|b|false|2021-02-02")
	w.want("select v from dolt_history_t where id = 2", "B", "b")
	w.want("select v from dolt_history_t where id = 2 and commit_hash = hashof('HEAD^')", "b")
	w.want("select count(*) from dolt_history_t where commit_hash = hashof('HEAD~2')", "0")
	w.want("select id from dolt_history_t limit 1", "1")
}

func TestTableFunctions(t *testing.T) {
	w := story(t)
	w.want("select to_id, to_v, from_v, diff_type from dolt_diff('HEAD^', 'HEAD', 't')", "2|B|b|modified", "3|c|NULL|added")
	w.want("select to_id from dolt_diff('main..side', 't')", "NULL", "2", "NULL")
	w.want("select from_id from dolt_diff('main...side', 't')", "1")
	w.want("select to_id from dolt_diff('HEAD', 'WORKING', 't')")
	w.fails("select * from dolt_diff('HEAD^', 'HEAD', 'none')", "none")
	w.fails("select * from dolt_diff('HEAD^')", "")
	w.want("select * from dolt_diff_stat('HEAD^', 'HEAD')", "t|1|1|0|1|2|0|1|2|3|4|6")
	w.want("select table_name, rows_added from dolt_diff_stat('HEAD~2..HEAD', 't')", "t|3")
	w.want("select * from dolt_diff_summary('HEAD^', 'HEAD')", "t|t|modified|1|0", "|u|added|0|1")
	w.want("select * from dolt_diff_summary('HEAD', 'HEAD~2', 'u')", "u||dropped|0|1")
	w.want("select message from dolt_log()", "two", "one", repo.InitMessage)
	w.want("select message from dolt_log('main..side')", "side")
	w.want("select message from dolt_log('side', '--not', 'main')", "side")
	w.want("select message from dolt_log('side', '^main')", "side")
	w.want("select message from dolt_log('main...side')", "side", "two")
	w.want("select message from dolt_log('--tables', 'u')", "two")
	w.want("select message from dolt_log('-n', 1, 'side')", "side")
	w.want("select message from dolt_log('--merges')")
	w.fails("select * from dolt_log('--nonsense')", "nonsense")
	w.run("prepare q from 'select message from dolt_log(?) limit 1'", "set @rev = 'side'")
	w.want("execute q using @rev", "side")
	w.fails("select * from dolt_diff('HEAD^', 'HEAD', uuid()) d", "constant")
	w.want("select refs from dolt_log('--decorate=full') limit 1", "HEAD -> refs/heads/main")
	w.want("select d.diff_type, l.message from dolt_diff('HEAD^', 'HEAD', 't') d join dolt_log l on l.commit_hash = d.to_commit where d.to_id = 3", "added|two")
}

// TestSkinnyDiff leaves out of dolt_diff() the columns in which no row differs.
func TestSkinnyDiff(t *testing.T) {
	w := story(t)
	columns := func(q string) string {
		t.Helper()
		schema, it, err := w.eng.Query(w.ctx, q)
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		if _, err := sql.RowIterToRows(w.ctx, it); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		var names []string
		for _, c := range schema {
			if !strings.Contains(c.Name, "commit") {
				names = append(names, c.Name)
			}
		}
		return strings.Join(names, " ")
	}
	all := "to_id to_v from_id from_v diff_type"
	for q, want := range map[string]string{
		"'--skinny', 'HEAD^', 'HEAD', 't'":                           all, // a row comes
		"'--skinny', 'HEAD~2', 'HEAD', 't'":                          all, // the table does
		"'HEAD', 'WORKING', 't', '-sk'":                              "to_id from_id diff_type",
		"'HEAD..WORKING', 't', '--skinny', '--include-cols', 'v'":    all,
		"'--skinny', '--include-cols=id,V', 'HEAD', 'WORKING', 't'":  all,
		"'--include-cols=id', '--skinny', 'HEAD', 'WORKING', 't'":    "to_id from_id diff_type",
		"'--include-cols=id', 'HEAD', 'WORKING', 't'":                all,
		"'HEAD', 'WORKING', 't', '--skinny', '-ic', 'id,none', 'id'": "to_id from_id diff_type",
	} {
		if got := columns("select * from dolt_diff(" + q + ")"); got != want {
			t.Errorf("dolt_diff(%s) has the columns %s, want %s", q, got, want)
		}
	}
	w.put("main", "t", row(i(2), s("new")))
	if got := columns("select * from dolt_diff('--skinny', 'HEAD', 'WORKING', 't')"); got != all {
		t.Errorf("a column with changes is left out: %s", got)
	}
	w.want("select to_v, from_v from dolt_diff('--skinny', 'HEAD', 'WORKING', 't') where to_id = 2", "new|B")
	w.fails("select * from dolt_diff('--fat', 'HEAD', 'WORKING', 't')", "unknown flag --fat")
}

func TestFunctions(t *testing.T) {
	w := story(t)
	w.want("select hashof('HEAD')", w.head("main"))
	w.want("select dolt_hashof('side'), hashof(null)", w.head("side")+"|NULL")
	w.want("select active_branch()", "main")
	w.want("select dolt_merge_base('main', 'side')", w.head("main^"))
	w.want("select has_ancestor('main', 'main^'), has_ancestor('main', 'side'), has_ancestor('main', 'main')", "true|false|true")
	w.want("select dolt_version(), dolt_storage_format()", "1.2.3|stemma 1")
	w.want("select dolt_hashof_table('t') = dolt_hashof_table('t', 'HEAD'), dolt_hashof_table('t', 'HEAD') = dolt_hashof_table('t', 'HEAD^')", "true|false")
	w.want("select dolt_hashof_db() = dolt_hashof_db('HEAD'), dolt_hashof_db('main') = dolt_hashof_db('side')", "true|false")
	w.put("main", "t", row(i(8), s("h")))
	w.want("select dolt_hashof_table('t') = dolt_hashof_table('t', 'HEAD'), dolt_hashof_db() = dolt_hashof_db('HEAD')", "false|false")
	w.want("select dolt_commit('-a', '-m', 'x')", "dolt_commit -A -m x")
	w.fails("select hashof('nope')", "nope")
	w.fails("select dolt_hashof_table('nope')", "nope")
	w.fails("select hashof()", "hashof")
}
