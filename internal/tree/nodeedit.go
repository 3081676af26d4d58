package tree

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/stemmadb/stemma/internal/hash"
)

// nodeEditor edits a level of interior nodes. As long as children of a node are only replaced by others with the same last key,
// which is what most edits of rows come to, the boundary rule sees nothing new and the node keeps its form: hashes, counts and flags
// are written over a copy. Other edits make it a levelEditor like any other.
type nodeEditor struct {
	levelEditor
	ed    *editor
	nodes nodeBand
	puts  []put
	space [1]put // for puts: one edit of rows is one of each level as a rule
}

// put is a new entry for child i.
type put struct {
	i int
	entry
}

// start makes e, which is zero, the editor of a level.
func (e *nodeEditor) start(ed *editor, level uint8) {
	e.ed = ed
	e.at = path{r: ed.st, root: ed.old, level: level, seen: ed.seen}
	e.up = ed.above(level)
	e.nodes = nodeBand{seen: ed.seen, level: level}
	e.band = &e.nodes
	e.puts = e.space[:0]
}

// push takes the next edit.
func (e *nodeEditor) push(ctx context.Context, c change) error {
	if len(e.puts) > 0 && !e.holds(c.key) {
		if err := e.patch(ctx); err != nil {
			return err
		}
	}
	if e.active {
		return e.levelEditor.push(ctx, c)
	}
	if err := e.reach(ctx, c.key); err != nil {
		return err
	}
	i, found := e.blk.Search(c.key)
	switch {
	case found && !c.gone:
		if !e.same(e.blk, i, &c) {
			e.puts = append(e.puts, put{i, c.entry})
		}
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
func (e *nodeEditor) finish(ctx context.Context) error {
	if len(e.puts) > 0 {
		if err := e.patch(ctx); err != nil {
			return err
		}
	}
	return e.levelEditor.finish(ctx)
}

// patch puts the collected entries in their places.
func (e *nodeEditor) patch(ctx context.Context) error {
	nd, ok := e.blk.(*node).with(e.puts)
	if !ok {
		return e.replay(ctx)
	}
	e.puts = e.puts[:0]
	ent := entry{key: bytes.Clone(e.end), count: nd.rowsBefore(nd.n)}
	for _, f := range nd.flagBytes {
		ent.flags |= Flags(f)
	}
	var err error
	if ent.hash, err = e.ed.st.Put(ctx, nd.data); err != nil {
		return fmt.Errorf("store node: %w", err)
	}
	return e.up(ctx, change{key: ent.key, entry: ent})
}

// replay packs the collected entries one by one.
func (e *nodeEditor) replay(ctx context.Context) error {
	if e.nodes.nodePacker == nil {
		p := newNodePacker(e.ed.st, e.nodes.level, e.cut)
		p.reuse = e.stored
		e.nodes.nodePacker = p
	}
	e.begin()
	for _, p := range e.puts {
		if err := e.merge(ctx, p.i, true, change{key: p.key, entry: p.entry}); err != nil {
			return err
		}
	}
	e.puts = e.puts[:0]
	return nil
}

// with is a copy of nd with these entries, whose keys are those of the children they replace. ok is false when the counts need
// another width, so that the node would have another form (T5).
func (nd *node) with(puts []put) (out node, ok bool) {
	out = *nd
	out.data = bytes.Clone(nd.data)
	cs := 1 << nd.countLog
	rest := out.data[nodeHeader:]
	out.hashes, rest = rest[:nd.n*hash.Size], rest[nd.n*hash.Size:]
	out.counts, rest = rest[:nd.n*cs], rest[nd.n*cs:]
	out.flagBytes = rest[:nd.n]
	for _, p := range puts {
		if countLog(p.count) > nd.countLog {
			return out, false
		}
		copy(out.hashes[p.i*hash.Size:], p.hash[:])
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], p.count)
		copy(out.counts[p.i*cs:(p.i+1)*cs], b[:])
		out.flagBytes[p.i] = byte(p.flags)
	}
	most := uint64(0)
	for i := range out.n {
		most = max(most, out.count(i))
	}
	return out, countLog(most) == nd.countLog
}

// countLog is log2 of the bytes in which counts up to most are kept.
func countLog(most uint64) uint8 {
	if w := (bits.Len64(most) + 7) / 8; w > 1 {
		return uint8(bits.Len(uint(w - 1)))
	}
	return 0
}
