package repo

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/vfs"
)

// TestBetweenValidationAndLock lets others commit after a transaction was validated and before it has the commit lock.
func TestBetweenValidationAndLock(t *testing.T) {
	for _, c := range []struct {
		name  string
		do    func(b *bed)
		again bool // the changes have to be rebased
		class errs.Code
		fails bool
		want  string
	}{
		{name: "nothing", do: func(b *bed) {}, want: "1 2"},
		{name: "another row", do: func(b *bed) { b.put("main", "t", 3) }, want: "1 2 3"},
		{name: "the same row", do: func(b *bed) { b.put("main", "t", 2) }, again: true, fails: true, class: errs.DuplicateKey, want: "1 2"},
		{name: "the same row, and it is gone again", do: func(b *bed) { b.put("main", "t", 2); b.put("main", "t", -2) }, want: "1 2"},
		{name: "a fold", do: func(b *bed) {
			_, err := b.r.Fold(b.ctx, "main")
			b.must(err)
		}, again: true, want: "1 2"},
		{name: "a fold and another row", do: func(b *bed) {
			_, err := b.r.Fold(b.ctx, "main")
			b.must(err)
			b.put("main", "t", 3)
		}, again: true, want: "1 2 3"},
		{name: "a fold with the same row", do: func(b *bed) {
			b.put("main", "t", 2)
			_, err := b.r.Fold(b.ctx, "main")
			b.must(err)
		}, again: true, fails: true, class: errs.DuplicateKey, want: "1 2"},
		{name: "another table", do: func(b *bed) {
			tx := b.begin("main")
			b.must(tx.CreateTable(b.ctx, "u", numbers()))
			b.must(tx.Commit(b.ctx))
		}, want: "1 2"},
		{name: "the table anew", do: func(b *bed) {
			tx := b.begin("main")
			b.must(tx.DropTable(b.ctx, "t"))
			b.must(tx.CreateTable(b.ctx, "t", numbers()))
			b.must(tx.Commit(b.ctx))
		}, want: "2"},
		{name: "no table", do: func(b *bed) {
			tx := b.begin("main")
			b.must(tx.DropTable(b.ctx, "t"))
			b.must(tx.Commit(b.ctx))
		}, again: true, fails: true, class: errs.Conflict, want: "none"},
	} {
		for _, last := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				b := newBed(t)
				b.put("main", "t", 1)
				tx := b.edit("main", "t", 2)
				plans := []*plan{tx.plan()}
				b.must(plans[0].advance(b.ctx, tx.batch, b.r.tip.Load(), true))
				payload := (&change{rows: changedRows(plans)}).encode()
				c.do(b)
				s, err := b.r.commitPlans(b.ctx, plans, tx.batch, payload, last)
				if last {
					if (err != nil) != c.fails {
						t.Fatalf("commit: %v", err)
					}
				} else {
					b.must(err)
					if (s == nil) != c.again {
						t.Fatalf("to be rebased: %v, want %v", s == nil, c.again)
					}
					if s == nil {
						s, err = enqueue(b.ctx, []*Tx{tx})
					}
				}
				if (err != nil) != c.fails || err != nil && !errs.Is(err, c.class) {
					t.Fatalf("commit: %v", err)
				}
				if err == nil {
					b.must(b.r.publish(b.ctx, s))
				}
				b.want("main", "t", c.want)
			})
		}
	}
}

// TestCommitTogether commits on two branches at once and cuts the power at every write and sync: both have the row or neither.
func TestCommitTogether(t *testing.T) {
	ctx := context.Background()
	b := newBed(t)
	b.must(b.r.CreateBranch(b.ctx, "side", b.commit("main").ID, false))
	b.must(b.r.Close(ctx))
	both := map[bool]int{}
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 1))
		mem := b.fs.CrashClone(rng)
		check := func(clone *vfs.Mem, acknowledged bool) {
			x := &bed{T: t, fs: clone, ctx: ctx}
			r, err := Open(ctx, clone, "/db", Options{})
			b.must(err)
			defer r.Close(ctx)
			x.r = r
			main, side := x.numbers("main", "t"), x.numbers("side", "t")
			if (main == "1") != (side == "2") || main != "" && main != "1" || side != "" && side != "2" || acknowledged && main == "" {
				t.Fatalf("after a crash main has %q and side %q", main, side)
			}
			both[main != ""]++
		}
		hooked := vfs.WithHook(mem, func(op vfs.Op) error {
			if op.Kind != vfs.OpRead {
				check(mem.CrashClone(rng), false)
			}
			return nil
		})
		r, err := Open(ctx, hooked, "/db", Options{})
		b.must(err)
		x := &bed{T: t, r: r, ctx: ctx}
		one, two := x.edit("main", "t", 1), x.edit("side", "t", 2)
		if seed%3 == 0 { // with chunks of its own in either
			b.must(one.CreateTable(ctx, "u", numbers()))
			b.must(two.CreateTable(ctx, "u", numbers()))
		}
		b.must(CommitTogether(ctx, one, two))
		check(mem.CrashClone(rng), true)
		b.must(r.Close(ctx))
		check(mem.CrashClone(rng), true)
	}
	if both[true] == 0 || both[false] == 0 {
		t.Errorf("crashes left the rows in %v, want some of either", both)
	}
}

// TestCommitTogetherFails checks that nothing is there of transactions of which one cannot commit, and what cannot go together.
func TestCommitTogetherFails(t *testing.T) {
	b := newBed(t)
	b.must(b.r.CreateBranch(b.ctx, "side", b.commit("main").ID, false))
	one, two := b.edit("main", "t", 1), b.edit("side", "t", 2)
	b.put("side", "t", 2)
	if err := CommitTogether(b.ctx, one, two); !errs.Is(err, errs.DuplicateKey) {
		t.Fatalf("commit: %v, want a duplicate key", err)
	}
	for _, tx := range []*Tx{one, two} {
		if err := tx.Commit(b.ctx); !errs.Is(err, errs.Invalid) {
			t.Errorf("commit after a failure: %v, want that it is over", err)
		}
	}
	if err := CommitTogether(b.ctx, b.edit("main", "t", 5), b.edit("main", "t", 6)); !errs.Is(err, errs.Invalid) {
		t.Errorf("two on one branch: %v", err)
	}
	b.want("main", "t", "")
	b.want("side", "t", "2")
}
