package engine

import (
	"context"
	"testing"

	"github.com/stemmadb/stemma/internal/engine/fn"
	"github.com/stemmadb/stemma/internal/engine/proc"
	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/engine/systab"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// versioned is a client of an engine with all that is there for versions.
func versioned(t *testing.T) *client {
	t.Helper()
	w := &world{t: t, fs: vfs.NewMem()}
	if err := w.fs.MkdirAll(dataDir); err != nil {
		t.Fatal(err)
	}
	w.openVersioned(repo.Options{})
	t.Cleanup(func() { w.eng.Close(context.Background()) })
	c := w.client()
	c.exec("create database db")
	return c
}

// openVersioned opens the databases with all of version control.
func (w *world) openVersioned(opt repo.Options) {
	w.t.Helper()
	w.openVersionedOn(w.fs, opt)
}

// openVersionedOn is openVersioned by way of another file system.
func (w *world) openVersionedOn(fs vfs.FS, opt repo.Options) {
	w.t.Helper()
	procs := proc.New(op.All(), "test")
	eng, err := New(context.Background(), Options{FS: fs, Dir: dataDir, Repo: opt, Registries: registry.Registries{
		SystemTables: systab.Tables(), TableFunctions: systab.Functions(), Procedures: procs.Procedures(), Reshaped: systab.Reshaped,
		Functions: append(fn.Functions(fn.Versions{Program: "test", Storage: "test"}), fn.Procedures(procs.Rows, procs.Names()...)...),
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.eng = eng
}

// forked makes the branch side; ours and theirs are statements on main and on side.
func forked(t *testing.T, base, ours, theirs []string) *client {
	t.Helper()
	c := versioned(t)
	c.exec(base...)
	c.exec("call dolt_commit('-Am', 'base')", "call dolt_checkout('-b', 'side')")
	c.exec(theirs...)
	c.exec("call dolt_commit('-Am', 'theirs')", "call dolt_checkout('main')")
	c.exec(ours...)
	c.exec("call dolt_commit('-Am', 'ours')")
	return c
}

var conflicting = [3][]string{
	{"create table t (id int primary key, v varchar(20), w int)", "insert into t values (1,'a',1),(2,'b',2),(3,'c',3)"},
	{"update t set v = 'ours' where id = 1", "delete from t where id = 3", "update t set w = 22 where id = 2"},
	{"update t set v = 'theirs' where id = 1", "update t set w = 33 where id = 3", "update t set v = 'bb' where id = 2", "insert into t values (4,'d',4)"},
}

func TestMergeByCall(t *testing.T) {
	c := forked(t, conflicting[0], []string{"update t set w = 22 where id = 2"}, []string{"update t set v = 'bb' where id = 2"})
	c.want("select length(`hash`), fast_forward, conflicts, message from (select 1) x, (select dolt_merge_base('main', 'side') `hash`, 0 fast_forward, 0 conflicts, '' message) y", "32,0,0,")
	c.exec("call dolt_merge('side', '-m', 'both')")
	c.want("select * from t where id = 2", "2,bb,22")
	c.want("select message from dolt_log limit 1", "both")
	c.want("select count(*) from dolt_commit_ancestors where commit_hash = hashof('HEAD')", "2")
	c.want("call dolt_merge('side')", ",0,0,Everything up-to-date")
	c.want("select has_ancestor('main', 'side'), has_ancestor('side', 'main')", "true,false")
	c.exec("call dolt_checkout('side')", "select dolt_merge('main')")
	c.want("select dolt_merge_base('main', 'side') = hashof('main')", "true")
}

func TestMergeConflictsBySQL(t *testing.T) {
	c := forked(t, conflicting[0], conflicting[1], conflicting[2])
	c.want("select * from dolt_preview_merge_conflicts_summary('main', 'side')", "t,2,0")
	const columns = "base_id, base_v, base_w, our_id, our_v, our_w, our_diff_type, their_id, their_v, their_w, their_diff_type"
	const first, second = "1,a,1,1,ours,1,modified,1,theirs,1,modified", "3,c,3,NULL,NULL,NULL,removed,3,c,33,modified"
	c.want("select "+columns+" from dolt_preview_merge_conflicts('main', 'side', 't')", first+" "+second)
	c.want("select * from dolt_merge_status", "0,NULL,NULL,NULL,NULL")
	c.want("select count(*) from dolt_conflicts_t", "0")
	// Under autocommit the merge is taken back.
	c.fails("call dolt_merge('side')", "Merge conflict detected, @autocommit transaction rolled back")
	c.want("select is_merging from dolt_merge_status", "0")
	c.want("select * from t", "1,ours,1 2,b,22")
	c.exec("set @@dolt_allow_commit_conflicts = 1")
	c.want("call dolt_merge('side')", ",0,1,conflicts found")
	c.want("select is_merging, source, source_commit = hashof('side'), target, unmerged_tables from dolt_merge_status", "1,side,true,refs/heads/main,t")
	c.want("select * from dolt_conflicts", "t,2")
	c.want("select table_name, staged, status from dolt_status order by status", "t,0,conflict")
	c.want("select "+columns+" from dolt_conflicts_t", first+" "+second)
	c.want("select from_root_ish = hashof('side'), length(dolt_conflict_id) from dolt_conflicts_t limit 1", "true,22")
	c.want("select * from t", "1,ours,1 2,bb,22 4,d,4")
	c.fails("call dolt_commit('-am', 'too early')", "unresolved conflicts")
	// Rows are changed and settled one by one, within transactions.
	c.exec("update dolt_conflicts_t set our_v = concat(their_v, '!'), our_w = 5 where base_id = 1")
	c.want("select our_v, our_w, our_diff_type from dolt_conflicts_t where base_id = 1", "theirs!,5,modified")
	c.want("select * from t where id = 1", "1,theirs!,5")
	c.fails("update dolt_conflicts_t set their_v = 'x'", "only the our_ columns")
	c.exec("start transaction", "delete from dolt_conflicts_t where base_id = 1")
	c.want("select * from dolt_conflicts", "t,1")
	c.exec("rollback")
	c.want("select * from dolt_conflicts", "t,2")
	c.exec("delete from dolt_conflicts_t where base_id = 1")
	c.want("select base_id from dolt_conflicts_t", "3")
	c.exec("call dolt_conflicts_resolve('--theirs', 't')")
	c.want("select count(*) from dolt_conflicts", "0")
	c.want("select * from t", "1,theirs!,5 2,bb,22 3,c,33 4,d,4")
	c.exec("call dolt_commit('-am', 'merged')")
	c.want("select count(*) from dolt_commit_ancestors where commit_hash = hashof('HEAD')", "2")
	c.want("select is_merging from dolt_merge_status", "0")
	// In a transaction of its own a merge stays, and can be given up.
	c.exec("call dolt_reset('--hard', 'HEAD^')", "set @@dolt_allow_commit_conflicts = 0", "start transaction")
	c.want("call dolt_merge('side')", ",0,1,conflicts found")
	c.want("call dolt_merge('--abort')", ",0,0,merge aborted")
	c.exec("commit")
	c.want("select * from t", "1,ours,1 2,b,22")
}

func TestMergeViolationsBySQL(t *testing.T) {
	c := forked(t, []string{"create table t (id int primary key, v varchar(20), unique key u (v))", "insert into t values (1,'a')"},
		[]string{"insert into t values (2,'x')"}, []string{"insert into t values (3,'x'), (4, 'y')"})
	c.exec("set @@dolt_force_transaction_commit = 1", "call dolt_merge('side')")
	c.want("select * from dolt_constraint_violations", "t,2")
	c.want("select violation_type, id, v, violation_info from dolt_constraint_violations_t", `2,2,x,{"Name": "u", "Columns": ["v"]} 2,3,x,{"Name": "u", "Columns": ["v"]}`)
	c.fails("call dolt_commit('-am', 'too early')", "constraint violations")
	c.want("call dolt_verify_constraints()", "1")
	c.exec("update t set v = 'z' where id = 3")
	c.exec("delete from dolt_constraint_violations_t where id = 2")
	c.want("select * from dolt_constraint_violations", "t,1")
	c.want("call dolt_verify_constraints('--all')", "0")
	c.want("select count(*) from dolt_constraint_violations_t", "0")
	c.exec("call dolt_commit('-am', 'merged')")
	c.want("select * from t", "1,a 2,x 3,z 4,y")
}

func TestMergeSchemasBySQL(t *testing.T) {
	c := forked(t, conflicting[0], []string{"alter table t add column x int"}, []string{"alter table t add column x varchar(10)"})
	c.exec("set @@dolt_allow_commit_conflicts = 1", "call dolt_merge('side')")
	c.want("select table_name, description from dolt_schema_conflicts", "t,incompatible column types for column 'x': int and varchar(10)")
	c.want("select our_schema like '%`x` int%', their_schema like '%`x` varchar(10)%', base_schema like '%`x`%' from dolt_schema_conflicts", "true,true,false")
	c.want("select * from dolt_preview_merge_conflicts_summary('main', 'side')", "t,NULL,1")
	c.exec("call dolt_conflicts_resolve('--theirs', '.')")
	c.want("select count(*) from dolt_schema_conflicts", "0")
	c.exec("call dolt_commit('-am', 'merged')")
	c.want("show columns from t like 'x'", "x,varchar(10),YES,,NULL,")

	same := []string{"alter table t add column x int default 7", "update t set x = 8 where id = 1"}
	c = forked(t, conflicting[0], same, append(same, "insert into t values (9, 'n', 9, 9)"))
	c.exec("call dolt_merge('side')")
	c.want("select * from t", "1,a,1,8 2,b,2,7 3,c,3,7 9,n,9,9")
}

func TestPickByCall(t *testing.T) {
	c := forked(t, conflicting[0], []string{"update t set w = 22 where id = 2"}, []string{"update t set v = 'bb' where id = 2"})
	c.exec("call dolt_cherry_pick('side')")
	c.want("select * from t where id = 2", "2,bb,22")
	c.want("select message from dolt_log limit 1", "theirs")
	c.exec("call dolt_revert('HEAD~1')")
	c.want("select * from t where id = 2", "2,bb,2")
	c.want("select message from dolt_log limit 1", `Revert "ours"`)
	c.exec("update t set v = 'other' where id = 2", "call dolt_commit('-am', 'other')")
	c.fails("call dolt_revert('HEAD~2')", "Merge conflict detected")
	c.exec("set @@dolt_allow_commit_conflicts = 1")
	c.want("call dolt_revert('HEAD~2')", ",1,0,0")
	c.exec("call dolt_revert('--abort')")
	c.want("select * from t where id = 2", "2,other,2")
}
