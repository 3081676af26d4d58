package remote_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/mem"
	"github.com/stemmadb/stemma/internal/object/objecttest"
	"github.com/stemmadb/stemma/internal/sync"
)

// makes gives a remote its first branch, and tells whether it did.
func (m *machine) makes(t tb, s object.Store, branch string) (bool, error) {
	t.Helper()
	r, err := sync.Open(ctx, s)
	if err != nil {
		return false, err
	}
	head, ok := m.BranchHead(branch)
	if !ok {
		t.Fatalf("there is no branch %s", branch)
	}
	p := &sync.Push{Remote: r, Store: m.Store(), FS: m.FS(), Temp: m.TempDir(), First: true}
	out, _, err := p.Run(ctx, []sync.Want{{Name: sync.Heads + branch, Commit: head}})
	return err == nil && out[0].Status == sync.Created, err
}

// twoMakers are machines with a branch each, of different names.
func twoMakers(t tb) (a, b *machine) {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, 5))
	a, b = newMachine(t, "ada"), newMachine(t, "grace")
	a.work(t, "main", rng)
	at, _ := b.BranchHead("main")
	must(t, b.CreateBranch(ctx, "trunk", at, false))
	b.work(t, "trunk", rng)
	return a, b
}

// TestFirstOfTwo has one machine make a database between any two requests of another one that does so with another branch: one of both has made it.
func TestFirstOfTwo(t *testing.T) {
	a, b := twoMakers(t)
	wins := map[bool]int{}
	for at := 0; ; at++ {
		s := &mem.Store{}
		n, theirs := 0, false
		x := &between{Store: s, said: func(string) {}, call: func(string) {
			if n++; n != at {
				return
			}
			r := mustOpen(t, s)
			refs, err := r.Refs(ctx)
			must(t, err)
			if len(refs) == 0 { // as who makes a database looks first
				theirs, err = b.makes(t, s, "trunk")
				must(t, err)
			}
		}}
		ours, err := a.makes(t, x, "main")
		if errs.Is(err, errs.Conflict) {
			err = nil
		}
		must(t, err)
		refs, err := mustOpen(t, s).Refs(ctx)
		must(t, err)
		if at > 0 && n >= at && ours == theirs && !(ours && len(refs) == 1) || len(refs) != 1 {
			t.Fatalf("before request %d: ours %v, theirs %v, and the branches %v", at, ours, theirs, refs)
		}
		if refs["heads/main"].IsZero() == ours || refs["heads/trunk"].IsZero() == theirs {
			t.Fatalf("before request %d: ours %v, theirs %v, and the branches %v", at, ours, theirs, refs)
		}
		wins[ours]++
		if n < at {
			break
		}
	}
	if wins[true] < 2 || wins[false] < 2 {
		t.Errorf("%v: each is to win some", wins)
	}
}

// TestFirstDies cuts one who makes a database off at any request: the next one makes it, or it is there.
func TestFirstDies(t *testing.T) {
	a, b := twoMakers(t)
	for kill := int64(1); ; kill++ {
		s := &mem.Store{}
		f := objecttest.NewFaulty(s, 1, 0)
		f.Kill = kill
		ours, err := a.makes(t, f, "main")
		before, e := mustOpen(t, s).Refs(ctx)
		must(t, e)
		if ours && len(before) == 0 {
			t.Fatalf("cut off at request %d: what was made is not there", kill)
		}
		theirs := false
		if len(before) == 0 {
			var e error
			theirs, e = b.makes(t, s, "trunk")
			must(t, e)
			if !theirs {
				t.Fatalf("cut off at request %d: who died is in the way", kill)
			}
		}
		refs, e := mustOpen(t, s).Refs(ctx)
		must(t, e)
		if len(refs) != 1 || refs["heads/trunk"].IsZero() == theirs {
			t.Fatalf("cut off at request %d: %v", kill, refs)
		}
		// Where all branches were removed a database can be made again.
		for name := range refs {
			m := a
			if theirs {
				m = b
			}
			m.drop(t, s, name[len(sync.Heads):])
		}
		if again, e := b.makes(t, s, "trunk"); e != nil || !again {
			t.Fatalf("cut off at request %d: not made again: %v", kill, e)
		}
		if err == nil {
			break
		}
	}
}
