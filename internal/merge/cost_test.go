package merge_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/merge"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// counting counts the chunks read.
type counting struct {
	chunk.Store
	mu   sync.Mutex
	seen map[hash.Hash]bool
}

func (c *counting) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	c.mu.Lock()
	c.seen[h] = true
	c.mu.Unlock()
	return c.Store.Get(ctx, h)
}

// TestCost checks that a merge reads the paths to what changed and no more.
func TestCost(t *testing.T) {
	const rows, edits = 100_000, 500
	st := chunk.NewMem()
	sch := index(keyed(column("id", value.KindInt64, null), column("v", value.KindVarchar, null), column("w", value.KindInt64, null)), "w", true, "w")
	ctx := t.Context()
	o := options()
	l, err := table.NewLoader(ctx, st, table.Empty(compile(t, sch)), table.LoadOptions{FS: o.FS, TempDir: o.TempDir})
	ok(t, err)
	enc := table.NewEncoder(st, compile(t, sch))
	var key, tuple []byte
	for n := range int64(rows) {
		key, tuple, err = enc.Append(ctx, key[:0], tuple[:0], []value.Cell{i(n), s(fmt.Sprintf("row %d", n*7919%rows)), i(n)})
		ok(t, err)
		ok(t, l.Add(ctx, key, tuple))
	}
	base, _, err := l.Finish(ctx)
	ok(t, err)
	changed := func(from int64, v string) *table.Table {
		return edit(t, st, base, func(ctx context.Context, e *table.Editor) {
			for n := range int64(edits) {
				id := from + n
				_, err := e.Update(ctx, []value.Cell{i(id), null, null}, []value.Cell{i(id), s(v), i(id + rows)})
				ok(t, err)
			}
		})
	}
	at := func(x *table.Table) tree.Root { return rootOf(t, st, map[string]*table.Table{"t": x}) }
	b, ours, theirs := at(base), at(changed(20_000, "ours")), at(changed(70_000, "theirs"))
	r := &counting{Store: st, seen: map[hash.Hash]bool{}}
	res, err := merge.Roots(ctx, r, b, ours, theirs, o)
	ok(t, err)
	got := open(t, st, res.Root, "t")
	n := 0
	ok(t, tree.Diff(ctx, st, got.Schema.Primary.Format, base.Rows, got.Rows, nil, nil, func(tree.Change) error { n++; return nil }))
	all := 0
	for _, x := range []struct {
		f tree.Format
		r tree.Root
	}{{base.Schema.Primary.Format, base.Rows}, {base.Schema.Index[0].Format, base.Indexes[0]}, {root.Format(), b}} {
		ok(t, tree.Walk(ctx, st, x.f, x.r, func(hash.Hash, int, tree.Flags) (bool, error) { all++; return true, nil }))
	}
	// Three states of two places of the rows and of four of the index, each a few pages and the nodes above.
	if limit := all / 4; n != 2*edits || len(r.seen) > limit {
		t.Errorf("%d changes by reading %d of %d chunks, limit %d", n, len(r.seen), all, limit)
	}
	if d := dump(t, st, got); d[0] != "0,row 0,0" || d[20_001] != "20001,ours,120001" || d[70_001] != "70001,theirs,170001" {
		t.Errorf("rows %q", []string{d[0], d[20_001], d[70_001]})
	}
}
