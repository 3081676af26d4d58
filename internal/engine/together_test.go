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

// numberOn is the number in the table t of a branch.
func numberOn(c *client, branch string) string {
	c.w.t.Helper()
	got, err := c.query("select n from `db/" + branch + "`.t")
	if err != nil {
		c.w.t.Fatal(err)
	}
	return got
}
