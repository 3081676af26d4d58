package tree

import (
	"bytes"
	"context"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

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
	// copy packs items [i,j) of b; those below quiet are known not to end a chunk.
	copy(ctx context.Context, b block, i, j, quiet int) error
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

	old  hash.Hash // of blk
	data []byte
	end  []byte // the last key of blk

	active  bool   // items are being packed
	pos     int    // items of blk already packed or dropped; only when active
	passed  bool   // that blk ends here was passed up; only when active
	aligned bool   // the packer is empty and at the start of blk; only when active
	cutKey  []byte // the last new chunk's last key
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
	e.old, _ = e.at.target()
	blk, data, err := e.open(ctx, e.old)
	if err != nil {
		return err
	}
	if blk.Len() == 0 {
		return errs.New(errs.Corrupt, "read chunk %s: no items", e.old)
	}
	e.blk, e.data = blk, data
	e.end = blk.AppendKey(e.end[:0], blk.Len()-1)
	e.pos, e.passed, e.aligned = 0, false, false
	return nil
}

// begin starts packing at the start of blk, which is the start of a chunk in the new tree too.
func (e *levelEditor) begin() { e.active, e.pos, e.passed, e.aligned = true, 0, false, true }

// merge packs what lies before item i, then the edit in its place.
func (e *levelEditor) merge(ctx context.Context, i int, found bool, c change) error {
	if err := e.copyTo(ctx, i); err != nil {
		return err
	}
	e.aligned = false
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
	// The chunk that starts where blk does holds the same items so far, so by T2 it ends at none of them but blk's last: their keys
	// need not be hashed, nor even read.
	quiet := 0
	if e.aligned && e.pos == 0 {
		quiet = min(i, e.blk.Len()-1)
	}
	err := e.copy(ctx, e.blk, e.pos, i, quiet)
	e.pos, e.aligned = i, false
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
		return e.old, true
	}
	return hash.Hash{}, false
}

// nodeBand is a level of interior nodes.
type nodeBand struct {
	seen        *seenNodes
	level       uint8
	*nodePacker // made when items are packed first
}

func (b *nodeBand) open(ctx context.Context, h hash.Hash) (block, []byte, error) {
	nd, err := b.seen.load(ctx, h, b.level)
	if err != nil {
		return nil, nil, err
	}
	return nd, nd.data, nil
}

func (b *nodeBand) same(blk block, i int, c *change) bool {
	nd := blk.(*node)
	return nd.hash(i) == c.hash && nd.count(i) == c.count && nd.flags(i) == c.entry.flags
}

func (b *nodeBand) copy(ctx context.Context, blk block, i, j, quiet int) error {
	nd := blk.(*node)
	for ; i < min(j, quiet); i++ {
		b.pass(nd.entry(i))
	}
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
	if err == nil {
		b.attach(leaf, leaf.Len())
	}
	return leaf, data, err
}

func (b *rowBand) same(block, int, *change) bool { return false }

func (b *rowBand) copy(ctx context.Context, _ block, i, j, quiet int) error {
	return b.addFrom(ctx, i, j, quiet)
}

func (b *rowBand) put(ctx context.Context, c change) error { return b.add(ctx, c.key, c.row) }
