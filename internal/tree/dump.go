package tree

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
)

// Dump writes the shape of a tree to w, one chunk a line, parents first, for tests and inspection. Keys are quoted as Go strings.
func Dump(ctx context.Context, w io.Writer, r chunk.Reader, f Format, root Root) error {
	if root.IsEmpty() {
		_, err := fmt.Fprintln(w, "empty")
		return err
	}
	return dump(ctx, w, r, f, root.Hash, root.Level, 0)
}

func dump(ctx context.Context, w io.Writer, r chunk.Reader, f Format, h hash.Hash, level uint8, depth int) error {
	indent := strings.Repeat("  ", depth)
	if level == 0 {
		leaf, err := OpenLeaf(ctx, r, f, h)
		if err != nil {
			return err
		}
		n := leaf.Len()
		_, err = fmt.Fprintf(w, "%sleaf %.7s rows %d %q .. %q\n", indent, h, n, leaf.AppendKey(nil, 0), leaf.AppendKey(nil, n-1))
		return err
	}
	nd, err := loadNode(ctx, r, h, level)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "%snode %.7s level %d children %d rows %d .. %q\n", indent, h, level, nd.n, nd.rowsBefore(nd.n), nd.appendKey(nil, nd.n-1)); err != nil {
		return err
	}
	for i := range nd.n {
		if err := dump(ctx, w, r, f, nd.hash(i), level-1, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// Shape counts the chunks of a level.
type Shape struct {
	Chunks int
	Items  uint64 // rows of leaves, children of nodes
	Bytes  uint64
}

// Shapes measures a tree, level by level from the leaves, by reading all of it.
func Shapes(ctx context.Context, r chunk.Reader, f Format, root Root) ([]Shape, error) {
	if root.IsEmpty() {
		return nil, nil
	}
	out := make([]Shape, int(root.Level)+1)
	err := Walk(ctx, r, f, root, func(h hash.Hash, level int, _ Flags) (bool, error) {
		if level < 0 {
			return false, nil
		}
		data, err := r.Get(ctx, h)
		if err != nil {
			return false, err
		}
		s := &out[level]
		s.Chunks++
		s.Bytes += uint64(len(data))
		if level > 0 {
			nd, err := loadNode(ctx, r, h, uint8(level))
			s.Items += uint64(nd.n)
			return true, err
		}
		leaf, err := f.Open(r, data)
		if err != nil {
			return false, err
		}
		s.Items += uint64(leaf.Len())
		return false, nil
	})
	return out, err
}
