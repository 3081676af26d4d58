package diff

import (
	"bytes"
	"context"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
)

// alikeLimit is how many pairs of a dropped and an added table are looked at. Where there are more, tables with other content than before
// are no renamed ones: the cost would be that of the product.
const alikeLimit = 1 << 12

// pairAlike makes one delta of a dropped and an added table that are the same table with other content. Each is paired with the first in
// order.
func pairAlike(ctx context.Context, r chunk.Reader, in []Delta) ([]Delta, error) {
	var dropped, added []int
	for i := range in {
		switch {
		case in[i].Kind == TableDropped && in[i].From.Kind == root.KindTable:
			dropped = append(dropped, i)
		case in[i].Kind == TableAdded && in[i].To.Kind == root.KindTable:
			added = append(added, i)
		}
	}
	if len(dropped) == 0 || len(added) == 0 || len(dropped)*len(added) > alikeLimit {
		return in, nil
	}
	var schemas schema.Cache
	gone := make([]bool, len(in))
	for _, i := range dropped {
		for _, j := range added {
			if in[j].Kind != TableAdded {
				continue
			}
			same, err := sameTable(ctx, r, &schemas, in[i].From, in[j].To)
			if err != nil {
				return nil, err
			}
			if same {
				in[j].Kind, in[j].From = TableRenamed, in[i].From
				gone[i] = true
				break
			}
		}
	}
	out := in[:0]
	for i := range in {
		if !gone[i] {
			out = append(out, in[i])
		}
	}
	return out, nil
}

// sameTable tells whether b is a later state of the table a: it has the same columns and key, and a's first or last row.
func sameTable(ctx context.Context, r chunk.Reader, schemas *schema.Cache, a, b root.Entry) (bool, error) {
	ta, err := table.Open(ctx, r, schemas, a.Table, a.Comments)
	if err != nil {
		return false, err
	}
	tb, err := table.Open(ctx, r, schemas, b.Table, b.Comments)
	if err != nil || len(ta.Schema.Columns) != len(tb.Schema.Columns) || !Readable(ta.Schema, tb.Schema) {
		return false, err
	}
	for i := range ta.Schema.Columns {
		if tb.Schema.ColumnByID(ta.Schema.Columns[i].ID) < 0 {
			return false, nil
		}
	}
	f := tb.Schema.Primary.Format
	from, to := tree.New(r, f, ta.Rows), tree.New(r, f, tb.Rows)
	for _, last := range []bool{false, true} {
		c := from.Cursor()
		move := c.First
		if last {
			move = c.Last
		}
		if err := move(ctx); err != nil {
			return false, err
		}
		if !c.Valid() {
			return false, nil
		}
		row, err := c.Row(ctx, nil)
		if err != nil {
			return false, err
		}
		leaf, i, found, err := to.Get(ctx, c.Key(nil))
		if err != nil {
			return false, err
		}
		if !found {
			continue
		}
		other, err := leaf.AppendRow(ctx, nil, i)
		if err != nil {
			return false, err
		}
		if bytes.Equal(row, other) {
			return true, nil
		}
	}
	return false, nil
}
