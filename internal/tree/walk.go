package tree

import (
	"context"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
)

// Levels that Walk gives to chunks that are no part of the tree proper.
const (
	LevelRef  = -1 // a chunk without references that a leaf names
	LevelBlob = -2 // a chunk of an out-of-line cell
)

// Visit is called for a chunk: its hash, its level (LevelRef and LevelBlob below the leaves), and its flags. Unless descend is
// true, the walk does not go below the chunk; it does not open a chunk before that.
type Visit func(h hash.Hash, level int, flags Flags) (descend bool, err error)

// Walk visits every chunk that the tree reaches, parents first, in key order; chunks that are reached twice are visited twice.
// Leaves without FlagRefs and chunks of LevelRef are never opened. It is for fsck, gc, backup and sync.
func Walk(ctx context.Context, r chunk.Reader, f Format, root Root, visit Visit) error {
	if root.IsEmpty() {
		return nil
	}
	return walk(ctx, r, f, root.Hash, root.Level, root.Flags, visit)
}

func walk(ctx context.Context, r chunk.Reader, f Format, h hash.Hash, level uint8, flags Flags, visit Visit) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	descend, err := visit(h, int(level), flags)
	if err != nil || !descend {
		return err
	}
	if level == 0 {
		if flags&FlagRefs == 0 {
			return nil
		}
		leaf, err := OpenLeaf(ctx, r, f, h)
		if err != nil {
			return err
		}
		return leaf.Refs(ctx, func(ref Ref) error {
			if ref.Blob {
				return WalkBlob(ctx, r, ref.Hash, visit)
			}
			_, err := visit(ref.Hash, LevelRef, 0)
			return err
		})
	}
	nd, err := loadNode(ctx, r, h, level)
	if err != nil {
		return err
	}
	for i := range nd.n {
		if err := walk(ctx, r, f, nd.hash(i), level-1, nd.flags(i), visit); err != nil {
			return err
		}
	}
	return nil
}
