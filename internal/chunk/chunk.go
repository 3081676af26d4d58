// Package chunk is the byte contract of the store: an immutable object is a chunk, named by the hash of its canonical bytes.
// Every chunk begins with its Kind and the version of that kind's format.
package chunk

import (
	"cmp"
	"context"
	"errors"
	"strconv"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// Kind is the first byte of a chunk.
type Kind byte

// The kinds. The numbers are part of the format (docs/format.md).
const (
	KindPage    Kind = 1  // columnar leaf of a table or index tree
	KindNode    Kind = 2  // interior node of any tree
	KindRowLeaf Kind = 3  // key/value leaf: roots, refs, blob trees
	KindGroup   Kind = 4  // a column group that a page keeps outside itself
	KindBlob    Kind = 5  // a piece of a long cell
	KindSchema  Kind = 6  // schema of a table
	KindTable   Kind = 7  // table: schema, primary tree, index trees
	KindCommit  Kind = 8  // commit
	KindTag     Kind = 9  // annotated tag
	KindMerge   Kind = 10 // merge in progress
	KindStash   Kind = 11 // changes set aside
	KindRebase  Kind = 12 // rebase in progress

	KindDictionary Kind = 13 // a dictionary with which others of its pack are compressed; no part of a database
)

// String is what messages call a chunk of the kind.
func (k Kind) String() string {
	names := [...]string{
		KindPage: "page", KindNode: "tree node", KindRowLeaf: "leaf", KindGroup: "column group", KindBlob: "piece of a long cell", KindSchema: "schema",
		KindTable: "table", KindCommit: "commit", KindTag: "tag", KindMerge: "merge in progress", KindStash: "stash", KindRebase: "rebase in progress", KindDictionary: "dictionary",
	}
	if int(k) < len(names) && names[k] != "" {
		return names[k]
	}
	return "chunk of kind " + strconv.Itoa(int(k))
}

// Version is the second byte of a chunk. Each kind counts its own.
type Version = byte

// OldAdvice says what to do about data of a format version that is no longer read.
const OldAdvice = "export the tables with the version of stemma that wrote it, and import them here"

// MaxSize is the largest chunk that a store takes, in bytes.
const MaxSize = 64 << 20

// Reader finds chunks.
type Reader interface {
	// Get is the chunk's canonical bytes, which the caller must not change and which stay valid as long as they are held.
	// An absent chunk is an error of class NotFound; bytes that do not have this hash are an error of class Corrupt.
	Get(ctx context.Context, h hash.Hash) ([]byte, error)
}

// Viewer is a Reader that can keep what a reader makes of a chunk beside the chunk.
type Viewer interface {
	Reader
	// View is what open made of the chunk, now or before, for as long as the chunk stays in memory. open must depend on the chunk's
	// bytes only and size is what v takes in memory; readers of one kind of chunk use one open. v is used by many goroutines.
	View(ctx context.Context, h hash.Hash, open func(data []byte) (v any, size int, err error)) (any, error)
}

// View is what open makes of a chunk of r, which keeps it when it is a Viewer.
func View(ctx context.Context, r Reader, h hash.Hash, open func(data []byte) (v any, size int, err error)) (any, error) {
	if vr, ok := r.(Viewer); ok {
		return vr.View(ctx, h, open)
	}
	data, err := r.Get(ctx, h)
	if err != nil {
		return nil, err
	}
	v, _, err := open(data)
	return v, err
}

// Appender is a Reader that can put chunks into the caller's memory.
type Appender interface {
	Reader
	// AppendChunk appends the chunk's canonical bytes to dst and returns the longer slice. Unlike Get it does not keep the chunk in
	// memory: it is for those who read many chunks once. Errors are those of Get.
	AppendChunk(ctx context.Context, dst []byte, h hash.Hash) ([]byte, error)
}

// Append appends a chunk of r to dst and returns the longer slice, by AppendChunk when r is an Appender.
func Append(ctx context.Context, r Reader, dst []byte, h hash.Hash) ([]byte, error) {
	if a, ok := r.(Appender); ok {
		return a.AppendChunk(ctx, dst, h)
	}
	data, err := r.Get(ctx, h)
	return append(dst, data...), err
}

// Passer is a Reader that has another for those who go through a table once: what they read does not drive out what others need, nor
// fill memory.
type Passer interface {
	Passing() Reader
}

// Passing is r for one who reads many chunks once; r itself when it makes no difference.
func Passing(r Reader) Reader {
	if p, ok := r.(Passer); ok {
		return p.Passing()
	}
	return r
}

// Projector is a Reader that has another for those who need some columns of pages only: it may give pages that were read without the others, and that know
// that (docs/format.md, Striped packs). What it gives is not to be kept under the hash of the page.
type Projector interface {
	// Projecting is that reader, for columns with these ids, which ascend.
	Projecting(ids []uint64) Reader
}

// Projecting is r for one who needs these columns of pages only; r itself when it makes no difference.
func Projecting(r Reader, ids []uint64) Reader {
	if p, ok := r.(Projector); ok {
		return p.Projecting(ids)
	}
	return r
}

// Projection is a Reader whose pages may be without columns. Of any other such a page is corrupt.
type Projection interface {
	Reader
	// Projects does nothing.
	Projects()
}

// Writer keeps chunks.
type Writer interface {
	// Put keeps data, which the caller must not change any more, and returns its hash. It may be called by many goroutines.
	// The chunk can be read through the same store at once; when it becomes durable is the store's matter.
	Put(ctx context.Context, data []byte) (hash.Hash, error)
}

// Store reads and writes.
type Store interface {
	Reader
	Writer
	// Has tells whether the chunk is there.
	Has(ctx context.Context, h hash.Hash) (bool, error)
}

// ErrMissing is the error for an absent chunk.
func ErrMissing(h hash.Hash) error {
	return errs.New(errs.NotFound, "read chunk %s: not in the store", h)
}

// Absent is the error, of class NotFound, for a chunk that a part of a database does not have though the whole has it.
type Absent struct {
	Thing string // what it is for those who asked for it: "commit …", "the table …"; "" when nobody has said that yet
	Hash  hash.Hash
	Else  string // what it is called while Thing is ""; "" for its hash
	Why   string // what follows "is not here: "
}

// Error implements error.
func (a *Absent) Error() string {
	thing := cmp.Or(a.Thing, a.Else)
	if thing == "" {
		thing = "chunk " + a.Hash.String()
	}
	return thing + " is not here: " + a.Why
}

// ErrAbsent is an Absent error with its class.
func ErrAbsent(h hash.Hash, why string) error {
	return errs.With(errs.NotFound, &Absent{Hash: h, Why: why})
}

// IsAbsent tells whether err is that of a chunk which a part of a database does not have.
func IsAbsent(err error) bool {
	var a *Absent
	return errors.As(err, &a)
}

// NameAbsent is err and, when it is that of an absent chunk which has no other name yet, says what the chunk is.
func NameAbsent(err error, thing string) error {
	var a *Absent
	if !errors.As(err, &a) || a.Thing != "" {
		return err
	}
	named := *a
	named.Thing = thing
	return errs.With(errs.NotFound, &named)
}

// Naming is r with errors for absent chunks that say what these belong to: see NameAbsent.
func Naming(r Reader, thing string) Reader { return naming{r, thing} }

// NamingAs is r with the errors of like, if that is a reader of Naming; r itself otherwise.
func NamingAs(like, r Reader) Reader {
	if n, ok := like.(naming); ok {
		return Naming(r, n.thing)
	}
	return r
}

// naming is the reader of Naming.
type naming struct {
	r     Reader
	thing string
}

// Get implements Reader.
func (n naming) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	data, err := n.r.Get(ctx, h)
	return data, NameAbsent(err, n.thing)
}

// View implements Viewer.
func (n naming) View(ctx context.Context, h hash.Hash, open func(data []byte) (v any, size int, err error)) (any, error) {
	v, err := View(ctx, n.r, h, open)
	return v, NameAbsent(err, n.thing)
}

// AppendChunk implements Appender.
func (n naming) AppendChunk(ctx context.Context, dst []byte, h hash.Hash) ([]byte, error) {
	dst, err := Append(ctx, n.r, dst, h)
	return dst, NameAbsent(err, n.thing)
}

// CheckKind verifies the first two bytes of a chunk and returns the body behind them. A version above max is of class TooNew.
func CheckKind(data []byte, k Kind, max Version) (Version, []byte, error) {
	if len(data) < 2 || Kind(data[0]) != k {
		return 0, nil, errs.New(errs.Corrupt, "read %s: the chunk is of another kind", k)
	}
	if data[1] > max {
		return 0, nil, errs.New(errs.TooNew, "read %s: format version %d is newer than this program's %d; use a newer stemma", k, data[1], max)
	}
	if data[1] == 0 {
		return 0, nil, errs.New(errs.Corrupt, "read %s: format version 0", k)
	}
	return data[1], data[2:], nil
}
