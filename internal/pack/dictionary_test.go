package pack

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/vfs"
)

// phrases are chunks that have much in common with each other and little within: what a dictionary is for.
func phrases(kind chunk.Kind, n int, seed uint64) [][]byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	vocabulary := make([][]byte, 400)
	words := rand.New(rand.NewPCG(7, 7)) // the same for all seeds
	for i := range vocabulary {
		b := make([]byte, 20+words.IntN(40))
		for k := range b {
			b[k] = byte(words.Uint32())
		}
		vocabulary[i] = b
	}
	out := make([][]byte, n)
	for i := range out {
		data := []byte{byte(kind), 1}
		for len(data) < 4000 {
			data = append(data, vocabulary[rng.IntN(len(vocabulary))]...)
			data = fmt.Appendf(data, "%d", rng.IntN(1e9))
		}
		out[i] = data
	}
	return out
}

// compact collects garbage with compression: what hot lists stays as it is.
func compact(ctx context.Context, s *Store, opt RewriteOptions, keep, hot [][]byte) (CollectStats, error) {
	c, err := s.Collect(ctx, []byte("state"))
	if err != nil {
		return CollectStats{}, err
	}
	defer c.Close()
	for _, k := range slices.Concat(keep, hot) {
		if _, err := c.Mark(hash.Sum(k)); err != nil {
			return CollectStats{}, err
		}
	}
	for _, k := range hot {
		if _, err := c.MarkHot(hash.Sum(k)); err != nil {
			return CollectStats{}, err
		}
	}
	opt.Settle = func(context.Context) error { return nil }
	opt.Lock = func(_ context.Context, fn func() error) error { return fn() }
	err = c.Rewrite(ctx, opt)
	return c.Stats(), err
}

// codecOf is how the store has a chunk.
func codecOf(t *testing.T, s *Store, data []byte) uint8 {
	t.Helper()
	e, _, err := s.find(hash.Sum(data), nil)
	if err != nil {
		t.Fatal(err)
	}
	return e.codec
}

func mustCompact(t *testing.T, s *Store, opt RewriteOptions, keep, hot [][]byte) CollectStats {
	t.Helper()
	done, err := compact(t.Context(), s, opt, keep, hot)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func formatOf(t *testing.T, fsys vfs.FS) string {
	t.Helper()
	data, err := vfs.ReadFile(fsys, filepath.Join(testDir, formatFile))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// reopened is the store, closed and opened.
func reopened(t *testing.T, fsys vfs.FS, s *Store) *Store {
	t.Helper()
	mustClose(t, s)
	return openStore(t, fsys, testDir, Options{CacheBytes: -1})
}

func TestCompress(t *testing.T) {
	fsys := vfs.NewMem()
	s := newStore(t, fsys, testDir)
	cold, hot := phrases(chunk.KindPage, 400, 1), phrases(chunk.KindPage, 40, 2)
	blobs := phrases(chunk.KindBlob, 200, 3)
	commit(t, s, slices.Concat(cold[:200], hot, blobs), rec("one"))
	if err := s.Checkpoint(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Folded(t.Context()); err != nil {
		t.Fatal(err)
	}
	commit(t, s, cold[200:], rec("two")) // these are in the journal
	reader := openStore(t, fsys, testDir, Options{ReadOnly: true, CacheBytes: -1})
	before := formatOf(t, fsys)
	if strings.Contains(before, dictionaryFeature) {
		t.Fatalf("a new store has FORMAT %q", before)
	}
	done := mustCompact(t, s, RewriteOptions{Compress: CompressAll}, slices.Concat(cold, blobs), hot)
	if done.ChunksRemoved != 0 || done.After*10 > done.Before*8 {
		t.Errorf("collected %+v", done)
	}
	if now := formatOf(t, fsys); !strings.Contains(now, "required "+dictionaryFeature+" journal-1") || !s.HasDictionaries() {
		t.Errorf("FORMAT is %q", now)
	}
	check := func(s *Store) {
		t.Helper()
		for _, c := range cold {
			wantChunk(t, s, c)
			if codecOf(t, s, c) != codecDict {
				t.Fatal("a cold page is not compressed")
			}
		}
		for _, c := range blobs {
			wantChunk(t, s, c)
		}
		for _, c := range hot {
			wantChunk(t, s, c)
			if codecOf(t, s, c) != codecRaw {
				t.Fatal("a hot page is compressed")
			}
		}
		noProblems(t, s)
	}
	check(s)
	for _, c := range slices.Concat(cold, hot, blobs) {
		wantChunk(t, reader, c) // its files are open
	}
	if err := reader.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(reader)
	mustClose(t, reader)
	s = reopened(t, fsys, s)
	check(s)
	// Nothing is left to do.
	if again := mustCompact(t, s, RewriteOptions{Compress: CompressAll}, slices.Concat(cold, blobs), hot); again.PacksWritten != 0 {
		t.Errorf("a second time: %+v", again)
	}
	check(s)

	// What becomes hot again is stored as it was, and what is garbage goes.
	hot, cold = slices.Concat(hot, cold[:100]), cold[100:350]
	done = mustCompact(t, s, RewriteOptions{Compress: CompressAll}, slices.Concat(cold, blobs), hot)
	if done.ChunksRemoved != 50 {
		t.Errorf("removed %+v", done)
	}
	check(s)
	s = reopened(t, fsys, s)
	check(s)

	// Without dictionaries again.
	mustCompact(t, s, RewriteOptions{Compress: CompressNone, Renew: true}, slices.Concat(cold, blobs), hot)
	for _, c := range slices.Concat(cold, hot, blobs) {
		wantChunk(t, s, c)
		if codecOf(t, s, c) == codecDict {
			t.Fatal("a chunk is compressed with a dictionary")
		}
	}
	for _, p := range s.packs {
		if p.hasDictionary() {
			t.Errorf("%s has a dictionary", p.path)
		}
	}
	noProblems(t, s)
	mustClose(t, s)
}

// TestCompressNothing leaves what a dictionary is no good for as it is, and FORMAT too.
func TestCompressNothing(t *testing.T) {
	noise := func(n int) (out [][]byte) {
		rng := rand.New(rand.NewPCG(9, 9))
		for range n {
			b := make([]byte, 6000)
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
			b[0], b[1] = byte(chunk.KindPage), 1
			out = append(out, b)
		}
		return out
	}
	for name, cold := range map[string][][]byte{"few": phrases(chunk.KindPage, 30, 1), "noise": noise(300), "nodes": phrases(chunk.KindNode, 300, 1)} {
		t.Run(name, func(t *testing.T) {
			fsys := vfs.NewMem()
			s := newStore(t, fsys, testDir)
			commit(t, s, cold, rec("one"))
			before := formatOf(t, fsys)
			mustCompact(t, s, RewriteOptions{}, cold, nil)
			packs := s.Files()
			done := mustCompact(t, s, RewriteOptions{Compress: CompressAll}, cold, nil)
			if done.PacksWritten != 0 {
				t.Errorf("collected %+v", done)
			}
			if s.HasDictionaries() || formatOf(t, fsys) != before {
				t.Error("the format has changed")
			}
			isPack := func(name string) bool { return !strings.HasPrefix(name, packsDir) }
			if now := s.Files(); !slices.Equal(slices.DeleteFunc(now, isPack), slices.DeleteFunc(packs, isPack)) {
				t.Errorf("files %q, were %q", now, packs)
			}
			mustClose(t, s)
		})
	}
}

// TestCompressIsAFunctionOfContent makes the same dictionary of the same chunks, in whatever order and packs they came.
func TestCompressIsAFunctionOfContent(t *testing.T) {
	cold := phrases(chunk.KindPage, 300, 4)
	var first []string
	for seed := range uint64(3) {
		s := newStore(t, vfs.NewMem(), testDir)
		list := slices.Clone(cold)
		rand.New(rand.NewPCG(seed, 2)).Shuffle(len(list), func(i, k int) { list[i], list[k] = list[k], list[i] })
		n := 1 + int(seed)*70
		commit(t, s, list[:n], rec("one"))
		if err := s.Checkpoint(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if err := s.Folded(t.Context()); err != nil {
			t.Fatal(err)
		}
		commit(t, s, list[n:], rec("two"))
		mustCompact(t, s, RewriteOptions{Compress: CompressAll}, cold, nil)
		var got []string
		for _, p := range s.packs {
			if p.hasDictionary() {
				d, err := p.dictionary()
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, d.hash.Full())
			}
		}
		if len(got) != 1 || first != nil && !slices.Equal(first, got) {
			t.Errorf("dictionaries %v, the first time %v", got, first)
		}
		first = got
		mustClose(t, s)
	}
}

// filesIn is the names of the files of journal and packs.
func filesIn(t *testing.T, fsys vfs.FS) (out []string) {
	t.Helper()
	for _, sub := range []string{journalDir, packsDir} {
		names, err := fsys.ReadDir(filepath.Join(testDir, sub))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			out = append(out, filepath.Join(sub, n))
		}
	}
	return out
}

// TestCompressCrashAnywhere cuts the power, and lets operations fail, at every moment of a collection that compresses.
func TestCompressCrashAnywhere(t *testing.T) {
	mem := vfs.NewMem()
	s := newStore(t, mem, testDir)
	cold, hot, dead := phrases(chunk.KindPage, 120, 1), phrases(chunk.KindPage, 10, 2), phrases(chunk.KindPage, 60, 3)
	commit(t, s, slices.Concat(cold[:60], hot, dead), rec("one"))
	if err := s.Checkpoint(t.Context(), []byte("before")); err != nil {
		t.Fatal(err)
	}
	if err := s.Folded(t.Context()); err != nil {
		t.Fatal(err)
	}
	commit(t, s, cold[60:], rec("two"))
	mustClose(t, s)
	compressed, flagged := 0, 0
	check := func(t *testing.T, fsys vfs.FS, what string) {
		t.Helper()
		s := openStore(t, fsys, testDir, Options{CacheBytes: -1})
		for _, c := range slices.Concat(cold, hot) {
			wantChunk(t, s, c)
		}
		noProblems(t, s)
		flag := strings.Contains(formatOf(t, fsys), dictionaryFeature)
		has := slices.ContainsFunc(s.packs, (*file).hasDictionary)
		if has && !flag {
			t.Fatalf("%s: there are packs with dictionaries, and FORMAT does not say so", what)
		}
		if has {
			compressed++
		} else if flag {
			flagged++
		}
		files, err := fsys.ReadDir(filepath.Join(testDir, packsDir))
		if err != nil || len(files) != s.Stats().Packs {
			t.Fatalf("%s: %d packs, files %q, %v", what, s.Stats().Packs, files, err)
		}
		if _, err := fsys.Stat(filepath.Join(testDir, formatFile+tmpExt)); !errs.Is(err, errs.NotFound) {
			t.Fatalf("%s: FORMAT.tmp is left: %v", what, err)
		}
		mustClose(t, s)
	}
	for n := int64(1); ; n++ {
		base := mem.CrashClone(rand.New(rand.NewPCG(uint64(n), 1)))
		var mu sync.Mutex // of the three: a collection leaves a fold behind it
		var cut *vfs.Mem
		ops := int64(0)
		armed := false
		arm := func(on bool) {
			mu.Lock()
			defer mu.Unlock()
			armed = on
		}
		s, err := Open(t.Context(), vfs.WithHook(base, func(op vfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if !armed || op.Kind == vfs.OpRead {
				return nil
			}
			if ops++; ops == n {
				cut = base.CrashClone(rand.New(rand.NewPCG(uint64(n), 2)))
				return errs.New(errs.NoSpace, "injected")
			}
			return nil
		}), testDir, Options{CacheBytes: -1})
		if err != nil {
			t.Fatal(err)
		}
		arm(true)
		_, err = compact(t.Context(), s, RewriteOptions{Compress: CompressAll}, cold, hot)
		arm(false)
		if cut == nil {
			if err != nil {
				t.Fatal(err)
			}
			mustClose(t, s)
			break
		}
		for _, c := range slices.Concat(cold, hot) {
			wantChunk(t, s, c)
		}
		_ = s.Close(t.Context()) // says again what failed
		check(t, base, fmt.Sprintf("fault %d", n))
		check(t, cut, fmt.Sprintf("cut %d", n))
	}
	if compressed < 3 || flagged < 3 {
		t.Errorf("compressed in %d cases, only FORMAT changed in %d: the test does not test", compressed, flagged)
	}
}

// TestCompressedTransfer takes records of a pack with a dictionary, a whole one, and a copy of the store.
func TestCompressedTransfer(t *testing.T) {
	fsys := vfs.NewMem()
	s := newStore(t, fsys, testDir)
	cold := phrases(chunk.KindPage, 200, 6)
	commit(t, s, cold, rec("one"))
	mustCompact(t, s, RewriteOptions{Compress: CompressAll}, cold, nil)

	copied := vfs.NewMem()
	if err := s.Backup(t.Context(), copied, testDir, nil); err != nil {
		t.Fatal(err)
	}
	if now := formatOf(t, copied); now != formatOf(t, fsys) {
		t.Errorf("the copy has FORMAT %q", now)
	}
	c := openStore(t, copied, testDir, Options{CacheBytes: -1})
	for _, x := range cold {
		wantChunk(t, c, x)
	}
	noProblems(t, c)
	mustClose(t, c)

	// A pack that is built for another store needs no dictionary.
	b, err := s.NewBuilder("/built")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range cold {
		if err := b.Add(t.Context(), hash.Sum(x)); err != nil {
			t.Fatal(err)
		}
	}
	built, err := b.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, err := openPack(fsys, "/built", false)
	if err != nil {
		t.Fatal(err)
	}
	if p.hasDictionary() || p.idx.len() != len(cold) {
		t.Errorf("version %d, %d chunks", p.ft.version, p.idx.len())
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	if err := verifyFile(t.Context(), fsys, "/built", built.Digest); err != nil {
		t.Error(err)
	}

	packs, _ := s.Published()
	if len(packs) != 1 {
		t.Fatalf("%d packs", len(packs))
	}
	data, err := vfs.ReadFile(fsys, packs[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := ReadDirectory(data[packs[0].Size-TailSize(packs[0].Chunks):], packs[0].Size, packs[0].Digest, packs[0].Chunks)
	if err != nil {
		t.Fatal(err)
	}
	at, ok := dir.Dictionary()
	if !ok {
		t.Fatal("it has no dictionary")
	}
	dict, err := ReadDictionary(data[at.Off : at.Off+at.Len])
	if err != nil {
		t.Fatal(err)
	}
	lacking := dir.Lacking(&Known{})
	if len(lacking) != len(cold) {
		t.Errorf("%d chunks are lacking, want %d", len(lacking), len(cold))
	}
	other := vfs.NewMem()
	o := newStore(t, other, testDir)
	batch := o.NewBatch()
	for _, x := range lacking {
		rec := data[x.Off : x.Off+x.Len]
		if !NeedsDictionary(rec) {
			t.Fatal("a record needs no dictionary")
		}
		if err := batch.PutRecord(t.Context(), rec, nil); !errs.Is(err, errs.Corrupt) {
			t.Fatalf("without the dictionary: %v", err)
		}
		if _, _, err := DecodeRecord(rec); !errs.Is(err, errs.Corrupt) {
			t.Fatalf("without the dictionary: %v", err)
		}
		alone, err := Standalone(rec, dict)
		if err != nil {
			t.Fatal(err)
		}
		if h, got, err := DecodeRecord(alone); err != nil || hash.Sum(got) != h {
			t.Fatalf("alone: %v", err)
		}
		if err := batch.PutRecord(t.Context(), rec, dict); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := o.Append(t.Context(), batch, rec("records")); err != nil {
		t.Fatal(err)
	}
	for _, x := range cold {
		wantChunk(t, o, x)
		if codecOf(t, o, x) == codecDict {
			t.Fatal("it needs a dictionary that is not there")
		}
	}
	if o.HasDictionaries() {
		t.Error("the store has dictionaries")
	}
	mustClose(t, o)

	// As a whole it makes the other store one with dictionaries.
	whole := vfs.NewMem()
	w := newStore(t, whole, testDir)
	if err := vfs.WriteFile(whole, "/came.pack", data); err != nil {
		t.Fatal(err)
	}
	if err := verifyFile(t.Context(), whole, "/came.pack", packs[0].Digest); err != nil {
		t.Fatal(err)
	}
	batch = w.NewBatch()
	if err := batch.Adopt(t.Context(), []string{"/came.pack"}); err != nil {
		t.Fatal(err)
	}
	wantChunk(t, batch, cold[0])
	if _, err := w.Append(t.Context(), batch, rec("whole")); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(formatOf(t, whole), dictionaryFeature) {
		t.Error("FORMAT does not say that there is a dictionary")
	}
	for _, x := range cold {
		wantChunk(t, w, x)
	}
	noProblems(t, w)
	mustClose(t, w)
	mustClose(t, s)
}

// TestCompressedPacksDoNotFold: a fold, which has no dictionary, leaves small packs with one to the next collection, which joins them.
func TestCompressedPacksDoNotFold(t *testing.T) {
	fsys := vfs.NewMem()
	s := newStore(t, fsys, testDir)
	var cold [][]byte
	most := 0
	for i := range 2 * manySmall {
		more := phrases(chunk.KindPage, 80, uint64(10+i))
		cold = append(cold, more...)
		commit(t, s, more, rec("more"))
		if err := s.Checkpoint(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if err := s.Folded(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustCompact(t, s, RewriteOptions{Compress: CompressAll}, cold, nil)
		most = max(most, len(s.packs))
		for _, c := range cold {
			if codecOf(t, s, c) != codecDict {
				t.Fatal("a page is not compressed")
			}
		}
	}
	if most > manySmall+1 {
		t.Errorf("there were %d packs", most)
	}
	for _, c := range cold {
		wantChunk(t, s, c)
	}
	noProblems(t, s)
	mustClose(t, s)
}
