package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

const (
	runA = "0190d6f3-7c1e-7b5a-9a53-0d1c2f3a4b5c"
	runB = "0190d6f3-7c1e-7b5a-9a53-0d1c2f3a4b5d"
	runC = "0190d6f3-7c1e-7b5a-9a53-0d1c2f3a4b5e"
)

// commitFor makes a version for a run.
func (w *world) commitFor(run, branch, message string) history.CommitID {
	w.t.Helper()
	who := history.Signature{Name: "a", Email: "a@example.com"}
	c, err := w.repo().Commit(lineage.With(context.Background(), lineage.Current{Run: run, Node: "n"}), repo.CommitOptions{
		Branch: branch, Message: message, AddNew: true, Author: who, Committer: who,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return c.ID
}

func TestRunReads(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create table t (id int primary key, a int)", "insert into t values (1, 1), (2, 2)", "create table u (id int primary key)",
		"insert into u values (1)", "create view vt as select id, a from t", "create view vj as select x.id as k, x.a from vt x where x.a > 0")
	first := w.commitFor(runA, "main", "one")
	c.exec("update t set a = 5 where id = 1")
	second := w.commitFor(runB, "main", "two")
	hash := func(id history.CommitID, table string) string {
		s, err := w.repo().SnapshotAt(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		v, _, _, err := s.Table(t.Context(), table)
		if err != nil {
			t.Fatal(err)
		}
		return v.Table.Hash().Full()
	}
	c.want("select table_name, before_hash is null, commit_hash, rows_added, rows_modified, node from stemma_run_outputs where run_uid = '"+runA+"' order by table_name",
		"t,true,"+first.Full()+",2,0,n u,true,"+first.Full()+",1,0,n")
	c.want("select table_name, before_hash, after_hash, rows_added, rows_modified from stemma_run_outputs where run_uid = '"+runB+"'",
		"t,"+hash(first, "t")+","+hash(second, "t")+",0,1")
	c.want("select `system`, state from stemma_runs where run_uid = '"+runB+"'", "sql,RUNNING")

	for _, x := range []struct{ name, query, want string }{
		{"a join in a derived table", "select * from (select t.a from t join u on t.id = u.id) v", "t,NULL,2,[\"id\", \"a\"] u,NULL,2,[\"id\"]"},
		{"as of", "select a from t as of '" + first.String() + "'", "t," + first.String() + ",1,[\"a\"]"},
		{"a revision of the database", "select id from `db/main~1`.u", "u,main~1,1,[\"id\"]"},
		{"one row by its key", "select a from t where id = 2", "t,NULL,2,"},
		{"a count", "select count(*) from u", "u,NULL,2,"},
		{"a subquery", "select 1 where exists (select id from t where a = 2)", "t,NULL,2,"},
		{"what is written from", "insert into u select id + 10 from t where id = 1", "t,NULL,2,"},
		{"rows that change", "update t set a = 7 where id = 2", "t,NULL,2,"},
		{"a view", "select * from vt", "t,NULL,2,[\"id\", \"a\"]"},
		{"a view of a view joined with a table", "select vj.a, u.id from vj join u on u.id = vj.k", "t,NULL,2,[\"id\", \"a\"] u,NULL,2,[\"id\"]"},
		{"a view as of", "select k from vj as of '" + first.String() + "'", "t," + first.String() + ",1,[\"id\", \"a\"]"},
		{"a view of a revision", "select k from `db/main~0`.vj", "t,main~0,2,[\"id\", \"a\"]"},
		{"none", "select 1", ""},
		{"system tables", "select count(*) from stemma_runs", ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			run := lineage.NewUID(w.repo().Clock().Now())
			d := w.client()
			d.exec("start transaction", "set @@stemma_run = '"+run+"'", "set @@stemma_run_node = 'step'", "set @@stemma_run_alias = 'prices'")
			if _, err := d.query(x.query); err != nil {
				t.Fatal(err)
			}
			d.exec("rollback")
			got, err := c.query("select table_name, ref_asked, if(commit_hash = '" + first.Full() + "', 1, if(commit_hash = '" + second.Full() +
				"', 2, 'none')), columns from stemma_run_inputs where run_uid = '" + run + "' and node = 'step' and dataset_alias = 'prices' order by table_name")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(got, x.want) || x.want == "" && got != "" {
				t.Errorf("got %s\nwant %s", got, x.want)
			}
		})
	}

	// The same is recorded once, and a session that has no run records nothing.
	d := w.client()
	d.exec("set @@stemma_run = '"+runA+"'", "select * from t", "select * from t", "set @@stemma_run = ''", "select * from u")
	d.want("select table_name, row_count, table_hash from stemma_run_inputs where run_uid = '"+runA+"'", "t,2,"+hash(second, "t"))
	// A name that is no UUID stands for a run of its own.
	d.exec("set @@stemma_run = '2024-01-01T00.00.00.000Z'", "select * from u")
	d.want("select r.external_id, i.table_name from stemma_runs r join stemma_run_inputs i on r.run_uid = i.run_uid where r.external_id is not null",
		"2024-01-01T00.00.00.000Z,u")
	for _, q := range []string{"delete from stemma_runs", "insert into stemma_runs (run_uid, `system`, state) values ('x', 'y', 'z')", "drop table stemma_run_inputs",
		"create table stemma_runs (id int)", "use `db/.lineage`", "call dolt_checkout('.lineage')"} {
		if _, err := d.query(q); err == nil {
			t.Errorf("%s: it succeeds", q)
		}
	}
	// They belong to no branch.
	if b := w.repo().Branches(); len(b) != 1 || b[0].Name != "main" {
		t.Errorf("branches %v", b)
	}
	w.reopen(repo.Options{})
	w.client().want("select count(*) from stemma_run_outputs", "3")
}

func TestRunReadsUncommitted(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create table t (id int primary key)", "insert into t values (1)")
	w.commitFor(runA, "main", "one")
	c.exec("insert into t values (2)", "set @@stemma_run = '"+runB+"'", "select * from t")
	working, err := w.repo().Fold(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	e, _, err := working.Working.Get(t.Context(), 1, "t")
	if err != nil {
		t.Fatal(err)
	}
	c.want("select table_hash, commit_hash is null, row_count from stemma_run_inputs where run_uid = '"+runB+"'", e.Table.Full()+",true,2")
	// More states of one table than are kept are counted.
	c.exec("start transaction")
	for range 70 {
		c.exec("insert into t select max(id) + 1 from t")
	}
	c.exec("rollback")
	c.want("select count(*) between 60 and 70 from stemma_run_inputs where run_uid = '"+runB+"'", "true")
	c.want("select dropped_inputs between 5 and 10 from stemma_runs where run_uid = '"+runB+"'", "true")
}

// TestRunOrigins tells what statements say of the columns that they write.
func TestRunOrigins(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create table prices (npi int primary key, code varchar(10), price double)", "create table hospitals (npi int primary key, state varchar(2))",
		"insert into prices values (1, 'a', 10), (2, 'b', 20)", "insert into hospitals values (1, 'CA'), (2, 'NY')",
		"create view named (id, c, price) as select npi, upper(code), price from prices",
		"create view joined as select n.id, n.c, h.state from named n join hospitals h on h.npi = n.id",
		"create view sums as select h.state, sum(n.price) as total from named n join hospitals h on h.npi = n.id group by h.state",
		"create view both_of as select npi as k from prices union select npi + 1 from hospitals")
	w.commitFor(runA, "main", "tables")
	for _, x := range []struct {
		name string
		do   []string
		want string // by column: its origins, with the first letter of the kind behind them
	}{
		{"a join with groups", []string{
			"create table o (state varchar(2), code varchar(10), p double, n int, top double)",
			"insert into o select h.state, p.code, avg(p.price * 2), count(*), (select max(price) from prices) from prices p join hospitals h on p.npi = h.npi group by h.state, p.code",
		}, "code: prices.code I; p: prices.price A; state: hospitals.state I; top: prices.price A"},
		{"named columns in another order", []string{"create table o (x double, y int, z int default 3)", "insert into o (y, x) select npi, price from prices"},
			"x: prices.price I; y: prices.npi I"},
		{"create table", []string{"create table o as select npi, upper(code) c, price from prices where price > 1"},
			"c: prices.code T; npi: prices.npi I; price: prices.price I"},
		{"an alias below an order and a limit", []string{"create table o as select price * 2 as twice from prices order by price limit 1"}, "twice: prices.price T"},
		{"replace from a derived table", []string{"create table o (a int primary key, b double)", "replace into o select npi + 100, price from (select npi, price from prices where npi < 3) x"},
			"a: prices.npi T; b: prices.price I"},
		{"a common table expression", []string{"create table o (a int, b text, c int)",
			"insert into o with q as (select npi a, code from prices) select q.a + h.npi, concat(q.code, h.state), 4 from q, hospitals h"},
			"a: hospitals.npi T, prices.npi T; b: hospitals.state T, prices.code T"},
		{"a union", []string{"create table o (a int, b int)", "insert into o select npi, npi + 1 from prices union all select npi, 7 from hospitals"},
			"a: hospitals.npi I, prices.npi I; b: prices.npi T"},
		{"a union in a derived table", []string{"create table o (a int)", "insert into o select x from (select npi x from prices union select npi from hospitals) q"},
			"a: hospitals.npi I, prices.npi I"},
		{"windows", []string{"create table o (npi int, s double)", "insert into o select npi, sum(price) over (order by npi) from prices"},
			"npi: prices.npi I; s: prices.npi A, prices.price A"},
		{"a generated key", []string{"create table o (id int auto_increment primary key, npi int)", "insert into o (npi) select distinct npi from hospitals order by 1 limit 2"},
			"npi: hospitals.npi I"},
		{"an older state, a condition on another table", []string{"create table o (price double)",
			"insert into o select price from prices as of 'HEAD' p where exists (select 1 from hospitals h where h.npi = p.npi)"}, "price: prices.price I"},
		{"a correlated subquery", []string{"create table o (npi int, state text)",
			"insert into o select p.npi, (select concat(s.st, p.code) from (select npi n, state st from hospitals) s where s.n = p.npi) from prices p"},
			"npi: prices.npi I; state: hospitals.state T, prices.code T"},
		{"several statements", []string{"create table o (a int)", "insert into o select npi from prices", "insert into o select npi + 1 from prices", "insert into o values (7)"},
			"a: prices.npi T"},
		{"values", []string{"create table o (a int)", "insert into o values (1)"}, ""},
		{"one that is rolled back", []string{"create table o (a int)", "insert into o values (1)", "start transaction", "insert into o select npi from prices", "rollback"}, ""},
		{"one that fails", []string{"create table o (a int primary key, b int)", "insert into o select npi, 5 from hospitals where npi = 1"}, "a: hospitals.npi I"},
		{"a recursion over no table", []string{"create table o (n int)",
			"insert into o with recursive r as (select 1 n union all select n + 1 from r where n < 4) select n from r"}, ""},
		{"a recursion", []string{"create table o (a int, b int, c double, d text)",
			"insert into o with recursive r as (select npi a, npi b, 0.0 c, code d from prices where npi = 1 union all " +
				"select r.a + 1, r.b, p.price, r.d from r join prices p on p.npi = r.a where r.a < 3) select a, b, c, upper(d) from r"},
			"a: prices.npi T; b: prices.npi I; c: prices.price I; d: prices.code T"},
		{"an update", []string{"create table o (npi int primary key, p double, q double)", "insert into o values (1, 1, 1), (2, 2, 2)",
			"update o set p = q * 2, q = q where npi < 2"}, "p: o.q T"},
		{"an update of one row", []string{"create table o (npi int primary key, p double, q double)", "insert into o values (1, 1, 2)", "update o set p = q where npi = 1"}, "p: o.q I"},
		{"an update from another table", []string{"create table o (npi int primary key, p double, q double)", "insert into o values (1, 1, 1), (2, 2, 2)",
			"update o join prices x on o.npi = x.npi set o.p = x.price, o.q = o.q + x.price"}, "p: prices.price I; q: o.q T, prices.price T"},
		{"an update with a subquery", []string{"create table o (npi int primary key, p double, q text)", "insert into o values (1, 1, ''), (2, 2, '')",
			"update o set p = (select max(price) from prices where prices.npi <= o.npi), q = (select concat(code, o.p) from prices where prices.npi = o.npi)"},
			"p: prices.price A; q: o.p T, prices.code T"},
		{"an update of a new table", []string{"create table o (npi int primary key, p double)", "insert into o select npi, 0 from prices", "update o, prices set p = price where o.npi = prices.npi"},
			"npi: prices.npi I; p: prices.price I"},
		{"rows that are there", []string{"create table o (npi int primary key, p double, n int)", "insert into o values (1, 1, 1)",
			"insert into o (npi, p) select npi, 1 from prices on duplicate key update p = prices.npi + o.p, n = o.n + 1"},
			"n: o.n T; npi: prices.npi I; p: o.p T, prices.npi T"},
		{"values for rows that are there", []string{"create table o (npi int primary key, n int, m int)", "insert into o values (1, 1, 1)",
			"insert into o values (1, 5, 6) on duplicate key update n = n + values(n), m = values(n)"}, "n: o.n T"},
		{"replace", []string{"create table o (npi int primary key, p double)", "insert into o values (1, 1)", "replace into o select npi, price from prices"},
			"npi: prices.npi I; p: prices.price I"},
		{"a view of a view", []string{"create table o as select id, c, state as st from joined"}, "c: prices.code T; id: prices.npi I; st: hospitals.state I"},
		{"a view with groups", []string{"create table o (a varchar(2), b double)", "insert into o (b, a) select total * 2, state from sums"},
			"a: hospitals.state I; b: prices.price A"},
		{"a view joined with a table", []string{"create table o (a int, b double)", "insert into o select j.id + p.npi, p.price from joined j join prices p on p.npi = j.id"},
			"a: prices.npi T; b: prices.price I"},
		{"a view with a union", []string{"create table o (a int)", "insert into o select k from both_of"}, "a: hospitals.npi T, prices.npi T"},
		{"a view as of a commit", []string{"create table o (a int, b text)", "replace into o select id, c from joined as of 'HEAD'"}, "a: prices.npi I; b: prices.code T"},
		{"an update from a view", []string{"create table o (npi int primary key, p double)", "insert into o values (1, 1)", "update o join sums s on s.state = 'CA' set o.p = s.total"},
			"p: prices.price A"},
		{"rows that are deleted", []string{"create table o (npi int primary key)", "insert into o values (1), (2)", "delete o from o join prices on o.npi = prices.npi"}, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			run := lineage.NewUID(w.repo().Clock().Now())
			d := w.client()
			d.exec("set @@stemma_run = '" + run + "'")
			d.exec(x.do...)
			if x.name == "one that fails" {
				if _, err := d.query("insert into o select npi, price from prices"); err == nil {
					t.Fatal("a duplicate key is taken")
				}
			}
			w.commitFor(run, "main", x.name)
			outs, err := w.repo().Lineage().OutputsOf(t.Context(), run)
			if err != nil || len(outs) != 1 {
				t.Fatalf("outputs %v, %v", outs, err)
			}
			by, err := outs[0].Origins()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for name, list := range by {
				var from []string
				for _, o := range list {
					from = append(from, o.DB+o.Table+"."+o.Column+" "+o.Kind[:1])
				}
				slices.Sort(from)
				got = append(got, name+": "+strings.Join(from, ", "))
			}
			slices.Sort(got)
			if g := strings.Join(got, "; "); g != x.want {
				t.Errorf("got  %s\nwant %s", g, x.want)
			}
			d.exec("set @@stemma_run = ''", "drop table o")
			w.commitFor(runA, "main", "away")
		})
	}
}

// TestRunOverDatabases reads in one database and commits in another, which then has what the run read as well.
func TestRunOverDatabases(t *testing.T) {
	w := &world{t: t, fs: vfs.NewMem()}
	if err := w.fs.MkdirAll(dataDir); err != nil {
		t.Fatal(err)
	}
	eng, err := New(context.Background(), Options{FS: w.fs, Dir: dataDir})
	if err != nil {
		t.Fatal(err)
	}
	w.eng = eng
	c := w.client()
	c.exec("create database raw", "create database clean", "use raw", "set @@dolt_transaction_commit = 1", "set @@stemma_run = '"+runA+"'",
		"create table prices (id int primary key, v int)", "insert into prices values (1, 10), (2, 20)")
	c.exec("set @@stemma_run = ''", "create table clean.sums (id int primary key, v int)", "set @@stemma_run = '"+runB+"'",
		"insert into clean.sums select id, v from prices")
	c.exec("use clean")
	c.want("select i.db, i.table_name, o.db, o.table_name, o.column_lineage->>'$.v[0][3]' from stemma_run_inputs i join stemma_run_outputs o on i.run_uid = o.run_uid",
		"raw,prices,clean,sums,raw")
	// Once is enough.
	c.exec("insert into sums values (9, 9)")
	c.want("select count(*) from stemma_run_outputs", "2")
	c.want("select count(*) from stemma_run_inputs", "1")
	c.exec("use raw")
	c.want("select count(*) from stemma_run_outputs where run_uid = '"+runB+"'", "0")
	c.want("select count(*) from stemma_run_inputs where run_uid = '"+runB+"'", "1")
	// A copy under the same name has the same hash, and is another table.
	c.exec("set @@stemma_run = '"+runC+"'", "create table clean.prices like raw.prices", "insert into clean.prices select * from raw.prices", "use clean")
	edges, err := w.repoOf("clean").Lineage().EdgesOf(t.Context(), runC)
	if err != nil || len(edges) != 2 {
		t.Errorf("edges %+v, %v", edges, err)
	}
	for _, e := range edges {
		if e.Input == nil || e.Input.DB != "raw" || e.Output == nil {
			t.Errorf("edge from %+v to %+v", e.Input, e.Output)
		}
	}
	outs, err := w.repoOf("clean").Lineage().OutputsOf(t.Context(), runC)
	if err != nil || len(outs) != 2 { // the table, and its rows
		t.Fatalf("outputs %v, %v", outs, err)
	}
	d := &lineage.Dataset{DB: "clean", Table: "prices", Hash: outs[1].After, Commit: outs[1].Commit}
	tr := &lineage.Tracer{Book: w.repoOf("clean").Lineage(), Read: w.repoOf("clean").Store(), DB: "clean"}
	if err := tr.Up(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if len(d.Runs) != 1 || len(d.Runs[0].Datasets) != 1 || d.Runs[0].Datasets[0].DB != "raw" || d.Runs[0].Datasets[0].Again {
		t.Errorf("the copy comes of %+v", d.Runs)
	}
}

// TestWrittenForRun tells what a commit says of how its tables were written: all that is in it, and nothing else.
func TestWrittenForRun(t *testing.T) {
	for _, x := range []struct {
		name string
		do   []string
		want string // of the last output of o: its node and what column a comes from
	}{
		{"a commit", []string{"insert into o select id from t"}, "clean t"},
		{"a reset", []string{"insert into o select id from t", "call dolt_reset('--hard')", "insert into o values (7)"}, "clean -"},
		{"a table that is put back", []string{"insert into o select id from t", "call dolt_checkout('o')", "insert into o values (7)"}, "clean -"},
		{"a table that is made anew", []string{"insert into o select id from t", "drop table o", "create table o (a int)", "insert into o values (7)"}, "clean -"},
		{"a table that is emptied", []string{"insert into o select id from t", "truncate table o", "insert into o values (7)"}, "clean -"},
		{"a stash", []string{"insert into o select id from t", "call dolt_stash('push', 's')", "insert into o values (7)"}, "clean -"},
		{"a change of the schema", []string{"insert into o select id from t", "alter table o add column b int"}, "clean t"},
		{"a table that is renamed and back", []string{"insert into o select id from t", "rename table o to p", "insert into p values (7)", "rename table p to o"}, "clean t"},
		{"another part", []string{"insert into o select id from t", "set @@stemma_run_node = 'last'", "insert into o values (7)"}, "last t"},
		{"a part that has ended", []string{"insert into o select id from t", "call dolt_commit('-am', 'first')", "set @@stemma_run_node = ''", "insert into o values (7)"}, " -"},
		{"a part that ends before the commit", []string{"insert into o select id from t", "set @@stemma_run_node = ''"}, "clean t"},
		{"a commit of nobody", []string{"insert into o select id from t", "set @@stemma_run = ''", "call dolt_commit('-am', 'first')", "set @@stemma_run = 'r'",
			"set @@stemma_run_node = ''", "insert into o values (7)"}, " -"},
		{"an amended commit", []string{"insert into o select id from t", "call dolt_commit('-am', 'first')", "set @@stemma_run_node = ''", "insert into o values (7)",
			"call dolt_commit('--amend', '-am', 'last')"}, " t"},
		{"another branch", []string{"insert into o select id from t", "call dolt_commit('-am', 'first')", "call dolt_branch('b')", "insert into o values (8)",
			"set @@stemma_run_node = ''", "use `db/b`", "insert into o values (7)"}, " -"},
		{"a branch that gets another name", []string{"call dolt_branch('b')", "use `db/b`", "insert into o select id from t", "use `db/main`",
			"call dolt_branch('-m', 'b', 'c')", "set @@stemma_run_node = ''", "use `db/c`", "insert into o values (7)"}, " t"},
		{"a copy of a branch", []string{"insert into o select id from t", "call dolt_branch('-c', 'main', 'c')", "set @@stemma_run_node = ''", "use `db/c`"}, "clean t"},
		{"a branch that gets the name of another", []string{"call dolt_branch('b')", "call dolt_branch('c')", "use `db/b`", "insert into o select id from t",
			"use `db/main`", "call dolt_branch('-f', '-m', 'c', 'b')", "set @@stemma_run_node = ''", "use `db/b`", "insert into o values (7)"}, " -"},
		{"a branch of the name of one that is gone", []string{"call dolt_branch('b')", "use `db/b`", "insert into o select id from t", "use `db/main`",
			"call dolt_branch('-D', 'b')", "call dolt_branch('b')", "set @@stemma_run_node = ''", "use `db/b`", "insert into o values (7)"}, " -"},
		{"a transaction that is undone in part", []string{"start transaction", "savepoint s", "insert into o select id from t", "rollback to s", "insert into o values (7)", "commit"}, "clean -"},
		{"a statement that fails", []string{"start transaction", "insert into o values (1)", "insert into o select id + json_extract('{', '$') from t", "commit"}, "clean -"},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := versioned(t)
			c.exec("create table t (id int primary key)", "insert into t values (1)", "create table o (a int)", "call dolt_commit('-Am', 'tables')")
			c.exec("set @@stemma_run = 'r'", "set @@stemma_run_node = 'clean'")
			for _, q := range x.do {
				if _, err := c.query(q); err != nil != strings.Contains(q, "json_extract") {
					t.Fatalf("%s: %v", q, err)
				}
			}
			if _, err := c.query("call dolt_commit('-am', 'last')"); err != nil && !strings.Contains(err.Error(), "nothing to commit") {
				t.Fatal(err)
			}
			uid, _ := lineage.Named("r")
			outs, err := c.w.repo().Lineage().OutputsOf(t.Context(), uid)
			if err != nil || len(outs) == 0 {
				t.Fatalf("outputs %v, %v", outs, err)
			}
			o := outs[len(outs)-1]
			by, err := o.Origins()
			if err != nil {
				t.Fatal(err)
			}
			got := o.Node + " "
			if from := by["a"]; len(from) == 1 {
				got += from[0].Table
			} else {
				got += strings.Repeat("?", len(from)) + "-"
			}
			if got != x.want {
				t.Errorf("got %q, want %q", got, x.want)
			}
		})
	}
}

// TestRunOriginsOfNestedUnions finds the origins through derived tables of unions of such, whose parts are looked at once.
func TestRunOriginsOfNestedUnions(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create table a (x int, y int, z int, v int)", "create table b (x int, y int, z int, v int)", "insert into a values (1, 2, 3, 4)", "create table o (x int, y int, z int, v int)")
	w.commitFor(runA, "main", "tables")
	from := "select x, y, z, v from a"
	for i := range 14 {
		from = fmt.Sprintf("select x, y, z + 1 z, v from (%s union all select y, x, z, v from b) d%d", from, i)
	}
	d := w.client()
	d.exec("set @@stemma_run = '" + runB + "'")
	begin := time.Now()
	d.exec("insert into o " + from)
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("the statement took %v", took)
	}
	w.commitFor(runB, "main", "written")
	outs, err := w.repo().Lineage().OutputsOf(t.Context(), runB)
	if err != nil || len(outs) != 1 {
		t.Fatalf("outputs %v, %v", outs, err)
	}
	by, err := outs[0].Origins()
	if err != nil {
		t.Fatal(err)
	}
	for column, want := range map[string]string{"x": "a.x I, b.y I", "y": "a.y I, b.x I", "z": "a.z T, b.z T", "v": "a.v I, b.v I"} {
		var got []string
		for _, o := range by[column] {
			got = append(got, o.Table+"."+o.Column+" "+o.Kind[:1])
		}
		slices.Sort(got)
		if g := strings.Join(got, ", "); g != want {
			t.Errorf("%s: %s, want %s", column, g, want)
		}
	}
}
