package pack

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
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

// TestRenew leaves no dictionary that has pieces of chunks which are gone, as an erasure must.
func TestRenew(t *testing.T) {
	fsys := vfs.NewMem()
	s := newStore(t, fsys, testDir)
	secret := []byte("the one whose rows are to be forgotten lives at 17 Nowhere Street")
	keep, gone := phrases(chunk.KindPage, 200, 1), phrases(chunk.KindPage, 200, 2)
	for i := range gone {
		for range 10 {
			gone[i] = append(gone[i], secret...)
		}
	}
	commit(t, s, slices.Concat(keep, gone), rec("one"))
	told := func() (n int) {
		for _, p := range s.packs {
			if !p.hasDictionary() {
				continue
			}
			d, err := p.dictionary()
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(d.chunk, secret[:40]) {
				n++
			}
		}
		return n
	}
	mustCompact(t, s, RewriteOptions{Compress: CompressAll}, slices.Concat(keep, gone), nil)
	if told() != 1 {
		t.Fatal("the dictionary has nothing of what is to go: the test does not test")
	}
	mustCompact(t, s, RewriteOptions{Garbage: 100, Compress: CompressAll, Renew: true}, keep, nil)
	if told() != 0 {
		t.Error("a dictionary has pieces of what is gone")
	}
	for _, c := range keep {
		wantChunk(t, s, c)
		if codecOf(t, s, c) != codecDict {
			t.Fatal("a page is not compressed")
		}
	}
	noProblems(t, s)
	mustClose(t, s)
}

// TestRenewRemoving: a collection that removes chunks leaves no dictionary that has pieces of them, whatever packs it is in, and the next one has
// nothing to do.
func TestRenewRemoving(t *testing.T) {
	fsys := vfs.NewMem()
	s := newStore(t, fsys, testDir)
	secret := []byte("the one whose rows are to be forgotten lives at 17 Nowhere Street")
	keep, gone := phrases(chunk.KindPage, 400, 1), phrases(chunk.KindPage, 600, 2)
	for i := range gone {
		for range 10 {
			gone[i] = append(gone[i], secret...)
		}
	}
	for _, l := range [][][]byte{keep, gone} {
		commit(t, s, l, rec("one"))
		if err := s.Checkpoint(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if err := s.Folded(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	told := func() (with, packs int) {
		for _, p := range s.packs {
			if !p.hasDictionary() {
				continue
			}
			packs++
			d, err := p.dictionary()
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(d.chunk, secret[:40]) {
				with++
			}
		}
		return with, packs
	}
	full := RewriteOptions{Compress: CompressAll, RenewRemoving: true, GroupBytes: 1}
	mustCompact(t, s, full, slices.Concat(keep, gone), nil)
	if with, packs := told(); with != 2 || packs != 2 {
		t.Fatalf("%d of %d dictionaries have something of what is to go: the test does not test", with, packs)
	}
	if again := mustCompact(t, s, full, slices.Concat(keep, gone), nil); again.PacksWritten != 0 {
		t.Errorf("a second time: %+v", again)
	}
	done := mustCompact(t, s, full, keep, nil)
	if with, packs := told(); with != 0 || packs == 0 || done.ChunksRemoved != len(gone) {
		t.Errorf("%d of %d dictionaries have pieces of what is gone; %+v", with, packs, done)
	}
	if again := mustCompact(t, s, full, keep, nil); again.PacksWritten != 0 {
		t.Errorf("after the removal: %+v", again)
	}
	for _, c := range keep {
		wantChunk(t, s, c)
		if codecOf(t, s, c) != codecDict {
			t.Fatal("a page is not compressed")
		}
	}
	noProblems(t, s)
	mustClose(t, s)
}

// TestCompressLeavesDamaged: a pack that is rewritten for the sake of compression stays as it is when a chunk of it cannot be read, and what is
// garbage elsewhere goes nevertheless.
func TestCompressLeavesDamaged(t *testing.T) {
	cold, hot, more, dead := phrases(chunk.KindPage, 3000, 1), phrases(chunk.KindPage, 10, 3), phrases(chunk.KindPage, 400, 4), phrases(chunk.KindPage, 500, 99)
	for _, mode := range []Compression{CompressNone, CompressAuto, CompressAll} {
		fsys := vfs.NewMem()
		s := newStore(t, fsys, testDir)
		commit(t, s, slices.Concat(cold, hot), rec("one"))
		mustCompact(t, s, RewriteOptions{Compress: CompressNone}, cold, hot) // 12 MB: no small pack
		if len(s.packs) != 1 || s.packs[0].size < smallPack {
			t.Fatalf("%d packs: the test does not test", len(s.packs))
		}
		p := s.packs[0]
		path := p.path
		least := 0 // among the samples
		for i, c := range cold {
			if prefixOf(hash.Sum(c)) < prefixOf(hash.Sum(cold[least])) {
				least = i
			}
		}
		i, ok, err := p.position(hash.Sum(cold[least]))
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		off := int64(p.idx.off(i))
		mustClose(t, s)
		data, err := vfs.ReadFile(fsys, path)
		if err != nil {
			t.Fatal(err)
		}
		data[off+recordHeader+100] ^= 1
		if err := vfs.WriteFile(fsys, path, data); err != nil {
			t.Fatal(err)
		}
		s = openStore(t, fsys, testDir, Options{CacheBytes: -1})
		commit(t, s, slices.Concat(more, dead), rec("dead"))
		for round := range 2 {
			done, err := compact(t.Context(), s, RewriteOptions{Garbage: 10, Compress: mode, RenewRemoving: true}, slices.Concat(cold, more), hot)
			if err != nil || round == 0 && done.ChunksRemoved != len(dead) || round == 1 && done.PacksWritten != 0 {
				t.Errorf("mode %d, time %d: %+v, %v", mode, round, done, err)
			}
		}
		if !slices.ContainsFunc(s.packs, func(p *file) bool { return p.path == path }) {
			t.Errorf("mode %d: the damaged pack is gone", mode)
		}
		for i, c := range slices.Concat(cold, hot, more) {
			if i != least {
				wantChunk(t, s, c)
			}
		}
		for _, c := range more {
			if mode != CompressNone && codecOf(t, s, c) != codecDict {
				t.Fatalf("mode %d: a page is not compressed", mode)
			}
		}
		mustClose(t, s)
	}
}

// liar is an encoder that makes a mistake in every third chunk.
type liar struct {
	encoder
	n, lies int
}

// EncodeAll implements encoder.
func (l *liar) EncodeAll(src, dst []byte) []byte {
	if l.n++; l.n%3 == 0 {
		l.lies++
		src = bytes.Clone(src)
		src[len(src)/2] ^= 1
	}
	return l.encoder.EncodeAll(src, dst)
}

// TestCompressReadsBack: what does not give back the chunk that was compressed does not stand for it.
func TestCompressReadsBack(t *testing.T) {
	fsys := vfs.NewMem()
	s := newStore(t, fsys, testDir)
	cold := phrases(chunk.KindPage, 300, 1)
	commit(t, s, cold, rec("one"))
	c, err := s.Collect(t.Context(), []byte("state"))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range cold {
		if _, err := c.Mark(hash.Sum(k)); err != nil {
			t.Fatal(err)
		}
	}
	opt := RewriteOptions{
		Compress: CompressAll, CompressLeast: leastCold, GroupBytes: groupBytes,
		Settle: func(context.Context) error { return nil }, Lock: func(_ context.Context, fn func() error) error { return fn() },
	}
	todo, p, err := c.compression(t.Context(), opt, nil)
	if err != nil || p == nil {
		t.Fatal(p, err)
	}
	bad := &liar{encoder: p.class[0].enc}
	p.class[0].enc = bad
	if err := c.group(t.Context(), opt, p, todo); err != nil {
		t.Fatal(err)
	}
	p.close()
	c.Close()
	if bad.lies == 0 {
		t.Fatal("nothing was compressed: the test does not test")
	}
	s = reopened(t, fsys, s)
	raw := 0
	for _, x := range cold {
		wantChunk(t, s, x)
		if codecOf(t, s, x) == codecRaw {
			raw++
		}
	}
	if raw != bad.lies {
		t.Errorf("%d chunks are raw, and %d were not what they should be", raw, bad.lies)
	}
	noProblems(t, s)
	mustClose(t, s)
}

// TestDictionaryDamage flips bits of the dictionary and of a record.
func TestDictionaryDamage(t *testing.T) {
	mem := vfs.NewMem()
	s := newStore(t, mem, testDir)
	cold := phrases(chunk.KindPage, 200, 5)
	commit(t, s, cold, rec("one"))
	mustCompact(t, s, RewriteOptions{Compress: CompressAll}, cold, nil)
	var p *file
	for _, x := range s.packs {
		if x.hasDictionary() {
			p = x
		}
	}
	if p == nil {
		t.Fatal("no pack has a dictionary")
	}
	d, err := p.dictionary()
	if err != nil {
		t.Fatal(err)
	}
	path, size := p.path, int64(len(d.chunk))
	i, ok, err := p.position(hash.Sum(cold[0]))
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	record := int64(p.idx.off(i))
	mustClose(t, s)
	whole, err := vfs.ReadFile(mem, path)
	if err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]struct {
		off int64
		all bool // every chunk of the pack is lost
		crc bool // that of the dictionary is made right again
	}{
		"dictionary":       {packHeader + recordHeader + size/2, true, false},
		"its header":       {packHeader + 36, true, false},
		"its hash":         {packHeader + 3, true, false},
		"but its CRC":      {packHeader + recordHeader + size/2, true, true},
		"its hash and CRC": {packHeader + 3, true, true},
		"record":           {record + recordHeader + 20, false, false},
		"its CRC":          {record + 45, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := vfs.NewMem()
			for _, sub := range []string{journalDir, packsDir} {
				if err := fsys.MkdirAll(filepath.Join(testDir, sub)); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range append(filesIn(t, mem), formatFile) {
				data, err := vfs.ReadFile(mem, filepath.Join(testDir, name))
				if err != nil {
					t.Fatal(err)
				}
				if filepath.Join(testDir, name) == path {
					data = bytes.Clone(whole)
					data[at.off] ^= 4
					if r := data[packHeader:]; at.crc {
						binary.LittleEndian.PutUint32(r[44:], sum32(r[:44], r[recordHeader:recordHeader+size]))
					}
				}
				if err := vfs.WriteFile(fsys, filepath.Join(testDir, name), data); err != nil {
					t.Fatal(err)
				}
			}
			s := openStore(t, fsys, testDir, Options{CacheBytes: -1})
			var found []Problem
			if err := s.VerifyPacks(t.Context(), func(p Problem) { found = append(found, p) }); err != nil {
				t.Fatal(err)
			}
			if len(found) == 0 {
				t.Fatal("nobody sees the damage")
			}
			if at.all && (len(found) != 1 || !strings.Contains(found[0].Err.Error(), fmt.Sprintf("; %d chunks need it", len(cold)))) {
				t.Errorf("found %d problems, the first %+v; want one with a count", len(found), found[0])
			}
			for _, p := range found {
				if p.File != path || !errs.Is(p.Err, errs.Corrupt) {
					t.Errorf("found %+v", p)
				}
			}
			for i, c := range cold {
				_, err := s.Get(t.Context(), hash.Sum(c))
				switch lost := at.all || i == 0; {
				case lost && !errs.Is(err, errs.Corrupt):
					t.Fatalf("chunk %d: %v", i, err)
				case !lost && err != nil:
					t.Fatalf("chunk %d: %v", i, err)
				}
				if lost := s.Verify(t.Context(), hash.Sum(c)); (at.all || i == 0) != errs.Is(lost, errs.Corrupt) {
					t.Fatalf("verify chunk %d: %v", i, lost)
				}
			}
			damaged, err := Examine(t.Context(), fsys, testDir)
			if err != nil || len(damaged) != 1 || damaged[0].Path != path {
				t.Errorf("examined %+v, %v", damaged, err)
			}
			// What can be read of it is kept, in a form that needs no dictionary.
			mustClose(t, s)
			s = openStore(t, fsys, testDir, Options{CacheBytes: -1, Without: []string{path}})
			b := s.NewBatch()
			kept, err := b.Salvage(t.Context(), path)
			if want := len(cold) - 1; err != nil || (at.all && kept != 0) || (!at.all && kept != want) {
				t.Errorf("kept %d, %v", kept, err)
			}
			if _, err := s.Append(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			for i, c := range cold {
				if !at.all && i > 0 {
					wantChunk(t, s, c)
				}
			}
			noProblems(t, s)
			mustClose(t, s)
		})
	}
}

// twoPacks is a store that has two packs with the same dictionary, and what is in them.
func twoPacks(t *testing.T, fsys vfs.FS) (s *Store, cold [][]byte, packs []*file) {
	t.Helper()
	s = newStore(t, fsys, testDir)
	for seed := range uint64(2) {
		more := phrases(chunk.KindPage, 400, seed+1)
		cold = append(cold, more...)
		commit(t, s, more, rec("one"))
		if err := s.Checkpoint(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if err := s.Folded(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	mustCompact(t, s, RewriteOptions{Compress: CompressAll, GroupBytes: 1}, cold, nil)
	for _, p := range s.packs {
		if p.hasDictionary() {
			packs = append(packs, p)
		}
	}
	if len(packs) != 2 {
		t.Fatalf("%d packs have dictionaries: the test does not test", len(packs))
	}
	return s, cold, packs
}

// TestDictionaryOfAnother: what lost its dictionary is read with that of another pack, and packs of one dictionary have one decoder.
func TestDictionaryOfAnother(t *testing.T) {
	fsys := vfs.NewMem()
	s, cold, packs := twoPacks(t, fsys)
	a, err := packs[0].dictionary()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := packs[1].dictionary(); err != nil || a != b {
		t.Errorf("packs of one dictionary do not share it: %v", err)
	}
	path, chunks := packs[0].path, packs[0].idx.len()-1
	mustClose(t, s)
	data, err := vfs.ReadFile(fsys, path)
	if err != nil {
		t.Fatal(err)
	}
	data[packHeader+recordHeader+500] ^= 1
	if err := vfs.WriteFile(fsys, path, data); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, fsys, testDir, Options{CacheBytes: -1, Without: []string{path}})
	b := s.NewBatch()
	if kept, err := b.Salvage(t.Context(), path); err != nil || kept != chunks {
		t.Fatalf("kept %d of %d, %v", kept, chunks, err)
	}
	if _, err := s.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	for _, c := range cold {
		wantChunk(t, s, c)
	}
	mustClose(t, s)
}

// TestDictionaryPacksAreBounded: what one damaged dictionary loses is little.
func TestDictionaryPacksAreBounded(t *testing.T) {
	defer func(n int64) { dictPackBytes = n }(dictPackBytes)
	dictPackBytes = 200 << 10
	fsys := vfs.NewMem()
	s := newStore(t, fsys, testDir)
	cold := phrases(chunk.KindPage, 400, 1)
	commit(t, s, cold, rec("one"))
	mustCompact(t, s, RewriteOptions{Compress: CompressAll}, cold, nil)
	n := 0
	for _, p := range s.packs {
		if p.hasDictionary() {
			n++
			if p.size > dictPackBytes+chunk.MaxSize/64 {
				t.Errorf("a pack has %d bytes", p.size)
			}
		}
	}
	if n < 2 {
		t.Errorf("%d packs have dictionaries", n)
	}
	s = reopened(t, fsys, s)
	for _, c := range cold {
		wantChunk(t, s, c)
	}
	noProblems(t, s)
	mustClose(t, s)
}

// TestDictionaryFlag: a store that has packs with dictionaries says so, whatever FORMAT says, and its owner mends that; readers see it as well.
func TestDictionaryFlag(t *testing.T) {
	fsys := vfs.NewMem()
	s := newStore(t, fsys, testDir)
	cold := phrases(chunk.KindPage, 200, 1)
	commit(t, s, cold, rec("one"))
	reader := openStore(t, fsys, testDir, Options{ReadOnly: true, CacheBytes: -1})
	before := formatOf(t, fsys)
	mustCompact(t, s, RewriteOptions{Compress: CompressAll}, cold, nil)
	if err := reader.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !reader.HasDictionaries() {
		t.Error("a reader that is refreshed does not know that there are dictionaries")
	}
	mustClose(t, reader)
	mustClose(t, s)
	with := formatOf(t, fsys)
	if err := vfs.WriteFile(fsys, filepath.Join(testDir, formatFile), []byte(before)); err != nil {
		t.Fatal(err)
	}
	reader = openStore(t, fsys, testDir, Options{ReadOnly: true, CacheBytes: -1})
	if !reader.HasDictionaries() || formatOf(t, fsys) != before {
		t.Error("a reader believes FORMAT, or writes it")
	}
	mustClose(t, reader)
	s = openStore(t, fsys, testDir, Options{CacheBytes: -1})
	if now := formatOf(t, fsys); now != with || !s.HasDictionaries() {
		t.Errorf("FORMAT is %q, want %q", now, with)
	}
	mustClose(t, s)
}

// TestPackHeaderDamage: nothing reads the header of a pack but who verifies it.
func TestPackHeaderDamage(t *testing.T) {
	for _, off := range []int{0, 3, 8, 11} {
		fsys := vfs.NewMem()
		s := newStore(t, fsys, testDir)
		cold := phrases(chunk.KindPage, 200, 1)
		commit(t, s, cold, rec("one"))
		mustCompact(t, s, RewriteOptions{Compress: CompressAll}, cold, nil)
		path := s.packs[0].path
		mustClose(t, s)
		data, err := vfs.ReadFile(fsys, path)
		if err != nil {
			t.Fatal(err)
		}
		data[off] ^= 1
		if err := vfs.WriteFile(fsys, path, data); err != nil {
			t.Fatal(err)
		}
		s = openStore(t, fsys, testDir, Options{CacheBytes: -1})
		var found []Problem
		if err := s.VerifyPacks(t.Context(), func(p Problem) { found = append(found, p) }); err != nil {
			t.Fatal(err)
		}
		if len(found) != 1 || found[0].Offset != 0 || found[0].File != path || !errs.Is(found[0].Err, errs.Corrupt) {
			t.Errorf("byte %d: found %+v", off, found)
		}
		mustClose(t, s)
	}
}

// TestCensusReadsOnce: what a chunk takes without compression is known when it was found.
func TestCensusReadsOnce(t *testing.T) {
	mem := vfs.NewMem()
	s := newStore(t, mem, testDir)
	cold := phrases(chunk.KindPage, 200, 1)
	commit(t, s, cold, rec("one"))
	mustCompact(t, s, RewriteOptions{Compress: CompressAll}, cold, nil)
	mustClose(t, s)
	reads := 0
	s = openStore(t, vfs.WithHook(mem, func(op vfs.Op) error {
		if op.Kind == vfs.OpRead {
			reads++
		}
		return nil
	}), testDir, Options{ReadOnly: true, CacheBytes: -1})
	c := s.Census()
	var at []int
	for _, x := range cold {
		i, err := c.Find(hash.Sum(x))
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, i)
	}
	if reads < len(cold) {
		t.Fatalf("%d reads: the test does not test", reads)
	}
	reads = 0
	for k, i := range at {
		if raw, err := c.Raw(i); err != nil || raw != recordHeader+indexEntry+int64(len(cold[k])) {
			t.Errorf("chunk %d takes %d, %v", k, raw, err)
		}
	}
	if reads > 0 {
		t.Errorf("%d reads", reads)
	}
	mustClose(t, s)
}

// TestLongDictionary: one that is too long costs those who read the index of its pack no memory.
func TestLongDictionary(t *testing.T) {
	fsys := vfs.NewMem()
	w, err := newWriter(fsys, "/long.pack")
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, maxDictionary+1)
	data[0], data[1] = byte(chunk.KindDictionary), dictionaryVersion
	if err := w.use(&Dictionary{hash: hash.Sum(data), chunk: data}); err != nil {
		t.Fatal(err)
	}
	p, err := w.finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	whole, err := vfs.ReadFile(fsys, "/long.pack")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadDirectory(whole[p.size-TailSize(1):], p.size, p.ft.digest); !errs.Is(err, errs.Corrupt) {
		t.Errorf("got %v, want class corrupt", err)
	}
	if _, err := p.dictionary(); !errs.Is(err, errs.Corrupt) {
		t.Errorf("got %v, want class corrupt", err)
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
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
		var cut *vfs.Mem
		ops := int64(0)
		armed := false
		s, err := Open(t.Context(), vfs.WithHook(base, func(op vfs.Op) error {
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
		armed = true
		_, err = compact(t.Context(), s, RewriteOptions{Compress: CompressAll}, cold, hot)
		armed = false
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
	if _, err := VerifyFile(t.Context(), fsys, "/built", built.Digest); err != nil {
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
	dir, err := ReadDirectory(data[packs[0].Size-TailSize(packs[0].Chunks):], packs[0].Size, packs[0].Digest)
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
	if _, err := VerifyFile(t.Context(), whole, "/came.pack", packs[0].Digest); err != nil {
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
