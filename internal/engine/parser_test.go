package engine

import (
	"testing"
	"time"
)

func TestPlainComments(t *testing.T) {
	for _, x := range []struct{ in, want string }{
		{"select 1", "select 1"},
		{"/*M!999999\\- enable the sandbox mode */", "/*M 999999\\- enable the sandbox mode */"},
		{"select /*M!100100 2 + */ 1", "select /*M 100100 2 + */ 1"},
		{"select /*!50000 2 + */ 1", "select /*!50000 2 + */ 1"},
		{"select /*!80033 2 + */ 1", "select /*!80033 2 + */ 1"},
		{"select /*!80034 2 + */ 1", "select /* 80034 2 + */ 1"},
		{"select /*!100616 2 + */ 1", "select /* 100616 2 + */ 1"},
		{"select /*!080013 2 + */ 1", "select /*!       2 + */ 1"},
		{"select '/*M!', \"/*!90000\", `/*M!`, 'it''s /*M!', '\\'/*M!'", "select '/*M!', \"/*!90000\", `/*M!`, 'it''s /*M!', '\\'/*M!'"},
		{"-- /*M!\n/*M! x */", "-- /*M!\n/*M  x */"},
		{"# '\n/*M! x */", "# '\n/*M  x */"},
		{"/* ' */ /*M! ' */ /*M! x */", "/* ' */ /*M  ' */ /*M  x */"},
		{"/*/ /*M! */ 1", "/*/ /*M! */ 1"},
		{"/*M! open", "/*M  open"},
		{"/*!", "/*!"},
		{"/*M!", "/*M "},
		{"'/*M!", "'/*M!"},
		{"'\\", "'\\"},
	} {
		if got := plainComments(x.in); got != x.want {
			t.Errorf("%s:\n got %s\nwant %s", x.in, got, x.want)
		}
	}
}

func FuzzPlainComments(f *testing.F) {
	f.Add("select /*M! x */ '/*!90000' -- \n/*!080013 2 + */ 1")
	f.Fuzz(func(t *testing.T, s string) {
		out := plainComments(s)
		if len(out) != len(s) {
			t.Fatalf("%q has become %q", s, out)
		}
		if again := plainComments(out); again != out {
			t.Fatalf("%q is %q, and that is %q", s, out, again)
		}
	})
}

func TestParser(t *testing.T) {
	c := newWorld(t).client()
	c.want("select /*M!100100 2 + */ 1, /*!50000 2 + */ 1, /*!99999 2 + */ 1, /*!080013 2 + */ 1", "1,3,1,3")
	c.exec("/*M!100616 set @x = 1 */ /*!40101 set @y = 2 */")
	c.want("select @x, @y", "NULL,2")
	for _, q := range []string{
		"create table t (x int primary key, y int primary key)",
		"create table t (x int primary key, y int, primary key (y))",
		"create table t (x int, y int, primary key (x), primary key (y))",
	} {
		c.fails(q, "Multiple primary key")
	}
	c.exec("create table t (x int, y int, primary key (x, y))")
	c.fails("create table u (t time(7))", "Too-big precision 7 specified for 't'")
	c.fails("alter table t add column t time(99999999999999999999)", "Too-big precision")
	c.fails("set names none_such", "Unknown character set: none_such")
	c.fails("set names sjis", "Unknown character set: sjis")
	c.fails("set names utf16", "Variable 'character_set_client' can't be set")
	c.exec("set names latin1", "set names 'utf8mb4'", "set names utf8", "set names binary", "set names ascii", "set names default")
}

// Columns of frames are called std and variance; pandas and SQLAlchemy quote only what MySQL reserves.
func TestNamesThatAreNotReserved(t *testing.T) {
	c := newWorld(t).client()
	for _, name := range []string{"std", "STDDEV", "stddev_pop", "stddev_samp", "variance", "var_pop", "var_samp", "bit_and", "group_concat", "json_arrayagg", "plan", "next", "off"} {
		c.exec("create table t (id int primary key, "+name+" double, key "+name+"_i ("+name+"))",
			"insert into t (id, "+name+") values (1, 2), (2, 4)",
			"update t set "+name+" = "+name+" + 1 where t."+name+" = 2")
		c.want("select "+name+", t."+name+", "+name+" as x, sum("+name+"), std("+name+"), variance("+name+") from t where "+name+" = 3 group by "+name, "3,3,3,3,0,0")
		c.want("select max("+name+") over (), id as "+name+" from t order by "+name, "4,1 4,2")
		c.exec("create view v as select " + name + ", 'std' as said from t where id = 1")
		c.want("select "+name+", said from v", "3,std")
		c.exec("drop view v", "alter table t rename column "+name+" to x", "drop table t")
	}
	c.exec("create table std (id int)", "insert into std values (1)", "drop table std")
	c.want("select 1 as variance", "1")
	c.fails("create table t (rank int)", "near 'rank'")
	c.fails("select std from where", "near 'from'")
}

func TestTime(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create table t (id int primary key, a time, b time(3), c time(6), key (a), key (b))",
		"insert into t values (1, '10:00:00.4', '10:00:00.0004', '10:00:00.000001'), (2, '-10:00:00.5', '-00:00:00.0005', '00:00:00'), (3, null, null, null)",
		"insert into t values (4, 101112, '838:59:59.9999', time('00:00:01.5'))")
	text := "select id, cast(a as char), cast(b as char), cast(c as char) from t"
	c.want(text, "1,10:00:00,10:00:00.000,10:00:00.000001 2,-10:00:01,-00:00:00.001,00:00:00.000000 3,NULL,NULL,NULL 4,10:11:12,838:59:59.000,00:00:01.500000")
	w.commit("main", "times", time.Date(2021, 3, 1, 12, 0, 0, 0, time.UTC))
	c.exec("delete from t where a = '10:00:00'")
	c.want("select id from t as of 'HEAD' where a = '10:00'", "1")
	c.want("select id from t", "2 3 4")
	for _, x := range []struct{ where, want string }{
		{"a = '-10:00:01'", "2"},
		{"a > '10:11:11.6'", "4"},
		{"a >= '10:11:12.1'", ""},
		{"a < '10:11:12.1'", "2 4"},
		{"a <= '-10:00:00.9'", "2"},
		{"a between '-10:00:01.4' and '0:0:0'", "2"},
		{"a in ('-10:00:01', 1)", "2"},
		{"a <> c and a is not null", "2 4"},
		{"a = 101112", "4"},
		{"b = '-0:0:0.001'", "2"},
		{"id in (select x.id from t x join t y on x.a = y.a)", "2 4"},
		{"a = (select max(a) from t)", "4"},
		{"a > c", "4"},
		{"hour(a) = 10 and second(a) > 10", "4"},
	} {
		c.want("select id from t where "+x.where, x.want)
		c.want("select id from (select * from t) x where "+x.where, x.want)
	}
	c.exec("alter table t alter column a set default '1:2:3.6'")
	c.want("show create table t", "t,CREATE TABLE `t` (\n  `id` int NOT NULL,\n  `a` time DEFAULT '01:02:04',\n  `b` time(3),\n  `c` time(6),\n  PRIMARY KEY (`id`),\n  KEY `a` (`a`),\n  KEY `b` (`b`)\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin")
	c.want("select column_name, column_type, data_type, datetime_precision from information_schema.columns where table_name = 't' and column_name <> 'id' order by 1",
		"a,time,time,0 b,time(3),time,3 c,time(6),time,6")
	c.exec("alter table t modify column c time(1)", "alter table t modify column b time", "alter table t add column d time(2) default '01:02:03.456'")
	c.want("select id, cast(b as char), cast(c as char), cast(d as char) from t where id <> 3", "2,00:00:00,00:00:00.0,01:02:03.46 4,838:59:59,00:00:01.5,01:02:03.46")
	c.exec("create table u as select * from t", "create table v like t", "insert into v select * from u", "update v set a = '00:00:01.5' where id = 3")
	c.want("select table_name, group_concat(column_type order by column_name) from information_schema.columns where table_name in ('u', 'v') group by 1 order by 1", "u,time,time,time(1),time(2),int v,time,time,time(1),time(2),int")
	c.want("select id, cast(a as char) from v where id = 3", "3,00:00:02")
	c.want("select cast(max(a) as char), cast(max(b) as char) from v", "10:11:12,838:59:59")
}

// TestDigitsOfBounds looks for times with more digits than a column of an index has.
func TestDigitsOfBounds(t *testing.T) {
	c := newWorld(t).client()
	c.exec("create table d (id int primary key, at datetime, ts timestamp(1), key (at), key (ts))",
		"insert into d values (1, '2020-01-01 00:00:11', '2020-01-01 00:00:11'), (2, '2020-01-01 00:00:12', '2020-01-01 00:00:12')")
	for _, column := range []string{"at", "ts"} {
		c.want("select id from d where "+column+" > '2020-01-01 00:00:11.96'", "2")
		c.want("select id from d where "+column+" >= '2020-01-01 00:00:11.96'", "2")
		c.want("select id from d where "+column+" < '2020-01-01 00:00:11.04'", "1")
		c.want("select id from d where "+column+" = '2020-01-01 00:00:11.96'", "")
		c.want("select id from d where "+column+" in ('2020-01-01 00:00:11.96', '2020-01-01 00:00:11')", "1")
	}
}

func TestSums(t *testing.T) {
	c := newWorld(t).client()
	c.exec("create table n (id int primary key, s bigint, u bigint unsigned, i int, k tinyint unsigned)",
		"insert into n values (1, 9223372036854775807, 18446744073709551615, 2147483647, 255), (2, -9223372036854775808, 0, -2147483648, 0), (3, null, null, null, null)")
	for _, x := range []struct{ query, want string }{
		{"select 1 + 1, 200 - 300, 2 * -3, 255 + 1, 4294967295 * 2", "2,-100,-6,256,8589934590"},
		{"select i + i, i - s + s, k + k, k * k from n where id = 1", "4294967294,2147483647,510,65025"},
		{"select i + 1, i * 2, k - 0 from n where id = 2", "-2147483647,-4294967296,0"},
		{"select s + 1, u + 1, i + 1 from n where id = 3", "NULL,NULL,NULL"},
		{"select s + -9223372036854775807 from n where id = 1", "0"},
		{"select 9223372036854775807 + 0, -9223372036854775807 - 1", "9223372036854775807,-9223372036854775808"},
		{"select 18446744073709551614 + 1, u - 18446744073709551615 from n where id = 1", "18446744073709551615,0"},
		{"select 3037000500 * 3037000499", "9223372033963249500"},
		{"select sum(k + 1), max(i + 1) from n", "257,2147483648"},
		{"select 1 + 1.5, 1 + '2', 1e0 + 1", "2.5,3,2"},
		{"select id from n where s + 0 > 0", "1"},
		{"select length('abc') - 5, char_length('') - 1", "-2,-1"},
	} {
		c.want(x.query, x.want)
	}
	for _, x := range []struct{ query, want string }{
		{"select 18446744073709551615 + 1", "BIGINT UNSIGNED value is out of range in '(18446744073709551615 + 1)'"},
		{"select 9223372036854775807 + 1", "BIGINT value is out of range in '(9223372036854775807 + 1)'"},
		{"select -9223372036854775807 - 2", "BIGINT value is out of range"},
		{"select 9223372036854775807 * 9223372036854775807", "BIGINT value is out of range"},
		{"select s + 1 from n", "BIGINT value is out of range"},
		{"select s * -1 from n where id = 2", "BIGINT value is out of range"},
		{"select k - 256 from n where id = 1", "BIGINT UNSIGNED value is out of range"},
		{"select u + u from n where id = 1", "BIGINT UNSIGNED value is out of range"},
		{"select id from n where s + 1 > 0", "BIGINT value is out of range"},
		{"select cast(1 as unsigned) - 2", "BIGINT UNSIGNED value is out of range"},
	} {
		c.fails(x.query, x.want)
	}
	c.exec("set sql_mode = 'NO_UNSIGNED_SUBTRACTION'")
	c.want("select k - 256 from n where id = 1", "-1")
}
