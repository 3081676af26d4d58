package tree

import (
	"bytes"
	"context"
	"fmt"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
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

// Apply is the tree that results from edits to the tree root: the same Root that a Builder gives for the edited rows. Deleting an
// absent key changes nothing. It reads and writes the chunks on the way to edited rows only, in one pass, and holds one chunk a
// level in memory. Edits out of order are an error of class Invalid.
//
// Each level is a sequence of chunks, and an edit of a level replaces items of that sequence: rows at level 0, child entries
// above. A level's editor copies its chunks from the start of the one that holds an edited item, until its packer cuts where the
// old level cut (from there on the old chunks stand, by T2), and passes the chunks that went and came as edits to the level above.
func Apply(ctx context.Context, st chunk.Store, f Format, root Root, edits EditSource) (Root, error) {
	if root.IsEmpty() {
		return fill(ctx, st, f, edits)
	}
	ed := &editor{st: st, f: f, old: root, top: spine{w: st, base: root.Level}}
	rows := ed.newRowEditor()
	var prev []byte
	for n := 0; ; n++ {
		e, ok, err := edits.Next(ctx)
		if err != nil {
			return Root{}, err
		}
		if !ok {
			break
		}
		if n > 0 && bytes.Compare(e.Key, prev) <= 0 {
			return Root{}, errs.New(errs.Invalid, "apply edits: key %x of edit %d is not above its predecessor's, %x", e.Key, n, prev)
		}
		prev = append(prev[:0], e.Key...)
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
			return Root{}, errs.With(errs.Invalid, err)
		}
	}
}

// editor is one run of Apply.
type editor struct {
	st      chunk.Store
	f       Format
	old     Root
	nodes   []*levelEditor // of levels 1 to old.Level, made when first needed
	top     spine          // levels above old.Level, from the new chunks of that level
	touched bool           // the chunk of level old.Level was replaced
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
		if len(ed.nodes) == int(level) {
			ed.nodes = append(ed.nodes, ed.newNodeEditor(level+1))
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

// change is an edit of one level: a row at level 0, a child entry above.
type change struct {
	key  []byte
	gone bool
	row  []byte
	entry
}

// block is an opened chunk: a Leaf or a node.
type block interface {
	Len() int
	Search(key []byte) (int, bool)
	AppendKey(dst []byte, i int) []byte
}

// band is what the levels do differently.
type band interface {
	// open reads a chunk of the level.
	open(ctx context.Context, h hash.Hash) (block, []byte, error)
	// same tells whether a put of item i, whose key is equal, changes nothing.
	same(b block, i int, c *change) bool
	// copy packs items [i,j) of b.
	copy(ctx context.Context, b block, i, j int) error
	// put packs a new item.
	put(ctx context.Context, c change) error
	// empty tells whether the packer stands at the start of a chunk.
	empty() bool
	// flush ends the open chunk.
	flush(ctx context.Context) error
}

// levelEditor edits one level.
type levelEditor struct {
	band
	at  path
	up  func(ctx context.Context, c change) error
	blk block // the old chunk that at leads to; nil before the first edit

	old  entry
	data []byte
	end  []byte // the last key of blk

	active bool   // items are being packed
	pos    int    // items of blk already packed or dropped; only when active
	passed bool   // that blk ends here was passed up; only when active
	cutKey []byte // the last new chunk's last key
}

// push takes the next edit.
func (e *levelEditor) push(ctx context.Context, c change) error {
	if err := e.reach(ctx, c.key); err != nil {
		return err
	}
	i, found := e.blk.Search(c.key)
	if !found && c.gone {
		return nil
	}
	if !e.active {
		if found && !c.gone && e.same(e.blk, i, &c) {
			return nil
		}
		e.begin()
	}
	return e.merge(ctx, i, found, c)
}

// reach makes blk the chunk in which key is or would be.
func (e *levelEditor) reach(ctx context.Context, key []byte) error {
	if e.blk != nil && e.holds(key) {
		return nil
	}
	if e.active {
		if err := e.settle(ctx, key); err != nil || e.active {
			return err
		}
	}
	if err := e.at.forward(ctx, key); err != nil {
		return err
	}
	return e.load(ctx)
}

// holds tells whether key belongs into blk: at or below its end, or anywhere in the last chunk.
func (e *levelEditor) holds(key []byte) bool {
	return bytes.Compare(key, e.end) <= 0 || e.at.atLast()
}

// load opens the chunk that at leads to.
func (e *levelEditor) load(ctx context.Context) error {
	e.old = e.at.chunk()
	blk, data, err := e.open(ctx, e.old.hash)
	if err != nil {
		return err
	}
	if blk.Len() == 0 {
		return errs.New(errs.Corrupt, "read chunk %s: no items", e.old.hash)
	}
	e.blk, e.data = blk, data
	e.end = blk.AppendKey(e.end[:0], blk.Len()-1)
	e.pos, e.passed = 0, false
	return nil
}

// begin starts packing at the start of blk, which is the start of a chunk in the new tree too.
func (e *levelEditor) begin() { e.active, e.pos, e.passed = true, 0, false }

// merge packs what lies before item i, then the edit in its place.
func (e *levelEditor) merge(ctx context.Context, i int, found bool, c change) error {
	if err := e.copyTo(ctx, i); err != nil {
		return err
	}
	if found {
		e.pos = i + 1
	}
	if c.gone {
		return nil
	}
	if !found && i == e.blk.Len() {
		if err := e.pass(ctx); err != nil {
			return err
		}
	}
	return e.put(ctx, c)
}

// copyTo packs items of blk up to item i.
func (e *levelEditor) copyTo(ctx context.Context, i int) error {
	if e.pos >= i {
		return nil
	}
	err := e.copy(ctx, e.blk, e.pos, i)
	e.pos = i
	return err
}

// cut takes a new chunk from the packer.
func (e *levelEditor) cut(ctx context.Context, ent entry) error {
	e.cutKey = ent.key
	return e.up(ctx, change{key: ent.key, entry: ent})
}

// pass tells the level above that the old chunk is gone, unless a new one with the same last key took its place.
func (e *levelEditor) pass(ctx context.Context) error {
	if e.passed {
		return nil
	}
	e.passed = true
	if e.cutKey != nil && bytes.Equal(e.cutKey, e.end) {
		return nil
	}
	return e.up(ctx, change{key: e.end, gone: true})
}

// settle packs the rest of blk and of the chunks that follow, until the packer stands at the end of an old chunk (then the editor
// is no longer active), or blk is the chunk for key. A nil key goes to the end of the level.
func (e *levelEditor) settle(ctx context.Context, key []byte) error {
	for {
		if err := e.copyTo(ctx, e.blk.Len()); err != nil {
			return err
		}
		if err := e.pass(ctx); err != nil {
			return err
		}
		if e.empty() {
			e.active = false
			return nil
		}
		more, err := e.at.next(ctx)
		if err != nil {
			return err
		}
		if !more {
			e.active = false
			return e.flush(ctx)
		}
		if err := e.load(ctx); err != nil {
			return err
		}
		if key != nil && e.holds(key) {
			return nil
		}
	}
}

// finish ends the level.
func (e *levelEditor) finish(ctx context.Context) error {
	if !e.active {
		return nil
	}
	return e.settle(ctx, nil)
}

// stored recognises the old chunk again, so that it need not be stored.
func (e *levelEditor) stored(key, data []byte) (hash.Hash, bool) {
	if bytes.Equal(key, e.end) && bytes.Equal(data, e.data) {
		return e.old.hash, true
	}
	return hash.Hash{}, false
}

// nodeBand is a level of interior nodes.
type nodeBand struct {
	r     chunk.Reader
	level uint8
	*nodePacker
}

func (ed *editor) newNodeEditor(level uint8) *levelEditor {
	e := &levelEditor{at: path{r: ed.st, root: ed.old, level: level}, up: ed.above(level)}
	p := newNodePacker(ed.st, level, e.cut)
	p.reuse = e.stored
	e.band = &nodeBand{r: ed.st, level: level, nodePacker: p}
	return e
}

func (b *nodeBand) open(ctx context.Context, h hash.Hash) (block, []byte, error) {
	nd, err := loadNode(ctx, b.r, h, b.level)
	return &nd, nd.data, err
}

func (b *nodeBand) same(blk block, i int, c *change) bool {
	e := blk.(*node).entry(i)
	return e.equal(&c.entry)
}

func (b *nodeBand) copy(ctx context.Context, blk block, i, j int) error {
	nd := blk.(*node)
	for ; i < j; i++ {
		if err := b.add(ctx, nd.entry(i)); err != nil {
			return err
		}
	}
	return nil
}

func (b *nodeBand) put(ctx context.Context, c change) error { return b.add(ctx, c.entry) }

// rowBand is the level of leaves.
type rowBand struct {
	r chunk.Reader
	*leafPacker
}

func (b *rowBand) open(ctx context.Context, h hash.Hash) (block, []byte, error) {
	leaf, data, err := loadLeafData(ctx, b.r, b.f, h)
	return leaf, data, err
}

func (b *rowBand) same(block, int, *change) bool { return false }

func (b *rowBand) copy(ctx context.Context, blk block, i, j int) error {
	return b.addFrom(ctx, blk.(Leaf), i, j)
}

func (b *rowBand) put(ctx context.Context, c change) error { return b.add(ctx, c.key, c.row) }
