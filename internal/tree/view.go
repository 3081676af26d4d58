package tree

import (
	"bytes"
	"context"
	"encoding/binary"
	"sync/atomic"
	"unsafe"

	"github.com/stemmadb/stemma/internal/binfmt"
	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// nodeView is an interior node made ready for lookups: the common prefix and the first 16 bytes of each key behind it lie together, so
// that a search, whose cost is that of reaching memory, hardly ever looks at the keys themselves. It is made ready by the second search:
// an edited node is searched once before the next edit replaces it. Otherwise it is immutable.
type nodeView struct {
	node
	heads    atomic.Pointer[head] // the first of as many as there are children; nil before they are made
	searched atomic.Bool
}

// head is the first 16 bytes of a key as two numbers whose order is theirs; shorter keys are filled with zero bytes.
type head [2]uint64

// viewNode is loadNode for lookups; the reader may keep the view.
func viewNode(ctx context.Context, r chunk.Reader, h hash.Hash, level uint8) (*nodeView, error) {
	v, err := chunk.View(ctx, r, h, openView)
	if err != nil {
		return nil, unread("node", h, err)
	}
	nd, ok := v.(*nodeView)
	if !ok || nd.level != level {
		return nil, errs.New(errs.Corrupt, "read node %s: it is not of level %d, as is due", h, level)
	}
	return nd, nil
}

// openView makes the view of a node.
func openView(data []byte) (any, int, error) {
	nd, err := openNode(data)
	if err != nil {
		return nil, 0, err
	}
	v := &nodeView{node: nd}
	v.prefix = bytes.Clone(nd.prefix)
	return v, int(unsafe.Sizeof(*v)) + len(v.prefix) + 16*nd.n, nil
}

// makeHeads makes the view ready.
func (v *nodeView) makeHeads() *head {
	heads := make([]head, v.n)
	for i := range heads {
		heads[i] = headOf(v.suffix(i))
	}
	v.heads.Store(&heads[0])
	return &heads[0]
}

func headOf(b []byte) head {
	if len(b) >= 16 {
		return head{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
	}
	return head{binfmt.Head(b), binfmt.Head(b[min(8, len(b)):])}
}

// below tells whether h comes before o.
func (h *head) below(o *head) bool { return h[0] < o[0] || h[0] == o[0] && h[1] < o[1] }

// seek is keyBlock.search.
func (v *nodeView) seek(key []byte) (int, bool) {
	first := v.heads.Load()
	if first == nil {
		if !v.searched.Swap(true) {
			return v.search(key)
		}
		first = v.makeHeads()
	}
	heads := unsafe.Slice(first, v.n)
	if p := len(v.prefix); p > 0 {
		c := bytes.Compare(key[:min(p, len(key))], v.prefix)
		if c < 0 {
			return 0, false
		}
		if c > 0 {
			return v.n, false
		}
		key = key[p:]
	}
	want := headOf(key)
	lo, hi := 0, len(heads)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		below := heads[m].below(&want)
		if heads[m] == want {
			c := bytes.Compare(v.suffix(m), key)
			if c == 0 {
				return m, true
			}
			below = c < 0
		}
		if below {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo, false
}
