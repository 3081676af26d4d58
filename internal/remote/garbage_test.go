package remote_test

import (
	"context"
	"math/rand/v2"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/file"
	"github.com/stemmadb/stemma/internal/object/mem"
	"github.com/stemmadb/stemma/internal/object/objecttest"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

// day is a grace period.
const day = 24 * time.Hour

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// collect collects the garbage of a remote.
func collect(s object.Store, now time.Time, grace time.Duration) (*sync.Collected, error) {
	r, err := openRemote(ctx, s)
	if err != nil {
		return nil, err
	}
	return (&sync.Collect{Remote: r, Now: now, Grace: grace}).Run(ctx)
}

// objects is the number of packs and lists of a remote.
func objects(t tb, s object.Store) (n int) {
	t.Helper()
	for _, dir := range []string{"packs/", "lists/"} {
		list, err := s.List(ctx, dir)
		must(t, err)
		n += len(list)
	}
	return n
}

// drop removes a branch of a remote.
func (m *machine) drop(t tb, s object.Store, branch string) {
	t.Helper()
	p := &sync.Push{Remote: mustOpen(t, s), Store: m.Store(), FS: m.FS(), Temp: m.TempDir()}
	out, _, err := p.Run(ctx, []sync.Want{{Name: sync.Heads + branch}})
	must(t, err)
	if out[0].Status != sync.Removed {
		t.Fatalf("%s was to be removed: %d", branch, out[0].Status)
	}
}

// littered is a remote with the branch main, and garbage: what only the removed branch fix needed. The machine has both.
func littered(t tb, s object.Store) *machine {
	t.Helper()
	m := newMachine(t, "ada")
	rng := rand.New(rand.NewPCG(7, 1))
	m.work(t, "main", rng)
	_, err := m.push(mustOpen(t, s), false, false, "main")
	must(t, err)
	at, _ := m.BranchHead("main")
	must(t, m.CreateBranch(ctx, "fix", at, false))
	m.work(t, "fix", rng)
	_, err = m.push(mustOpen(t, s), false, false, "fix")
	must(t, err)
	m.drop(t, s, "fix")
	return m
}

func TestCollect(t *testing.T) {
	for name, s := range map[string]object.Store{"mem": &mem.Store{}, "file": file.Open(vfs.NewMem(), "/remote")} {
		t.Run(name, func(t *testing.T) {
			if c, err := collect(s, noon, day); err != nil || *c != (sync.Collected{}) {
				t.Fatalf("of an empty place: %+v, %v", c, err)
			}
			m := littered(t, s)
			all := objects(t, s)
			c, err := (&sync.Collect{Remote: mustOpen(t, s), Now: noon, Grace: day, DryRun: true}).Run(ctx)
			must(t, err)
			if _, err := s.Stat(ctx, "garbage"); !errs.Is(err, errs.NotFound) || c.Waiting.Objects != 3 || c.Removed.Objects != 0 {
				t.Fatalf("a dry run: %+v, %v", c, err)
			}
			for _, at := range []time.Duration{0, 0, day - time.Minute} {
				c, err := collect(s, noon.Add(at), day)
				must(t, err)
				if c.Waiting.Objects != 3 || c.Removed.Objects != 0 || c.Used.Objects != 2 || objects(t, s) != all || !c.Next.Equal(noon.Add(day)) {
					t.Fatalf("after %s: %+v of %d objects", at, c, all)
				}
			}
			c, err = collect(s, noon.Add(day), day)
			must(t, err)
			if c.Waiting.Objects != 0 || c.Removed.Objects != 3 || c.Removed.Bytes == 0 || objects(t, s) != all-2 {
				t.Fatalf("after a day: %+v, %d objects", c, objects(t, s))
			}
			whole(t, s)
			// The same again: its objects cannot have the names that go.
			out, err := m.push(mustOpen(t, s), false, false, "fix")
			must(t, err)
			if out[0].Status != sync.Created {
				t.Fatalf("push: %d", out[0].Status)
			}
			whole(t, s)
			// It has tried those first.
			if c, err = collect(s, noon.Add(day), day); err != nil || c.Removed.Objects != 2 || c.Waiting.Objects != 0 {
				t.Fatalf("of what came back under names that go: %+v, %v", c, err)
			}
			if c, err = collect(s, noon.Add(day), day); err != nil || c.Removed.Objects != 0 || c.Waiting.Objects != 0 {
				t.Fatalf("of a remote without garbage: %+v, %v", c, err)
			}
			whole(t, s)
			m.drop(t, s, "fix")
			if c, err = collect(s, noon.Add(day), 0); err != nil || c.Removed.Objects != 3 || objects(t, s) != all-2 {
				t.Fatalf("at once: %+v, %v", c, err)
			}
			whole(t, s)
		})
	}
}

// TestCollectRefs: what is left of a removed branch goes a grace period after it was noted, and not what somebody makes of it meanwhile.
func TestCollectRefs(t *testing.T) {
	const ref = "refs/heads/fix"
	there := func(s object.Store) bool {
		_, err := s.Stat(ctx, ref)
		if err != nil && !errs.Is(err, errs.NotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	s := &mem.Store{}
	m := littered(t, s)
	for _, x := range []struct {
		after time.Duration
		there bool
	}{{0, true}, {day - time.Second, true}, {day, false}, {2 * day, false}} {
		_, err := collect(s, noon.Add(x.after), day)
		must(t, err)
		if there(s) != x.there {
			t.Errorf("after %s the object of the removed branch is there: %v", x.after, !x.there)
		}
	}
	data, _, err := s.Get(ctx, "garbage")
	must(t, err)
	if strings.Contains(string(data), ref) {
		t.Errorf("it is noted still:\n%s", data)
	}
	// Made and removed again it waits anew.
	push := func() {
		out, err := m.push(mustOpen(t, s), false, false, "fix")
		must(t, err)
		if out[0].Status != sync.Created {
			t.Fatalf("push: %d", out[0].Status)
		}
	}
	push()
	m.drop(t, s, "fix")
	_, err = collect(s, noon.Add(2*day), day)
	must(t, err)
	push()
	m.drop(t, s, "fix")
	_, err = collect(s, noon.Add(3*day), day)
	must(t, err)
	if !there(s) {
		t.Error("what is left of a branch that was made and removed again is gone")
	}
	// Somebody makes the branch between what a collection reads and what it deletes.
	b := beforeDelete{s, push}
	_, err = collect(b, noon.Add(5*day), day)
	must(t, err)
	whole(t, s)
	if refs, err := mustOpen(t, s).Refs(ctx); err != nil || refs["heads/fix"].IsZero() {
		t.Errorf("the branch that was made meanwhile is lost: %v %v", refs, err)
	}
	// A server that minds no condition of a delete keeps them, and has no notes of them, also of those that another server has noted, since older
	// programs would not push any more.
	m.drop(t, s, "fix")
	_, err = collect(s, noon.Add(6*day), day)
	must(t, err)
	for _, after := range []time.Duration{7 * day, 8 * day, 10 * day} {
		dry, err := (&sync.Collect{Remote: mustOpen(t, heedless{s}), Now: noon.Add(after), Grace: day, DryRun: true}).Run(ctx)
		must(t, err)
		c, err := collect(heedless{s}, noon.Add(after), day)
		must(t, err)
		if *dry != *c || c.Left.Objects != 1 || c.Left.Bytes == 0 {
			t.Errorf("after %s a dry run says %+v, and it was %+v", after, dry, c)
		}
		data, _, err := s.Get(ctx, "garbage")
		must(t, err)
		if !strings.HasPrefix(string(data), "stemma garbage 1\n") || strings.Contains(string(data), ref) {
			t.Errorf("after %s its notes are\n%s", after, data)
		}
	}
	if !there(s) {
		t.Error("it was removed by a server that would remove anything")
	}
	if list, err := s.List(ctx, "changes/"); err != nil || len(list) > 0 {
		t.Errorf("what was put to find that out is there still: %v, %v", list, err)
	}
}

// beforeDelete is a store in which something happens before a delete on a condition.
type beforeDelete struct {
	object.Store
	call func()
}

// DeleteIf implements object.Store.
func (b beforeDelete) DeleteIf(ctx context.Context, name string, g object.Generation) error {
	if strings.HasPrefix(name, "refs/") {
		b.call()
	}
	return b.Store.DeleteIf(ctx, name, g)
}

// heedless is a store on a server that minds no condition of a delete.
type heedless struct{ object.Store }

// DeleteIf implements object.Store.
func (h heedless) DeleteIf(ctx context.Context, name string, _ object.Generation) error {
	return h.Delete(ctx, name)
}

// TestCollectRefuses: what is not understood makes nothing go.
func TestCollectRefuses(t *testing.T) {
	for name, text := range map[string]string{"refs/strange/x": "stemma ref 1\nnonce a\n", "refs/heads/main": "stemma ref 2\n", "garbage": "stemma garbage 3\n", "refs/heads/x": "stemma ref 1\ncommit"} {
		s := &mem.Store{}
		littered(t, s)
		_, err := collect(s, noon, day)
		must(t, err)
		all := objects(t, s)
		must(t, s.Put(ctx, name, object.Bytes([]byte(text)), object.Always))
		if _, err := collect(s, noon.Add(2*day), day); !errs.Is(err, errs.Invalid) && !errs.Is(err, errs.Corrupt) && !errs.Is(err, errs.TooNew) {
			t.Errorf("%s with %q: %v", name, text, err)
		}
		if n := objects(t, s); n != all {
			t.Errorf("%s with %q: %d objects of %d are left", name, text, n, all)
		}
	}
}

// between is a store that calls before each request.
type between struct {
	object.Store
	call func(name string)
	said func(name string) // after a Get
}

// Get implements object.Store.
func (b *between) Get(ctx context.Context, name string) ([]byte, object.Generation, error) {
	b.call(name)
	defer b.said(name)
	return b.Store.Get(ctx, name)
}

// Put implements object.Store.
func (b *between) Put(ctx context.Context, name string, body object.Body, on object.Condition) error {
	b.call(name)
	return b.Store.Put(ctx, name, body, on)
}

// Stat implements object.Store.
func (b *between) Stat(ctx context.Context, name string) (object.Info, error) {
	b.call(name)
	return b.Store.Stat(ctx, name)
}

// List implements object.Store.
func (b *between) List(ctx context.Context, prefix string) ([]object.Info, error) {
	b.call(prefix)
	return b.Store.List(ctx, prefix)
}

// TestCollectBesidePush has collections note garbage and remove it between any two requests of a push, which counts on objects that are
// garbage: those that a push that died has sent, and those of a branch that somebody else removes when the push has read it.
func TestCollectBesidePush(t *testing.T) {
	lost, all := 0, 0
	for noted := 0; ; noted++ {
		over := false
		for removed := noted; ; removed++ {
			s := &mem.Store{}
			m := littered(t, s)
			rng := rand.New(rand.NewPCG(7, 3))
			m.work(t, "fix", rng)
			// What a push of fix that died has sent, and a branch of which it can have the rest.
			at, _ := m.BranchHead("fix")
			must(t, m.CreateBranch(ctx, "old", at, false))
			_, err := m.push(mustOpen(t, s), false, false, "old")
			must(t, err)
			m.drop(t, s, "old")
			m.work(t, "old", rng)
			_, err = m.push(mustOpen(t, s), false, false, "old")
			must(t, err)
			m.work(t, "fix", rng)
			n, now, claimed, done := 0, noon, false, 0
			note := func() { _, err := collect(s, now, day); must(t, err) }
			var mu gosync.Mutex
			b := &between{Store: s, said: func(name string) {
				mu.Lock()
				defer mu.Unlock()
				claimed = claimed || name == "garbage"
			}}
			b.call = func(string) {
				mu.Lock()
				defer mu.Unlock()
				defer func() { n++ }()
				if n == noted && !claimed {
					done++
					if rng.IntN(2) == 0 { // somebody else removes what the push may count on
						m.drop(t, s, "old")
					}
					note()
				}
				if n == removed && done == 1 {
					done++
					now = now.Add(day)
					note()
				}
			}
			p := &sync.Push{Remote: mustOpen(t, s), Store: m.Store(), FS: m.FS(), Temp: m.TempDir(), Now: func() time.Time { return now }}
			p.Remote = mustOpen(t, b)
			head, _ := m.BranchHead("fix")
			before := objects(t, s)
			out, _, err := p.Run(ctx, []sync.Want{{Name: sync.Heads + "fix", Commit: head}})
			must(t, err)
			if out[0].Status.Refused() {
				t.Fatalf("noted before request %d, removed before %d: refused, %d", noted, removed, out[0].Status)
			}
			all++
			if objects(t, s) < before {
				lost++
			}
			whole(t, s)
			if t.Failed() {
				t.Fatalf("noted before request %d, removed before %d", noted, removed)
			}
			must(t, m.Close(ctx))
			over = done == 0
			if removed >= n {
				break
			}
		}
		if over {
			break
		}
	}
	if lost == 0 {
		t.Errorf("in none of %d schedules anything was removed", all)
	}
}

// TestDyingCollect cuts a collection off at every request: nothing that is needed goes, and the next one ends the work.
func TestDyingCollect(t *testing.T) {
	for kill := int64(1); ; kill++ {
		s := &mem.Store{}
		m := littered(t, s)
		all := objects(t, s)
		_, err := collect(s, noon, day)
		must(t, err)
		f := objecttest.NewFaulty(s, 1, 0)
		f.Kill = kill
		_, err = collect(f, noon.Add(day), day)
		whole(t, s)
		if kill%2 == 0 { // what a dead collection was about to remove is pushed
			_, err := m.push(mustOpen(t, s), false, false, "fix")
			must(t, err)
			whole(t, s)
		}
		for range 2 {
			_, err := collect(s, noon.Add(2*day), day)
			must(t, err)
			whole(t, s)
		}
		if kill%2 == 1 && objects(t, s) != all-2 {
			t.Errorf("after a collection cut off at request %d and two more there are %d objects, not %d", kill, objects(t, s), all-2)
		}
		must(t, m.Close(ctx))
		if err == nil {
			break
		}
	}
}

// TestCollectSeesNames: what a push counts on is no garbage any more.
func TestCollectSeesNames(t *testing.T) {
	s := &mem.Store{}
	m := littered(t, s)
	_, err := collect(s, noon, day)
	must(t, err)
	_, err = m.push(mustOpen(t, s), false, false, "fix") // counts on what was noted
	must(t, err)
	data, _, err := s.Get(ctx, "garbage")
	must(t, err)
	if strings.Contains(string(data), " packs/") || strings.Contains(string(data), " lists/") {
		t.Errorf("what a push has claimed is noted still:\n%s", data)
	}
	c, err := collect(s, noon.Add(2*day), day)
	must(t, err)
	if c.Removed.Objects != 0 {
		t.Errorf("%+v", c)
	}
	whole(t, s)
}
