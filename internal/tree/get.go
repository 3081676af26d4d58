package tree

import (
	"context"
	"fmt"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
)

// Tree is a handle to one tree: where its chunks are, how its leaves are read, and its root. It is a small immutable value that
// many goroutines may use.
type Tree struct {
	r    chunk.Reader
	f    Format
	root Root
}

// New is the tree with this root. It reads nothing.
func New(r chunk.Reader, f Format, root Root) Tree { return Tree{r: r, f: f, root: root} }

// Root names the tree.
func (t Tree) Root() Root { return t.root }

// Count is the number of rows.
func (t Tree) Count() uint64 { return t.root.Count }

// IsEmpty tells whether the tree has no rows.
func (r Root) IsEmpty() bool { return r.Count == 0 }

// Get finds the row with this key: row i of leaf. found is false, and leaf nil, when there is none.
func (t Tree) Get(ctx context.Context, key []byte) (leaf Leaf, i int, found bool, err error) {
	if t.root.IsEmpty() {
		return nil, 0, false, nil
	}
	h := t.root.Hash
	for level := t.root.Level; level > 0; level-- {
		nd, err := loadNode(ctx, t.r, h, level)
		if err != nil {
			return nil, 0, false, err
		}
		c, _ := nd.search(key)
		if c == nd.n {
			return nil, 0, false, nil
		}
		h = nd.hash(c)
	}
	leaf, err = loadLeaf(ctx, t.r, t.f, h)
	if err != nil {
		return nil, 0, false, err
	}
	if i, found = leaf.Search(key); !found {
		return nil, 0, false, nil
	}
	return leaf, i, true, nil
}

// loadLeaf fetches and opens the leaf named h.
func loadLeaf(ctx context.Context, r chunk.Reader, f Format, h hash.Hash) (Leaf, error) {
	leaf, _, err := loadLeafData(ctx, r, f, h)
	return leaf, err
}

// loadLeafData is loadLeaf that also gives the chunk.
func loadLeafData(ctx context.Context, r chunk.Reader, f Format, h hash.Hash) (Leaf, []byte, error) {
	data, err := r.Get(ctx, h)
	if err != nil {
		return nil, nil, fmt.Errorf("read leaf %s: %w", h, err)
	}
	leaf, err := f.Open(r, data)
	if err != nil {
		return nil, nil, fmt.Errorf("read leaf %s: %w", h, err)
	}
	return leaf, data, nil
}
