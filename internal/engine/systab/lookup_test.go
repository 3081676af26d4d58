package systab_test

import (
	"slices"
	"strings"
	"testing"
)

// TestLookups: what a table finds by the values and intervals of a predicate is what the predicate leaves of all rows.
func TestLookups(t *testing.T) {
	w := newWorld(t)
	w.run("create table t (a tinyint, b varchar(9), v int, primary key (a, b))",
		"insert into t values (1, 'x', 1), (1, 'y', 2), (2, 'x', 3), (3, 'z', 4), (-5, 'm', 5)")
	w.commit("main", "one")
	w.run("alter table t modify a smallint") // older rows have keys of another type
	w.run("insert into t values (300, 'q', 6)", "update t set v = v + 10 where a < 2")
	w.commit("main", "two")
	w.run("alter table t modify b varchar(20) collate utf8mb4_0900_ai_ci", "delete from t where a = 3")
	w.commit("main", "three")
	w.run("create table u (id int primary key)", "rename table u to w", "create table d (d datetime(3), n decimal(9,2), primary key (d, n))",
		"insert into d values ('2021-02-03 10:00:00.5', 1.5), ('2021-02-03 10:00:01', 2), ('2022-01-01', 0)")
	w.commit("main", "four")
	w.branch("side", "main~1")
	w.run("update t set v = 0 where b = 'x'")
	first, second, last := w.head("main~3"), w.head("main~2"), w.head("main")
	for table, predicates := range map[string][]string{
		"dolt_history_t": {
			"a > 1", "a >= 1 and a < 3", "1 < a", "a between -10 and 1", "a = 1 and b > 'x'", "a = 1 and b between 'X' and 'x'", "a in (1, 300)",
			"a in (1, 300) and b >= 'q'", "a > 127", "a > 1000", "a > 2 and a < 1", "a > null", "a between null and 3", "a = 1.5", "a > 1.5", "a > '1'",
			"a in (1, 2) and commit_hash = '" + second + "'", "commit_hash > 'a' and commit_hash <= 'v'", "commit_hash in ('" + first + "', '" + last + "') and a < 2",
			"a = 1 or a = 300", "a < 0 or a > 2", "not a > 1",
		},
		"dolt_diff_t": {
			"to_a > 1", "from_a > 1", "to_a <= 1 and from_a >= -5", "to_a in (1, 300)", "to_a = 1 and to_b < 'y'", "to_a is null", "from_a is null and to_a > 0",
			"diff_type in ('removed', 'added') and to_a > 0", "to_commit = 'WORKING' and to_a > 1", "to_commit in ('WORKING', '" + second + "')",
			"from_commit = '" + first + "' and to_commit = '" + second + "' and to_a between 1 and 400", "to_a > 0 and from_a < 2",
		},
		"dolt_commit_ancestors": {"parent_hash = '" + first + "'", "parent_hash in ('" + first + "', '" + second + "', 'nope')", "parent_hash is null", "parent_hash = 'main'",
			"parent_hash = '" + last + "'", "commit_hash = '" + second + "' and parent_hash = '" + first + "'", "parent_hash > 'a'"},
		"dolt_diff":        {"table_name = 't'", "table_name = 'T'", "table_name in ('t', 'w', 'none')", "table_name = 'u'", "table_name > 't'", "table_name = 't' and commit_hash = '" + second + "'"},
		"dolt_column_diff": {"table_name = 't'", "table_name in ('t', 'w')", "table_name = 't' and column_name = 'v'", "table_name = 't' and commit_hash in ('WORKING', '" + second + "')"},
		"dolt_blame_t":     {"a > 1", "a = 1 and b >= 'y'", "a in (1, 2)", "a < 0"},
		"dolt_history_d": {"d = '2021-02-03 10:00:01'", "d > '2021-02-03 10:00:00.5001'", "d >= '2021-02-03 10:00:00.5' and d < '2022-01-01'", "d < '2022-01-01'", "d > '0000-01-01'",
			"d = '2022-01-01' and n < 1", "n > 1"},
		"dolt_log": {"commit_hash = '" + first + "'", "commit_hash < '" + first + "'", "commit_hash in ('" + first + "', '" + last + "')"},
	} {
		for _, p := range predicates {
			got, err := w.query("select * from " + table + " where " + p)
			if err != nil {
				t.Errorf("%s: %s: %v", table, p, err)
				continue
			}
			want, err := w.query("select * from " + table + " where if(" + p + ", 1, 0) = 1")
			ok(t, err)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s where %s\ngot\n\t%s\nwant\n\t%s", table, p, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
			}
		}
	}
}
