package cli

import (
	"bufio"
	"io"
	"iter"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
)

// Format is a form in which rows are drawn.
type Format string

// The formats, by the names that --result-format takes.
const (
	Tabular  Format = "tabular"  // boxes, as MySQL's and Dolt's clients draw them
	CSV      Format = "csv"      // RFC 4180 with a header; NULL is nothing, the empty string is ""
	JSON     Format = "json"     // {"rows": [{…},{…}]}, a member for each cell that is not NULL
	Vertical Format = "vertical" // a line for each cell, as MySQL's \G
	Parquet  Format = "parquet"  // a file of Parquet; of sql only
)

// ParseFormat reads a format's name; "" is Tabular.
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case "":
		return Tabular, nil
	case Tabular, CSV, JSON, Vertical:
		return f, nil
	}
	return "", errs.New(errs.Invalid, "result format %q: want tabular, csv, json or vertical", s)
}

// renderer draws rows one after the other.
type renderer interface {
	row(cells []any) error
	end() error // after the last row
}

// Render draws rows on w and returns their number. Cells are those of op.Result, or texts of values of any type. Memory use does not
// grow with the number of rows.
//
// What is drawn for no rows is Dolt's: nothing in a table, {} in JSON, the header in CSV.
func Render(w io.Writer, f Format, cols []op.Column, rows iter.Seq2[[]any, error]) (n int64, err error) {
	b := bufio.NewWriterSize(w, 64<<10)
	var r renderer
	switch f {
	case CSV:
		if r, err = newCSV(b, cols); err != nil {
			return 0, drawError(err)
		}
	case JSON:
		if r, err = newJSON(b, cols); err != nil {
			return 0, err
		}
	case Vertical:
		r = newVertical(b, cols)
	default:
		r = newTabular(b, cols)
	}
	for cells, err := range rows {
		if err != nil {
			return n, err
		}
		if len(cells) != len(cols) {
			return n, errs.New(errs.Internal, "draw row %d: %d cells for %d columns", n+1, len(cells), len(cols))
		}
		if err := r.row(cells); err != nil {
			return n, drawError(err)
		}
		n++
	}
	if err := r.end(); err != nil {
		return n, drawError(err)
	}
	if err := b.Flush(); err != nil {
		return n, drawError(err)
	}
	return n, nil
}

func drawError(err error) error { return errs.New(errs.CodeOf(err), "write rows: %w", err) }
