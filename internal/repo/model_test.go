package repo_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// scale is n, or many times n when the environment asks for long tests.
func scale(n int) int {
	if os.Getenv("STEMMA_LONG") != "" {
		return 20 * n
	}
	return n
}

func openPlay(t *testing.T, fs vfs.FS) *repo.Repo {
	t.Helper()
	r, err := repo.Open(context.Background(), fs, "/db", repo.Options{Clock: testClock})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return r
}

func wantWorld(t *testing.T, r *repo.Repo, ws ...*world) *world {
	t.Helper()
	got, err := observe(context.Background(), r)
	if err != nil {
		t.Fatalf("read the database: %v", err)
	}
	for _, w := range ws {
		if got == w.String() {
			return w
		}
	}
	t.Fatalf("the database holds\n%swant\n%s", got, ws[0])
	return nil
}

func wantSound(t *testing.T, r *repo.Repo) {
	t.Helper()
	ps, err := problems(context.Background(), r)
	if err != nil {
		t.Fatalf("fsck: %v", err)
	}
	for _, p := range ps {
		t.Errorf("fsck: %s", p)
	}
	if t.Failed() {
		t.FailNow()
	}
}

// steps does n random steps. around, when not nil, is called with each action that changes the database, to do it.
func (p *play) steps(t *testing.T, n int, around func(a action) error) {
	t.Helper()
	ctx := context.Background()
	if around == nil {
		around = func(a action) error { return a.do(ctx, p.r) }
	}
	for range n {
		var a action
		switch k := p.rng.IntN(20); {
		case k < 2 && len(p.txs) < 5 || len(p.txs) == 0:
			if err := p.begin(ctx); err != nil {
				t.Fatalf("begin: %v", err)
			}
			continue
		case k < 13:
			x := p.txs[p.rng.IntN(len(p.txs))]
			if err := p.within(ctx, x); err != nil {
				t.Fatalf("within a transaction on %s: %v", x.branch, err)
			}
			continue
		case k < 14:
			if err := p.seen(ctx, p.txs[p.rng.IntN(len(p.txs))]); err != nil {
				t.Fatal(err)
			}
			continue
		case k < 18:
			a = p.end()
		default:
			a = p.next()
		}
		err := around(a)
		if errors.Is(err, errUnreachable) || errors.Is(err, errHandled) {
			continue
		}
		happened, wrong := a.outcome(err)
		if wrong != nil {
			t.Fatalf("%v\nworld\n%s", wrong, p.w)
		}
		if happened {
			p.w = a.next
			if p.did != nil {
				word, _, _ := strings.Cut(a.name, " ")
				p.did[word]++
			}
		}
	}
}

// errHandled says that what came of an action is taken care of.
var errHandled = errors.New("handled")

func (p *play) rollback() {
	for _, x := range p.txs {
		x.tx.Rollback()
	}
	p.txs = nil
}

// TestAgainstModel runs interleaved transactions and all that happens to branches against a model of what they should give.
func TestAgainstModel(t *testing.T) {
	ctx := context.Background()
	did := map[string]int{} // by the first word of the action's name
	for seed := range scale(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			mem := vfs.NewMem()
			must(t, repo.Init(ctx, mem, "/db", repo.InitOptions{Author: signature(), Committer: signature()}))
			p := &play{rng: rand.New(rand.NewPCG(uint64(seed), 1)), w: newWorld(), r: openPlay(t, mem), did: did}
			for range 12 {
				p.steps(t, 50, nil)
				wantWorld(t, p.r, p.w)
				switch p.rng.IntN(5) {
				case 0:
					p.rollback()
					must(t, p.r.Close(ctx))
					p.r = openPlay(t, mem)
				case 1:
					p.rollback()
					// What a power cut leaves depends on how far the work in the background has come; the actions after it do not.
					mem = mem.CrashClone(rand.New(rand.NewPCG(p.rng.Uint64(), 1)))
					p.r = openPlay(t, mem)
				}
				wantWorld(t, p.r, p.w)
			}
			wantSound(t, p.r)
			p.rollback()
			must(t, p.r.Checkpoint(ctx))
			must(t, p.r.Close(ctx))
			r := openPlay(t, mem)
			wantWorld(t, r, p.w)
			wantSound(t, r)
			must(t, r.Close(ctx))
		})
	}
	t.Logf("%v", did)
	for _, word := range []string{"commit", "merge", "revert", "reset", "pop", "collect", "removed"} {
		if did[word] < 3 && !t.Failed() {
			t.Errorf("%d times %s: the test does not test", did[word], word)
		}
	}
}

// TestCrash cuts the power before many of the operations on files: each time, all that was acknowledged is there, what was under
// way is there as a whole or not at all, and nothing else.
func TestCrash(t *testing.T) {
	ctx := context.Background()
	for seed := range scale(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			mem := vfs.NewMem()
			must(t, repo.Init(ctx, mem, "/db", repo.InitOptions{Author: signature(), Committer: signature()}))
			p := &play{rng: rand.New(rand.NewPCG(uint64(seed), 2)), w: newWorld()}
			rng := rand.New(rand.NewPCG(uint64(seed), 3))
			var mu sync.Mutex
			acked, after := p.w, p.w
			crashes, happened := 0, 0
			hooked := vfs.WithHook(mem, func(op vfs.Op) error {
				if op.Kind == vfs.OpRead || t.Failed() {
					return nil
				}
				mu.Lock()
				defer mu.Unlock()
				if rng.IntN(2) > 0 {
					return nil
				}
				crashes++
				clone := mem.CrashClone(rng)
				r, err := repo.Open(ctx, clone, "/db", repo.Options{Clock: testClock, ReadOnly: rng.IntN(3) == 0})
				if err != nil {
					t.Errorf("open after a crash: %v", err)
					return nil
				}
				got, err := observe(ctx, r)
				switch {
				case err != nil:
					t.Errorf("read the database after a crash: %v", err)
				case got == acked.String():
				case got == after.String():
					happened++
				default:
					t.Errorf("after a crash the database holds\n%swant\n%sor\n%s", got, acked, after)
				}
				if rng.IntN(4) == 0 {
					ps, err := problems(ctx, r)
					if err != nil || len(ps) > 0 {
						t.Errorf("fsck after a crash: %v, %v", ps, err)
					}
				}
				if err := r.Close(ctx); err != nil {
					t.Errorf("close after a crash: %v", err)
				}
				return nil
			})
			p.r = openPlay(t, hooked)
			around := func(a action) error {
				mu.Lock()
				after = a.next
				mu.Unlock()
				err := a.do(ctx, p.r)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					acked = a.next
				}
				after = acked
				return err
			}
			for range 6 {
				p.steps(t, 100, around)
				if p.rng.IntN(3) == 0 {
					p.rollback()
					must(t, p.r.Close(ctx))
					p.r = openPlay(t, hooked)
				}
			}
			p.rollback()
			must(t, p.r.Close(ctx))
			if crashes < 30 || happened == 0 {
				t.Errorf("%d crashes, after %d of which an action under way had happened: the test does not test", crashes, happened)
			}
		})
	}
}

// TestFaults lets operations on files fail, with a full disk or a broken one: the error says so, nothing acknowledged is lost, and
// the database can be used on, at once or after it is opened again.
func TestFaults(t *testing.T) {
	ctx := context.Background()
	for _, class := range []errs.Code{errs.NoSpace, errs.Internal} {
		for seed := range scale(3) {
			t.Run(fmt.Sprint(class, seed), func(t *testing.T) {
				mem := vfs.NewMem()
				must(t, repo.Init(ctx, mem, "/db", repo.InitOptions{Author: signature(), Committer: signature()}))
				p := &play{rng: rand.New(rand.NewPCG(uint64(seed), 4)), w: newWorld()}
				rng := rand.New(rand.NewPCG(uint64(seed), 5))
				var mu sync.Mutex
				armed, fired := false, 0
				hooked := vfs.WithHook(mem, func(op vfs.Op) error {
					mu.Lock()
					defer mu.Unlock()
					if op.Kind == vfs.OpRead || !armed || rng.IntN(6) > 0 {
						return nil
					}
					fired++
					err := errs.New(class, "injected")
					if op.Kind == vfs.OpWrite && rng.IntN(2) == 0 {
						return &vfs.ShortWrite{N: op.Len / 2, Err: err}
					}
					return err
				})
				arm := func(on bool) {
					mu.Lock()
					defer mu.Unlock()
					armed = on
				}
				p.r = openPlay(t, hooked)
				reopened, went := 0, 0
				around := func(a action) error {
					arm(true)
					err := a.do(ctx, p.r)
					arm(false)
					if err == nil || len(a.errs) > 0 && !errs.Is(err, class) {
						return err
					}
					if errors.Is(err, errUnreachable) {
						return err
					}
					if !errs.Is(err, class) {
						t.Fatalf("%s: error %v has class %s, want %s", a.name, err, errs.CodeOf(err), class)
					}
					// What failed may have happened; what a reader sees before the reopening has not.
					p.rollback()
					if _, err := p.r.Fold(ctx, p.w.names()[0]); err == nil && p.r.CheckOut(ctx, p.w.head) == nil {
						went++
						p.w = wantWorld(t, p.r, p.w, a.next)
						return errHandled
					}
					reopened++
					if err := p.r.Close(ctx); err != nil && !errs.Is(err, class) {
						t.Fatalf("close: %v", err)
					}
					if rng.IntN(2) == 0 {
						mem2 := mem.CrashClone(rng)
						r := openPlay(t, mem2)
						wantWorld(t, r, p.w, a.next)
						must(t, r.Close(ctx))
					}
					p.r = openPlay(t, hooked)
					p.w = wantWorld(t, p.r, p.w, a.next)
					wantSound(t, p.r)
					return errHandled
				}
				for range 8 {
					p.steps(t, 50, around)
					wantWorld(t, p.r, p.w)
				}
				p.rollback()
				if err := p.r.Close(ctx); err != nil && !errs.Is(err, class) {
					t.Fatal(err)
				}
				p.r = openPlay(t, mem)
				wantWorld(t, p.r, p.w)
				wantSound(t, p.r)
				must(t, p.r.Close(ctx))
				if fired < 5 || reopened == 0 {
					t.Errorf("%d faults, %d reopenings, %d times it went on: the test does not test", fired, reopened, went)
				}
			})
		}
	}
}
