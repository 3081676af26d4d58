package op

import (
	"context"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/value"
)

// The ways in which diff draws a modified row.
const (
	diffRow     = "row"      // both states, one under the other
	diffLine    = "line"     // one row; a changed cell has its old and its new lines, marked - and +
	diffInPlace = "in-place" // one row; a changed cell has its old and its new characters, one behind the other
	diffContext = "context"  // as diffLine where a cell has several lines, else as diffRow
)

// textual tells whether rows are drawn as texts, so that a row can be drawn in another way than its two states.
func (c *Diff) textual() bool {
	return (c.Format == "" || c.Format == "tabular") && c.Mode != diffRow
}

// cellTexts are the cells of a row as texts; nil for NULL.
func cellTexts(cells []any, types []value.Type) []any {
	out := make([]any, len(cells))
	for i, v := range cells {
		if v != nil {
			out[i] = FormatCell(types[i], v)
		}
	}
	return out
}

// modified are the rows that show the two states of a row, each with its mark before it.
func (c *Diff) modified(from, to []any) [][]any {
	text := func(v any) string {
		if v == nil {
			return "NULL"
		}
		s, _ := v.(string)
		return s
	}
	mode := c.Mode
	if mode == "" || mode == diffContext {
		mode = diffRow
		for i := range from {
			if strings.Contains(text(from[i]), "\n") || strings.Contains(text(to[i]), "\n") {
				mode = diffLine
			}
		}
	}
	if mode == diffRow {
		return [][]any{append([]any{"<"}, from...), append([]any{">"}, to...)}
	}
	lines := make([][]string, len(from))
	height := 1
	for i := range from {
		a, b := text(from[i]), text(to[i])
		switch {
		case a == b:
			lines[i] = strings.Split(a, "\n")
		case mode == diffInPlace:
			lines[i] = strings.Split(inPlace(a, b), "\n")
		default:
			lines[i] = lineDiff(strings.Split(a, "\n"), strings.Split(b, "\n"))
		}
		height = max(height, len(lines[i]))
	}
	out := make([][]any, height)
	for h := range out {
		row := make([]any, len(from)+1)
		row[0] = ""
		if h == 0 {
			row[0] = "*"
		}
		for i := range lines {
			switch {
			case h < len(lines[i]) && (h > 0 || from[i] != nil || to[i] != nil):
				row[i+1] = lines[i][h]
			case h > 0:
				row[i+1] = ""
			}
		}
		out[h] = row
	}
	return out
}

// inPlace is a text with the characters of both: those that they share once. Long texts stand one behind the other.
func inPlace(a, b string) string {
	if n := utf8.RuneCountInString(b); n > 0 && utf8.RuneCountInString(a) > lineDiffLimit/n {
		return a + b
	}
	var s strings.Builder
	for _, l := range lineDiff(strings.Split(a, ""), strings.Split(b, "")) {
		s.WriteString(l[1:])
	}
	return s.String()
}

// rowCells are the cells of a row in columns of a pair, of the from side when old is set.
func rowCells(ctx context.Context, pair *diff.Pair, row diff.Row, cols []diff.Column, old bool, types []value.Type) ([]any, error) {
	out := make([]any, len(cols))
	for i := range cols {
		at := cols[i].To
		if old {
			at = cols[i].From
		}
		if at < 0 {
			continue
		}
		cell, err := row.Cell(ctx, at)
		if err != nil {
			return nil, err
		}
		if out[i], err = cellValue(ctx, pair.Reader(), types[at], cell); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// stream are the drawn rows of the changes, each behind its mark.
func (c *Diff) stream(ctx context.Context, pair *diff.Pair, changes changeSeq, cols []diff.Column, from, to []value.Type) iter.Seq2[[]any, error] {
	textual := c.textual()
	side := func(row diff.Row, old bool) ([]any, error) {
		types := to
		if old {
			types = from
		}
		cells, err := rowCells(ctx, pair, row, cols, old, types)
		if err != nil || !textual {
			return cells, err
		}
		of := make([]value.Type, len(cols))
		for i := range cols {
			at := cols[i].To
			if old {
				at = cols[i].From
			}
			if at >= 0 {
				of[i] = types[at]
			}
		}
		return cellTexts(cells, of), nil
	}
	rows := func(ch diff.Change) ([][]any, error) {
		var a, b []any
		var err error
		if ch.From.Valid() {
			if a, err = side(ch.From, true); err != nil {
				return nil, err
			}
		}
		if ch.To.Valid() {
			if b, err = side(ch.To, false); err != nil {
				return nil, err
			}
		}
		switch {
		case ch.Type == diff.Added:
			return [][]any{append([]any{"+"}, b...)}, nil
		case ch.Type == diff.Removed:
			return [][]any{append([]any{"-"}, a...)}, nil
		case textual:
			return c.modified(a, b), nil
		}
		return [][]any{append([]any{"<"}, a...), append([]any{">"}, b...)}, nil
	}
	return func(yield func([]any, error) bool) {
		n := 0
		for ch, err := range changes {
			if err != nil {
				yield(nil, err)
				return
			}
			if c.Limit >= 0 && n >= c.Limit {
				return
			}
			n++
			out, err := rows(ch)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, r := range out {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}
