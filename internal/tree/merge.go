package tree

import (
	"bytes"
	"context"

	"github.com/stemmadb/stemma/internal/chunk"
)

// Conflict is a key that ours and theirs changed differently since base. A nil payload is an absent row. The slices are valid
// during the call only.
type Conflict struct {
	Key                []byte
	Base, Ours, Theirs []byte
}

// Merge is the edits that bring ours, a descendant of base, to hold theirs' changes since base as well: an EditSource for Apply to
// ours. A change that both made is no edit. For a key that both changed differently, resolve says what becomes of it: keep leaves
// ours, else row is the new payload, nil to delete. An error of resolve is the source's.
func Merge(r chunk.Reader, f Format, base, ours, theirs Root, resolve func(Conflict) (row []byte, keep bool, err error)) EditSource {
	return &merger{
		ours:    newDiffer(r, f, base, ours, nil, nil),
		theirs:  newDiffer(r, f, base, theirs, nil, nil),
		resolve: resolve,
	}
}

// merger zips two diffs against one base.
type merger struct {
	ours, theirs *differ
	resolve      func(Conflict) ([]byte, bool, error)

	our     Change // the first of ours that is not below theirs' last
	ourKey  []byte
	started bool
	ourDone bool

	key, base, ourRow, row []byte // scratch
}

// Next implements EditSource.
func (m *merger) Next(ctx context.Context) (Edit, bool, error) {
	for {
		c, ok, err := m.theirs.next(ctx)
		if err != nil || !ok {
			return Edit{}, false, err
		}
		m.key = c.AppendKey(m.key[:0])
		both, err := m.reach(ctx)
		if err != nil {
			return Edit{}, false, err
		}
		row, err := payload(ctx, m.row, c.B, c.BI)
		if err != nil {
			return Edit{}, false, err
		}
		if row != nil {
			m.row = row
		}
		if !both {
			return Edit{Key: m.key, Row: row}, true, nil
		}
		row, edit, err := m.settle(ctx, c, row)
		if err != nil {
			return Edit{}, false, err
		}
		if edit {
			return Edit{Key: m.key, Row: row}, true, nil
		}
	}
}

// reach advances ours to the key and tells whether ours changed it.
func (m *merger) reach(ctx context.Context) (bool, error) {
	for !m.ourDone {
		if m.started {
			if c := bytes.Compare(m.ourKey, m.key); c >= 0 {
				return c == 0, nil
			}
		}
		c, ok, err := m.ours.next(ctx)
		if err != nil {
			return false, err
		}
		if !ok {
			m.ourDone = true
			break
		}
		m.started = true
		m.our, m.ourKey = c, c.AppendKey(m.ourKey[:0])
	}
	return false, nil
}

// settle decides a key that both changed; theirs is its payload there.
func (m *merger) settle(ctx context.Context, c Change, theirs []byte) (row []byte, edit bool, err error) {
	ours, err := payload(ctx, m.ourRow, m.our.B, m.our.BI)
	if err != nil {
		return nil, false, err
	}
	if ours != nil {
		m.ourRow = ours
	}
	if sameRow(ours, theirs) {
		return nil, false, nil
	}
	base, err := payload(ctx, m.base, c.A, c.AI)
	if err != nil {
		return nil, false, err
	}
	if base != nil {
		m.base = base
	}
	row, keep, err := m.resolve(Conflict{Key: m.key, Base: base, Ours: ours, Theirs: theirs})
	if err != nil || keep || sameRow(row, ours) {
		return nil, false, err
	}
	return row, true, nil
}

// payload is row i of leaf in buf's memory, not nil; or nil for a nil leaf.
func payload(ctx context.Context, buf []byte, leaf Leaf, i int) ([]byte, error) {
	if leaf == nil {
		return nil, nil
	}
	row, err := leaf.AppendRow(ctx, buf[:0], i)
	if err == nil && row == nil {
		row = []byte{}
	}
	return row, err
}

// sameRow tells whether two rows, either of which may be absent (a nil leaf), have equal payloads.
func sameRow(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }
