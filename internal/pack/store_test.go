package pack

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/chunk/chunktest"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/vfs"
)

const testDir = "db"

// newStore is an empty open store.
func newStore(t testing.TB, fsys vfs.FS, dir string) *Store {
	t.Helper()
	if err := Create(t.Context(), fsys, dir); err != nil {
		t.Fatal(err)
	}
	return openStore(t, fsys, dir, Options{})
}

// openStore opens a store that the test closes at its end, whether it did so before or not.
func openStore(t testing.TB, fsys vfs.FS, dir string, opt Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), fsys, dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !s.isClosed() {
			s.Close(context.Background())
		}
	})
	return s
}

func mustClose(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// commit appends chunks and records and waits.
func commit(t testing.TB, s *Store, chunks [][]byte, recs ...Record) uint64 {
	t.Helper()
	b := s.NewBatch()
	for _, c := range chunks {
		if _, err := b.Put(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	lsn, err := s.Append(t.Context(), b, recs...)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(t.Context(), lsn); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return lsn
}

func wantChunk(t testing.TB, r chunk.Reader, data []byte) {
	t.Helper()
	got, err := r.Get(t.Context(), hash.Sum(data))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, data) {
		t.Fatalf("chunk %s reads back as other bytes", hash.Sum(data))
	}
}

// payloads is the texts of the recovered records, and the state.
func payloads(s *Store) string {
	state, tail := s.Recovered()
	out := fmt.Sprintf("%s:", state)
	for _, r := range tail {
		out += fmt.Sprintf(" %d=%s", r.Type, r.Payload)
	}
	return out
}

func rec(s string) Record { return Record{Type: 7, Payload: []byte(s)} }

func wantRecovered(t testing.TB, s *Store, want string) {
	t.Helper()
	if got := payloads(s); got != want {
		t.Fatalf("recovered %q, want %q", got, want)
	}
}

// noProblems verifies everything.
func noProblems(t testing.TB, s *Store) {
	t.Helper()
	report := func(p Problem) { t.Errorf("%s at %d: %v", p.File, p.Offset, p.Err) }
	if err := s.VerifyPacks(t.Context(), report); err != nil {
		t.Error(err)
	}
	if err := s.VerifyJournal(t.Context(), report); err != nil {
		t.Error(err)
	}
}

func TestBatchIsAChunkStore(t *testing.T) {
	chunktest.Suite(t, func(t *testing.T) chunk.Store {
		s := newStore(t, vfs.NewMem(), testDir)
		b := s.NewBatch()
		t.Cleanup(func() { b.Close() })
		return b
	})
}

// AppendChunk reads chunks from memory, the journal and packs alike, one after the other in the same memory: backward, in the order in
// which they were put, and in some other.
func TestAppendChunk(t *testing.T) {
	fsys := vfs.NewMem()
	s := newStore(t, fsys, testDir)
	var chunks [][]byte
	for i := range 60 {
		chunks = append(chunks, chunktest.Sample(chunk.Kind(1+i%5), 50+i*700, uint64(i)))
	}
	commit(t, s, chunks[:40], rec("packed"))
	if err := s.Checkpoint(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	commit(t, s, chunks[40:], rec("in the journal"))
	mustClose(t, s)
	s = openStore(t, fsys, testDir, Options{})
	defer mustClose(t, s)
	if st := s.Stats(); st.Packs != 1 || st.JournalChunks != 20 {
		t.Fatalf("%+v", st)
	}
	for round := range 4 {
		var got, want []byte
		for k := range chunks {
			i := [...]int{len(chunks) - 1 - k, k, k * 7 % len(chunks), k}[round]
			var err error
			if got, err = s.AppendChunk(t.Context(), got, hash.Sum(chunks[i])); err != nil {
				t.Fatal(err)
			}
			want = append(want, chunks[i]...)
			if !bytes.Equal(got, want) {
				t.Fatalf("chunk %d was appended otherwise", i)
			}
		}
		if round == 2 { // now some are in memory
			for _, c := range chunks[30:50] {
				wantChunk(t, s, c)
			}
		}
	}
}

func TestReopen(t *testing.T) {
	for name, fsys := range map[string]vfs.FS{"mem": vfs.NewMem(), "os": vfs.OS{}} {
		t.Run(name, func(t *testing.T) {
			dir := testDir
			if name == "os" {
				dir = filepath.Join(t.TempDir(), "db")
			}
			s := newStore(t, fsys, dir)
			wantRecovered(t, s, ":")
			a, b := chunktest.Sample(chunk.KindPage, 3000, 1), chunktest.Sample(chunk.KindBlob, 5000, 2)
			commit(t, s, [][]byte{a}, rec("one"))
			commit(t, s, [][]byte{b}, rec("two"), rec("three"))
			wantChunk(t, s, a)
			mustClose(t, s)
			for range 3 {
				s = openStore(t, fsys, dir, Options{})
				wantRecovered(t, s, ": 7=one 7=two 7=three")
				wantChunk(t, s, a)
				wantChunk(t, s, b)
				noProblems(t, s)
				mustClose(t, s)
			}
			s = openStore(t, fsys, dir, Options{})
			commit(t, s, nil, rec("four"))
			if err := s.Checkpoint(t.Context(), []byte("S")); err != nil {
				t.Fatal(err)
			}
			commit(t, s, nil, rec("five"))
			mustClose(t, s)
			s = openStore(t, fsys, dir, Options{})
			wantRecovered(t, s, "S: 7=five")
			wantChunk(t, s, a)
			wantChunk(t, s, b)
			noProblems(t, s)
			if st := s.Stats(); st.Packs != 1 || st.JournalChunks != 0 || st.Segments != 1 {
				t.Errorf("after a checkpoint: %+v", st)
			}
			mustClose(t, s)
			if _, err := s.Append(t.Context(), nil, rec("late")); err == nil {
				t.Error("Append after Close works")
			}
			if err := Create(t.Context(), fsys, dir); !errs.Is(err, errs.Exists) {
				t.Errorf("Create over a store: %v", err)
			}
		})
	}
}

func TestLongFrames(t *testing.T) {
	fsys := vfs.NewMem()
	s := newStore(t, fsys, testDir)
	var chunks [][]byte
	for i := range 40 {
		chunks = append(chunks, chunktest.Sample(chunk.KindPage, 60<<10, uint64(i)))
	}
	long := string(bytes.Repeat([]byte("0123456789abcdef"), 1<<16*9)) // 9 MiB
	state := string(bytes.Repeat([]byte("state"), 1<<19))
	commit(t, s, chunks, rec("a"))
	commit(t, s, nil, rec(long), rec("b"))
	check := func(want string) {
		t.Helper()
		mustClose(t, s)
		s = openStore(t, fsys, testDir, Options{})
		wantRecovered(t, s, want)
		for _, c := range chunks {
			wantChunk(t, s, c)
		}
		noProblems(t, s)
	}
	check(": 7=a 7=" + long + " 7=b")
	if st := s.Stats(); st.JournalBytes > 2000 || st.JournalChunks != 0 {
		t.Errorf("long frames are in the journal: %+v", st)
	}
	if err := s.Checkpoint(t.Context(), []byte(state)); err != nil {
		t.Fatal(err)
	}
	check(state + ":")
}

func TestSpill(t *testing.T) {
	fsys := vfs.NewMem()
	s := newStore(t, fsys, testDir)
	b := s.NewBatch()
	var chunks [][]byte
	for i := range 200 {
		c := chunktest.Sample(chunk.KindNode, 100<<10, uint64(i))
		chunks = append(chunks, c)
		if _, err := b.Put(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if b.bytes > spillBytes+100<<10 {
			t.Fatalf("the batch holds %d bytes in memory", b.bytes)
		}
	}
	for _, c := range chunks {
		wantChunk(t, b, c)
		if ok, err := s.Has(t.Context(), hash.Sum(c)); ok || err != nil {
			t.Fatalf("the store has an unpublished chunk: %v, %v", ok, err)
		}
	}
	dropped := s.NewBatch()
	for i := range 100 {
		if _, err := dropped.Put(t.Context(), chunktest.Sample(chunk.KindNode, 100<<10, uint64(1000+i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := dropped.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(t.Context(), b, rec("bulk")); err != nil {
		t.Fatal(err)
	}
	for _, c := range chunks {
		wantChunk(t, s, c)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	s = openStore(t, fsys, testDir, Options{CacheBytes: -1})
	wantRecovered(t, s, ": 7=bulk")
	for _, c := range chunks {
		wantChunk(t, s, c)
	}
	noProblems(t, s)
	if n := len(s.Files()); n != 3 {
		t.Errorf("files %v, want FORMAT, one segment, one pack", s.Files())
	}
}

func TestConcurrentAppend(t *testing.T) {
	fsys := vfs.OS{}
	dir := filepath.Join(t.TempDir(), "db")
	s := newStore(t, fsys, dir)
	const writers, each = 8, 150
	var wg sync.WaitGroup
	for g := range writers {
		wg.Go(func() {
			b := s.NewBatch()
			defer b.Close()
			for i := range each {
				c := chunktest.Sample(chunk.KindPage, 500+i, uint64(g))
				if _, err := b.Put(t.Context(), c); err != nil {
					t.Error(err)
				}
				lsn, err := s.Append(t.Context(), b, rec(fmt.Sprintf("%d.%d", g, i)))
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := s.Get(t.Context(), hash.Sum(c)); err != nil || !bytes.Equal(got, c) {
					t.Errorf("an appended chunk cannot be read: %v", err)
				}
				if i%3 > 0 {
					if err := s.Wait(t.Context(), lsn); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	mustClose(t, s)
	s = openStore(t, fsys, dir, Options{})
	next := map[int]int{}
	_, tail := s.Recovered()
	last := uint64(0)
	for _, r := range tail {
		var g, i int
		if _, err := fmt.Sscanf(string(r.Payload), "%d.%d", &g, &i); err != nil {
			t.Fatal(err)
		}
		if i != next[g] || r.LSN <= last {
			t.Fatalf("writer %d: record %d at LSN %d comes after %d at LSN %d", g, i, r.LSN, next[g]-1, last)
		}
		next[g], last = i+1, r.LSN
	}
	if len(tail) != writers*each {
		t.Fatalf("%d records, want %d", len(tail), writers*each)
	}
	noProblems(t, s)
}

func TestSegmentsRoll(t *testing.T) {
	fsys := vfs.NewMem()
	s := newStore(t, fsys, testDir)
	rng := rand.New(rand.NewPCG(1, 1))
	want := ":"
	for i := range 75 {
		big := make([]byte, 900<<10)
		big[0] = byte(rng.Uint32())
		if _, err := s.Append(t.Context(), nil, rec(fmt.Sprint(i)), Record{Payload: big}); err != nil {
			t.Fatal(err)
		}
		want += fmt.Sprintf(" %d", i)
	}
	mustClose(t, s)
	s = openStore(t, fsys, testDir, Options{})
	got := ":"
	_, tail := s.Recovered()
	for _, r := range tail {
		if r.Type == 7 {
			got += " " + string(r.Payload)
		}
	}
	if got != want {
		t.Fatalf("recovered %s, want %s", got, want)
	}
	if st := s.Stats(); st.Segments != 2 {
		t.Errorf("%d segments, want 2", st.Segments)
	}
	noProblems(t, s)
}

func TestReadOnlyBesideOwner(t *testing.T) {
	fsys := vfs.OS{}
	dir := filepath.Join(t.TempDir(), "db")
	s := newStore(t, fsys, dir)
	r := openStore(t, fsys, dir, Options{ReadOnly: true, CacheBytes: -1})
	wantRecovered(t, r, ":")
	if _, err := r.Append(t.Context(), nil, rec("x")); !errs.Is(err, errs.ReadOnly) {
		t.Errorf("Append to a read-only store: %v", err)
	}
	var chunks [][]byte
	for i := range 30 {
		c := chunktest.Sample(chunk.KindPage, 2000, uint64(i))
		chunks = append(chunks, c)
		commit(t, s, [][]byte{c}, rec(fmt.Sprint(i)))
		if i%10 == 4 {
			if err := s.Checkpoint(t.Context(), fmt.Appendf(nil, "S%d", i)); err != nil {
				t.Fatal(err)
			}
		}
		if i%7 == 0 || i == 29 {
			if err := r.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			if state, tail := r.Recovered(); string(state) == "" && len(tail) != i+1 {
				t.Fatalf("after record %d the reader sees %s", i, payloads(r))
			}
		}
		for _, c := range chunks[:i/7*7] {
			wantChunk(t, r, c)
		}
	}
	wantRecovered(t, r, "S24: 7=25 7=26 7=27 7=28 7=29")
	mustClose(t, s)
	for _, c := range chunks {
		wantChunk(t, r, c)
	}
}

func TestExportAdopt(t *testing.T) {
	fsys := vfs.OS{}
	dir, beside := filepath.Join(t.TempDir(), "db"), t.TempDir()
	s := newStore(t, fsys, dir)
	old := chunktest.Sample(chunk.KindPage, 700, 1)
	commit(t, s, [][]byte{old})
	r := openStore(t, fsys, dir, Options{ReadOnly: true})
	b := r.NewBatchIn(beside)
	fresh := chunktest.Sample(chunk.KindPage, 700, 2)
	for _, c := range [][]byte{old, fresh} {
		if _, err := b.Put(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	paths, err := b.Export(t.Context())
	if err != nil || len(paths) != 1 {
		t.Fatalf("Export = %v, %v", paths, err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	mine := s.NewBatch()
	if err := mine.Adopt(t.Context(), paths); err != nil {
		t.Fatal(err)
	}
	wantChunk(t, mine, fresh)
	if st := s.Stats(); st.PackChunks != 0 {
		t.Errorf("the store has %d chunks in packs before it was told to take any", st.PackChunks)
	}
	lsn, err := s.Append(t.Context(), mine, rec("adopted"))
	if err == nil {
		err = s.Wait(t.Context(), lsn)
	}
	if err != nil {
		t.Fatal(err)
	}
	wantChunk(t, s, fresh)
	if st := s.Stats(); st.PackChunks != 1 {
		t.Errorf("the adopted pack has %d chunks, want the new one only", st.PackChunks)
	}
	if left, err := fsys.ReadDir(beside); err != nil || len(left) != 1 {
		t.Errorf("where the pack was made there is now: %q, %v", left, err)
	}
	mustClose(t, s)
	s = openStore(t, fsys, dir, Options{})
	wantChunk(t, s, fresh)
	noProblems(t, s)
	mustClose(t, s)
}

// TestBackupWhileWriting opens backups as a power cut leaves them.
func TestBackupWhileWriting(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 7))
	fsys, dst := vfs.NewMem(), vfs.NewMem()
	s := newStore(t, fsys, testDir)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var chunks [][]byte
	for i := range 400 {
		chunks = append(chunks, chunktest.Sample(chunk.KindPage, 3000, uint64(i)))
	}
	acked := make(chan int, len(chunks))
	wg.Go(func() {
		for i, c := range chunks {
			commit(t, s, [][]byte{c}, rec(fmt.Sprint(i)))
			if i%40 == 39 {
				if err := s.Checkpoint(t.Context(), fmt.Appendf(nil, "%d", i)); err != nil {
					t.Error(err)
				}
			}
			acked <- i
		}
		close(stop)
	})
	for k := 0; ; k++ {
		last := -1
		for len(acked) > 0 {
			last = <-acked
		}
		dir := fmt.Sprintf("copy%d", k)
		if err := s.Backup(t.Context(), dst, dir, nil); err != nil {
			t.Fatal(err)
		}
		c := openStore(t, dst.CrashClone(rng), dir, Options{})
		n := recoveredCount(t, c)
		if n < last+1 {
			t.Fatalf("the backup has %d records, %d were durable when it began", n, last+1)
		}
		for _, data := range chunks[:n] {
			wantChunk(t, c, data)
		}
		noProblems(t, c)
		mustClose(t, c)
		select {
		case <-stop:
			wg.Wait()
			return
		default:
		}
	}
}

// recoveredCount checks that state and tail are a prefix 0, 1, 2, … and is its length.
func recoveredCount(t testing.TB, s *Store) int {
	t.Helper()
	state, tail := s.Recovered()
	n := 0
	if state != nil {
		if _, err := fmt.Sscan(string(state), &n); err != nil {
			t.Fatal(err)
		}
		n++
	}
	for _, r := range tail {
		if string(r.Payload) != fmt.Sprint(n) {
			t.Fatalf("record %q where %d should be (state %q)", r.Payload, n, state)
		}
		n++
	}
	return n
}
