package fsck_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/fsck"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

var ctx = context.Background()

// damaged is a store some of whose chunks are gone (nil) or other bytes.
type damaged struct {
	*chunk.Mem
	bytes map[hash.Hash][]byte
}

func (d *damaged) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	if b, ok := d.bytes[h]; ok {
		if b == nil {
			return nil, chunk.ErrMissing(h)
		}
		return b, nil
	}
	return d.Mem.Get(ctx, h)
}

// bed is a history of two commits with a table of some thousand rows, two indexes and a long cell.
type bed struct {
	*testing.T
	st     *damaged
	s      *schema.Compiled
	t      *table.Table
	first  *history.Commit
	second *history.Commit
	tag    hash.Hash
}

func (b *bed) must(err error) {
	if err != nil {
		b.Helper()
		b.Fatal(err)
	}
}

func newBed(t *testing.T) *bed {
	b := &bed{T: t, st: &damaged{Mem: chunk.NewMem(), bytes: map[hash.Hash][]byte{}}}
	s := &schema.Schema{Target: 1024}
	text := value.Type{Kind: value.KindVarchar, Length: 5000, Collation: value.CollationUtf8mb40900AiCi}
	for _, c := range []schema.Column{{Name: "id", Type: value.Type{Kind: value.KindInt64}}, {Name: "name", Type: text, Nullable: true}} {
		c.ID = schema.AssignID(c.Name, c.Type, s.Columns, nil)
		s.Columns = append(s.Columns, c)
	}
	s.PrimaryKey = []schema.IndexColumn{{Column: s.Columns[0].ID}}
	s.Indexes = []schema.Index{
		{Name: "name", Unique: true, Columns: []schema.IndexColumn{{Column: s.Columns[1].ID}}},
		{Name: "part", Columns: []schema.IndexColumn{{Column: s.Columns[1].ID, Prefix: 3}}},
	}
	var err error
	b.s, err = schema.Compile(s)
	b.must(err)
	b.t = b.load(func(id int64) string {
		switch {
		case id%10 == 0:
			return ""
		case id == 77:
			return strings.Repeat("long", 1000)
		}
		return fmt.Sprintf("n%d", id)
	})
	b.first = b.commit(b.root(nil), 1)
	b.second = b.commit(b.root(b.t), 2, b.first.ID)
	b.tag, err = (&history.Tag{Commit: b.second.ID, Tagger: b.second.Author}).Put(ctx, b.st)
	b.must(err)
	return b
}

// load is a table of 2000 rows with these names; an empty one is NULL.
func (b *bed) load(name func(id int64) string) *table.Table {
	b.Helper()
	l, err := table.NewLoader(ctx, b.st, table.Empty(b.s), table.LoadOptions{FS: vfs.NewMem(), TempDir: "/", Memory: 1 << 20})
	b.must(err)
	defer l.Close()
	e := table.NewEncoder(b.st, b.s)
	for id := range int64(2000) {
		n := value.Null
		if s := name(id); s != "" {
			n = value.BytesCell([]byte(s))
		}
		k, r, err := e.Append(ctx, nil, nil, []value.Cell{value.IntCell(id), n})
		b.must(err)
		b.must(l.Add(ctx, k, r))
	}
	t, _, err := l.Finish(ctx)
	b.must(err)
	return t
}

func (b *bed) root(t *table.Table) tree.Root {
	b.Helper()
	var cs []root.Change
	if t != nil {
		h, err := t.Put(ctx, b.st)
		b.must(err)
		cs = append(cs, root.Change{Entry: root.Entry{Kind: root.KindTable, Name: "People", Table: h}})
	}
	r, err := root.Open(b.st, tree.Root{}).With(ctx, b.st, cs...)
	b.must(err)
	return r.Tree()
}

func (b *bed) commit(r tree.Root, height uint64, parents ...history.CommitID) *history.Commit {
	b.Helper()
	who := history.Signature{Name: "Ada", Time: time.Unix(int64(height), 0)}
	c := &history.Commit{Root: r, Parents: parents, Height: height, Author: who, Committer: who, Message: "m"}
	_, err := c.Put(ctx, b.st)
	b.must(err)
	return c
}

// check is what is found from the starts, a line each.
func (b *bed) check(starts ...fsck.Start) ([]string, fsck.Counts) {
	b.Helper()
	var out []string
	c := fsck.New(b.st, func(p fsck.Problem) { out = append(out, p.String()) }, nil)
	for _, s := range starts {
		b.must(c.Check(ctx, s))
	}
	return out, c.Counts()
}

// want checks that every one of the texts is in a problem and that every problem says where.
func (b *bed) want(got []string, where string, texts ...string) {
	b.Helper()
	if len(got) == 0 {
		b.Fatal("nothing is found")
	}
	all := strings.Join(got, "\n")
	for _, w := range texts {
		if !strings.Contains(all, w) {
			b.Errorf("%q is not in\n%s", w, all)
		}
	}
	for _, p := range got {
		if !strings.HasPrefix(p, where) {
			b.Errorf("%q does not begin with the place %q", p, where)
		}
	}
}

// lastChild names the last child of a tree's root. The first leaves of the indexes, of NULLs only, are one chunk.
func (b *bed) lastChild(r tree.Root) hash.Hash {
	node := b.inner(r)
	return hash.Hash(node[12+32*(binary.LittleEndian.Uint32(node[4:])-1):])
}

// inner is the bytes of a tree's root, a node.
func (b *bed) inner(r tree.Root) []byte {
	b.Helper()
	if r.Level == 0 {
		b.Fatal("the tree has one chunk only")
	}
	data, err := b.st.Get(ctx, r.Hash)
	b.must(err)
	return bytes.Clone(data)
}

func TestSound(t *testing.T) {
	b := newBed(t)
	steps := 0
	c := fsck.New(b.st, func(p fsck.Problem) { t.Errorf("found %s", p) }, func(n int) { steps += n })
	for _, s := range []fsck.Start{
		{Name: "branch main", Commit: b.second.ID}, {Name: "branch b", Commit: b.first.ID}, {Name: "tag t", Tag: b.tag},
		{Name: "working set", Root: b.second.Root}, {Name: "nothing", Root: tree.Root{}},
	} {
		b.must(c.Check(ctx, s))
	}
	if n := c.Counts(); n.Commits != 2 || n.Tables != 1 || n.Rows != 2000 || steps != 2 {
		t.Errorf("counted %+v, %d steps", n, steps)
	}
}

// TestDamage damages each kind of chunk and asks for the place.
func TestDamage(t *testing.T) {
	const place = "branch main: commit "
	for name, c := range map[string]struct {
		chunk func(b *bed) hash.Hash
		where string // behind the commit's name; "" for the commit itself
	}{
		"commit":     {func(b *bed) hash.Hash { return b.second.ID }, ""},
		"parent":     {func(b *bed) hash.Hash { return b.first.ID }, ""},
		"root":       {func(b *bed) hash.Hash { return b.second.Root.Hash }, ": root: "},
		"table":      {func(b *bed) hash.Hash { return b.t.Hash() }, ": table People: "},
		"schema":     {func(b *bed) hash.Hash { return b.s.Hash }, ": table People: schema: "},
		"row node":   {func(b *bed) hash.Hash { return b.t.Rows.Hash }, ": table People: rows: "},
		"row leaf":   {func(b *bed) hash.Hash { return b.lastChild(b.t.Rows) }, ": table People: rows: "},
		"index node": {func(b *bed) hash.Hash { return b.t.Indexes[1].Hash }, ": table People: index part: "},
		"index leaf": {func(b *bed) hash.Hash { return b.lastChild(b.t.Indexes[0]) }, ": table People: index name: "},
		"long cell": {func(b *bed) hash.Hash {
			cells := make([]value.Cell, 2)
			v := table.NewView(b.st, b.t, nil)
			if ok, err := v.Get(ctx, b.s.Primary.AppendKey(nil, []value.Cell{value.IntCell(77), value.Null}), cells); err != nil || !ok {
				b.Fatal(ok, err)
			}
			return hash.Hash(cells[1].Bytes())
		}, ": table People: rows: "},
	} {
		for _, how := range []string{"gone", "flipped", "cut"} {
			t.Run(name+" "+how, func(t *testing.T) {
				b := newBed(t)
				h := c.chunk(b)
				data, err := b.st.Get(ctx, h)
				b.must(err)
				data = bytes.Clone(data)
				switch how {
				case "gone":
					data = nil
				case "flipped":
					data[len(data)/2] ^= 4
				case "cut":
					data = data[:len(data)-1]
				}
				b.st.bytes[h] = data
				got, _ := b.check(fsck.Start{Name: "branch main", Commit: b.second.ID}, fsck.Start{Name: "branch main", Commit: b.first.ID})
				where := place + b.second.ID.String() + c.where
				if name == "parent" {
					where = place + b.first.ID.String()
				}
				b.want(got, where)
				if len(got) > 2 {
					t.Errorf("one damage gives %d problems:\n%s", len(got), strings.Join(got, "\n"))
				}
			})
		}
	}
}

// TestLies checks chunks whose hash is right and whose content is not.
func TestLies(t *testing.T) {
	for name, c := range map[string]struct {
		start func(b *bed) fsck.Start
		want  string
	}{
		"height": {func(b *bed) fsck.Start {
			return fsck.Start{Commit: b.commit(b.second.Root, 9, b.second.ID).ID}
		}, "height is 9, its parents ask for 3"},
		"first height": {func(b *bed) fsck.Start { return fsck.Start{Commit: b.commit(tree.Root{}, 2).ID} }, "height is 2"},
		"count of a root": {func(b *bed) fsck.Start {
			// The same tree was found sound with its right count.
			b.check(fsck.Start{Commit: b.second.ID})
			r := b.second.Root
			r.Count++
			return fsck.Start{Root: r}
		}, "root"},
		"count of the rows": {func(b *bed) fsck.Start {
			t := *b.t
			t.Rows.Count++
			return fsck.Start{Root: b.root(&t)}
		}, "table People: rows"},
		"count in a node": {func(b *bed) fsck.Start {
			t := *b.t
			node := b.inner(t.Rows)
			node[12+32*binary.LittleEndian.Uint32(node[4:])]++
			var err error
			t.Rows.Hash, err = b.st.Put(ctx, node)
			b.must(err)
			return fsck.Start{Root: b.root(&t)}
		}, "table People: rows"},
		"level": {func(b *bed) fsck.Start {
			t := *b.t
			t.Rows.Level++
			return fsck.Start{Root: b.root(&t)}
		}, "table People: rows"},
		"an index entry is missing": {func(b *bed) fsck.Start { return fsck.Start{Root: b.root(b.withoutEntry(0, nil))} }, "index name: 1999 entries for 2000 rows"},
		"an index entry is another's": {func(b *bed) fsck.Start {
			cells := []value.Cell{value.BytesCell([]byte("n5x")), value.IntCell(5)}
			return fsck.Start{Root: b.root(b.withoutEntry(0, cells))}
		}, "index name: an entry differs from the row"},
		"an index entry names no row": {func(b *bed) fsck.Start {
			cells := []value.Cell{value.BytesCell([]byte("n5")), value.IntCell(5000)}
			return fsck.Start{Root: b.root(b.withoutEntry(0, cells))}
		}, "index name: an entry names a row that is not there"},
		"a prefix index": {func(b *bed) fsck.Start {
			cells := []value.Cell{value.BytesCell([]byte("n")), value.IntCell(5)}
			return fsck.Start{Root: b.root(b.withoutEntry(1, cells))}
		}, "index part: an entry differs"},
		"indexes that are another table's": {func(b *bed) fsck.Start {
			t := *b.t
			t.Indexes = t.Indexes[:1]
			return fsck.Start{Root: b.root(&t)}
		}, "1 indexes, its schema has 2"},
		"a unique index with equal values": {func(b *bed) fsck.Start {
			return fsck.Start{Root: b.root(b.duplicate())}
		}, "index name: two rows have the same values"},
		"comments of another table": {func(b *bed) fsck.Start {
			b.check(fsck.Start{Commit: b.second.ID})
			r, err := root.Open(b.st, b.second.Root).With(ctx, b.st, root.Change{
				Entry: root.Entry{Kind: root.KindTable, Name: "People", Table: b.t.Hash(), Comments: []byte{0, 9}},
			}, root.Change{Entry: root.Entry{Kind: root.KindTable, Name: "also", Table: b.t.Hash()}})
			b.must(err)
			return fsck.Start{Root: r.Tree()}
		}, "table People: decode comments"},
		"a tag of nothing":       {func(b *bed) fsck.Start { return fsck.Start{Tag: hash.Sum([]byte("x"))} }, "not in the store"},
		"a tag that is a commit": {func(b *bed) fsck.Start { return fsck.Start{Tag: b.second.ID} }, "the chunk is of another kind"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			s := c.start(b)
			s.Name = "here"
			got, _ := b.check(s)
			b.want(got, "here: ", c.want)
		})
	}
}

// withoutEntry is the table with the entry of row 5 taken out of an index, and another one put in when cells are given.
func (b *bed) withoutEntry(n int, cells []value.Cell) *table.Table {
	b.Helper()
	l := b.s.Index[n]
	name := "n5"
	edits := tree.Edits{{Key: l.AppendKey(nil, []value.Cell{value.BytesCell([]byte(name)), value.IntCell(5)})}}
	if cells != nil {
		edits = append(edits, tree.Edit{Key: l.AppendKey(nil, cells), Row: value.AppendTuple(nil, l.Phys, cells)})
		if bytes.Compare(edits[1].Key, edits[0].Key) < 0 {
			edits[0], edits[1] = edits[1], edits[0]
		}
	}
	t := *b.t
	t.Indexes = append([]tree.Root(nil), t.Indexes...)
	var err error
	t.Indexes[n], err = tree.Apply(ctx, b.st, l.Format, t.Indexes[n], &edits)
	b.must(err)
	return &t
}

// duplicate is a table whose rows 5 and 6 have the same name but for case, its indexes as the rows want them.
func (b *bed) duplicate() *table.Table {
	b.Helper()
	row := func(name string) []value.Cell { return []value.Cell{value.IntCell(6), value.BytesCell([]byte(name))} }
	t := *b.t
	t.Indexes = append([]tree.Root(nil), t.Indexes...)
	var err error
	edits := tree.Edits{{Key: b.s.Primary.AppendKey(nil, row("")), Row: value.AppendTuple(nil, b.s.Primary.Phys, row("N5"))}}
	t.Rows, err = tree.Apply(ctx, b.st, b.s.Primary.Format, t.Rows, &edits)
	b.must(err)
	for n, l := range b.s.Index {
		entry := func(name string) tree.Edit {
			cells := []value.Cell{value.BytesCell([]byte(name)), value.IntCell(6)}
			return tree.Edit{Key: l.AppendKey(nil, cells), Row: value.AppendTuple(nil, l.Phys, cells)}
		}
		edits = tree.Edits{entry("N5"), {Key: entry("n6").Key}}
		t.Indexes[n], err = tree.Apply(ctx, b.st, l.Format, t.Indexes[n], &edits)
		b.must(err)
	}
	return &t
}

func TestCanceled(t *testing.T) {
	b := newBed(t)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	c := fsck.New(b.st, func(fsck.Problem) {}, nil)
	if err := c.Check(gone, fsck.Start{Name: "main", Commit: b.second.ID}); err == nil {
		t.Error("a canceled check says that it ended well")
	}
}
