package engine

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/fsck"
)

// TestMergeViolationsAreAll merges random changes of tables with keys of every kind: what a merge lists is what looking at all rows finds,
// each way; generated values are those of their rows, and indexes hold what the rows hold.
func TestMergeViolationsAreAll(t *testing.T) {
	rounds := 60
	if os.Getenv("STEMMA_LONG") != "" {
		rounds = 2000
	}
	c := versioned(t)
	c.exec("create table p (id int primary key, n int, m int, s int generated always as (n + m) stored, unique key un (n), key ks (s))",
		"create table c (id int primary key, p int, k int, l int, v int generated always as (k * 2) virtual, unique key up (p, k), key kv (v), constraint fp foreign key (p) references p (id) on delete cascade, "+
			"constraint fn foreign key (l) references p (n), constraint ck check (k + l < 8), constraint cv check (v < 16))",
		"insert into p (id, n, m) values (1,1,1),(2,2,2),(3,3,3),(4,4,4)", "insert into c (id, p, k, l) values (1,1,1,1),(2,2,2,2),(3,null,3,3),(4,4,4,null)",
		"call dolt_commit('-Am', 'base')", "call dolt_branch('base')", "set @@dolt_force_transaction_commit = 1")
	rng := rand.New(rand.NewPCG(5, 31))
	null := func(n int) string {
		if rng.IntN(6) == 0 {
			return "null"
		}
		return fmt.Sprint(n)
	}
	var log []string
	edit := func() {
		for range 6 + rng.IntN(14) {
			id, n := 1+rng.IntN(8), 1+rng.IntN(8)
			q := []string{
				fmt.Sprintf("insert into p (id, n, m) values (%d, %s, %d)", id, null(n), rng.IntN(5)), fmt.Sprintf("update p set n = %s where id = %d", null(n), id),
				fmt.Sprintf("update p set m = %d where id = %d", n, id), fmt.Sprintf("delete from p where id = %d", id), fmt.Sprintf("update p set id = %d where id = %d", n, id),
				fmt.Sprintf("insert into c (id, p, k, l) values (%d, %s, %s, %s)", id, null(n), null(1+rng.IntN(6)), null(1+rng.IntN(6))),
				fmt.Sprintf("update c set p = %s where id = %d", null(n), id), fmt.Sprintf("update c set k = %s where id = %d", null(n), id), fmt.Sprintf("update c set l = %s where id = %d", null(n), id),
				fmt.Sprintf("delete from c where id = %d", id),
				"alter table c drop check ck", "alter table c add constraint ck check (k + l < 7)", "alter table p drop index un", "alter table p modify column m int not null",
				"alter table c drop foreign key fp", "alter table c add constraint fp foreign key (p) references p (id)",
			}
			pick := q[rng.IntN(10)]
			switch rng.IntN(8) {
			case 0:
				pick = q[10+rng.IntN(len(q)-10)]
			case 1, 2:
				pick = fmt.Sprintf("update c set %s = %d where id = %d", [...]string{"k", "l"}[rng.IntN(2)], 1+rng.IntN(6), 1+rng.IntN(4))
			}
			_, err := c.query(pick) // what keys do not allow does not happen
			log = append(log, fmt.Sprintf("%s -- %v", pick, err))
		}
	}
	kinds := map[string]int{}
	list := func() string {
		var out []string
		for _, table := range []string{"c", "p"} {
			rows, err := c.query("select concat_ws('/', '" + table + "', violation_type, id, replace(violation_info, ' ', '')) from dolt_constraint_violations_" + table + " order by violation_type, id, violation_info")
			if err != nil {
				t.Fatalf("%v after\n%s", err, strings.Join(log, "\n"))
			}
			out = append(out, strings.Fields(rows)...)
		}
		return strings.Join(out, "\n")
	}
	for round := range rounds {
		log = log[:0]
		for _, side := range []string{"theirs", "ours"} {
			log = append(log, side)
			c.exec("call dolt_branch('-f', '"+side+"', 'base')", "call dolt_checkout('"+side+"')")
			edit()
			c.exec("call dolt_commit('-A', '--allow-empty', '-m', '" + side + "')")
		}
		for _, way := range [][2]string{{"ours", "theirs"}, {"theirs", "ours"}} {
			c.exec("call dolt_checkout('main')", "call dolt_branch('-f', 'm', '"+way[0]+"')", "call dolt_checkout('m')", "call dolt_merge('"+way[1]+"', '--no-ff', '--no-commit', '-m', 'm')")
			merged := list()
			c.exec("call dolt_verify_constraints('--all')")
			if all := list(); all != merged {
				t.Fatalf("round %d: the merge of %s into %s lists\n%s\nof all rows there are\n%s\nafter\n%s", round, way[1], way[0], merged, all, strings.Join(log, "\n"))
			}
			for l := range strings.Lines(merged) {
				kinds[strings.Join(strings.SplitN(l, "/", 3)[:2], "/")]++
			}
			if merged != "" {
				kinds["violated"]++
			} else {
				kinds["sound"]++
			}
			c.want("select count(*) from p where not (s <=> n + m)", "0")
			c.want("select (select count(*) from p where s >= -100) = (select count(*) from p where n + m >= -100), (select count(*) from c where v > 6) = (select count(*) from c where k * 2 > 6)", "true,true")
			r, _, _ := c.w.eng.Provider().Lookup("db")
			starts, err := r.Starts(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			f := fsck.New(r.Store(), func(x fsck.Problem) {
				if merged == "" {
					t.Errorf("round %d: fsck: %s\nafter\n%s", round, x, strings.Join(log, "\n"))
				}
			}, nil)
			for _, s := range starts {
				if err := f.Check(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			}
			c.exec("call dolt_reset('--hard')")
		}
		c.exec("call dolt_checkout('main')")
		if t.Failed() {
			return
		}
	}
	t.Log(kinds)
	for _, kind := range []string{"c/1", "c/2", "c/3", "p/2", "sound"} {
		if kinds[kind] == 0 {
			t.Errorf("no violations of kind %s: the test does not test", kind)
		}
	}
}
