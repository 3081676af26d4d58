package page

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/stripe"
)

// projecting gives pages without some of their columns.
type projecting struct{ chunk.Reader }

func (projecting) Projects() {}

// projected is a page with the columns of these ids only, by way of a block.
func projected(t *testing.T, data []byte, ids ...uint64) []byte {
	t.Helper()
	var b stripe.Builder
	if !b.Add(hash.Sum(data), data) {
		t.Fatalf("a page does not fit into a block: %x", data)
	}
	block, bytes := b.Finish(0, nil)
	heads, err := stripe.ParseHeads(&block, bytes[:block.Stripes[0].Len])
	if err != nil {
		t.Fatal(err)
	}
	return heads.AppendProjected(nil, 0, ids, func(id uint64) []byte {
		k := block.Find(id)
		return bytes[block.Start(k):][:block.Stripes[k].Len]
	})
}

// A page that was read with some of its columns has these as they are, and says of the others that it was read without them.
func TestProjectedPage(t *testing.T) {
	ctx := context.Background()
	f := mixed(t)
	m, st := &model{f: f}, chunk.NewMem()
	mixedRows(m, 200, rand.New(rand.NewPCG(3, 3)), false)
	data := m.build(t, st, m.rows)
	whole := m.open(t, st, data)
	if !stripe.Fits(data) {
		t.Fatal("the page does not fit into a block")
	}
	part := projected(t, data, 3, 6, 99)
	if _, err := f.OpenPage(st, part); !errs.Is(err, errs.Corrupt) {
		t.Errorf("as a chunk it gives %v", err)
	}
	p, err := f.OpenPage(projecting{st}, part)
	if err != nil {
		t.Fatal(err)
	}
	columns := func(p *Page, cols ...int) (string, error) {
		var list []BatchColumn
		for _, c := range cols {
			list = append(list, BatchColumn{Column: c, Name: "c", Nullable: true})
		}
		b, err := f.NewBatcher(memory.DefaultAllocator, list, 100, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Release()
		if err := b.Append(ctx, p, 0, p.Len()); err != nil {
			return "", err
		}
		rec := b.Record()
		defer rec.Release()
		text, err := rec.MarshalJSON()
		return string(text), err
	}
	want, err := columns(whole, 2, 5)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := columns(p, 2, 5); err != nil || got != want {
		t.Errorf("%v\n%s, want\n%s", err, got, want)
	}
	for c := range f.cols {
		if _, err := columns(p, c); (c != 2 && c != 5) != errs.Is(err, errs.Internal) {
			t.Errorf("column %d: %v", c, err)
		}
	}
	for name, fn := range map[string]func(){"search": func() { p.Search([]byte{1}) }, "key": func() { p.AppendKey(nil, 0) }, "cell": func() { _, _ = p.Cell(ctx, 3, 0) }} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s of a column with which it was not read gives something", name)
				}
			}()
			fn()
		}()
	}
}
