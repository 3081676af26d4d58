package pack

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/chunk/chunktest"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/vfs"
)

// collect removes what keep does not list.
func collect(ctx context.Context, s *Store, state string, opt RewriteOptions, keep ...[]byte) (CollectStats, error) {
	c, err := s.Collect(ctx, []byte(state))
	if err != nil {
		return CollectStats{}, err
	}
	defer c.Close()
	for _, k := range keep {
		if _, err := c.Mark(hash.Sum(k)); err != nil {
			return CollectStats{}, err
		}
	}
	if opt.Settle == nil {
		opt.Settle = func(context.Context) error { return nil }
	}
	if opt.Lock == nil {
		opt.Lock = func(_ context.Context, fn func() error) error { return fn() }
	}
	err = c.Rewrite(ctx, opt)
	return c.Stats(), err
}

func wantGone(t *testing.T, s *Store, data []byte) {
	t.Helper()
	if ok, err := s.Has(t.Context(), hash.Sum(data)); ok || err != nil {
		t.Errorf("garbage is there: %v, %v", ok, err)
	}
}

func TestCollect(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, s *Store){
		"from the journal": func(*testing.T, *Store) {},
		"from packs": func(t *testing.T, s *Store) {
			if err := s.Checkpoint(t.Context(), []byte("before")); err != nil {
				t.Fatal(err)
			}
			if err := s.Folded(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := vfs.NewMem()
			s := newStore(t, fsys, testDir)
			var live, dead [][]byte
			for i := range 60 {
				c := chunktest.Sample(chunk.KindPage, 9000, uint64(i))
				if i%20 == 0 {
					live = append(live, c)
				} else {
					dead = append(dead, c)
				}
				commit(t, s, [][]byte{c}, rec(fmt.Sprint(i)))
			}
			prepare(t, s)
			before := s.Stats()
			reader := openStore(t, fsys, testDir, Options{ReadOnly: true, CacheBytes: -1})
			done, err := collect(t.Context(), s, "state", RewriteOptions{}, live...)
			if err != nil {
				t.Fatal(err)
			}
			if done.ChunksRemoved < len(dead) || done.After > done.Before/4 {
				t.Errorf("removed %+v, before %+v", done, before)
			}
			again := openStore(t, fsys, testDir, Options{ReadOnly: true, CacheBytes: -1})
			for _, c := range live {
				wantChunk(t, s, c)
				wantChunk(t, again, c)
				wantChunk(t, reader, c)
			}
			for _, c := range dead {
				wantGone(t, s, c)
				wantGone(t, again, c)
				wantChunk(t, reader, c) // its files are open
			}
			if err := reader.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantGone(t, reader, dead[0])
			// What was garbage can be put again.
			commit(t, s, dead[:2], rec("again"))
			wantChunk(t, s, dead[0])
			noProblems(t, s)
			mustClose(t, reader)
			mustClose(t, again)
			mustClose(t, s)
			s = openStore(t, fsys, testDir, Options{})
			if state, _ := s.Recovered(); string(state) != "state" {
				t.Errorf("the state is %q", state)
			}
			wantChunk(t, s, dead[1])
			wantChunk(t, s, live[2])
			mustClose(t, s)
		})
	}
}

// TestCollectKeepsWhatIsReliedOn puts garbage again while it is being collected, by batches that were there before and appended before,
// after and never.
func TestCollectKeepsWhatIsReliedOn(t *testing.T) {
	fsys := vfs.NewMem()
	s := newStore(t, fsys, testDir)
	var all [][]byte
	for i := range 6 {
		all = append(all, chunktest.Sample(chunk.KindPage, 5000, uint64(i)))
	}
	commit(t, s, all, rec("all"))
	put := func(b *Batch, c []byte) {
		t.Helper()
		if _, err := b.Put(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if b.Len() > 0 {
			t.Error("the batch keeps what the store has")
		}
	}
	early, late := s.NewBatch(), s.NewBatch()
	defer early.Close()
	defer late.Close()
	put(early, all[0])
	appended := false
	_, err := collect(t.Context(), s, "state", RewriteOptions{
		Settle: func(ctx context.Context) error {
			if appended {
				return nil
			}
			appended = true
			b := s.NewBatch()
			defer b.Close()
			put(b, all[1])
			if _, err := s.Append(ctx, b, rec("meanwhile")); err != nil {
				return err
			}
			gone := s.NewBatch()
			put(gone, all[4])
			return gone.Close()
		},
		Lock: func(_ context.Context, fn func() error) error {
			put(late, all[2])
			return fn()
		},
	}, all[3])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all[:4] {
		wantChunk(t, s, c)
	}
	wantGone(t, s, all[4])
	wantGone(t, s, all[5])
	if _, err := s.Append(t.Context(), late, rec("late")); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	s = openStore(t, fsys, testDir, Options{})
	for _, c := range all[:4] {
		wantChunk(t, s, c)
	}
	mustClose(t, s)
}

// TestCollectBroughtMeanwhile brings packs again while the collection looks which were: neither disturbs the other, and what was brought stays.
func TestCollectBroughtMeanwhile(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, vfs.NewMem(), testDir)
	defer mustClose(t, s)
	var last []byte
	var names []string
	for i := range 4 {
		last = chunktest.Sample(chunk.KindPage, 4096, uint64(i))
		commit(t, s, [][]byte{last}, rec("one"))
		if err := s.Checkpoint(ctx, nil); err != nil {
			t.Fatal(err)
		}
		if err := s.Folded(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range s.packs {
		names = append(names, p.name)
	}
	c, err := s.Collect(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if len(names) == 0 {
		t.Fatal("there is no pack: the test does not test")
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := range 200_000 {
			c.bring(names[i%len(names)])
			c.bring(strconv.Itoa(i % 1000))
		}
	}()
	for going := true; going; {
		select {
		case <-ended:
			going = false
		default:
		}
		if err := c.Touched(); err != nil {
			t.Fatal(err)
		}
	}
	err = c.Rewrite(ctx, RewriteOptions{
		Settle: func(context.Context) error { return nil }, Lock: func(_ context.Context, fn func() error) error { return fn() },
	})
	if err != nil {
		t.Fatal(err)
	}
	wantChunk(t, s, last)
}

// TestCollectMissing gives up when something is to stay that is not there, and leaves everything.
func TestCollectMissing(t *testing.T) {
	fsys := vfs.NewMem()
	s := newStore(t, fsys, testDir)
	a := chunktest.Sample(chunk.KindPage, 5000, 1)
	commit(t, s, [][]byte{a}, rec("a"))
	if _, err := collect(t.Context(), s, "state", RewriteOptions{}, []byte("not there")); !errs.Is(err, errs.NotFound) {
		t.Errorf("error %v, want class NotFound", err)
	}
	stop := errors.New("stop")
	for _, opt := range []RewriteOptions{
		{Settle: func(context.Context) error { return stop }},
		{Lock: func(context.Context, func() error) error { return stop }},
	} {
		if _, err := collect(t.Context(), s, "state", opt); !errors.Is(err, stop) {
			t.Errorf("error %v, want %v", err, stop)
		}
		wantChunk(t, s, a)
	}
	if err := s.Folded(t.Context()); err != nil {
		t.Fatal(err)
	}
	files, err := fsys.ReadDir(filepath.Join(testDir, packsDir))
	if err != nil || len(files) != s.Stats().Packs || s.Stats().Packs != 1 {
		t.Errorf("%d packs, files %q, %v", s.Stats().Packs, files, err)
	}
	mustClose(t, s)
}

// TestCollectLongRecord keeps the pieces of records that are in packs themselves.
func TestCollectLongRecord(t *testing.T) {
	fsys := vfs.NewMem()
	s := newStore(t, fsys, testDir)
	commit(t, s, [][]byte{[]byte("x")}, rec(strings.Repeat("old", 1<<20)))
	state := strings.Repeat("state", 1<<20)
	for range 2 {
		if _, err := collect(t.Context(), s, state, RewriteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	long := strings.Repeat("new", 1<<20)
	commit(t, s, nil, rec(long))
	mustClose(t, s)
	s = openStore(t, fsys, testDir, Options{})
	got, tail := s.Recovered()
	if string(got) != state || len(tail) != 1 || string(tail[0].Payload) != long {
		t.Errorf("a state of %d bytes and %d records came back", len(got), len(tail))
	}
	if _, err := collect(t.Context(), s, "short", RewriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := s.Stats(); n.PackBytes > 1<<20 {
		t.Errorf("%d bytes of packs are left", n.PackBytes)
	}
	mustClose(t, s)
}

// TestCollectCrashAnywhere cuts the power before every operation of collections beside which others write: what is to stay is there, and of
// an interrupted one nothing is left over.
func TestCollectCrashAnywhere(t *testing.T) {
	seeds := uint64(6)
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			ctx := t.Context()
			mem := vfs.NewMem()
			rng := rand.New(rand.NewPCG(seed, 7))
			var mu sync.Mutex
			var live [][]byte // that are acknowledged, and in use
			made := map[hash.Hash]bool{}
			crashes := 0
			hooked := vfs.WithHook(mem, func(op vfs.Op) error {
				if op.Kind == vfs.OpRead || t.Failed() {
					return nil
				}
				mu.Lock()
				defer mu.Unlock()
				if rng.IntN(2) == 0 {
					return nil
				}
				crashes++
				s, err := Open(ctx, mem.CrashClone(rng), testDir, Options{CacheBytes: -1, ReadOnly: rng.IntN(4) == 0})
				if err != nil {
					t.Errorf("opening after the crash: %v", err)
					return nil
				}
				for _, c := range live {
					if data, err := s.Get(ctx, hash.Sum(c)); err != nil || string(data) != string(c) {
						t.Errorf("after the crash: %v", err)
					}
				}
				if !s.readOnly {
					files, err := s.fsys.ReadDir(s.packsPath)
					if err != nil || len(files) != s.Stats().Packs {
						t.Errorf("%d packs, files %q, %v", s.Stats().Packs, files, err)
					}
				}
				closeAll(s.segs)
				closePacks(s.packs)
				return nil
			})
			if err := Create(ctx, mem, testDir); err != nil {
				t.Fatal(err)
			}
			s, err := Open(ctx, hooked, testDir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			n := uint64(0)
			write := func() error {
				n++
				c := chunktest.Sample(chunk.Kind(1+rng.IntN(5)), 100+int(n*7919%30000), seed*1000+n)
				if n%9 == 0 {
					c = chunktest.Sample(chunk.KindNode, 2<<20, seed*1000+n) // a pack
				}
				b := s.NewBatch()
				defer b.Close()
				if _, err := b.Put(ctx, c); err != nil {
					return err
				}
				lsn, err := s.Append(ctx, b, rec("w"))
				if err == nil {
					err = s.Wait(ctx, lsn)
				}
				mu.Lock()
				defer mu.Unlock()
				live = append(live, c)
				made[hash.Sum(c)] = true
				return err
			}
			for range 4 {
				for range 12 {
					if err := write(); err != nil {
						t.Fatal(err)
					}
				}
				c, err := s.Collect(ctx, []byte("state"))
				if err != nil {
					t.Fatal(err)
				}
				mu.Lock()
				keep := live[:0:0]
				for i, c := range live {
					if (uint64(i)+seed)%3 > 0 {
						keep = append(keep, c)
					}
				}
				live = keep
				mu.Unlock()
				marked := 0
				settle := func(first int) error {
					mu.Lock()
					todo := live[max(marked, first):]
					marked = len(live)
					if first == 0 { // what is found to be in use at the last moment
						todo = append(todo[:len(todo):len(todo)], live[:3]...)
					}
					mu.Unlock()
					for _, x := range todo {
						if _, err := c.Mark(hash.Sum(x)); err != nil {
							return err
						}
					}
					return nil
				}
				err = c.Rewrite(ctx, RewriteOptions{
					GroupBytes: 1 << 20,
					Settle: func(ctx context.Context) error {
						if err := write(); err != nil {
							return err
						}
						if n%2 == 0 {
							if err := s.Checkpoint(ctx, []byte("between")); err != nil {
								return err
							}
						}
						return settle(3)
					},
					Lock: func(ctx context.Context, fn func() error) error { return errors.Join(settle(0), fn()) },
				})
				c.Close()
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Folded(ctx); err != nil {
					t.Fatal(err)
				}
				for _, c := range live {
					wantChunk(t, s, c)
				}
				noProblems(t, s)
			}
			mustClose(t, s)
			if crashes < 40 {
				t.Errorf("%d crashes: the test does not test", crashes)
			}
		})
	}
}

// TestCollectKeepsWhatTwoPut puts a chunk into two batches before either is appended. What the later one makes live stays, though the first
// one's segment goes with it and nobody asks to keep it.
func TestCollectKeepsWhatTwoPut(t *testing.T) {
	fsys := vfs.NewMem()
	s := newStore(t, fsys, testDir)
	c := chunktest.Sample(chunk.KindPage, 5000, 1)
	first, later := s.NewBatch(), s.NewBatch()
	defer first.Close()
	defer later.Close()
	for _, b := range []*Batch{first, later} {
		if _, err := b.Put(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Append(t.Context(), first, rec("first")); err != nil {
		t.Fatal(err)
	}
	_, err := collect(t.Context(), s, "state", RewriteOptions{Settle: func(ctx context.Context) error {
		_, err := s.Append(ctx, later, rec("later"))
		return err
	}})
	if err != nil {
		t.Fatal(err)
	}
	wantChunk(t, s, c)
	if err := s.Checkpoint(t.Context(), []byte("folded")); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	s = openStore(t, fsys, testDir, Options{CacheBytes: -1})
	wantChunk(t, s, c)
	mustClose(t, s)
}

// TestCollectLongRecordRelied appends a long record at the last moment whose body is that of an old one.
func TestCollectLongRecordRelied(t *testing.T) {
	fsys := vfs.NewMem()
	s := newStore(t, fsys, testDir)
	long := strings.Repeat("long", 1<<20)
	commit(t, s, nil, rec(long))
	_, err := collect(t.Context(), s, "state", RewriteOptions{Lock: func(ctx context.Context, fn func() error) error {
		if _, err := s.Append(ctx, nil, rec(long)); err != nil {
			return err
		}
		return fn()
	}})
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	s = openStore(t, fsys, testDir, Options{})
	if _, tail := s.Recovered(); len(tail) != 1 || string(tail[0].Payload) != long {
		t.Errorf("%d records came back", len(tail))
	}
	mustClose(t, s)
}

// TestCollectCrashLongRecord cuts the power before every operation of a collection of a store with long records, and opens what is left
// twice: the first opening must leave what the second one reads.
func TestCollectCrashLongRecord(t *testing.T) {
	ctx := t.Context()
	mem := vfs.NewMem()
	s := newStore(t, mem, testDir)
	live := chunktest.Sample(chunk.KindPage, 5000, 1)
	commit(t, s, [][]byte{live}, rec(strings.Repeat("long", 1<<20)))
	mustClose(t, s)
	rng := rand.New(rand.NewPCG(1, 7))
	crashes, collecting := 0, false
	s = openStore(t, vfs.WithHook(mem, func(op vfs.Op) error {
		if op.Kind == vfs.OpRead || !collecting || t.Failed() {
			return nil
		}
		crashes++
		clone := mem.CrashClone(rng)
		for range 2 {
			s, err := Open(ctx, clone, testDir, Options{CacheBytes: -1})
			if err != nil {
				t.Errorf("opening after the crash: %v", err)
				return nil
			}
			wantChunk(t, s, live)
			if err := s.Close(ctx); err != nil {
				t.Errorf("closing after the crash: %v", err)
			}
		}
		return nil
	}), testDir, Options{})
	collecting = true
	if _, err := collect(ctx, s, "state", RewriteOptions{}, live); err != nil {
		t.Fatal(err)
	}
	collecting = false
	mustClose(t, s)
	if crashes < 8 {
		t.Errorf("%d crashes: the test does not test", crashes)
	}
}
