package engine

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
)

// Groups and rows that do not fit into memory come from files, the same and in the same order as from memory.
func TestGroupsInFiles(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	sortTables(t, w, c)
	queries := []string{
		"select num, count(*), sum(id), min(s), max(day) from t group by num",
		"select id, num, s from t group by id",
		"select num % 7 as k, e, count(distinct s), avg(dec2), group_concat(id order by id) from t group by k, e",
		"select ci, count(*) from t group by ci", // equal under the collation, not by bytes
		"select gen, latin, any_value(id) from o group by gen, latin",
		"select day, at6, count(*) from t group by day, at6 having count(*) > 1",
		"select bit3, fl, json_arrayagg(id) from o group by bit3, fl",
		"select doc, count(*) from o group by doc",
		"select g, lb, count(*) from o group by g, lb",
		"select count(*) from (select num, s from t group by num, s) q",
		"select a.num, count(*) from t a join t b on a.num = b.num group by a.num",
		"select num, (select count(*) from o where o.id = t.num group by o.bit3 limit 1) as n from t group by num",
		"select num, row_number() over (order by num) as n from t group by num",
		"select distinct num from t",
		"select distinct ci, e from t",
		"select distinct gen from o order by gen desc, id",
		"select distinct doc, g from o",
		"select distinct s from t order by s desc limit 20 offset 5",
		"select count(*) from (select distinct num, s, ci from t) q",
		"select num from t union select id from o",
		"select num from t union all select id from o union select 3",
		"select s from t union select gen from o order by 1 limit 30",
		"select num from t group by num + 'x'",
		"select 1 from t group by 1/0",
		"select count(*), sum(id) from t",
	}
	if got, err := c.query("select count(distinct s) from t"); err != nil || len(got) < 2 {
		t.Fatalf("%s values, %v: the test does not test", got, err)
	}
	type result struct {
		out string
		err error
	}
	want := make([]result, len(queries))
	w.sortBy(1<<30, 1<<30, 1<<30)
	for i, q := range queries {
		want[i].out, want[i].err = c.query(q)
	}
	for _, memory := range []int{1 << 13, 1 << 16} {
		w.sortBy(1<<30, memory, 1<<30)
		for i, q := range queries {
			got, err := c.query(q)
			if got != want[i].out || fmt.Sprint(err) != fmt.Sprint(want[i].err) {
				t.Errorf("%d bytes: %s: %v\n%s\nwant %v\n%s", memory, q, err, short(got), want[i].err, short(want[i].out))
			}
			if n := w.files(); n > 0 {
				t.Fatalf("%d bytes: %s: %d files are left", memory, q, n)
			}
		}
	}
	// A statement that is canceled, or whose client goes, leaves no files.
	for _, q := range []string{"select id, count(*) from t group by id", "select distinct id, s from t", "select id from t union select id + 1 from t"} {
		for _, canceled := range []bool{false, true} {
			w.sortBy(1<<30, 1<<12, 1<<30)
			parent, cancel := context.WithCancel(context.Background())
			ctx := w.eng.NewContext(parent, c.s)
			_, iter, err := w.eng.Query(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			for range 50 {
				if _, err := iter.Next(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if canceled {
				cancel()
				for err == nil {
					_, err = iter.Next(ctx)
				}
				if !strings.Contains(err.Error(), "cancel") {
					t.Errorf("%s, canceled: %v", q, err)
				}
			}
			iter.Close(ctx) // an error of a canceled statement has been told
			if n := w.files(); n > 0 {
				t.Errorf("%s: %d files are left", q, n)
			}
			cancel()
		}
	}
}

// peakOf is the most that is live after a collection while fn runs, in bytes above what was live before.
func peakOf(fn func()) int64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	live := func() int64 {
		metrics.Read(sample)
		return int64(sample[0].Value.Uint64())
	}
	runtime.GC()
	before, peak := live(), int64(0)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			peak = max(peak, live()-before)
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	fn()
	close(stop)
	<-done
	return peak
}

// Statements with very many groups need no more memory than they are given, more or less. With STEMMA_LONG the groups are ten million
// and the memory is what statements have.
func TestGroupMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes long")
	}
	side, memory := 800, 16<<20
	if os.Getenv("STEMMA_LONG") != "" {
		side, memory = 3163, sortMemory
	}
	w := newWorld(t)
	c := w.client()
	c.exec("create table n (id int primary key)")
	var rows []string
	for i := range side {
		rows = append(rows, fmt.Sprintf("(%d)", i))
	}
	c.exec("insert into n values " + strings.Join(rows, ","))
	for i, q := range []string{
		fmt.Sprintf("select a.id * %d + b.id as k, count(*), sum(b.id) from n a cross join n b group by k", side),
		fmt.Sprintf("select distinct a.id * %d + b.id from n a cross join n b", side),
	} {
		run := func() {
			ctx := w.eng.NewContext(context.Background(), c.s)
			_, iter, err := w.eng.Query(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for ; err == nil; n++ {
				_, err = iter.Next(ctx)
			}
			if n-1 != side*side {
				t.Errorf("%s: %d rows, %v", q, n-1, err)
			}
			if err := iter.Close(ctx); err != nil {
				t.Error(err)
			}
		}
		w.sortBy(fewRows, memory, heapRows)
		bounded := peakOf(run)
		w.sortBy(fewRows, 1<<40, heapRows)
		free := peakOf(run)
		t.Logf("%s: %d MB in files, %d MB in memory", q, bounded>>20, free>>20)
		if bounded > int64(3*memory)+48<<20 {
			t.Errorf("%s: at most %d MB are live", q, bounded>>20)
		}
		if i == 0 && free < bounded*5/4 {
			t.Error("what is in memory takes as little: the test does not test")
		}
	}
}

var _ sql.RowIter = (*groupIter)(nil)

// The number of rows of a table without a key is known, also as of a commit and amid changes, and no row is read for it.
func TestCountIsKnown(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create table k (x int, y int)", "insert into k values (1, null), (2, 2), (2, 2)")
	w.commit("main", "three", time.Unix(1, 0))
	c.exec("insert into k values (3, 3)", "start transaction", "insert into k values (4, 4)", "delete from k where x = 1")
	for _, x := range []struct {
		query, want string
		known       bool
	}{
		{"select count(*) from k", "4", true},
		{"select count(1) from k as a", "4", true},
		{"select count(*), count('x') from k", "4,4", true},
		{"select count(*) from k as of 'HEAD'", "3", true},
		{"select count(*) + 1 as n from k", "5", true},
		{"select count(null) from k", "0", false},
		{"select count(y) from k as of 'HEAD'", "2", false},
		{"select count(*), max(x) from k", "4,4", false},
		{"select count(*) from k where x = 2", "2", false},
		{"select count(distinct x) from k", "3", false},
		{"select count(*) from k a join k b on a.x = b.x", "6", false},
	} {
		if got, err := c.query(x.query); err != nil || got != x.want {
			t.Errorf("%s: %q, %v, want %q", x.query, got, err, x.want)
		}
		ctx := w.eng.NewContext(t.Context(), c.s)
		p, err := w.eng.SQLEngine().AnalyzeQuery(ctx, x.query)
		if err != nil {
			t.Fatal(err)
		}
		groups, known := 0, false
		transform.Inspect(p, func(n sql.Node) bool {
			if g, ok := n.(*plan.GroupBy); ok {
				groups++
				rows, err := counted(ctx, g)
				known = rows != nil && err == nil
			}
			return true
		})
		if groups != 1 || known != x.known {
			t.Errorf("%s: %d groups, known %v", x.query, groups, known)
		}
	}
}
