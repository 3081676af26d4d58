package tree

import (
	"context"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
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
		nd, err := viewNode(ctx, t.r, h, level)
		if err != nil {
			return nil, 0, false, err
		}
		c, _ := nd.seek(key)
		if c == nd.n {
			return nil, 0, false, nil
		}
		h = nd.hash(c)
	}
	data, err := t.r.Get(ctx, h)
	if err != nil {
		return nil, 0, false, unread("leaf", h, err)
	}
	if touch(data) == 0 {
		return nil, 0, false, errs.New(errs.Corrupt, "read leaf %s: it is empty", h)
	}
	leaf, err = t.f.Open(t.r, data)
	if err != nil {
		return nil, 0, false, unread("leaf", h, err)
	}
	if i, found = leaf.Search(key); !found {
		return nil, 0, false, nil
	}
	return leaf, i, true, nil
}

// touch reads a byte of every cache line of a leaf that is about to be searched. These reads wait for memory side by side, where those
// of the search would wait one after the other. The result is to be used, lest the reads be left out.
func touch(data []byte) (sum byte) {
	const line = 64
	if len(data) > 8<<10 {
		return 1 // a search sees a small part of it
	}
	for i := 0; i < len(data); i += line {
		sum |= data[i]
	}
	return sum
}

// OpenLeaf fetches and opens the leaf named h.
func OpenLeaf(ctx context.Context, r chunk.Reader, f Format, h hash.Hash) (Leaf, error) {
	leaf, _, err := loadLeafData(ctx, r, f, h)
	return leaf, err
}

// loadLeafData is OpenLeaf that also gives the chunk.
func loadLeafData(ctx context.Context, r chunk.Reader, f Format, h hash.Hash) (Leaf, []byte, error) {
	data, err := r.Get(ctx, h)
	if err != nil {
		return nil, nil, unread("leaf", h, err)
	}
	leaf, err := f.Open(r, data)
	if err != nil {
		return nil, nil, unread("leaf", h, err)
	}
	return leaf, data, nil
}
