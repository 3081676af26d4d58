package tree

import (
	"context"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// Base is a tree of which all chunks are known to be somewhere.
type Base struct {
	Format Format
	Root   Root
}

// Missing calls visit for the chunks of the tree root that are in none of the bases, each once: level by level from the top, in key
// order, then what its leaves refer to. It reads only nodes that differ, and of the leaves only those that differ and refer to other
// chunks, so that its cost is that of the difference. A chunk that is in a base at a place where root has nothing like it may be visited
// all the same.
func Missing(ctx context.Context, r chunk.Reader, f Format, root Root, bases []Base, visit func(h hash.Hash) error) error {
	m := &missing{r: r, f: f, visit: visit}
	top := int(root.Level)
	for _, b := range bases {
		if b.Root == root {
			return nil
		}
		top = max(top, int(b.Root.Level))
	}
	if root.IsEmpty() {
		return nil
	}
	for level := top; ; level-- {
		if err := ctx.Err(); err != nil {
			return errs.With(errs.Canceled, err)
		}
		if int(root.Level) == level {
			m.have = append(m.have, levelChunk{hash: root.Hash, flags: root.Flags})
		}
		for _, b := range bases {
			if !b.Root.IsEmpty() && int(b.Root.Level) == level {
				m.base = append(m.base, levelChunk{hash: b.Root.Hash, flags: b.Root.Flags, f: b.Format})
			}
		}
		m.cancel()
		for _, c := range m.have {
			if err := visit(c.hash); err != nil {
				return err
			}
		}
		if level == 0 {
			return m.refs(ctx)
		}
		var err error
		if m.have, err = m.below(ctx, m.have, uint8(level)); err != nil {
			return err
		}
		if m.base, err = m.below(ctx, m.base, uint8(level)); err != nil {
			return err
		}
	}
}

// missing is what of one level may differ.
type missing struct {
	r          chunk.Reader
	f          Format
	visit      func(h hash.Hash) error
	have, base []levelChunk
}

// levelChunk is a chunk of a level.
type levelChunk struct {
	hash  hash.Hash
	flags Flags
	f     Format // of a base's tree
}

// cancel takes the chunks that are on both sides out of both, and keeps one of equal ones.
func (m *missing) cancel() {
	in := make(map[hash.Hash]bool, len(m.base)) // true: on both sides
	for _, c := range m.base {
		in[c.hash] = false
	}
	seen := make(map[hash.Hash]struct{}, len(m.have))
	have := m.have[:0]
	for _, c := range m.have {
		if _, there := in[c.hash]; there {
			in[c.hash] = true
			continue
		}
		if _, again := seen[c.hash]; !again {
			seen[c.hash] = struct{}{}
			have = append(have, c)
		}
	}
	base := m.base[:0]
	for _, c := range m.base {
		if !in[c.hash] {
			in[c.hash] = true // one of equal ones
			base = append(base, c)
		}
	}
	m.have, m.base = have, base
}

// below is the children of nodes of a level.
func (m *missing) below(ctx context.Context, nodes []levelChunk, level uint8) ([]levelChunk, error) {
	var out []levelChunk
	for _, c := range nodes {
		if err := ctx.Err(); err != nil {
			return nil, errs.With(errs.Canceled, err)
		}
		nd, err := loadNode(ctx, m.r, c.hash, level)
		if err != nil {
			return nil, err
		}
		if out == nil {
			out = make([]levelChunk, 0, nd.n*len(nodes))
		}
		for i := range nd.n {
			out = append(out, levelChunk{hash: nd.hash(i), flags: nd.flags(i), f: c.f})
		}
	}
	return out, nil
}

// refs visits what the leaves refer to and those of the bases do not.
func (m *missing) refs(ctx context.Context) error {
	seen := map[hash.Hash]struct{}{}
	each := func(c levelChunk, f Format, visit func(h hash.Hash) error) error {
		if c.flags&FlagRefs == 0 {
			return nil
		}
		once := func(h hash.Hash, _ int, _ Flags) (bool, error) {
			if _, again := seen[h]; again {
				return false, nil
			}
			seen[h] = struct{}{}
			return true, visit(h)
		}
		leaf, err := OpenLeaf(ctx, m.r, f, c.hash)
		if err != nil {
			return err
		}
		return leaf.Refs(ctx, func(ref Ref) error {
			if ref.Blob {
				return WalkBlob(ctx, m.r, ref.Hash, once)
			}
			_, err := once(ref.Hash, LevelRef, 0)
			return err
		})
	}
	refers := false
	for _, c := range m.have {
		refers = refers || c.flags&FlagRefs != 0
	}
	if !refers {
		return nil
	}
	for _, c := range m.base {
		if err := each(c, c.f, func(hash.Hash) error { return nil }); err != nil {
			return err
		}
	}
	for _, c := range m.have {
		if err := each(c, m.f, m.visit); err != nil {
			return err
		}
	}
	return nil
}
