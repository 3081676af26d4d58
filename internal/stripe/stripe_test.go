package stripe

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// column is a column of a page that is made for a test.
type column struct {
	id    uint64
	data  []byte
	group bool // it lies in the page's group
	addr  bool
}

// makePage lays a page out as docs/format.md says.
func makePage(rows int, cols []column) []byte {
	head := pageHeader + 16*len(cols)
	grouped := slices.ContainsFunc(cols, func(c column) bool { return c.group })
	if grouped {
		head += groupEntry
	}
	p := make([]byte, head)
	p[0], p[1] = pageKind, pageVersion
	le.PutUint16(p[2:], uint16(len(cols)))
	le.PutUint32(p[4:], uint32(rows))
	for k, c := range cols {
		le.PutUint64(p[pageHeader+8*k:], c.id)
		n := uint32(len(c.data))
		if c.addr {
			n |= addrBit
		}
		le.PutUint32(p[pageHeader+8*len(cols)+8*k+4:], n)
		if !c.group {
			le.PutUint32(p[pageHeader+8*len(cols)+8*k:], uint32(len(p)))
			p = append(p, c.data...)
			p = append(p, make([]byte, pad8(len(c.data))-len(c.data))...)
		}
	}
	p = append(p, make([]byte, pageTail)...)
	le.PutUint32(p[8:], uint32(len(p)))
	if grouped {
		le.PutUint16(p[12:], 1)
		p[14] = 1
		copy(p[pageHeader+16*len(cols):], bytes.Repeat([]byte{0xab}, hash.Size))
		at := len(p) + 8
		for k, c := range cols {
			if c.group {
				le.PutUint32(p[pageHeader+8*len(cols)+8*k:], uint32(at))
				at += pad8(len(c.data))
			}
		}
	}
	return p
}

// somePages draws pages of one table, some of which leave columns out or have them in a group.
func somePages(t *rapid.T) [][]column {
	ids := rapid.SliceOfNDistinct(rapid.Uint64Range(1, 1<<63), 1, 6, rapid.ID).Draw(t, "ids")
	slices.Sort(ids)
	var out [][]column
	for range rapid.IntRange(1, 20).Draw(t, "pages") {
		var cols []column
		for _, id := range ids {
			if how := rapid.IntRange(0, 7).Draw(t, "how"); how > 0 {
				cols = append(cols, column{id: id, data: rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "data"), group: how == 1, addr: how == 2})
			}
		}
		out = append(out, cols)
	}
	return out
}

func build(t fataler, pages [][]byte) (Block, []byte) {
	var b Builder
	for _, p := range pages {
		if !b.Add(hash.Sum(p), p) {
			t.Fatalf("the page %x does not fit", p)
		}
	}
	size := b.Size()
	block, data := b.Finish(100, nil)
	if size != len(data) || block.Len() != int64(size) || b.Pages() != 0 {
		t.Fatalf("a block of %d bytes has %d, its stripes %d", size, len(data), block.Len())
	}
	return block, data
}

type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// cutUp is the stripes of a block.
func cutUp(b *Block, data []byte) (out [][]byte) {
	for _, s := range b.Stripes {
		out = append(out, data[:s.Len])
		data = data[s.Len:]
	}
	return out
}

// Pages come out of a block bit for bit, and the table of blocks is read as it was written.
func TestBlock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var pages [][]byte
		for _, cols := range somePages(t) {
			pages = append(pages, makePage(rapid.IntRange(0, 100).Draw(t, "rows"), cols))
		}
		block, data := build(t, pages)
		if err := block.CheckAll(data); err != nil {
			t.Fatal(err)
		}
		table := AppendTable(nil, []Block{block})
		again, err := ParseTable(table, 16, 100+int64(len(data)))
		if err != nil || fmt.Sprint(again) != fmt.Sprint([]Block{block}) {
			t.Fatalf("%v became %v (%v)", block, again, err)
		}
		stripes := cutUp(&block, data)
		heads, err := ParseHeads(&block, stripes[0])
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range pages {
			if heads.Hash(i) != hash.Sum(p) || heads.PageLen(i) != len(p) {
				t.Fatalf("page %d is another", i)
			}
			if got := heads.AppendPage([]byte("x"), i, stripes[1:]); !bytes.Equal(got[1:], p) {
				t.Fatalf("page %d:\n%x, was\n%x", i, got[1:], p)
			}
		}
	})
}

// A projected page has the columns that it was read with as the page has them, and says of no other what is in it.
func TestProjected(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := somePages(t)
		var pages [][]byte
		var known []uint64
		for _, cols := range all {
			pages = append(pages, makePage(7, cols))
			for _, c := range cols {
				known = append(known, c.id)
			}
		}
		block, data := build(t, pages)
		heads, err := ParseHeads(&block, data[:block.Stripes[0].Len])
		if err != nil {
			t.Fatal(err)
		}
		ids := []uint64{1 << 62}
		if len(known) > 0 {
			ids = append(ids, rapid.SliceOf(rapid.SampledFrom(known)).Draw(t, "ids")...)
		}
		slices.Sort(ids)
		ids = slices.Compact(ids)
		for i, cols := range all {
			got := heads.AppendProjected(nil, i, ids, func(id uint64) []byte {
				k := block.Find(id)
				return data[block.Start(k):][:block.Stripes[k].Len]
			})
			if int(le.Uint32(got[8:])) != len(got) || got[flagsAt]&Projected == 0 || int(le.Uint16(got[2:])) != len(ids) || int(le.Uint32(got[4:])) != 7 || Fits(got) {
				t.Fatalf("the header is %x", got[:pageHeader])
			}
			if old := le.Uint16(pages[i][12:]); le.Uint16(got[12:]) != old || old == 1 && got[pageHeader+16*len(ids)] != 0xab {
				t.Fatal("the groups are other ones")
			}
			for n, id := range ids {
				off, size := int(le.Uint32(got[pageHeader+8*len(ids)+8*n:])), le.Uint32(got[pageHeader+8*len(ids)+8*n+4:])
				k := slices.IndexFunc(cols, func(c column) bool { return c.id == id })
				if le.Uint64(got[pageHeader+8*n:]) != id || (k < 0) != (off == 0) {
					t.Fatalf("column %d of page %d is at %d", id, i, off)
				}
				if k < 0 {
					continue
				}
				was := cols[k]
				if size&addrBit != 0 != was.addr || int(size&^addrBit) != len(was.data) {
					t.Fatalf("column %d of page %d has %x bytes, not %d", id, i, size, len(was.data))
				}
				if was.group {
					j := slices.IndexFunc(cols, func(c column) bool { return c.id == id })
					at := int(le.Uint32(pages[i][pageHeader+8*len(cols)+8*j:]))
					if off-len(got) != at-len(pages[i]) {
						t.Fatalf("column %d is at %d of the group, was at %d", id, off-len(got), at-len(pages[i]))
					}
				} else if off+pad8(len(was.data)) > len(got)-pageTail || !bytes.Equal(got[off:off+len(was.data)], was.data) {
					t.Fatalf("column %d of page %d is %x, was %x", id, i, got[off:off+len(was.data)], was.data)
				}
			}
		}
	})
}

// Every byte of a block counts, and its stripe is named.
func TestBlockDamage(t *testing.T) {
	block, data := build(t, [][]byte{
		makePage(3, []column{{id: 5, data: []byte("some text")}, {id: 9, data: []byte("more")}}),
		makePage(2, []column{{id: 5, data: []byte("others")}}),
	})
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 1
		err := block.CheckAll(bad)
		want := "heads of 2 pages at byte 100"
		for k := 1; k < len(block.Stripes); k++ {
			if int64(i) >= block.Start(k) {
				want = fmt.Sprintf("stripe of column %d of 2 pages at byte %d", block.Stripes[k].ID, 100+block.Start(k))
			}
		}
		if !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), want) {
			t.Fatalf("byte %d: %v, want %q", i, err, want)
		}
	}
	if err := block.CheckAll(data[1:]); !errs.Is(err, errs.Corrupt) {
		t.Errorf("a block cut short: %v", err)
	}
}

// What is not laid out as a page is stays out of blocks: it would come out as another.
func TestFits(t *testing.T) {
	good := makePage(3, []column{{id: 5, data: []byte("some text")}, {id: 9, data: []byte("more")}})
	if !Fits(good) {
		t.Fatal("a page does not fit")
	}
	change := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] = v
		return b
	}
	locs := pageHeader + 16
	for name, b := range map[string][]byte{
		"empty": nil, "a header": good[:pageHeader], "another kind": change(0, 4), "another version": change(1, 3), "the flag": change(flagsAt, Projected),
		"cut short": good[:len(good)-1], "longer": append(bytes.Clone(good), 0), "more columns": change(2, 9), "more groups": change(12, 200),
		"ids descend": change(pageHeader, 200), "a gap": change(locs, good[locs]+8), "a longer segment": change(locs+4, 99),
		"padding": change(len(good)-pageTail-1, 1), "tail": change(len(good)-1, 1),
	} {
		if Fits(b) {
			t.Errorf("%s: it fits", name)
		}
		if new(Builder).Akin(b) >= 0 || new(Builder).Add(hash.Hash{}, b) {
			t.Errorf("%s: it is taken", name)
		}
	}
}

func TestAkin(t *testing.T) {
	var b Builder
	page := func(ids ...uint64) []byte {
		var cols []column
		for _, id := range ids {
			cols = append(cols, column{id: id, data: []byte{1}})
		}
		return makePage(1, cols)
	}
	p := page(1, 2, 3, 4)
	b.Add(hash.Sum(p), p)
	for ids, want := range map[string]int{"1 2 3 4": 4, "1 2 3": 3, "2 4": 2, "1": -1, "1 2 3 4 5": 4, "1 2 3 9": -1, "7 8 9": -1} {
		var list []uint64
		for _, f := range strings.Fields(ids) {
			list = append(list, uint64(f[0]-'0'))
		}
		if got := b.Akin(page(list...)); got != want {
			t.Errorf("%s: %d, want %d", ids, got, want)
		}
	}
}

var rewrite = flag.Bool("rewrite", false, "write the golden file anew")

// The golden file has the block of two pages, and its table, as docs/format.md lays them out.
func TestGolden(t *testing.T) {
	block, data := build(t, [][]byte{
		makePage(3, []column{{id: 5, data: []byte("0123456789")}, {id: 9, data: []byte("abc")}}),
		makePage(2, []column{{id: 5, data: []byte("xy")}, {id: 7, data: []byte("grouped"), group: true}}),
	})
	got := "block\n" + hex.Dump(data) + "table\n" + hex.Dump(AppendTable(nil, []Block{block}))
	const file = "testdata/golden"
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || got != string(want) {
		t.Errorf("%v\n%s", err, got)
	}
}

func FuzzBlock(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 4 {
		var pages [][]byte
		for range 1 + r.IntN(3) {
			pages = append(pages, makePage(r.IntN(9), []column{{id: 3, data: make([]byte, 1+r.IntN(20))}, {id: 8, data: []byte("x"), group: r.IntN(2) == 0}}))
		}
		block, data := build(f, pages)
		f.Add(AppendTable(nil, []Block{block}), data)
	}
	f.Fuzz(func(t *testing.T, table, data []byte) {
		blocks, err := ParseTable(table, 0, 1<<40)
		if err != nil {
			return
		}
		if again := AppendTable(nil, blocks); !bytes.Equal(again, table) {
			t.Fatalf("%x is read as %x", table, again)
		}
		for i := range blocks {
			b := &blocks[i]
			if int64(len(data)) < b.Len() || b.Pages > 1000 {
				continue
			}
			// Beyond the checksums, which the fuzzer cannot guess:
			stripes := cutUp(b, data)
			heads, err := ParseHeads(b, stripes[0])
			if err != nil {
				continue
			}
			var ids []uint64
			for _, s := range b.Stripes[1:] {
				ids = append(ids, s.ID)
			}
			for k := range heads.Pages() {
				if p := heads.AppendPage(nil, k, stripes[1:]); len(p) != heads.PageLen(k) {
					t.Fatalf("page %d has %d bytes, not %d", k, len(p), heads.PageLen(k))
				}
				heads.AppendProjected(nil, k, ids, func(id uint64) []byte { return stripes[b.Find(id)] })
			}
		}
	})
}
