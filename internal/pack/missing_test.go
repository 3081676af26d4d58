package pack

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/vfs"
)

// TestMissingFiles takes files of a store away and checks that what is left counts neither as an empty store nor as a whole one.
func TestMissingFiles(t *testing.T) {
	build := func(t *testing.T, work func(s *Store)) *vfs.Mem {
		mem := vfs.NewMem()
		s := newStore(t, mem, testDir)
		work(s)
		mustClose(t, s)
		return mem
	}
	segment := func(num uint64) string { return filepath.Join(testDir, journalDir, segmentName(num)) }
	refuse := func(t *testing.T, mem *vfs.Mem, words string) {
		t.Helper()
		for _, readOnly := range []bool{true, false} {
			_, err := Open(t.Context(), mem, testDir, Options{ReadOnly: readOnly})
			if !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), words) {
				t.Errorf("Open(read-only: %v): %v, want %q", readOnly, err, words)
			}
		}
	}
	remove := func(t *testing.T, mem *vfs.Mem, name string) {
		t.Helper()
		if err := mem.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("the journal", func(t *testing.T) {
		mem := build(t, func(s *Store) { commit(t, s, nil, rec("0")) })
		remove(t, mem, segment(1))
		refuse(t, mem, "its segments are missing")
	})
	t.Run("the directory of the journal", func(t *testing.T) {
		dir := t.TempDir()
		mustClose(t, newStore(t, vfs.OS{}, dir))
		if err := os.RemoveAll(filepath.Join(dir, journalDir)); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), vfs.OS{}, dir, Options{}); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%v, want class corrupt", err)
		}
	})
	t.Run("the checkpoint", func(t *testing.T) {
		mem := build(t, func(s *Store) {
			commit(t, s, nil, rec("0"))
			if err := s.Checkpoint(t.Context(), []byte("state")); err != nil {
				t.Fatal(err)
			}
			if err := s.fold.wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.j.mu.Lock()
			err := s.j.begin(nil) // as if the segment were full
			s.j.mu.Unlock()
			if err != nil {
				t.Fatal(err)
			}
			commit(t, s, nil, rec("1"))
		})
		remove(t, mem, segment(2))
		refuse(t, mem, "what comes before segment "+segment(3)+" is missing")
	})
	t.Run("FORMAT", func(t *testing.T) {
		mem := build(t, func(s *Store) { commit(t, s, nil, rec("0")) })
		remove(t, mem, filepath.Join(testDir, formatFile))
		before := mem.Files()
		if err := Create(t.Context(), mem, testDir); !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), "FORMAT is missing") {
			t.Errorf("Create over a journal: %v", err)
		}
		if after := mem.Files(); after != before {
			t.Errorf("Create changed what it refused:\n%s\nwas\n%s", after, before)
		}
	})
	t.Run("FORMAT of an empty store", func(t *testing.T) {
		mem := build(t, func(*Store) {})
		remove(t, mem, filepath.Join(testDir, formatFile))
		s := newStore(t, mem, testDir)
		commit(t, s, nil, rec("0"))
		wantRecovered(t, openStore(t, mem, testDir, Options{ReadOnly: true}), ": 7=0")
	})
}
