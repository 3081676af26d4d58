package ingest

import (
	"fmt"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
)

// LineError says what is wrong with a record of a file. Its class is errs.Invalid, or that of the error that it wraps.
type LineError struct {
	File   string // how the user calls the file
	Unit   string // what Line counts; "" is lines
	Line   int64  // line on which the record begins, or on which the error is; from 1
	Column string // name of the field's column; "" when no one field is at fault
	Err    error
}

// Error is "prices.csv line 17, column price: …".
func (e *LineError) Error() string {
	var b strings.Builder
	unit := e.Unit
	if unit == "" {
		unit = "line"
	}
	fmt.Fprintf(&b, "%s %s %d", e.File, unit, e.Line)
	if e.Column != "" {
		fmt.Fprintf(&b, ", column %s", e.Column)
	}
	b.WriteString(": ")
	b.WriteString(e.Err.Error())
	return b.String()
}

// Unwrap gives the error its class.
func (e *LineError) Unwrap() error { return e.Err }

// Reason is the message without file and line, as a rejects file has it.
func (e *LineError) Reason() string {
	if e.Column != "" {
		return "column " + e.Column + ": " + e.Err.Error()
	}
	return e.Err.Error()
}

func invalid(format string, args ...any) error { return errs.New(errs.Invalid, format, args...) }
