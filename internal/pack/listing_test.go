package pack

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/chunk/chunktest"
	"github.com/stemmadb/stemma/internal/vfs"
)

// leave puts a pack among those of the store that no frame relies on, as a crash between its naming and its frame does.
func leave(t *testing.T, s *Store, chunks ...[]byte) string {
	t.Helper()
	b := s.NewBatch()
	for _, c := range chunks {
		if _, err := b.Put(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	paths, err := b.Export(t.Context())
	if err != nil || len(paths) != 1 {
		t.Fatal(paths, err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return paths[0]
}

func TestLeftoverPacks(t *testing.T) {
	for name, lists := range map[string]bool{"listed": true, "of a program that did not list packs": false} {
		t.Run(name, func(t *testing.T) {
			fsys := vfs.NewMem()
			if err := Create(t.Context(), fsys, testDir); err != nil {
				t.Fatal(err)
			}
			if !lists {
				format := bytes.Replace(current().encode(), []byte(" "+listsFeature), nil, 1)
				if err := vfs.WriteFile(fsys, filepath.Join(testDir, formatFile), format); err != nil {
					t.Fatal(err)
				}
			}
			s := openStore(t, fsys, testDir, Options{})
			big := chunktest.Sample(chunk.KindNode, 3<<20, 1) // its frame relies on a pack
			commit(t, s, [][]byte{big}, rec("big"))
			long := strings.Repeat("long", 1<<20) // a record that is in a pack itself
			commit(t, s, [][]byte{chunktest.Sample(chunk.KindNode, 2<<20, 2)}, rec(long))
			for round := range 3 {
				left := leave(t, s, chunktest.Sample(chunk.KindPage, 5000, uint64(10+round)))
				if round == 1 {
					mustClose(t, s)
				} // else it is as if the process had died
				s = openStore(t, fsys, testDir, Options{})
				if _, err := fsys.Stat(left); (err == nil) == lists {
					t.Errorf("round %d: the pack that nobody relies on is there: %v", round, err == nil)
				}
				wantChunk(t, s, big)
				wantChunk(t, s, chunktest.Sample(chunk.KindNode, 2<<20, 2))
				state, tail := s.Recovered()
				if round == 0 && (len(tail) != 2 || string(tail[1].Payload) != long) || round > 0 && string(state) != long {
					t.Errorf("round %d: a state of %d bytes and %d records", round, len(state), len(tail))
				}
				noProblems(t, s)
				if err := s.Checkpoint(t.Context(), []byte(long)); err != nil {
					t.Fatal(err)
				}
				commit(t, s, nil, rec(fmt.Sprint(round)))
				if err := s.fold.idle(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			mustClose(t, s)
		})
	}
}

func FuzzListing(f *testing.F) {
	f.Add(packsRecord(packsAll, nil).Payload)
	f.Add(append([]byte{packsAdd}, make([]byte, 64)...))
	f.Add([]byte{packsUnknown})
	f.Add([]byte{3})
	f.Fuzz(func(t *testing.T, b []byte) {
		l := listing{known: true}
		if err := l.take(b); err != nil {
			return
		}
		if len(l.names) > (len(b)-1)/32 || l.known == (b[0] == packsUnknown) {
			t.Fatalf("%x is read as %d packs, %v", b, len(l.names), l.known)
		}
	})
}
