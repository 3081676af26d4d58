package systab_test

import (
	"fmt"
	"testing"

	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/value"
)

// TestCost counts the chunks that queries of a long history read: those of the commits and rows that they ask for.
func TestCost(t *testing.T) {
	const rows, commits, edits = 100_000, 20, 3
	w := newWorld(t)
	w.create("main", "t", keyed(column("id", value.KindInt64), column("k", value.KindVarchar), column("v", value.KindInt64)))
	var all [][]value.Cell
	for n := range int64(rows) {
		all = append(all, row(i(n), s(fmt.Sprint("row ", n*7919%rows)), i(0)))
	}
	w.put("main", "t", all...)
	first := w.commit("main", "rows")
	for c := range int64(commits) {
		for e := range int64(edits) {
			n := (c*331 + e*661) % 1000 // in a few pages
			w.put("main", "t", row(i(n), s(fmt.Sprint("row ", n*7919%rows)), i(c+1)))
		}
		w.put("main", "t", row(i(77), s("always"), i(c)))
		w.commit("main", fmt.Sprint("change ", c))
	}
	middle, before := w.head("main~10"), w.head("main~11")
	w.reopen()
	w.want("select count(*), count(distinct v) > 1 from t", "100000|true")
	table := w.reads() // the pages of one state, and what is around them
	if table < 200 {
		t.Fatalf("the table has no more than %d chunks", table)
	}
	const lookup = 16 // a commit or two, a root, a schema, the paths to a row
	for _, c := range []struct {
		query string
		rows  string // the count
		limit int    // of chunks read
	}{
		{"select count(*) from dolt_history_t where commit_hash = '" + first + "' and id = 5", "1", commits + lookup},
		{"select count(*) from dolt_history_t where id = 77", "21", commits*6 + lookup},
		{"select count(*) from dolt_history_t where id = 77 and v = 5", "1", commits*6 + lookup},
		{"select count(*) from dolt_diff_t where to_commit = '" + middle + "'", "4", lookup + 2*3*(edits+1)},
		{"select count(*) from dolt_diff_t where from_commit = '" + before + "' and to_commit = '" + middle + "'", "4", lookup + 2*3*(edits+1)},
		{"select count(*) from dolt_commit_diff_t where from_commit = '" + before + "' and to_commit = '" + middle + "' and to_id = 77", "1", lookup},
		{"select count(*) from dolt_diff_t where to_id = 77", "21", commits*6 + lookup},
		{"select count(*) from dolt_diff_t where from_id = 77", "20", commits*6 + lookup},
		{"select count(*) from dolt_history_t where id between 70 and 80", "231", commits*6 + lookup},
		{"select count(*) from dolt_history_t where id < 10 and commit_hash = '" + middle + "'", "10", commits + lookup},
		{"select count(*) from dolt_diff_t where to_id >= 77 and to_id < 78", "21", commits*6 + lookup},
		{"select count(*) from dolt_diff_t where from_id > 76 and from_id <= 77", "20", commits*6 + lookup},
		{"select count(*) from dolt_blame_t where id > 76 and id < 79", "2", commits*6 + lookup},
		{"select count(*) from dolt_commit_ancestors where parent_hash = '" + middle + "'", "1", 16},
		{"select count(*) from dolt_diff where table_name = 'none'", "0", 2*commits + lookup},
		{"select count(*) from dolt_diff where commit_hash = '" + middle + "'", "1", commits + lookup},
		{"select count(*) from dolt_column_diff where commit_hash = '" + middle + "'", "1", commits + lookup + 2*3*(edits+1)},
		{"select count(*) from dolt_log where commit_hash = '" + middle + "'", "1", commits},
		{"select count(*) from dolt_log where commit_hash = '" + w.head("main") + "'", "1", 5},
		{"select count(*) from (select * from dolt_log limit 3) x", "3", 10},
		{"select count(*) from (select to_commit from dolt_diff_t order by to_commit_date desc limit 1) x", "1", commits + 10 + lookup},
		// A predicate on a column that is no key reads what the commits changed: the pages of the changed rows on both sides.
		{"select count(*) from dolt_diff_t where to_v = 7 and from_v is not null", "4", table + commits*(edits+6)},
		{"select count(*) from dolt_diff_t where to_v = 7 and diff_type = 'modified'", "4", commits*(edits+6) + lookup},
		{"select count(*) from dolt_blame_t where id = 77", "1", commits*6 + lookup},
	} {
		w.reopen()
		w.want("select 1", "1")
		was := w.reads()
		w.want(c.query, c.rows)
		if n := w.reads() - was; n > c.limit {
			t.Errorf("%s\nreads %d chunks, want at most %d; the table has %d", c.query, n, c.limit, table)
		}
	}
}

// reads is how many chunks were read since the database was opened.
func (w *world) reads() int { return int(w.repo.Store().Stats().CacheMisses) }

// TestCostOfTables counts the chunks that status and commits read of a database of many tables, of which one has changed.
func TestCostOfTables(t *testing.T) {
	const tables = 600
	w := newWorld(t)
	w.edit("main", func(tx *repo.Tx) {
		for n := range tables {
			name := fmt.Sprintf("t%03d", n)
			ok(t, tx.CreateTable(t.Context(), name, keyed(column("id", value.KindInt64), column(name, value.KindInt64))))
			put(t, tx, name, row(i(int64(n)), i(1)))
		}
	})
	w.commit("main", "tables")
	for range 8 {
		w.branch(fmt.Sprint("b", w.clock.n), "main")
		w.clock.n++
	}
	w.put("main", "t007", row(i(9), i(9)))
	w.reopen()
	const limit = 60
	for _, q := range []string{
		"select count(*) from dolt_status", "select count(*) > 8 from dolt_branches", "select count(*) from dolt_diff where commit_hash = 'WORKING'",
		"select count(*) from dolt_diff_t007 where to_commit = 'WORKING'",
	} {
		w.reopen()
		was := w.reads()
		if got, err := w.query(q); err != nil || len(got) != 1 || got[0] != "1" && got[0] != "true" {
			t.Errorf("%s: %q, %v", q, got, err)
		}
		if n := w.reads() - was; n > limit {
			t.Errorf("%s\nreads %d chunks, want at most %d", q, n, limit)
		}
	}
	for _, all := range []repo.CommitOptions{{All: true}, {AddNew: true}} {
		w.put("main", "t008", row(i(int64(w.clock.n)), i(9)))
		w.reopen()
		w.clock.n++
		all.Branch, all.Message, all.Author = "main", "one table", worldWho
		was := w.reads()
		_, err := w.repo.Commit(t.Context(), all)
		ok(t, err)
		if n := w.reads() - was; n > limit {
			t.Errorf("a commit of one table reads %d chunks, want at most %d", n, limit)
		}
	}
}
