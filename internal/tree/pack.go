package tree

import (
	"bytes"
	"context"
	"fmt"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// leafPacker cuts a sequence of rows into leaves and hands their entries on in key order. It is what Builder and Apply share, so
// that they cannot disagree on where leaves end.
type leafPacker struct {
	w     chunk.Writer
	f     Format
	emit  func(ctx context.Context, e entry) error
	reuse func(key, data []byte) (hash.Hash, bool) // a chunk known to be stored already; nil for none

	split splitter
	lb    LeafBuilder // nil until a row comes
	last  []byte      // last key added

	src       Leaf    // the attached leaf
	srcEnd    int     // the row behind the last one attached
	weights   []int32 // of src's rows from weightsAt on; none before they are needed
	weightsAt int
	keys      []byte // of src's rows from keysAt on, likewise
	ends      []int  // where each key ends
	keysAt    int

	parallel int // leaves that may be encoded at once; 0 encodes in the caller
	queue    []*leafJob
	free     []LeafBuilder
}

// leafJob is a leaf on its way: entry and err are set when done is closed.
type leafJob struct {
	lb    LeafBuilder
	entry entry
	err   error
	done  chan struct{}
}

func newLeafPacker(w chunk.Writer, f Format, emit func(context.Context, entry) error) *leafPacker {
	return &leafPacker{w: w, f: f, emit: emit, split: newSplitter(f.Target(), 0)}
}

// empty tells whether the next row begins a leaf.
func (p *leafPacker) empty() bool { return p.lb == nil || p.lb.Len() == 0 }

// builder is the builder of the open leaf.
func (p *leafPacker) builder() LeafBuilder {
	if p.lb == nil {
		if n := len(p.free); n > 0 {
			p.lb, p.free = p.free[n-1], p.free[:n-1]
		} else {
			p.lb = p.f.NewBuilder()
		}
	}
	return p.lb
}

// release gives the builders back once nothing is under way. The packer may go on with new ones.
func (p *leafPacker) release() {
	if p.lb != nil {
		p.free = append(p.free, p.lb)
		p.lb = nil
	}
	for _, lb := range p.free {
		if r, ok := lb.(Recycler); ok && lb.Len() == 0 {
			r.Recycle()
		}
	}
	p.free = nil
}

// add appends one row.
func (p *leafPacker) add(ctx context.Context, key, row []byte) error {
	if len(key) > MaxKey {
		return errs.New(errs.Invalid, "add row: key of %d bytes, the most is %d", len(key), MaxKey)
	}
	w, err := p.builder().Add(key, row)
	if err != nil {
		return err
	}
	p.last = append(p.last[:0], key...)
	if p.split.add(key, w) {
		return p.cut(ctx)
	}
	return nil
}

// attach makes rows up to end of l the next ones for addFrom. Their weights and keys are read together when the first is needed, for
// an edited leaf is copied in several pieces.
func (p *leafPacker) attach(l Leaf, end int) {
	p.src, p.srcEnd = l, end
	p.weights, p.keys, p.ends = p.weights[:0], p.keys[:0], p.ends[:0]
}

// addFrom appends rows [i,j) of the attached leaf, which rise from call to call. Keys are read only where a leaf may end: rows below
// quiet are known not to end one.
func (p *leafPacker) addFrom(ctx context.Context, i, j, quiet int) error {
	if i >= j {
		return nil
	}
	l := p.src
	if len(p.weights) == 0 {
		var err error
		if p.weights, err = l.Weights(ctx, p.weights, i, p.srcEnd); err != nil {
			return err
		}
		p.weightsAt = i
	}
	weights := p.weights[i-p.weightsAt : j-p.weightsAt]
	start, r, sum := i, i, uint64(0)
	for ; r < min(j, quiet); r++ {
		sum += uint64(weights[r-i])
	}
	p.split.pass(sum)
	for ; r < j && p.split.quiet(int(weights[r-i])); r++ {
		p.split.size += uint64(weights[r-i])
	}
	if r < j && len(p.ends) == 0 {
		p.readKeys(l, r)
	}
	for ; r < j; r++ {
		key := p.keyOf(r - p.keysAt)
		if !p.split.add(key, int(weights[r-i])) {
			continue
		}
		if err := p.builder().AddFrom(ctx, l, start, r+1); err != nil {
			return err
		}
		p.last = append(p.last[:0], key...)
		if err := p.cut(ctx); err != nil {
			return err
		}
		start = r + 1
	}
	p.last = l.AppendKey(p.last[:0], j-1)
	if start == j {
		return nil
	}
	return p.builder().AddFrom(ctx, l, start, j)
}

// readKeys reads the keys of the attached rows from i on.
func (p *leafPacker) readKeys(l Leaf, i int) {
	p.keysAt = i
	if a, ok := l.(KeyAppender); ok {
		p.keys, p.ends = a.AppendKeys(p.keys, p.ends, i, p.srcEnd)
		return
	}
	for ; i < p.srcEnd; i++ {
		p.keys = l.AppendKey(p.keys, i)
		p.ends = append(p.ends, len(p.keys))
	}
}

// keyOf is key k of those read.
func (p *leafPacker) keyOf(k int) []byte {
	if k == 0 {
		return p.keys[:p.ends[0]]
	}
	return p.keys[p.ends[k-1]:p.ends[k]]
}

// flush ends the open leaf, if there is one, and waits for all leaves under way.
func (p *leafPacker) flush(ctx context.Context) error {
	if !p.empty() {
		if err := p.cut(ctx); err != nil {
			return err
		}
	}
	return p.drain(ctx, 0)
}

// cut ends the open leaf.
func (p *leafPacker) cut(ctx context.Context) error {
	p.split.reset()
	e := entry{key: bytes.Clone(p.last), count: uint64(p.lb.Len())}
	if e.key == nil {
		e.key = []byte{}
	}
	if p.parallel == 0 {
		if err := p.encode(ctx, p.lb, &e); err != nil {
			return err
		}
		return p.emit(ctx, e)
	}
	if err := p.drain(ctx, p.parallel-1); err != nil {
		return err
	}
	job := &leafJob{lb: p.lb, entry: e, done: make(chan struct{})}
	p.queue = append(p.queue, job)
	go func() {
		job.err = p.encode(ctx, job.lb, &job.entry)
		close(job.done)
	}()
	p.lb = nil
	return nil
}

// encode stores the leaf that lb holds.
func (p *leafPacker) encode(ctx context.Context, lb LeafBuilder, e *entry) error {
	data, flags, err := lb.Finish(ctx, p.w)
	if err != nil {
		return fmt.Errorf("build leaf: %w", err)
	}
	e.flags = flags
	if p.reuse != nil {
		if h, ok := p.reuse(e.key, data); ok {
			e.hash = h
			return nil
		}
	}
	if e.hash, err = p.w.Put(ctx, data); err != nil {
		return fmt.Errorf("store leaf: %w", err)
	}
	return nil
}

// drain waits until at most n leaves are under way and hands on the finished ones. After an error nothing is under way.
func (p *leafPacker) drain(ctx context.Context, n int) error {
	var err error
	for len(p.queue) > n || err != nil && len(p.queue) > 0 {
		job := p.queue[0]
		p.queue = p.queue[1:]
		<-job.done
		p.free = append(p.free, job.lb)
		switch {
		case err != nil:
		case job.err != nil:
			err = job.err
		default:
			err = p.emit(ctx, job.entry)
		}
	}
	return err
}

// nodePacker cuts a sequence of child entries into the nodes of one level.
type nodePacker struct {
	w     chunk.Writer
	level uint8
	emit  func(ctx context.Context, e entry) error
	reuse func(key, data []byte) (hash.Hash, bool)

	split splitter
	open  []entry // children of the node that is not finished
	total uint64  // children so far
}

func newNodePacker(w chunk.Writer, level uint8, emit func(context.Context, entry) error) *nodePacker {
	return &nodePacker{w: w, level: level, emit: emit, split: newSplitter(nodeTarget, level)}
}

// empty tells whether the next child begins a node.
func (p *nodePacker) empty() bool { return len(p.open) == 0 }

// add appends one child.
func (p *nodePacker) add(ctx context.Context, e entry) error {
	p.open = append(p.open, e)
	p.total++
	if p.split.add(e.key, entryWeight(e.key)) {
		return p.flush(ctx)
	}
	return nil
}

// pass appends one child that is known not to end a node.
func (p *nodePacker) pass(e entry) {
	p.open = append(p.open, e)
	p.total++
	p.split.pass(uint64(entryWeight(e.key)))
}

// flush ends the open node, if there is one.
func (p *nodePacker) flush(ctx context.Context) error {
	if p.empty() {
		return nil
	}
	p.split.reset()
	data, err := encodeNode(p.level, p.open)
	if err != nil {
		return err
	}
	e := entry{key: p.open[len(p.open)-1].key}
	for i := range p.open {
		e.count += p.open[i].count
		e.flags |= p.open[i].flags
	}
	clear(p.open)
	p.open = p.open[:0]
	if p.reuse != nil {
		if h, ok := p.reuse(e.key, data); ok {
			e.hash = h
			return p.emit(ctx, e)
		}
	}
	if e.hash, err = p.w.Put(ctx, data); err != nil {
		return fmt.Errorf("store node: %w", err)
	}
	return p.emit(ctx, e)
}

// spine builds all levels above a given one.
type spine struct {
	w      chunk.Writer
	base   uint8 // level of the chunks that add receives
	levels []*nodePacker
}

// add takes the next chunk of level base.
func (s *spine) add(ctx context.Context, e entry) error { return s.addAt(ctx, 0, e) }

func (s *spine) addAt(ctx context.Context, i int, e entry) error {
	if i == len(s.levels) {
		up := func(ctx context.Context, e entry) error { return s.addAt(ctx, i+1, e) }
		s.levels = append(s.levels, newNodePacker(s.w, s.base+1+uint8(i), up))
	}
	return s.levels[i].add(ctx, e)
}

// finish ends every level and returns the root: the only chunk of the lowest level that has one.
func (s *spine) finish(ctx context.Context) (Root, error) {
	if len(s.levels) == 0 {
		return Root{}, nil
	}
	for i := 0; ; i++ {
		p := s.levels[i]
		if p.total == 1 {
			e := p.open[0]
			return Root{Hash: e.hash, Level: s.base + uint8(i), Flags: e.flags, Count: e.count}, nil
		}
		if err := p.flush(ctx); err != nil {
			return Root{}, err
		}
	}
}
