package tree

import (
	"bytes"
	"context"

	"github.com/stemmadb/stemma/internal/hash"
)

// Rank is the number of rows whose keys are below key. It reads one chunk a level.
func (t Tree) Rank(ctx context.Context, key []byte) (uint64, error) {
	if t.root.IsEmpty() {
		return 0, nil
	}
	p := path{r: t.r, root: t.root}
	if err := p.seek(ctx, key); err != nil {
		return 0, err
	}
	leaf, err := OpenLeaf(ctx, t.r, t.f, p.chunk().hash)
	if err != nil {
		return 0, err
	}
	i, _ := leaf.Search(key)
	return p.rowsBefore() + uint64(i), nil
}

// Split gives rising keys that cut the tree into at most n parts of about equal rows: part k holds the keys from bound k-1 up to
// below bound k. Bounds fall between leaves, so no leaf is in two parts; only a tree of one leaf is cut inside it.
func (t Tree) Split(ctx context.Context, n int) ([][]byte, error) {
	var bounds [][]byte
	if t.root.IsEmpty() || n < 2 {
		return nil, nil
	}
	if t.root.Level == 0 {
		leaf, err := OpenLeaf(ctx, t.r, t.f, t.root.Hash)
		if err != nil {
			return nil, err
		}
		for k, prev := 1, 0; k < n; k++ {
			if i := k * leaf.Len() / n; i > prev {
				bounds = append(bounds, leaf.AppendKey(nil, i))
				prev = i
			}
		}
		return bounds, nil
	}
	p := path{r: t.r, root: t.root}
	var prev hash.Hash
	for k := 1; k < n; k++ {
		// The part ends with the leaf that holds its last row, by the share of rows it should have.
		want := t.root.Count / uint64(n) * uint64(k)
		if want == 0 {
			continue
		}
		left := want - 1
		if err := p.top(ctx); err != nil {
			return nil, err
		}
		if err := p.descend(ctx, ordinal(&left)); err != nil {
			return nil, err
		}
		e := p.chunk()
		if p.atLast() || e.hash == prev {
			continue
		}
		prev = e.hash
		// The least key above the leaf's last.
		bounds = append(bounds, append(bytes.Clone(e.key), 0))
	}
	return bounds, nil
}
