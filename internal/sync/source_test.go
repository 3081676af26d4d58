package sync

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/mem"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/vfs"
)

// TestDamageHidesNothing: what one pack has in a damaged place, or cannot show because its index is damaged or it is lost, is read of another one that has the
// same, by whole chunks, by columns and by beginnings of hashes; where none has it whole that is an error, or told.
func TestDamageHidesNothing(t *testing.T) {
	ctx := t.Context()
	st, fs, _ := newStore(t)
	rng := rand.New(rand.NewPCG(1, 2))
	commit := hash.Hash(newCommit(t, st, "named by its beginning"))
	batch := st.NewBatch()
	var pages []hash.Hash
	for range 200 {
		h, err := batch.Put(ctx, pageOf(rng, 4))
		must(t, err)
		pages = append(pages, h)
	}
	more, err := batch.Put(ctx, pageOf(rng, 4))
	must(t, err)
	lsn, err := st.Append(ctx, batch, pack.Record{Type: 1})
	must(t, err)
	must(t, st.Wait(ctx, lsn))
	must(t, batch.Close())
	in := append([]hash.Hash{commit}, pages...)
	var packs []Pack
	var files [][]byte
	var dirs []*pack.Directory
	for i, in := range [][]hash.Hash{in, append(in[:len(in):len(in)], more)} {
		built, _, err := build(ctx, st, []string{"/one.pack", "/two.pack"}[i], in, 1<<30, &pack.Blocks{Full: 300 << 10})
		must(t, err)
		data, err := vfs.ReadFile(fs, built.Path)
		must(t, err)
		dir, err := pack.ReadDirectory(data, built.Size, built.Digest, built.Chunks)
		must(t, err)
		packs, files, dirs = append(packs, Pack{Digest: built.Digest, Size: built.Size, Chunks: built.Chunks}), append(files, data), append(dirs, dir)
	}
	damages := map[string]func(data []byte, dir *pack.Directory) []byte{
		"a stripe": func(data []byte, dir *pack.Directory) []byte {
			b := dir.Blocks()[1]
			data[b.Off+b.Start(2)] ^= 1
			return data
		},
		"heads": func(data []byte, dir *pack.Directory) []byte {
			data[dir.Blocks()[1].Off] ^= 1
			return data
		},
		"a record": func(data []byte, dir *pack.Directory) []byte {
			at := dir.Spans(commit)[0]
			data[at.Off+at.Len-1] ^= 1
			return data
		},
		"the index": func(data []byte, dir *pack.Directory) []byte {
			data[len(data)-100] ^= 1
			return data
		},
		"all of it":  func([]byte, *pack.Directory) []byte { return nil },
		"the middle": func(data []byte, _ *pack.Directory) []byte { clear(data[1000 : len(data)/2]); return data },
	}
	// ask gives how many pages came by columns and how many whole, and what is wrong with the others and the commit.
	ask := func(src *Source) (projected, whole int, bad []error) {
		for _, h := range pages {
			page, err := src.Projected(ctx, h, []uint64{2})
			must(t, err)
			if page != nil {
				data, err := st.Get(ctx, h)
				must(t, err)
				if !bytes.Contains(page, data[16+16*4+1504:][:1500]) {
					t.Errorf("page %s came without its column", h)
				}
				projected++
				continue
			}
			rec, err := src.Record(ctx, h)
			if err == nil {
				var is hash.Hash
				if is, _, err = pack.DecodeRecord(rec); err == nil && is != h {
					t.Errorf("a page is %s, want %s", is, h)
				}
			}
			if err != nil {
				bad = append(bad, err)
			} else {
				whole++
			}
		}
		rec, err := src.Record(ctx, commit)
		if err == nil {
			_, _, err = pack.DecodeRecord(rec)
		}
		if err != nil {
			bad = append(bad, err)
		}
		if found, err := src.Beginning(ctx, commit.Full()[:9], chunk.KindCommit); err != nil {
			bad = append(bad, err)
		} else if err == nil && (len(found) != 1 || found[0] != commit) && src.Broken == nil {
			t.Errorf("%v begin as the commit does", found)
		}
		return projected, whole, bad
	}
	for name, damage := range damages {
		for _, tells := range []bool{false, true} {
			for _, c := range []struct {
				name    string
				damaged [2]bool
			}{{"the older", [2]bool{true, false}}, {"the newer", [2]bool{false, true}}, {"both", [2]bool{true, true}}} {
				s := &mem.Store{}
				for i, p := range packs {
					data := bytes.Clone(files[i])
					if c.damaged[i] {
						data = damage(data, dirs[i])
					}
					if data != nil {
						must(t, s.Put(ctx, p.object(), object.Bytes(data), object.IfAbsent))
					}
				}
				src := &Source{Remote: &Remote{s: s, known: true, striped: true}}
				if tells {
					src.Broken = func(error) {}
				}
				src.AddPacks(packs)
				projected, whole, bad := ask(src)
				if both := c.damaged[0] && c.damaged[1]; both != (len(bad) > 0) || !both && projected != len(pages) {
					t.Errorf("%s of %s is damaged (told %v): %d pages came by columns, %d whole, and %d errors: %v", name, c.name, tells, projected, whole, len(bad), bad)
				}
				for _, err := range bad {
					if code := errs.CodeOf(err); !tells && code != errs.Corrupt || tells && code != errs.NotFound {
						t.Errorf("%s of %s is damaged (told %v): %v", name, c.name, tells, err)
					}
				}
				// A pack that is whole again is read again.
				if c.damaged[0] && c.damaged[1] && !tells && name == "the index" {
					must(t, s.Put(ctx, packs[0].object(), object.Bytes(files[0]), object.Always))
					if projected, _, bad := ask(src); len(bad) > 0 || projected != len(pages) {
						t.Errorf("%d pages came of a pack that was mended: %v", projected, bad)
					}
				}
			}
		}
	}
}
