// Package gc finds what is to stay of a store: it marks every chunk that is reached from the places that it is told, and opens no more
// chunks than it must, interior nodes and the few leaves that name other chunks.
package gc

import (
	"context"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
)

// Marks is where marks are kept.
type Marks interface {
	// Mark marks a chunk; first tells that it was not marked before. A chunk that is not there is an error of class NotFound.
	Mark(h hash.Hash) (first bool, err error)
}

// Marker marks what is reached. What was reached before is not walked through again, so that to mark a second time costs what is new. It
// belongs to one goroutine.
type Marker struct {
	r       chunk.Reader
	marks   Marks
	schemas schema.Cache
	step    func(chunks int) // may be nil

	// Partial says that what is reached need not be there: it is passed over.
	Partial bool
}

// New is a marker of the chunks of r. step is told of chunks that were marked.
func New(r chunk.Reader, marks Marks, step func(chunks int)) *Marker {
	return &Marker{r: r, marks: marks, step: step}
}

// absent passes over that something is not there in a store that is a part of a database.
func (m *Marker) absent(err error) error {
	if m.Partial && errs.Is(err, errs.NotFound) {
		return nil
	}
	return err
}

// mark marks one chunk.
func (m *Marker) mark(h hash.Hash) (bool, error) {
	first, err := m.marks.Mark(h)
	err = m.absent(err)
	if first && m.step != nil {
		m.step(1)
	}
	return first, err
}

// Commit marks a commit and all before it, with their tables.
func (m *Marker) Commit(ctx context.Context, id history.CommitID) error {
	if id.IsZero() {
		return nil
	}
	todo := []history.CommitID{id}
	for len(todo) > 0 {
		if err := ctx.Err(); err != nil {
			return errs.With(errs.Canceled, err)
		}
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		first, err := m.mark(id)
		if err != nil {
			return err
		}
		if !first {
			continue
		}
		c, err := history.GetCommit(ctx, m.r, id)
		if err != nil {
			return err
		}
		todo = append(todo, c.Parents...)
		if err := m.Root(ctx, c.Root); err != nil {
			return err
		}
	}
	return nil
}

// Tag marks a tag's chunk and what it names.
func (m *Marker) Tag(ctx context.Context, h hash.Hash) error {
	first, err := m.mark(h)
	if err != nil || !first {
		return err
	}
	t, err := history.GetTag(ctx, m.r, h)
	if err != nil {
		return err
	}
	return m.Commit(ctx, t.Commit)
}

// Root marks named tables.
func (m *Marker) Root(ctx context.Context, r tree.Root) error {
	// Entries that have tables are in leaves of the root's tree that are new; leaves that are marked have been seen to.
	return m.tree(ctx, root.Format(), r, func(leaf tree.Leaf) error {
		for i := range leaf.Len() {
			v, err := leaf.AppendRow(ctx, nil, i)
			if err != nil {
				return err
			}
			e, err := root.DecodeEntry(leaf.AppendKey(nil, i), v)
			if err != nil {
				return err
			}
			if err := m.entry(ctx, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// entry marks what an entry of a root names.
func (m *Marker) entry(ctx context.Context, e root.Entry) error {
	if e.Kind != root.KindTable {
		return nil
	}
	return m.Table(ctx, e.Table)
}

// Table marks a table.
func (m *Marker) Table(ctx context.Context, h hash.Hash) error {
	first, err := m.mark(h)
	if err != nil || !first {
		return err
	}
	t, err := table.Open(ctx, m.r, &m.schemas, h, nil)
	if err != nil { // of the schema, since the table is there
		return m.absent(err)
	}
	if _, err := m.mark(t.Schema.Hash); err != nil {
		return err
	}
	if err := m.tree(ctx, t.Schema.Primary.Format, t.Rows, nil); err != nil {
		return err
	}
	for n, x := range t.Indexes {
		if err := m.tree(ctx, t.Schema.Index[n].Format, x, nil); err != nil {
			return err
		}
	}
	return nil
}

// tree marks the chunks of a tree. leaf, if not nil, is called for every leaf that was not marked.
func (m *Marker) tree(ctx context.Context, f tree.Format, r tree.Root, leaf func(tree.Leaf) error) error {
	return tree.Walk(ctx, m.r, f, r, func(h hash.Hash, level int, _ tree.Flags) (bool, error) {
		first, err := m.mark(h)
		if err != nil || !first || level != 0 || leaf == nil {
			return first, err
		}
		l, err := tree.OpenLeaf(ctx, m.r, f, h)
		if err != nil {
			return false, err
		}
		return true, leaf(l)
	})
}

// Blob marks a value that is kept out of line.
func (m *Marker) Blob(ctx context.Context, h hash.Hash) error {
	return tree.WalkBlob(ctx, m.r, h, func(h hash.Hash, _ int, _ tree.Flags) (bool, error) { return m.mark(h) })
}

// Merge marks a merge in progress.
func (m *Marker) Merge(ctx context.Context, h hash.Hash) error {
	first, err := m.mark(h)
	if err != nil || !first {
		return err
	}
	x, err := history.GetMerge(ctx, m.r, h)
	if err != nil {
		return err
	}
	for _, id := range []history.CommitID{x.Theirs, x.Head} {
		if err := m.Commit(ctx, id); err != nil {
			return err
		}
	}
	for _, t := range []tree.Root{x.Working, x.Staged} {
		if err := m.Root(ctx, t); err != nil {
			return err
		}
	}
	for i := range x.Tables {
		t := &x.Tables[i]
		for _, e := range []root.Entry{t.Base, t.Ours, t.Theirs} {
			if err := m.entry(ctx, e); err != nil {
				return err
			}
		}
		for _, r := range []tree.Root{t.Conflicts, t.Violations} {
			if err := m.tree(ctx, history.ArtifactFormat(), r, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// Stash marks a stash.
func (m *Marker) Stash(ctx context.Context, h hash.Hash) error {
	first, err := m.mark(h)
	if err != nil || !first {
		return err
	}
	x, err := history.GetStash(ctx, m.r, h)
	if err != nil {
		return err
	}
	if err := m.Commit(ctx, x.Head); err != nil {
		return err
	}
	return m.Root(ctx, x.Root)
}

// Rebase marks a rebase in progress. The commits of its plan are reached through the head of the branch.
func (m *Marker) Rebase(ctx context.Context, h hash.Hash) error {
	first, err := m.mark(h)
	if err != nil || !first {
		return err
	}
	x, err := history.GetRebase(ctx, m.r, h)
	if err != nil {
		return err
	}
	for _, id := range []history.CommitID{x.Head, x.Onto} {
		if err := m.Commit(ctx, id); err != nil {
			return err
		}
	}
	return m.Root(ctx, x.Working)
}
