package diff_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// counting counts the chunks read.
type counting struct {
	chunk.Reader
	n    int
	seen map[hash.Hash]bool
}

func (c *counting) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	if c.seen == nil {
		c.seen = map[hash.Hash]bool{}
	}
	if !c.seen[h] {
		c.seen[h] = true
		c.n++
	}
	return c.Reader.Get(ctx, h)
}

// TestCost checks that a diff reads the paths to what changed and no more.
func TestCost(t *testing.T) {
	const rows, edits = 200_000, 1000
	st := chunk.NewMem()
	sch := keyed(column("id", value.KindInt64, null), column("v", value.KindVarchar, null), column("w", value.KindInt64, null))
	ctx := t.Context()
	l, err := table.NewLoader(ctx, st, table.Empty(compile(t, sch)), table.LoadOptions{})
	ok(t, err)
	enc := table.NewEncoder(st, compile(t, sch))
	var key, tuple []byte
	for n := range int64(rows) {
		key, tuple, err = enc.Append(ctx, key[:0], tuple[:0], row(i(n), s(fmt.Sprintf("row %d", n*7919%rows)), i(n*n)))
		ok(t, err)
		ok(t, l.Add(ctx, key, tuple))
	}
	a, _, err := l.Finish(ctx)
	ok(t, err)
	near := edit(t, st, a, func(ctx context.Context, e *table.Editor) {
		for n := range int64(edits) {
			id := 50_000 + n
			_, err := e.Update(ctx, row(i(id), null, null), row(i(id), s("changed"), i(n)))
			ok(t, err)
		}
	})
	count := func(a, b *table.Table) (changes, chunks int) {
		r := &counting{Reader: st}
		p, err := diff.NewPair(r, a, b)
		ok(t, err)
		for _, err := range p.Rows(ctx, diff.Options{}) {
			ok(t, err)
			changes++
		}
		return changes, r.n
	}
	all := 0
	ok(t, tree.Walk(ctx, st, a.Schema.Primary.Format, a.Rows, func(hash.Hash, int, tree.Flags) (bool, error) { all++; return true, nil }))
	n, chunks := count(a, near)
	// 1,000 neighbouring rows lie in a handful of pages: two sides of about rows/page pages and the nodes above.
	limit := 2 * (all*edits/rows + 3*int(a.Rows.Level+1))
	if n != edits || chunks > limit {
		t.Errorf("%d changes by reading %d of %d chunks, limit %d", n, chunks, all, limit)
	}
	wide := sch.Clone()
	wide.Columns = append(wide.Columns, column("x", value.KindInt64, i(1)))
	b := &table.Table{Schema: compile(t, wide), Rows: near.Rows}
	if n, c := count(a, b); n != edits || c > limit {
		t.Errorf("with an added column: %d changes by reading %d of %d chunks, limit %d", n, c, all, limit)
	}
	if n, c := count(a, &table.Table{Schema: b.Schema, Rows: a.Rows}); n != 0 || c > 0 {
		t.Errorf("an added column alone: %d changes, %d chunks", n, c)
	}
}
