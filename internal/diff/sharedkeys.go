package diff

import (
	"bytes"
	"context"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
)

// KeyedRows are rows of a table that has a primary key and no overlay: all of them, or those that Kept names.
type KeyedRows struct {
	View *table.View
	Kept []bool // by the rows' place in the order of the key; nil for all
}

// ComparableKeys tells whether two tables have primary keys of the same columns, by name and type, so that equal keys may mean one thing.
func ComparableKeys(a, b *table.Table) bool {
	x, y := a.Schema, b.Schema
	if len(x.PrimaryKey) == 0 || len(x.PrimaryKey) != len(y.PrimaryKey) {
		return false
	}
	for i := range x.PrimaryKey {
		k, l := x.PrimaryKey[i], y.PrimaryKey[i]
		c, d := &x.Columns[x.ColumnByID(k.Column)], &y.Columns[y.ColumnByID(l.Column)]
		if !strings.EqualFold(c.Name, d.Name) || !c.Type.Equal(d.Type) || k.Prefix != l.Prefix || k.Desc != l.Desc {
			return false
		}
	}
	return true
}

// SharedKeys counts the keys that two sets of rows, which may be of different databases, have in common. Keys must be comparable. It
// leaps from each key to the next that can be common, so that ranges that only one side has are not read; of two states of one table it
// reads what differs.
func SharedKeys(ctx context.Context, a, b KeyedRows) (uint64, error) {
	if a.Kept == nil && b.Kept == nil && a.View.Table.Rows.Hash == b.View.Table.Rows.Hash {
		return a.View.Count(), nil
	}
	if a.Kept == nil && b.Kept == nil && a.View.Reader() == b.View.Reader() && a.View.Schema().Hash == b.View.Schema().Hash && alike(a.View, b.View) {
		return sharedByDiff(ctx, a.View, b.View)
	}
	x, y := keyCursor{rows: a, c: a.View.Tree(table.RowsTree).Cursor()}, keyCursor{rows: b, c: b.View.Tree(table.RowsTree).Cursor()}
	if err := x.first(ctx); err != nil {
		return 0, err
	}
	if err := y.first(ctx); err != nil {
		return 0, err
	}
	var n uint64
	for x.c.Valid() && y.c.Valid() {
		switch c := bytes.Compare(x.key, y.key); {
		case c < 0:
			if err := x.reach(ctx, y.key); err != nil {
				return 0, err
			}
		case c > 0:
			if err := y.reach(ctx, x.key); err != nil {
				return 0, err
			}
		default:
			if x.kept() && y.kept() {
				n++
			}
			if err := x.next(ctx); err != nil {
				return 0, err
			}
			if err := y.next(ctx); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// alike tells whether two states have so nearly as many rows that one has probably come of the other.
func alike(a, b *table.View) bool {
	n, m := a.Count(), b.Count()
	return max(n, m)-min(n, m) <= min(n, m)/4
}

// sharedByDiff counts the keys of a that b has as well: all but those of removed rows.
func sharedByDiff(ctx context.Context, a, b *table.View) (uint64, error) {
	p, err := NewPair(a.Reader(), a.Table, b.Table)
	if err != nil {
		return 0, err
	}
	n := a.Count()
	err = p.Each(ctx, Options{}, func(c Change) error {
		if c.Type == Removed {
			n--
		}
		return nil
	})
	return n, err
}

// nearby is how many rows a keyCursor looks at before it searches the tree.
const nearby = 8

// keyCursor walks through keys.
type keyCursor struct {
	rows KeyedRows
	c    *tree.Cursor
	key  []byte // where it stands
	leaf tree.Leaf
}

func (k *keyCursor) first(ctx context.Context) error { return k.stand(ctx, k.c.First(ctx)) }

func (k *keyCursor) next(ctx context.Context) error { return k.stand(ctx, k.c.Next(ctx)) }

// stand reads the key at which the cursor has come to stand.
func (k *keyCursor) stand(ctx context.Context, err error) error {
	if err != nil || !k.c.Valid() {
		return err
	}
	if k.leaf != k.c.Leaf() {
		k.leaf = k.c.Leaf()
		if ctx.Err() != nil {
			return errs.With(errs.Canceled, ctx.Err())
		}
	}
	k.key = k.c.Key(k.key[:0])
	return nil
}

// reach goes to the first key that is not below to.
func (k *keyCursor) reach(ctx context.Context, to []byte) error {
	for range nearby {
		if err := k.next(ctx); err != nil || !k.c.Valid() || bytes.Compare(k.key, to) >= 0 {
			return err
		}
	}
	return k.stand(ctx, k.c.Seek(ctx, to))
}

// kept tells whether the row is one of the set.
func (k *keyCursor) kept() bool {
	if k.rows.Kept == nil {
		return true
	}
	n := k.c.Ordinal()
	return n < uint64(len(k.rows.Kept)) && k.rows.Kept[n]
}
