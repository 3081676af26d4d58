// Package errs classifies errors: every error that leaves an operation carries one Code, which each edge maps to its own
// convention (exit status, MySQL errno, gRPC status, HTTP status).
package errs

import (
	"errors"
	"fmt"
	"strings"
)

// Code is the class of an error. Edges map codes; messages are for people.
type Code uint8

// The codes. Their order is not stored anywhere.
const (
	Internal     Code = iota // a defect: not mapped by the one who made it
	Invalid                  // the request is malformed: bad flag, bad value, bad file
	NotFound                 // a named thing does not exist
	Exists                   // a named thing exists already
	Conflict                 // a concurrent change or a merge stands against this one; try again or resolve
	DuplicateKey             // a primary or unique key exists already
	Constraint               // another constraint of the schema is violated
	Unsupported              // understood, but not offered
	ReadOnly                 // the ref, session or directory cannot be written
	Denied                   // the user or the operating system forbids it
	Locked                   // another process owns the directory and does not answer
	Corrupt                  // stored bytes are not what they were
	TooNew                   // the store was written by a newer version
	NoSpace                  // the disk or a quota is full
	Canceled                 // the caller gave up
	Unavailable              // a server or remote cannot be reached
	NothingToDo              // nothing to commit, already up to date
)

var names = [...]string{
	Internal: "internal", Invalid: "invalid", NotFound: "not-found", Exists: "exists", Conflict: "conflict",
	DuplicateKey: "duplicate-key", Constraint: "constraint", Unsupported: "unsupported", ReadOnly: "read-only",
	Denied: "denied", Locked: "locked", Corrupt: "corrupt", TooNew: "too-new", NoSpace: "no-space",
	Canceled: "canceled", Unavailable: "unavailable", NothingToDo: "nothing-to-do",
}

// Codes lists every code, for the tables that must cover them all.
func Codes() []Code {
	out := make([]Code, len(names))
	for i := range out {
		out[i] = Code(i)
	}
	return out
}

// String is the code's stable name, used on wires and as the name of its help page.
func (c Code) String() string {
	if int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("code(%d)", uint8(c))
}

// ParseCode reads the name that String gives; ok is false for unknown names.
func ParseCode(s string) (c Code, ok bool) {
	for i, n := range names {
		if n == s {
			return Code(i), true
		}
	}
	return Internal, false
}

// FindCode is ParseCode for people: it takes a code in any case, without its dashes, behind E_, and as the classes of Python are called.
func FindCode(s string) (c Code, ok bool) {
	s = strings.TrimPrefix(strings.TrimPrefix(strings.ToLower(s), "stemma."), "e_")
	s = strings.NewReplacer("-", "", "_", "").Replace(strings.TrimSuffix(s, "error"))
	for i, n := range names {
		if strings.ReplaceAll(n, "-", "") == s {
			return Code(i), true
		}
	}
	return Internal, false
}

// coded is an error with a class.
type coded struct {
	code Code
	err  error
}

func (e *coded) Error() string { return e.err.Error() }
func (e *coded) Unwrap() error { return e.err }

// New makes an error of class c; format and args are fmt.Errorf's, %w included.
func New(c Code, format string, args ...any) error {
	return &coded{code: c, err: fmt.Errorf(format, args...)}
}

// With gives err the class c, keeping its message and chain. A nil err stays nil.
func With(c Code, err error) error {
	if err == nil {
		return nil
	}
	return &coded{code: c, err: err}
}

// CodeOf is the class of err: that of the outermost error in its chain that has one, else Internal.
func CodeOf(err error) Code {
	var c *coded
	if errors.As(err, &c) {
		return c.code
	}
	return Internal
}

// Is tells whether err has class c.
func Is(err error, c Code) bool { return err != nil && CodeOf(err) == c }
