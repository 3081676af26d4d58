package engine

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/catalog"
	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// world is an engine over databases in memory.
type world struct {
	t   *testing.T
	fs  *vfs.Mem
	eng *Engine
}

var dataDir = filepath.Join(string(filepath.Separator), "data")

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, fs: vfs.NewMem()}
	if err := w.fs.MkdirAll(dataDir); err != nil {
		t.Fatal(err)
	}
	w.open(repo.Options{})
	c := w.client()
	c.base = ""
	c.exec("create database db")
	return w
}

func (w *world) open(opt repo.Options) {
	w.t.Helper()
	eng, err := New(context.Background(), Options{FS: w.fs, Dir: dataDir, Repo: opt})
	if err != nil {
		w.t.Fatal(err)
	}
	w.eng = eng
}

// reopen closes the databases and opens them again.
func (w *world) reopen(opt repo.Options) {
	w.t.Helper()
	if err := w.eng.Close(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	w.open(opt)
}

func (w *world) repo() *repo.Repo { return w.repoOf("db") }

func (w *world) repoOf(name string) *repo.Repo {
	w.t.Helper()
	r, _, ok := w.eng.Provider().Lookup(name)
	if !ok {
		w.t.Fatalf("no database %s", name)
	}
	return r
}

// commit makes a version of everything on the branch.
func (w *world) commit(branch, message string, at time.Time) history.CommitID {
	w.t.Helper()
	c, err := w.repo().Commit(context.Background(), repo.CommitOptions{
		Branch: branch, Message: message, AddNew: true, AllowEmpty: true,
		Author: history.Signature{Name: "a", Email: "a@example.com"}, Committer: history.Signature{Name: "a", Email: "a@example.com", Time: at},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return c.ID
}

// client is a session.
type client struct {
	w    *world
	s    *session.Session
	base string // current database at the start
}

func (w *world) client() *client {
	c := &client{w: w, s: w.eng.NewSession(sql.NewBaseSession()), base: "db"}
	c.s.SetCurrentDatabase("db")
	return c
}

func (c *client) query(q string) (string, error) {
	ctx := c.w.eng.NewContext(context.Background(), c.s)
	_, iter, err := c.w.eng.Query(ctx, q)
	if err != nil {
		return "", err
	}
	rows, err := sql.RowIterToRows(ctx, iter)
	if err != nil {
		return "", err
	}
	var out []string
	for _, r := range rows {
		var vals []string
		for _, v := range r {
			v, err := sql.UnwrapAny(ctx, v)
			if err != nil {
				return "", err
			}
			if v == nil {
				v = "NULL"
			}
			vals = append(vals, fmt.Sprint(v))
		}
		out = append(out, strings.Join(vals, ","))
	}
	return strings.Join(out, " "), nil
}

func (c *client) exec(qs ...string) {
	c.w.t.Helper()
	for _, q := range qs {
		if _, err := c.query(q); err != nil {
			c.w.t.Fatalf("%s: %v", q, err)
		}
	}
}

func (c *client) want(q, want string) {
	c.w.t.Helper()
	got, err := c.query(q)
	if err != nil {
		c.w.t.Fatalf("%s: %v", q, err)
	}
	if got != want {
		c.w.t.Fatalf("%s: got %q, want %q", q, got, want)
	}
}

func (c *client) fails(q, with string) {
	c.w.t.Helper()
	got, err := c.query(q)
	if err == nil {
		c.w.t.Fatalf("%s: no error but %q", q, got)
	}
	if !strings.Contains(err.Error(), with) {
		c.w.t.Fatalf("%s: error %q does not mention %q", q, err, with)
	}
}

func TestDataSurvivesReopening(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create table t (id int primary key auto_increment, s varchar(20), unique key (s))",
		"insert into t (s) values ('a'), ('b')", "update t set s = 'c' where id = 2")
	w.reopen(repo.Options{})
	c = w.client()
	c.want("select * from t", "1,a 2,c")
	c.exec("insert into t (s) values ('d')")
	c.want("select id from t where s = 'd'", "3")
	c.fails("insert into t (s) values ('c')", "duplicate")
	w.reopen(repo.Options{ReadOnly: true})
	c = w.client()
	c.want("select count(*) from t", "3")
	c.fails("insert into t (s) values ('e')", "read")
	c.fails("create table u (i int)", "read-only")
	c.fails("create database other", "create database other")
}

func TestRevisions(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	day := func(n int) time.Time { return time.Date(2021, 3, n, 12, 0, 0, 0, time.UTC) }
	c.exec("create table t (i int primary key)", "insert into t values (1)")
	first := w.commit("main", "one", day(1))
	ctx := context.Background()
	if err := w.repo().CreateBranch(ctx, "new", first, false); err != nil {
		t.Fatal(err)
	}
	if err := w.repo().CreateTag(ctx, "v1", history.Tag{Commit: first, Message: "m"}, false); err != nil {
		t.Fatal(err)
	}
	c.exec("insert into t values (2)")
	second := w.commit("main", "two", day(3))
	c.exec("insert into t values (3)", "insert into `db/new`.t values (10)")

	c.want("select * from t", "1 2 3")
	c.want("select * from t as of 'main'", "1 2")
	c.want("select * from t as of 'HEAD~1'", "1")
	c.want("select * from t as of 'v1'", "1")
	c.want(fmt.Sprintf("select * from t as of '%s'", second), "1 2")
	c.want(fmt.Sprintf("select * from t as of '%s'", second.String()[:8]), "1 2")
	c.want("select * from t as of '2021-03-02'", "1")
	c.want("select * from t as of timestamp('2021-03-04 00:00:00')", "1 2")
	c.want("show tables as of 'v1'", "t")
	c.want("select * from `db/new`.t", "1 10")
	c.want("select * from `db@new`.t", "1 10")
	c.want("select * from `db@v1`.t", "1")
	// The name of a branch is its working set, whichever sign is before it; all other refs are commits.
	c.exec("insert into `db@new`.t values (11)")
	c.want("select * from `db/new`.t", "1 10 11")
	c.want("select * from t as of 'new'", "1")
	c.want("select * from `db@new~0`.t", "1")
	for _, ref := range []string{"v1", "new~0", "HEAD", first.String(), first.String()[:8]} {
		for _, sign := range []string{"@", "/"} {
			c.fails("insert into `db"+sign+ref+"`.t values (7)", "read-only")
		}
	}
	c.exec("delete from `db@new`.t where i = 11")
	c.fails("select * from t as of 'nothing'", "not found")
	c.want("select a.i, b.i from t as of 'v1' a join t b on b.i = a.i", "1,1")

	c.want("select @@db_head_ref, @@db_head", "refs/heads/main,"+second.String())
	c.exec("use `db/new`")
	c.want("select * from t", "1 10")
	c.exec("use db", "set @@db_head_ref = 'refs/heads/new'")
	c.want("select * from t", "1 10")
	c.exec("set @@db_head = '" + first.String() + "'")
	c.want("select * from t", "1")
	c.fails("delete from t", "read-only")
	c.exec("set @@db_head_ref = 'main'")
	c.want("select * from t", "1 2 3")
	// Where a branch without changes is already, the session stays on it: so did the plugins that set the head to their own commit.
	third := w.commit("main", "third", day(9))
	c.exec("set @@db_head = '" + first.String() + "'")
	c.want("select @@db_head_ref", "")
	c.exec("set @@db_head = '" + third.String() + "'")
	c.want("select @@db_head_ref", "refs/heads/main")
	c.exec("insert into t values (4)")
	c.want("select * from t", "1 2 3 4")
	c.fails("set @@db_head_ref = 'nwe'", "new")
}

func TestNamesOfDatabases(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create database `a-b`", "use a_b", "create table t (i int)")
	c.want("show tables from `a-b`", "t")
	c.fails("create database `../x`", "cannot be the name")
	c.exec("drop database a_b")
	c.fails("use `a-b`", "not found")
	if names, err := w.fs.ReadDir(dataDir); err != nil || !slices.Equal(names, []string{catalog.DroppedDir, "db"}) {
		t.Fatalf("left in the directory: %v, %v", names, err)
	}
}

func TestKeylessTablesKeepTheirOrder(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create table t (a int, b text)", "insert into t values (3,'x'),(1,'y'),(3,'x'),(2,repeat('z',5000))")
	c.exec("delete from t where a = 3 limit 1", "update t set a = 9 where a = 1")
	c.want("select a, length(b) from t", "9,1 3,1 2,5000")
	c.exec("delete from t where length(b) = 5000")
	c.want("select a from t", "9 3")
	c.exec("alter table t add column c int default 7 first")
	c.want("select c, a from t", "7,9 7,3")
	c.exec("alter table t add primary key (a)")
	c.want("select a from t", "3 9")
}

func TestAddColumnChangesTheSchemaOnly(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create table t (i int primary key)", "insert into t values (1),(2)")
	rows := func() string {
		t.Helper()
		work, err := w.repo().Fold(context.Background(), "main")
		if err != nil {
			t.Fatal(err)
		}
		v, _, ok, err := w.repo().SnapshotRoot(work.Working).Table(context.Background(), "t")
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		return v.Table.Rows.Hash.String()
	}
	before := rows()
	c.exec("alter table t add column s varchar(10) not null default 'd'", "alter table t add column n int", "alter table t add column z int not null")
	if after := rows(); after != before {
		t.Fatal("the rows were written anew")
	}
	c.want("select * from t where s = 'd'", "1,d,NULL,0 2,d,NULL,0")
	c.exec("alter table t rename column s to r")
	if after := rows(); after != before {
		t.Fatal("the rows were written anew by the renaming")
	}
	c.want("select r from t", "d d")
}

func TestStatementsThatFailLeaveNothing(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create table t (i int primary key, s varchar(10))", "insert into t values (1,'a'),(2,'a')")
	c.fails("insert into t values (3,'b'),(1,'b')", "duplicate")
	c.want("select count(*) from t", "2")
	c.fails("alter table t add column n int, add unique index (s)", "duplicate")
	c.want("select * from t", "1,a 2,a")
	c.exec("insert into t values (3,'c')")
	c.want("show columns from t", "i,int,NO,PRI,NULL, s,varchar(10),YES,,NULL,")

	c.exec("start transaction", "insert into t values (4,'d')")
	c.fails("alter table t add column n int, add unique index (s)", "duplicate")
	c.want("select * from t where i > 2", "3,c 4,d")
	c.exec("rollback")
	c.want("select count(*) from t", "3")
}

func TestTransactions(t *testing.T) {
	w := newWorld(t)
	a, b := w.client(), w.client()
	a.exec("create table t (i int primary key, x int, y int)", "insert into t values (1,0,0),(2,0,0)")
	a.exec("start transaction")
	b.exec("start transaction")
	a.exec("update t set x = 1 where i = 1")
	b.exec("update t set y = 1 where i = 1")
	b.want("select * from t where i = 1", "1,0,1")
	a.exec("commit")
	b.exec("commit") // other columns of the same row
	a.want("select * from t where i = 1", "1,1,1")

	a.exec("start transaction")
	b.exec("start transaction")
	a.exec("update t set x = 5 where i = 2")
	b.exec("update t set x = 6 where i = 2")
	a.exec("commit")
	_, err := b.query("commit")
	if !sql.ErrLockDeadlock.Is(err) {
		t.Fatalf("a lost update gives %v", err)
	}
	b.want("select * from t where i = 2", "2,5,0")

	a.exec("start transaction", "delete from t where i = 1", "savepoint s", "insert into t values (7,7,7)", "rollback to savepoint s")
	a.want("select i from t", "2")
	a.exec("rollback")
	a.want("select i from t", "1 2")
	a.exec("set autocommit = 0", "insert into t values (8,8,8)")
	b.want("select i from t", "1 2")
	a.exec("commit")
	b.want("select i from t", "1 2 8")
}

func TestTemporaryTables(t *testing.T) {
	w := newWorld(t)
	a, b := w.client(), w.client()
	a.exec("create table t (i int)", "insert into t values (1)")
	a.exec("create temporary table t (i int primary key)", "insert into t values (5)")
	a.want("select * from t", "5")
	b.want("select * from t", "1")
	a.exec("drop table t")
	a.want("select * from t", "1")
}

func TestIndexesAreUsed(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create table t (i int primary key, a int, b varchar(20) collate utf8mb4_0900_ai_ci, key ab (a, b), unique key (b))")
	for n := range 50 {
		c.exec(fmt.Sprintf("insert into t values (%d, %d, 'v%d')", n, n%7, n))
	}
	for _, ab := range []string{"", "analyze"} {
		if ab != "" { // the same from trees
			if _, err := w.repo().Fold(context.Background(), "main"); err != nil {
				t.Fatal(err)
			}
		}
		c.want("select i from t where i between 3 and 5", "3 4 5")
		c.want("select i from t where i > 46 order by i desc", "49 48 47")
		c.want("select i from t where a = 3 and b < 'v20' order by b", "10 17")
		c.want("select b from t where b in ('V7', 'v8') order by b", "v7 v8")
		c.want("select a, b from t where a = 6 order by a desc, b desc limit 2", "6,v6 6,v48")
		c.want("select i from t where a = 2 and b >= 'v3' order by i", "9 30 37 44")
		c.want("select count(*) from t", "50")
		c.want("select max(i), min(i) from t", "49,0")
	}
	for _, how := range []string{"explain format=tree", "explain", "describe", "explain analyze", "explain plan"} {
		got, err := c.query(how + " select i from t where a = 3")
		if err != nil || !strings.Contains(got, "IndexedTableAccess(t)") {
			t.Errorf("%s: %s, %v", how, got, err)
		}
	}
}

// TestManySessions is for the race detector: sessions share what is known of a table while some of them alter it.
func TestManySessions(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create table t (i int primary key, n int default 1, s varchar(20), key (s))", "create table n (i int primary key, v int)", "insert into n values (1,0)")
	var done sync.WaitGroup
	for g := range 4 {
		done.Add(1)
		go func() {
			defer done.Done()
			c := w.client()
			for n := range 30 {
				qs := []string{
					fmt.Sprintf("insert into t (i, s) values (%d, 'v%d')", g*1000+n, n),
					"select count(*) from t where s = 'v3'",
					"update n set v = v + 1 where i = 1",
					"select * from t where i = 1002",
				}
				if g == 0 && n%10 == 5 {
					qs = append(qs, fmt.Sprintf("alter table t alter column n set default %d", n))
				}
				for _, q := range qs {
					for {
						_, err := c.query(q)
						if err == nil {
							break
						}
						if !sql.ErrLockDeadlock.Is(err) {
							t.Errorf("%s: %v", q, err)
							return
						}
					}
				}
			}
		}()
	}
	done.Wait()
	c.want("select v from n", "120")
	c.want("select count(*) from t", "120")
}

func benchWorld(b *testing.B, rows int) *client {
	t := &testing.T{}
	w := newWorld(t)
	c := w.client()
	c.exec("create table t (i int primary key, a int, f double, s varchar(20))")
	for n := 0; n < rows; n += 1000 {
		var vals []string
		for k := n; k < n+1000; k++ {
			vals = append(vals, fmt.Sprintf("(%d,%d,%d.5,'name %d')", k, k%97, k, k))
		}
		c.exec("insert into t values " + strings.Join(vals, ","))
	}
	if _, err := w.repo().Fold(context.Background(), "main"); err != nil {
		b.Fatal(err)
	}
	return c
}

func BenchmarkPointSelect(b *testing.B) {
	c := benchWorld(b, 20000)
	for i := 0; b.Loop(); i++ {
		if _, err := c.query(fmt.Sprintf("select s from t where i = %d", i%20000)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInsertOneRow(b *testing.B) {
	c := benchWorld(b, 1000)
	for i := 0; b.Loop(); i++ {
		if _, err := c.query(fmt.Sprintf("insert into t values (%d, 1, 1.5, 'x')", 1_000_000+i)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScan(b *testing.B) {
	c := benchWorld(b, 20000)
	for b.Loop() {
		ctx := c.w.eng.NewContext(context.Background(), c.s)
		_, iter, err := c.w.eng.Query(ctx, "select * from t")
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for {
			if _, err = iter.Next(ctx); err != nil {
				break
			}
			n++
		}
		if err != io.EOF {
			b.Fatal(err)
		}
		if err := iter.Close(ctx); err != nil || n != 20000 {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(20000*b.N)/b.Elapsed().Seconds(), "rows/s")
}

// A column of a key does not become one that a key can only have a part of.
func TestKeyColumnsStayShort(t *testing.T) {
	c := newWorld(t).client()
	c.exec("create table t (k varchar(20) primary key, a varchar(20), b varchar(20), c varchar(20), key by_a (a), key by_b (b(5)), unique key by_c (c))", "insert into t values ('k', 'a', 'b', 'c')")
	for _, q := range []string{"alter table t modify k text not null", "alter table t modify k blob not null", "alter table t modify a text"} {
		c.fails(q, "used in key specification without a key length")
	}
	c.fails("alter table t modify a json", "JSON column 'a' supports indexing only")
	c.exec("alter table t modify b text", "alter table t modify c text", "alter table t modify a varchar(30)")
	c.want("select k, a, b, c from t where a = 'a'", "k,a,b,c")
	c.exec("alter table t drop index by_a", "alter table t modify a text")
	c.want("select k, a, b, c from t where a = 'a'", "k,a,b,c")
}

// An expression that is indexed may give a text of any length, of which no prefix can be named.
func TestIndexOnLongExpression(t *testing.T) {
	c := newWorld(t).client()
	long := strings.Repeat("x", 5000)
	c.exec("create table t (id int primary key, doc json)", `insert into t values (1, '{"kind": "a"}'), (2, '{"kind": "b"}'), (3, '{"kind": "`+long+`"}')`)
	const kind = "json_unquote(json_extract(doc, '$.kind'))"
	c.exec("create index by_kind on t (("+kind+"))", `insert into t values (4, '{"kind": "a"}')`)
	c.want("select id from t where "+kind+" = 'a' order by id", "1 4")
	c.want("select id from t where "+kind+" = '"+long+"'", "3")
	c.fails("create index by_doc on t ((json_extract(doc, '$.kind')))", "used in key specification without a key length")
}
