package engine

import (
	"strings"
	"testing"
)

// TestPatchForeignKeys applies patches between states whose tables foreign keys link, with checks on, and gets the state.
func TestPatchForeignKeys(t *testing.T) {
	pair := []string{"create table zparent (id int primary key, n int, unique key u (n))", "create table child (id int primary key, p int, constraint fp foreign key (p) references zparent (id) on delete cascade on update cascade)",
		"insert into zparent values (1,1),(2,2),(3,3)", "insert into child values (10,1),(11,2),(12,null)"}
	for _, c := range []struct {
		name    string
		from    []string
		change  []string
		checked bool // the patch turns checks off and on
	}{
		{"made", nil, pair, true},
		{"rows", pair, []string{"insert into zparent values (4,4)", "insert into child values (13,4)", "delete from child where id = 10", "delete from zparent where id = 1", "update child set p = 3 where id = 11", "delete from zparent where id = 2"}, true},
		{"cascades", pair, []string{"delete from zparent where id = 1", "update zparent set id = 20 where id = 2"}, true},
		{"of the parent alone", pair, []string{"update zparent set n = 10 - n"}, true},
		{"key dropped", pair, []string{"alter table child drop foreign key fp", "delete from zparent", "drop table zparent"}, true},
		{"renamed", pair, []string{"rename table zparent to aparent", "insert into aparent values (4,4)", "insert into child values (13,4)"}, true},
		{"retyped", pair, []string{"alter table child drop foreign key fp", "alter table zparent modify column id bigint", "alter table child modify column p bigint", "alter table child add constraint fp foreign key (p) references zparent (id)"}, true},
		{"itself", []string{"create table t (id int primary key, up int, constraint s foreign key (up) references t (id))", "insert into t values (2,null)", "insert into t values (1,2)"},
			[]string{"update t set up = null", "delete from t where id = 2", "insert into t values (9,null)", "insert into t values (3,9)"}, true},
		{"each other", nil, []string{"create table a (id int primary key, b int)", "create table b (id int primary key, a int, constraint ba foreign key (a) references a (id))", "alter table a add constraint ab foreign key (b) references b (id)",
			"insert into a values (1,null)", "insert into b values (1,1)", "update a set b = 1"}, true},
		{"beside", append([]string{"create table plain (id int primary key)"}, pair...), []string{"insert into plain values (1)"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := versioned(t)
			cl.exec(c.from...)
			cl.exec("call dolt_commit('-A', '--allow-empty', '-m', 'from')", "call dolt_branch('from')")
			cl.exec(c.change...)
			cl.exec("call dolt_commit('-Am', 'to')", "call dolt_branch('to')")
			for _, way := range [][2]string{{"from", "to"}, {"to", "from"}} {
				cl.exec("call dolt_checkout('-b', 'apply_" + way[0] + "', '" + way[0] + "')")
				out, err := cl.query("select concat(replace(statement, ' ', '~'), '') from dolt_patch('" + way[0] + "', '" + way[1] + "') order by statement_order")
				if err != nil {
					t.Fatal(err)
				}
				statements := strings.Fields(strings.ReplaceAll(out, "\n", "~"))
				if has := strings.Contains(out, "FOREIGN_KEY_CHECKS"); has != c.checked {
					t.Errorf("the patch from %s turns checks off: %v, want %v", way[0], has, c.checked)
				}
				for _, s := range statements {
					cl.exec(strings.ReplaceAll(s, "~", " "))
				}
				cl.want("select @@foreign_key_checks", "1")
				cl.want("select dolt_hashof_db('WORKING') = dolt_hashof_db('"+way[1]+"')", "true")
				cl.exec("call dolt_commit('-A', '--allow-empty', '-m', 'applied')")
			}
		})
	}
}
