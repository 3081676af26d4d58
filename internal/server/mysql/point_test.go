package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	driver "github.com/go-sql-driver/mysql"

	"github.com/stemmadb/stemma/internal/vfs"
)

// both are a server whose statements take the short way where they can and one where none does, with the same content.
type both struct {
	*testing.T
	server      [2]*served
	conn        [2]*sql.Conn
	short, long int
}

func newBoth(t *testing.T, set func(*driver.Config), statements ...string) *both {
	t.Helper()
	b := &both{T: t}
	for i := range b.server {
		b.server[i] = serve(t, vfs.NewMem(), Options{})
		b.server[i].general = i == 1
		c := b.server[i].config("root", "")
		if set != nil {
			set(c)
		}
		db := open(t, c)
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b.conn[i] = conn
		for _, s := range statements {
			if _, err := conn.ExecContext(t.Context(), s); err != nil {
				t.Fatalf("%s: %v", s, err)
			}
		}
	}
	return b
}

// try runs a statement on both and compares all that a client sees of it, and the table after it. short tells which way it should take.
func (b *both) try(short bool, q string, args ...any) {
	b.Helper()
	var saw [2]string
	before := b.server[0].shorts.Load()
	for i, conn := range b.conn {
		res, err := conn.ExecContext(b.Context(), q, args...)
		if err != nil {
			saw[i] = err.Error()
		} else {
			n, err1 := res.RowsAffected()
			id, err2 := res.LastInsertId()
			saw[i] = fmt.Sprint(n, err1, id, err2)
		}
		for _, more := range []string{
			"show warnings", "select row_count(), found_rows(), last_insert_id(), @@warning_count, @@error_count", "select * from t order by 1, 2", "select * from k order by 1",
			"show status where variable_name in ('Com_update', 'Com_delete')",
		} {
			saw[i] += "\n" + rowsOf(b.T, conn, more)
		}
	}
	if saw[0] != saw[1] {
		b.Errorf("%s %v:\nthe short way\n%s\nthe general way\n%s", q, args, saw[0], saw[1])
	}
	if took := b.server[0].shorts.Load() > before; took != short {
		b.Errorf("%s %v took the short way: %v, want %v", q, args, took, short)
	}
	if short {
		b.short++
	} else {
		b.long++
	}
}

func rowsOf(t *testing.T, conn *sql.Conn, q string) string {
	t.Helper()
	rows, err := conn.QueryContext(t.Context(), q)
	if err != nil {
		return err.Error()
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for rows.Next() {
		cells, dest := make([]sql.NullString, len(cols)), make([]any, len(cols))
		for i := range cells {
			dest[i] = &cells[i]
		}
		if err := rows.Scan(dest...); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&out, cells)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// read runs a SELECT twice on both, the second time after its answer has been described, and compares rows and descriptions.
func (b *both) read(short bool, q string, args ...any) {
	b.Helper()
	var saw [2]string
	before := b.server[0].shorts.Load()
	for range 2 {
		for i, conn := range b.conn {
			saw[i] = answerOf(b.T, conn, q, args...) + rowsOf(b.T, conn, "select row_count(), found_rows(), @@warning_count") + rowsOf(b.T, conn, "show warnings") +
				rowsOf(b.T, conn, "show status where variable_name in ('Com_select')")
		}
		if saw[0] != saw[1] {
			b.Errorf("%s %v:\nthe short way\n%s\nthe general way\n%s", q, args, saw[0], saw[1])
		}
	}
	if took := b.server[0].shorts.Load() > before; took != short {
		b.Errorf("%s %v took the short way: %v, want %v", q, args, took, short)
	}
}

// answerOf is all that the driver says of an answer.
func answerOf(t *testing.T, conn *sql.Conn, q string, args ...any) string {
	t.Helper()
	rows, err := conn.QueryContext(t.Context(), q, args...)
	if err != nil {
		return err.Error()
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, c := range types {
		length, hasLength := c.Length()
		precision, scale, hasScale := c.DecimalSize()
		nullable, knows := c.Nullable()
		fmt.Fprintln(&out, c.Name(), c.DatabaseTypeName(), c.ScanType(), length, hasLength, precision, scale, hasScale, nullable, knows)
	}
	for rows.Next() {
		cells, dest := make([]any, len(types)), make([]any, len(types))
		for i := range cells {
			dest[i] = &cells[i]
		}
		if err := rows.Scan(dest...); err != nil {
			t.Fatal(err)
		}
		for _, c := range cells {
			fmt.Fprintf(&out, "%T %v\n", c, c)
		}
	}
	if err := rows.Err(); err != nil {
		return out.String() + err.Error()
	}
	return out.String()
}

var pointTables = []string{
	"create table t (a int, b varchar(10) collate utf8mb4_0900_ai_ci, n int not null, u int unsigned, d decimal(8,2), f double, s varchar(5), e enum('x','y'), j json, day date, at datetime(3), ts timestamp null, txt text, primary key (a, b))",
	"insert into t values (1, 'one', 10, 5, 1.25, 0.5, 'abc', 'x', '{}', '2020-01-02', '2020-01-02 03:04:05.678', '2020-01-02 03:04:05', 'text'), (2, 'two', 20, null, null, null, null, null, null, null, null, null, null), (3, 'drei', 1, 1, 1, 1, 'c', 'y', '[]', null, null, null, repeat('long', 1000))",
	"create table k (id bigint unsigned primary key, n int, m int unique, index(n))", "insert into k values (1, 1, 1), (2, 2, 2), (18446744073709551615, 3, 3), (7, null, null)",
	"create table g (id int primary key, n int, m int as (n + 1) stored)", "insert into g (id, n) values (1, 1)",
	"create table o (id int primary key, n int, at timestamp default current_timestamp on update current_timestamp)", "insert into o (id, n) values (1, 1)",
	"create table p (s varchar(20), n int, primary key (s(3)))", "insert into p values ('abcdef', 1)",
	"create table dc (d decimal(6,2) primary key, n int)", "insert into dc values (1.00, 1), (1.50, 2)",
	"create table flag (b tinyint(1) primary key, n int)", "insert into flag values (1, 1), (0, 0)",
	"create table h (n int)", "insert into h values (1)",
}

// TestPointAgainstGeneral runs statements by both ways and compares rows, counts, errors and warnings.
func TestPointAgainstGeneral(t *testing.T) {
	for _, mode := range []string{"plain", "found rows", "literals", "not strict"} {
		t.Run(mode, func(t *testing.T) {
			b := newBoth(t, func(c *driver.Config) {
				c.ClientFoundRows = mode == "found rows"
				c.InterpolateParams = mode == "literals"
			}, pointTables...)
			if mode == "not strict" {
				for _, c := range b.conn {
					if _, err := c.ExecContext(t.Context(), "set sql_mode = 'ANSI_QUOTES'"); err != nil {
						t.Fatal(err)
					}
				}
			}
			const where = " where a = ? and b = ?"
			// the short way
			b.try(true, "update t set n = 11 where a = 1 and b = 'one'")
			b.try(true, "update t set n = 11 where a = 1 and b = 'one'") // no change
			b.try(true, "UPDATE t SET n = n + 1 WHERE b = 'ONE' AND a = 1")
			b.try(true, "update t set n = 1 where a = 1 and b = 'none'")
			b.try(true, "update t set n = ?, u = ?"+where, 12, 6, 1, "one")
			b.try(true, "update t set n = n * 2 + u - 1, u = n"+where, 1, "one")
			b.try(true, "update t set d = d + 1.005"+where, 1, "one")
			b.try(true, "update t set d = ?"+where, 2.5, 1, "one")
			b.try(true, "update t set d = ?"+where, "2.75", 1, "one")
			b.try(true, "update t set f = f * 1.5, d = f"+where, 1, "one")
			b.try(true, "update t set s = ?, u = null"+where, "xyz", 1, "one")
			b.try(true, "update t set s = ?"+where, "XYZ", 1, "one")
			b.try(true, "update t set s = ?"+where, nil, 1, "one")
			b.try(true, "update t set day = '2021-02-03', at = '2021-02-03 04:05:06.7891'"+where, 1, "one")
			b.try(true, "update t set u = u + 1"+where, 2, "two") // NULL stays
			b.try(true, "update t set t.n = (t.n + 1) where (t.a = 1) and (t.b = 'one')")
			b.try(true, "update t set n = 5 where 1 = a and 'one' = b;")
			b.try(true, "update t set n = 1.6"+where, 1, "one")
			b.try(true, "update t set n = '7'"+where, 1, "one")
			b.try(true, "update t set txt = 'short' where a = 1 and b = 'one'")
			b.try(true, "update t set n = 2"+where, 3, "drei") // beside a value out of line
			b.try(true, "update t set txt = '"+strings.Repeat("y", 3000)+"' where a = 2 and b = 'two'")
			b.try(true, "update k set n = 5 where id = 1")
			b.try(true, "update k set n = n + 1, m = 9 where id = 2")
			b.try(true, "update k set m = null where id = 2")
			b.try(true, "update dc set n = 5 where d = 1")
			b.try(true, "delete from k where id = ?", 7)
			b.try(true, "delete from k where id = ?", 7)
			b.try(true, "delete from t"+where, 2, "TWO")
			b.read(true, "select * from t"+where, 1, "one")
			b.read(true, "select * from t"+where, 1, "none")
			b.read(true, "select N, n, B, at from t"+where, 1, "ONE")
			b.read(true, "select e, j, ts, day, u, d, f, s, txt from t"+where, 1, "one")
			b.read(true, "select n from t"+where, 3, "drei") // beside a value out of line
			b.read(true, "select id, m from k where id = ?", 1)
			b.read(true, "select * from dc where d = 1")
			b.read(false, "select txt from t"+where, 3, "drei")
			b.read(false, "select n as x from t"+where, 1, "one")
			b.read(false, "select t.n from t"+where, 1, "one")
			b.read(false, "select n + 1 from t"+where, 1, "one")
			b.read(false, "select count(*) from t"+where, 1, "one")
			b.read(false, "select distinct n from t"+where, 1, "one")
			b.read(false, "select n from t as of 'HEAD'"+where, 1, "one")
			b.read(false, "select n from t"+where+" for update", 1, "one")
			b.read(false, "select n from t"+where+" limit 1", 1, "one")
			b.read(false, "select n from t where a = 1")
			b.read(false, "select nope from t"+where, 1, "one")
			b.read(false, "select * from g where id = 1")
			b.read(false, "select hash from dolt_branches where name = 'main'")
			b.try(false, "alter table k add column late int default 4")
			b.read(true, "select * from k where id = ?", 1)
			b.try(true, "update k set late = 5 where id = 1")
			b.read(true, "select * from k where id = ?", 1)
			// the general way: errors, and what is not plain
			b.try(false, "update t set n = null"+where, 1, "one")
			b.try(false, "update t set n = 99999999999"+where, 1, "one")
			b.try(false, "update t set s = 'too long for it'"+where, 1, "one")
			b.try(false, "update t set n = 'seven'"+where, 1, "one")
			b.try(false, "update t set u = u - 1000"+where, 3, "drei")
			b.try(false, "update t set day = 'no day'"+where, 1, "one")
			b.try(false, "update k set m = 3 where id = 1") // another row has it
			b.try(false, "update t set n = 1 where a = 1")
			b.try(false, "update t set n = 1 where a = 1 and b = 'one' and n = 5")
			b.try(false, "update t set n = 1 where a = 1 or b = 'one'")
			b.try(false, "update t set n = 1 where a = 1 and a = 2")
			b.try(false, "update t set n = 1 where a = '1' and b = 'one'")
			b.try(false, "update t set n = 1 where a = 1.0 and b = 'one'")
			b.try(false, "update t set n = 1 where a = 99999999999 and b = 'one'")
			b.try(false, "update t set n = 1 where a = null and b = 'one'")
			b.try(false, "update t set n = 1 where a = 1 and b = 1")
			b.try(false, "update t set n = 1 where a > 0 and b = 'one'")
			b.try(true, "update t set n = 1 where a = 1 and b = 'a text that the column could never hold'")
			b.try(false, "update t set a = 9"+where, 1, "one")
			b.try(false, "update t set n = length(b)"+where, 9, "one")
			b.try(false, "update t set n = (select 1)"+where, 9, "one")
			b.try(false, "update t set n = n / 2"+where, 9, "one")
			b.try(false, "update t set n = s + 1"+where, 9, "one")
			b.try(false, "update t set n = n + '1'"+where, 9, "one")
			b.try(false, "update t set e = 'y', j = '[1]'"+where, 9, "one")
			b.try(false, "update t set ts = '2021-02-03 04:05:06'"+where, 9, "one")
			b.try(false, "update t set txt = 'y' where a = 3 and b = 'drei'")
			b.try(false, "update t set nope = 1"+where, 1, "one")
			b.try(false, "update t as x set x.n = 1 where x.a = 1 and x.b = 'one'")
			b.try(false, "update db.t set n = 1 where a = 9 and b = 'one'")
			b.try(false, "update ignore t set n = null where a = 9 and b = 'one'")
			b.try(false, "update t set n = 8 where a = 9 and b = 'one' limit 1")
			b.try(false, "update nope set n = 1 where a = 1")
			b.try(false, "update k set n = 4 where id = 18446744073709551615")
			b.try(false, "update k set n = 4 where id = -1")
			b.try(false, "update g set n = 4 where id = 1")
			b.try(false, "update o set n = 4 where id = 1")
			b.try(false, "update p set n = 4 where s = 'abc'")
			b.try(false, "update flag set n = 4 where b = 2")
			b.try(false, "update h set n = 4 where n = 1")
			b.try(false, "update dc set n = 4 where d = 1.501")
			b.try(false, "update dolt_branches set hash = 1 where name = 'main'")
			b.try(false, "delete from t where a = 1")
			b.try(false, "delete t from t where a = 1 and b = 'one'")
			b.try(false, "delete from t where a = 1 and b = 'one' order by n")
			b.try(false, "delete from dolt_log where commit_hash = 'x'")
			// transactions, branches and temporary tables
			b.try(false, "begin")
			b.try(true, "update t set n = 77 where a = 9 and b = 'one'")
			b.try(false, "savepoint s1")
			b.try(true, "update t set n = 78 where a = 9 and b = 'one'")
			b.try(true, "delete from k where id = 1")
			b.try(false, "update t set n = n + 1")
			b.try(true, "update t set n = n + 1 where a = 9 and b = 'one'")
			b.try(false, "rollback to savepoint s1")
			b.try(true, "update t set n = n + 1 where a = 9 and b = 'one'")
			b.try(false, "commit")
			b.try(false, "begin")
			b.try(true, "update t set n = 0 where a = 9 and b = 'one'")
			b.try(false, "rollback")
			b.try(false, "start transaction read only")
			b.try(false, "update t set n = 0 where a = 9 and b = 'one'")
			b.try(false, "rollback")
			b.try(false, "set autocommit = 0")
			b.try(true, "update t set n = 55 where a = 9 and b = 'one'")
			b.try(false, "rollback")
			b.try(false, "set autocommit = 1")
			b.try(false, "create temporary table k (id int primary key, n int)")
			b.try(false, "insert into k values (1, 100)")
			b.try(false, "update k set n = 101 where id = 1")
			b.try(false, "drop temporary table k")
			if b.short < 30 || b.long < 50 {
				t.Errorf("%d statements by the short way and %d by the general one", b.short, b.long)
			}
		})
	}
}

// TestPointForeignKeys checks that the short way changes no row whose foreign keys, or those that refer to it, it does not look at.
func TestPointForeignKeys(t *testing.T) {
	b := newBoth(t, nil,
		"create table t (a int primary key, b varchar(10), key (b))",
		"create table k (id int primary key, n int, b varchar(10), foreign key (n) references t (a), foreign key (b) references t (b) on update cascade)",
		"create table own (id int primary key, up int, foreign key (up) references own (id) on delete cascade)",
		"insert into t values (1, 'one'), (2, 'two'), (3, 'three')", "insert into k values (1, 1, 'two')", "insert into own values (1, null), (2, 1)",
	)
	b.try(false, "delete from t where a = 1")
	b.try(false, "update t set b = 'zwei' where a = 2")
	b.try(false, "update k set n = 9 where id = 1")
	b.try(false, "update k set n = 3 where id = 1")
	b.try(false, "delete from own where id = 1")
	for i, conn := range b.conn {
		if got, want := rowsOf(t, conn, "select count(*) from own")+rowsOf(t, conn, "select n, b from k"), "[{0 true}]\n[{3 true} {zwei true}]\n"; got != want {
			t.Errorf("server %d: %q, want %q", i, got, want)
		}
	}
	b.try(false, "delete from k where id = 1")
	b.try(false, "drop table k")
	b.try(true, "delete from t where a = 1")
}

// TestPointPrivileges checks that the short way lets nobody do what the general way does not.
func TestPointPrivileges(t *testing.T) {
	b := newBoth(t, nil, pointTables...)
	for i, v := range b.server {
		for _, s := range []string{"create user reader@'%'", "grant select on db.t to reader@'%'", "create user writer@'%'", "grant select, update on db.t to writer@'%'"} {
			if _, err := b.conn[i].ExecContext(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		for user, want := range map[string][2]bool{"reader": {false, false}, "writer": {true, false}} {
			db := open(t, v.config(user, ""))
			for k, q := range []string{"update t set n = n + 1 where a = 1 and b = 'one'", "delete from t where a = 2 and b = 'two'"} {
				if _, err := db.ExecContext(t.Context(), q); (err == nil) != want[k] {
					t.Errorf("%s by %s: %v", q, user, err)
				}
			}
		}
	}
	if n := b.server[0].shorts.Load(); n != 1 {
		t.Errorf("%d statements took the short way, want 1", n)
	}
}

// TestCounter lets many connections count up one row, each by statements of their own: none fails and none is lost.
func TestCounter(t *testing.T) {
	for _, way := range []string{"short", "general"} {
		t.Run(way, func(t *testing.T) {
			v := serve(t, vfs.NewMem(), Options{})
			v.general = way == "general"
			db := open(t, v.config("root", ""))
			exec(t, db, "create table t (id int primary key, n int not null, m int not null)", "insert into t values (1, 0, 0)", "create table log (who int primary key, n int)")
			const clients, each = 12, 15
			var wg sync.WaitGroup
			errs := make([]error, clients)
			for i := range clients {
				wg.Go(func() {
					conn, err := db.Conn(context.Background())
					if err != nil {
						errs[i] = err
						return
					}
					defer conn.Close()
					for k := range each {
						q := "update t set n = n + 1 where id = 1"
						if k%3 == 1 {
							q = "update t set n = n + 1, m = abs(m + 1) where id = 1"
						}
						if k%3 == 2 {
							q = "insert into t values (1, 1, 0) on duplicate key update n = n + 1"
						}
						if _, errs[i] = conn.ExecContext(context.Background(), q); errs[i] != nil {
							return
						}
					}
				})
			}
			wg.Wait()
			if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
				t.Fatal(errs[i])
			}
			if got, want := query(t, db, "select n, m from t"), fmt.Sprint(clients*each, " ", clients*each/3); got != want {
				t.Errorf("the counters say %s, want %s", got, want)
			}
		})
	}
}

// TestNoRetryInTransaction checks that a transaction of several statements is told of a conflict: only the client can run it again.
func TestNoRetryInTransaction(t *testing.T) {
	v := serve(t, vfs.NewMem(), Options{})
	db := open(t, v.config("root", ""))
	exec(t, db, "create table t (id int primary key, n int)", "insert into t values (1, 0)")
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "update t set n = n + 1 where id = 1"); err != nil {
		t.Fatal(err)
	}
	exec(t, db, "update t set n = n + 1 where id = 1")
	if err := tx.Commit(); number(err) != 1213 {
		t.Errorf("commit: %v, want error 1213", err)
	}
	if got := query(t, db, "select n from t"); got != "1" {
		t.Errorf("the counter says %s, want 1", got)
	}
}

// BenchmarkPoint is a statement of one row by a client, by the short way and by the general one.
func BenchmarkPoint(b *testing.B) {
	for _, way := range []string{"short", "general"} {
		for name, q := range map[string]string{"select": "select n from t where id = ?", "update": "update t set n = n + 1 where id = ?"} {
			b.Run(name+"/"+way, func(b *testing.B) {
				fs := vfs.NewMem()
				v := serve(b, fs, Options{})
				v.general = way == "general"
				db := open(b, v.config("root", ""))
				conn, err := db.Conn(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				exec := func(q string) {
					if _, err := conn.ExecContext(b.Context(), q); err != nil {
						b.Fatal(err)
					}
				}
				exec("create table t (id int primary key, n int)")
				exec("insert into t values (1, 1), (2, 2), (3, 3)")
				exec("begin")
				stmt, err := conn.PrepareContext(b.Context(), q)
				if err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					if name == "update" {
						_, err = stmt.ExecContext(b.Context(), 2)
					} else {
						var n int
						err = stmt.QueryRowContext(b.Context(), 2).Scan(&n)
					}
					if err != nil {
						b.Fatal(err)
					}
				}
				exec("rollback")
			})
		}
	}
}
