package engine

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/transform"

	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/engine/systab"
)

// A query over a table function gives the same rows whether the function reads all columns or those that are named.
func TestPruned(t *testing.T) {
	w := newWorld(t)
	if err := w.eng.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.eng, err = New(context.Background(), Options{FS: w.fs, Dir: dataDir, Registries: registry.Registries{TableFunctions: systab.Functions()}}); err != nil {
		t.Fatal(err)
	}
	c := w.client()
	c.exec("create table t (id int primary key, a varchar(20), b double)", "insert into t values (1, 'x', 1.5), (2, 'y', 2.5), (3, 'z', 3.5)")
	w.commit("main", "one", time.Unix(1, 0))
	c.exec("update t set a = 'w', b = 0 where id = 2", "delete from t where id = 3", "insert into t values (4, null, null)")
	const f = "dolt_diff('HEAD', 'WORKING', 't')"
	c.want("select count(*) from "+f, "3")
	for _, x := range []struct {
		q      string
		pruned bool
	}{
		{"select to_b, from_b, diff_type from " + f, true},
		{"select TO_A from " + f, true},
		{"select d.to_a, concat(d.from_a, '!') from " + f + " d", true},
		{"select diff_type from " + f + " where to_b = 0", true},
		{"select diff_type from " + f + " d where d.from_a > 'x' and to_id is not null", true},
		{"select from_id from " + f + " order by to_a, from_b desc limit 2", true},
		{"select count(*) from " + f, true},
		{"select count(*), max(from_b) from " + f + " group by diff_type order by diff_type", true},
		{"select to_id from " + f + " having to_id > 1", true},
		{"select to_commit, from_commit_date is null from " + f, true},
		{"select * from " + f, false},
		{"select * from " + f + " where to_b = 0", false},
		{"select to_id from " + f + " d where exists (select 1 from t where t.b = d.to_b)", false},
		{"select d.to_id, t.a from " + f + " d join t on t.id = d.to_id", false},
		{"select d.to_id, e.from_a from " + f + " d join " + f + " e on e.to_id = d.to_id", false},
		{"select to_a from " + f + " intersect select from_a from " + f, false},
		{"select x.to_a from (select * from " + f + ") x where x.to_b = 0", false},
	} {
		ctx := w.eng.NewContext(context.Background(), c.s)
		node, err := w.eng.SQLEngine().AnalyzeQuery(ctx, x.q)
		if err != nil {
			t.Fatalf("%s: %v", x.q, err)
		}
		got := false
		transform.Inspect(node, func(n sql.Node) bool {
			out, err := pruned(ctx, n)
			if err != nil {
				t.Fatalf("%s: %v", x.q, err)
			}
			got = got || out != nil
			return true
		})
		if got != x.pruned {
			t.Errorf("%s: pruned %v", x.q, got)
		}
		// The same over a table with the function's rows, which nothing prunes.
		c.exec("drop table if exists rows_of", `create table rows_of (to_id int, to_a varchar(20), to_b double, to_commit text, to_commit_date datetime(6),
			from_id int, from_a varchar(20), from_b double, from_commit text, from_commit_date datetime(6), diff_type text)`, "insert into rows_of select * from "+f)
		want, err := c.query(strings.ReplaceAll(x.q, f, "rows_of"))
		if err != nil {
			t.Fatalf("%s: %v", x.q, err)
		}
		have, err := c.query(x.q)
		if err != nil {
			t.Fatalf("%s: %v", x.q, err)
		}
		if have != want {
			t.Errorf("%s gives\n%s\nwant\n%s", x.q, have, want)
		}
	}
}
