package pack

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/vfs"
)

// damage changes a file of the store.
func damage(t *testing.T, fsys vfs.FS, path string, how func([]byte) []byte) {
	t.Helper()
	data, err := vfs.ReadFile(fsys, path)
	if err != nil {
		t.Fatal(err)
	}
	if err := vfs.WriteFile(fsys, path, how(slices.Clone(data))); err != nil {
		t.Fatal(err)
	}
}

// damaged makes a store of n synced records, the first after a checkpoint, and returns where their frames begin.
func damaged(t *testing.T, fsys vfs.FS, n int) (segment string, frames []int64) {
	t.Helper()
	s := newStore(t, fsys, testDir)
	for i := range n {
		lsn := commit(t, s, [][]byte{fmt.Appendf(nil, "chunk %d", i)}, rec(fmt.Sprint(i)))
		frames = append(frames, s.segs[0].offset(lsn))
	}
	segment = s.segs[0].path
	mustClose(t, s)
	return segment, frames
}

// wantRevived checks that a revived journal has the records, and still after a power cut.
func wantRevived(t *testing.T, mem *vfs.Mem, want string) {
	t.Helper()
	for seed := range uint64(10) {
		s := openStore(t, mem.CrashClone(rand.New(rand.NewPCG(seed, 2))), testDir, Options{})
		wantRecovered(t, s, want)
		mustClose(t, s)
	}
}

func TestRevive(t *testing.T) {
	for _, tt := range []struct {
		name string
		how  func(b []byte, frames []int64) []byte
		want string
	}{
		{"a record", func(b []byte, f []int64) []byte { return flip(f[2] + 35)(b) }, ": 7=0 7=1"},
		{"a length", func(b []byte, f []int64) []byte { return flip(f[1])(b) }, ": 7=0"},
		{"the first record", func(b []byte, f []int64) []byte { return flip(f[0] + 35)(b) }, ":"},
		{"the header", func(b []byte, _ []int64) []byte { return flip(20)(b) }, ": 7=0 7=1 7=2 7=3"},
		{"the header and a record", func(b []byte, f []int64) []byte { return flip(20)(flip(f[2] + 35)(b)) }, ": 7=0 7=1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mem := vfs.NewMem()
			segment, frames := damaged(t, mem, 4)
			damage(t, mem, segment, func(b []byte) []byte { return tt.how(b, frames) })
			broken, err := vfs.ReadFile(mem, segment)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Open(t.Context(), mem, testDir, Options{}); !errs.Is(err, errs.Corrupt) {
				t.Fatalf("Open: %v, want class corrupt", err)
			}
			done, err := Revive(t.Context(), mem, testDir)
			if err != nil || done == nil || !errs.Is(done.Fault, errs.Corrupt) {
				t.Fatalf("Revive: %+v, %v", done, err)
			}
			kept, err := vfs.ReadFile(mem, filepath.Join(done.Aside, journalDir, filepath.Base(segment)))
			if err != nil || !slices.Equal(kept, broken) {
				t.Fatalf("the segment was not kept as it was: %v", err)
			}
			wantRevived(t, mem, tt.want)
			s := openStore(t, mem, testDir, Options{CacheBytes: -1})
			wantRecovered(t, s, tt.want)
			noProblems(t, s)
			commit(t, s, [][]byte{[]byte("later")}, rec("later"))
			mustClose(t, s)
			s = openStore(t, mem, testDir, Options{CacheBytes: -1})
			wantRecovered(t, s, tt.want+" 7=later")
			wantChunk(t, s, []byte("later"))
		})
	}
}

func TestReviveOfWholeJournal(t *testing.T) {
	for _, how := range []func([]byte) []byte{
		func(b []byte) []byte { return b },
		func(b []byte) []byte { return b[:len(b)-20] }, // a torn tail is no damage
	} {
		mem := vfs.NewMem()
		segment, _ := damaged(t, mem, 3)
		damage(t, mem, segment, how)
		before, err := vfs.ReadFile(mem, segment)
		if err != nil {
			t.Fatal(err)
		}
		if done, err := Revive(t.Context(), mem, testDir); err != nil || done != nil {
			t.Fatalf("Revive: %+v, %v", done, err)
		}
		if after, err := vfs.ReadFile(mem, segment); err != nil || !slices.Equal(before, after) {
			t.Fatalf("the journal was changed: %v", err)
		}
	}
}

// TestReviveOfLaterSegment damages what comes before and in a later segment, of a journal that begins with a checkpoint.
func TestReviveOfLaterSegment(t *testing.T) {
	mem := vfs.NewMem()
	damaged(t, mem, 3)
	s := openStore(t, mem, testDir, Options{})
	if err := s.Checkpoint(t.Context(), []byte("state")); err != nil {
		t.Fatal(err)
	}
	a := commit(t, s, nil, rec("a"))
	b := commit(t, s, nil, rec("b"))
	commit(t, s, nil, rec("c"))
	if err := s.fold.wait(t.Context()); err != nil { // it takes away segments
		t.Fatal(err)
	}
	seg := s.segs[len(s.segs)-1]
	if seg.base == firstLSN || a < seg.base {
		t.Fatalf("the records are not in a later segment: base %d", seg.base)
	}
	path, at := seg.path, seg.offset(b)
	mustClose(t, s)
	damage(t, mem, path, flip(at+35))
	done, err := Revive(t.Context(), mem, testDir)
	if err != nil || done == nil {
		t.Fatalf("Revive: %+v, %v", done, err)
	}
	wantRevived(t, mem, "state: 7=a")
	s = openStore(t, mem, testDir, Options{})
	wantRecovered(t, s, "state: 7=a")
	mustClose(t, s)

	// Damaged before its checkpoint there is nothing to go back to.
	damage(t, mem, path, flip(segmentHeader+35))
	before, err := vfs.ReadFile(mem, path)
	if err != nil {
		t.Fatal(err)
	}
	if done, err := Revive(t.Context(), mem, testDir); !errs.Is(err, errs.Corrupt) || done != nil {
		t.Fatalf("Revive: %+v, %v, want class corrupt", done, err)
	}
	if after, err := vfs.ReadFile(mem, path); err != nil || !slices.Equal(before, after) {
		t.Fatalf("the journal was changed: %v", err)
	}
}

// TestReviveInterrupted cuts the power at every step: the journal is then as damaged as it was, or revived.
func TestReviveInterrupted(t *testing.T) {
	for step := 1; ; step++ {
		mem := vfs.NewMem()
		segment, frames := damaged(t, mem, 4)
		damage(t, mem, segment, flip(frames[2]+35))
		n := 0
		stop := errs.New(errs.Internal, "the power is gone")
		hooked := vfs.WithHook(mem, func(vfs.Op) error {
			if n++; n >= step {
				return stop
			}
			return nil
		})
		_, err := Revive(context.Background(), hooked, testDir)
		if err == nil {
			return
		}
		after := mem.CrashClone(rand.New(rand.NewPCG(1, uint64(step))))
		if _, err := Revive(t.Context(), after, testDir); err != nil {
			t.Fatalf("step %d: Revive again: %v", step, err)
		}
		s := openStore(t, after, testDir, Options{})
		wantRecovered(t, s, ": 7=0 7=1")
		mustClose(t, s)
	}
}
