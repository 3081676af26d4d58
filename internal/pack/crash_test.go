package pack

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/chunk/chunktest"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/vfs"
)

// workload appends numbered records, each with chunks that follow from its number, and tells what was acknowledged.
type workload struct {
	seed     uint64
	appended atomic.Int64 // records given to Append
	acked    atomic.Int64 // records that Wait or Checkpoint confirmed

	mu   sync.Mutex
	made map[int][][]byte
}

// chunksOf is the chunks of record i.
func (w *workload) chunksOf(i int) [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.made == nil {
		w.made = map[int][][]byte{}
	}
	if _, ok := w.made[i]; !ok {
		w.made[i] = w.newChunks(i)
	}
	return w.made[i]
}

func (w *workload) newChunks(i int) [][]byte {
	rng := rand.New(rand.NewPCG(w.seed, uint64(i)))
	var out [][]byte
	switch rng.IntN(20) {
	case 0: // no chunks
	case 1: // goes to a pack
		for k := range 3 {
			out = append(out, chunktest.Sample(chunk.KindNode, 400<<10, w.seed*1000+uint64(i*10+k)))
		}
	default:
		for k := range 1 + rng.IntN(3) {
			out = append(out, chunktest.Sample(chunk.Kind(1+rng.IntN(5)), 100+rng.IntN(3000), w.seed*1000+uint64(i*10+k)))
		}
	}
	return out
}

// run does n steps on an open store; it stops at the first error.
func (w *workload) run(ctx context.Context, s *Store, n int) error {
	rng := rand.New(rand.NewPCG(w.seed, 1<<40))
	b := s.NewBatch()
	defer b.Close()
	for range n {
		i := int(w.appended.Load())
		for _, c := range w.chunksOf(i) {
			if _, err := b.Put(ctx, c); err != nil {
				return err
			}
		}
		w.appended.Add(1)
		lsn, err := s.Append(ctx, b, rec(fmt.Sprint(i)))
		if err != nil {
			return err
		}
		if rng.IntN(3) > 0 {
			if err := s.Wait(ctx, lsn); err != nil {
				return err
			}
			w.acked.Store(int64(i + 1))
		}
		if rng.IntN(8) == 0 {
			if err := s.Checkpoint(ctx, fmt.Append(nil, i)); err != nil {
				return err
			}
			w.acked.Store(int64(i + 1))
		}
	}
	return nil
}

// check opens what a crash left and compares it with what was promised. It returns the number of records.
func (w *workload) check(t *testing.T, fsys vfs.FS, acked, appended int64) int {
	t.Helper()
	s, err := Open(t.Context(), fsys, testDir, Options{CacheBytes: -1})
	if err != nil {
		t.Fatalf("opening after the crash: %v", err)
	}
	n := recoveredCount(t, s)
	if int64(n) < acked || int64(n) > appended {
		t.Fatalf("%d records after the crash, want %d (acknowledged) to %d (appended)", n, acked, appended)
	}
	for i := range n {
		for _, c := range w.chunksOf(i) {
			wantChunk(t, s, c)
		}
	}
	noProblems(t, s)
	w.noLeftovers(t, s, n)
	commit(t, s, [][]byte{[]byte("after the crash")}, rec(fmt.Sprint(n)))
	mustClose(t, s)
	r, err := Open(t.Context(), fsys, testDir, Options{ReadOnly: true, CacheBytes: -1})
	if err != nil {
		t.Fatalf("opening again: %v", err)
	}
	if m := recoveredCount(t, r); m != n+1 {
		t.Fatalf("%d records after recovery and one commit, want %d", m, n+1)
	}
	mustClose(t, r)
	return n
}

// noLeftovers fails when a pack has a chunk of a record that is not there: the crash came between the pack's naming and its frame.
func (w *workload) noLeftovers(t *testing.T, s *Store, n int) {
	t.Helper()
	known := map[hash.Hash]bool{}
	for i := range n {
		for _, c := range w.chunksOf(i) {
			known[hash.Sum(c)] = true
		}
	}
	for _, name := range s.Files() {
		if filepath.Dir(name) != packsDir {
			continue
		}
		p, err := openPack(s.fsys, filepath.Join(s.dir, name), true)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.each(t.Context(), false, func(e encoded, _ uint64) error {
			if !known[e.hash] {
				return fmt.Errorf("%s has chunk %s, which no record has put", name, e.hash)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		if err := p.close(); err != nil {
			t.Error(err)
		}
	}
	files, err := s.fsys.ReadDir(s.packsPath)
	if err != nil || len(files) != s.Stats().Packs {
		t.Errorf("%d packs, files %q, %v", s.Stats().Packs, files, err)
	}
}

// TestCrashAnywhere cuts the power before every operation of a workload and of the recovery that follows.
func TestCrashAnywhere(t *testing.T) {
	seeds := uint64(4)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := &workload{seed: seed}
			mem := vfs.NewMem()
			var mu sync.Mutex // of what follows it: a fold runs beside
			rng := rand.New(rand.NewPCG(seed, 77))
			crashes, lost := 0, 0
			hooked := vfs.WithHook(mem, func(op vfs.Op) error {
				if op.Kind == vfs.OpRead || t.Failed() {
					return nil
				}
				mu.Lock()
				defer mu.Unlock()
				if rng.IntN(2) == 0 {
					return nil
				}
				// What is acknowledged is read before the clone, what is appended after it, since a fold runs beside.
				acked := w.acked.Load()
				clone := mem.CrashClone(rng)
				appended := w.appended.Load()
				if _, err := clone.Stat(filepath.Join(testDir, formatFile)); err != nil {
					return nil
				}
				crashes++
				if n := w.check(t, w.crashInRecovery(t, clone, rng), acked, appended); int64(n) < appended {
					lost++
				}
				return nil
			})
			if err := Create(t.Context(), mem, testDir); err != nil {
				t.Fatal(err)
			}
			ends := rand.New(rand.NewPCG(seed, 78))
			for range 3 {
				s, err := Open(t.Context(), hooked, testDir, Options{})
				if err != nil {
					t.Fatal(err)
				}
				if err := w.run(t.Context(), s, 10); err != nil {
					t.Fatal(err)
				}
				if ends.IntN(2) == 0 {
					mustClose(t, s)
				} else if _, err := s.j.sync(t.Context()); err != nil { // left without a word
					t.Fatal(err)
				} else if err := s.fold.wait(t.Context()); err != nil {
					t.Fatal(err)
				}
				w.acked.Store(w.appended.Load())
			}
			if crashes < 25 || lost == 0 {
				t.Errorf("%d crashes, %d of which lost an unacknowledged record: the test does not test", crashes, lost)
			}
		})
	}
}

// crashInRecovery sometimes lets the recovery of a clone crash as well.
func (w *workload) crashInRecovery(t *testing.T, clone *vfs.Mem, rng *rand.Rand) *vfs.Mem {
	if rng.IntN(2) == 0 {
		return clone
	}
	var again *vfs.Mem
	at := rng.IntN(8)
	hooked := vfs.WithHook(clone, func(op vfs.Op) error {
		if op.Kind == vfs.OpRead {
			return nil
		}
		if at--; at == 0 {
			again = clone.CrashClone(rng)
		}
		return nil
	})
	s, err := Open(t.Context(), hooked, testDir, Options{})
	if err != nil {
		t.Fatalf("opening after the crash: %v", err)
	}
	if again == nil {
		again = clone.CrashClone(rng)
	}
	closeAll(s.segs)
	closePacks(s.packs)
	return again
}

// TestFaultAnywhere lets every operation fail once, with a full disk or a broken one, and checks that what was acknowledged is there
// and that the store says so when it can no more be used.
func TestFaultAnywhere(t *testing.T) {
	for _, class := range []errs.Code{errs.NoSpace, errs.Internal} {
		t.Run(class.String(), func(t *testing.T) {
			fired := 0
			for n := int64(1); ; n += 4 {
				w := &workload{seed: 3}
				mem := vfs.NewMem()
				if err := Create(t.Context(), mem, testDir); err != nil {
					t.Fatal(err)
				}
				fault := errs.New(class, "injected")
				hit := false
				fail := vfs.FailAt(n, fault)
				var mu sync.Mutex
				fsys := vfs.WithHook(mem, func(op vfs.Op) error {
					mu.Lock()
					defer mu.Unlock()
					err := fail(op)
					if err == nil {
						return nil
					}
					hit = true
					if op.Kind == vfs.OpWrite {
						return &vfs.ShortWrite{N: op.Len / 2, Err: err}
					}
					return err
				})
				s, err := Open(t.Context(), fsys, testDir, Options{})
				if err == nil {
					err = w.run(t.Context(), s, 30)
					if err == nil {
						err = s.Close(t.Context())
					} else {
						closeErr := s.Close(t.Context())
						_, errAppend := s.Append(t.Context(), nil, rec("x"))
						if errAppend == nil {
							t.Fatalf("Append works after Close (which said %v)", closeErr)
						}
					}
				}
				if !hit {
					break
				}
				fired++
				if err != nil && !errs.Is(err, class) {
					t.Fatalf("fault %d: %v has class %s, want %s", n, err, errs.CodeOf(err), class)
				}
				rng := rand.New(rand.NewPCG(uint64(n), 5))
				w.check(t, mem.CrashClone(rng), w.acked.Load(), w.appended.Load())
				w.check(t, mem, w.acked.Load(), w.appended.Load())
			}
			if fired < 20 {
				t.Errorf("only %d faults were met", fired)
			}
		})
	}
}

// TestNoSpaceInAppend fills the disk while a segment grows: the append fails, the store goes on.
func TestNoSpaceInAppend(t *testing.T) {
	mem := vfs.NewMem()
	full := false
	s := newStore(t, vfs.WithHook(mem, func(op vfs.Op) error {
		if full && op.Kind == vfs.OpPreallocate {
			return errs.New(errs.NoSpace, "disk full")
		}
		return nil
	}), testDir)
	commit(t, s, nil, rec("0"))
	full = true
	big := make([]byte, 300<<10)
	if _, err := s.Append(t.Context(), nil, Record{Payload: big}); !errs.Is(err, errs.NoSpace) {
		t.Fatalf("Append on a full disk: %v", err)
	}
	commit(t, s, nil, rec("1"))
	full = false
	commit(t, s, nil, rec("2"))
	s2 := openStore(t, mem.CrashClone(rand.New(rand.NewPCG(1, 2))), testDir, Options{})
	if n := recoveredCount(t, s2); n != 3 {
		t.Errorf("%d records, want 3", n)
	}
}

// TestFailedAppendLeavesNoFiles lets each operation of an append of a batch with packs, and of long records, fail for want of room:
// either the records are there, or the packs are gone at once, and the store goes on with other batches.
func TestFailedAppendLeavesNoFiles(t *testing.T) {
	big := func(b *Batch, seed uint64) error { // more than a frame holds
		for i := range 15 {
			if _, err := b.Put(t.Context(), chunktest.Sample(chunk.KindNode, 100<<10, seed+uint64(i))); err != nil {
				return err
			}
		}
		return nil
	}
	long := Record{Payload: chunktest.Sample(chunk.KindBlob, 3<<20, 99)}
	for _, recs := range [][]Record{{rec("x")}, {long}} {
		failed := 0
		for n := int64(1); ; n++ {
			mem := vfs.NewMem()
			fail := vfs.Hook(func(vfs.Op) error { return nil })
			s := newStore(t, vfs.WithHook(mem, func(op vfs.Op) error { return fail(op) }), testDir)
			commit(t, s, nil, Record{Payload: make([]byte, 200<<10)}) // so that the long record's frame needs the segment to grow
			before := len(s.Files())
			hit := false
			inject := vfs.FailAt(n, errs.New(errs.NoSpace, "disk full"), vfs.OpCreate, vfs.OpWrite, vfs.OpSync, vfs.OpRename, vfs.OpSyncDir, vfs.OpPreallocate)
			fail = func(op vfs.Op) error {
				err := inject(op)
				hit = hit || err != nil
				return err
			}
			b := s.NewBatch()
			err := big(b, 1000)
			if err == nil {
				_, err = s.Append(t.Context(), b, append(recs, Record{Payload: make([]byte, 60<<10)})...)
			}
			fail = func(vfs.Op) error { return nil }
			if e := b.Close(); e != nil {
				t.Fatalf("operation %d: close the batch: %v", n, e)
			}
			if !hit {
				if err != nil {
					t.Fatal(err)
				}
				mustClose(t, s)
				break
			}
			if err != nil {
				failed++
				if !errs.Is(err, errs.NoSpace) {
					t.Fatalf("operation %d: %v", n, err)
				}
				if names, e := mem.ReadDir(filepath.Join(testDir, packsDir)); e != nil || len(names) > 0 || len(s.Files()) != before {
					t.Fatalf("operation %d: %v leaves %v, %v; %v", n, err, names, s.Files(), e)
				}
			}
			again := s.NewBatch()
			if err := big(again, 1000); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Append(t.Context(), again, rec("y")); err != nil {
				t.Fatalf("operation %d: after room was made: %v", n, err)
			}
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
			mustClose(t, s)
			s = openStore(t, mem.CrashClone(rand.New(rand.NewPCG(uint64(n), 3))), testDir, Options{})
			wantChunk(t, s, chunktest.Sample(chunk.KindNode, 100<<10, 1000))
			noProblems(t, s)
			mustClose(t, s)
		}
		if failed < 5 {
			t.Errorf("only %d faults were met", failed)
		}
	}
}

// TestSyncErrorEndsWriting checks that nothing is acknowledged after a failed sync.
func TestSyncErrorEndsWriting(t *testing.T) {
	mem := vfs.NewMem()
	broken := false
	s := newStore(t, vfs.WithHook(mem, func(op vfs.Op) error {
		if broken && op.Kind == vfs.OpSync {
			broken = false
			return errs.New(errs.Internal, "input/output error")
		}
		return nil
	}), testDir)
	commit(t, s, nil, rec("0"))
	broken = true
	lsn, err := s.Append(t.Context(), nil, rec("1"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Wait(t.Context(), lsn); err == nil {
			t.Fatal("Wait works after a failed sync")
		}
	}
	if _, err := s.Append(t.Context(), nil, rec("2")); err == nil {
		t.Fatal("Append works after a failed sync")
	}
	if err := s.Checkpoint(t.Context(), nil); err == nil {
		t.Fatal("Checkpoint works after a failed sync")
	}
}

// TestFlippedBits flips single bits in the files of a store and checks that no reader gets wrong bytes and no acknowledged record
// disappears silently, except from the unsynced end.
func TestFlippedBits(t *testing.T) {
	build := func() (*vfs.Mem, *workload) {
		w := &workload{seed: 9}
		mem := vfs.NewMem()
		if err := Create(t.Context(), mem, testDir); err != nil {
			t.Fatal(err)
		}
		s := openStore(t, mem, testDir, Options{})
		if err := w.run(t.Context(), s, 25); err != nil {
			t.Fatal(err)
		}
		mustClose(t, s)
		return mem, w
	}
	mem, w := build()
	s := openStore(t, mem, testDir, Options{ReadOnly: true})
	total := recoveredCount(t, s)
	files := s.Files()
	mustClose(t, s)
	rng := rand.New(rand.NewPCG(4, 4))
	found := 0
	for _, name := range files {
		for range 40 {
			path := filepath.Join(testDir, name)
			data, err := vfs.ReadFile(mem, path)
			if err != nil {
				t.Fatal(err)
			}
			at := rng.IntN(len(data))
			flip := func() {
				f, err := mem.OpenRW(path)
				if err != nil {
					t.Fatal(err)
				}
				data[at] ^= 1 << (at % 8)
				if _, err := f.WriteAt(data[at:at+1], int64(at)); err != nil {
					t.Fatal(err)
				}
				f.Close()
			}
			flip()
			if damageSeen(t, w, mem, total) {
				found++
			}
			flip()
		}
	}
	if found < 40*len(files)/2 {
		t.Errorf("only %d of %d flips were noticed", found, 40*len(files))
	}
	if damageSeen(t, w, mem, total) {
		t.Error("an undamaged store counts as damaged")
	}
}

// damageSeen reads everything and tells whether the store noticed a fault; wrong bytes fail the test.
func damageSeen(t *testing.T, w *workload, fsys vfs.FS, total int) bool {
	s, err := Open(t.Context(), fsys, testDir, Options{ReadOnly: true, CacheBytes: -1})
	if err != nil {
		return true
	}
	defer s.Close(t.Context())
	seen := false
	report := func(Problem) { seen = true }
	if err := s.VerifyPacks(t.Context(), report); err != nil {
		t.Error(err)
	}
	if err := s.VerifyJournal(t.Context(), report); err != nil {
		t.Error(err)
	}
	n := recoveredCount(t, s)
	seen = seen || n < total
	for i := range n {
		for _, c := range w.chunksOf(i) {
			got, err := s.Get(t.Context(), hash.Sum(c))
			if err != nil {
				seen = true
			} else if hash.Sum(got) != hash.Sum(c) {
				t.Fatalf("Get of record %d's chunk gave wrong bytes", i)
			}
		}
	}
	return seen
}
