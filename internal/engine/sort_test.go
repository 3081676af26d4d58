package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/repo"
)

// sorter is the executor that is asked for sorts.
func (w *world) sorter() *executor {
	return w.eng.sqle.Analyzer.ExecBuilder.PriorityBuilder.(*executor)
}

// sortBy makes the engine sort up to few rows, and the sort by keys keep that many bytes in memory.
func (w *world) sortBy(few, memory, heap int) {
	x := w.sorter()
	x.fewRows, x.sortMemory, x.heapRows = few, memory, heap
}

// files is how many files of sorts there are.
func (w *world) files() int {
	w.t.Helper()
	names, err := w.fs.ReadDir(w.repo().TempDir())
	if err != nil {
		w.t.Fatal(err)
	}
	return len(names)
}

const sortColumns = `bit3 bit(3), fl set('x','y','z'), doc json, lb longblob, g point, gen varchar(20) collate utf8mb4_general_ci, latin varchar(20) collate ascii_general_ci`

func sortTables(t *testing.T, w *world, c *client) {
	r := rand.New(rand.NewPCG(1, 2))
	narrowTables(t, w, c, r)
	c.exec("create table o (id int primary key, " + sortColumns + ")")
	var rows []string
	for i := range 300 {
		vals := []string{
			fmt.Sprint(r.IntN(8)), fmt.Sprintf("'%s'", []string{"", "x", "y,x", "z"}[r.IntN(4)]), fmt.Sprintf(`'{"a": %d}'`, r.IntN(9)),
			fmt.Sprintf("repeat('%c', %d)", 'a'+r.IntN(3), 1000+r.IntN(200)), fmt.Sprintf("point(%d, 1)", r.IntN(9)),
			fmt.Sprintf("'%s'", []string{"a", "A", "ä", "b ", "b", "ß", "ss"}[r.IntN(7)]), fmt.Sprintf("'%c'", 'a'+r.IntN(3)),
		}
		for k := range vals {
			if r.IntN(20) == 0 {
				vals[k] = "null"
			}
		}
		rows = append(rows, fmt.Sprintf("(%d, %s)", i, strings.Join(vals, ", ")))
	}
	c.exec("insert into o values " + strings.Join(rows, ", "))
}

// A sort by keys, in memory or by files, gives the rows in the engine's order, whatever the types.
func TestSortAsTheEngine(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	sortTables(t, w, c)
	var queries []string
	for _, col := range strings.Split("id tiny small num big ubig dec2 wide f d day at0 at6 ts s ci fix note e yr tm bin", " ") {
		queries = append(queries, "select * from t order by "+col, fmt.Sprintf("select id, %s from t order by %[1]s desc, pad", col))
	}
	for _, col := range strings.Split("bit3 fl doc lb g gen latin", " ") {
		queries = append(queries, "select * from o order by "+col, fmt.Sprintf("select * from o order by %s desc, id desc", col))
	}
	queries = append(queries,
		"select id, num / 7 as x from t order by x, id desc",
		"select id from t order by num + d, -ubig",
		"select id from t order by num > 3, dec2 * wide",
		"select id from t order by concat(ci, s) desc",
		"select id from t order by case when id % 3 = 0 then num when id % 3 = 1 then s else day end, id", // values of several types
		"select id from t order by if(id % 2, num, null), at6 desc",
		"select id from t order by date(at6), time(at0) desc, year(day)",
		"select id from t order by sqrt(num), id",
		"select id from t order by null",
		"select id from t order by coalesce(num, 'x'), id",
		"select num % 10 as k, count(*), sum(dec2), avg(d) from t group by k order by 3 desc, 2, 1",
		"select distinct e from t order by e desc",
		"select id from (select id, s from t order by ci desc) q order by s, id",
		"select a.id, b.id from o a join o b on a.bit3 = b.bit3 and a.id % 40 = 0 order by b.gen, a.fl, b.id desc",
		"select id from t order by num limit 700",
		"select id, s from t order by ci desc limit 900 offset 100",
		"select json_extract(doc, '$.a') as x, doc, g from o order by gen, id",
		"select (select count(*) from o where o.id < t.id) as n, id from t order by n desc, s",
		"select id from t union select id from o order by 1 desc",
		"select id, row_number() over (order by s) as n from t order by n desc",
	)
	type result struct {
		out string
		err error
	}
	want := make([]result, len(queries))
	w.sortBy(1<<30, 0, 1<<30)
	for i, q := range queries {
		want[i].out, want[i].err = c.query(q)
	}
	for _, memory := range []int{1 << 26, 1 << 14} {
		w.sortBy(0, memory, 10)
		for i, q := range queries {
			got, err := c.query(q)
			if got != want[i].out || fmt.Sprint(err) != fmt.Sprint(want[i].err) {
				t.Errorf("%d bytes: %s: %v\n%s\nwant %v\n%s", memory, q, err, short(got), want[i].err, short(want[i].out))
			}
		}
		if n := w.files(); n > 0 {
			t.Errorf("%d files are left", n)
		}
	}
}

func short(s string) string { return s[:min(len(s), 600)] }

// The files of a sort are there while it is read, and go when it is closed early, fails or has nowhere to write.
func TestSortFiles(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	sortTables(t, w, c)
	w.sortBy(10, 1<<14, 10)
	begin := func(ctx context.Context, q string) (*sql.Context, sql.RowIter) {
		t.Helper()
		sctx := w.eng.NewContext(ctx, c.s)
		_, iter, err := w.eng.Query(sctx, q)
		if err != nil {
			t.Fatal(err)
		}
		return sctx, iter
	}
	ctx, iter := begin(context.Background(), "select * from t order by s, id")
	if _, err := iter.Next(ctx); err != nil {
		t.Fatal(err)
	}
	if n := w.files(); n < 3 {
		t.Errorf("%d files while sorted rows are read", n)
	}
	if err := iter.Close(ctx); err != nil || w.files() > 0 {
		t.Errorf("close: %v, %d files are left", err, w.files())
	}

	canceled, cancel := context.WithCancel(context.Background())
	ctx, iter = begin(canceled, "select * from t order by s, id")
	if _, err := iter.Next(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	var err error
	for err == nil {
		_, err = iter.Next(ctx)
	}
	if !strings.Contains(err.Error(), "cancel") {
		t.Errorf("a canceled sort: %v", err)
	}
	iter.Close(ctx)
	if n := w.files(); n > 0 {
		t.Errorf("%d files are left of a canceled sort", n)
	}

	if _, err := c.query("select * from t order by cast(note as json) , id"); err == nil {
		t.Error("texts are no JSON, and yet they were sorted by it")
	}
	if n := w.files(); n > 0 {
		t.Errorf("%d files are left of a failed sort", n)
	}

	// Beside a database that is open for reading only the files are elsewhere.
	want, err := c.query("select id from t order by s, id")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	w.reopen(repo.Options{ReadOnly: true})
	w.sortBy(10, 1<<14, 10)
	c = w.client()
	if got, err := c.query("select id from t order by s, id"); got != want || err != nil {
		t.Errorf("read-only: %v", err)
	}
}
