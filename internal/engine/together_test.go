package engine

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// TestTransactionOnTwoBranches checks that a transaction that wrote two branches of a database by their names commits on both or on
// neither, when another is in the way on one of them and when the power is cut.
func TestTransactionOnTwoBranches(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create table t (id int primary key, n int)")
	c.exec("insert into t values (1, 0)")
	id := w.commit("main", "first", time.Unix(1, 0))
	if err := w.repo().CreateBranch(context.Background(), "side", id, false); err != nil {
		t.Fatal(err)
	}
	write := func(c *client) {
		c.exec("begin")
		c.exec("update `db/main`.t set n = n + 1 where id = 1")
		c.exec("update `db/side`.t set n = n + 1 where id = 1")
	}
	for _, branch := range []string{"main", "side"} {
		a, b := w.client(), w.client()
		write(a)
		b.exec("update `db/" + branch + "`.t set n = n + 10 where id = 1")
		if _, err := a.query("commit"); err == nil {
			t.Fatalf("a transaction commits over a change on %s", branch)
		}
	}
	want := func(c *client, main, side string) {
		t.Helper()
		for branch, n := range map[string]string{"main": main, "side": side} {
			if got := numberOn(c, branch); got != n {
				t.Fatalf("branch %s has %q, want %q", branch, got, n)
			}
		}
	}
	want(w.client(), "10", "10")

	mem := w.fs
	if err := w.eng.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	rng := rand.New(rand.NewPCG(1, 1))
	crash := func() {
		x := &world{t: t, fs: mem.CrashClone(rng)}
		x.open(repo.Options{})
		n := numberOn(x.client(), "main")
		want(x.client(), n, n)
		seen[n]++
		if err := x.eng.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	hooked := vfs.WithHook(mem, func(op vfs.Op) error {
		if op.Kind == vfs.OpWrite || op.Kind == vfs.OpSync {
			for range 8 {
				crash()
			}
		}
		return nil
	})
	eng, err := New(context.Background(), Options{FS: hooked, Dir: dataDir})
	if err != nil {
		t.Fatal(err)
	}
	x := &world{t: t, fs: mem, eng: eng}
	a := x.client()
	write(a)
	a.exec("commit")
	want(x.client(), "11", "11")
	crash()
	if err := eng.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if seen["10"] == 0 || seen["11"] == 0 {
		t.Errorf("crashes left %v, want some before and some after the commit", seen)
	}
}

// TestCommitInTransaction checks that dolt_commit in a transaction makes the transaction and its commit last together or not at all, as a procedure
// and as a function, whenever the power is cut.
func TestCommitInTransaction(t *testing.T) {
	for _, commit := range []string{"call dolt_commit('-am', 'one')", "select dolt_commit('-am', 'one')", "call stemma_commit('-A', '-m', 'one')"} {
		c := versioned(t)
		w := c.w
		c.exec("create table t (id int primary key, n int)", "insert into t values (1, 0)", "call dolt_commit('-Am', 'zero')")
		mem := w.fs
		if err := w.eng.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		seen := map[string]int{}
		rng := rand.New(rand.NewPCG(1, 1))
		crash := func() {
			x := &world{t: t, fs: mem.CrashClone(rng)}
			x.openVersioned(repo.Options{})
			got, err := x.client().query("select concat(n, ' ', (select message from dolt_log limit 1), ' ', (select count(*) from dolt_status)) from t")
			if err != nil {
				t.Fatal(err)
			}
			seen[got]++
			if err := x.eng.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		armed := false
		hooked := vfs.WithHook(mem, func(op vfs.Op) error {
			if armed && (op.Kind == vfs.OpWrite || op.Kind == vfs.OpSync) {
				for range 4 {
					crash()
				}
			}
			return nil
		})
		x := &world{t: t, fs: mem}
		x.openVersionedOn(hooked, repo.Options{})
		a := x.client()
		a.exec("begin", "update t set n = 1")
		armed = true
		a.exec(commit)
		armed = false
		crash()
		if err := x.eng.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if len(seen) != 2 || seen["0 zero 0"] == 0 || seen["1 one 0"] == 0 {
			t.Errorf("%s: crashes left %v, want some of before and some of after it, and nothing between", commit, seen)
		}
	}
}

// TestCommitInTransactionOtherwise checks what dolt_commit leaves in a transaction when it is not one record: when there is nothing to commit, when it
// fails, when other branches were written and when another client is in the way.
func TestCommitInTransactionOtherwise(t *testing.T) {
	c := versioned(t)
	other := c.w.client()
	c.exec("create table t (id int primary key, n int)", "insert into t values (1, 0)", "call dolt_commit('-Am', 'zero')", "call dolt_branch('side')")
	const state = "select concat(n, ' ', (select group_concat(message order by commit_order desc) from dolt_log where message <> 'Initialize data repository'), ' ', (select count(*) from dolt_status)) from t"
	for _, x := range []struct{ commit, fails, want string }{
		{"call dolt_commit('-m', 'not staged')", "nothing to commit", "1 zero 1"},
		{"call dolt_commit('--skip-empty', '-m', 'not staged')", "", "1 zero 1"},
		{"call dolt_commit('-a')", "needs a message", "1 zero 1"},
		{"call dolt_commit('-am', 'x', '--allow-empty', '--skip-empty')", "exclude each other", "1 zero 1"},
		{"call dolt_commit('--branch', 'side', '--allow-empty', '-m', 'elsewhere')", "", "1 zero 1"},
		{"call dolt_commit('--amend', '-am', 'amended')", "", "1 amended 0"},
	} {
		c.exec("begin", "update t set n = 1")
		if x.fails == "" {
			c.exec(x.commit)
		} else {
			c.fails(x.commit, x.fails)
		}
		c.exec("rollback") // of nothing: it is committed
		c.want(state, x.want)
		other.want(state, x.want)
		c.exec("update t set n = 0")
	}
	c.exec("update t set n = 1", "begin", "update t set n = 2", "update `db/side`.t set n = 7", "call dolt_commit('-am', 'two branches')", "rollback")
	other.want(state, "2 two branches,amended 0")
	other.want("select n from `db/side`.t", "7")

	c.exec("create temporary table s (id int primary key)", "begin", "insert into s values (1)", "update t set n = 3", "call dolt_commit('-am', 'beside temporary')", "rollback")
	c.want("select count(*) from s", "1")
	c.want("select n from t", "3")

	c.exec("begin", "update t set n = 4")
	other.exec("update t set n = 5")
	c.fails("call dolt_commit('-am', 'in the way')", "try restarting transaction")
	c.want("select n from t", "5")
}

// numberOn is the number in the table t of a branch.
func numberOn(c *client, branch string) string {
	c.w.t.Helper()
	got, err := c.query("select n from `db/" + branch + "`.t")
	if err != nil {
		c.w.t.Fatal(err)
	}
	return got
}
