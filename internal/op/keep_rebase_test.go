package op

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// rebased tells whether side is what the rebase onto main makes of it; otherwise it is what it was.
func rebased(t *testing.T, r *repo.Repo) bool {
	t.Helper()
	got, rows := messages(t, r, "side")
	switch {
	case got == "counters c b a table" && rows == 3:
		return false
	case strings.HasSuffix(got, "c b a counters m table") && rows == 4:
		return true
	}
	t.Fatalf("side has the commits %q and %d rows", got, rows)
	return false
}

// rebaseKept rebases side onto main.
func rebaseKept(ctx context.Context, r *repo.Repo, fs vfs.FS) error {
	return runKept(ctx, r, fs, "side", &Rebase{Args: []string{"main"}})
}

// TestKeptRebase: a rebase on one machine is what the others see, and one that is changed first, stops, is given up or goes on is so on any machine.
func TestKeptRebase(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	a, b := keptMachine(t, fs, "a", 0, nil), keptMachine(t, fs, "b", 0, nil)
	was := mustHead(t, a, "side")
	keptOK(t, runKept(ctx, a, fs, "side", &Rebase{Interactive: true, Args: []string{"main"}}))
	keptOK(t, b.RefreshKept(ctx))
	x, err := b.Rebasing(ctx, "dolt_rebase_side")
	keptOK(t, err)
	if x == nil || len(x.Plan) != 4 || x.Head != was {
		t.Fatalf("another machine sees the plan %+v", x)
	}
	keptGarbage(t, fs)
	c := keptMachine(t, fs, "c", 0, nil)
	// The plan is changed by one machine, in a transaction, while another has another plan.
	edit := func(r *repo.Repo, action history.RebaseAction) error {
		tx, err := r.Begin(ctx, "dolt_rebase_side")
		keptOK(t, err)
		defer tx.Rollback()
		x, err := tx.Rebasing(ctx)
		keptOK(t, err)
		y := *x
		y.Plan = append([]history.RebaseStep{}, x.Plan...)
		y.Plan[1].Action = action
		keptOK(t, tx.SetRebasing(ctx, &y))
		return tx.Commit(ctx)
	}
	keptOK(t, edit(c, history.RebaseDrop))
	if err := edit(b, history.RebaseSquash); !errs.Is(err, errs.Conflict) {
		t.Fatalf("the plan of one was replaced by that of another: %v", err)
	}
	keptOK(t, b.RefreshKept(ctx))
	keptOK(t, runKept(ctx, b, fs, "dolt_rebase_side", &Rebase{Continue: true}))
	keptOK(t, a.RefreshKept(ctx))
	for _, r := range []*repo.Repo{a, b} {
		if got, rows := messages(t, r, "side"); got != "c a counters m table" || rows != 3 {
			t.Errorf("it was rebased to %q with %d rows", got, rows)
		}
		if _, there := r.BranchHead("dolt_rebase_side"); there {
			t.Error("the branch of the rebase is there")
		}
	}
	// Given up by another machine than the one that has begun it.
	keptOK(t, countUp(ctx, a, "side", 1, false))
	_, err = a.Commit(ctx, repo.CommitOptions{Branch: "side", Message: "more", Author: keptBy, All: true})
	keptOK(t, err)
	keptOK(t, countUp(ctx, a, "main", 1, false))
	keptOK(t, countUp(ctx, a, "main", 1, false))
	_, err = a.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "against", Author: keptBy, All: true})
	keptOK(t, err)
	if err := rebaseKept(ctx, a, fs); !errs.Is(err, errs.Conflict) {
		t.Fatalf("a rebase with conflicts: %v", err)
	}
	keptGarbage(t, fs)
	keptOK(t, b.RefreshKept(ctx))
	if m, err := b.Merging(ctx, "dolt_rebase_side"); err != nil || m == nil || len(m.Tables) != 1 {
		t.Fatalf("another machine sees of the conflicts %+v, %v", m, err)
	}
	keptOK(t, runKept(ctx, b, fs, "dolt_rebase_side", &Rebase{Abort: true}))
	keptOK(t, a.RefreshKept(ctx))
	if got, _ := messages(t, a, "side"); got != "more c a counters m table" {
		t.Errorf("after giving up: %q", got)
	}
	// Begun by one, settled by another, ended by a third.
	if err := rebaseKept(ctx, b, fs); !errs.Is(err, errs.Conflict) {
		t.Fatalf("a rebase with conflicts: %v", err)
	}
	keptOK(t, a.RefreshKept(ctx))
	keptOK(t, runKept(ctx, a, fs, "dolt_rebase_side", &ConflictsResolve{Theirs: true, Tables: []string{"."}}))
	keptOK(t, runKept(ctx, a, fs, "dolt_rebase_side", &Add{All: true}))
	keptOK(t, c.RefreshKept(ctx))
	keptOK(t, runKept(ctx, c, fs, "dolt_rebase_side", &Rebase{Continue: true}))
	d := keptMachine(t, fs, "d", 0, nil)
	if got, _ := messages(t, d, "side"); got != "more c a against counters m table" {
		t.Errorf("it was rebased to %q", got)
	}
	if v, _ := counters(t, d, "side"); v != 1 {
		t.Errorf("%d counts, want the 1 of the side that was taken", v)
	}
}

// TestKeptRebasePlanOf: a plan that was read before another machine has changed it, has gone on with the rebase or has ended it is refused, also when this
// machine has heard of that; and so is giving it up. One that makes no sense gives up the rebase that it is for.
func TestKeptRebasePlanOf(t *testing.T) {
	for what, others := range map[string]func(ctx context.Context, b *repo.Repo, fs vfs.FS) error{
		"changed": func(ctx context.Context, b *repo.Repo, _ vfs.FS) error {
			tx, err := b.Begin(ctx, "dolt_rebase_side")
			if err != nil {
				return err
			}
			defer tx.Rollback()
			x, err := tx.Rebasing(ctx)
			if err != nil {
				return err
			}
			x.Plan[1].Action = history.RebaseDrop
			if err := tx.SetRebasing(ctx, x); err != nil {
				return err
			}
			return tx.Commit(ctx)
		},
		"ended": func(ctx context.Context, b *repo.Repo, fs vfs.FS) error {
			return runKept(ctx, b, fs, "dolt_rebase_side", &Rebase{Continue: true})
		},
		"given up": func(ctx context.Context, b *repo.Repo, fs vfs.FS) error {
			return runKept(ctx, b, fs, "dolt_rebase_side", &Rebase{Abort: true})
		},
		"begun anew": func(ctx context.Context, b *repo.Repo, fs vfs.FS) error {
			err := runKept(ctx, b, fs, "dolt_rebase_side", &Rebase{Abort: true})
			if err == nil {
				_, err = b.StartRebase(ctx, "side", mustHead(t, b, "main"), true)
			}
			return err
		},
		"not touched": func(context.Context, *repo.Repo, vfs.FS) error { return nil },
	} {
		for _, hears := range []bool{true, false} {
			for _, verb := range []*Rebase{{Continue: true}, {Continue: true, Plan: "sing side"}, {Continue: true, Plan: "squash side"}, {Continue: true, Plan: "# nothing"}, {Abort: true}} {
				ctx, fs := t.Context(), vfs.NewMem()
				keptWorld(t, fs)
				a, b := keptMachine(t, fs, "a", 0, nil), keptMachine(t, fs, "b", 0, nil)
				keptOK(t, runKept(ctx, a, fs, "side", &Rebase{Interactive: true, Args: []string{"main"}}))
				x, err := a.RebasePoint(ctx, "dolt_rebase_side")
				keptOK(t, err)
				c := *verb
				if c.PlanOf = x.ID(); c.Continue && c.Plan == "" {
					c.Plan = PlanText(x.Rebase)
				}
				keptOK(t, b.RefreshKept(ctx))
				keptOK(t, others(ctx, b, fs))
				type seen struct {
					side string
					plan []history.RebaseStep
				}
				look := func() (s seen) {
					keptOK(t, b.RefreshKept(ctx))
					s.side, _ = messages(t, b, "side")
					if x, err := b.Rebasing(ctx, "dolt_rebase_side"); err == nil && x != nil {
						s.plan = x.Plan
					}
					return s
				}
				before := look()
				if hears {
					keptOK(t, a.RefreshKept(ctx))
				}
				err = runKept(ctx, a, fs, "dolt_rebase_side", &c)
				if after := look(); what == "not touched" {
					if sense := c.Abort || !strings.HasPrefix(c.Plan, "s"); sense != (err == nil) || after.plan != nil {
						t.Errorf("%+v: %v, and the plan is %v", c, err, after.plan)
					}
				} else if err == nil || !strings.Contains(err.Error(), repo.RebaseWentOn) || hears && !RebaseWentOn(err) || after.side != before.side || !slices.Equal(after.plan, before.plan) {
					t.Errorf("%s by others, heard of %v, %+v: %v, and from %v it became %v", what, hears, c, err, before, after)
				}
			}
		}
	}
}

// TestKeptRebaseOvertaken: a rebase of a branch that another machine changes meanwhile is not put over that.
func TestKeptRebaseOvertaken(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	a, b := keptMachine(t, fs, "a", 0, nil), keptMachine(t, fs, "b", 0, nil)
	keptOK(t, runKept(ctx, a, fs, "side", &Rebase{Interactive: true, Args: []string{"main"}}))
	keptOK(t, countUp(ctx, b, "side", 1, false)) // of which a has not heard
	if err := runKept(ctx, a, fs, "dolt_rebase_side", &Rebase{Continue: true}); !errs.Is(err, errs.Conflict) {
		t.Fatalf("it was rebased over what another machine did: %v", err)
	}
	keptOK(t, a.RefreshKept(ctx))
	if v, _ := counters(t, a, "side"); v != 1 {
		t.Errorf("%d counts, want 1", v)
	}
	keptOK(t, runKept(ctx, a, fs, "dolt_rebase_side", &Rebase{Abort: true}))
	// Two begin one at the same moment.
	keptOK(t, a.ResetHard(ctx, "side", mustHead(t, a, "side")))
	keptOK(t, b.RefreshKept(ctx))
	keptOK(t, runKept(ctx, a, fs, "side", &Rebase{Interactive: true, Args: []string{"main"}}))
	if err := rebaseKept(ctx, b, fs); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "in progress") {
		t.Fatalf("a second rebase: %v", err)
	}
}

// TestKeptRebaseCut: a machine that dies while it rebases leaves the branch as it was, with a rebase in progress that others can give up, or rebased.
func TestKeptRebaseCut(t *testing.T) {
	again := func(ctx context.Context, r *repo.Repo, fs vfs.FS) error {
		x, err := r.Rebasing(ctx, "dolt_rebase_side")
		if err == nil && x != nil {
			if err := runKept(ctx, r, fs, "dolt_rebase_side", &Rebase{Abort: true}); err != nil {
				return fmt.Errorf("give up: %w", err)
			}
		}
		return rebaseKept(ctx, r, fs)
	}
	keptCut(t, func(*testing.T, *repo.Repo, vfs.FS) {}, again, rebased)
}

// TestKeptRebaseBegunAnew: a machine that ends a rebase, which another one has given up and begun anew, does not put the branch where the commits are not made yet.
func TestKeptRebaseBegunAnew(t *testing.T) {
	for _, keep := range []bool{true, false} {
		ctx, fs := t.Context(), vfs.NewMem()
		keptWorld(t, fs)
		a, b := keptMachine(t, fs, "a", 0, nil), keptMachine(t, fs, "b", 0, nil)
		was, _ := messages(t, a, "side")
		onto := mustHead(t, a, "main")
		_, err := a.StartRebase(ctx, "side", onto, false)
		keptOK(t, err)
		keptOK(t, b.RefreshKept(ctx))
		_, err = b.EndRebase(ctx, "dolt_rebase_side", nil, false)
		keptOK(t, err)
		_, err = b.StartRebase(ctx, "side", onto, true)
		keptOK(t, err)
		_, err = a.EndRebase(ctx, "dolt_rebase_side", nil, keep) // of which a has not heard
		wentOn(t, err)
		keptOK(t, a.RefreshKept(ctx))
		for _, r := range []*repo.Repo{a, b} {
			if now, _ := messages(t, r, "side"); now != was {
				t.Errorf("side has the commits %q, want %q", now, was)
			}
			if x, err := r.Rebasing(ctx, "dolt_rebase_side"); err != nil || x == nil || !x.KeepEmpty {
				t.Errorf("the rebase in progress is %+v, %v; want the second one", x, err)
			}
		}
	}
}

// wentOn expects the error of going on where another machine has gone on with a rebase.
func wentOn(t *testing.T, err error) {
	t.Helper()
	if !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "went on with the rebase") {
		t.Errorf("it went on where another machine has gone on already: %v", err)
	}
}

// keptStops begins on a a rebase of side that has stopped a second time, at s1, and settles that: s2 conflicts too, s3 does not. b knows of it.
func keptStops(t *testing.T, fs vfs.FS) (a, b *repo.Repo) {
	t.Helper()
	ctx := t.Context()
	keptWorld(t, fs)
	a, b = keptMachine(t, fs, "a", 0, nil), keptMachine(t, fs, "b", 0, nil)
	commit := func(branch, message string, counts ...int64) {
		for _, id := range counts {
			keptOK(t, countUp(ctx, a, branch, id, false))
		}
		_, err := a.Commit(ctx, repo.CommitOptions{Branch: branch, Message: message, Author: keptBy, All: true})
		keptOK(t, err)
	}
	commit("main", "main12", 1, 1, 2, 2)
	commit("side", "s1", 1)
	commit("side", "s2", 2)
	commit("side", "s3", 5)
	if err := rebaseKept(ctx, a, fs); !errs.Is(err, errs.Conflict) {
		t.Fatalf("a rebase with conflicts: %v", err)
	}
	settleKept(t, a, fs, &ConflictsResolve{Ours: true, Tables: []string{"."}})
	goesOn(t, a, fs, "s1")
	settleKept(t, a, fs, &ConflictsResolve{Theirs: true, Tables: []string{"."}})
	keptOK(t, b.RefreshKept(ctx))
	return a, b
}

// settleKept settles what stopped the rebase of side, and stages it.
func settleKept(t *testing.T, r *repo.Repo, fs vfs.FS, how *ConflictsResolve) {
	t.Helper()
	keptOK(t, runKept(t.Context(), r, fs, "dolt_rebase_side", how))
	keptOK(t, runKept(t.Context(), r, fs, "dolt_rebase_side", &Add{All: true}))
}

// goesOn goes on with the rebase of side until a commit stops it.
func goesOn(t *testing.T, r *repo.Repo, fs vfs.FS, stops string) {
	t.Helper()
	err := runKept(t.Context(), r, fs, "dolt_rebase_side", &Rebase{Continue: true})
	if !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "("+stops+")") {
		t.Fatalf("the rebase went on to %v, want conflicts of %s", err, stops)
	}
}

// TestKeptRebaseTwoGoOn: where another machine has gone on with a rebase, a step is not made once more in the name of another, nor are conflicts
// committed that nobody has settled.
func TestKeptRebaseTwoGoOn(t *testing.T) {
	for _, c := range []struct {
		name string
		goOn *Rebase
		then bool // b settles the second conflict, too
	}{
		{"conflicts", &Rebase{Continue: true}, false}, {"settled", &Rebase{Continue: true}, true}, {"plan", &Rebase{Continue: true, Plan: "drop side"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, fs := t.Context(), vfs.NewMem()
			a, b := keptStops(t, fs)
			goesOn(t, b, fs, "s2")
			theirs := &ConflictsResolve{Theirs: true, Tables: []string{"."}}
			if c.then {
				settleKept(t, b, fs, theirs)
			}
			before, _ := messages(t, b, "dolt_rebase_side")
			wentOn(t, runKept(ctx, a, fs, "dolt_rebase_side", c.goOn)) // of which a has not heard
			keptOK(t, b.RefreshKept(ctx))
			if now, _ := messages(t, b, "dolt_rebase_side"); now != before || !strings.HasPrefix(now, "s1 c ") {
				t.Errorf("the commits are %q, want %q", now, before)
			}
			m, err := b.Merging(ctx, "dolt_rebase_side")
			keptOK(t, err)
			if m == nil || c.then != (len(m.Unsettled()) == 0) {
				t.Errorf("in progress is %+v", m)
			}
			// It goes on from what both know then.
			keptOK(t, a.RefreshKept(ctx))
			if !c.then {
				settleKept(t, a, fs, theirs)
			}
			keptOK(t, runKept(ctx, a, fs, "dolt_rebase_side", &Rebase{Continue: true}))
			keptOK(t, b.RefreshKept(ctx))
			for _, r := range []*repo.Repo{a, b} {
				if now, _ := messages(t, r, "side"); now != "s3 s2 s1 c b a main12 counters m table" {
					t.Errorf("it was rebased to %q", now)
				}
				if v, _ := counters(t, r, "side"); v != 3 {
					t.Errorf("%d counts, want 3", v)
				}
			}
		})
	}
}

// TestKeptRebaseEndedElsewhere: going on with a rebase that another machine has given up is refused, and says so.
func TestKeptRebaseEndedElsewhere(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	a, b := keptStops(t, fs)
	keptOK(t, runKept(ctx, b, fs, "dolt_rebase_side", &Rebase{Abort: true}))
	wentOn(t, runKept(ctx, a, fs, "dolt_rebase_side", &Rebase{Continue: true}))
	keptOK(t, a.RefreshKept(ctx))
	if now, _ := messages(t, a, "side"); now != "s3 s2 s1 counters c b a table" {
		t.Errorf("side has the commits %q", now)
	}
	if _, there := a.BranchHead("dolt_rebase_side"); there {
		t.Error("the branch of the rebase is there")
	}
}
