package sync

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
)

// cutWorld is a remote with the branches one and two, of which a change of both that makes them w.second was announced by a machine that died then. It gives
// the list of packs that the change names.
func cutWorld(t *testing.T) (*toldWorld, string) {
	t.Helper()
	ctx := t.Context()
	w := newToldWorld(t)
	w.push.Anew, w.push.Remote = false, w.remote(&undecidedStore{Store: w.s, on: func(string, []byte) error { return errs.New(errs.Denied, "cut off") }})
	_, _, err := w.push.Run(ctx, w.wants())
	if !errs.Is(err, errs.Denied) {
		t.Fatalf("the push was to be cut off before its decision: %v", err)
	}
	x := w.read(t, "heads/one")
	if x.Commit != w.first || x.raw.next.Commit != w.second {
		t.Fatalf("the branch is %+v", x)
	}
	return w, listsDir + x.raw.next.List.Full()
}

// undecidedStore is a store that asks before an outcome of a change is put.
type undecidedStore struct {
	object.Store
	on func(name string, said []byte) error
}

// Put implements object.Store.
func (s *undecidedStore) Put(ctx context.Context, name string, body object.Body, on object.Condition) error {
	if strings.HasPrefix(name, changesDir) {
		said, err := object.ReadBody(body)
		if err == nil {
			err = s.on(name, said)
		}
		if err != nil {
			return err
		}
	}
	return s.Store.Put(ctx, name, body, on)
}

// TestCollectGivesUp: a change of several refs whose machine died is given up when it has been there for the grace period, and then what it was to make goes;
// what it was meant to replace stays. A dry run gives nothing up.
func TestCollectGivesUp(t *testing.T) {
	ctx := t.Context()
	w, list := cutWorld(t)
	now := time.Now()
	collect := func(after time.Duration, dry bool) *Collected {
		t.Helper()
		c, err := (&Collect{Remote: w.remote(w.s), Now: now.Add(after), Grace: time.Hour, DryRun: dry}).Run(ctx)
		must(t, err)
		return c
	}
	there := func() bool {
		_, err := w.s.Stat(ctx, list)
		return err == nil
	}
	for _, step := range []struct {
		after              time.Duration
		dry                bool
		undecided, givenUp int
		there              bool
	}{
		{0, false, 1, 0, true},
		{30 * time.Minute, false, 1, 0, true},
		{time.Hour, true, 0, 1, true},
		{time.Hour, true, 0, 1, true}, // it was not given up by the dry run
		{time.Hour, false, 0, 1, true},
		{2 * time.Hour, false, 0, 0, true}, // noted
		{3 * time.Hour, false, 0, 0, false},
	} {
		c := collect(step.after, step.dry)
		if c.Undecided != step.undecided || c.GivenUp != step.givenUp || there() != step.there {
			t.Errorf("after %v (dry run %v): %d undecided, %d given up, the list is there: %v; want %+v", step.after, step.dry, c.Undecided, c.GivenUp, there(), step)
		}
		if step.after < time.Hour && !c.Next.Equal(now.Add(time.Hour).Truncate(time.Second)) && !c.Next.Equal(now.Add(time.Hour)) {
			t.Errorf("after %v the next goes at %v", step.after, c.Next)
		}
	}
	for _, name := range []string{"heads/one", "heads/two"} {
		x := w.read(t, name)
		if x.Commit != w.first {
			t.Errorf("%s is at %s", name, x.Commit)
		}
		packs, err := w.remote(w.s).Packs(ctx, x.Target)
		must(t, err)
		for _, p := range packs {
			if _, err := w.s.Stat(ctx, p.object()); err != nil {
				t.Errorf("%s lacks a pack: %v", name, err)
			}
		}
	}
}

// TestCollectGivesUpLate: a change that is committed in the moment in which a collection gives it up is committed.
func TestCollectGivesUpLate(t *testing.T) {
	ctx := t.Context()
	w, list := cutWorld(t)
	s := &undecidedStore{Store: w.s, on: func(name string, said []byte) error {
		if string(said) != outcomeGiven {
			t.Errorf("a collection says %q", said)
		}
		return w.s.Put(ctx, name, object.Bytes([]byte(outcomeDone)), object.IfAbsent)
	}}
	for n, after := range []time.Duration{0, time.Hour, 2 * time.Hour, 3 * time.Hour} {
		c, err := (&Collect{Remote: w.remote(s), Now: time.Now().Add(after), Grace: time.Hour}).Run(ctx)
		must(t, err)
		if c.GivenUp != 0 || c.Undecided != max(0, 1-n) {
			t.Errorf("after %v: %d undecided, %d given up", after, c.Undecided, c.GivenUp)
		}
	}
	if x := w.read(t, "heads/two"); x.Commit != w.second || listsDir+x.List.Full() != list {
		t.Errorf("the branch is %+v", x)
	}
	if _, err := w.s.Stat(ctx, list); err != nil {
		t.Errorf("the list that it names is gone: %v", err)
	}
}
