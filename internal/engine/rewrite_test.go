package engine

import "testing"

// TestWhatTheEngineUnderneathLacks checks statements that are prepared here before the SQL engine runs them.
func TestWhatTheEngineUnderneathLacks(t *testing.T) {
	c := newWorld(t).client()
	for _, q := range []string{
		"create table g (id int auto_increment primary key, a int default 7, twice int as (a * 2) stored, thrice int as (a * 3))",
		"insert into g () values ()",
		"insert into g () values (), ()",
		"insert into g (a) values (1)",
		"create table z (id int primary key, d date, t datetime(3), s timestamp null)",
		"set sql_mode = ''",
		"insert into z values (1, '0000-00-00', '0000-00-00', '0000-00-00'), (2, '0000-01-01', '2020-01-02 03:04:05.06', null)",
		"create table s (id int primary key, v varchar(20) default 'it''s \\\\', n int default 7)",
		"create table j (id int primary key, d json)",
		"insert into j values (1, '[12345678901234567890, 1.10]'), (2, '5'), (3, null), (4, '9007199254740993')",
		"update j set d = '[-9007199254740993]' where id = 2",
		"insert into j values (4, '0') on duplicate key update d = '18446744073709551615'",
		"insert into j select id + 10, d from j where id = 1",
		"replace into j values (3, '{\"b\": 9007199254740995}')",
	} {
		c.exec(q)
	}
	for _, x := range []struct{ query, want string }{
		{"select * from g", "1,7,14,21 2,7,14,21 3,7,14,21 4,1,2,3"},
		{"select cast(d as char), cast(t as char), cast(s as char) from z",
			"0000-00-00,0000-00-00 00:00:00.000,0000-00-00 00:00:00 0000-01-01,2020-01-02 03:04:05.060,NULL"},
		{"select id from z where cast(d as char) = '0000-01-01'", "2"},
		{"select id from z where d = '0000-00-00' and t = '0000-00-00' and s = '0000-00-00'", "1"},
		{"select max(cast(d as char)) from z group by id > 1", "0000-00-00 0000-01-01"},
		{"select cast(cast('2020-01-02' as date) as char)", "2020-01-02"},
		{"show columns from s", "id,int,NO,PRI,NULL, v,varchar(20),YES,,it's \\, n,int,YES,,7,"},
		{"select id, d from j", `1,[12345678901234567890, 1.1] 2,[-9007199254740993] 3,{"b": 9007199254740995} 4,18446744073709551615 11,[12345678901234567890, 1.1]`},
	} {
		got, err := c.query(x.query)
		if err != nil || got != x.want {
			t.Errorf("%s:\n got %s (%v)\nwant %s", x.query, got, err, x.want)
		}
	}
	if _, err := c.query("insert into j values (9, '{x')"); err == nil {
		t.Error("text that is not JSON was taken")
	}
}

// TestNamedDefaults names columns and leaves their values to their defaults, which are made of columns that are not named.
func TestNamedDefaults(t *testing.T) {
	c := newWorld(t).client()
	c.exec("create table g (id int primary key, a int default 7, twice int as (a * 2) stored, thrice int as (a * 3), s varchar(9) default (concat('x', a)))",
		"insert into g (id, twice) values (1, default)",
		"insert into g (id, thrice, twice) values (2, default, default)",
		"insert into g (thrice, id) values (default, 3), (default, 4)",
		"insert into g (s, twice, id, a) values (default, default, 5, 5)",
		"insert into g (s, id) values (default, 6), (default, 7)",
		"replace into g (twice, id) values (default, 4)",
		"insert into g (twice, id) values (default, 3) on duplicate key update a = 9",
		"insert into g set id = 10, twice = default")
	c.want("select * from g", "1,7,14,21,x7 2,7,14,21,x7 3,9,18,27,x7 4,7,14,21,x7 5,5,10,15,x5 6,7,14,21,x7 7,7,14,21,x7 10,7,14,21,x7")
	c.fails("insert into g (id, twice) values (11, 5)", "generated column")
	c.fails("insert into g (id, twice) values (11, null)", "generated column")
}
