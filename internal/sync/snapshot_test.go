package sync

import (
	"strings"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/mem"
	"github.com/stemmadb/stemma/internal/object/objecttest"
)

// syncedWorld is a backup: a branch that was b and is a since, with a snapshot of each.
type syncedWorld struct {
	s    *mem.Store
	push *Push
	a, b history.CommitID
	now  time.Time
}

func newSyncedWorld(t *testing.T) *syncedWorld {
	t.Helper()
	st, fs, dir := newStore(t)
	w := &syncedWorld{s: &mem.Store{}, now: time.Now().Truncate(time.Microsecond)}
	w.a = newCommit(t, st, "a")
	w.b = newCommit(t, st, "b", w.a)
	must(t, (&Remote{s: w.s}).init(t.Context()))
	w.push = &Push{Remote: w.remote(w.s), Store: st, FS: fs, Temp: dir, Atomic: true}
	w.sync(t, w.b, 0)
	w.sync(t, w.a, time.Minute)
	return w
}

func (w *syncedWorld) remote(s object.Store) *Remote { return &Remote{s: s, known: true} }

// sync makes the branch a commit, sent in packs of its own, and keeps a snapshot.
func (w *syncedWorld) sync(t *testing.T, id history.CommitID, after time.Duration) map[string]Ref {
	t.Helper()
	p := *w.push
	p.Anew = true
	_, refs, err := p.Run(t.Context(), []Want{{Name: "heads/main", Commit: id, Force: true}})
	must(t, err)
	at := w.now.Add(after)
	must(t, w.remote(w.s).KeepSnapshot(t.Context(), at, refs, func() time.Time { return at }))
	return refs
}

// snapshots are what the snapshots say of the branch, the oldest first.
func (w *syncedWorld) snapshots(t *testing.T) (infos []SnapshotInfo, all []*Snapshot) {
	t.Helper()
	infos, err := w.remote(w.s).Snapshots(t.Context())
	must(t, err)
	all, err = w.remote(w.s).ReadSnapshots(t.Context(), infos)
	must(t, err)
	return infos, all
}

// collect collects all garbage.
func (w *syncedWorld) collect(t *testing.T) {
	t.Helper()
	for day := range 2 {
		_, err := (&Collect{Remote: w.remote(w.s), Now: w.now.AddDate(0, 0, day), Grace: time.Hour}).Run(t.Context())
		must(t, err)
	}
}

// missing is how many of the objects that the ref needs are gone.
func (w *syncedWorld) missing(t *testing.T, x Ref) (n int) {
	t.Helper()
	packs, err := w.remote(w.s).Packs(t.Context(), x.Target)
	if isLost(err) {
		return 1
	}
	must(t, err)
	for _, p := range packs {
		if _, err := w.s.Stat(t.Context(), p.object()); errs.Is(err, errs.NotFound) {
			n++
		}
	}
	return n
}

// TestCollectKeepsSnapshots: what a snapshot names stays, also what no ref has any more, and goes when it is forgotten.
func TestCollectKeepsSnapshots(t *testing.T) {
	w := newSyncedWorld(t)
	infos, all := w.snapshots(t)
	if len(all) != 2 || !infos[0].Time.Equal(w.now) || all[0].Refs["heads/main"].Commit != w.b || all[1].Refs["heads/main"].Commit != w.a {
		t.Fatalf("the snapshots are %+v, %+v", infos, all)
	}
	w.collect(t)
	for i, x := range all {
		if n := w.missing(t, x.Refs["heads/main"]); n != 0 {
			t.Errorf("snapshot %d misses %d objects", i, n)
		}
	}
	must(t, w.remote(w.s).ForgetSnapshots(t.Context(), infos[:1]))
	must(t, w.remote(w.s).ForgetSnapshots(t.Context(), infos[:1])) // others have done so
	w.collect(t)
	if w.missing(t, all[0].Refs["heads/main"]) == 0 {
		t.Error("what only a forgotten snapshot had stays")
	}
	if n := w.missing(t, all[1].Refs["heads/main"]); n != 0 {
		t.Errorf("the snapshot that stays misses %d objects", n)
	}
	if infos, _ := w.snapshots(t); len(infos) != 1 {
		t.Errorf("snapshots %v", infos)
	}
}

// TestSnapshotsMarkGarbage: at whichever request a sync dies, there is no snapshot that a program which knows of none could collect from, and no
// collection makes that undone.
func TestSnapshotsMarkGarbage(t *testing.T) {
	for kill, over := int64(1), false; !over; kill++ {
		w := newSyncedWorld(t)
		infos, all := w.snapshots(t)
		must(t, w.remote(w.s).ForgetSnapshots(t.Context(), infos))
		must(t, w.s.Delete(t.Context(), garbageName))
		f := objecttest.NewFaulty(w.s, 1, 0)
		f.Kill = kill
		err := w.remote(f).KeepSnapshot(t.Context(), w.now, all[1].Refs, func() time.Time { return w.now })
		if over = err == nil; !over && kill > 12 {
			t.Fatalf("a snapshot takes more than twelve requests: %v", err)
		}
		w.collect(t)
		infos, _ = w.snapshots(t)
		data, _, err := w.s.Get(t.Context(), garbageName)
		if len(infos) > 0 && (err != nil || !strings.HasPrefix(string(data), snapshotsGarbageWords+"\n")) {
			t.Errorf("killed at request %d, there is a snapshot, and notes for old programs: %s %v", kill, data, err)
		}
		if over && len(infos) != 1 {
			t.Errorf("there are %d snapshots", len(infos))
		}
	}
	// With the mark there are one to read it, one for the list of packs, one to claim it, one to list the others, one to put the snapshot, and a look at the refs.
	w := newSyncedWorld(t)
	_, all := w.snapshots(t)
	f, look := objecttest.NewFaulty(w.s, 1, 0), objecttest.NewFaulty(w.s, 1, 0)
	_, err := w.remote(look).See(t.Context())
	must(t, err)
	must(t, w.remote(f).KeepSnapshot(t.Context(), w.now, all[1].Refs, nil))
	if f.Calls() != 5+look.Calls() {
		t.Errorf("a snapshot took %d requests, and a look at the refs %d", f.Calls(), look.Calls())
	}
}

// TestCollectNeedsToUnderstand: a snapshot that cannot be read, or was written by a newer program, is no reason to collect what it names.
func TestCollectNeedsToUnderstand(t *testing.T) {
	for name, code := range map[string]errs.Code{"stemma snapshot 2\nend\n": errs.TooNew, "stemma snapshot 1\n": errs.Corrupt, "": errs.Corrupt} {
		w := newSyncedWorld(t)
		infos, all := w.snapshots(t)
		must(t, w.s.Put(t.Context(), infos[0].name, object.Bytes([]byte(name)), object.Always))
		for day := range 3 {
			if _, err := (&Collect{Remote: w.remote(w.s), Now: w.now.AddDate(0, 0, day), Grace: time.Hour}).Run(t.Context()); !errs.Is(err, code) {
				t.Errorf("a snapshot %q: %v", name, err)
			}
		}
		if w.missing(t, all[0].Refs["heads/main"]) != 0 {
			t.Errorf("a snapshot %q: what it named is gone", name)
		}
	}
	w := newSyncedWorld(t)
	must(t, w.s.Put(t.Context(), snapshotsDir+"later", object.Bytes(nil), object.Always))
	if _, err := (&Collect{Remote: w.remote(w.s), Now: w.now}).Run(t.Context()); !errs.Is(err, errs.Invalid) {
		t.Errorf("an object that is no snapshot: %v", err)
	}
	warned := ""
	r := w.remote(w.s)
	r.Warn = func(text string) { warned = text }
	if list, err := r.Snapshots(t.Context()); err != nil || len(list) != 2 || !strings.Contains(warned, "which is no snapshot") {
		t.Errorf("%v %v %q", list, err, warned)
	}
}

// TestSnapshotClaims: what collections have noted of what a snapshot names is claimed, and a sync whose refs were replaced or collected since keeps what
// the refs are by then.
func TestSnapshotClaims(t *testing.T) {
	ctx := t.Context()
	w := newSyncedWorld(t)
	infos, all := w.snapshots(t)
	must(t, w.remote(w.s).ForgetSnapshots(ctx, infos))
	list := listsDir + all[1].Refs["heads/main"].List.Full()
	g, gen, err := w.remote(w.s).garbage(ctx)
	must(t, err)
	g.unnamed[list] = w.now // by one that has read the refs before they named it
	must(t, w.s.Put(ctx, garbageName, object.Bytes(g.encode()), object.If(gen)))
	keep := func(refs map[string]Ref, after time.Duration) {
		t.Helper()
		must(t, w.remote(w.s).KeepSnapshot(ctx, w.now, refs, func() time.Time { return w.now.Add(after) }))
	}
	keep(all[1].Refs, time.Minute)
	if g, _, err = w.remote(w.s).garbage(ctx); err != nil || !g.unnamed[list].IsZero() {
		t.Errorf("the list of packs is noted still: %v", err)
	}
	// Seen before the place was made to forget what was there, which is put when it was forgotten, before and after it is collected.
	for _, after := range []time.Duration{time.Minute, 50 * time.Hour} {
		infos, _ = w.snapshots(t)
		must(t, w.remote(w.s).ForgetSnapshots(ctx, infos))
		keep(all[0].Refs, after)
		infos, now := w.snapshots(t)
		if len(now) != 1 || now[0].Refs["heads/main"].Commit != w.a || !infos[0].Time.Equal(w.now.Add(after)) {
			t.Errorf("the snapshots are %+v of %v", now, infos)
		}
		w.collect(t)
		if w.missing(t, all[0].Refs["heads/main"]) == 0 {
			t.Error("what was to be forgotten is kept")
		}
		if w.missing(t, all[1].Refs["heads/main"]) != 0 {
			t.Error("what the refs need is gone")
		}
	}
}

// TestCollectMarksForSnapshots: where the notes of collections were lost or removed, a collection that finds snapshots makes them such that older programs
// cannot read them.
func TestCollectMarksForSnapshots(t *testing.T) {
	w := newSyncedWorld(t)
	must(t, w.s.Delete(t.Context(), garbageName))
	w.collect(t)
	if data, _, err := w.s.Get(t.Context(), garbageName); err != nil || !strings.HasPrefix(string(data), snapshotsGarbageWords+"\n") {
		t.Errorf("the notes are %q, %v", data, err)
	}
}
