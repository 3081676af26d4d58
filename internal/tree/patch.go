package tree

import (
	"bytes"
	"context"
)

// rowEditor edits the leaves. As long as a leaf has only new payloads for keys it holds, they are collected, for Format.Patch may
// make the new leaf without a builder; other edits, or a weight that changes, make it a levelEditor like any other.
type rowEditor struct {
	levelEditor
	f       Format
	ed      *editor
	patches []Patch
	arena   []byte
}

func (ed *editor) newRowEditor() *rowEditor {
	e := &rowEditor{f: ed.f, ed: ed}
	e.at = path{r: ed.st, root: ed.old, seen: ed.seen}
	e.up = ed.above(0)
	p := newLeafPacker(ed.st, ed.f, e.cut)
	p.reuse = e.stored
	e.band = &rowBand{r: ed.st, leafPacker: p}
	return e
}

// push takes the next edit.
func (e *rowEditor) push(ctx context.Context, edit Edit) error {
	c := change{key: edit.Key, row: edit.Row, gone: edit.Row == nil}
	if len(e.patches) > 0 && !e.holds(edit.Key) {
		if err := e.patch(ctx); err != nil {
			return err
		}
	}
	if e.active {
		return e.levelEditor.push(ctx, c)
	}
	if err := e.reach(ctx, edit.Key); err != nil {
		return err
	}
	i, found := e.blk.Search(edit.Key)
	switch {
	case found && !c.gone:
		from := len(e.arena)
		e.arena = append(e.arena, edit.Row...)
		e.patches = append(e.patches, Patch{Index: i, Row: e.arena[from:len(e.arena):len(e.arena)]})
		return nil
	case !found && c.gone:
		return nil
	}
	if err := e.replay(ctx); err != nil {
		return err
	}
	return e.merge(ctx, i, found, c)
}

// finish ends the level.
func (e *rowEditor) finish(ctx context.Context) error {
	if len(e.patches) > 0 {
		if err := e.patch(ctx); err != nil {
			return err
		}
	}
	if err := e.levelEditor.finish(ctx); err != nil {
		return err
	}
	e.band.(*rowBand).release()
	return nil
}

// patch applies the collected payloads to blk.
func (e *rowEditor) patch(ctx context.Context) error {
	leaf := e.blk.(Leaf)
	data, flags, ok, err := e.f.Patch(ctx, e.ed.st, leaf, e.patches)
	if err != nil {
		return err
	}
	if !ok {
		return e.replay(ctx)
	}
	e.forget()
	if bytes.Equal(data, e.data) {
		return nil
	}
	h, err := e.ed.st.Put(ctx, data)
	if err != nil {
		return err
	}
	end := bytes.Clone(e.end)
	return e.up(ctx, change{key: end, entry: entry{key: end, hash: h, count: uint64(leaf.Len()), flags: flags}})
}

// replay packs the collected payloads row by row.
func (e *rowEditor) replay(ctx context.Context) error {
	e.begin()
	var key []byte
	for _, p := range e.patches {
		key = e.blk.AppendKey(key[:0], p.Index)
		if err := e.merge(ctx, p.Index, true, change{key: key, row: p.Row}); err != nil {
			return err
		}
	}
	e.forget()
	return nil
}

func (e *rowEditor) forget() { e.patches, e.arena = e.patches[:0], e.arena[:0] }
