package repo

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/file"
	"github.com/stemmadb/stemma/internal/pack"
	remotesync "github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

// The tests of this file hold a change of a database in a bucket at a moment on its way and let something else happen there.

// keptBed is a bed whose branches are in a bucket: main, side and other, each of the latter a commit further than main, side with the number 100.
type keptBed struct {
	*bed
	store *watched
	other *remotesync.Keeper // of another machine
	heads map[string]history.CommitID

	mu   sync.Mutex
	disk error // of writes to the local copy
}

// watched is a store that asks before objects are read and put, and may answer something else afterwards.
type watched struct {
	object.Store
	mu     sync.Mutex
	before func(name string) error // of a put
	after  func(name string) error
	get    func(name string) error
	puts   map[string]int
}

func (w *watched) set(before, after, get func(name string) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before, w.after, w.get = before, after, get
}

func (w *watched) ask(pick func() func(string) error, name string) error {
	w.mu.Lock()
	fn := pick()
	w.mu.Unlock()
	if fn == nil {
		return nil
	}
	return fn(name)
}

// Get implements object.Store.
func (w *watched) Get(ctx context.Context, name string) ([]byte, object.Generation, error) {
	if err := w.ask(func() func(string) error { return w.get }, name); err != nil {
		return nil, "", err
	}
	return w.Store.Get(ctx, name)
}

// Put implements object.Store.
func (w *watched) Put(ctx context.Context, name string, body object.Body, on object.Condition) error {
	w.mu.Lock()
	w.puts[name]++
	w.mu.Unlock()
	if err := w.ask(func() func(string) error { return w.before }, name); err != nil {
		return err
	}
	if err := w.Store.Put(ctx, name, body, on); err != nil {
		return err
	}
	return w.ask(func() func(string) error { return w.after }, name)
}

const mainRef, sideRef = "refs/heads/main", "refs/heads/side"

func newKept(t *testing.T) *keptBed {
	t.Helper()
	b := &keptBed{bed: newBed(t), heads: map[string]history.CommitID{}}
	b.heads["main"] = b.commit("main").ID
	for _, n := range []string{"side", "other"} {
		b.must(b.r.CreateBranch(b.ctx, n, b.heads["main"], false))
		if n == "side" {
			b.put(n, "t", 100)
		}
		b.heads[n] = b.commit(n).ID
	}
	b.must(b.r.Close(b.ctx))
	r, err := Open(b.ctx, vfs.WithHook(b.fs, func(o vfs.Op) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if o.Kind != vfs.OpRead && strings.HasPrefix(o.Name, "/db") {
			return b.disk
		}
		return nil
	}), "/db", Options{Clock: clock.Fixed{T: ada.Time}})
	b.must(err)
	b.r = r
	t.Cleanup(func() { r.Close(context.WithoutCancel(b.ctx)) })
	b.store = &watched{Store: file.Open(b.fs, "/rem"), puts: map[string]int{}}
	at, err := remotesync.Open(b.ctx, b.store)
	b.must(err)
	at.Stripe(pack.Blocks{Full: 1000, Least: 1}) // as buckets are
	var wants []remotesync.Want
	for n, head := range b.heads {
		wants = append(wants, remotesync.Want{Name: remotesync.Heads + n, Commit: head})
	}
	_, _, err = (&remotesync.Push{Remote: at, Store: r.Store(), FS: b.fs, Temp: r.TempDir()}).Run(b.ctx, wants)
	b.must(err)
	p := &remotesync.Partial{URL: at.URL(), Lazy: true, Mirror: true, Kept: true}
	b.must(p.Write(b.fs, r.dir))
	r.usePart(p)
	b.must(r.KeepIn(b.ctx, &remotesync.Keeper{Remote: at, Store: r.Store(), FS: b.fs, Temp: r.TempDir()}, 0))
	b.other = &remotesync.Keeper{Remote: at, Store: r.Store(), FS: b.fs, Temp: r.TempDir()}
	return b
}

// move has another machine move a branch.
func (b *keptBed) move(branch string, to history.CommitID) {
	b.Helper()
	from, err := b.other.Read(b.ctx, remotesync.Heads+branch)
	b.must(err)
	s := remotesync.Swap{From: from, To: remotesync.Target{Commit: to}}
	_, err = b.other.Swap(b.ctx, []remotesync.Swap{s})
	b.must(err)
}

// held has puts of an object wait until they are answered; each is announced first.
func (b *keptBed) held(object string) (came chan struct{}, answer chan error) {
	came, answer = make(chan struct{}), make(chan error)
	b.store.set(func(name string) error {
		if name != object {
			return nil
		}
		came <- struct{}{}
		return <-answer
	}, nil, nil)
	return came, answer
}

// enqueued is a transaction with a number in the table t of main, on its way.
func (b *keptBed) enqueued(n int64) *state {
	b.Helper()
	tx := b.edit("main", "t", n)
	b.Cleanup(tx.Rollback)
	dirty, err := together(b.ctx, []*Tx{tx}, privateFold)
	b.must(err)
	s, err := enqueue(b.ctx, dirty)
	b.must(err)
	return s
}
