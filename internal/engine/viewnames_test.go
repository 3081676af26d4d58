package engine

import (
	"testing"
	"time"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/errs"
)

// Where a rule says that the views are those of another ref, their names are not free for tables, in whatever way these are made, and those of views that are
// hidden by the rule are. A rule about a ref that is none makes no name taken.
func TestNamesOfNonlocalViews(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create table t (i int primary key)", "create view hidden as select 1 as x")
	w.commit("main", "one", time.Unix(1, 0))
	head, _ := w.repo().BranchHead("main")
	if err := w.repo().CreateBranch(t.Context(), "b", head, false); err != nil {
		t.Fatal(err)
	}
	c.exec("use `db/b`", "create view elsewhere as select 2 as x", "use db", "insert into dolt_nonlocal_tables values ('dolt_schemas', 'b', '', 'immediate')")
	made := func(name string) error {
		tx, err := w.repo().Begin(t.Context(), "main")
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		v, _, _, err := tx.Table(t.Context(), "t")
		if err != nil {
			t.Fatal(err)
		}
		return tx.CreateTable(t.Context(), name, v.Schema().Schema)
	}
	c.want("select x from elsewhere", "2")
	for _, q := range []string{"create table Elsewhere (i int)", "rename table t to elsewhere", "create table elsewhere as select 1 as one"} {
		if _, err := c.query(q); !sql.ErrTableAlreadyExists.Is(err) {
			t.Errorf("%s: %v", q, err)
		}
	}
	if err := made("elsewhere"); !errs.Is(err, errs.Exists) {
		t.Errorf("a table was made under the name of a view of another ref: %v", err)
	}
	c.exec("use `db/b`", "drop view hidden", "use db") // which the branch has, too
	if err := made("hidden"); err != nil {
		t.Errorf("a table under the name of a view that is hidden: %v", err)
	}
	c.exec("create table hidden (i int)", "drop table hidden")
	for _, ref := range []string{"none", "no/such"} {
		c.exec("update dolt_nonlocal_tables set target_ref = '" + ref + "'")
		if err := made("elsewhere"); err != nil {
			t.Errorf("with a rule about %s: %v", ref, err)
		}
	}
	c.exec("update dolt_nonlocal_tables set target_ref = 'main'")
	if err := made("hidden"); !errs.Is(err, errs.Exists) {
		t.Errorf("with a rule about the branch itself: %v", err)
	}
	c.exec("delete from dolt_nonlocal_tables")
	if err := made("hidden"); !errs.Is(err, errs.Exists) {
		t.Errorf("without the rule: %v", err)
	}
}
