package lineage

import (
	"bytes"
	"context"
	"slices"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// LastRowChanges are LastChanges of one row of a table with a primary key: the commits that gave the row with that key the content that it
// has. A column that came later and has in the row what rows from before it have is no change; another primary key of the table counts as a change of every row.
// ok is false when the commit has no such row.
func LastRowChanges(ctx context.Context, rd chunk.Reader, from history.CommitID, name string, key []byte) (turns []Turn, ok bool, err error) {
	f := &rowFollower{rd: rd, key: key, seen: map[hash.Hash]*rowState{}}
	w := &backward{rd: rd, compare: f.compare}
	p, ok, err := w.at(ctx, from, name)
	if err != nil || !ok {
		return nil, false, err
	}
	now, err := f.read(ctx, p.table.Table)
	if err != nil || now.cells == nil {
		return nil, false, err
	}
	return w.lastChanges(ctx, from, name)
}

// rowFollower compares a row in versions of a table.
type rowFollower struct {
	rd      chunk.Reader
	key     []byte
	schemas schema.Cache
	seen    map[hash.Hash]*rowState
}

// rowState is a row in a version of a table.
type rowState struct {
	schema *schema.Compiled
	cells  []value.Cell // nil when there is no such row
}

func (f *rowFollower) read(ctx context.Context, h hash.Hash) (*rowState, error) {
	if s := f.seen[h]; s != nil {
		return s, nil
	}
	t, err := table.Open(ctx, f.rd, &f.schemas, h, nil)
	if err != nil {
		return nil, err
	}
	s := &rowState{schema: t.Schema}
	if !t.Schema.Keyless() {
		cells := make([]value.Cell, len(t.Schema.Primary.Phys))
		ok, err := table.NewView(f.rd, t, nil).Get(ctx, f.key, cells)
		if err != nil {
			return nil, err
		}
		if ok {
			for i := range cells {
				cells[i] = cells[i].Clone()
			}
			s.cells = cells
		}
	}
	if len(f.seen) >= seenStates {
		clear(f.seen)
	}
	f.seen[h] = s
	return s, nil
}

// seenStates bounds the states that are remembered: each is asked for as the newer and as the older side of a comparison.
const seenStates = 64

// compare implements backward.compare.
func (f *rowFollower) compare(ctx context.Context, now, was hash.Hash) (equal, there bool, err error) {
	a, err := f.read(ctx, now)
	if err != nil {
		return false, false, err
	}
	b, err := f.read(ctx, was)
	if err != nil || a.cells == nil || b.cells == nil {
		return false, false, err
	}
	if !slices.Equal(a.schema.PrimaryKey, b.schema.PrimaryKey) {
		return false, true, nil
	}
	for i := range a.schema.Columns {
		j := b.schema.ColumnByID(a.schema.Columns[i].ID)
		switch {
		case j < 0 && a.cells[i].Equal(a.schema.Columns[i].Absent):
		case j < 0, !a.schema.Columns[i].Type.Equal(b.schema.Columns[j].Type):
			return false, true, nil
		default:
			if equal, err := f.sameCell(ctx, a.cells[i], b.cells[j]); err != nil || !equal {
				return false, true, err
			}
		}
	}
	for j := range b.schema.Columns {
		if a.schema.ColumnByID(b.schema.Columns[j].ID) < 0 && !b.cells[j].IsNull() {
			return false, true, nil
		}
	}
	return true, true, nil
}

// sameCell tells whether cells of one type are equal to the last byte.
func (f *rowFollower) sameCell(ctx context.Context, a, b value.Cell) (bool, error) {
	if a.IsAddr() && b.IsAddr() {
		return bytes.Equal(a.Bytes(), b.Bytes()), nil
	}
	a, err := table.Resolve(ctx, f.rd, a)
	if err != nil {
		return false, err
	}
	b, err = table.Resolve(ctx, f.rd, b)
	return err == nil && a.Equal(b), err
}
