// Package object is a store of named immutable or conditionally replaced objects, such as a bucket: what remotes are kept in. Its
// implementations are the packages below it; all pass the suite of objecttest.
//
// What every implementation keeps:
//
//	O1  An object is there whole or not at all, and durable when Put returns, with whatever outcome; seen by others it may be before.
//	O2  A put on a condition is atomic: of several with one condition exactly one succeeds.
//	O3  Who reads or lists after a Put has returned sees it.
package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
)

// Info describes an object.
type Info struct {
	Name string
	Size int64 // in bytes
}

// Generation tells the contents of an object from others that it had or will have. "" is no object.
type Generation string

// Condition is what must hold for a Put.
type Condition struct {
	on   bool
	want Generation
}

// Always is no condition.
var Always = Condition{}

// IfAbsent lets a put create an object, never replace one.
var IfAbsent = Condition{on: true}

// If lets a put replace the object of that generation, as Get gave it, and no other; "" is IfAbsent.
func If(g Generation) Condition { return Condition{on: true, want: g} }

// Holds tells whether the condition holds for an object of generation g, "" for none. It is for implementations.
func (c Condition) Holds(g Generation) bool { return !c.on || c.want == g }

// Wants is the generation that the object must have; ok is false for Always. It is for implementations.
func (c Condition) Wants() (g Generation, ok bool) { return c.want, c.on }

// Body is the bytes of an object to be put. They are read again when a put is repeated.
type Body interface {
	io.ReaderAt
	// Size is their number.
	Size() int64
}

// Bytes is a Body in memory.
func Bytes(b []byte) Body { return bytesBody(b) }

type bytesBody []byte

// ReadAt implements io.ReaderAt.
func (b bytesBody) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(b)) {
		return 0, io.EOF
	}
	n := copy(p, b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Size implements Body.
func (b bytesBody) Size() int64 { return int64(len(b)) }

// noPlace is an error of a store that is not there.
type noPlace struct{ error }

// Unwrap gives the error that it is.
func (e noPlace) Unwrap() error { return e.error }

// ErrNoPlace is the error for a request to a store that is not there as a whole: a bucket, a database of a server. Its class is Invalid, since
// NotFound is an object's. The parameters are fmt.Errorf's.
func ErrNoPlace(format string, args ...any) error {
	return errs.With(errs.Invalid, noPlace{fmt.Errorf(format, args...)})
}

// IsNoPlace tells whether err says that the store is not there.
func IsNoPlace(err error) bool {
	var e noPlace
	return errors.As(err, &e)
}

// Near tells whether a request to a store costs next to nothing, so that many for short ranges are as good as few for long ones.
func Near(s Store) bool {
	n, ok := s.(interface{ Near() bool })
	return ok && n.Near()
}

// Store is a store of objects. Names are CheckName's; another one is an error of class Invalid. All methods may be called by many
// goroutines. Errors are of class NotFound when an object is not there, Conflict when a condition does not hold, Denied when the
// credentials do not allow it, NoSpace, Canceled, and Unavailable when another try may help.
type Store interface {
	// Get reads a whole object and its generation. It is for small objects.
	Get(ctx context.Context, name string) ([]byte, Generation, error)
	// GetRange fills b with the bytes of an object from off on. An object that ends before is an error of class Corrupt.
	GetRange(ctx context.Context, name string, b []byte, off int64) error
	// Put makes an object hold the body. When the condition does not hold, what is there is durable, as after Settle.
	Put(ctx context.Context, name string, body Body, on Condition) error
	// Settle makes durable what the object holds, whoever has put it and died before Put returned: what is seen need not be durable.
	Settle(ctx context.Context, name string) error
	// List is the objects whose names begin with prefix, sorted by name.
	List(ctx context.Context, prefix string) ([]Info, error)
	// Stat describes an object.
	Stat(ctx context.Context, name string) (Info, error)
	// Delete removes an object. One that is not there is no error.
	Delete(ctx context.Context, name string) error
	// DeleteIf removes the object of that generation, as Get gave it. Where it is another one, or none, that is an error of class Conflict. Not every
	// server minds the condition: who relies on it tries first, on an object that nobody needs, whether a condition that does not hold is one. A store
	// that knows it cannot gives an error of class Unsupported.
	DeleteIf(ctx context.Context, name string, g Generation) error
	// URL is where the store is, without credentials, for messages.
	URL() string
}

// SomeLister is a Store that can list the first of many objects.
type SomeLister interface {
	// ListSome is List of the first objects by name, at least as many as most if there are so many.
	ListSome(ctx context.Context, prefix string, most int) ([]Info, error)
}

// ListSome lists the first objects, or all where the store cannot tell which those are.
func ListSome(ctx context.Context, s Store, prefix string, most int) ([]Info, error) {
	if l, ok := s.(SomeLister); ok {
		return l.ListSome(ctx, prefix, most)
	}
	return s.List(ctx, prefix)
}

// CheckName reports why name cannot be that of an object: lower-case letters, digits and ._-% in parts with slashes between, none of
// which is empty or begins with a dot. So names are the same on file systems that do not tell cases apart.
func CheckName(name string) error {
	for _, part := range strings.Split(name, "/") {
		if part == "" || part[0] == '.' {
			return errs.New(errs.Invalid, "'%s' is no name of an object: it has a part that is empty or begins with a dot", name)
		}
	}
	for _, c := range []byte(name) {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789._-%/", rune(c)) {
			return errs.New(errs.Invalid, "'%s' is no name of an object: it may consist of a-z, 0-9 and . _ - %% / only", name)
		}
	}
	return nil
}

// CheckPrefix reports why no name of an object can begin with prefix.
func CheckPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	return CheckName(strings.TrimSuffix(prefix, "/"))
}

// ErrNotFound is the error for an object that is not there.
func ErrNotFound(name string) error { return errs.New(errs.NotFound, "object %s is not there", name) }

// ErrCondition is the error for a put whose condition does not hold.
func ErrCondition(name string) error {
	return errs.New(errs.Conflict, "object %s was changed by somebody else", name)
}

// ErrShort is the error for an object that ends before a range that was asked for.
func ErrShort(name string, have, want int64) error {
	return errs.New(errs.Corrupt, "object %s has %d bytes, fewer than the %d that were to be read", name, have, want)
}

// ReadBody is the whole body in memory.
func ReadBody(b Body) ([]byte, error) {
	out := make([]byte, b.Size())
	n, err := b.ReadAt(out, 0)
	if n == len(out) {
		return out, nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return nil, err
}

// SortInfos sorts a list by name.
func SortInfos(list []Info) {
	slices.SortFunc(list, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
}
