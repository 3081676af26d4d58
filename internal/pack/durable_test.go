package pack

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/chunk/chunktest"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/vfs"
)

// powerCuts calls check with what power cuts now could leave.
func powerCuts(mem *vfs.Mem, check func(after *vfs.Mem)) {
	for seed := range uint64(12) {
		check(mem.CrashClone(rand.New(rand.NewPCG(seed, 41))))
	}
}

// TestBackupIsDurable cuts the power when a backup of a store with packs and a journal is done: the copy is whole.
func TestBackupIsDurable(t *testing.T) {
	s := newStore(t, vfs.NewMem(), testDir)
	big, small := chunktest.Sample(chunk.KindNode, 1<<20, 1), []byte("small")
	commit(t, s, [][]byte{big}, rec("0"))
	commit(t, s, [][]byte{small}, rec("1"))
	if st := s.Stats(); st.Packs == 0 {
		t.Fatal("the store has no pack: the test does not test")
	}
	dst := vfs.NewMem()
	if err := s.Backup(t.Context(), dst, testDir, nil); err != nil {
		t.Fatal(err)
	}
	powerCuts(dst, func(after *vfs.Mem) {
		c := openStore(t, after, testDir, Options{CacheBytes: -1})
		wantRecovered(t, c, ": 7=0 7=1")
		wantChunk(t, c, big)
		wantChunk(t, c, small)
		noProblems(t, c)
		mustClose(t, c)
	})
}

// TestBackupCrashAnywhere cuts the power before every operation of a backup: what is there is the whole copy or no store.
func TestBackupCrashAnywhere(t *testing.T) {
	s := newStore(t, vfs.NewMem(), testDir)
	big := chunktest.Sample(chunk.KindNode, 1<<20, 1)
	commit(t, s, [][]byte{big}, rec("0"))
	dst := vfs.NewMem()
	whole, none := 0, 0
	check := func(vfs.Op) error {
		powerCuts(dst, func(after *vfs.Mem) {
			c, err := Open(t.Context(), after, testDir, Options{CacheBytes: -1})
			if errs.Is(err, errs.NotFound) {
				none++
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			whole++
			wantRecovered(t, c, ": 7=0")
			wantChunk(t, c, big)
			mustClose(t, c)
		})
		return nil
	}
	if err := s.Backup(t.Context(), vfs.WithHook(dst, check), testDir, nil); err != nil {
		t.Fatal(err)
	}
	if whole == 0 || none == 0 {
		t.Errorf("%d copies and %d times none: the test does not test", whole, none)
	}
}

// TestSetAsideIsDurable cuts the power when files have been set aside: they are there, whatever became of them under their first names.
func TestSetAsideIsDurable(t *testing.T) {
	for _, link := range []bool{true, false} {
		mem := vfs.NewMem()
		var paths []string
		for i, sub := range []string{journalDir, packsDir} {
			path := filepath.Join(testDir, sub, "file")
			if err := mem.MkdirAll(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
			if err := vfs.WriteFile(mem, path, fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
			paths = append(paths, path)
		}
		fsys := vfs.WithHook(mem, func(op vfs.Op) error {
			if op.Kind == vfs.OpLink && !link {
				return errs.New(errs.Unsupported, "no links here")
			}
			return nil
		})
		aside, err := SetAside(fsys, testDir, paths)
		if err != nil {
			t.Fatal(err)
		}
		for i, path := range paths {
			if err := vfs.WriteFile(mem, path, []byte("cut")); err != nil {
				t.Fatal(err)
			}
			powerCuts(mem, func(after *vfs.Mem) {
				kept := filepath.Join(aside, filepath.Base(filepath.Dir(path)), "file")
				if data, err := vfs.ReadFile(after, kept); err != nil || !bytes.Equal(data, fmt.Append(nil, i)) {
					t.Errorf("link %v: %s holds %q, %v", link, kept, data, err)
				}
			})
		}
	}
}

// TestReviveIsDurable cuts the power when a journal has been revived: the damaged segment is kept beside.
func TestReviveIsDurable(t *testing.T) {
	mem := vfs.NewMem()
	segment, frames := damaged(t, mem, 4)
	damage(t, mem, segment, flip(frames[2]+35))
	broken, err := vfs.ReadFile(mem, segment)
	if err != nil {
		t.Fatal(err)
	}
	done, err := Revive(t.Context(), mem, testDir)
	if err != nil {
		t.Fatal(err)
	}
	powerCuts(mem, func(after *vfs.Mem) {
		kept, err := vfs.ReadFile(after, filepath.Join(done.Aside, journalDir, filepath.Base(segment)))
		if err != nil || !bytes.Equal(kept, broken) {
			t.Errorf("the damaged segment is not kept: %v", err)
		}
		s := openStore(t, after, testDir, Options{})
		wantRecovered(t, s, ": 7=0 7=1")
		mustClose(t, s)
	})
}

// TestFoldedCrashAnywhere lets segments pile up whose removal fails, and then cuts the power before every operation of the fold that
// removes them: a segment does not outlive a younger one, so that the journal has no gap.
func TestFoldedCrashAnywhere(t *testing.T) {
	mem := vfs.NewMem()
	if err := Create(t.Context(), mem, testDir); err != nil {
		t.Fatal(err)
	}
	stuck, removed := true, 0
	fsys := vfs.WithHook(mem, func(op vfs.Op) error {
		if op.Kind == vfs.OpRemove && stuck && strings.Contains(op.Name, journalDir) {
			return errs.New(errs.Denied, "not now")
		}
		if stuck || op.Kind == vfs.OpRead || t.Failed() {
			return nil
		}
		if op.Kind == vfs.OpRemove && strings.Contains(op.Name, journalDir) {
			removed++
		}
		powerCuts(mem, func(after *vfs.Mem) {
			s, err := Open(t.Context(), after, testDir, Options{CacheBytes: -1})
			if err != nil {
				t.Errorf("opening after a power cut before %s %s: %v\n%s", op.Kind, op.Name, err, after.Files())
				return
			}
			if n := recoveredCount(t, s); n != 4 && n != 5 {
				t.Errorf("%d records, want 4 or 5", n)
			}
			mustClose(t, s)
		})
		return nil
	})
	s := openStore(t, fsys, testDir, Options{})
	for i := range 4 {
		commit(t, s, [][]byte{fmt.Appendf(nil, "chunk %d", i)}, rec(fmt.Sprint(i)))
		if err := s.Checkpoint(t.Context(), fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
		if err := s.fold.wait(t.Context()); !errs.Is(err, errs.Denied) {
			t.Fatalf("fold: %v, want class denied", err)
		}
	}
	stuck = false
	commit(t, s, nil, rec("4"))
	if err := s.Checkpoint(t.Context(), []byte("4")); err != nil {
		t.Fatal(err)
	}
	if err := s.fold.wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if removed < 4 {
		t.Errorf("%d segments were removed: the test does not test", removed)
	}
	mustClose(t, s)
}
