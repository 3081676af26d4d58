package op

import (
	"context"
	"strings"

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
			if strings.Contains(text(from[i])+text(to[i]), "\n") {
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

// inPlaceLimit bounds the product of the lengths of two texts whose common characters are looked for.
const inPlaceLimit = 1 << 22

// inPlace is a text with the characters of both: those that they share once.
func inPlace(a, b string) string {
	x, y := []rune(a), []rune(b)
	if len(x)*len(y) > inPlaceLimit {
		return a + b
	}
	letters := func(r []rune) []string {
		out := make([]string, len(r))
		for i := range r {
			out[i] = string(r[i])
		}
		return out
	}
	var s strings.Builder
	for _, l := range lineDiff(letters(x), letters(y)) {
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
