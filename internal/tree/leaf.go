package tree

import (
	"context"

	"github.com/stemmadb/stemma/internal/chunk"
)

// Format is all that a tree knows of its leaves: how to open, build, patch and compare them. A row is a key, whose byte order is
// the order of the tree, and a row payload that only the format reads. A Format is immutable and used by many goroutines.
type Format interface {
	// Open reads a leaf chunk in place. r serves chunks that the leaf refers to; the leaf keeps it.
	Open(r chunk.Reader, data []byte) (Leaf, error)
	// NewBuilder is an empty leaf builder. A builder belongs to one goroutine at a time.
	NewBuilder() LeafBuilder
	// Target is the aim for the sum of weights in a leaf (T of docs/format.md).
	Target() int
	// Patch re-encodes l with new payloads for some of its rows, whose keys and weights stay the same. ok is false when a weight
	// changes or the format has no faster way than a builder; the result is otherwise byte for byte what a builder would make.
	Patch(ctx context.Context, w chunk.Writer, l Leaf, patches []Patch) (data []byte, flags Flags, ok bool, err error)
	// Diff compares rows [alo,ahi) of a with rows [blo,bhi) of b, both in key order, and calls emit in key order for every row
	// that differs: (i, -1) for a row of a only, (-1, j) for a row of b only, (i, j) for one key with two payloads.
	Diff(ctx context.Context, a Leaf, alo, ahi int, b Leaf, blo, bhi int, emit func(i, j int) error) error
}

// Flags say what a leaf holds beside its rows. They rise to every ancestor, so that walks open only what they must.
type Flags uint8

// FlagRefs says that the leaf names other chunks: column groups or out-of-line cells.
const FlagRefs Flags = 1

// Patch is a new payload for row Index of a leaf.
type Patch struct {
	Index int
	Row   []byte
}

// Leaf is an opened leaf chunk: rows in strictly ascending key order. It is immutable and used by many goroutines.
type Leaf interface {
	// Len is the number of rows.
	Len() int
	// Search is the index of the first row whose key is not below key, and whether its key is equal.
	Search(key []byte) (int, bool)
	// AppendKey appends row i's key to dst.
	AppendKey(dst []byte, i int) []byte
	// AppendRow appends row i's payload to dst.
	AppendRow(ctx context.Context, dst []byte, i int) ([]byte, error)
	// Weights appends the weights of rows [i,j) to dst.
	Weights(ctx context.Context, dst []int32, i, j int) ([]int32, error)
	// Refs calls fn for every chunk that the leaf names (column groups, roots of out-of-line cells) with its hash bytes.
	Refs(ctx context.Context, fn func(ref Ref) error) error
}

// KeyAppender is a Leaf that makes the keys of many rows faster than one by one.
type KeyAppender interface {
	// AppendKeys appends the keys of rows [i,j) to dst, one behind the other, and to ends where each ends in dst.
	AppendKeys(dst []byte, ends []int, i, j int) ([]byte, []int)
}

// Recycler is a LeafBuilder that can serve again.
type Recycler interface {
	// Recycle gives the empty builder back to its Format. It must not be used any more.
	Recycle()
}

// LeafBuilder collects rows in key order and encodes them as one leaf.
type LeafBuilder interface {
	// Add appends a row and returns its weight, an integer from 1 to Target/64 that is a pure function of the payload.
	// The builder copies what it needs of key and row. Malformed payloads are an error.
	Add(key, row []byte) (weight int, err error)
	// AddFrom appends rows [i,j) of a leaf of the same format, without making payloads where it can.
	AddFrom(ctx context.Context, l Leaf, i, j int) error
	// Len is the number of rows so far.
	Len() int
	// Finish encodes the rows, puts what they keep outside the leaf into w, and empties the builder. The bytes are a pure function
	// of the rows and the format.
	Finish(ctx context.Context, w chunk.Writer) (data []byte, flags Flags, err error)
}
