package tree

import (
	"bytes"
	"context"
	"fmt"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
)

// EditSource yields edits in strictly ascending key order.
type EditSource interface {
	// Next is the next edit; ok is false after the last. The edit's bytes need not outlive the following call.
	Next(ctx context.Context) (e Edit, ok bool, err error)
}

// Edits is an EditSource over a slice, which it consumes.
type Edits []Edit

// Next implements EditSource.
func (s *Edits) Next(context.Context) (Edit, bool, error) {
	if len(*s) == 0 {
		return Edit{}, false, nil
	}
	e := (*s)[0]
	*s = (*s)[1:]
	return e, true, nil
}

// ordered is a source that verifies the order of another.
type ordered struct {
	src  EditSource
	prev []byte
	n    int
}

// Next implements EditSource.
func (o *ordered) Next(ctx context.Context) (Edit, bool, error) {
	e, ok, err := o.src.Next(ctx)
	if err != nil || !ok {
		return Edit{}, false, err
	}
	if o.n > 0 && bytes.Compare(e.Key, o.prev) <= 0 {
		return Edit{}, false, errs.New(errs.Invalid, "apply edits: key %x of edit %d is not above its predecessor's, %x", e.Key, o.n, o.prev)
	}
	o.prev = append(o.prev[:0], e.Key...)
	o.n++
	return e, true, nil
}

// Apply is the tree that results from edits to the tree root: the same Root that a Builder gives for the edited rows. Deleting an
// absent key changes nothing. It reads and writes the chunks on the way to edited rows only, in one pass, and holds one chunk a
// level in memory. Edits out of order are an error of class Invalid.
//
// Each level is a sequence of chunks, and an edit of a level replaces items of that sequence: rows at level 0, child entries
// above. A level's editor copies its chunks from the start of the one that holds an edited item, until its packer cuts where the
// old level cut (from there on the old chunks stand, by T2), and passes the chunks that went and came as edits to the level above.
func Apply(ctx context.Context, st chunk.Store, f Format, root Root, edits EditSource) (Root, error) {
	edits = &ordered{src: edits}
	if root.IsEmpty() {
		return fill(ctx, st, f, edits)
	}
	ed := &editor{st: st, f: f, old: root, seen: newSeenNodes(st, root), top: spine{w: st, base: root.Level}}
	rows := ed.newRowEditor()
	for {
		e, ok, err := edits.Next(ctx)
		if err != nil {
			return Root{}, err
		}
		if !ok {
			break
		}
		if err := rows.push(ctx, e); err != nil {
			return Root{}, fmt.Errorf("apply edits: %w", err)
		}
	}
	out, err := ed.finish(ctx, rows)
	if err != nil {
		return Root{}, fmt.Errorf("apply edits: %w", err)
	}
	return out, nil
}

// fill is Apply to the empty tree.
func fill(ctx context.Context, st chunk.Store, f Format, edits EditSource) (Root, error) {
	b := NewBuilder(st, f, BuilderOptions{})
	for {
		e, ok, err := edits.Next(ctx)
		if err != nil {
			return Root{}, err
		}
		if !ok {
			return b.Finish(ctx)
		}
		if e.Row == nil {
			continue
		}
		if err := b.Add(ctx, e.Key, e.Row); err != nil {
			return Root{}, fmt.Errorf("apply edits: %w", err)
		}
	}
}

// editor is one run of Apply.
type editor struct {
	st      chunk.Store
	f       Format
	old     Root
	seen    *seenNodes
	nodes   []nodeEditor // of levels 1 to old.Level, made when first needed
	top     spine        // levels above old.Level, from the new chunks of that level
	touched bool         // the chunk of level old.Level was replaced
}

// above takes the edits that level passes on.
func (ed *editor) above(level uint8) func(ctx context.Context, c change) error {
	return func(ctx context.Context, c change) error {
		if level == ed.old.Level {
			ed.touched = true
			if c.gone {
				return nil
			}
			return ed.top.add(ctx, c.entry)
		}
		if ed.nodes == nil {
			ed.nodes = make([]nodeEditor, 0, ed.old.Level) // they stay where they are
		}
		if len(ed.nodes) == int(level) {
			ed.nodes = ed.nodes[:level+1]
			ed.nodes[level].start(ed, level+1)
		}
		return ed.nodes[level].push(ctx, c)
	}
}

// finish ends the levels from the bottom and gives the new root.
func (ed *editor) finish(ctx context.Context, rows *rowEditor) (Root, error) {
	if err := rows.finish(ctx); err != nil {
		return Root{}, err
	}
	for i := 0; i < len(ed.nodes); i++ {
		if err := ed.nodes[i].finish(ctx); err != nil {
			return Root{}, err
		}
	}
	if !ed.touched {
		return ed.old, nil
	}
	root, err := ed.top.finish(ctx)
	if err != nil {
		return Root{}, err
	}
	return collapse(ctx, ed.st, root)
}

// collapse goes down from a root with one child to the lowest level that has one chunk (T4).
func collapse(ctx context.Context, r chunk.Reader, root Root) (Root, error) {
	for root.Level > 0 {
		nd, err := loadNode(ctx, r, root.Hash, root.Level)
		if err != nil {
			return Root{}, err
		}
		if nd.n > 1 {
			break
		}
		root.Hash = nd.hash(0)
		root.Level--
	}
	return root, nil
}
