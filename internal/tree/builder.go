package tree

import (
	"bytes"
	"context"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
)

// BuilderOptions tune a Builder. They never change the tree.
type BuilderOptions struct {
	// Parallel is the number of leaves that other goroutines may encode, hash and store at once; 0 does it all in the caller.
	Parallel int
}

// Builder makes a tree from rows in key order, leaf by leaf. It belongs to one goroutine. After an error it must not be used,
// and nothing that it started is still running.
type Builder struct {
	p     *leafPacker
	spine spine
	rows  uint64
	key   []byte
}

// NewBuilder is an empty builder of leaves of format f that stores chunks in w.
func NewBuilder(w chunk.Writer, f Format, o BuilderOptions) *Builder {
	b := &Builder{spine: spine{w: w}}
	b.p = newLeafPacker(w, f, b.spine.add)
	b.p.parallel = max(o.Parallel, 0)
	return b
}

// Add appends a row, whose key must be above all before it: an equal one is an error of class DuplicateKey, a lower one of class
// Invalid. The builder copies what it keeps.
func (b *Builder) Add(ctx context.Context, key, row []byte) error {
	if err := b.ascending(key); err != nil {
		return b.fail(ctx, err)
	}
	if err := b.p.add(ctx, key, row); err != nil {
		return b.fail(ctx, err)
	}
	b.rows++
	return nil
}

// AddLeafRows appends rows [i,j) of a leaf of the builder's format.
func (b *Builder) AddLeafRows(ctx context.Context, l Leaf, i, j int) error {
	if i < 0 || j > l.Len() || i > j {
		return b.fail(ctx, errs.New(errs.Internal, "add rows [%d,%d) of a leaf of %d", i, j, l.Len()))
	}
	if i == j {
		return nil
	}
	b.key = l.AppendKey(b.key[:0], i)
	if err := b.ascending(b.key); err != nil {
		return b.fail(ctx, err)
	}
	b.p.attach(l, j)
	if err := b.p.addFrom(ctx, i, j, 0); err != nil {
		return b.fail(ctx, err)
	}
	b.rows += uint64(j - i)
	return nil
}

// ascending verifies that key is above the last one.
func (b *Builder) ascending(key []byte) error {
	if b.rows == 0 {
		return nil
	}
	c := bytes.Compare(key, b.p.last)
	if c > 0 {
		return nil
	}
	if c == 0 {
		return errs.New(errs.DuplicateKey, "build tree: row %d has the key of row %d, %x", b.rows, b.rows-1, key)
	}
	return errs.New(errs.Invalid, "build tree: key %x of row %d is below its predecessor's, %x", key, b.rows, b.p.last)
}

// fail waits for what is under way, so that err is the last thing the builder does.
func (b *Builder) fail(ctx context.Context, err error) error {
	for _, job := range b.p.queue {
		<-job.done
	}
	b.p.queue = nil
	return err
}

// Len is the number of rows so far.
func (b *Builder) Len() uint64 { return b.rows }

// Finish stores what is left and returns the tree's root. Without rows it is the zero Root.
func (b *Builder) Finish(ctx context.Context) (Root, error) {
	if err := b.p.flush(ctx); err != nil {
		return Root{}, b.fail(ctx, err)
	}
	b.p.release()
	return b.spine.finish(ctx)
}

// Close gives up a builder that is not finished: it waits for what is under way. After Finish it does nothing.
func (b *Builder) Close() {
	for _, job := range b.p.queue {
		<-job.done
	}
	b.p.queue = nil
}
