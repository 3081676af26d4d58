package pack

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/vfs"
)

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
