package engine

import (
	"context"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/repo"
)

const (
	runA = "0190d6f3-7c1e-7b5a-9a53-0d1c2f3a4b5c"
	runB = "0190d6f3-7c1e-7b5a-9a53-0d1c2f3a4b5d"
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
		"insert into u values (1)")
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
