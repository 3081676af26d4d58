package pack

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/vfs"
)

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
	if _, err := ReadDirectory(whole[p.size-TailSize(1):], p.size, p.ft.digest, 1); !errs.Is(err, errs.Corrupt) {
		t.Errorf("got %v, want class corrupt", err)
	}
	if _, err := p.dictionary(); !errs.Is(err, errs.Corrupt) {
		t.Errorf("got %v, want class corrupt", err)
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
}
