package tree

import (
	"context"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
)

// path is a position among the chunks of one level: the way to it from the root. It reads the nodes above that level only.
type path struct {
	r     chunk.Reader
	root  Root
	level uint8
	seen  *seenNodes // nil reads every node anew
	steps []step     // from the root to the parent of the chunk; none when the root itself is of this level
}

// step is a node and which of its children the way takes.
type step struct {
	*node
	i int
}

// seenNodes is the node of each level that was read last, for walks of several levels of one tree that go the same way.
type seenNodes struct {
	r  chunk.Reader
	at []seenNode // by level, from 1 on
}

type seenNode struct {
	hash hash.Hash
	node *node
}

func newSeenNodes(r chunk.Reader, root Root) *seenNodes {
	return &seenNodes{r: r, at: make([]seenNode, root.Level)}
}

// load is the node named h.
func (s *seenNodes) load(ctx context.Context, h hash.Hash, level uint8) (*node, error) {
	at := &s.at[level-1]
	if at.node != nil && at.hash == h {
		return at.node, nil
	}
	nd, err := loadNode(ctx, s.r, h, level)
	if err != nil {
		return nil, err
	}
	at.hash, at.node = h, &nd
	return at.node, nil
}

// load reads a node on the way.
func (p *path) load(ctx context.Context, h hash.Hash, level uint8) (*node, error) {
	if p.seen != nil {
		return p.seen.load(ctx, h, level)
	}
	nd, err := loadNode(ctx, p.r, h, level)
	return &nd, err
}

// top makes the root the only step, when it is above the level.
func (p *path) top(ctx context.Context) error {
	p.steps = p.steps[:0]
	if p.root.Level == p.level {
		return nil
	}
	if p.steps == nil {
		p.steps = make([]step, 0, p.root.Level-p.level)
	}
	nd, err := p.load(ctx, p.root.Hash, p.root.Level)
	if err != nil {
		return err
	}
	p.steps = append(p.steps, step{node: nd})
	return nil
}

// descend goes from the last step down to the level. pick chooses the child in each node, the last step's included.
func (p *path) descend(ctx context.Context, pick func(nd *node) int) error {
	if len(p.steps) == 0 {
		return nil
	}
	for {
		s := &p.steps[len(p.steps)-1]
		s.i = pick(s.node)
		if s.node.level == p.level+1 {
			return nil
		}
		nd, err := p.load(ctx, s.hash(s.i), s.node.level-1)
		if err != nil {
			return err
		}
		p.steps = append(p.steps, step{node: nd})
	}
}

func firstChild(*node) int   { return 0 }
func lastChild(nd *node) int { return nd.n - 1 }

// seek goes to the first chunk whose last key is not below key, or to the last chunk.
func (p *path) seek(ctx context.Context, key []byte) error {
	if err := p.top(ctx); err != nil {
		return err
	}
	return p.descend(ctx, toward(key))
}

// toward picks the child in which key is or would be.
func toward(key []byte) func(nd *node) int {
	return func(nd *node) int {
		i, _ := nd.search(key)
		return min(i, nd.n-1)
	}
}

// forward is seek for a key that is not below the present chunk's rows; it keeps the nodes that both ways share.
func (p *path) forward(ctx context.Context, key []byte) error {
	if len(p.steps) == 0 {
		return p.seek(ctx, key)
	}
	for len(p.steps) > 1 {
		nd := p.steps[len(p.steps)-1].node
		if i, _ := nd.search(key); i < nd.n {
			break
		}
		p.steps = p.steps[:len(p.steps)-1]
	}
	return p.descend(ctx, toward(key))
}

// atLast tells whether no chunk follows.
func (p *path) atLast() bool {
	for i := range p.steps {
		if p.steps[i].i < p.steps[i].n-1 {
			return false
		}
	}
	return true
}

// next goes to the following chunk; at the last one it is false and nothing changes.
func (p *path) next(ctx context.Context) (bool, error) {
	d := len(p.steps) - 1
	for d >= 0 && p.steps[d].i == p.steps[d].n-1 {
		d--
	}
	if d < 0 {
		return false, nil
	}
	return true, p.turn(ctx, d, p.steps[d].i+1, firstChild)
}

// prev goes to the preceding chunk; at the first one it is false and nothing changes.
func (p *path) prev(ctx context.Context) (bool, error) {
	d := len(p.steps) - 1
	for d >= 0 && p.steps[d].i == 0 {
		d--
	}
	if d < 0 {
		return false, nil
	}
	return true, p.turn(ctx, d, p.steps[d].i-1, lastChild)
}

// turn takes child i at step d and goes down from there.
func (p *path) turn(ctx context.Context, d, i int, pick func(*node) int) error {
	p.steps = p.steps[:d+1]
	p.steps[d].i = i
	if d == len(p.steps)-1 && p.steps[d].node.level == p.level+1 {
		return nil
	}
	nd, err := p.load(ctx, p.steps[d].hash(i), p.steps[d].node.level-1)
	if err != nil {
		return err
	}
	p.steps = append(p.steps, step{node: nd})
	return p.descend(ctx, pick)
}

// chunk is the entry of the present chunk; its key is nil when it is the root, whose last key is written nowhere.
func (p *path) chunk() entry {
	if len(p.steps) == 0 {
		return entry{hash: p.root.Hash, count: p.root.Count, flags: p.root.Flags}
	}
	s := &p.steps[len(p.steps)-1]
	return s.entry(s.i)
}

// target is the hash of the present chunk and the number of rows below it.
func (p *path) target() (hash.Hash, uint64) {
	if len(p.steps) == 0 {
		return p.root.Hash, p.root.Count
	}
	s := &p.steps[len(p.steps)-1]
	return s.hash(s.i), s.count(s.i)
}

// parent is the node that names the present chunk, which of its children that is, and their number; ok is false for the root.
func (p *path) parent() (h hash.Hash, child, children int, ok bool) {
	d := len(p.steps) - 1
	if d < 0 {
		return hash.Hash{}, 0, 0, false
	}
	h = p.root.Hash
	if d > 0 {
		h = p.steps[d-1].hash(p.steps[d-1].i)
	}
	return h, p.steps[d].i, p.steps[d].n, true
}

// rowsBefore is the number of rows ahead of the present chunk.
func (p *path) rowsBefore() (sum uint64) {
	for i := range p.steps {
		sum += p.steps[i].rowsBefore(p.steps[i].i)
	}
	return sum
}
