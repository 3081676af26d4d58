package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// Problem is a chunk that breaks an invariant of the package, or cannot be read.
type Problem struct {
	Hash  hash.Hash
	Level int // as in Visit
	Err   error
}

// Error says what is wrong.
func (p Problem) Error() string {
	return fmt.Sprintf("check chunk %s, level %d: %v", p.Hash, p.Level, p.Err)
}

// Unwrap is what is wrong.
func (p Problem) Unwrap() error { return p.Err }

// Check verifies T1 to T6 for a whole tree, and that everything it names is there and has the bytes that its hash says. It calls
// report for each problem and goes on with what can still be read; an error of report ends it and is returned. The leaves' own
// encoding is verified by building each anew.
func Check(ctx context.Context, r chunk.Reader, f Format, root Root, report func(Problem) error) error {
	return CheckNew(ctx, r, f, root, nil, report)
}

// Checked remembers the chunks of trees of one Format that were verified, so that trees that share chunks cost what they do not
// share. The zero Checked is empty and ready.
type Checked struct {
	seen map[hash.Hash]seenChunk
	// refs are values out of line, and other chunks that leaves name, that were found whole: leaves that share rows name the same. There
	// are at most refsKept; those of leaves that were verified one after the other are what matters.
	refs map[hash.Hash]struct{}
}

// refsKept bounds Checked.refs.
const refsKept = 1 << 20

// seenChunk is what a chunk was found to be.
type seenChunk struct {
	entry entry
	final bool // it was the last of its level, where the boundary rule need not end it
}

// CheckNew is Check for the chunks that checked does not remember yet; it remembers them. A nil checked remembers nothing.
func CheckNew(ctx context.Context, r chunk.Reader, f Format, root Root, checked *Checked, report func(Problem) error) error {
	if root.IsEmpty() {
		if root != (Root{}) {
			return report(Problem{Hash: root.Hash, Level: int(root.Level), Err: errs.New(errs.Corrupt, "a root of no rows that is not zero (T4)")})
		}
		return nil
	}
	c := &checker{r: r, f: f, lb: f.NewBuilder(), split: make([]splitter, int(root.Level)+1), checked: checked}
	if checked != nil && checked.seen == nil {
		checked.seen, checked.refs = map[hash.Hash]seenChunk{}, map[hash.Hash]struct{}{}
	}
	for i := range c.split {
		target := nodeTarget
		if i == 0 {
			target = f.Target()
		}
		c.split[i] = newSplitter(target, uint8(i))
	}
	c.report = func(p Problem) error {
		c.problems++
		return report(p)
	}
	top := entry{hash: root.Hash, count: root.Count, flags: root.Flags}
	return c.check(ctx, top, root.Level, true, true)
}

type checker struct {
	r      chunk.Reader
	f      Format
	report func(Problem) error
	lb     LeafBuilder
	split  []splitter // by level; each fed in key order
	key    []byte     // the last row's key
	any    bool       // there was a row

	checked  *Checked // nil: nothing is remembered
	problems int
}

// known tells whether the chunk of e was verified before, in this place or in one that asks for no less.
func (c *checker) known(e entry, last bool) bool {
	if c.checked == nil || e.key == nil {
		return false
	}
	s, ok := c.checked.seen[e.hash]
	if !ok || s.final && !last || s.entry.count != e.count || s.entry.flags != e.flags || !bytes.Equal(s.entry.key, e.key) {
		return false
	}
	c.key, c.any = append(c.key[:0], e.key...), true
	return true
}

// found reports what is wrong with a chunk.
func (c *checker) found(h hash.Hash, level int, format string, args ...any) error {
	return c.report(Problem{Hash: h, Level: level, Err: errs.New(errs.Corrupt, format, args...)})
}

// check verifies the chunk of e, whose key is nil for the root. last tells that no chunk of its level follows.
func (c *checker) check(ctx context.Context, e entry, level uint8, root, last bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.known(e, last) {
		return nil
	}
	before := c.problems
	if err := c.checkChunk(ctx, e, level, root, last); err != nil {
		return err
	}
	if c.checked != nil && e.key != nil && c.problems == before {
		c.checked.seen[e.hash] = seenChunk{entry: entry{hash: e.hash, count: e.count, flags: e.flags, key: bytes.Clone(e.key)}, final: last}
	}
	return nil
}

func (c *checker) checkChunk(ctx context.Context, e entry, level uint8, root, last bool) error {
	data, err := c.r.Get(ctx, e.hash)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.split[level].reset()
		return c.report(Problem{Hash: e.hash, Level: int(level), Err: err})
	}
	if hash.Sum(data) != e.hash {
		c.split[level].reset()
		return c.found(e.hash, int(level), "its bytes have another hash, %s", hash.Sum(data))
	}
	if level == 0 {
		return c.leaf(ctx, e, data, root, last)
	}
	return c.node(ctx, e, data, level, root, last)
}

func (c *checker) node(ctx context.Context, e entry, data []byte, level uint8, root, last bool) error {
	s := &c.split[level]
	nd, err := openNode(data)
	if err != nil {
		s.reset()
		return c.report(Problem{Hash: e.hash, Level: int(level), Err: err})
	}
	if nd.level != level {
		s.reset()
		return c.found(e.hash, int(level), "level %d where %d is due (T6)", nd.level, level)
	}
	if root && nd.n < 2 {
		if err := c.found(e.hash, int(level), "a root with one child (T4)"); err != nil {
			return err
		}
	}
	es := make([]entry, nd.n)
	sum := entry{}
	for i := range es {
		es[i] = nd.entry(i)
		sum.count += es[i].count
		sum.flags |= es[i].flags
		if i > 0 && bytes.Compare(es[i].key, es[i-1].key) <= 0 {
			if err := c.found(e.hash, int(level), "key %d is not above key %d (T1)", i, i-1); err != nil {
				return err
			}
		}
		if err := c.cut(e.hash, level, es[i].key, entryWeight(es[i].key), i == nd.n-1, last); err != nil {
			return err
		}
	}
	sum.key = es[nd.n-1].key
	if err := c.promise(e, sum, level); err != nil {
		return err
	}
	if again, err := encodeNode(level, es); err != nil || !bytes.Equal(again, data) {
		if err := c.found(e.hash, int(level), "not the canonical encoding of its children (T5)"); err != nil {
			return err
		}
	}
	for i := range es {
		if err := c.check(ctx, es[i], level-1, false, last && i == nd.n-1); err != nil {
			return err
		}
	}
	return nil
}

// cut feeds an item to the boundary rule and verifies that the chunk ends where the rule says (T2).
func (c *checker) cut(h hash.Hash, level uint8, key []byte, weight int, final, last bool) error {
	s := &c.split[level]
	cut := s.add(key, weight)
	switch {
	case cut && !final:
		return c.found(h, int(level), "goes on past key %x, where it should end (T2)", key)
	case !cut && final:
		s.reset()
		if !last {
			return c.found(h, int(level), "ends at key %x, where it should go on (T2)", key)
		}
	}
	return nil
}

// promise verifies what the parent says of a chunk (T3).
func (c *checker) promise(e, have entry, level uint8) error {
	if e.key != nil && !bytes.Equal(e.key, have.key) {
		if err := c.found(e.hash, int(level), "last key is %x, its parent says %x (T3)", have.key, e.key); err != nil {
			return err
		}
	}
	if e.count != have.count {
		if err := c.found(e.hash, int(level), "%d rows, its parent says %d (T3)", have.count, e.count); err != nil {
			return err
		}
	}
	if e.flags != have.flags {
		return c.found(e.hash, int(level), "flags %d, its parent says %d (T3)", have.flags, e.flags)
	}
	return nil
}

func (c *checker) leaf(ctx context.Context, e entry, data []byte, root, last bool) error {
	bad := func(err error) error {
		c.split[0].reset()
		return c.report(Problem{Hash: e.hash, Err: err})
	}
	l, err := c.f.Open(c.r, data)
	if err != nil {
		return bad(err)
	}
	n := l.Len()
	if n == 0 {
		return bad(errs.New(errs.Corrupt, "a leaf without rows"))
	}
	weights, err := l.Weights(ctx, nil, 0, n)
	if err != nil {
		return bad(err)
	}
	var key []byte
	for i := range n {
		key = l.AppendKey(key[:0], i)
		if c.any && bytes.Compare(key, c.key) <= 0 {
			if err := c.found(e.hash, 0, "the key of row %d, %x, is not above the one ahead of it (T1)", i, key); err != nil {
				return err
			}
		}
		c.key, c.any = append(c.key[:0], key...), true
		if w := int(weights[i]); w < 1 || w > max(1, c.f.Target()/64) {
			if err := c.found(e.hash, 0, "row %d weighs %d", i, w); err != nil {
				return err
			}
		}
		if err := c.cut(e.hash, 0, key, int(weights[i]), i == n-1, last); err != nil {
			return err
		}
	}
	if err := c.anew(ctx, e, l, data, key); err != nil {
		return err
	}
	return l.Refs(ctx, func(ref Ref) error { return c.ref(ctx, ref) })
}

// anew builds the leaf again and compares (T5).
func (c *checker) anew(ctx context.Context, e entry, l Leaf, data, last []byte) error {
	err := c.lb.AddFrom(ctx, l, 0, l.Len())
	if err != nil {
		c.lb = c.f.NewBuilder()
		return c.report(Problem{Hash: e.hash, Err: err})
	}
	again, flags, err := c.lb.Finish(ctx, discard{})
	if err != nil {
		c.lb = c.f.NewBuilder()
		return c.report(Problem{Hash: e.hash, Err: err})
	}
	if !bytes.Equal(again, data) {
		if err := c.found(e.hash, 0, "not the canonical encoding of its rows (T5)"); err != nil {
			return err
		}
	}
	return c.promise(e, entry{key: last, count: uint64(l.Len()), flags: flags}, 0)
}

// ref verifies that what a leaf names is there whole.
func (c *checker) ref(ctx context.Context, ref Ref) error {
	if c.checked != nil {
		if _, ok := c.checked.refs[ref.Hash]; ok {
			return nil
		}
	}
	before := c.problems
	var err error
	if ref.Blob {
		err = c.blob(ctx, ref.Hash)
	} else {
		err = c.whole(ctx, ref.Hash, LevelRef)
	}
	if err == nil && c.checked != nil && c.problems == before {
		if len(c.checked.refs) >= refsKept {
			clear(c.checked.refs)
		}
		c.checked.refs[ref.Hash] = struct{}{}
	}
	return err
}

// blob verifies every chunk of an out-of-line cell.
func (c *checker) blob(ctx context.Context, root hash.Hash) error {
	stop := errors.New("stop")
	var failed error
	err := WalkBlob(ctx, c.r, root, func(h hash.Hash, level int, _ Flags) (bool, error) {
		if failed = c.whole(ctx, h, level); failed != nil {
			return false, stop
		}
		return true, nil
	})
	if err != nil && !errors.Is(err, stop) {
		return c.report(Problem{Hash: root, Level: LevelBlob, Err: err})
	}
	return failed
}

// whole verifies a chunk's bytes.
func (c *checker) whole(ctx context.Context, h hash.Hash, level int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	data, err := c.r.Get(ctx, h)
	if err != nil {
		return c.report(Problem{Hash: h, Level: level, Err: err})
	}
	if hash.Sum(data) != h {
		return c.found(h, level, "its bytes have another hash, %s", hash.Sum(data))
	}
	return nil
}

// discard names chunks without keeping them.
type discard struct{}

func (discard) Put(_ context.Context, data []byte) (hash.Hash, error) { return hash.Sum(data), nil }
