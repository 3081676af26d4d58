package engine

import "testing"

// TestASCII refuses text that a column of the character set ascii cannot have, however it comes, and looks for it all the same.
func TestASCII(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create table a (id int primary key, s varchar(20) character set ascii, x text character set ascii collate ascii_general_ci, u varchar(20))",
		"insert into a values (1, 'plain', 'plain', 'é')")
	for _, q := range []string{
		"insert into a (id, s) values (2, 'caf\u00e9')",
		"insert into a (id, s) select 2, concat(u, 'x') from a",
		"replace into a (id, s) values (1, '\u00e9')",
		"insert into a (id, s) values (1, 'x') on duplicate key update s = '\u00e9'",
		"update a set s = '\u00e9' where id = 1",
		"update a set s = concat(s, '\u00e9')",
	} {
		c.fails(q, `for column 's'`)
	}
	c.fails("insert into a (id, x) values (2, 'ab\u00e9cd\u20acfgh')", `Incorrect string value: '\xC3\xA9cd\xE2\x82...' for column 'x'`)
	c.fails("alter table a modify u varchar(20) character set ascii", `Incorrect string value: '\xC3\xA9' for column 'u'`)
	c.want("select id, s, x, u from a", "1,plain,plain,é")
	c.want("select count(*) from a where s = 'é' or x < 'é' and s <> 'é'", "1")
	c.exec("create table k (s varchar(20) character set ascii primary key, n int) ", "insert into k values ('a', 1)")
	c.want("select count(*) from k where s = 'é'", "0")
	c.exec("update k set n = 2 where s = 'é'", "delete from k where s = 'é'")
	c.fails("update k set s = 'é' where s = 'a'", `for column 's'`)
	c.exec("create table keyless (s varchar(20) character set ascii)", "insert into keyless values ('a'), ('b')")
	c.fails("update keyless set s = 'é' where s = 'a'", `for column 's'`)
	c.want("select s from keyless order by s", "a b")
}
