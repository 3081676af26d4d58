package engine

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/engine/catalog"
	"github.com/stemmadb/stemma/internal/repo"
)

func TestViewsAreVersioned(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	day := func(n int) time.Time { return time.Date(2021, 3, n, 12, 0, 0, 0, time.UTC) }
	c.exec("create table t (i int primary key, s varchar(10))", "insert into t values (1, 'a')")
	w.commit("main", "one", day(1))
	c.exec("create view v as select i, s from t where i < 10", "insert into t values (2, 'b')")
	c.want("select * from v", "1,a 2,b")
	c.want("select type, name, fragment, extra from dolt_schemas", "view,v,create view v as select i, s from t where i < 10,NULL")
	w.commit("main", "two", day(2))
	c.exec("create or replace view V as select i * 10 as j from t", "insert into t values (3, 'c')")
	c.want("select * from v", "10 20 30")
	w.commit("main", "three", day(3))
	c.exec("drop view v")
	c.fails("select * from v", "not found")
	c.want("select * from dolt_schemas", "")
	w.commit("main", "four", day(4))

	// AS OF is the view as it was, over its tables as they were, however it is said.
	c.want("select * from v as of 'HEAD~2'", "1,a 2,b")
	c.want("select * from v as of 'HEAD~1'", "10 20 30")
	c.fails("select * from v as of 'HEAD~3'", "not found")
	c.fails("select * from v as of 'nothing'", "not found")
	c.want("select * from v as of '2021-03-02 13:00:00'", "1,a 2,b")
	c.want("select * from v as of timestamp('2021-03-03 13:00:00')", "10 20 30")
	c.want("select x.i, y.j from v as of 'HEAD~2' x join v as of 'HEAD~1' y on y.j = x.i * 10 where x.i in (select i from v as of 'HEAD~2')", "1,10 2,20")
	c.exec("set @r = 'HEAD~2'")
	c.want("select * from v as of @r", "1,a 2,b")
	c.want("with w as (select * from v as of 'HEAD~1') select * from w", "10 20 30")
	c.exec("create table copied as select * from v as of 'HEAD~2'")
	c.want("select * from copied", "1,a 2,b")
	c.want("show tables as of 'HEAD~2'", "t v")
	c.want("show full tables", "copied,BASE TABLE t,BASE TABLE")
	c.want("select * from `db/HEAD~1`.v", "10 20 30")

	// A view that came later reads older tables.
	c.exec("create view later as select count(*) as n from t", "create view beyond as select n + 100 as m from later")
	c.want("select * from later as of 'HEAD~3'", "1")
	c.want("select * from beyond as of 'HEAD~2'", "102")
	c.want("select n, (select m from beyond as of 'HEAD~1') from later", "3,103")
	c.exec("set @r = 'HEAD~3', @s = 'HEAD~2'", "prepare p from 'select m, i from beyond as of ? join t as of ?'")
	c.want("execute p using @s, @r", "102,1")
	c.want("execute p using @r, @s", "101,1 101,2")
	w.reopen(repo.Options{})
	c = w.client()
	c.want("select * from beyond", "103")
}

func TestViewsOfBranches(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create table t (i int primary key)", "insert into t values (1)", "create view v as select * from db.t where db.t.i > 0")
	head := w.commit("main", "one", time.Date(2021, 3, 1, 0, 0, 0, 0, time.UTC))
	if err := w.repo().CreateBranch(t.Context(), "dev", head, false); err != nil {
		t.Fatal(err)
	}
	c.exec("insert into `db/dev`.t values (2)", "insert into t values (3)", "create view `db/dev`.w as select i + 1 as k from t")
	c.want("select * from v", "1 3")
	// A view of a branch reads the branch, even where it names its database.
	c.want("select * from `db/dev`.v", "1 2")
	c.want("select * from `db/dev`.w", "2 3")
	c.want("select * from `db@main~0`.v", "1")
	c.fails("select * from w", "not found")
	c.fails("create view `db@main~0`.x as select 1", "cannot be written")
	c.fails("drop view `db@main~0`.v", "cannot be written")
	c.exec("use `db/dev`")
	c.want("select * from w order by k desc", "3 2")
	c.exec("use db")

	c.exec("create database other", "create table other.t (i int)", "insert into other.t values (50)")
	// Names without a database are those of the database that the view was made in.
	c.exec("create view other.here as select * from t", "use other", "create view there as select * from t")
	c.want("select * from here", "1 3")
	c.want("select * from other.there", "50")
	c.want("select * from db.v", "1 3")
	c.exec("create view joined as select a.i from db.v a join here b on a.i = b.i")
	c.want("select * from joined", "1 3")
	c.want("select table_name, column_name from information_schema.columns where table_schema = 'db' and table_name = 'v'", "v,i")
	c.want("select table_name, view_definition from information_schema.views where table_schema = 'db'", "v,select * from db.t where db.t.i > 0")
}

func TestNamesOfViews(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create table t (i int primary key)", "insert into t values (1)", "create view v as select 7 as x")
	c.fails("create table v (i int)", "already exists")
	c.fails("create table V as select 1 as one", "already exists")
	c.exec("create table if not exists v (i int)")
	c.fails("create view T as select 1", "already exists")
	c.fails("create view v as select 1", "already exists")
	c.fails("create view V as select 1", "already exists")
	c.fails("rename table t to v", "already exists")
	c.fails("rename table v to t", "already exists")
	c.fails("alter table v add column a int", "v")
	c.fails("insert into v values (1)", "insert")
	c.fails("drop view t", "does not exist")
	c.fails("drop table v", "Unknown table 'v'")
	c.exec("create view up as select * from t", "create table kept (i int primary key)")
	c.fails("drop table up", "Unknown table 'up'")
	c.fails("drop table up, kept", "Unknown table 'up'")
	c.fails("drop table kept, up", "Unknown table 'up'")
	c.want("show tables", "kept t up v")
	c.exec("drop table if exists up", "drop view up", "drop table kept")
	c.fails("create view dolt_x as select 1", "system tables")
	c.fails("create view stemma_x as select 1", "system tables")
	c.fails("create table dolt_schemas (i int)", "system tables")
	c.fails("create view c (a, b) as select 1", "column")
	c.fails("create view x as select 2, v from nowhere", "not found")
	c.exec("drop view if exists nothing", "create view if not exists v as select 8 as x", "rename table v to w")
	c.want("select w.x from w", "7")
	c.want("show tables", "t w")
	c.want("select fragment from dolt_schemas", "CREATE VIEW `w` AS select 7 as x")
	c.exec("create or replace view w as select 9 as x")
	c.want("select * from w", "9")
	c.exec("create view cols (a, b) as select i, i + 1 from t")
	c.want("select b, a from cols", "2,1")
	c.want("show create view cols", "cols,CREATE VIEW `cols` AS select i, i + 1 from t,utf8mb4,utf8mb4_0900_bin")
	c.exec("create temporary table w (y int)", "insert into w values (4)")
	c.want("select * from w", "4")
	c.exec("drop table w")
	c.want("select * from w", "9")
	c.exec("create view `café` as select 1 as x")
	c.fails("create view cafe as select 2 as x", "café")
	c.fails("select * from cafe", "not found")
	c.want("select * from `CAFÉ`", "1")

	// A view of what is gone says so, and does not keep others from being listed.
	c.exec("create view gone as select i from t", "alter table t rename column i to k")
	c.fails("select * from gone", "gone")
	c.want("select table_name from information_schema.tables where table_schema = 'db' and table_type = 'VIEW' order by 1", "café cols gone w")
	c.want("select count(*) from information_schema.columns where table_schema = 'db' and table_name = 'w'", "1")
	c.want("show full tables like 'w'", "w,VIEW")

	// The rows of dolt_schemas are views, whoever writes them.
	c.exec("insert into dolt_schemas values ('view', 'mine', 'create view mine as select 5 as x', null, null), ('view', 'broken', 'not sql', null, null), ('trigger', 'x', 'nothing', null, null)")
	c.want("select * from mine", "5")
	c.fails("select * from broken", "broken")
	c.want("select count(*) from information_schema.views where table_schema = 'db'", "3")
	c.exec("drop view mine, broken")
	c.want("select count(*) from dolt_schemas where type = 'view'", "4")
}

// Views that name one another are refused, and cannot be read where they have come about otherwise.
func TestRecursionOfViews(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create table t (i int primary key)", "insert into t values (1)", "create view a as select * from t", "create view b as select * from a")
	c.fails("create or replace view a as select * from a", "`db`.`a` contains view recursion")
	c.fails("create or replace view a as select * from db.b", "contains view recursion")
	c.fails("create or replace view a as select 1 as i where 1 in (select i from b)", "contains view recursion")
	c.want("select * from b", "1")
	c.exec("create or replace view a as with a as (select 5 as i) select * from a")
	c.want("select * from b", "5")
	c.exec("update dolt_schemas set fragment = 'create view a as select x.i from b x join b y' where name = 'a'")
	c.fails("select * from b", "contains view recursion")
	c.fails("select * from t join a on t.i = a.i", "contains view recursion")
	c.want("select table_name from information_schema.tables where table_schema = 'db' and table_type = 'VIEW' order by 1", "a b")
	c.want("select count(*) from information_schema.views where table_schema = 'db'", "0")
	c.exec("create or replace view a as select * from t")
	// Many views within one another, and many selects beside one another, are none.
	for i := range 50 {
		from := "b"
		if i > 0 {
			from = fmt.Sprint("v", i-1)
		}
		c.exec(fmt.Sprintf("create view v%d as select * from %s", i, from))
	}
	c.want("select count(*) from v49", "1")
	c.want("select count(*) from ("+strings.Repeat("select i from v9 union all ", 200)+"select i from b) x", "201")
}

// No statement reaches the tables below a view to change them.
func TestNothingIsWrittenThroughViews(t *testing.T) {
	for _, query := range []string{
		"select * from t", "select i, s from t where i = 1", "select t.i, t.s from t join u on t.i = u.i", "select * from (select * from t) x",
		"with x as (select * from t) select * from x", "select * from t union all select * from t",
	} {
		w := newWorld(t)
		c := w.client()
		c.exec("create table t (i int primary key, s varchar(10))", "insert into t values (1, 'a'), (2, 'b')", "create table u (i int primary key)", "insert into u values (1)",
			"create view p as "+query, "create view below as select * from p")
		for _, name := range []string{"p", "db.p", "below"} {
			c.fails("truncate "+name, "is not BASE TABLE")
			for _, statement := range []string{
				"delete from %s", "delete from %s where i = 1", "delete from %s order by i limit 1", "delete x from %s x join u on x.i = u.i", "delete t from %s x",
				"update %s set s = 'z'", "update %s x join u on x.i = u.i set x.s = 'z'", "update u join %s x on x.i = u.i set x.s = 'z'",
				"insert into %s values (9, 'z')", "replace into %s values (1, 'z')", "alter table %s add column z int", "alter table %s drop column s", "alter table %s rename to q",
				"drop table %s", "create index ix on %s (s)", "analyze table %s", "create trigger g before insert on %s for each row set @x = 1",
			} {
				c.fails(fmt.Sprintf(statement, name), "")
			}
			c.want("select * from t", "1,a 2,b")
			c.want("select * from u", "1")
		}
		c.exec("truncate t")
		c.want("select * from t", "")
		if err := w.eng.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// The mark that the catalog puts in front of a view's statement, which asks for no privilege to make the view, is only believed of the catalog.
func TestMarksOfViewsCannotBeForged(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create database other", "create view v as select 1 as x")
	for _, mark := range []string{
		base64.StdEncoding.EncodeToString([]byte(`{"view":"other","database":"other"}`)),
		"AAAA " + base64.StdEncoding.EncodeToString([]byte(`{"view":"other","database":"other"}`)),
		" ", "",
	} {
		c.exec("/*read view " + mark + "*/ create or replace view forged as select 2 as x")
		c.want("select count(*) from other.dolt_schemas", "0")
		c.want("select * from forged", "2")
	}
	ctx := w.eng.NewContext(t.Context(), c.s)
	db, err := w.eng.Provider().Database(ctx, "db")
	if err != nil {
		t.Fatal(err)
	}
	def, ok, err := db.(sql.ViewDatabase).GetViewDefinition(ctx, "v")
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	marked := def.CreateViewStatement
	if catalog.ReadingOf(marked) == nil || catalog.ReadingOf(marked+" ") != nil {
		t.Fatal(marked)
	}
	c.exec("drop view v")
	c.fails(marked, "unsupported")
	c.want("select name from dolt_schemas", "forged")
}

// A statement that names databases renames there, whatever the current one is, and a view that is renamed stays as it was made.
func TestRenamesNameDatabases(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create database other", "create table t (i int primary key)", "insert into t values (1)", "create table other.t (i int primary key)", "insert into other.t values (2)",
		"create view v as select i from db.t", "create view other.v as select 5 as x")
	c.exec("use other", "rename table db.t to db.t2")
	c.want("show tables from db", "t2 v")
	c.want("show tables from other", "t v")
	c.exec("rename table db.t2 to db.t3, db.t3 to db.t", "rename table db.v to db.w", "rename table t to other.u, u to t", "alter table db.t rename to db.t4", "alter table db.t4 add column k int, rename to t",
		"alter table db.t rename to t5, add column m int, drop column k", "alter table db.t5 rename column m to o, rename as t, add index (o)")
	c.want("select column_name from information_schema.columns where table_schema = 'db' and table_name = 't'", "i o")
	c.exec("alter table db.t drop index o, drop column o, add column k int")
	c.want("show tables from db", "t w")
	c.want("show tables from other", "t v")
	c.want("select * from db.w", "1")
	c.want("select * from db.t", "1,NULL")
	c.want("select * from t", "2")
	c.fails("rename table db.t to t5", "another database")
	c.fails("rename table t to db.t5", "another database")
	c.fails("alter table t rename db.t5", "another database")
	c.fails("rename table db.t to db.t5, t to t5", "one database")
	c.fails("rename table nowhere.t to nowhere.u", "not found")
	c.fails("rename table db.w to db.t", "already exists")
	c.want("show tables from db", "t w")
	c.want("show tables from other", "t v")

	c.exec("drop view db.w", "create view db.made as select i from t", "set sql_mode = 'ANSI_QUOTES'", `create view db.quoted as select "i" from "t"`, "set sql_mode = ''", "use db",
		"rename table made to made2", "rename table quoted to quoted2")
	c.want("select * from made2", "2")
	c.want("select * from quoted2", "2")
	c.want("select name, fragment, extra->>'$.database', sql_mode like '%ANSI_QUOTES%' from dolt_schemas", "made2,CREATE VIEW `made2` AS select i from t,other,false quoted2,CREATE VIEW `quoted2` AS select \"i\" from \"t\",other,true")
	// What a clone calls its database by another name is called so yet.
	c.exec("insert into dolt_schemas values ('view', 'cloned', 'create view cloned as select t.i from olddb.t', '{\"self\":\"olddb\"}', '')", "rename table cloned to cloned2")
	c.want("select * from cloned2", "1")
}

func TestCheckOptionsOfViews(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create table t (i int primary key)", "insert into t values (1)", "create table `with` (x int primary key)", "insert into `with` values (3)")
	for i, x := range []struct{ query, behind string }{
		{"select i from t where i < 5", " with check option"},
		{"select i from t where i < 5", " WITH /* x */ cascaded /* y */ check option;"},
		{"select i from t where i < 5 /* x */", "with -- hello\n check option"},
		{"select i from t where i < 5 -- hello", "\n with check option"},
		{"(select i from t)", " with check option"},
		{"select i from t union select i from t", " with check option"},
	} {
		for _, create := range []string{"create or replace view v%d as ", "create view db.w%d as ", "create view x%d as "} {
			c.exec(fmt.Sprintf(create, i) + x.query + x.behind)
		}
		for _, v := range []string{"v", "w", "x"} {
			name := fmt.Sprint(v, i)
			c.want("select * from "+name, "1")
			c.want("select view_definition from information_schema.views where table_name = '"+name+"'", x.query)
			c.exec("rename table " + name + " to renamed")
			c.want("select * from renamed", "1")
			c.exec("drop view renamed")
		}
	}
	c.exec("create or replace view v as select 'with'", "create or replace view w as select x from `with`")
	c.want("select * from v, w", "with,3")
}

func TestAsOfQuotedNames(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create table t (i int primary key)", "insert into t values (1)", "create view v as select i from t")
	head := w.commit("main", "one", time.Date(2021, 3, 1, 0, 0, 0, 0, time.UTC))
	for _, branch := range []string{"my-b", "order", "plain", "a.b"} {
		if err := w.repo().CreateBranch(t.Context(), branch, head, false); err != nil {
			t.Fatal(err)
		}
	}
	c.exec("insert into t values (2)")
	for _, of := range []string{"`my-b`", "`order`", "plain", "`plain`", "`a.b`", "'my-b'"} {
		c.want("select * from t as of "+of, "1")
		c.want("select * from v as of "+of, "1")
	}
}

// What is wrong with dolt_schemas keeps nobody from the tables.
func TestTablesBesideWrongViews(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create table t (i int primary key)", "insert into t values (1)", "create view v as select i from t")
	for _, change := range []string{
		"drop column extra", "rename column extra to other", "modify column fragment int", "add column x int", "add column x int not null default 3", "drop primary key",
		"add index (sql_mode)", "rename column name to k, add column y int",
	} {
		c.fails("alter table dolt_schemas "+change, "cannot be altered")
	}
	c.fails("create index k on dolt_schemas (sql_mode)", "cannot be altered")
	c.want("select * from v", "1")
	for _, rule := range []string{"'nosuch', ''", "'main', 't'", "'main', 'nothing'"} {
		c.exec("insert into dolt_nonlocal_tables values ('dolt_schemas', "+rule+", 'immediate')", "insert into t values (2)", "create table made (i int primary key)")
		c.want("select * from t", "1 2")
		c.want("select i from t as of 'WORKING' where i = 2", "2")
		c.want("show tables like 'made'", "made")
		c.want("select count(*) from information_schema.tables where table_type = 'VIEW' and table_schema = 'db'", "0")
		c.fails("select * from v", "not found")
		c.fails("create view x as select 1", "make and drop views there")
		c.exec("delete from dolt_nonlocal_tables", "drop table made", "delete from t where i = 2")
		c.want("select * from v", "1")
	}
}

// What a view says of another revision is read as it says.
func TestViewsOfOtherRevisions(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create table t (i int primary key)", "insert into t values (1)", "create view v as select i from t")
	w.commit("main", "one", time.Date(2021, 3, 1, 0, 0, 0, 0, time.UTC))
	c.exec("insert into t values (2)", "create or replace view v as select i from v as of 'HEAD'")
	c.want("select * from v", "1")
	c.exec("create view past as select `db/main`.t.i from `db/main`.t")
	c.want("select * from past", "1 2")
	c.want("select extra->>'$.self' from dolt_schemas where name = 'past'", "db")
	c.exec("insert into dolt_schemas values ('view', 'cloned', 'create view cloned as select i from `olddb/main`.t', '{\"self\":\"olddb\"}', '')")
	c.want("select * from cloned", "1 2")
}

// TestViewsOverCommits: a view reads tables of a commit, and is made in the working set only.
func TestViewsOverCommits(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create table t (i int primary key)", "insert into t values (1)")
	w.commit("main", "one", time.Date(2021, 3, 1, 0, 0, 0, 0, time.UTC))
	c.exec("insert into t values (2)",
		"create view `before` as select t.i from `db/HEAD`.t", "create view `both` as select a.i, b.i as was from t a left join `db/HEAD`.t b on a.i = b.i where a.i in (select i from t)")
	c.want("select * from `before`", "1")
	c.want("select * from `both` order by 1", "1,1 2,NULL")
	c.exec("create or replace view `before` as select i + 1 from `db/HEAD`.t union select 9 from `db/HEAD`.t")
	c.want("select * from `before`", "2 9")
	c.fails("create view `db/HEAD`.x as select i from t", "db/HEAD")
	c.fails("create table `db/HEAD`.x (i int)", "db/HEAD")
	c.fails("drop view `db/HEAD`.`before`", "db/HEAD")
	c.fails("insert into `db/HEAD`.t values (3)", "db/HEAD")
}

func TestViewsInTransactions(t *testing.T) {
	w := newWorld(t)
	c, other := w.client(), w.client()
	c.exec("create table t (i int primary key)", "set autocommit = 0", "start transaction", "insert into t values (1)", "create view v as select * from t")
	// It ends the transaction by a commit, as CREATE TABLE does.
	other.want("select * from v", "1")
	c.exec("insert into t values (2)", "create or replace view v as select i + 1 from t", "rollback")
	other.want("select * from v", "2 3")
	c.fails("create or replace view v as select nothing from t", "not")
	other.want("select * from v", "2 3")
	c.exec("insert into t values (5)")
	c.fails("create or replace view t as select 1", "already exists")
	c.exec("rollback")
	other.want("select * from v", "2 3")
	c.exec("create view u as select 1 as x", "drop view u")
	other.want("select name from dolt_schemas", "v")
}

func TestQuotesInViews(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create table t (i int primary key, `a b` int)", "insert into t values (1, 2)", "set sql_mode = 'ANSI_QUOTES'",
		`create view q as select "a b" as "c d" from "t"`, "create view plain as select i from t", "set sql_mode = ''", `create view d as select "text" as x`)
	c.want("select * from q", "2")
	c.want("select `c d` from q", "2")
	c.want("select * from d", "text")
	c.want("select name, sql_mode from dolt_schemas order by 1", "d, plain, q,ANSI_QUOTES")
	c.want("select column_name from information_schema.columns where table_schema = 'db' and table_name = 'q'", "c d")
	c.exec("set sql_mode = 'ANSI_QUOTES'")
	c.want("select * from d", "text")
	c.want(`select "c d" from q`, "2")
	c.exec("create /*!50017 definer=`root`@`localhost` */ /*!50013 sql security definer */ view db.dumped as select i from t")
	c.want("select * from dumped", "1")
	c.want("select fragment from dolt_schemas where name = 'dumped'", "CREATE DEFINER = `root`@`localhost` SQL SECURITY definer VIEW `dumped` AS select i from t")
}

// Views of two branches merge as rows do, whatever was made, changed and dropped on them.
func TestMergesOfViews(t *testing.T) {
	names := []string{"a", "b", "c"}
	rapid.Check(t, func(rt *rapid.T) {
		c := versioned(t)
		defer c.w.eng.Close(t.Context())
		change := func(views map[string]int, label string) {
			for range rapid.IntRange(0, 4).Draw(rt, label) {
				name, n := rapid.SampledFrom(names).Draw(rt, "name"), rapid.IntRange(0, 2).Draw(rt, "text")
				if n == 0 {
					c.exec("drop view if exists " + name)
					delete(views, name)
					continue
				}
				views[name] = n
				c.exec(fmt.Sprintf("create or replace view %s as select %d as x", name, n))
			}
			c.exec("call dolt_commit('-Am', '" + label + "', '--allow-empty')")
		}
		check := func(views map[string]int) {
			t.Helper()
			var want []string
			for _, name := range slices.Sorted(maps.Keys(views)) {
				want = append(want, name+",VIEW")
				c.want("select * from "+name, fmt.Sprint(views[name]))
			}
			c.want("show full tables", strings.Join(want, " "))
		}
		base := map[string]int{}
		change(base, "base")
		ours, theirs := maps.Clone(base), maps.Clone(base)
		c.exec("call dolt_checkout('-b', 'side')")
		change(theirs, "theirs")
		check(theirs)
		c.exec("call dolt_checkout('main')")
		check(base)
		change(ours, "ours")
		merged, conflicts := map[string]int{}, false
		for _, name := range names {
			b, o, th := base[name], ours[name], theirs[name]
			switch {
			case o == th || th == b:
			case o == b:
				o = th
			default:
				conflicts = true
			}
			if o > 0 {
				merged[name] = o
			}
		}
		if conflicts {
			c.fails("call dolt_merge('side')", "Merge conflict detected")
			check(ours)
			c.exec("set @@dolt_allow_commit_conflicts = 1", "call dolt_merge('side')")
			c.want("select `table` from dolt_conflicts", "dolt_schemas")
			c.exec("call dolt_conflicts_resolve('--theirs', 'dolt_schemas')")
			for _, name := range names {
				if base[name] != ours[name] && base[name] != theirs[name] && ours[name] != theirs[name] {
					if merged[name] = theirs[name]; theirs[name] == 0 {
						delete(merged, name)
					}
				}
			}
			check(merged)
			return
		}
		c.exec("call dolt_merge('side')")
		check(merged)
	})
}

// A merge can bring a view and a table of one name: the table counts, and the view is not lost.
func TestMergeOfViewAndTable(t *testing.T) {
	c := forked(t, []string{"create table t (id int primary key)"}, []string{"create view v as select 5 as x"}, []string{"create table v (y int primary key)", "insert into v values (7)"})
	c.exec("call dolt_merge('side')")
	c.want("select * from v", "7")
	c.want("show full tables", "t,BASE TABLE v,BASE TABLE")
	c.exec("insert into v values (8)", "alter table v add column z int", "call dolt_commit('-Am', 'still written')", "rename table v to w")
	c.want("select * from v", "5")
	c.exec("drop view v")
	c.want("select y from w", "7 8")
	c.want("select count(*) from dolt_schemas", "0")
}

// Stashes, resets, reverts, cherry-picks and rebases take views along.
func TestHistoriesOfViews(t *testing.T) {
	c := versioned(t)
	c.exec("create table t (id int primary key)", "insert into t values (1)", "create view v as select id from t", "call dolt_commit('-Am', 'one')",
		"create or replace view v as select id + 1 as k from t", "create view w as select 1 as x", "call dolt_stash('push', 'here')")
	c.want("select * from v", "1")
	c.exec("call dolt_stash('pop', 'here')")
	c.want("select k, x from v, w", "2,1")
	c.exec("call dolt_commit('-Am', 'two')", "call dolt_revert('HEAD')")
	c.want("select * from v", "1")
	c.fails("select * from w", "not found")
	c.exec("call dolt_reset('--hard', 'HEAD~1')")
	c.want("select k, x from v, w", "2,1")
	c.exec("call dolt_checkout('-b', 'side', 'HEAD~1')", "create view z as select * from v", "call dolt_commit('-Am', 'three')", "call dolt_cherry_pick('main')")
	c.want("select k, x from z, w", "2,1")
	c.exec("drop view w", "call dolt_checkout('dolt_schemas')")
	c.want("select x from w", "1")
	c.exec("create view staged as select 1 as one", "call dolt_add('dolt_schemas')", "create view later as select 2 as two")
	c.want("select staged, status from dolt_status order by staged", "0,modified 1,modified")
	c.exec("call dolt_commit('-m', 'staged')", "call dolt_reset('--hard')")
	c.want("select * from staged", "1")
	c.fails("select * from later", "not found")
	c.exec("insert into dolt_nonlocal_tables values ('dolt_schemas', 'main', '', 'immediate')")
	c.fails("select * from z", "not found")
	c.want("select k, x from v, w", "2,1")
	c.fails("create view more as select 1", "main")
	c.fails("drop view w", "main")
}
