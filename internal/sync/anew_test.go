package sync

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/mem"
	"github.com/stemmadb/stemma/internal/object/objecttest"
)

// toldWorld is a remote that is worked on, and all of it here.
type toldWorld struct {
	s             *mem.Store
	push          *Push
	first, second history.CommitID
	joined        history.CommitID // what the lineage becomes
	old           Target           // first, as the remote had it
}

// newToldWorld is a remote with the branches one and two, of which one tells of a run, and so does what is left of the removed branch gone. The lineage there
// does not know of the runs yet.
func newToldWorld(t *testing.T) *toldWorld {
	t.Helper()
	ctx := t.Context()
	st, fs, dir := newStore(t)
	w := &toldWorld{s: &mem.Store{}}
	w.first = newCommit(t, st, "first")
	w.second = newCommit(t, st, "second", w.first)
	w.joined = newCommit(t, st, "joined")
	must(t, (&Remote{s: w.s}).init(ctx))
	k := &Keeper{Remote: w.remote(w.s), Store: st, FS: fs, Temp: dir}
	tells := Target{Commit: newCommit(t, st, "runs")}
	for _, s := range []Swap{
		{From: Ref{Name: "heads/one"}, To: Target{Commit: w.first}, Runs: tells},
		{From: Ref{Name: "heads/two"}, To: Target{Commit: w.first}},
		{From: Ref{Name: "heads/gone"}, To: Target{Commit: w.first}, Runs: tells},
	} {
		x, err := k.Swap(ctx, []Swap{s})
		must(t, err)
		w.old = x[0].Target
	}
	gone, err := k.Read(ctx, "heads/gone")
	must(t, err)
	_, err = k.Swap(ctx, []Swap{{From: gone, Runs: gone.Runs}})
	must(t, err)
	w.push = &Push{Remote: k.Remote, Store: st, FS: fs, Temp: dir, Atomic: true, Anew: true}
	w.push.Lineage = func(context.Context, Ref) (history.CommitID, error) { return w.joined, nil }
	return w
}

// remote is the remote, asked through a store.
func (w *toldWorld) remote(s object.Store) *Remote { return &Remote{s: s, known: true} }

// read is a ref with its value.
func (w *toldWorld) read(t *testing.T, name string) Ref {
	t.Helper()
	x, err := w.remote(w.s).ref(t.Context(), name)
	must(t, err)
	return x
}

// put makes the object of a ref that value.
func (w *toldWorld) put(t *testing.T, name string, v value) {
	t.Helper()
	v.nonce = nonce()
	must(t, w.s.Put(t.Context(), refObject(name), object.Bytes(v.encode(name)), object.Always))
}

// packs is the names of the packs that are there once all garbage is collected, of which no ref misses one.
func (w *toldWorld) packs(t *testing.T) map[string]bool {
	t.Helper()
	ctx := t.Context()
	for day := range 2 {
		_, err := (&Collect{Remote: w.remote(w.s), Now: time.Now().AddDate(0, 0, day), Grace: time.Hour}).Run(ctx)
		must(t, err)
	}
	list, err := w.s.List(ctx, packsDir)
	must(t, err)
	out := map[string]bool{}
	for _, in := range list {
		out[in.Name] = true
	}
	_, all, err := w.remote(w.s).allRefs(ctx)
	must(t, err)
	for _, x := range all {
		need, err := w.remote(w.s).Packs(ctx, x.Target, x.Runs)
		must(t, err)
		for _, p := range need {
			if !out[p.object()] {
				t.Errorf("%s needs %s, which is not there", x.Name, p.object())
			}
		}
	}
	return out
}

func (w *toldWorld) wants() []Want {
	return []Want{{Name: "heads/one", Commit: w.second, Force: true}, {Name: "heads/two", Commit: w.second, Force: true}}
}

// TestAnewCutOff cuts a push of all anew off at every request. At no time nothing tells of the runs; when it has come through, nothing of before is needed.
func TestAnewCutOff(t *testing.T) {
	for _, atomic := range []bool{true, false} {
		for kill, over := int64(1), false; !over; kill++ {
			w := newToldWorld(t)
			before := w.packs(t)
			f := objecttest.NewFaulty(w.s, 1, 0)
			f.Kill = kill
			w.push.Remote, w.push.Atomic = w.remote(f), atomic
			_, _, err := w.push.Run(t.Context(), w.wants())
			lineage := w.read(t, Lineage)
			for _, name := range []string{"heads/one", "heads/gone"} {
				if x := w.read(t, name); x.Runs.IsZero() && lineage.Commit != w.joined {
					t.Errorf("cut off at request %d (atomic %v) what %s told of runs is lost", kill, atomic, name)
				}
			}
			after := w.packs(t)
			moved := w.read(t, "heads/one").Commit == w.second && w.read(t, "heads/two").Commit == w.second && w.read(t, "heads/gone").Runs.IsZero()
			for n := range after {
				if moved && before[n] {
					t.Errorf("cut off at request %d (atomic %v), and %s of before is needed", kill, atomic, n)
				}
			}
			if over = err == nil; over && !moved {
				t.Errorf("it was pushed, and is not there")
			}
		}
	}
}

// TestAnewClears: what is left of removed refs needs nothing of before either, whether it tells of runs or has a change that nobody has tidied up; and a
// branch that is there again by the push is none of them.
func TestAnewClears(t *testing.T) {
	ctx := t.Context()
	w := newToldWorld(t)
	w.put(t, "heads/undecided", value{change: "undecided", next: w.old})
	w.put(t, "stashes/undecided", value{change: "undecided", next: w.old})
	w.put(t, "heads/done", value{Target: w.old, change: "done"})
	w.put(t, "heads/given", value{change: "given", next: w.old})
	for id, said := range map[string]string{"done": outcomeDone, "given": outcomeGiven} {
		must(t, w.s.Put(ctx, changesDir+id, object.Bytes([]byte(said)), object.IfAbsent))
	}
	before := w.packs(t)
	out, _, err := w.push.Run(ctx, append(w.wants(), Want{Name: "heads/gone", Commit: w.first}))
	must(t, err)
	for _, o := range out {
		if o.Status.Refused() {
			t.Errorf("%s is refused: %d", o.Name, o.Status)
		}
	}
	for n := range w.packs(t) {
		if before[n] {
			t.Errorf("%s of before is needed", n)
		}
	}
	if x := w.read(t, "heads/gone"); x.Commit != w.first || !x.Runs.IsZero() {
		t.Errorf("the branch that came back is %+v", x)
	}
	list, err := w.s.List(ctx, changesDir)
	must(t, err)
	if len(list) > 0 {
		t.Errorf("outcomes are needed still: %v", list)
	}
}

// TestCollectDecided: of a ref whose change nobody has tidied up collections keep what it means, both sides while that is undecided.
func TestCollectDecided(t *testing.T) {
	ctx := t.Context()
	for said, want := range map[string]struct{ from, to bool }{"": {true, true}, outcomeDone: {false, true}, outcomeGiven: {true, false}} {
		w := newToldWorld(t)
		k := &Keeper{Remote: w.remote(w.s), Store: w.push.Store, FS: w.push.FS, Temp: w.push.Temp}
		var sides []Target
		for _, message := range []string{"from", "to"} {
			x, err := k.Swap(ctx, []Swap{{From: Ref{Name: "heads/" + message}, To: Target{Commit: newCommit(t, w.push.Store, message)}}})
			must(t, err)
			sides = append(sides, x[0].Target)
			must(t, w.s.Delete(ctx, refObject("heads/"+message)))
		}
		w.put(t, "heads/cut", value{Target: sides[0], change: "cut", next: sides[1]})
		w.put(t, "heads/new", value{change: "cut", next: sides[1]})
		w.put(t, "heads/old", value{Target: sides[0], change: "cut"})
		if said != "" {
			must(t, w.s.Put(ctx, changesDir+"cut", object.Bytes([]byte(said)), object.IfAbsent))
		}
		w.packs(t)
		there := func(name string) bool {
			list, err := w.s.List(ctx, name)
			must(t, err)
			return len(list) > 0
		}
		for i, want := range []bool{want.from, want.to} {
			if got := there(listsDir + sides[i].List.Full()); got != want {
				t.Errorf("decided %q: the list of side %d is there: %v", said, i, got)
			}
		}
		// What it says is that there is no such branch: then it goes, at last.
		if got := there(refObject("heads/old")); got != want.from {
			t.Errorf("decided %q: what is left of the branch that it removes is there: %v", said, got)
		}
		if got := there(refObject("heads/new")); got != want.to {
			t.Errorf("decided %q: what is left of the branch that it makes is there: %v", said, got)
		}
		if said != "" && !there(changesDir+"cut") {
			t.Errorf("decided %q: the outcome that a ref names is gone", strings.TrimSpace(said))
		}
	}
}

// TestAnewSeen: what has changed since the refs were seen by which a push was decided is not overwritten, nor what it tells of runs dropped, not of branches
// that are removed again either.
func TestAnewSeen(t *testing.T) {
	ctx := t.Context()
	for _, atomic := range []bool{true, false} {
		w := newToldWorld(t)
		k := &Keeper{Remote: w.remote(w.s), Store: w.push.Store, FS: w.push.FS, Temp: w.push.Temp}
		seen, err := w.push.Remote.See(ctx)
		must(t, err)
		late := Target{Commit: newCommit(t, k.Store, "late runs")}
		swap := func(name string, to history.CommitID, runs Target) Ref {
			t.Helper()
			x, err := k.Read(ctx, name)
			must(t, err)
			out, err := k.Swap(ctx, []Swap{{From: x, To: Target{Commit: to}, Runs: runs}})
			must(t, err)
			return out[0]
		}
		swap("heads/one", newCommit(t, k.Store, "late", w.first), late)
		gone := swap("heads/gone", w.first, late)
		swap("heads/gone", history.CommitID{}, gone.Runs)
		made := swap("heads/made", w.first, late)
		swap("heads/made", history.CommitID{}, made.Runs)
		before := map[string]Ref{}
		all := []string{"heads/one", "heads/gone", "heads/made"}
		for _, n := range all {
			before[n] = w.read(t, n)
		}
		w.push.Seen, w.push.Atomic = seen, atomic
		out, _, err := w.push.Run(ctx, append(w.wants(), Want{Name: "heads/gone", Commit: w.second, Force: true}, Want{Name: "heads/made", Commit: w.second, Force: true}))
		must(t, err)
		for _, o := range out {
			if o.Name != "heads/two" && o.Status != Raced {
				t.Errorf("%s (atomic %v) was pushed over what came meanwhile: %d", o.Name, atomic, o.Status)
			}
		}
		for _, n := range all {
			if x := w.read(t, n); !x.says(before[n]) || x.Runs.Commit != late.Commit {
				t.Errorf("%s (atomic %v) is %+v, was %+v", n, atomic, x, before[n])
			}
		}
	}
}

// TestAnewCame: a branch that is made while all is pushed anew may need what was there before, which the push tells.
func TestAnewCame(t *testing.T) {
	ctx := t.Context()
	w := newToldWorld(t)
	k := &Keeper{Remote: w.remote(w.s), Store: w.push.Store, FS: w.push.FS, Temp: w.push.Temp}
	asked := 0
	w.push.Lineage = func(context.Context, Ref) (history.CommitID, error) {
		if asked++; asked == 1 {
			_, err := k.Swap(ctx, []Swap{{From: Ref{Name: "heads/came"}, To: Target{Commit: w.first}}})
			must(t, err)
		}
		return w.joined, nil
	}
	if _, _, err := w.push.Run(ctx, w.wants()); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "heads/came") {
		t.Errorf("beside a branch that came meanwhile the push said %v", err)
	}
	_, _, err := w.push.Run(ctx, append(w.wants(), Want{Name: "heads/came"}))
	must(t, err)
}
