package flight

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime/debug"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/stemmadb/stemma/internal/engine"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/frame"
	"github.com/stemmadb/stemma/internal/server/mysql"
)

// problem is an error with what it is about.
type problem struct {
	err                  error
	database, ref, table string
	hint                 string
	near                 []string // what may have been meant
	query                string   // the statement that failed
	duplicate            string   // how MySQL words the duplicate key
}

// Error implements error.
func (p *problem) Error() string { return p.err.Error() }

// Unwrap gives the error itself.
func (p *problem) Unwrap() error { return p.err }

// detail is what clients are told of an error; docs/design/accepted/0007-arrow.md describes it.
type detail struct {
	Code     string   `json:"code"`
	MySQL    int      `json:"mysql,omitempty"`
	Message  string   `json:"message"`
	Hint     *string  `json:"hint"`
	Meant    []string `json:"did_you_mean"`
	Database *string  `json:"database"`
	Ref      *string  `json:"ref"`
	Table    *string  `json:"table"`
	Column   *string  `json:"column"`
	Row      *uint64  `json:"row"`
}

// grpcCodes are gRPC's codes of the classes of errors.
var grpcCodes = map[errs.Code]codes.Code{
	errs.Internal: codes.Internal, errs.Invalid: codes.InvalidArgument, errs.NotFound: codes.NotFound, errs.Exists: codes.AlreadyExists,
	errs.Conflict: codes.Aborted, errs.DuplicateKey: codes.AlreadyExists, errs.Constraint: codes.FailedPrecondition,
	errs.Unsupported: codes.Unimplemented, errs.ReadOnly: codes.FailedPrecondition, errs.Denied: codes.PermissionDenied,
	errs.Locked: codes.Unavailable, errs.Corrupt: codes.DataLoss, errs.TooNew: codes.FailedPrecondition, errs.NoSpace: codes.ResourceExhausted,
	errs.Canceled: codes.Canceled, errs.Unavailable: codes.Unavailable, errs.NothingToDo: codes.FailedPrecondition,
}

// describe is what a client is told of an error.
func describe(err error) detail {
	var p problem
	if own := (*problem)(nil); errors.As(err, &own) {
		p = *own
	}
	if base, ref, about := engine.MissingRevision(deepest(err)); ref != "" {
		err, p.database, p.ref = about, base, ref
	}
	d := detail{Code: errs.CodeOf(err).String(), Message: err.Error(), Meant: p.near}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		d.Code = errs.Canceled.String()
	case !coded(err):
		var state string
		d.MySQL, state, d.Message = mysql.Describe(deepest(err), p.duplicate, p.query)
		d.Code = errs.Internal.String()
		if c, ok := mysql.Class(d.MySQL); ok {
			d.Code = c.String()
		} else if strings.HasPrefix(d.Message, "bind variable not provided") { // :name, which is no parameter here
			d.Code = errs.Invalid.String()
		} else if state != "HY000" {
			d.Code = errs.Invalid.String()
		}
	}
	if p.table == "" && d.Code == errs.NotFound.String() {
		p.table = missingTable(d.Message)
	}
	if p.ref == "" && d.Code == errs.NotFound.String() {
		p.ref = missingRef(d.Message)
	}
	for to, from := range map[**string]string{&d.Hint: p.hint, &d.Database: p.database, &d.Ref: p.ref, &d.Table: p.table} {
		if from != "" {
			*to = &from
		}
	}
	if d.Meant == nil {
		d.Meant = errs.Meant(err)
	}
	if d.Meant == nil {
		d.Meant = []string{}
	}
	if name := unknownColumn.FindStringSubmatch(d.Message); name != nil {
		d.Column = &name[1]
	}
	var cell *frame.CellError
	var column *frame.ColumnError
	switch {
	case errors.As(err, &cell):
		if cell.Column != "" {
			d.Column = &cell.Column
		}
		if cell.Row != frame.NoRow {
			d.Row = &cell.Row
		}
	case errors.As(err, &column):
		d.Column, d.Meant = &column.Column, column.Near
	}
	return d
}

// unknownColumn is what SQL says of a column that no table of a statement has.
var unknownColumn = regexp.MustCompile(`^column "([^"]+)" could not be found in any table in scope$`)

// missingRef is the ref in a message about one that does not exist, such as that of an AS OF; "" when it is about something else.
func missingRef(message string) string {
	name, ok := strings.CutPrefix(message, "branch or ref not found: ")
	if !ok {
		return ""
	}
	name, _, _ = strings.Cut(name, "; ")
	return name
}

// missingTable is the name in a message of verbs and of SQL about a table that does not exist; "" when it is about something else.
func missingTable(message string) string {
	name, ok := strings.CutPrefix(message, "table not found: ")
	if !ok {
		return ""
	}
	name, _, _ = strings.Cut(name, ";")
	name, _, _ = strings.Cut(name, ": ")
	return name
}

// coded tells whether an error has a class of errs of its own.
func coded(err error) bool {
	return errs.CodeOf(err) != errs.Internal
}

// deepest is the error that a problem is about.
func deepest(err error) error {
	var p *problem
	if errors.As(err, &p) {
		return p.err
	}
	return err
}

// trailerError is the trailer with a detail.
const trailerError = "stemma-error-bin"

// answer makes the status of an error, and its trailer.
func answer(err error) (metadata.MD, error) {
	if _, ok := status.FromError(err); ok && !errors.As(err, new(*problem)) {
		if s := status.Convert(err); s.Code() != codes.Unknown {
			return nil, err
		}
	}
	d := describe(err)
	code, ok := errs.ParseCode(d.Code)
	if !ok {
		code = errs.Internal
	}
	text, jerr := json.Marshal(d)
	if jerr != nil {
		return nil, status.Error(grpcCodes[code], d.Message)
	}
	st := status.New(grpcCodes[code], d.sentence())
	if with, err := st.WithDetails(wrapperspb.Bytes(text)); err == nil {
		st = with
	}
	return metadata.Pairs(trailerError, string(text)), st.Err()
}

// sentence is the message with what clients of stemma add to it, for those that only know gRPC.
func (d *detail) sentence() string {
	text := d.Message
	if len(d.Meant) > 0 && !strings.Contains(text, "did you mean") {
		text += "; did you mean '" + strings.Join(d.Meant, "' or '") + "'?"
	}
	if d.Hint != nil {
		text += " (" + *d.Hint + ")"
	}
	return text
}

// finish ends a call: a panic is an error, and errors get their form.
func (s *service) finish(method string, trailer func(metadata.MD), err *error) {
	if r := recover(); r != nil {
		s.opt.Log.Error("A call ended in a panic.", "call", method, "panic", r, "stack", string(debug.Stack()))
		*err = errs.New(errs.Internal, "internal error: %v", r)
	}
	if *err == nil || *err == io.EOF {
		return
	}
	md, st := answer(*err)
	if md != nil {
		trailer(md)
	}
	*err = st
}

// invalid is an error about what the client sent.
func invalid(format string, args ...any) error {
	return errs.With(errs.Invalid, fmt.Errorf(format, args...))
}
