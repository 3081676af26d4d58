package engine

import "testing"

// TestChecksBesideVirtualColumns writes rows to tables with CHECK constraints and virtual columns, whose wrapper tells the engine of none.
func TestChecksBesideVirtualColumns(t *testing.T) {
	for _, table := range []string{"id int primary key", "id int"} {
		c := newWorld(t).client()
		c.exec("create table t ("+table+", k int, v int generated always as (k * 2) virtual, s int generated always as (k + 1) stored, w varchar(20), "+
			"constraint cv check (v < 14), constraint ck check (k >= 0), constraint cs check (s <> 4), constraint cw check (w <> 'x') not enforced)",
			"insert into t (id, k, w) values (1, 1, 'x'), (2, null, 'y')")
		for _, q := range []string{
			"insert into t (id, k) values (3, 7)", "insert into t (id, k) values (3, 1), (4, -1)", "update t set k = 7 where id = 1", "update t set k = k - 2", "update t set k = 3 where id = 2",
			"replace into t (id, k) values (1, 8)", "insert into t (id, k) select id + 10, k + 6 from t",
		} {
			c.fails(q, "Check constraint")
		}
		c.want("select * from t order by id", "1,1,2,2,x 2,NULL,NULL,NULL,y")
		c.exec("insert into t (id, k) values (5, 6)", "update t set k = 5 where id = 1")
		c.want("select * from t order by id", "1,5,10,6,x 2,NULL,NULL,NULL,y 5,6,12,7,NULL")
		c.fails("update t set k = -1 where id = 5", "Check constraint \"ck\" violated")
	}
}
