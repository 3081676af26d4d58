package tree

import (
	"context"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// Cursor is a position among the rows of a tree, or beyond them. It belongs to one goroutine. It starts beyond; after an error it
// is beyond as well.
type Cursor struct {
	t    Tree
	path path
	leaf Leaf // nil when beyond
	i    int
	skip func(parent hash.Hash, child int) bool
}

// Cursor is a new cursor over t.
func (t Tree) Cursor() *Cursor { return &Cursor{t: t, path: path{r: t.r, root: t.root}} }

// Valid tells whether the cursor is at a row. The methods that read a row demand it.
func (c *Cursor) Valid() bool { return c.leaf != nil }

// Leaf is the leaf that holds the row.
func (c *Cursor) Leaf() Leaf { return c.leaf }

// Index is the row's place in its leaf.
func (c *Cursor) Index() int { return c.i }

// Key appends the row's key to dst.
func (c *Cursor) Key(dst []byte) []byte { return c.leaf.AppendKey(dst, c.i) }

// Row appends the row's payload to dst.
func (c *Cursor) Row(ctx context.Context, dst []byte) ([]byte, error) {
	return c.leaf.AppendRow(ctx, dst, c.i)
}

// Ordinal is the number of rows ahead of the row.
func (c *Cursor) Ordinal() uint64 { return c.path.rowsBefore() + uint64(c.i) }

// First goes to the first row.
func (c *Cursor) First(ctx context.Context) error { return c.edge(ctx, firstChild, 0) }

// Last goes to the last row.
func (c *Cursor) Last(ctx context.Context) error { return c.edge(ctx, lastChild, -1) }

func (c *Cursor) edge(ctx context.Context, pick func(*node) int, i int) error {
	c.leaf = nil
	if c.t.root.IsEmpty() {
		return nil
	}
	if err := c.path.top(ctx); err != nil {
		return err
	}
	if err := c.path.descend(ctx, pick); err != nil {
		return err
	}
	return c.load(ctx, i)
}

// load opens the leaf that the path leads to, at row i, or at its last row when i is -1.
func (c *Cursor) load(ctx context.Context, i int) error {
	h, count := c.path.target()
	leaf, err := OpenLeaf(ctx, c.t.r, c.t.f, h)
	if err != nil {
		return err
	}
	n := leaf.Len()
	if uint64(n) != count || n == 0 {
		return errs.New(errs.Corrupt, "read leaf %s: %d rows where %d are due", h, n, count)
	}
	if i < 0 {
		i = n - 1
	}
	c.leaf, c.i = leaf, i
	return nil
}

// Seek goes to the first row whose key is not below key, or beyond.
func (c *Cursor) Seek(ctx context.Context, key []byte) error {
	c.leaf = nil
	if c.t.root.IsEmpty() {
		return nil
	}
	if err := c.path.seek(ctx, key); err != nil {
		return err
	}
	if err := c.load(ctx, 0); err != nil {
		return err
	}
	if c.i, _ = c.leaf.Search(key); c.i == c.leaf.Len() {
		return c.following(ctx)
	}
	return nil
}

// SeekOrdinal goes to the row that has n rows ahead of it, or beyond.
func (c *Cursor) SeekOrdinal(ctx context.Context, n uint64) error {
	c.leaf = nil
	if n >= c.t.root.Count {
		return nil
	}
	if err := c.path.top(ctx); err != nil {
		return err
	}
	left := n
	if err := c.path.descend(ctx, ordinal(&left)); err != nil {
		return err
	}
	if left >= c.path.chunk().count {
		return errs.New(errs.Corrupt, "seek row %d: the tree's counts do not add up", n)
	}
	return c.load(ctx, int(left))
}

// ordinal picks the child that holds row *left of a node, and lowers *left to that row's number below the child.
func ordinal(left *uint64) func(nd *node) int {
	return func(nd *node) int {
		for i := range nd.n - 1 {
			k := nd.count(i)
			if *left < k {
				return i
			}
			*left -= k
		}
		return nd.n - 1
	}
}

// Next goes to the following row, or beyond.
func (c *Cursor) Next(ctx context.Context) error {
	if c.i+1 < c.leaf.Len() {
		c.i++
		return nil
	}
	return c.following(ctx)
}

// following is NextLeaf that skips nothing.
func (c *Cursor) following(ctx context.Context) error {
	c.leaf = nil
	ok, err := c.path.next(ctx)
	if err != nil || !ok {
		return err
	}
	return c.load(ctx, 0)
}

// SkipLeaves makes NextLeaf and PrevLeaf pass over the leaves for which fn is true, without reading them; nil ends that. fn is asked
// about child number child of the node parent. Other moves skip nothing.
func (c *Cursor) SkipLeaves(fn func(parent hash.Hash, child int) bool) { c.skip = fn }

// Parent is the node above the leaf that holds the row, which of its children the leaf is, and how many there are; ok is false when
// the leaf is the root.
func (c *Cursor) Parent() (parent hash.Hash, child, children int, ok bool) { return c.path.parent() }

// NextLeaf goes to the first row of the following leaf that is not skipped, or beyond.
func (c *Cursor) NextLeaf(ctx context.Context) error { return c.turn(ctx, c.path.next, 0) }

// turn moves on until a leaf is not skipped, and loads it at row i.
func (c *Cursor) turn(ctx context.Context, move func(context.Context) (bool, error), i int) error {
	c.leaf = nil
	for {
		if ok, err := move(ctx); err != nil || !ok {
			return err
		}
		if c.skip != nil {
			if parent, child, _, ok := c.path.parent(); ok && c.skip(parent, child) {
				continue
			}
		}
		return c.load(ctx, i)
	}
}

// Prev goes to the preceding row, or beyond.
func (c *Cursor) Prev(ctx context.Context) error {
	if c.i > 0 {
		c.i--
		return nil
	}
	c.leaf = nil
	ok, err := c.path.prev(ctx)
	if err != nil || !ok {
		return err
	}
	return c.load(ctx, -1)
}

// PrevLeaf goes to the last row of the preceding leaf that is not skipped, or beyond.
func (c *Cursor) PrevLeaf(ctx context.Context) error { return c.turn(ctx, c.path.prev, -1) }
