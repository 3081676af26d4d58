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
	"github.com/stemmadb/stemma/internal/object/mem"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

// TestCollectionDuringPush: what a push to a server counts on, since it is there as garbage, is not collected before a ref names it.
func TestCollectionDuringPush(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	server := newMachine(t, "server")
	server.work(t, "main", rng)
	at, _ := server.BranchHead("main")
	must(t, server.CreateBranch(ctx, "gone", at, false))
	must(t, server.CreateBranch(ctx, "old", at, false))
	server.work(t, "old", rng)
	collect := func() {}
	// Whether a branch is in use is asked between the look at what is there and the change.
	s, err := server.Serve("the server", func(string) bool { collect(); return false })
	must(t, err)
	r := mustOpen(t, s)
	refs, err := r.Refs(ctx)
	must(t, err)
	fs := vfs.NewMem()
	must(t, clone(r, fs, refs))
	m := open(t, fs, "ada")
	head, _ := m.BranchHead("old")
	must(t, server.DeleteBranch(ctx, "old", "", true))
	collect = func() {
		some, cancel := context.WithTimeout(ctx, 2*time.Second) // it waits for the push
		defer cancel()
		_, err := server.Collect(some, repo.CollectOptions{Full: true, Expire: signature("server").Time.Add(time.Hour)})
		if err != nil && !errs.Is(err, errs.Canceled) {
			t.Errorf("collect: %v", err)
		}
	}
	p := &sync.Push{Remote: r, Store: m.Store(), FS: m.FS(), Temp: m.TempDir(), Atomic: true}
	out, _, err := p.Run(ctx, []sync.Want{{Name: "heads/again", Commit: head}, {Name: "heads/gone"}})
	must(t, err)
	for _, o := range out {
		if o.Status.Refused() {
			t.Errorf("%s is refused: %d", o.Name, o.Status)
		}
	}
	server.sound(t)
	must(t, s.Close())
}

// amnesiac does the puts of some objects and says that their conditions did not hold, as a server does that was cut off after it had done them.
type amnesiac struct {
	object.Store
	of string
}

// Put implements object.Store.
func (a amnesiac) Put(ctx context.Context, name string, body object.Body, on object.Condition) error {
	err := a.Store.Put(ctx, name, body, on)
	if err == nil && strings.HasPrefix(name, a.of) {
		err = object.ErrCondition(name)
	}
	return err
}

// TestForgottenOutcome: a push that was done is told to be done, though the remote has forgotten that it was this one.
func TestForgottenOutcome(t *testing.T) {
	for _, of := range []string{"changes/", "refs/heads/fix"} {
		m, at := started(t)
		must(t, m.CreateBranch(ctx, "fix", at, false))
		base := &mem.Store{}
		_, err := m.push(mustOpen(t, base), false, false, "main")
		must(t, err)
		m.work(t, "main", rand.New(rand.NewPCG(1, 9)))
		out, err := m.push(mustOpen(t, amnesiac{base, of}), strings.HasPrefix(of, "changes"), false, "main", "fix")
		must(t, err)
		for _, o := range out {
			if o.Status.Refused() {
				t.Errorf("%s: the push of %s that was done is told to be refused: %d", of, o.Name, o.Status)
			}
		}
		whole(t, base)
	}
}

// restarting is a store that becomes another when the first range of a pack is read.
type restarting struct {
	object.Store
	mu      gosync.Mutex
	restart func() object.Store // nil when it was
}

// Get implements object.Store.
func (r *restarting) Get(ctx context.Context, name string) ([]byte, object.Generation, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Store.Get(ctx, name)
}

// GetRange implements object.Store.
func (r *restarting) GetRange(ctx context.Context, name string, b []byte, off int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.restart != nil {
		r.Store, r.restart = r.restart(), nil
	}
	return r.Store.GetRange(ctx, name, b, off)
}

// TestServerBeginsAnew: a clone goes on when the server has taken away the packs that it had made for it.
func TestServerBeginsAnew(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 7))
	server := newMachine(t, "server")
	server.work(t, "main", rng)
	want, _ := server.BranchHead("main")
	first, err := server.Serve("the server", nil)
	must(t, err)
	s := &restarting{Store: first}
	s.restart = func() object.Store {
		must(t, first.Close())
		server.work(t, "main", rng)
		next, err := server.Serve("the server", nil)
		must(t, err)
		return next
	}
	r := mustOpen(t, s)
	refs, err := r.Refs(ctx)
	must(t, err)
	fs := vfs.NewMem()
	must(t, clone(r, fs, refs))
	m := open(t, fs, "clone")
	if got, _ := m.BranchHead("main"); got != want {
		t.Errorf("the clone is at %s, want %s", got, want)
	}
	m.sound(t)
	if s.restart != nil {
		t.Error("the server did not begin anew")
	}
}
