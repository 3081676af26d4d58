package sync

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/mem"
)

// TestKeeperCountsAnew: what a keeper has known for longer than collections remember what they have removed it does not count on unseen.
func TestKeeperCountsAnew(t *testing.T) {
	ctx := t.Context()
	st, fs, dir := newStore(t)
	s := &mem.Store{}
	keeper := func() *Keeper { return &Keeper{Remote: &Remote{s: s, known: true}, Store: st, FS: fs, Temp: dir} }
	commit := func(message string, parents ...history.CommitID) history.CommitID {
		return newCommit(t, st, message, parents...)
	}
	first := commit("first")
	must(t, (&Remote{s: s}).init(ctx))
	k := keeper()
	_, err := k.Swap(ctx, []Swap{{From: Ref{Name: "heads/one"}, To: Target{Commit: first}}})
	must(t, err)
	_, _, err = k.Look(ctx)
	must(t, err)

	// Another removes the branch, and its garbage goes, so long ago that nobody knows of it any more.
	other := keeper()
	one, err := other.Read(ctx, "heads/one")
	must(t, err)
	_, err = other.Swap(ctx, []Swap{{From: one}})
	must(t, err)
	for range 2 {
		_, err = (&Collect{Remote: other.Remote, Now: clock.System{}.Now()}).Run(ctx)
		must(t, err)
	}
	must(t, s.Delete(ctx, garbageName))
	k.seen = clock.System{}.Now().Add(-claimSure - time.Minute)

	_, err = k.Swap(ctx, []Swap{{From: Ref{Name: "heads/two"}, To: Target{Commit: commit("second", first)}}})
	must(t, err)
	two, err := other.Read(ctx, "heads/two")
	must(t, err)
	packs, err := other.Remote.Packs(ctx, two.Target)
	must(t, err)
	for _, p := range packs {
		if _, err := s.Stat(ctx, p.object()); err != nil {
			t.Errorf("a pack that the branch needs is not there: %v", err)
		}
	}
}

// TestKeeperPassesByRefs: what others have put at the remote, and is known of but not there in the store yet, is not counted on.
func TestKeeperPassesByRefs(t *testing.T) {
	ctx := t.Context()
	s := &mem.Store{}
	must(t, (&Remote{s: s}).init(ctx))
	keeper := func() (*Keeper, func(message string, parents ...history.CommitID) history.CommitID) {
		st, fs, dir := newStore(t)
		return &Keeper{Remote: &Remote{s: s, known: true}, Store: st, FS: fs, Temp: dir}, func(message string, parents ...history.CommitID) history.CommitID {
			return newCommit(t, st, message, parents...)
		}
	}
	a, commit := keeper()
	_, err := a.Swap(ctx, []Swap{{From: Ref{Name: "heads/one"}, To: Target{Commit: commit("second", commit("first"))}}})
	must(t, err)

	b, commit := keeper()
	_, _, err = b.Look(ctx)
	must(t, err)
	_, err = b.Swap(ctx, []Swap{{From: Ref{Name: "heads/two"}, To: Target{Commit: commit("first")}}})
	must(t, err)
	two, err := a.Read(ctx, "heads/two")
	must(t, err)
	if two.Commit != commit("first") {
		t.Errorf("the branch is at %s", two.Commit)
	}
}

// failsOnce is a store whose next put of a ref fails.
type failsOnce struct {
	object.Store
	err error
}

// Put implements object.Store.
func (f *failsOnce) Put(ctx context.Context, name string, body object.Body, on object.Condition) error {
	if err := f.err; err != nil && strings.HasPrefix(name, refsDir) {
		f.err = nil
		return err
	}
	return f.Store.Put(ctx, name, body, on)
}

// TestKeeperPace: a ref is written slower where the store says that it is written too often, and not where a connection broke.
func TestKeeperPace(t *testing.T) {
	ctx := t.Context()
	for name, c := range map[string]struct {
		err  error
		slow bool
	}{
		"refused": {errs.New(errs.Unavailable, "429 Too Many Requests"), true},
		"cut":     {fmt.Errorf("put: %w", object.WireError(ctx, io.ErrUnexpectedEOF)), false},
	} {
		t.Run(name, func(t *testing.T) {
			st, fs, dir := newStore(t)
			s := &mem.Store{}
			must(t, (&Remote{s: s}).init(ctx))
			k := &Keeper{Remote: &Remote{s: &failsOnce{s, c.err}, known: true}, Store: st, FS: fs, Temp: dir}
			one, err := k.Swap(ctx, []Swap{{From: Ref{Name: "heads/one"}, To: Target{Commit: newCommit(t, st, "first")}}})
			must(t, err)
			if len(one) != 1 || one[0].Commit.IsZero() {
				t.Errorf("the put gives %v", one)
			}
			k.pace("heads/one", func(p *pace) {
				if p.refused.IsZero() == c.slow {
					t.Errorf("after %v it is written slower: %t", c.err, !p.refused.IsZero())
				}
			})
		})
	}
}

// TestKeeperNewer: a put that comes after one of a newer program, whose ref cannot be read, was not made, and that is what is said; one of which it is not known is told apart.
func TestKeeperNewer(t *testing.T) {
	for name, c := range map[string]struct {
		lost  error // of the first try
		class errs.Code
		said  string
	}{
		"refused": {nil, errs.TooNew, "the change was not made: "},
		"lost":    {errs.New(errs.Unavailable, "503"), errs.Unavailable, "it is not known whether the change was made"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			st, fs, dir := newStore(t)
			s := &mem.Store{}
			must(t, (&Remote{s: s}).init(ctx))
			f := &failsOnce{s, nil}
			k := &Keeper{Remote: &Remote{s: f, known: true}, Store: st, FS: fs, Temp: dir}
			first := newCommit(t, st, "first")
			at, err := k.Swap(ctx, []Swap{{From: Ref{Name: "heads/one"}, To: Target{Commit: first}}})
			must(t, err)
			must(t, s.Put(ctx, refObject("heads/one"), object.Bytes([]byte("stemma ref 99\n")), object.Always))
			f.err = c.lost
			_, err = k.Swap(ctx, []Swap{{From: at[0], To: Target{Commit: newCommit(t, st, "second", first)}}})
			if !errs.Is(err, c.class) || !strings.Contains(err.Error(), c.said) || !strings.Contains(err.Error(), "newer stemma") {
				t.Errorf("%s: %v", errs.CodeOf(err), err)
			}
			if data, _, err := s.Get(ctx, refObject("heads/one")); err != nil || string(data) != "stemma ref 99\n" {
				t.Errorf("the ref is %q, %v", data, err)
			}
		})
	}
}
