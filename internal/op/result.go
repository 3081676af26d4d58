package op

import (
	"encoding/json"
	"fmt"
	"iter"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// Column is a column of a Result.
type Column struct {
	Name string
	Type value.Type
	// UTC says that its times are moments, in UTC; those of a DATETIME in a table have no zone.
	UTC bool
}

// Result is the answer of a verb: rows for programs, lines for people, or both.
//
// A cell is nil for NULL or has the Go type that its column's kind asks for:
//
//	Int8 … Int64, Year                int64
//	Uint8 … Uint64, Bit               uint64
//	Float32, Float64                  float64
//	Datetime, Timestamp               time.Time
//	Binary, Varbinary, Blob,
//	Geometry, Vector                  []byte
//	all others                        string (decimals, dates, JSON and the like as their text)
type Result struct {
	Columns []Column
	Rows    [][]any
	// Stream, when set, gives the rows instead of Rows, once. A Result with a Stream cannot be marshalled: see Collect.
	Stream iter.Seq2[[]any, error]
	// Lines are what a person is shown, without line ends. Nil means that the rows are drawn as a table.
	Lines []string
	// Parts are further answers, drawn one after the other behind this one: of each its Lines, then its rows.
	Parts []*Result
	// Hints are lines beside the answer: warnings and advice, which the command line writes to standard error.
	Hints []string
	// Detail is a structured answer that does not fit rows, as JSON; see SetDetail.
	Detail json.RawMessage
	// ExitCode is what a program exits with although nothing failed: 1 for "they differ" and "there is none", 4 for a merge that
	// left conflicts, else 0.
	ExitCode int
}

// Text is a column of strings.
func Text(name string) Column {
	return Column{Name: name, Type: value.Type{Kind: value.KindText, Length: 1<<32 - 1, Collation: value.CollationUtf8mb40900Bin}}
}

// Whole is a column of int64.
func Whole(name string) Column { return Column{Name: name, Type: value.Type{Kind: value.KindInt64}} }

// Number is a column of float64.
func Number(name string) Column { return Column{Name: name, Type: value.Type{Kind: value.KindFloat64}} }

// Flag is a column of truth values: int64 0 or 1, as SQL has them.
func Flag(name string) Column {
	return Column{Name: name, Type: value.Type{Kind: value.KindInt8, Length: 1}}
}

// Moment is a column of moments in UTC with microseconds.
func Moment(name string) Column {
	return Column{Name: name, Type: value.Type{Kind: value.KindDatetime, Precision: 6}, UTC: true}
}

// Document is a column of JSON text.
func Document(name string) Column { return Column{Name: name, Type: value.Type{Kind: value.KindJSON}} }

// Truth is b as a cell of a Flag column.
func Truth(b bool) any {
	if b {
		return int64(1)
	}
	return int64(0)
}

// Say is a Result of lines: text is cut at line ends, of which one at the end is dropped.
func Say(format string, args ...any) *Result {
	r := &Result{}
	r.Printf(format, args...)
	return r
}

// Printf adds lines to r.
func (r *Result) Printf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.Lines = append(r.Lines, strings.Split(strings.TrimSuffix(text, "\n"), "\n")...)
}

// Add adds a row.
func (r *Result) Add(cells ...any) { r.Rows = append(r.Rows, cells) }

// All are the rows, wherever they are.
func (r *Result) All() iter.Seq2[[]any, error] {
	if r.Stream != nil {
		return r.Stream
	}
	return func(yield func([]any, error) bool) {
		for _, row := range r.Rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}

// Collect reads the stream, if there is one, into Rows.
func (r *Result) Collect() error {
	for _, p := range r.Parts {
		if err := p.Collect(); err != nil {
			return err
		}
	}
	if r.Stream == nil {
		return nil
	}
	for row, err := range r.Stream {
		if err != nil {
			return err
		}
		r.Rows = append(r.Rows, append([]any(nil), row...))
	}
	r.Stream = nil
	return nil
}

// SetDetail keeps v's JSON as the detail.
func (r *Result) SetDetail(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return errs.New(errs.Internal, "encode detail: %w", err)
	}
	r.Detail = b
	return nil
}

// wireResult is the JSON of a Result.
type wireResult struct {
	Columns  []wireColumn        `json:"columns,omitempty"`
	Rows     [][]json.RawMessage `json:"rows,omitempty"`
	Lines    []string            `json:"lines"` // null: the rows are drawn
	Parts    []*Result           `json:"parts,omitempty"`
	Hints    []string            `json:"hints,omitempty"`
	Detail   json.RawMessage     `json:"detail,omitempty"`
	ExitCode int                 `json:"exit_code,omitempty"`
}

type wireColumn struct {
	Name      string          `json:"name"`
	Kind      value.Kind      `json:"kind"`
	Length    uint32          `json:"length,omitempty"`
	Precision uint8           `json:"precision,omitempty"`
	Scale     uint8           `json:"scale,omitempty"`
	Collation value.Collation `json:"collation,omitempty"`
	Subtype   uint8           `json:"subtype,omitempty"`
	SRID      uint32          `json:"srid,omitempty"`
	HasSRID   bool            `json:"has_srid,omitempty"`
	Values    []string        `json:"values,omitempty"`
	UTC       bool            `json:"utc,omitempty"`
}

// MarshalJSON encodes r. Errors are of class Internal: a row as long as the columns are not, a cell of a type that its column does not
// take, an unread stream.
func (r *Result) MarshalJSON() ([]byte, error) {
	if r.Stream != nil {
		return nil, errs.New(errs.Internal, "encode result: its rows have not been collected")
	}
	w := wireResult{Lines: r.Lines, Parts: r.Parts, Hints: r.Hints, Detail: r.Detail, ExitCode: r.ExitCode}
	for _, c := range r.Columns {
		t := c.Type
		w.Columns = append(w.Columns, wireColumn{c.Name, t.Kind, t.Length, t.Precision, t.Scale, t.Collation, t.Subtype, t.SRID, t.HasSRID, t.Values, c.UTC})
	}
	for i, row := range r.Rows {
		if len(row) != len(r.Columns) {
			return nil, errs.New(errs.Internal, "encode result: row %d has %d cells for %d columns", i+1, len(row), len(r.Columns))
		}
		out := make([]json.RawMessage, len(row))
		for j, cell := range row {
			b, err := encodeCell(r.Columns[j].Type, cell)
			if err != nil {
				return nil, fmt.Errorf("encode result: row %d, column %q: %w", i+1, r.Columns[j].Name, err)
			}
			out[j] = b
		}
		w.Rows = append(w.Rows, out)
	}
	return json.Marshal(w)
}

// UnmarshalJSON decodes what MarshalJSON made. Errors are of class Invalid.
func (r *Result) UnmarshalJSON(data []byte) error {
	var w wireResult
	if err := json.Unmarshal(data, &w); err != nil {
		return errs.New(errs.Invalid, "decode result: %w", err)
	}
	for i, p := range w.Parts {
		if p == nil {
			return errs.New(errs.Invalid, "decode result: part %d is null", i+1)
		}
	}
	*r = Result{Lines: w.Lines, Parts: w.Parts, Hints: w.Hints, Detail: w.Detail, ExitCode: w.ExitCode}
	for _, c := range w.Columns {
		r.Columns = append(r.Columns, Column{c.Name, value.Type{Kind: c.Kind, Length: c.Length, Precision: c.Precision, Scale: c.Scale,
			Collation: c.Collation, Subtype: c.Subtype, SRID: c.SRID, HasSRID: c.HasSRID, Values: c.Values}, c.UTC})
	}
	for i, row := range w.Rows {
		if len(row) != len(r.Columns) {
			return errs.New(errs.Invalid, "decode result: row %d has %d cells for %d columns", i+1, len(row), len(r.Columns))
		}
		cells := make([]any, len(row))
		for j, raw := range row {
			v, err := decodeCell(r.Columns[j].Type, raw)
			if err != nil {
				return fmt.Errorf("decode result: row %d, column %q: %w", i+1, r.Columns[j].Name, err)
			}
			cells[j] = v
		}
		r.Rows = append(r.Rows, cells)
	}
	return nil
}
