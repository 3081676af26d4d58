package engine

import (
	"testing"

	"github.com/stemmadb/stemma/internal/fsck"
)

// TestKeysUnderForeignKeys: what a foreign key needs is not taken from it.
func TestKeysUnderForeignKeys(t *testing.T) {
	c := versioned(t)
	c.exec("create table p (id int primary key, n int)", "create table c (id int primary key, p int, constraint fp foreign key (p) references p (id))",
		"create table own (id int, x int, primary key (id, x), constraint fo foreign key (id) references p (id))")
	c.fails("alter table p drop primary key", "needed in foreign key constraint")
	c.fails("alter table own drop primary key", "needed in foreign key constraint fo")
	c.exec("alter table c drop primary key") // its key is on p, which has an index
	c.exec("alter table p add unique key u (id)", "alter table p drop primary key")
	c.fails("alter table p drop index u", "is used by foreign key")
	c.exec("set foreign_key_checks = 0", "alter table own drop primary key")
}

// TestDropCheckBesideVirtualColumns drops constraints of a table whose wrapper tells the engine of none.
func TestDropCheckBesideVirtualColumns(t *testing.T) {
	c := versioned(t)
	c.exec("create table t (id int primary key, a int, v int generated always as (a * 2) virtual, constraint c1 check (a < 10), constraint c2 check (v < 30))",
		"insert into t (id, a) values (1, 1)")
	c.fails("insert into t (id, a) values (2, 12)", "c1")
	c.exec("alter table t drop check c1", "insert into t (id, a) values (2, 12)")
	c.fails("insert into t (id, a) values (3, 16)", "c2")
	c.exec("alter table t drop constraint c2, add constraint c3 check (v < 50)", "insert into t (id, a) values (3, 16)")
	c.fails("alter table t drop check c2", "c2")
	c.fails("insert into t (id, a) values (4, 30)", "c3")
	c.want("select id, a, v from t", "1,1,2 2,12,24 3,16,32")
}

// TestForeignKeysOfNonlocalTables: keys hold within the branch that has the tables, whatever branch a statement comes from, and none
// crosses branches.
func TestForeignKeysOfNonlocalTables(t *testing.T) {
	c := versioned(t)
	c.exec("create table p (id int primary key)", "create table c (id int primary key, p int, constraint fp foreign key (p) references p (id) on delete cascade)",
		"insert into p values (1), (2)", "insert into c values (1, 1), (2, 2)", "call dolt_commit('-Am', 'base')", "call dolt_branch('side')", "call dolt_checkout('side')",
		"drop table c", "drop table p", "insert into dolt_nonlocal_tables (table_name, target_ref, ref_table, options) values ('child', 'main', 'c', 'immediate'), ('parent', 'main', 'p', 'immediate')")
	c.fails("insert into child values (3, 3)", "oreign key")
	c.exec("insert into parent values (3)", "insert into child values (3, 3)", "delete from parent where id = 1")
	c.want("select id, p from child", "2,2 3,3")
	c.fails("update child set p = 9 where id = 2", "oreign key")
	c.fails("create table l (id int primary key, p int, constraint fl foreign key (p) references parent (id))", "dolt_nonlocal_tables says")
	c.exec("create table l (id int primary key, p int)")
	c.fails("alter table l add constraint fl foreign key (p) references parent (id)", "dolt_nonlocal_tables says")
	c.exec("insert into l values (2, 2), (3, 3)")
	c.fails("alter table child add constraint f2 foreign key (p) references l (id)", "is none there")
	c.want("select count(*) from information_schema.referential_constraints where constraint_name in ('fl', 'f2')", "0")
	c.exec("call dolt_checkout('main')")
	c.want("select id, p from c", "2,2 3,3")
}

// TestRestoreKeepsForeignKeys: a table is restored when no row of another one is left without its parent.
func TestRestoreKeepsForeignKeys(t *testing.T) {
	c := versioned(t)
	c.exec("create table p (id int primary key)", "create table c (id int primary key, p int, constraint fp foreign key (p) references p (id))", "create table other (id int primary key)",
		"insert into p values (1)", "insert into c values (1, 1)", "call dolt_commit('-Am', 'base')",
		"insert into p values (2)", "insert into c values (2, 2)", "insert into other values (7)")
	c.fails("call dolt_checkout('p')", "rows of c would violate foreign keys")
	c.want("select id from p", "1 2")
	c.exec("call dolt_checkout('p', 'c')")
	c.want("select p.id, c.id from p join c on p.id = c.p", "1,1")
	c.want("select id from other", "7")
	c.exec("insert into c values (3, 1)", "call dolt_checkout('c')") // the child alone may go back
	c.exec("delete from c", "delete from p")
	c.fails("call dolt_checkout('c')", "rows of c would violate foreign keys")
	c.exec("call dolt_checkout('p', 'c')")
	c.fails("call dolt_checkout('HEAD^', 'p')", "rows of c would violate") // before the table
}

// TestVerificationKeepsViolations: rows that a verification finds are listed until they are changed or taken off, and no commit passes them.
func TestVerificationKeepsViolations(t *testing.T) {
	c := versioned(t)
	c.exec("create table p (id int primary key)", "create table c (id int primary key, p int, constraint fp foreign key (p) references p (id))", "create table o (id int primary key)",
		"insert into p values (1)", "insert into c values (1, 1)", "call dolt_commit('-Am', 'base')", "call dolt_branch('side')",
		"set foreign_key_checks = 0", "insert into c values (2, 2), (3, 3)", "set foreign_key_checks = 1")
	c.want("call dolt_verify_constraints('--output-only')", "1")
	c.want("select * from dolt_constraint_violations", "")
	c.want("call dolt_verify_constraints()", "1")
	c.want("select * from dolt_constraint_violations", "c,2")
	c.want("select from_root_ish = hashof('HEAD'), violation_type, id, p, violation_info->>'$.ForeignKey' from dolt_constraint_violations_c", "true,1,2,2,fp true,1,3,3,fp")
	c.want("select is_merging from dolt_merge_status", "0")
	c.want("select table_name, status from dolt_status", "c,constraint violation")
	c.fails("call dolt_commit('-Am', 'too early')", "constraint violations")
	c.fails("call dolt_merge('side~0', '--no-ff')", "constraint violations")
	c.fails("call dolt_merge('--abort')", "no merge to abort")
	c.exec("insert into p values (2)")
	c.want("call dolt_verify_constraints('--all')", "1")
	c.want("select id from dolt_constraint_violations_c", "3")
	c.exec("delete from dolt_constraint_violations_c where id = 3")
	c.want("select count(*) from dolt_constraint_violations", "0")
	c.exec("call dolt_commit('-am', 'as it is')")
	c.want("call dolt_verify_constraints()", "0") // nothing differs from the last commit
	c.want("call dolt_verify_constraints('--all', 'p')", "0")
	c.want("call dolt_verify_constraints('--all', 'c')", "1")
	c.exec("call dolt_reset('--hard')")
	c.want("select count(*) from dolt_constraint_violations", "0")
	c.want("call dolt_verify_constraints('--all')", "1")
	c.exec("delete from c where id = 3")
	c.want("call dolt_verify_constraints('--all')", "0")
	c.exec("call dolt_commit('-am', 'well')")
	r, _, _ := c.w.eng.Provider().Lookup("db")
	starts, err := r.Starts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f := fsck.New(r.Store(), func(x fsck.Problem) { t.Error(x) }, nil)
	for _, s := range starts {
		if err := f.Check(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
}

// TestForeignKeysOfCommits: SHOW CREATE TABLE shows those that a commit had, and tables of commits stay as they are.
func TestForeignKeysOfCommits(t *testing.T) {
	c := versioned(t)
	c.exec("create table p (id int primary key)", "create table c (id int primary key, p int, constraint fp foreign key (p) references p (id))",
		"insert into p values (1)", "insert into c values (1, 1)", "call dolt_commit('-Am', 'keys')", "call dolt_tag('v1')", "alter table c drop foreign key fp", "insert into c values (2, 2)")
	const with = "c,CREATE TABLE `c` (\n  `id` int NOT NULL,\n  `p` int,\n  PRIMARY KEY (`id`),\n  KEY `fp` (`p`),\n  CONSTRAINT `fp` FOREIGN KEY (`p`) REFERENCES `p` (`id`)\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin"
	c.want("show create table c as of 'v1'", with)
	c.want("show create table `db/v1`.c", with)
	c.want("select c.id, p.id from c as of 'v1' join p as of 'v1' on c.p = p.id", "1,1")
	for _, q := range []string{"insert into `db/v1`.c values (3, 3)", "delete from `db/v1`.p", "alter table `db/v1`.c drop foreign key fp", "truncate table `db/v1`.p"} {
		c.fails(q, "read-only")
	}
	c.want("select count(*) from p", "1")
}
