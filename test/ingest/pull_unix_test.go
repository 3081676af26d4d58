//go:build unix

package ingest

import (
	"io"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

func TestPostgres(t *testing.T) {
	at := postgres(t)
	pg(t, at, postgresTables)
	s := newSite(t)
	out := s.ok("ingest", at)
	for _, want := range []string{"client_data: +20000 -0 ~0 of 20000 rows", "every: +3 -0 ~0 of 3 rows", "log: +3 -0 ~0", "side: +1"} {
		if !strings.Contains(out, want) {
			t.Errorf("%s\nwant %s", out, want)
		}
	}
	s.query("select ok, i2, i4, f4, f8, n, big, m, v, c, t, u, hex(b) hex from every where id = 9223372036854775807",
		"ok,i2,i4,f4,f8,n,big,m,v,c,t,u,hex\n"+`1,-32768,2147483647,0.1,0.1,123456789.125,12345678901234567890.123456789000000000000000000000,12.50,"é,""",ab,"two`+"\n"+`lines",a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,00FF`+"\n")
	s.query("select d, ts, tz, ti, j, jb, e, s, tags, hex(bits) bits, iv, addr, p from every where id = 9223372036854775807",
		"d,ts,tz,ti,j,jb,e,s,tags,bits,iv,addr,p\n"+`2024-02-29,2024-02-29 12:34:56.123456,2050-02-28 10:34:56.500000,23:59:59.999,"{""a"": [1, 2]}","{""b"": null}",it's fine,7,"[""x"", null, ""y""]",A01,1 day,10.0.0.1,"(1,2)"`+"\n")
	s.query("select json_unquote(json_extract(metadata, '$.source')) like 'postgres://etl@127.0.0.1:%/postgres' noted, json_extract(metadata, '$.pulled_at') is not null at from dolt_log limit 1",
		"noted,at\n1,1\n")
	s.clean()

	// Nothing changed: no commit.
	s.says(0, "Already up to date.", "ingest", at)

	// Changes, and nothing else, are written.
	pg(t, at, "update client_data set score = -1 where id % 1000 = 0; delete from client_data where id = 7; insert into client_data values (20001, 'new', null)")
	s.says(0, "client_data: +1 -1 ~20 of 20000 rows", "ingest", at, "-t", "client_data")
	s.query("select count(*) n from dolt_diff('HEAD~1', 'HEAD', 'client_data')", "n\n22\n")
	s.clean()

	// A column more keeps what was there.
	pg(t, at, "alter table client_data add column country varchar(2) default 'DE'")
	s.says(0, "with another schema", "ingest", at, "-t", "client_data")
	s.query("select country, count(*) n from client_data group by country", "country,n\nDE,20000\n")

	// What was made of the table here stays, and holds for what comes.
	s.ok("sql", "-q", "alter table client_data add column loud varchar(50) generated always as (upper(name)) stored")
	s.ok("sql", "-q", "alter table client_data add constraint named check (name <> '')")
	s.ok("sql", "-q", "alter table client_data alter column country set default 'FR'")
	s.ok("commit", "-am", "a column of our own")
	s.says(0, "Already up to date.", "ingest", at, "-t", "client_data")
	pg(t, at, "update client_data set name = 'loud one' where id = 2; alter table client_data add column town text")
	s.says(0, "with another schema", "ingest", at, "-t", "client_data")
	s.query("select name, loud, town from client_data where id in (2, 3) order by id", "name,loud,town\nloud one,LOUD ONE,\nclient 3,CLIENT 3,\n")
	s.query("select column_default d from information_schema.columns where table_name = 'client_data' and column_name = 'country'", "d\nFR\n")
	pg(t, at, "update client_data set name = '' where id = 3")
	s.says(4, `Check constraint "named" violated`, "ingest", at, "-t", "client_data")
	s.clean()
	pg(t, at, "update client_data set name = 'client 3' where id = 3; alter table client_data drop column town")
	s.ok("ingest", at, "-t", "client_data")

	// What only is here is not taken away, however the source changes.
	s.ok("sql", "-q", "alter table client_data add column note varchar(20); update client_data set note = 'ours' where id = 1")
	s.ok("commit", "-am", "notes")
	for _, change := range []string{"", "update client_data set name = 'other' where id = 1", "alter table client_data add column more int"} {
		pg(t, at, change)
		s.says(4, "table client_data: the source has no column note and no pull has brought it", "ingest", at, "-t", "client_data")
	}
	s.query("select id, note from client_data where note is not null", "id,note\n1,ours\n")
	s.clean()
	s.ok("sql", "-q", "create table notes (id int primary key, note varchar(20)); insert into notes select id, note from client_data where note is not null; "+
		"alter table client_data drop column note")
	s.ok("commit", "-Am", "notes by themselves")
	pg(t, at, "update client_data set name = 'client 1' where id = 1; alter table client_data drop column more")
	s.ok("ingest", at, "-t", "client_data")
	s.query("select name from client_data where id = 1", "name\nclient 1\n")

	// The rows of a query.
	s.says(0, "best: +3 -0 ~0 of 3 rows", "ingest", at, "--query", "select id, name from client_data where id <= 3", "--as", "best", "--key", "id")

	// What cannot be kept is told by row and column, and leaves nothing.
	pg(t, at, "create table bad (id int primary key, x float8, d date); insert into bad values (1, 1, null), (2, 'NaN', null)")
	s.says(2, "table bad row 2, column x: ", "ingest", at, "-t", "bad")
	pg(t, at, "update bad set x = 1, d = 'infinity' where id = 2")
	s.says(2, "row 2, column d: infinity is no moment that can be kept", "ingest", at, "-t", "bad")
	s.says(3, "PostgreSQL has no table clientdata; did you mean 'client_data'?", "ingest", at, "-t", "clientdata")
	s.says(3, "table not found: bad", "table", "export", "bad")
	s.clean()

	// Changes that are not committed are not written over.
	s.ok("sql", "-q", "update client_data set name = 'mine' where id = 1")
	s.says(4, "table client_data has changes that are not committed", "ingest", at, "-t", "client_data")
	s.ok("reset", "--hard")

	// A connection that is lost leaves nothing; one that is lost for a while is made again.
	u, _ := url.Parse(at)
	pg(t, at, "update client_data set name = name || '!'")
	dropped := proxy(t, u.Host, 100)
	u.Host = dropped
	s.says(6, "PostgreSQL: the connection failed", "ingest", u.String(), "-t", "client_data", "--retries", "1")
	s.query("select name from client_data where id = 4", "name\nclient 4\n")
	s.clean()
	u.Host = proxy(t, mustHost(at), 100)
	s.says(6, "table best: the next pull reads all its rows again: as far as the server tells the key of a query may be NULL", "ingest", u.String(), "--query", "select id, name from client_data", "--as", "best", "--key", "id", "--retries", "0")
	u.Host = proxy(t, mustHost(at), 1)
	s.says(0, "client_data: +0 -0 ~20000 of 20000 rows", "ingest", u.String(), "-t", "client_data")
	s.clean()
}

func mustHost(at string) string {
	u, _ := url.Parse(at)
	return u.Host
}

// proxy forwards connections, of which the first n are cut after some bytes of the server's.
func proxy(t *testing.T, to string, n int32) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var seen atomic.Int32
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			limit := int64(1 << 62)
			if seen.Add(1) <= n {
				limit = 100_000
			}
			go func() {
				_, _ = io.Copy(out, in)
				out.Close()
			}()
			go func() {
				_, _ = io.CopyN(in, out, limit)
				in.Close()
				out.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func TestMariaDB(t *testing.T) {
	addr := mariadb(t)
	dsn, at := "root@tcp("+addr+")/shop?charset=utf8mb4", "mysql://root@"+addr+"/shop"
	exec := func(statements string) {
		t.Helper()
		if err := my(dsn, statements); err != nil {
			t.Fatal(err)
		}
	}
	exec(mariadbTables)
	s := newSite(t)
	s.says(0, "every: +3 -0 ~0 of 3 rows", "ingest", at)
	s.query("select ok, i1, u8, f, d, n, hex(bi) bi, y, da, ti, dt, ts, e, se, c, v, hex(bl) bl, j from every where id = 1",
		"ok,i1,u8,f,d,n,bi,y,da,ti,dt,ts,e,se,c,v,bl,j\n"+`1,-128,18446744073709551615,0.1,0.1,-12345.67,A01,1999,2024-02-29,-838:59:59.000000,2024-02-29 12:34:56.123456,2024-02-29 12:34:56,"b,'c","x,z",ab,"é🎉,""",00FF,"{""a"": [1, 2]}"`+"\n")
	s.query("select dt from every where id = 3", "dt\n0000-00-00 00:00:00.000000\n")
	s.says(0, "Already up to date.", "ingest", at)
	exec("update every set v = 'changed' where id = 2; delete from every where id = 3; insert into names values ('b', 2)")
	s.says(0, "every: +0 -1 ~1 of 2 rows", "ingest", at)
	s.query("select count(*) n from dolt_diff('HEAD~1', 'HEAD', 'every')", "n\n2\n")
	s.says(0, "sums: +2 -0 ~0 of 2 rows", "ingest", at, "--query", "select name, sum(n) total from names group by name", "--as", "sums", "--key", "name")
	s.says(3, "MySQL has no table evry in the database shop; did you mean 'every'?", "ingest", at, "-t", "evry")
	s.says(2, "no database is named", "ingest", "mysql://root@"+addr)
	exec("insert into names select concat('n', seq), seq from seq_1_to_20000")
	s.says(6, "the connection failed", "ingest", "mysql://root@"+proxy(t, addr, 100)+"/shop", "-t", "names", "--retries", "1")
	s.query("select count(*) n from names", "n\n2\n")
	s.says(0, "names: +20000", "ingest", "mysql://root@"+proxy(t, addr, 1)+"/shop", "-t", "names")
	s.clean()
}
