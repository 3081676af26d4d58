package remote_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/frame"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/mem"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// striping says how remotes that tests open are striped; nil for not at all.
var striping *pack.Blocks

// striped makes remotes that are opened until the test ends ones with striped packs, with small blocks.
func striped(t *testing.T) {
	striping = &pack.Blocks{Full: 3000, Least: 1}
	t.Cleanup(func() { striping = nil })
}

// openRemote opens a remote as remote.Open does one in a bucket, if the test is one of striped ones.
func openRemote(ctx context.Context, s object.Store) (*sync.Remote, error) {
	r, err := sync.Open(ctx, s)
	if err == nil && striping != nil {
		r.Stripe(*striping)
	}
	return r, err
}

// TestStriped: the laws of remotes hold of those with striped packs, too.
func TestStriped(t *testing.T) {
	striped(t)
	for _, x := range []struct {
		name string
		test func(t *testing.T)
	}{
		{"histories", TestHistories}, {"dying push", TestDyingPush}, {"racing pushes", TestRacingPushes}, {"dying fetch", TestDyingFetch}, {"durable", TestFetchedIsDurable},
		{"some is sound", TestSomeIsSound}, {"collect", TestCollect}, {"collect beside a push", TestCollectBesidePush}, {"dying collect", TestDyingCollect},
		{"schedules", TestSchedules}, {"mend", TestMend}, {"mend from damaged", TestMendFromDamaged},
	} {
		t.Run(x.name, x.test)
	}
}

// packOf is the object of a pack of a remote, and its directory.
func packOf(t tb, s object.Store, p sync.Pack) (name string, data []byte, dir *pack.Directory) {
	t.Helper()
	name, data = "packs/"+p.Digest.Full()+pack.Ext, make([]byte, p.Size)
	must(t, s.GetRange(ctx, name, data, 0))
	dir, err := pack.ReadDirectory(data, p.Size, p.Digest, p.Chunks)
	must(t, err)
	return name, data, dir
}

// blocksOf is how many blocks the packs of a remote have, and pages in them.
func blocksOf(t tb, s object.Store) (blocks, pages int) {
	t.Helper()
	r, err := sync.Open(ctx, s)
	must(t, err)
	refs, err := r.Refs(ctx)
	must(t, err)
	for _, x := range refs {
		packs, err := r.Packs(ctx, x.Target)
		must(t, err)
		for _, p := range packs {
			_, _, dir := packOf(t, s, p)
			for _, b := range dir.Blocks() {
				blocks, pages = blocks+1, pages+b.Pages
			}
		}
	}
	return blocks, pages
}

// wide is a table whose pages have column groups, cells out of line, a column that is mostly absent, and NULLs; without a key if asked.
func wide(key bool) *schema.Schema {
	s := &schema.Schema{Target: 16 << 10}
	text := value.Type{Kind: value.KindVarchar, Length: 9000, Collation: value.CollationUtf8mb40900Bin}
	whole := value.Type{Kind: value.KindInt64}
	for _, c := range []schema.Column{
		{Name: "id", Type: whole}, {Name: "price", Type: value.Type{Kind: value.KindFloat64}, Nullable: true}, {Name: "label", Type: text, Nullable: true},
		{Name: "long", Type: text, Nullable: true}, {Name: "seldom", Type: whole, Nullable: true}, {Name: "broad", Type: text},
	} {
		c.ID = schema.AssignID(c.Name, c.Type, s.Columns, nil)
		s.Columns = append(s.Columns, c)
	}
	if key {
		s.PrimaryKey = []schema.IndexColumn{{Column: s.Columns[0].ID}}
	}
	return s
}

// filled is a machine with rows of such tables, and the remote to which it has pushed them.
func filled(t tb, rng *rand.Rand, rows int) (m *machine, base *mem.Store, at *sync.Remote, main sync.Ref) {
	t.Helper()
	m, base = newMachine(t, "ada"), &mem.Store{}
	m.fill(t, rng, rows)
	_, err := m.push(mustOpen(t, base), false, false, "main")
	must(t, err)
	at = mustOpen(t, base)
	refs, err := at.Refs(ctx)
	must(t, err)
	return m, base, at, refs[sync.Heads+"main"]
}

// withNothing is a store in which nothing is, so that it has all from elsewhere.
func withNothing(t tb, src pack.Elsewhere) *pack.Store {
	t.Helper()
	fs := vfs.NewMem()
	must(t, fs.MkdirAll("/empty"))
	must(t, pack.Create(ctx, fs, "/empty"))
	st, err := pack.Open(ctx, fs, "/empty", pack.Options{})
	must(t, err)
	st.SetElsewhere(src)
	return st
}

// fill commits rows of such tables.
func (m *machine) fill(t tb, rng *rand.Rand, rows int) {
	t.Helper()
	tx, err := m.Begin(ctx, "main")
	must(t, err)
	for _, name := range []string{"keyed", "keyless"} {
		must(t, tx.CreateTable(ctx, name, wide(name == "keyed")))
		e, err := tx.Editor(ctx, name)
		must(t, err)
		for i := range rows {
			cells := []value.Cell{value.IntCell(int64(i)), value.FloatCell(float64(rng.IntN(1000)) / 4), value.BytesCell(fmt.Appendf(nil, "label %d", rng.IntN(9))),
				value.Null, value.Null, value.BytesCell([]byte(strings.Repeat(fmt.Sprint(rng.Uint64()), 1+rng.IntN(10))))}
			switch rng.IntN(30) {
			case 0:
				cells[3] = value.BytesCell(long(rng))
			case 1:
				cells[1], cells[2] = value.Null, value.Null
			case 2:
				cells[3] = value.BytesCell([]byte("short"))
			}
			if i%(rows/2+1) > rows/2-5 {
				cells[4] = value.IntCell(rng.Int64())
			}
			must(t, e.Insert(ctx, cells))
		}
	}
	must(t, tx.Commit(ctx))
	_, err = m.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "rows", Author: signature(m.name), AddNew: true})
	must(t, err)
}

// view is a table of the branch main.
func (m *machine) view(t tb, name string) *table.View {
	t.Helper()
	tx, err := m.Begin(ctx, "main")
	must(t, err)
	defer tx.Rollback()
	v, _, ok, err := tx.Table(ctx, name)
	must(t, err)
	if !ok || v.Overlay().Len() > 0 {
		t.Fatalf("the table %s is not there, or has edits", name)
	}
	return v
}

// elsewhere is a source that counts the pages that it gives without all of their columns.
type elsewhere struct {
	*sync.Source
	pages int
}

func (e *elsewhere) Projected(ctx context.Context, h chunkHash, ids []uint64) ([]byte, error) {
	data, err := e.Source.Projected(ctx, h, ids)
	if data != nil {
		e.pages++
	}
	return data, err
}

// framed reads some columns of a table as text.
func framed(v *table.View, columns []string, r *frame.Range) (string, error) {
	scan, err := frame.NewScan(ctx, v, frame.ScanOptions{Columns: columns, Range: r, BatchRows: 100})
	if err != nil {
		return "", err
	}
	defer scan.Close()
	var b strings.Builder
	for {
		batch, err := scan.Next(ctx)
		if err != nil || batch == nil {
			return b.String(), err
		}
		fmt.Fprintln(&b, batch)
		batch.Release()
	}
}

func frameOf(t tb, v *table.View, columns []string, r *frame.Range) string {
	t.Helper()
	text, err := framed(v, columns, r)
	must(t, err)
	return text
}

// TestColumnsApart reads some columns of tables that are in striped packs of a remote only: they are what a clone has, and nothing but these columns is read of
// pages in blocks, whatever the tables are like.
func TestColumnsApart(t *testing.T) {
	striped(t)
	rng := rand.New(rand.NewPCG(8, 8))
	m, base, _, main := filled(t, rng, 3000)
	if blocks, pages := blocksOf(t, base); blocks < 4 || pages < 20 {
		t.Fatalf("%d pages in %d blocks", pages, blocks)
	}
	// The other database knows nothing but what the remote has.
	read := func(t *rapid.T, cache *sync.Cache) {
		src := &elsewhere{Source: &sync.Source{Remote: mustOpen(t, base), Cache: cache}}
		must(t, src.Add(ctx, main.Target))
		st := withNothing(t, src)
		name := rapid.SampledFrom([]string{"keyed", "keyless"}).Draw(t, "table")
		mine := m.view(t, name)
		theirs := table.NewView(st, mine.Table, nil)
		all := []string{"id", "price", "label", "long", "seldom", "broad"}
		columns := rapid.SliceOfNDistinct(rapid.SampledFrom(all), 0, len(all), rapid.ID).Draw(t, "columns")
		var some *frame.Range
		if rapid.Bool().Draw(t, "range") {
			from := rapid.Uint64Range(0, 2999).Draw(t, "from")
			some = &frame.Range{From: from, To: from + rapid.Uint64Range(1, 3000).Draw(t, "rows")}
		}
		if got, want := frameOf(t, theirs, columns, some), frameOf(t, mine, columns, some); got != want {
			t.Fatalf("columns %q of %s differ from those here:\n%s\n%s", columns, name, got, want)
		}
		if len(columns) < len(all) && src.pages == 0 {
			t.Fatalf("columns %q of %s were read with all others", columns, name)
		}
		// What was read so is in nobody's way.
		if got, want := frameOf(t, theirs, nil, some), frameOf(t, mine, nil, some); got != want {
			t.Fatalf("all columns of %s differ after columns %q were read", name, columns)
		}
		must(t, st.Close(ctx))
	}
	t.Run("without a cache", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) { read(t, nil) })
	})
	t.Run("with a cache", func(t *testing.T) {
		fs := vfs.NewMem()
		rapid.Check(t, func(t *rapid.T) {
			read(t, &sync.Cache{FS: fs, Dir: "/cache", Most: rapid.Int64Range(1<<10, 1<<20).Draw(t, "most")})
		})
	})
}

// TestStripedSource reads all chunks of a striped remote one by one.
func TestStripedSource(t *testing.T) {
	striped(t)
	m, _, r, main := filled(t, rand.New(rand.NewPCG(8, 9)), 1000)
	src := &sync.Source{Remote: r}
	must(t, src.Add(ctx, main.Target))
	for _, h := range everything(t, m, main.Commit) {
		rec, err := src.Record(ctx, h)
		must(t, err)
		got, data, err := pack.DecodeRecord(rec)
		must(t, err)
		if want, err := m.Store().Get(ctx, h); err != nil || got != h || !slices.Equal(data, want) {
			t.Fatalf("chunk %s is another: %v", h, err)
		}
		found, err := src.Beginning(ctx, h.Full()[:20], chunk.Kind(data[0]))
		if err != nil || len(found) != 1 || found[0] != h {
			t.Fatalf("found %v, %v, want %s", found, err, h)
		}
	}
}

// TestStripedDamage flips a bit anywhere in a striped pack: whoever reads columns, chunks or all of it is told, and none gets anything else than there was.
func TestStripedDamage(t *testing.T) {
	striped(t)
	rng := rand.New(rand.NewPCG(9, 9))
	m, base, r, main := filled(t, rng, 400)
	packs, err := r.Packs(ctx, main.Target)
	must(t, err)
	name, good, dir := packOf(t, base, packs[0])
	if !dir.Striped() {
		t.Fatal("the pack is not striped")
	}
	mine := m.view(t, "keyed")
	want := frameOf(t, mine, []string{"price"}, nil)
	ends := []int64{}
	for _, b := range dir.Blocks() { // in each stripe
		for i := range b.Stripes {
			ends = append(ends, b.Off+b.Start(i)+rng.Int64N(int64(b.Stripes[i].Len)))
		}
	}
	for range 20 {
		ends = append(ends, rng.Int64N(int64(len(good))))
	}
	told := 0
	for _, off := range ends {
		bad := slices.Clone(good)
		bad[off] ^= 1 << rng.IntN(8)
		must(t, base.Delete(ctx, name))
		must(t, base.Put(ctx, name, object.Bytes(bad), object.IfAbsent))
		err := clone(mustOpen(t, base), vfs.NewMem(), map[string]sync.Ref{main.Name: main})
		if off >= 16 && !errs.Is(err, errs.Corrupt) && !errs.Is(err, errs.TooNew) {
			t.Errorf("byte %d: a clone gives %v", off, err)
		}
		src := &sync.Source{Remote: mustOpen(t, base)}
		must(t, src.Add(ctx, main.Target))
		st := withNothing(t, src)
		switch text, err := framed(table.NewView(st, mine.Table, nil), []string{"price"}, nil); {
		case err != nil:
			if told++; !errs.Is(err, errs.Corrupt) && !errs.Is(err, errs.TooNew) {
				t.Errorf("byte %d: the column gives %v", off, err)
			}
		case text != want:
			t.Errorf("byte %d: the column is another", off)
		}
		must(t, st.Close(ctx))
	}
	if told == 0 || told == len(ends) {
		t.Errorf("%d of %d damages met who reads one column", told, len(ends))
	}
}
